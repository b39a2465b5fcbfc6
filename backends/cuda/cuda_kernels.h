/* cuda_kernels.h - starts the kernels. Each call queues one; shapes as in cuda_engine.h.
 *
 * `dtype` is the engine's: BF16 or F32, that of weights, cache and the inputs of products. Pointers
 * are of the device. ld...: elements from one row to the next.
 */
#ifndef MV_CUDA_KERNELS_H
#define MV_CUDA_KERNELS_H

#include "backends/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MV_FEW_ROWS = 8,     /* up to so many rows, weights pass through gemv kernels */
    MV_SPLIT_KEYS = 256, /* keys of a block in attention for few rows; never another number */
    MV_TILE_F32 = 16,    /* queries of a block in attention for many rows */
    MV_TILE_MMA = 64,
    MV_KEY_TILE = 64, /* keys at a time there; the ring is a multiple of it */
    MV_GROUP_MAX = 4  /* query heads of one block in attention for few rows */
};

/* A new token. */
typedef struct mv_row {
    int32_t token;
    uint32_t sequence, position, unused;
} mv_row;

/* Queries of one sequence that one block takes: rows row ... row + n - 1, consecutive positions. */
typedef struct mv_tile {
    uint32_t row, n, sequence, position;
} mv_tile;

/* The sizes that kernels need; as in the engine. */
typedef struct mv_dims {
    uint32_t dim, n_heads, n_kv_heads, head_dim, hidden_dim, vocab_size, window;
    uint32_t n_slots;         /* of the ring */
    uint32_t ld_dim, ld_qkv;  /* rows of normed, of qkv */
    uint32_t ld_heads, ld_ff; /* of heads, of hidden */
    float eps, scale_log2;    /* log2(e) / sqrt(head_dim) */
} mv_dims;

/* One layer's ring: [sequence, kv_head, slot, head_dim] */
typedef struct mv_ring {
    void *k, *v;
} mv_ring;

void mv_kernel_embed(mv_device *d, mv_dtype dtype, const mv_dims *s, float *x, const void *table,
                     const mv_row *rows, uint32_t n_rows);

/* out [n_rows] = RMSNorm(x [index[i]]); index NULL: row i. */
void mv_kernel_norm(mv_device *d, mv_dtype dtype, const mv_dims *s, void *out, const float *x,
                    const float *weight, const uint32_t *index, uint32_t n_rows);

/* Turns q and k within qkv, if `turn`; k and v to the ring. turns [positions, head_dim]: cosine and
 * sine of each pair. With s->n_heads 0, rows of qkv begin with k; with s->n_kv_heads 0, there is
 * nothing but q. */
void mv_kernel_append(mv_device *d, mv_dtype dtype, const mv_dims *s, void *qkv,
                      const mv_ring *ring, const float *turns, const mv_row *rows, uint32_t n_rows,
                      bool turn);

/* hidden = silu(gate) * up; gate_up [n_rows, 2 F] has them in turn. */
void mv_kernel_swiglu(mv_device *d, mv_dtype dtype, const mv_dims *s, void *hidden,
                      const void *gate_up, uint32_t n_rows);

/* The same in two steps, for taps: gate (silu applied) and up in float32. */
void mv_kernel_split_gate(mv_device *d, mv_dtype dtype, const mv_dims *s, float *gate, float *up,
                          const void *gate_up, uint32_t n_rows);
void mv_kernel_join_gate(mv_device *d, mv_dtype dtype, const mv_dims *s, void *hidden,
                         const float *gate, const float *up, uint32_t n_rows);

/* to [n_rows, dim] = from [index[i], dim], in float32; they do not overlap. */
void mv_kernel_pick(mv_device *d, const mv_dims *s, float *to, const float *from,
                    const uint32_t *index, uint32_t n_rows);

/* x += update */
void mv_kernel_add(mv_device *d, float *x, const float *update, size_t n);

/* Between a tensor of dtype [n_rows, ld] and packed float32 [n_rows, n_cols]. */
void mv_kernel_to_f32(mv_device *d, mv_dtype dtype, float *to, const void *from, size_t ld,
                      uint32_t n_cols, uint32_t n_rows);
void mv_kernel_from_f32(mv_device *d, mv_dtype dtype, void *to, const float *from, size_t ld,
                        uint32_t n_cols, uint32_t n_rows);

/* ---- attention ---- */

/* What few rows need beside: partial results of splits, and a counter for each (row, head group)
 * that is 0 before and after. */
typedef struct mv_splits {
    float *partial; /* [n_rows, n_heads, n_splits, head_dim + 2] */
    uint32_t *counters;
    uint32_t n_splits; /* at most, for one query */
} mv_splits;
uint32_t mv_splits_most(uint32_t window, uint32_t max_positions);

/* One block for each split of each (row, kv head). Bits depend on the position alone. */
void mv_kernel_attend_few(mv_device *d, mv_dtype dtype, const mv_dims *s, void *heads,
                          const void *qkv, const mv_ring *ring, const mv_splits *splits,
                          const mv_row *rows, uint32_t n_rows);

/* Queries of each tile for kernel attend_many: MV_TILE_MMA on the tensor cores (bf16, and a
 * head_dim that it is made for), else MV_TILE_F32. */
uint32_t mv_attend_tile(mv_dtype dtype, uint32_t head_dim);
void mv_kernel_attend_many(mv_device *d, mv_dtype dtype, const mv_dims *s, void *heads,
                           const void *qkv, const mv_ring *ring, const mv_tile *tiles,
                           uint32_t n_tiles);

/* ---- few rows times weights ---- */

/* What becomes of the products of one weight. */
typedef enum mv_gemv_kind {
    MV_GEMV_QKV,     /* RMSNorm before; RoPE after; q to qkv, k and v to the ring */
    MV_GEMV_GATE_UP, /* RMSNorm before; silu(gate) * up to hidden */
    MV_GEMV_ADD,     /* added to x */
    MV_GEMV_LOGITS   /* RMSNorm before; to logits */
} mv_gemv_kind;

typedef struct mv_gemv {
    mv_gemv_kind kind;
    const void *weight; /* [n_out, ld] */
    size_t ld;
    uint32_t n_out, n_in;
    const void *in; /* KIND_ADD: [n_rows, ld], dtype */
    float *x;       /* the others: what is normed [n_rows, dim]; ADD: what is added to */
    const float *norm;
    void *out; /* qkv, hidden or logits */
    size_t ld_out;
    mv_ring ring;
    const float *turns;
    const mv_row *rows;
    uint32_t n_rows; /* <= MV_FEW_ROWS */
} mv_gemv;
void mv_kernel_gemv(mv_device *d, mv_dtype dtype, const mv_dims *s, const mv_gemv *gemv);

#ifdef __cplusplus
}
#endif

#endif
