#include "harness/safetensors_entry.h"

#include <stdbool.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/quote.h"

enum { MAX_NAME = 255 };

/* Names go into messages and come back as keys, so they must be plain. */
static mv_code check_name(const char *name, const char *path, mv_error *error)
{
    size_t length = strlen(name);
    bool plain = length > 0 && length <= MAX_NAME;
    for (size_t i = 0; i < length && plain; i++) {
        plain = name[i] > ' ' && name[i] <= '~';
    }
    if (!plain) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: tensor name \"%s\": expected 1 to %d printable ASCII characters", path,
                       mv_plain(name).text, MAX_NAME);
    }
    return MV_OK;
}

static mv_code read_dtype(mv_dtype *dtype, const char *name, const json_t *entry, const char *path,
                          mv_error *error)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (text == NULL) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: %.100s: \"dtype\" is missing or no text", path,
                       name);
    }
    if (strcmp(text, "F32") == 0) {
        *dtype = MV_DTYPE_F32;
    } else if (strcmp(text, "F16") == 0) {
        *dtype = MV_DTYPE_F16;
    } else if (strcmp(text, "BF16") == 0) {
        *dtype = MV_DTYPE_BF16;
    } else {
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: %.100s: dtype: expected F32, F16 or BF16, found \"%s\"", path, name,
                       mv_plain(text).text);
    }
    return MV_OK;
}

/* Sets shape, n_dims and size_bytes. */
static mv_code read_shape(mv_tensor *t, const json_t *entry, const char *path, mv_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t n_dims = json_array_size(shape);
    if (!json_is_array(shape) || n_dims < 1 || n_dims > 2) {
        return mv_fail(error, json_is_array(shape) ? MV_ERR_UNSUPPORTED : MV_ERR_FORMAT,
                       "%s: %.100s: shape: expected 1 or 2 dimensions, found %zu", path, t->name,
                       n_dims);
    }
    t->n_dims = (uint32_t)n_dims;
    t->shape[1] = 1;
    for (size_t i = 0; i < n_dims; i++) {
        const json_t *extent = json_array_get(shape, i);
        json_int_t n = json_integer_value(extent); /* 0 if it is none */
        if (n <= 0) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: %.100s: shape[%zu]: expected an integer above 0", path, t->name, i);
        }
        t->shape[i] = (uint64_t)n;
    }
    uint64_t n_elements = 0;
    if (__builtin_mul_overflow(t->shape[0], t->shape[1], &n_elements) ||
        __builtin_mul_overflow(n_elements, (uint64_t)mv_dtype_size(t->dtype), &t->size_bytes)) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: %.100s: shape [%llu, %llu] has more bytes than 64 bits count", path,
                       t->name, (unsigned long long)t->shape[0], (unsigned long long)t->shape[1]);
    }
    return MV_OK;
}

static mv_code read_offsets(mv_tensor *t, const json_t *entry, const char *data, uint64_t data_size,
                            const char *path, mv_error *error)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
        begin < 0 || end < begin) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: %.100s: data_offsets: expected [begin, end] with 0 <= begin <= end",
                       path, t->name);
    }
    if ((uint64_t)end > data_size) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: %.100s: ends at byte %lld of the data, but the file has only %llu: "
                       "truncated",
                       path, t->name, (long long)end, (unsigned long long)data_size);
    }
    if ((uint64_t)(end - begin) != t->size_bytes) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: %.100s: expected %llu bytes for shape [%llu, %llu] in %s, found %lld",
                       path, t->name, (unsigned long long)t->size_bytes,
                       (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
                       mv_dtype_name(t->dtype), (long long)(end - begin));
    }
    t->data = data + begin;
    return MV_OK;
}

mv_code mv_safetensors_read_entry(mv_tensor *tensor, const char *name, const json_t *entry,
                                  const char *data, uint64_t data_size, const char *path,
                                  mv_error *error)
{
    mv_code code = check_name(name, path, error);
    if (code != MV_OK) {
        return code;
    }
    if (!json_is_object(entry) || json_object_size(entry) != 3) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: %.100s: expected an object of dtype, shape and data_offsets", path,
                       name);
    }
    tensor->name = name;
    code = read_dtype(&tensor->dtype, name, entry, path, error);
    if (code == MV_OK) {
        code = read_shape(tensor, entry, path, error);
    }
    if (code == MV_OK) {
        code = read_offsets(tensor, entry, data, data_size, path, error);
    }
    return code;
}
