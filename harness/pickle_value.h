/* pickle_value.h - what the three pickle*.c share: values and the memory they lie in.
 *
 * Nobody else includes this. Values point to each other freely, even in circles (a dict that holds
 * itself); so nothing here walks them recursively, and all are freed at once with the arena.
 */
#ifndef MV_HARNESS_PICKLE_VALUE_H
#define MV_HARNESS_PICKLE_VALUE_H

#include <stdbool.h>

#include "harness/pickle.h"

typedef enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_FLOAT, /* its value is not kept */
    PICKLE_TEXT,
    PICKLE_LIST, /* its items are not kept */
    PICKLE_TUPLE,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_STORAGE,
    PICKLE_TENSOR
} pickle_kind;

/* A row of the whitelist. */
typedef struct pickle_global {
    const char *module, *name;
    enum { GLOBAL_REBUILD, GLOBAL_ORDERED_DICT, GLOBAL_STORAGE } role;
    mv_dtype dtype; /* of a storage class */
} pickle_global;

typedef struct pickle_value pickle_value;

typedef struct pickle_entry {
    const pickle_value *key, *value;
    struct pickle_entry *next;
} pickle_entry;

struct pickle_value {
    pickle_kind kind;
    union {
        int64_t integer; /* INTEGER, BOOL */
        struct {
            const char *bytes; /* NUL-terminated, no NUL inside, UTF-8 */
            size_t size;
        } text;
        struct {
            pickle_value **items;
            size_t n_items;
        } tuple;
        struct {
            pickle_entry *first, *last;
            size_t n_entries;
            bool ordered;
        } dict;
        const pickle_global *global;
        struct {
            const char *key;
            uint64_t numel;
            mv_dtype dtype;
        } storage;
        struct {
            const pickle_value *storage;
            uint64_t offset;
            uint64_t shape[2], stride[2]; /* the first two dimensions */
            size_t n_dims;                /* any number */
        } tensor;
    };
};

/* For messages: "a dict", "an integer". */
const char *pickle_kind_name(const pickle_value *value);

/* ---- memory: blocks that only grow and are freed together ---- */

typedef struct pickle_arena pickle_arena;

/* Zeroed and aligned for any of the structs above; NULL if memory ran out. *arena may be NULL. */
void *pickle_arena_take(pickle_arena **arena, size_t size);
void pickle_arena_free(pickle_arena *arena);

/* ---- what the opcodes mean to torch (pickle_torch.c) ----
 *
 * These fill *result (zeroed) or say in a text of their own, without place, what is wrong. */

typedef struct pickle_reason {
    mv_code code;
    char text[320];
} pickle_reason;

MV_PRINTF(3, 4)
mv_code pickle_refuse(pickle_reason *reason, mv_code code, const char *format, ...);

/* GLOBAL: a row of the whitelist, or refused. */
MV_MUST_CHECK mv_code pickle_find_global(const pickle_global **global, const char *module,
                                         const char *name, pickle_reason *reason);

/* BINPERSID: ('storage', class, key, location, numel). */
MV_MUST_CHECK mv_code pickle_load_storage(pickle_value *result, const pickle_value *id,
                                          pickle_reason *reason);

/* REDUCE: OrderedDict() or _rebuild_tensor_v2(storage, offset, shape, stride, grad, hooks). */
MV_MUST_CHECK mv_code pickle_call(pickle_value *result, const pickle_value *callable,
                                  const pickle_value *args, pickle_reason *reason);

/* BUILD: an OrderedDict may be given an attribute _metadata (nn.Module does), which is dropped. */
MV_MUST_CHECK mv_code pickle_build(const pickle_value *object, const pickle_value *state,
                                   pickle_reason *reason);

/* STOP: the state dict's tensors, checked and sorted. *tensors: yours, free(). */
MV_MUST_CHECK mv_code pickle_collect(mv_pickle_tensor **tensors, size_t *n_tensors,
                                     const pickle_value *top, pickle_reason *reason);

#endif
