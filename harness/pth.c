/* pth.c - torch.save's ZIP: PREFIX/data.pkl says what there is, PREFIX/data/KEY hold the numbers.
 *
 * The numbers stay where they are in the mapped file, as those of safetensors do; but opening reads
 * all of them once, for their checksums. Copied are only views that are not contiguous, and
 * storages that do not begin at a multiple of their element's size.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/crc32.h"
#include "harness/page_in.h"
#include "harness/pickle.h"
#include "harness/quote.h"
#include "harness/tensor_file.h"
#include "harness/zip_map.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the weights are used as they lie");

enum { ALIGNMENT = 64, MAX_ENTRIES = 1 << 18, MAX_THREADS = 3, LEAST_FOR_THREADS = 64 << 20 };
#define CHANGED "the data was changed, or torch was told not to write checksums"

/* What the tensors of one file point into. */
typedef struct pth_state {
    mv_pickle pickle; /* the names */
    mv_zip_map map;
    void **blocks; /* storages that are not aligned, and contiguous copies of views */
    size_t n_blocks;
} pth_state;

typedef struct zip_entry {
    const char *name; /* libzip's */
    zip_uint64_t index;
} zip_entry;

/* A storage that stays in the mapping. */
typedef struct pth_sum {
    const zip_entry *entry;
    const unsigned char *bytes;
    uint64_t size;
    uint32_t crc;
} pth_sum;

/* While reading. */
typedef struct pth_reader {
    const char *path;
    zip_t *zip;         /* state->map's */
    zip_entry *entries; /* [n_entries] sorted by name */
    size_t n_entries;
    const char *pickle_name; /* PREFIX/data.pkl */
    int prefix_length;       /* of PREFIX/ */
    uint64_t file_size;
    uint64_t taken;  /* bytes of all the entries read so far */
    uint64_t copied; /* bytes of contiguous copies */
    pth_sum *sums;   /* [n_sums] */
    size_t n_sums;
    atomic_size_t next_sum;
    pth_state *state;
    mv_error *error;
} pth_reader;

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

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const zip_entry *)a)->name, ((const zip_entry *)b)->name);
}

/* Sorted, so that duplicates meet: readers disagree about which of two wins. */
static mv_code list_entries(pth_reader *r)
{
    zip_int64_t n = zip_get_num_entries(r->zip, 0);
    if (n <= 0 || n > MAX_ENTRIES)
        return mv_fail(r->error, MV_ERR_FORMAT,
                       "%s: a ZIP archive of %lld entries, expected 1 to %d", r->path, (long long)n,
                       (int)MAX_ENTRIES);
    r->entries = calloc((size_t)n, sizeof *r->entries);
    if (r->entries == NULL)
        return mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory for %lld entries", r->path,
                       (long long)n);
    for (size_t i = 0; i < (size_t)n; i++) {
        const char *name = zip_get_name(r->zip, i, ZIP_FL_ENC_RAW);
        if (name == NULL)
            return mv_fail(r->error, MV_ERR_FORMAT, "%s: ZIP entry %zu has no name: %s", r->path, i,
                           zip_strerror(r->zip));
        r->entries[i] = (zip_entry){name, i};
    }
    r->n_entries = (size_t)n;
    qsort(r->entries, r->n_entries, sizeof *r->entries, compare_entries);
    for (size_t i = 1; i < r->n_entries; i++) {
        const char *name = r->entries[i].name;
        if (strcmp(r->entries[i - 1].name, name) == 0)
            return mv_fail(r->error, MV_ERR_FORMAT, "%s: two ZIP entries are named %s", r->path,
                           mv_quote(name, strlen(name)).text);
    }
    return MV_OK;
}

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

/* *entry is NULL if there is no PREFIX/folder+name. */
static mv_code find_entry(const pth_reader *r, const zip_entry **entry, const char *folder,
                          const char *name)
{
    char *wanted = NULL;
    if (asprintf(&wanted, "%.*s%s%s", r->prefix_length, r->pickle_name, folder, name) < 0)
        return mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory", r->path);
    zip_entry key = {.name = wanted};
    *entry = bsearch(&key, r->entries, r->n_entries, sizeof key, compare_entries);
    free(wanted);
    return MV_OK;
}

/* Stored, in the clear, and as long as expected (any length up to max_size if expected is 0).
 * Entries that were made to overlap, to look like more than the file holds, end at the sum. */
static mv_code check_entry(pth_reader *r, const zip_entry *entry, uint64_t expected,
                           uint64_t max_size, uint64_t *size)
{
    const zip_uint64_t wanted =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    mv_quoted name = mv_quote(entry->name, strlen(entry->name));
    zip_stat_t status;
    zip_stat_init(&status);
    if (zip_stat_index(r->zip, entry->index, 0, &status) != 0 || (status.valid & wanted) != wanted)
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: ZIP entry %s: broken: %s", r->path, name.text,
                       zip_strerror(r->zip));
    if (status.encryption_method != ZIP_EM_NONE)
        return mv_fail(r->error, MV_ERR_UNSUPPORTED, "%s: ZIP entry %s is encrypted", r->path,
                       name.text);
    if (status.comp_method != ZIP_CM_STORE)
        return mv_fail(r->error, MV_ERR_UNSUPPORTED,
                       "%s: ZIP entry %s is compressed (method %d), expected stored, as torch.save "
                       "writes",
                       r->path, name.text, (int)status.comp_method);
    if (status.size != status.comp_size || status.size > max_size ||
        (expected != 0 && status.size != expected))
        return mv_fail(r->error, MV_ERR_FORMAT,
                       "%s: ZIP entry %s has %llu bytes (%llu in the archive), expected %s%llu",
                       r->path, name.text, (unsigned long long)status.size,
                       (unsigned long long)status.comp_size, expected != 0 ? "" : "at most ",
                       (unsigned long long)(expected != 0 ? expected : max_size));
    if (__builtin_add_overflow(r->taken, status.size, &r->taken) || r->taken > r->file_size)
        return mv_fail(r->error, MV_ERR_FORMAT,
                       "%s: ZIP entry %s: the entries claim more than the file's %llu bytes",
                       r->path, name.text, (unsigned long long)r->file_size);
    *size = status.size;
    return MV_OK;
}

/* libzip compares the CRC when it finds the end: hence one byte more is asked for. */
static mv_code read_entry(const pth_reader *r, const zip_entry *entry, void *bytes, uint64_t size)
{
    zip_int64_t n = 0;
    uint64_t at = 0;
    char beyond = 0;
    mv_code code = MV_OK;
    zip_file_t *file = zip_fopen_index(r->zip, entry->index, 0);
    for (; file != NULL && at < size; at += (uint64_t)n)
        if ((n = zip_fread(file, (char *)bytes + at, size - at)) <= 0)
            break;
    if (file == NULL || n < 0 || at < size || (n = zip_fread(file, &beyond, 1)) != 0) {
        zip_error_t *reason = file == NULL ? zip_get_error(r->zip) : zip_file_get_error(file);
        bool is_crc = zip_error_code_zip(reason) == ZIP_ER_CRC;
        code =
            mv_fail(r->error, zip_error_code_zip(reason) == ZIP_ER_READ ? MV_ERR_IO : MV_ERR_FORMAT,
                    "%s: ZIP entry %s: %s at byte %llu of %llu%s", r->path,
                    mv_quote(entry->name, strlen(entry->name)).text, zip_error_strerror(reason),
                    (unsigned long long)at, (unsigned long long)size, is_crc ? ": " CHANGED : "");
    }
    if (file != NULL)
        (void)zip_fclose(file);
    return code;
}

/* Absent in files of torch before 2.1, which are little-endian. */
static mv_code check_byteorder(pth_reader *r)
{
    char order[16] = "";
    uint64_t size = 0;
    const zip_entry *entry = NULL;
    mv_code code = find_entry(r, &entry, "", "byteorder");
    if (code != MV_OK || entry == NULL)
        return code;
    if ((code = check_entry(r, entry, 0, sizeof order - 1, &size)) != MV_OK ||
        (code = read_entry(r, entry, order, size)) != MV_OK)
        return code;
    if (strcmp(order, "little") != 0)
        return mv_fail(r->error, MV_ERR_UNSUPPORTED, "%s: byte order %s, expected \"little\"",
                       r->path, mv_quote(order, (size_t)size).text);
    return MV_OK;
}

static mv_code read_pickle(pth_reader *r)
{
    uint64_t size = 0;
    const zip_entry key = {.name = r->pickle_name};
    const zip_entry *entry = bsearch(&key, r->entries, r->n_entries, sizeof key, compare_entries);
    mv_code code = check_entry(r, entry, 0, MV_PICKLE_MAX_SIZE, &size);
    if (code != MV_OK)
        return code;
    void *bytes = malloc((size_t)size + 1);
    if (bytes == NULL)
        return mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory for data.pkl", r->path);
    code = read_entry(r, entry, bytes, size);
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

/* *bytes: in the mapping, whose checksum is taken later, or in a block. */
static mv_code take_storage(pth_reader *r, const zip_entry *entry, uint64_t size, size_t element,
                            const void **bytes)
{
    void *block = NULL;
    const unsigned char *there = mv_zip_map_find(&r->state->map, entry->index, size);
    if (there != NULL && (uintptr_t)there % element == 0) {
        *bytes = there;
        r->sums[r->n_sums++] = (pth_sum){entry, there, size, 0};
        return MV_OK;
    }
    mv_code code = take_block(r, &block, size);
    *bytes = block;
    return code == MV_OK ? read_entry(r, entry, block, size) : code;
}

static mv_code read_storage(pth_reader *r, const mv_pickle_tensor *spec, const void **bytes)
{
    mv_quoted key = mv_quote(spec->storage_key, strlen(spec->storage_key));
    uint64_t size = 0, found = 0;
    const zip_entry *entry = NULL;
    mv_code code = find_entry(r, &entry, "data/", spec->storage_key);
    if (code != MV_OK)
        return code;
    if (entry == NULL)
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: tensor %s: no ZIP entry data/ for storage %s",
                       r->path, mv_quote(spec->name, strlen(spec->name)).text, key.text);
    if (__builtin_mul_overflow(spec->storage_numel, mv_dtype_size(spec->dtype), &size))
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: storage %s of %llu elements fits in no memory",
                       r->path, key.text, (unsigned long long)spec->storage_numel);
    code = check_entry(r, entry, size, UINT64_MAX, &found);
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

/* ---- the checksums ---- */

static uint32_t take_crc(const unsigned char *bytes, uint64_t size)
{
    uint32_t crc = 0;
    for (uint64_t at = 0; at < size; at += MV_PAGE_IN) {
        const size_t n = size - at < MV_PAGE_IN ? (size_t)(size - at) : MV_PAGE_IN;
        mv_page_in(bytes + at, n);
        crc = mv_crc32(crc, bytes + at, n);
    }
    return crc;
}

static void *take_sums(void *reader)
{
    pth_reader *r = reader;
    for (size_t i; (i = atomic_fetch_add(&r->next_sum, 1)) < r->n_sums;)
        r->sums[i].crc = take_crc(r->sums[i].bytes, r->sums[i].size);
    return NULL;
}

/* What libzip does for numbers that it reads, here by a few threads: one alone waits for memory. */
static mv_code check_sums(pth_reader *r)
{
    pthread_t threads[MAX_THREADS];
    size_t n = 0;
    const bool is_large = r->file_size >= LEAST_FOR_THREADS;
    while (is_large && n < MAX_THREADS && pthread_create(&threads[n], NULL, take_sums, r) == 0)
        n++;
    (void)take_sums(r);
    while (n > 0)
        (void)pthread_join(threads[--n], NULL);
    for (size_t i = 0; i < r->n_sums; i++) {
        const pth_sum *sum = &r->sums[i];
        zip_stat_t status;
        zip_stat_init(&status);
        if (zip_stat_index(r->zip, sum->entry->index, 0, &status) != 0 ||
            (status.valid & ZIP_STAT_CRC) == 0 || status.crc != sum->crc)
            return mv_fail(r->error, MV_ERR_FORMAT,
                           "%s: ZIP entry %s: CRC error at byte %llu of %llu: " CHANGED, r->path,
                           mv_quote(sum->entry->name, strlen(sum->entry->name)).text,
                           (unsigned long long)sum->size, (unsigned long long)sum->size);
    }
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
    if (code == MV_OK)
        code = check_sums(r);
done:
    free(order);
    return code;
}

mv_code mv_pth_open(mv_tensor_file **file, const char *path, mv_error *error)
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
    if ((code = list_entries(&r)) != MV_OK || (code = find_pickle(&r)) != MV_OK ||
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
    *opened = (mv_tensor_file){.tensors = tensors,
                               .n_tensors = r.state->pickle.n_tensors,
                               .mapped = r.state->n_blocks == 0,
                               .state = r.state,
                               .release = pth_release};
    *file = opened;
    opened = NULL;
    tensors = NULL;
    r.state = NULL;
done:
    pth_release(r.state);
    free(tensors);
    free(opened);
    free(r.entries);
    free(r.sums);
    return code;
}
