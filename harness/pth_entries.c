#include "harness/pth_reader.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/quote.h"

enum { MAX_ENTRIES = 1 << 18 };

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const zip_entry *)a)->name, ((const zip_entry *)b)->name);
}

mv_code pth_list_entries(pth_reader *r)
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

const zip_entry *pth_find_name(const pth_reader *r, const char *name)
{
    const zip_entry key = {.name = name};
    return bsearch(&key, r->entries, r->n_entries, sizeof key, compare_entries);
}

mv_code pth_find_entry(const pth_reader *r, const zip_entry **entry, const char *folder,
                       const char *name)
{
    char *wanted = NULL;
    if (asprintf(&wanted, "%.*s%s%s", r->prefix_length, r->pickle_name, folder, name) < 0)
        return mv_fail(r->error, MV_ERR_MEMORY, "%s: out of memory", r->path);
    *entry = pth_find_name(r, wanted);
    free(wanted);
    return MV_OK;
}

/* Entries that were made to overlap, to look like more than the file holds, end at the sum. */
mv_code pth_check_entry(pth_reader *r, const zip_entry *entry, uint64_t expected, uint64_t max_size,
                        uint64_t *size)
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
mv_code pth_read_entry(const pth_reader *r, const zip_entry *entry, void *bytes, uint64_t size)
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
        code = mv_fail(
            r->error, zip_error_code_zip(reason) == ZIP_ER_READ ? MV_ERR_IO : MV_ERR_FORMAT,
            "%s: ZIP entry %s: %s at byte %llu of %llu%s", r->path,
            mv_quote(entry->name, strlen(entry->name)).text, zip_error_strerror(reason),
            (unsigned long long)at, (unsigned long long)size, is_crc ? ": " PTH_CHANGED : "");
    }
    if (file != NULL)
        (void)zip_fclose(file);
    return code;
}

/* ---- the checksums ---- */

mv_code pth_add_sum(pth_reader *r, const zip_entry *entry, const void *bytes, uint64_t size)
{
    const mv_quoted name = mv_quote(entry->name, strlen(entry->name));
    zip_stat_t status;
    zip_stat_init(&status);
    if (zip_stat_index(r->zip, entry->index, 0, &status) != 0 || (status.valid & ZIP_STAT_CRC) == 0)
        return mv_fail(r->error, MV_ERR_FORMAT, "%s: ZIP entry %s has no checksum", r->path,
                       name.text);
    r->sums[r->n_sums++] = (mv_tensor_sum){
        .path = r->path, .entry = name, .data = bytes, .size_bytes = size, .crc = status.crc};
    return MV_OK;
}
