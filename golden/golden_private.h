/* golden_private.h - between the files of this folder: the seal, the index, HDF5 in small steps. */
#ifndef MV_GOLDEN_GOLDEN_PRIVATE_H
#define MV_GOLDEN_GOLDEN_PRIVATE_H

#include <hdf5.h>

#include "golden/golden.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashes are over little-endian bytes");

/* ---- the seal: the user block, which holds the sha256 of everything behind it ---- */

enum { GOLDEN_SEAL_SIZE = 512 };

/* Writes the seal into a finished HDF5 file. */
mv_code golden_seal_write(int fd, const char *path, mv_error *error);

/* MV_ERR_FORMAT: empty, not ours, truncated, or *damaged: the digest differs. */
mv_code golden_seal_check(int fd, const char *path, uint64_t *size_bytes, bool *damaged,
                          mv_error *error);

void golden_sha256(char hex[MV_SHA256_SIZE], const void *bytes, size_t size);

/* ---- the index: {path, sha256, nbytes} of every dataset and attribute ---- */

typedef struct golden_entry {
    char path[160]; /* "/cases/0000/tokens", "/model@dim"; padded with NUL */
    char sha256[64];
    uint64_t nbytes;
} golden_entry;

_Static_assert(sizeof(golden_entry) == 232, "the index is hashed as it lies in memory");

typedef struct golden_index {
    golden_entry *entries; /* sorted by path */
    bool *seen;            /* reading: asked for by name */
    size_t n_entries, capacity;
} golden_index;

/* ---- HDF5, one object a call ---- */

/* An open file. The first failure stays: after it, every call does nothing. */
typedef struct golden_file {
    hid_t id;
    const char *path;    /* as the user named it */
    uint64_t size_bytes; /* reading: no dataset can hold more than this allows */
    bool writes;
    golden_index index;
    mv_code code;
    mv_error *error;
} golden_file;

/* Silences HDF5's own printing for the life of the process. */
void golden_quiet(void);

/* code = MV_ERR_FORMAT (reading) or MV_ERR_IO (writing), "FILE: PATH: WHAT (hdf5's reason)". path
 * and WHAT may have the file's own words in them: what is not printable becomes '?'. */
MV_PRINTF(3, 4)
void golden_fail(golden_file *file, const char *path, const char *format, ...);

void golden_open_file(golden_file *file, const char *path, uint64_t size_bytes, mv_error *error);
void golden_create_file(golden_file *file, const char *path, mv_error *error);
void golden_close_file(golden_file *file); /* flushes; keeps code; frees the index */

typedef struct golden_dims {
    int rank; /* 1 or 2 */
    hsize_t size[2];
} golden_dims;

void golden_put_group(golden_file *file, const char *path);
void golden_put(golden_file *file, const char *path, hid_t type, golden_dims dims,
                const void *data);
void golden_put_text(golden_file *file, const char *group, const char *key, const char *text);
void golden_put_int(golden_file *file, const char *group, const char *key, int64_t value);
void golden_put_real(golden_file *file, const char *group, const char *key, double value);
void golden_put_index(golden_file *file); /* last: sorts, writes /index and the root's hash */

/* Reading checks the hash in the index. */
void golden_get_index(golden_file *file, char merkle_root[MV_SHA256_SIZE]); /* first */
bool golden_has(golden_file *file, const char *path);
golden_dims golden_get_dims(golden_file *file, const char *path, int rank);

/* The shape must be dims. *data: yours, free(); NULL after a failure. */
void *golden_get(golden_file *file, const char *path, hid_t type, golden_dims dims);
void golden_get_text(golden_file *file, const char *group, const char *key, char *text,
                     size_t size);
int64_t golden_get_int(golden_file *file, const char *group, const char *key);
double golden_get_real(golden_file *file, const char *group, const char *key);

/* The attributes of a group, which must all be texts. */
void golden_get_facts(golden_file *file, const char *group, mv_environment *facts);

/* The same without the index. */
bool golden_is_dataset(golden_file *file, const char *path); /* false: not there, and said so */
golden_dims golden_dims_of(hid_t set);                       /* rank -1: neither 1 nor 2 */
void golden_put_dataset(golden_file *file, const char *path, hid_t type, golden_dims dims,
                        const void *data);
void *golden_get_dataset(golden_file *file, const char *path, hid_t type, golden_dims dims,
                         size_t *size);
void *golden_read_dataset(golden_file *file, const char *path, hid_t set, hid_t type,
                          golden_dims dims, size_t *size);

/* A value in the index: written, and compared. Before the index is read nothing is compared;
 * golden_check_rest() makes up for it. */
void golden_add_entry(golden_file *file, const char *path, const void *bytes, size_t size);
void golden_check_entry(golden_file *file, const char *path, const void *bytes, size_t size);

/* An attribute's value in the index: written, and compared. */
void golden_add_attribute(golden_file *file, const char *group, const char *key, const void *bytes,
                          size_t size);
void golden_check_attribute(golden_file *file, const char *group, const char *key,
                            const void *bytes, size_t size);

/* Every entry of the index that was not read by name: is it there, and unchanged? */
void golden_check_rest(golden_file *file);

/* A row of /model/weights. */
typedef struct golden_weight_row {
    char name[MV_WEIGHT_NAME_SIZE];
    char dtype[8];
    uint64_t n_out, n_in;
    char sha256[64];
} golden_weight_row;

hid_t golden_weight_type(void); /* yours: H5Tclose() */

/* ---- contents ---- */

/* Does everything in it hold together? who: "FILE: " and so on, for the message. */
mv_code golden_check_contents(const mv_golden *golden, const char *path, mv_code refusal,
                              mv_error *error);

/* golden == NULL-safe; frees what the case holds, not the case. */
void golden_case_free(mv_golden_case *one);
void golden_case_path(char *path, size_t size, size_t number, const char *name);

void golden_sort_positions(mv_range *positions);

void golden_describe_weight(mv_golden_weight *weight, const mv_model_view *model, size_t index);

/* The attributes of /model that are params. */
typedef struct golden_param {
    const char *key;
    size_t offset; /* in mv_params */
    bool is_real;  /* double; else uint32_t */
} golden_param;

const golden_param *golden_params(size_t *n);
double golden_param_get(const mv_params *params, const golden_param *row);

/* sliding_window left out. false: *different is the first. */
bool golden_same_params(const mv_params *a, const mv_params *b, const golden_param **different);

/* Into the message of a damaged file: which dataset it is, found by a child process, because HDF5
 * may not survive the file. */
mv_code golden_blame(const char *path, uint64_t size_bytes, mv_error *error);

#endif
