/* golden_h5.c - HDF5 in small steps: each call opens, does one thing, closes.
 *
 * Only built-in filters, fixed-length strings, little-endian types, no times: the file can be read
 * everywhere, and the same contents give the same bytes. The 1.10 format is asked for because its
 * metadata is a third of the old one's size.
 */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_private.h"
#include "harness/quote.h"

enum { CHUNK_BYTES = 1 << 20 };

/* deflate cannot make more of a byte than this. */
#define MAX_EXPANSION 1100u

void golden_quiet(void)
{
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* The innermost words are the ones that help. */
static herr_t take_reason(unsigned n, const H5E_error2_t *frame, void *cookie)
{
    if (n == 0 && frame->desc != NULL)
        (void)snprintf(cookie, 128, "%s", frame->desc);
    return 0;
}

/* Paths, texts and HDF5's reasons may all be the file's own words. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void golden_fail(golden_file *file, const char *path, const char *format, ...)
{
    char object[200], what[256], reason[128] = "";
    va_list args;
    if (file->code != MV_OK)
        return;
    (void)snprintf(object, sizeof object, "%s", path);
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    (void)H5Eclear2(H5E_DEFAULT);
    make_printable(object);
    make_printable(what);
    make_printable(reason);
    file->code = mv_fail(file->error, file->writes ? MV_ERR_IO : MV_ERR_FORMAT,
                         "%.160s: %s: %s%s%s%s", file->path, object, what,
                         reason[0] != '\0' ? " (HDF5: " : "", reason, reason[0] != '\0' ? ")" : "");
}

/* ---- files ---- */

static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
#if H5_VERSION_GE(1, 10, 7)
    (void)H5Pset_file_locking(list, false, true); /* goldens lie on read-only and network disks */
#endif
    return list;
}

void golden_open_file(golden_file *file, const char *path, uint64_t size_bytes, mv_error *error)
{
    golden_quiet();
    (void)H5Eclear2(H5E_DEFAULT);
    hid_t list = access_list();
    *file = (golden_file){.path = path, .size_bytes = size_bytes, .error = error};
    file->id = H5Fopen(path, H5F_ACC_RDONLY, list);
    (void)H5Pclose(list);
    if (file->id < 0)
        golden_fail(file, "/", "not a readable HDF5 file");
}

void golden_create_file(golden_file *file, const char *path, mv_error *error)
{
    golden_quiet();
    (void)H5Eclear2(H5E_DEFAULT);
    hid_t access = access_list(), creation = H5Pcreate(H5P_FILE_CREATE);
    *file = (golden_file){.path = path, .writes = true, .error = error};
    (void)H5Pset_userblock(creation, GOLDEN_SEAL_SIZE);
    (void)H5Pset_obj_track_times(creation, false);
    file->id = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    (void)H5Pclose(creation);
    (void)H5Pclose(access);
    if (file->id < 0)
        golden_fail(file, "/", "cannot be created");
}

void golden_close_file(golden_file *file)
{
    if (file->id >= 0 && H5Fclose(file->id) < 0)
        golden_fail(file, "/", "cannot be closed");
    file->id = -1;
    free(file->index.entries);
    free(file->index.seen);
    file->index = (golden_index){0};
}

hid_t golden_weight_type(void)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(golden_weight_row)), text = H5Tcopy(H5T_C_S1);
    (void)H5Tset_strpad(text, H5T_STR_NULLPAD);
    (void)H5Tset_size(text, MV_WEIGHT_NAME_SIZE);
    (void)H5Tinsert(type, "name", offsetof(golden_weight_row, name), text);
    (void)H5Tset_size(text, 8);
    (void)H5Tinsert(type, "dtype", offsetof(golden_weight_row, dtype), text);
    (void)H5Tinsert(type, "n_out", offsetof(golden_weight_row, n_out), H5T_STD_U64LE);
    (void)H5Tinsert(type, "n_in", offsetof(golden_weight_row, n_in), H5T_STD_U64LE);
    (void)H5Tset_size(text, 64);
    (void)H5Tinsert(type, "sha256", offsetof(golden_weight_row, sha256), text);
    (void)H5Tclose(text);
    return type;
}

/* ---- datasets ---- */

void golden_put_group(golden_file *file, const char *path)
{
    if (file->code != MV_OK)
        return;
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    (void)H5Pset_obj_track_times(list, false);
    hid_t group = H5Gcreate2(file->id, path, H5P_DEFAULT, list, H5P_DEFAULT);
    (void)H5Pclose(list);
    if (group < 0)
        golden_fail(file, path, "cannot be created");
    else
        (void)H5Gclose(group);
}

static size_t bytes_of(hid_t type, golden_dims dims)
{
    size_t size = H5Tget_size(type) * dims.size[0];
    return dims.rank == 2 ? size * dims.size[1] : size;
}

/* Whole rows, about 1 MiB a chunk; fletcher32 over each. */
static hid_t creation_list(hid_t type, golden_dims dims)
{
    const size_t row_bytes = bytes_of(type, dims) / dims.size[0];
    hsize_t chunk[2] = {CHUNK_BYTES / row_bytes, dims.size[1]};
    if (chunk[0] < 1)
        chunk[0] = 1;
    if (chunk[0] > dims.size[0])
        chunk[0] = dims.size[0];
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    (void)H5Pset_obj_track_times(list, false);
    (void)H5Pset_chunk(list, dims.rank, chunk);
    (void)H5Pset_fletcher32(list);
    return list;
}

void golden_put_dataset(golden_file *file, const char *path, hid_t type, golden_dims dims,
                        const void *data)
{
    if (file->code != MV_OK)
        return;
    hid_t space = H5Screate_simple(dims.rank, dims.size, NULL), list = creation_list(type, dims);
    hid_t set = H5Dcreate2(file->id, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        golden_fail(file, path, "cannot be written");
    if (set >= 0 && H5Dclose(set) < 0)
        golden_fail(file, path, "cannot be closed");
    (void)H5Pclose(list);
    (void)H5Sclose(space);
}

void golden_put(golden_file *file, const char *path, hid_t type, golden_dims dims, const void *data)
{
    golden_put_dataset(file, path, type, dims, data);
    if (file->code == MV_OK)
        golden_add_entry(file, path, data, bytes_of(type, dims));
}

/* false: not there, and said so. */
bool golden_is_dataset(golden_file *file, const char *path)
{
    if (file->code != MV_OK)
        return false;
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT);
    if (set < 0)
        golden_fail(file, path, "missing");
    else
        (void)H5Dclose(set);
    return set >= 0;
}

golden_dims golden_dims_of(hid_t set)
{
    golden_dims dims = {.rank = -1, .size = {0, 1}};
    hid_t space = H5Dget_space(set);
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank == 1 || rank == 2) {
        dims.rank = rank;
        (void)H5Sget_simple_extent_dims(space, dims.size, NULL);
    }
    (void)H5Sclose(space);
    return dims;
}

golden_dims golden_get_dims(golden_file *file, const char *path, int rank)
{
    golden_dims dims = {.rank = rank, .size = {0, 0}};
    if (!golden_is_dataset(file, path))
        return dims;
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT);
    golden_dims found = golden_dims_of(set);
    (void)H5Dclose(set);
    if (found.rank != rank)
        golden_fail(file, path, "expected a dataset of rank %d", rank);
    else if (found.size[0] == 0 || (rank == 2 && found.size[1] == 0))
        golden_fail(file, path, "empty");
    else
        dims = found;
    return dims;
}

/* Bytes of a dataset; fails for one that no file of this size can hold. */
static size_t bounded_size(golden_file *file, const char *path, hid_t type, golden_dims dims)
{
    size_t size = 0;
    if (__builtin_mul_overflow((size_t)dims.size[0], H5Tget_size(type), &size) ||
        __builtin_mul_overflow(size, dims.rank == 2 ? (size_t)dims.size[1] : 1, &size) ||
        size / MAX_EXPANSION > file->size_bytes) {
        golden_fail(file, path, "claims to be larger than a file of %llu bytes can hold",
                    (unsigned long long)file->size_bytes);
        return 0;
    }
    return size;
}

void *golden_read_dataset(golden_file *file, const char *path, hid_t set, hid_t type,
                          golden_dims dims, size_t *size)
{
    *size = bounded_size(file, path, type, dims);
    void *data = file->code == MV_OK ? calloc(1, *size + 1) : NULL;
    if (data == NULL && file->code == MV_OK)
        file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: %s: no memory for %zu bytes",
                             file->path, mv_plain(path).text, *size);
    else if (data != NULL && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        golden_fail(file, path, "cannot be read");
    return data;
}

static void check_shape(golden_file *file, const char *path, golden_dims found, golden_dims dims)
{
    if (found.rank != dims.rank || found.size[0] != dims.size[0] ||
        (dims.rank == 2 && found.size[1] != dims.size[1]))
        golden_fail(file, path, "shape [%llu, %llu] of rank %d, expected [%llu, %llu] of rank %d",
                    (unsigned long long)found.size[0], (unsigned long long)found.size[1],
                    found.rank, (unsigned long long)dims.size[0],
                    dims.rank == 2 ? (unsigned long long)dims.size[1] : 1ull, dims.rank);
}

void *golden_get_dataset(golden_file *file, const char *path, hid_t type, golden_dims dims,
                         size_t *size)
{
    void *data = NULL;
    if (!golden_is_dataset(file, path))
        return NULL;
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT), found = H5Dget_type(set);
    if (H5Tequal(found, type) <= 0)
        golden_fail(file, path, "its elements have another type than the schema's");
    check_shape(file, path, golden_dims_of(set), dims);
    if (file->code == MV_OK)
        data = golden_read_dataset(file, path, set, type, dims, size);
    (void)H5Tclose(found);
    (void)H5Dclose(set);
    if (file->code != MV_OK) {
        free(data);
        data = NULL;
    }
    return data;
}

void *golden_get(golden_file *file, const char *path, hid_t type, golden_dims dims)
{
    size_t size = 0;
    void *data = golden_get_dataset(file, path, type, dims, &size);
    if (data != NULL)
        golden_check_entry(file, path, data, size);
    if (file->code != MV_OK) {
        free(data);
        data = NULL;
    }
    return data;
}

bool golden_has(golden_file *file, const char *path)
{
    return file->code == MV_OK && H5Lexists(file->id, path, H5P_DEFAULT) > 0;
}
