/* engine.h - what one engine holds, and the parts of a forward pass.
 *
 * Shapes as in the ABI's comments: T tokens of a call, D dim, F hidden_dim, H*E queries, K*E keys.
 * All arrays are float32 but the cache, and the new keys and values in its type.
 */
#ifndef MV_BLAS_ENGINE_H
#define MV_BLAS_ENGINE_H

#include "backends/blas/gemm.h"
#include "backends/blas/kernels.h"
#include "backends/blas/pool.h"
#include "backends/mistral_backend.h"

/* The new tokens of one sequence in a call. */
typedef struct mv_span {
    uint32_t sequence;
    uint64_t start; /* position of the first */
    uint64_t n;
    size_t row; /* of the first in the arrays [T, ...] */
} mv_span;

/* Counted by each worker for itself, and added up after a job. A cache line each. */
typedef struct mv_count {
    _Alignas(64) uint64_t pairs;
    uint64_t cache_bytes;
} mv_count;

struct mv_engine {
    mv_params p;
    const mv_model_view *model;
    const mv_kernels *kernels;
    const mv_openblas *blas;
    mv_gemm gemm;
    mv_pool *pool;
    bool bf16, pinned;
    uint32_t n_threads, max_sequences, max_positions, max_batch_tokens;
    size_t n_slots; /* of the rolling buffer: W, or max_positions if that is less or W is 0 */
    float poison;   /* what the cache holds before anything was written */

    uint64_t *n_seen;    /* [max_sequences] tokens so far */
    uint64_t *n_written; /* [max_sequences] one more than the last position ever in the buffer */
    mv_span *spans;      /* [max_sequences] of the call */
    mv_count *counts;    /* [n_threads] */

    mv_dtype kv_dtype;   /* of the cache: BF16 if compute is bf16, else F32 */
    size_t kv_size;      /* 2 or 4 */
    char *cache_k;       /* [n_layers, max_sequences, n_kv_heads, n_slots, E], rotated */
    char *cache_v;       /* the same */
    char *new_k, *new_v; /* [T, K*E] in the cache's type */
    float *x;            /* [T, D] the residual stream */
    float *normed;       /* [T, D] */
    float *update;       /* [T, D] what a half-layer adds */
    float *q, *heads;    /* [T, H*E] */
    float *k, *v;        /* [T, K*E] */
    float *turns;        /* [T, E] cosine and sine for each pair, by row */
    float *gate, *up;    /* [min(T, MV_GEMM_MAX_ROWS), F] */
    float *scales;       /* [n_layers * 2 + 1, D] norm weights in float32 */
    float *few_rows;     /* [MV_GEMV_MAX_ROWS, max(D, F, H*E)] x as gemv() wants it */
    float *attention;    /* [n_threads, attention_stride] */
    size_t attention_stride;

    mv_tap_fn tap;
    void *tap_cookie;
    mv_work work;
    uint64_t scratch_bytes, kv_cache_bytes, weights_bytes;
};

/* Up to this many rows the weights pass through gemv(), above it through the GEMM. */
enum { MV_GEMV_MAX_ROWS = 16 };

/* One product of several that read the same x. */
typedef struct mv_product {
    float *y; /* [n_rows, shape[0]] */
    const mv_tensor *weight;
} mv_product;

/* linear.c: y = x W^T for each of the products (at most 3), which have one shape[1].  x [n_rows,
 * n_in] Does not count multiply-adds; counts calls and bytes. */
void mv_linear(mv_engine *e, const mv_product *products, size_t n_products, const float *x,
               size_t n_rows);

/* attention.c: reads q, new_k, new_v and the cache; writes heads. */
void mv_attention(mv_engine *e, uint32_t layer, uint32_t n_spans);
size_t mv_attention_room(const mv_engine *e); /* elements for a worker */

/* cache.c */
size_t mv_cache_slots(const mv_params *p, uint32_t max_positions);

/* Consecutive keys and values of one head in memory: from a position on, at most to `end`, as far
 * as they lie in one piece. */
typedef struct mv_keys {
    const char *k, *v;
    size_t stride; /* elements */
    size_t n;
    bool cached;
} mv_keys;
mv_keys mv_cache_keys(const mv_engine *e, uint32_t layer, const mv_span *span, uint32_t kv_head,
                      uint64_t position, uint64_t end);

/* k and v, as they are now, to new_k and new_v. */
void mv_cache_take_new(mv_engine *e, size_t n_rows);

/* new_k and new_v to the cache, after all have read what they overwrite. */
void mv_cache_write(mv_engine *e, uint32_t layer, uint32_t n_spans);

/* forward.c: the forward pass of e->spans. Checks nothing. */
void mv_forward(mv_engine *e, uint32_t n_spans, const int32_t *tokens, size_t n_rows,
                mv_logits which, float *logits);

/* memory.c: takes all memory, or says what is missing. */
MV_MUST_CHECK mv_code mv_memory_take(mv_engine *e, const mv_engine_options *options,
                                     mv_error *error);
void mv_memory_free(mv_engine *e);

/* resident.c: bytes of the lent matrices, and of those that are not in memory; counts on until it
 * is more than `enough`. */
uint64_t mv_weights_lent(const mv_engine *e);
uint64_t mv_weights_absent(const mv_engine *e, uint64_t enough);

/* options.c: compute type, threads, and key=value; chooses kernels and provider. */
MV_MUST_CHECK mv_code mv_options_read(mv_engine *e, const mv_engine_options *options,
                                      mv_error *error);

#endif
