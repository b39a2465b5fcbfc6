/* pickle.h - data.pkl of a torch checkpoint, read without Python.
 *
 * A pickle is a program for a small stack machine; in Python it may call anything. This machine
 * knows 31 opcodes and five names (torch._utils._rebuild_tensor_v2, torch.BFloat16Storage,
 * torch.HalfStorage, torch.FloatStorage, collections.OrderedDict), and calls nothing: the names
 * are compared, never looked up. What comes out is a list of numbers and texts.
 *
 *   mv_pickle pickle;
 *   mv_code code = mv_pickle_read(&pickle, bytes, size, path, &error);
 *   ... pickle.tensors[i] ...
 *   mv_pickle_free(&pickle);
 */
#ifndef MV_HARNESS_PICKLE_H
#define MV_HARNESS_PICKLE_H

#include "backends/mistral_backend.h"

/* A state dict of 7 billion parameters has 291 tensors and takes 30 kB. Memory taken while reading
 * is at most a small multiple of the pickle's size, and nothing recurses. */
enum {
    MV_PICKLE_MAX_SIZE = 1 << 20,    /* bytes */
    MV_PICKLE_MAX_STACK = 1 << 16,   /* values at one time */
    MV_PICKLE_MAX_MARKS = 32,        /* open MARKs */
    MV_PICKLE_MAX_MEMO = 1 << 18,    /* PUT and GET indices */
    MV_PICKLE_MAX_ENTRIES = 1 << 16, /* in one dict */
    MV_PICKLE_MAX_TEXT = 1024        /* bytes of one text */
};

/* One tensor of the state dict. Offset, shape, stride and numel are in elements. Promised: 1 or 2
 * dimensions, none of them 0; every element lies inside the storage; no more elements than the
 * storage has; the size in bytes fits in 64 bits. For 1 dimension shape[1] = stride[1] = 1. */
typedef struct mv_pickle_tensor {
    const char *name;        /* UTF-8 */
    const char *storage_key; /* the payload is the ZIP entry PREFIX/data/KEY; may be shared */
    uint64_t storage_numel;
    uint64_t storage_offset;
    uint64_t shape[2];
    uint64_t stride[2];
    uint32_t n_dims;
    mv_dtype dtype;
} mv_pickle_tensor;

typedef struct mv_pickle {
    mv_pickle_tensor
        *tensors; /* [n_tensors] sorted by name (strcmp), names unique, n_tensors > 0 */
    size_t n_tensors;
    void *arena; /* the texts */
} mv_pickle;

/* Interprets a pickle of protocol 2 or 3 that holds one flat dict (or OrderedDict) of named
 * tensors. where: the file's path, for the messages, which also give the byte's offset.
 * MV_ERR_FORMAT: broken, or asks for what is not in the whitelist. MV_ERR_UNSUPPORTED: a proper
 * pickle of something else (a nested dict, a number among the tensors, 3 dimensions, another
 * protocol). On failure there is nothing to free. */
MV_MUST_CHECK mv_code mv_pickle_read(mv_pickle *pickle, const void *bytes, size_t size,
                                     const char *where, mv_error *error);

/* Also after a failure, or twice. */
void mv_pickle_free(mv_pickle *pickle);

#endif
