/* kernels.h - the inner loops, one table for each instruction set.
 *
 * kernels.inc is compiled once for each width of vector; a table is what comes out. Nothing here
 * allocates or starts threads. Sizes are in elements. Weights are read in place, in their own type.
 *
 * round: operands are rounded to bfloat16 first, to nearest, ties to even. Sums are float32 always.
 */
#ifndef MV_BLAS_KERNELS_H
#define MV_BLAS_KERNELS_H

#include "backends/blas/cpu.h"
#include "backends/mistral_backend.h"

/* What is packed for a GEMM: C [m, n] += X [m, k] W [n, k]^T, by tiles of mr x nr.
 *
 *   x: blocks of mr rows   [ceil(m / mr)][k][mr]     rows and columns that are missing are zeros
 *   w: panels of nr rows   [ceil(n / nr)][k][nr]
 * A bf16 panel holds pairs of k as two bfloat16 in one 4-byte element: [k / 2][nr][2].
 * packed_k() is the number of 4-byte elements a row of k has there. */
typedef struct mv_panels {
    size_t mr, nr;
    size_t (*packed_k)(size_t k);
    void (*pack_x)(float *out, const float *x, size_t x_stride, size_t m, size_t k);
    /* One panel: n <= nr rows, the first at w, the next w_stride later. */
    void (*pack_w)(float *out, const void *w, mv_dtype dtype, size_t w_stride, size_t n, size_t k);
    /* One tile. c [m, n], m <= mr, n <= nr. add: on top of what is in c. */
    void (*tile)(float *c, size_t c_stride, const float *x, const float *w, size_t k, size_t m,
                 size_t n, bool add);
} mv_panels;

typedef struct mv_kernels {
    const char *isa;
    const mv_panels *panels[2]; /* [round]: operands as they are, or rounded to bfloat16 */

    void (*to_f32)(float *out, const void *in, mv_dtype dtype, size_t n);
    void (*round_bf16)(float *out, const float *in, size_t n); /* in == out is fine */
    void (*to_bf16)(uint16_t *out, const float *in, size_t n);

    /* y [m, n] = x [m, k] w [n, k]^T, for few rows of x. x comes from prepare_x(), row by row, for
     * the same dtype. Each y has the same bits whatever n is, and however n is cut. */
    void (*prepare_x)(float *out, const float *x, size_t k, mv_dtype dtype, bool round);
    void (*gemv)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t m,
                 const void *w, mv_dtype dtype, size_t w_stride, size_t n, size_t k, bool round);

    /* o [m, k] += p [m, n] v [n, k] */
    void (*weigh)(float *o, size_t o_stride, const float *p, size_t p_stride, size_t m,
                  const void *v, mv_dtype dtype, size_t v_stride, size_t n, size_t k);

    float (*sum_of_squares)(const float *x, size_t n);
    void (*multiply)(float *out, const float *a, const float *b, float factor, size_t n);
    void (*add)(float *x, const float *y, size_t n);        /* x += y */
    void (*scale)(float *x, float factor, size_t n);        /* x *= factor */
    void (*silu)(float *x, size_t n);                       /* x = x / (1 + exp(-x)) */
    void (*swiglu)(float *gate, const float *up, size_t n); /* gate = silu(gate) * up */
    float (*max)(const float *x, size_t n);                 /* n >= 1 */
    float (*exp_sum)(float *x, float max, size_t n);        /* x = exp(x - max); returns the sum */
} mv_kernels;

/* Whether this CPU has it is the caller's affair. */
const mv_kernels *mv_kernels_get(mv_isa isa);

extern const mv_kernels mv_kernels_generic, mv_kernels_avx2, mv_kernels_avx512;
extern const mv_kernels mv_kernels_avx512bf16;

#endif
