/* make_pth.h - writes checkpoints as torch.save does, and broken ones, without Python.
 *
 *   make_pth_tensor tensors[] = {{.name = "a", .storage = "Float", .key = "0", .numel = 6,
 *                                 .n_dims = 2, .shape = {2, 3}, .stride = {3, 1}}};
 *   make_pth_bytes pickle = {0};
 *   make_pth_state_dict(&pickle, tensors, 1);
 *   make_pth_entry entries[] = {{.name = "archive/data.pkl", .data = pickle.data,
 *                                .size = pickle.size}, {.name = "archive/data/0", ...}};
 *   make_pth_zip(path, entries, 2);
 *   free(pickle.data);
 *
 * These fail by ck_abort: a test's own tools do not fail quietly.
 */
#ifndef MV_TESTS_MAKE_PTH_H
#define MV_TESTS_MAKE_PTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as {0}; data is yours, free(). */
typedef struct make_pth_bytes {
    uint8_t *data;
    size_t size, capacity;
} make_pth_bytes;

void make_pth_put(make_pth_bytes *bytes, const void *data, size_t size);

/* Opcodes without an argument, one a character. */
void make_pth_ops(make_pth_bytes *bytes, const char *ops);
void make_pth_text(make_pth_bytes *bytes, const char *text);    /* BINUNICODE */
void make_pth_integer(make_pth_bytes *bytes, uint64_t integer); /* BININT1 or LONG1 */
void make_pth_global(make_pth_bytes *bytes, const char *module, const char *name);

/* storage: "Float", "Half", "BFloat16", or what must be refused. */
typedef struct make_pth_tensor {
    const char *name, *storage, *key;
    uint64_t numel, offset;
    uint32_t n_dims; /* 0 ... 3 */
    uint64_t shape[3], stride[3];
} make_pth_tensor;

void make_pth_put_tensor(make_pth_bytes *bytes, const make_pth_tensor *tensor);

/* PROTO 2, an OrderedDict of the tensors, STOP. */
void make_pth_state_dict(make_pth_bytes *bytes, const make_pth_tensor *tensors, size_t n_tensors);

typedef struct make_pth_entry {
    const char *name;
    const void *data;
    size_t size;
    bool deflated, encrypted; /* torch.save does neither */
} make_pth_entry;

void make_pth_zip(const char *path, const make_pth_entry *entries, size_t n_entries);

/* ---- damage to a file that is there ---- */

/* Replaces the first n_times occurrences of from (0: all) by to, of the same length; returns how
 * many were found. */
size_t make_pth_replace(const char *path, const void *from, const void *to, size_t size,
                        size_t n_times);
void make_pth_truncate(const char *path, size_t n_bytes_less);

#endif
