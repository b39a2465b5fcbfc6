/* golden_index.c - who vouches for what: the sha256 of every dataset and attribute, in one table,
 * and the sha256 of that table at the root.
 *
 * Hashes are over decoded little-endian values, so another chunk size or filter keeps them.
 */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_private.h"

enum { MAX_ATTRIBUTE = 4096 };

static hid_t index_type(void)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(golden_entry)), text = H5Tcopy(H5T_C_S1);
    (void)H5Tset_strpad(text, H5T_STR_NULLPAD);
    (void)H5Tset_size(text, sizeof((golden_entry *)NULL)->path);
    (void)H5Tinsert(type, "path", offsetof(golden_entry, path), text);
    (void)H5Tset_size(text, 64);
    (void)H5Tinsert(type, "sha256", offsetof(golden_entry, sha256), text);
    (void)H5Tinsert(type, "nbytes", offsetof(golden_entry, nbytes), H5T_STD_U64LE);
    (void)H5Tclose(text);
    return type;
}

/* ---- the index ---- */

void golden_add_entry(golden_file *file, const char *path, const void *bytes, size_t size)
{
    golden_index *index = &file->index;
    char hex[MV_SHA256_SIZE];
    if (file->code != MV_OK)
        return;
    if (index->n_entries == index->capacity) {
        size_t capacity = index->capacity * 2 + 64;
        golden_entry *entries = realloc(index->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: no memory for an index of %zu",
                                 file->path, capacity);
            return;
        }
        index->entries = entries;
        index->capacity = capacity;
    }
    golden_entry *entry = &index->entries[index->n_entries++];
    memset(entry, 0, sizeof *entry);
    (void)snprintf(entry->path, sizeof entry->path, "%s", path);
    golden_sha256(hex, bytes, size);
    memcpy(entry->sha256, hex, sizeof entry->sha256);
    entry->nbytes = size;
}

static int by_path(const void *a, const void *b)
{
    return strncmp(((const golden_entry *)a)->path, ((const golden_entry *)b)->path,
                   sizeof((const golden_entry *)a)->path);
}

/* What was read must be what was written. Checks size and hash against the index. */
void golden_check_entry(golden_file *file, const char *path, const void *bytes, size_t size)
{
    golden_entry wanted = {.nbytes = size};
    char hex[MV_SHA256_SIZE];
    if (file->code != MV_OK || file->index.entries == NULL) /* before the index: checked later */
        return;
    (void)snprintf(wanted.path, sizeof wanted.path, "%s", path);
    const golden_entry *entry =
        bsearch(&wanted, file->index.entries, file->index.n_entries, sizeof wanted, by_path);
    if (entry == NULL) {
        golden_fail(file, path, "not in /index, so nobody vouches for it");
        return;
    }
    file->index.seen[entry - file->index.entries] = true;
    golden_sha256(hex, bytes, size);
    if (entry->nbytes != size)
        golden_fail(file, path, "%zu bytes, expected %llu (/index)", size,
                    (unsigned long long)entry->nbytes);
    else if (memcmp(entry->sha256, hex, 64) != 0)
        golden_fail(file, path, "edited: its sha256 is %.12s..., expected %.12s... (/index)", hex,
                    entry->sha256);
}

void golden_add_attribute(golden_file *file, const char *group, const char *key, const void *bytes,
                          size_t size)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    golden_add_entry(file, path, bytes, size);
}

void golden_check_attribute(golden_file *file, const char *group, const char *key,
                            const void *bytes, size_t size)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    golden_check_entry(file, path, bytes, size);
}

/* ---- the index, written and read ---- */

void golden_put_index(golden_file *file)
{
    char root[MV_SHA256_SIZE];
    golden_index *index = &file->index;
    if (file->code != MV_OK)
        return;
    qsort(index->entries, index->n_entries, sizeof *index->entries, by_path);
    golden_sha256(root, index->entries, index->n_entries * sizeof *index->entries);
    hid_t type = index_type();
    const golden_dims dims = {1, {index->n_entries, 1}};
    golden_put_dataset(file, "/index", type, dims, index->entries);
    (void)H5Tclose(type);
    golden_put_text(file, "/", "merkle_root", root);
}

void golden_get_index(golden_file *file, char merkle_root[MV_SHA256_SIZE])
{
    golden_index *index = &file->index;
    char root[MV_SHA256_SIZE];
    size_t size = 0;
    const golden_dims dims = golden_get_dims(file, "/index", 1);
    if (file->code != MV_OK)
        return;
    hid_t type = index_type();
    index->entries = golden_get_dataset(file, "/index", type, dims, &size);
    (void)H5Tclose(type);
    if (index->entries == NULL)
        return;
    index->n_entries = dims.size[0];
    index->seen = calloc(index->n_entries, sizeof *index->seen);
    if (index->seen == NULL)
        file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: no memory", file->path);
    for (size_t i = 1; i < index->n_entries && file->code == MV_OK; i++) {
        if (by_path(&index->entries[i - 1], &index->entries[i]) >= 0)
            golden_fail(file, "/index", "row %zu: paths are not in rising order", i);
    }
    golden_sha256(root, index->entries, size);
    golden_get_text(file, "/", "merkle_root", merkle_root, MV_SHA256_SIZE);
    if (file->code == MV_OK && strcmp(root, merkle_root) != 0)
        golden_fail(file, "/index",
                    "edited: its sha256 is %.12s..., expected %.12s... (/@merkle_root)", root,
                    merkle_root);
}

/* A dataset that this version has no name for: hashed as it lies in the file. */
static void check_unknown_dataset(golden_file *file, const char *path)
{
    size_t size = 0;
    void *data = NULL;
    if (!golden_is_dataset(file, path))
        return;
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT), type = H5Dget_type(set);
    const golden_dims dims = golden_dims_of(set);
    if (dims.rank < 1 || H5Tdetect_class(type, H5T_VLEN) > 0 || H5Tis_variable_str(type) > 0 ||
        H5Tdetect_class(type, H5T_REFERENCE) > 0)
        golden_fail(file, path, "expected an array of rank 1 or 2 of plain numbers or texts");
    else
        data = golden_read_dataset(file, path, set, type, dims, &size);
    golden_check_entry(file, path, data, size);
    free(data);
    (void)H5Tclose(type);
    (void)H5Dclose(set);
}

static void check_unknown_attribute(golden_file *file, const char *path)
{
    char group[sizeof((golden_entry *)NULL)->path + 1], text[MAX_ATTRIBUTE];
    (void)snprintf(group, sizeof group, "%s", path); /* all of it: the @ may be its last byte */
    char *key = strchr(group, '@');
    *key++ = '\0';
    hid_t attribute = H5Aopen_by_name(file->id, group, key, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : -1;
    const H5T_class_t kind = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    if (type >= 0)
        (void)H5Tclose(type);
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    if (kind == H5T_STRING)
        golden_get_text(file, group, key, text, sizeof text);
    else if (kind == H5T_INTEGER)
        (void)golden_get_int(file, group, key);
    else
        (void)golden_get_real(file, group, key);
}

void golden_check_rest(golden_file *file)
{
    for (size_t i = 0; i < file->index.n_entries && file->code == MV_OK; i++) {
        char path[sizeof file->index.entries->path + 1] = "";
        memcpy(path, file->index.entries[i].path, sizeof file->index.entries->path);
        if (file->index.seen[i])
            continue;
        if (strchr(path, '@') != NULL)
            check_unknown_attribute(file, path);
        else
            check_unknown_dataset(file, path);
    }
}
