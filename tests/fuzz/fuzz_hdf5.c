#include "tests/fuzz/fuzz_hdf5.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden/golden_private.h"
#include "tests/fuzz/fuzz.h"

fuzz_hdf5_mode fuzz_hdf5_next;

enum {
    MAX_OBJECTS = 96,
    MAX_RANK = 3,
    MAX_HASHED = 1 << 20, /* a larger dataset gets no row in the index that is made */
    FILE_ID = 1 << 20,    /* ids of ours: far from where HDF5's own begin */
    OBJECT_ID = 2 << 20
};

typedef struct object {
    bool is_attribute;
    char path[256];
    uint64_t hash; /* of the path and the kind: most comparisons end here */
    hid_t type;    /* borrowed from the table, or a text's own */
    bool own_type;
    int rank;
    hsize_t dims[MAX_RANK];
    const uint8_t *data; /* [size] in the file's bytes, or in index_rows or root */
    size_t size;
} object;

static object objects[MAX_OBJECTS];
static size_t n_objects;
static uint8_t *bytes; /* the file's */
static golden_entry *index_rows;
static char root[MV_SHA256_SIZE];

/* ---- types ---- */

enum { TEXT = 9, INDEX_ROW = 11, N_TYPES = 16 };

static hid_t make_index_type(void)
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

/* make_corpus.py has the same list. */
static hid_t type_of(unsigned code, size_t text_size, bool *own)
{
    static hid_t types[N_TYPES];
    *own = code % N_TYPES == TEXT;
    if (*own) {
        hid_t text = H5Tcopy(H5T_C_S1);
        (void)H5Tset_size(text, text_size > 0 ? text_size : 1);
        (void)H5Tset_strpad(text, H5T_STR_NULLPAD);
        return text;
    }
    if (types[0] == 0) {
        hid_t variable = H5Tcopy(H5T_C_S1);
        (void)H5Tset_size(variable, H5T_VARIABLE);
        const hid_t made[N_TYPES] = {H5T_STD_I32LE,
                                     H5T_STD_I64LE,
                                     H5T_IEEE_F32LE,
                                     H5T_IEEE_F64LE,
                                     H5T_STD_U64LE,
                                     H5T_STD_U8LE,
                                     H5T_STD_I16BE,
                                     H5T_IEEE_F64BE,
                                     H5T_STD_REF_OBJ,
                                     0,
                                     variable,
                                     make_index_type(),
                                     golden_weight_type(),
                                     H5Tvlen_create(H5T_STD_I32LE),
                                     H5T_STD_B8LE,
                                     H5T_STD_I32BE};
        memcpy(types, made, sizeof types);
    }
    return types[code % N_TYPES];
}

/* ---- the list of objects ---- */

static uint64_t hash_of(const char *path, bool is_attribute)
{
    uint64_t hash = is_attribute ? 1 : 0;
    for (; *path != '\0'; path++)
        hash = (hash ^ (uint8_t)*path) * 0x100000001b3u;
    return hash;
}

static size_t take(const uint8_t **at, const uint8_t *end, size_t n_bytes)
{
    size_t value = 0;
    for (size_t i = 0; i < n_bytes && *at < end; i++)
        value |= (size_t) * (*at)++ << (8 * i);
    return value;
}

static void take_object(const uint8_t *at, const uint8_t *end)
{
    object *one = &objects[n_objects];
    *one = (object){.is_attribute = take(&at, end, 1) != 'D'};
    size_t length = take(&at, end, 1);
    if (length > (size_t)(end - at))
        length = (size_t)(end - at);
    memcpy(one->path, at, length);
    at += length;
    one->hash = hash_of(one->path, one->is_attribute);
    const unsigned code = (unsigned)take(&at, end, 1);
    one->type = type_of(code, take(&at, end, 2), &one->own_type);
    one->rank = (int)(take(&at, end, 1) % (MAX_RANK + 1));
    for (int i = 0; i < one->rank; i++) {
        const size_t extent = take(&at, end, 4);
        one->dims[i] = extent == UINT32_MAX ? (hsize_t)1 << 62 : extent;
    }
    one->data = at;
    one->size = (size_t)(end - at);
    n_objects++;
}

static void take_objects(const uint8_t *at, const uint8_t *end)
{
    static const char mark[] = "\301obj";
    const size_t n_mark = sizeof mark - 1;
    n_objects = 0;
    at = memmem(at, (size_t)(end - at), mark, n_mark);
    while (at != NULL && n_objects < MAX_OBJECTS - 2) { /* room for the index and its root */
        at += n_mark;
        const uint8_t *next = memmem(at, (size_t)(end - at), mark, n_mark);
        take_object(at, next != NULL ? next : end);
        at = next;
    }
}

static object *find(const char *path, bool is_attribute)
{
    const uint64_t hash = hash_of(path, is_attribute);
    for (size_t i = 0; i < n_objects; i++) {
        if (objects[i].hash == hash && strcmp(objects[i].path, path) == 0)
            return &objects[i];
    }
    return NULL;
}

/* ---- values ---- */

/* false: more than memory can hold. */
static bool size_of(const object *one, size_t *size)
{
    *size = H5Tget_size(one->type);
    for (int i = 0; i < one->rank; i++) {
        if (__builtin_mul_overflow(*size, one->dims[i], size))
            return false;
    }
    return true;
}

/* All that is promised; zeros where the file has no values. */
static void put_values(const object *one, void *out, size_t size)
{
    const size_t n = one->size < size ? one->size : size;
    memcpy(out, one->data, n);
    memset((char *)out + n, 0, size - n);
}

/* A number in the type that is asked for. */
static herr_t convert(const object *one, hid_t type, void *out)
{
    union {
        char bytes[64];
        double aligned;
    } value;
    const size_t size = H5Tget_size(one->type), wanted = H5Tget_size(type);
    if (size > sizeof value || wanted > sizeof value)
        return -1;
    put_values(one, value.bytes, size);
    if (H5Tconvert(one->type, type, 1, value.bytes, NULL, H5P_DEFAULT) < 0)
        return -1;
    memcpy(out, value.bytes, wanted);
    return 0;
}

/* ---- an index that vouches for what is there ---- */

static int by_path(const void *a, const void *b)
{
    return strncmp(((const golden_entry *)a)->path, ((const golden_entry *)b)->path,
                   sizeof((const golden_entry *)a)->path);
}

/* What golden_index.c hashes of an object. *size: 0 and NULL where it refuses before that. */
static void *hashed_values(const object *one, size_t *size)
{
    const H5T_class_t kind = H5Tget_class(one->type);
    if (!size_of(one, size) || *size == 0 || *size > MAX_HASHED || H5Tis_variable_str(one->type))
        return NULL;
    char *values = calloc(1, *size + 8);
    FUZZ_CHECK(values != NULL);
    put_values(one, values, *size);
    if (one->is_attribute && kind == H5T_STRING)
        *size = strlen(values);
    else if (one->is_attribute && (kind == H5T_INTEGER || kind == H5T_FLOAT) &&
             convert(one, kind == H5T_INTEGER ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, values) == 0)
        *size = 8;
    return values;
}

static size_t make_rows(golden_entry *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < n_objects; i++) {
        const object *one = &objects[i];
        char hex[MV_SHA256_SIZE];
        size_t size = 0;
        void *values = NULL;
        if (strcmp(one->path, "/index") == 0 || strcmp(one->path, "/@merkle_root") == 0 ||
            (values = hashed_values(one, &size)) == NULL)
            continue;
        golden_sha256(hex, values, size);
        memset(&rows[n], 0, sizeof rows[n]);
        memcpy(rows[n].path, one->path, strnlen(one->path, sizeof rows[n].path - 1));
        memcpy(rows[n].sha256, hex, sizeof rows[n].sha256);
        rows[n++].nbytes = size;
        free(values);
    }
    return n;
}

static void make_index(void)
{
    object *there = find("/index", false);
    const size_t n_own = there != NULL ? there->size / sizeof *index_rows : 0;
    index_rows = calloc(MAX_OBJECTS + n_own, sizeof *index_rows);
    FUZZ_CHECK(index_rows != NULL);
    size_t n = make_rows(index_rows), n_unique = 0;
    if (n_own > 0)
        memcpy(index_rows + n, there->data, n_own * sizeof *index_rows);
    qsort(index_rows, n + n_own, sizeof *index_rows, by_path);
    for (size_t i = 0; i < n + n_own; i++) {
        if (i == 0 || by_path(&index_rows[i], &index_rows[n_unique - 1]) != 0)
            index_rows[n_unique++] = index_rows[i];
    }
    if (there == NULL)
        there = &objects[n_objects++];
    else if (there->own_type)
        (void)H5Tclose(there->type);
    *there = (object){.path = "/index",
                      .hash = hash_of("/index", false),
                      .type = type_of(INDEX_ROW, 0, &there->own_type),
                      .rank = 1,
                      .dims = {n_unique},
                      .data = (const uint8_t *)index_rows,
                      .size = n_unique * sizeof *index_rows};
}

static void make_root(void)
{
    object *index = find("/index", false), *there = find("/@merkle_root", true);
    size_t size = 0;
    if (index == NULL || !size_of(index, &size) || size == 0 || size > MAX_HASHED)
        return;
    void *values = calloc(1, size);
    FUZZ_CHECK(values != NULL);
    put_values(index, values, size);
    golden_sha256(root, values, size);
    free(values);
    if (there == NULL)
        there = &objects[n_objects++];
    else if (there->own_type)
        (void)H5Tclose(there->type);
    *there = (object){.is_attribute = true, .path = "/@merkle_root", .size = 64};
    there->hash = hash_of(there->path, true);
    there->data = (const uint8_t *)root;
    there->type = type_of(TEXT, 64, &there->own_type);
}

/* ---- in the place of HDF5's ---- */

hid_t __wrap_H5Fopen(const char *path, unsigned flags, hid_t list);
herr_t __wrap_H5Fclose(hid_t id);
hid_t __wrap_H5Dopen2(hid_t file, const char *path, hid_t list);
herr_t __wrap_H5Dclose(hid_t id);
hid_t __wrap_H5Dget_type(hid_t id);
hid_t __wrap_H5Dget_space(hid_t id);
herr_t __wrap_H5Dread(hid_t id, hid_t type, hid_t to, hid_t from, hid_t list, void *out);
hid_t __wrap_H5Aopen_by_name(hid_t file, const char *group, const char *key, hid_t a, hid_t b);
herr_t __wrap_H5Aclose(hid_t id);
hid_t __wrap_H5Aget_type(hid_t id);
hid_t __wrap_H5Aget_space(hid_t id);
herr_t __wrap_H5Aread(hid_t id, hid_t type, void *out);
herr_t __wrap_H5Aiterate_by_name(hid_t file, const char *group, H5_index_t by,
                                 H5_iter_order_t order, hsize_t *at, H5A_operator2_t each,
                                 void *cookie, hid_t list);

static const object *object_of(hid_t id)
{
    FUZZ_CHECK(id >= OBJECT_ID && (size_t)(id - OBJECT_ID) < n_objects); /* only what is open */
    return &objects[id - OBJECT_ID];
}

static hid_t open_object(const char *path, bool is_attribute)
{
    const object *one = find(path, is_attribute);
    return one != NULL ? OBJECT_ID + (hid_t)(one - objects) : -1;
}

hid_t __wrap_H5Fopen(const char *path, unsigned flags, hid_t list)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FUZZ_CHECK(flags == H5F_ACC_RDONLY && list >= 0 && bytes == NULL);
    FUZZ_CHECK(fd >= 0 && fstat(fd, &info) == 0 && info.st_size >= GOLDEN_SEAL_SIZE);
    const size_t size = (size_t)info.st_size - GOLDEN_SEAL_SIZE;
    bytes = malloc(size + 1);
    FUZZ_CHECK(bytes != NULL && pread(fd, bytes, size, GOLDEN_SEAL_SIZE) == (ssize_t)size);
    (void)close(fd);
    if (size == 0) { /* no superblock */
        free(bytes);
        bytes = NULL;
        return -1;
    }
    take_objects(bytes, bytes + size);
    if (!fuzz_hdf5_next.own_index)
        make_index();
    if (!fuzz_hdf5_next.own_root)
        make_root();
    return FILE_ID;
}

herr_t __wrap_H5Fclose(hid_t id)
{
    FUZZ_CHECK(id == FILE_ID && bytes != NULL);
    for (size_t i = 0; i < n_objects; i++) {
        if (objects[i].own_type)
            (void)H5Tclose(objects[i].type);
    }
    n_objects = 0;
    free(index_rows);
    index_rows = NULL;
    free(bytes);
    bytes = NULL;
    return 0;
}

hid_t __wrap_H5Dopen2(hid_t file, const char *path, hid_t list)
{
    FUZZ_CHECK(file == FILE_ID && list == H5P_DEFAULT);
    return open_object(path, false);
}

herr_t __wrap_H5Dclose(hid_t id)
{
    (void)object_of(id);
    return 0;
}

hid_t __wrap_H5Dget_type(hid_t id)
{
    return H5Tcopy(object_of(id)->type);
}

hid_t __wrap_H5Dget_space(hid_t id)
{
    const object *one = object_of(id);
    return one->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(one->rank, one->dims, NULL);
}

herr_t __wrap_H5Dread(hid_t id, hid_t type, hid_t to, hid_t from, hid_t list, void *out)
{
    const object *one = object_of(id);
    size_t size = 0;
    FUZZ_CHECK(to == H5S_ALL && from == H5S_ALL && list == H5P_DEFAULT);
    FUZZ_CHECK(size_of(one, &size) && H5Tequal(one->type, type) > 0);
    put_values(one, out, size); /* all of it: the sanitizer checks that there is room */
    return 0;
}

hid_t __wrap_H5Aopen_by_name(hid_t file, const char *group, const char *key, hid_t a, hid_t b)
{
    char path[512];
    FUZZ_CHECK(file == FILE_ID && a == H5P_DEFAULT && b == H5P_DEFAULT);
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    return open_object(path, true);
}

herr_t __wrap_H5Aclose(hid_t id)
{
    return __wrap_H5Dclose(id);
}

hid_t __wrap_H5Aget_type(hid_t id)
{
    return __wrap_H5Dget_type(id);
}

hid_t __wrap_H5Aget_space(hid_t id)
{
    return __wrap_H5Dget_space(id);
}

herr_t __wrap_H5Aread(hid_t id, hid_t type, void *out)
{
    const object *one = object_of(id);
    size_t size = 0;
    if (H5Tget_class(one->type) != H5T_STRING)
        return convert(one, type, out);
    FUZZ_CHECK(size_of(one, &size) && H5Tequal(one->type, type) > 0);
    put_values(one, out, size);
    return 0;
}

herr_t __wrap_H5Aiterate_by_name(hid_t file, const char *group, H5_index_t by,
                                 H5_iter_order_t order, hsize_t *at, H5A_operator2_t each,
                                 void *cookie, hid_t list)
{
    const size_t length = strlen(group);
    size_t n = 0;
    FUZZ_CHECK(file == FILE_ID && by == H5_INDEX_NAME && order == H5_ITER_INC && *at == 0 &&
               list == H5P_DEFAULT);
    for (size_t i = 0; i < n_objects; i++) {
        const object *one = &objects[i];
        const H5A_info_t info = {.data_size = one->size};
        if (!one->is_attribute || strncmp(one->path, group, length) != 0 ||
            one->path[length] != '@')
            continue;
        n++;
        if (each(file, one->path + length + 1, &info, cookie) != 0)
            break;
    }
    return n > 0 ? 0 : -1; /* a group without attributes is none here */
}
