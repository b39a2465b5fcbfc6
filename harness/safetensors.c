/* safetensors: 8 bytes with the length N of the header (little-endian), N bytes of JSON, then the
 * data. The JSON has one entry a tensor, {"dtype", "shape", "data_offsets": [begin, end)} counted
 * from the start of the data, and perhaps "__metadata__", which says nothing about the weights.
 * The tensors cover the data without a hole or an overlap, in any order.
 *
 * Opening touches the header only. The one exception: the format promises no alignment, so a
 * tensor that does not begin at a multiple of its element size is copied to memory of ours. All
 * current writers pad the header; old files may need all their tensors copied. */
#include "harness/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/json_file.h"
#include "harness/quote.h"
#include "harness/safetensors_entry.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the weights are used as they lie");

enum {
    LENGTH_SIZE = 8,
    /* The format allows 100 MB. A 7B needs 40 kB, the largest shard index known 2 MB; and JSON
     * takes some twenty times its size when it is read: this much a stranger may ask for. */
    MAX_HEADER = 16 << 20
};

/* What tensors of one file point into. */
typedef struct state {
    void *map;
    size_t map_size;
    char *names;  /* all the names, each with its NUL */
    char *copies; /* of the tensors that lie unaligned; NULL if there are none */
} state;

/* While reading. */
typedef struct reader {
    const char *path;
    state *state;
    mv_tensor *tensors; /* [capacity] */
    size_t n_tensors;
    const char *data; /* behind the header */
    uint64_t data_size;
    char *next_name; /* in state->names */
} reader;

static void release(void *pointer)
{
    state *s = pointer;
    if (s->map != NULL) {
        (void)munmap(s->map, s->map_size);
    }
    free(s->names);
    free(s->copies);
    free(s);
}

/* No advice to the kernel: MADV_WILLNEED would read 14.5 GB before we return, and MADV_HUGEPAGE
 * showed no gain above the noise. */
static mv_code map_file(state *s, const char *path, mv_error *error)
{
    mv_code code = MV_OK;
    struct stat status;
    void *map = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        code = mv_fail(error, MV_ERR_IO, "%s: expected a regular file", path);
        goto done;
    }
    if (status.st_size < LENGTH_SIZE + 2) {
        code = mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected safetensors (8 bytes of length and a header), found %lld "
                       "bytes: truncated",
                       path, (long long)status.st_size);
        goto done;
    }
    map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
        goto done;
    }
    s->map = map;
    s->map_size = (size_t)status.st_size;
done:
    if (fd >= 0) {
        (void)close(fd);
    }
    return code;
}

/* *header: yours, json_decref(). Sets data and data_size. */
static mv_code read_header(json_t **header, reader *r, mv_error *error)
{
    const unsigned char *bytes = r->state->map;
    uint64_t size = r->state->map_size, length = 0;
    for (int i = LENGTH_SIZE - 1; i >= 0; i--) {
        length = length << 8 | bytes[i];
    }
    static const char lfs[] = "version https://git-lfs";
    if (size >= sizeof lfs && memcmp(bytes, lfs, sizeof lfs - 1) == 0) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected safetensors, found a Git LFS pointer to them; fetch the file "
                       "itself with git lfs pull",
                       r->path);
    }
    if (length > size - LENGTH_SIZE) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: the header has %llu bytes but the file only %llu: truncated, or not "
                       "safetensors",
                       r->path, (unsigned long long)length, (unsigned long long)size);
    }
    if (length > MAX_HEADER || length < 2) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a header of 2 to %d bytes, found %llu: not safetensors, or "
                       "with metadata that does not belong in a header",
                       r->path, (int)MAX_HEADER, (unsigned long long)length);
    }
    json_error_t json_error;
    json_t *value = json_loadb((const char *)bytes + LENGTH_SIZE, (size_t)length,
                               JSON_REJECT_DUPLICATES, &json_error);
    if (value == NULL) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: the header is not valid JSON: byte %d: %s",
                       r->path, json_error.position, mv_plain(json_error.text).text);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return mv_fail(error, MV_ERR_FORMAT, "%s: the header is not a JSON object", r->path);
    }
    r->data = (const char *)bytes + LENGTH_SIZE + length;
    r->data_size = size - LENGTH_SIZE - length;
    *header = value;
    return MV_OK;
}

static mv_code read_tensors(reader *r, json_t *header, mv_error *error)
{
    const char *name;
    json_t *entry;
    size_t names_size = 0, n = json_object_size(header);
    json_object_foreach(header, name, entry)
    {
        names_size += strlen(name) + 1;
    }
    if (n == 0) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: holds no tensors", r->path);
    }
    r->tensors = calloc(n, sizeof *r->tensors);
    r->next_name = r->state->names = malloc(names_size);
    if (r->tensors == NULL || r->state->names == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a list of %zu tensors", r->path, n);
    }
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        mv_tensor *tensor = &r->tensors[r->n_tensors];
        mv_code code =
            mv_safetensors_read_entry(tensor, name, entry, r->data, r->data_size, r->path, error);
        if (code != MV_OK) {
            return code;
        }
        size_t name_size = strlen(name) + 1;
        tensor->name = memcpy(r->next_name, name, name_size); /* the JSON goes, the tensor stays */
        r->next_name += name_size;
        r->n_tensors++;
    }
    if (r->n_tensors == 0) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: holds no tensors", r->path);
    }
    return MV_OK;
}

static int compare_data(const void *a, const void *b)
{
    const char *x = ((const mv_tensor *)a)->data, *y = ((const mv_tensor *)b)->data;
    return (x > y) - (x < y);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const mv_tensor *)a)->name, ((const mv_tensor *)b)->name);
}

/* In the order of the data, each tensor begins where the one before ended. */
static mv_code check_cover(const reader *r, mv_error *error)
{
    qsort(r->tensors, r->n_tensors, sizeof *r->tensors, compare_data);
    uint64_t at = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const mv_tensor *t = &r->tensors[i];
        uint64_t begin = (uint64_t)((const char *)t->data - r->data);
        if (begin < at) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: %.100s begins at byte %llu of the data, inside %.100s", r->path,
                           t->name, (unsigned long long)begin, r->tensors[i - 1].name);
        }
        if (begin > at) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: bytes %llu to %llu of the data, before %.100s, belong to no tensor",
                           r->path, (unsigned long long)at, (unsigned long long)begin, t->name);
        }
        at = begin + t->size_bytes;
    }
    if (at != r->data_size) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: the tensors end at byte %llu of the data, but the file has %llu",
                       r->path, (unsigned long long)at, (unsigned long long)r->data_size);
    }
    return MV_OK;
}

/* Copies keep their order, each at a multiple of 4. *mapped: nothing had to be copied. */
static mv_code align(reader *r, bool *mapped, mv_error *error)
{
    size_t size = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const mv_tensor *t = &r->tensors[i];
        if ((uintptr_t)t->data % mv_dtype_size(t->dtype) != 0) {
            size += (size_t)(t->size_bytes + 3) / 4 * 4; /* all of them are in the file */
        }
    }
    *mapped = size == 0;
    if (size == 0) {
        return MV_OK;
    }
    r->state->copies = malloc(size);
    if (r->state->copies == NULL) {
        return mv_fail(error, MV_ERR_MEMORY,
                       "%s: no memory to copy %zu bytes of tensors that the file does not align",
                       r->path, size);
    }
    char *to = r->state->copies;
    for (size_t i = 0; i < r->n_tensors; i++) {
        mv_tensor *t = &r->tensors[i];
        if ((uintptr_t)t->data % mv_dtype_size(t->dtype) != 0) {
            t->data = memcpy(to, t->data, t->size_bytes);
            to += (t->size_bytes + 3) / 4 * 4;
        }
    }
    return MV_OK;
}

mv_code mv_safetensors_open(mv_tensor_file **file, const char *path, mv_error *error)
{
    reader r = {.path = path, .state = calloc(1, sizeof *r.state)};
    mv_tensor_file *opened = calloc(1, sizeof *opened);
    json_t *header = NULL;
    mv_code code = MV_OK;

    if (r.state == NULL || opened == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "%s: no memory to open it", path);
        goto done;
    }
    if ((code = map_file(r.state, path, error)) != MV_OK ||
        (code = read_header(&header, &r, error)) != MV_OK ||
        (code = read_tensors(&r, header, error)) != MV_OK ||
        (code = check_cover(&r, error)) != MV_OK ||
        (code = align(&r, &opened->mapped, error)) != MV_OK) {
        goto done;
    }
    qsort(r.tensors, r.n_tensors, sizeof *r.tensors, compare_names);
    opened->tensors = r.tensors;
    opened->n_tensors = r.n_tensors;
    opened->state = r.state;
    opened->release = release;
    *file = opened;
    r.tensors = NULL;
    r.state = NULL;
    opened = NULL;
done:
    json_decref(header);
    free(r.tensors);
    if (r.state != NULL) {
        release(r.state);
    }
    free(opened);
    return code;
}
