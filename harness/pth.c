/* pth.c - torch.save's ZIP: PREFIX/data.pkl says what there is, PREFIX/data/KEY hold the numbers.
 *
 * The numbers stay where they are in the mapped file, as those of safetensors do; but all of them
 * are read once, for their checksums. Copied are only views that are not contiguous, and
 * storages that do not begin at a multiple of their element's size.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/pth_reader.h"
#include "harness/quote.h"
#include "harness/tensor_file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the weights are used as they lie");

enum { ALIGNMENT = 64 };

static void pth_release(void *pointer)
{
    pth_state *state = pointer;
    if (state == NULL)
        return;
    for (size_t i = 0; i < state->n_blocks; i++)
        free(state->blocks[i]);
    free(state->blocks);
    mv_pickle_free(&state->pickle);
    mv_zip_map_close(&state->map);
    if (state->map.bytes != NULL)
        (void)munmap(state->map.bytes, (size_t)state->map.size);
    free(state);
}

/* ---- the container ---- */

/* PREFIX is the file's stem when it was saved, or "archive": the file may have been renamed since.
 */
static mv_code find_pickle(pth_reader *r)
{
    static const char suffix[] = "/data.pkl";
    const size_t n_suffix = sizeof suffix - 1;
    for (size_t i = 0; i < r->n_entries; i++) {
        const char *name = r->entries[i].name;
        size_t n = strlen(name);
        if (n < n_suffix || strcmp(name + n - n_suffix, suffix) != 0)
            continue;
        if (r->pickle_name != NULL)
            return mv_fail(r->error, MV_ERR_FORMAT,
                           "%s: two ZIP entries end in %s: %s and %s, expected one", r->path,
                           suffix, mv_quote(r->pickle_name, strlen(r->pickle_name)).text,
                           mv_quote(name, n).text);
        r->pickle_name = name;
        r->prefix_length = (int)(n - n_suffix) + 1;
    }
    if (r->pickle_name == NULL)
        return mv_fail(r->error, MV_ERR_FORMAT,
                       "%s: no ZIP entry ends in %s: not written by torch.save", r->path, suffix);
    return MV_OK;
}

/* Absent in files of torch before 2.1, which are little-endian. */
static mv_code check_byteorder(pth_reader *r)
{
    char order[16] = "";
    uint64_t size = 0;
    const zip_entry *entry = NULL;
    mv_code code = pth_find_entry(r, &entry, "", "byteorder");
    if (code != MV_OK || entry == NULL)
        return code;
    if ((code = pth_check_entry(r, entry, 0, sizeof order - 1, &size)) != MV_OK ||
        (code = pth_read_entry(r, entry, order, size)) != MV_OK)
        return code;
    if (strcmp(order, "little") != 0)
        return mv_fail(r->error, MV_ERR_UNSUPPORTED, "%s: byte order %s, expected \"little\"",
                       r->path, mv_quote(order, (size_t)size).text);
    return MV_OK;
}

static mv_code read_pickle(pth_reader *r)
{
    uint64_t size = 0;
    const zip_entry *entry = pth_find_name(r, r->pickle_name);
    mv_code code = pth_check_entry(r, entry, 0, MV_PICKLE_MAX_SIZE, &size);
    if (code != MV_OK)
        return code;
    void *bytes = malloc((size_t)size + 1);
    if (bytes == NULL)
        return mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory for data.pkl", r->path);
    code = pth_read_entry(r, entry, bytes, size);
    if (code == MV_OK)
        code = mv_pickle_read(&r->state->pickle, bytes, (size_t)size, r->path, r->error);
    free(bytes);
    return code;
}

/* ---- the numbers ---- */

/* The block belongs to the state at once. */
static mv_code take_block(pth_reader *r, void **block, uint64_t size)
{
    uint64_t rounded = 0;
    *block = __builtin_add_overflow(size, ALIGNMENT - 1, &rounded)
                 ? NULL
                 : aligned_alloc(ALIGNMENT, rounded / ALIGNMENT * ALIGNMENT);
    if (*block == NULL)
        return mv_fail(r->error, MV_ERR_MEMORY,
                       "%s: out of memory for a copy of %llu bytes that cannot be used where they "
                       "lie",
                       r->path, (unsigned long long)size);
    r->state->blocks[r->state->n_blocks++] = *block;
    return MV_OK;
}

/* *bytes: in the mapping, whose checksum is compared later, or in a block. */
static mv_code take_storage(pth_reader *r, const zip_entry *entry, uint64_t size, size_t element,
                            const void **bytes)
{
    void *block = NULL;
    const unsigned char *there = mv_zip_map_find(&r->state->map, entry->index, size);
    if (there != NULL && (uintptr_t)there % element == 0) {
        *bytes = there;
        return pth_add_sum(r, entry, there, size);
    }
    mv_code code = take_block(r, &block, size);
    *bytes = block;
    return code == MV_OK ? pth_read_entry(r, entry, block, size) : code;
}

static mv_code read_storage(pth_reader *r, const mv_pickle_tensor *spec, const void **bytes)
{
    mv_quoted key = mv_quote(spec->storage_key, strlen(spec->storage_key));
    uint64_t size = 0, found = 0;
    const zip_entry *entry = NULL;
    mv_code code = pth_find_entry(r, &entry, "data/", spec->storage_key);
    if (code != MV_OK)
        return code;
    if (entry == NULL)
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: tensor %s: no ZIP entry data/ for storage %s",
                       r->path, mv_quote(spec->name, strlen(spec->name)).text, key.text);
    if (__builtin_mul_overflow(spec->storage_numel, mv_dtype_size(spec->dtype), &size))
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: storage %s of %llu elements fits in no memory",
                       r->path, key.text, (unsigned long long)spec->storage_numel);
    code = pth_check_entry(r, entry, size, UINT64_MAX, &found);
    return code == MV_OK ? take_storage(r, entry, size, mv_dtype_size(spec->dtype), bytes) : code;
}

static bool is_contiguous(const mv_pickle_tensor *spec)
{
    return (spec->shape[1] == 1 || spec->stride[1] == 1) &&
           (spec->shape[0] == 1 || spec->stride[0] == spec->shape[1]);
}

static void copy_view(void *to, const char *from, const mv_pickle_tensor *spec)
{
    uint16_t *half = to;
    uint32_t *single = to;
    bool is_half = mv_dtype_size(spec->dtype) == sizeof *half;
    for (uint64_t row = 0; row < spec->shape[0]; row++)
        for (uint64_t col = 0; col < spec->shape[1]; col++) {
            uint64_t at = row * spec->stride[0] + col * spec->stride[1];
            if (is_half)
                memcpy(half++, from + at * sizeof *half, sizeof *half);
            else
                memcpy(single++, from + at * sizeof *single, sizeof *single);
        }
}

/* A transposed checkpoint needs its own size again. Many overlapping views of one storage could
 * ask for anything: that is where the limit is. */
static mv_code fill_tensor(pth_reader *r, mv_tensor *tensor, const mv_pickle_tensor *spec,
                           const void *storage)
{
    const size_t element = mv_dtype_size(spec->dtype);
    const char *first = (const char *)storage + spec->storage_offset * element;
    *tensor = (mv_tensor){.name = spec->name,
                          .data = first,
                          .shape = {spec->shape[0], spec->shape[1]},
                          .size_bytes = spec->shape[0] * spec->shape[1] * element,
                          .n_dims = spec->n_dims,
                          .dtype = spec->dtype};
    if (is_contiguous(spec))
        return MV_OK;
    void *copy = NULL;
    if (__builtin_add_overflow(r->copied, tensor->size_bytes, &r->copied) ||
        r->copied > r->file_size)
        return mv_fail(r->error, MV_ERR_UNSUPPORTED,
                       "%s: tensor %s: contiguous copies of the strided views would take more than "
                       "the file's %llu bytes; save them with .contiguous()",
                       r->path, mv_quote(spec->name, strlen(spec->name)).text,
                       (unsigned long long)r->file_size);
    mv_code code = take_block(r, &copy, tensor->size_bytes);
    if (code != MV_OK)
        return code;
    copy_view(copy, first, spec);
    tensor->data = copy;
    return MV_OK;
}

/* ---- the tensors ---- */

static int compare_keys(const void *a, const void *b)
{
    const mv_pickle_tensor *const *left = a, *const *right = b;
    return strcmp((*left)->storage_key, (*right)->storage_key);
}

/* In the order of the storages' keys, so that a shared storage is read once. */
static mv_code read_tensors(pth_reader *r, mv_tensor *tensors)
{
    const mv_pickle *pickle = &r->state->pickle;
    const size_t n = pickle->n_tensors;
    const void *storage = NULL;
    mv_code code = MV_OK;
    const mv_pickle_tensor **order = calloc(n, sizeof(mv_pickle_tensor *));
    r->state->blocks = calloc(2 * n, sizeof(void *)); /* a storage and a copy each */
    r->sums = calloc(n, sizeof *r->sums);
    if (order == NULL || r->state->blocks == NULL || r->sums == NULL) {
        code = mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory for %zu tensors", r->path, n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &pickle->tensors[i];
    qsort(order, n, sizeof(mv_pickle_tensor *), compare_keys);
    for (size_t i = 0; i < n && code == MV_OK; i++) {
        const mv_pickle_tensor *spec = order[i], *before = i > 0 ? order[i - 1] : NULL;
        if (before == NULL || strcmp(before->storage_key, spec->storage_key) != 0)
            code = read_storage(r, spec, &storage);
        else if (before->dtype != spec->dtype || before->storage_numel != spec->storage_numel)
            code = mv_fail(r->error, MV_ERR_FORMAT,
                           "%s: tensors %s and %s share storage %s but not its dtype or length",
                           r->path, mv_quote(before->name, strlen(before->name)).text,
                           mv_quote(spec->name, strlen(spec->name)).text,
                           mv_quote(spec->storage_key, strlen(spec->storage_key)).text);
        if (code == MV_OK)
            code = fill_tensor(r, &tensors[spec - pickle->tensors], spec, storage);
    }
done:
    free(order);
    return code;
}

mv_code mv_pth_open_unchecked(mv_tensor_file **file, const char *path, mv_error *error)
{
    pth_reader r = {.path = path, .error = error, .state = calloc(1, sizeof *r.state)};
    mv_tensor_file *opened = calloc(1, sizeof *opened);
    mv_tensor *tensors = NULL;
    mv_code code = MV_OK;
    if (opened == NULL || r.state == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "%s: out of memory", path);
    else
        code = mv_zip_map_open(&r.state->map, path, error);
    if (code != MV_OK)
        goto done;
    r.zip = r.state->map.zip;
    r.file_size = r.state->map.size;
    if ((code = pth_list_entries(&r)) != MV_OK || (code = find_pickle(&r)) != MV_OK ||
        (code = check_byteorder(&r)) != MV_OK || (code = read_pickle(&r)) != MV_OK)
        goto done;
    tensors = calloc(r.state->pickle.n_tensors, sizeof *tensors);
    if (tensors == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "%s: out of memory", path);
    else
        code = read_tensors(&r, tensors);
    if (code != MV_OK)
        goto done;
    mv_zip_map_close(&r.state->map);
    mv_tensor_sums_sort(r.sums, r.n_sums);
    *opened = (mv_tensor_file){.tensors = tensors,
                               .n_tensors = r.state->pickle.n_tensors,
                               .mapped = r.state->n_blocks == 0,
                               .sums = r.sums,
                               .n_sums = r.n_sums,
                               .state = r.state,
                               .release = pth_release};
    *file = opened;
    opened = NULL;
    tensors = NULL;
    r.state = NULL;
    r.sums = NULL;
done:
    pth_release(r.state);
    free(tensors);
    free(opened);
    free(r.entries);
    free(r.sums);
    return code;
}

mv_code mv_pth_open(mv_tensor_file **file, const char *path, mv_error *error)
{
    mv_tensor_file *opened = NULL;
    mv_code code = mv_pth_open_unchecked(&opened, path, error);
    if (code == MV_OK)
        code = mv_tensor_sums_check(opened->sums, opened->n_sums, error);
    if (code == MV_OK)
        *file = opened;
    else
        mv_tensor_file_close(&opened);
    return code;
}
