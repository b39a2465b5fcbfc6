/* gemm.h - who multiplies matrices with many rows: a table of providers.
 *
 *   y [m, n] = x [m, k] w [n, k]^T
 *
 * x is prepared once (packed, rounded), in parts; then any worker takes any slab of outputs. A slab
 * is cut by the shapes alone, so that the number of threads changes no bit.
 */
#ifndef MV_BLAS_GEMM_H
#define MV_BLAS_GEMM_H

#include "backends/blas/kernels.h"
#include "backends/blas/openblas.h"
#include "backends/blas/pool.h"

enum { MV_GEMM_MAX_ROWS = 528 }; /* of x at once: a multiple of every tile's rows */

typedef struct mv_gemm mv_gemm;

typedef struct mv_gemm_provider {
    const char *name;
    const char *summary;
    /* NULL if it can be used with this compute type on this machine; else why not. */
    const char *(*refuse)(const mv_openblas *blas, bool bf16);
    /* 4-byte elements of room: for the prepared x, and for each worker. */
    size_t (*x_room)(const mv_gemm *gemm, size_t k);
    size_t (*worker_room)(const mv_gemm *gemm, size_t n, size_t k);
    size_t (*n_parts)(const mv_gemm *gemm, size_t k); /* in which x is prepared */
    void (*prepare)(const mv_gemm *gemm, const float *x, size_t m, size_t k, size_t part);
    size_t (*slab)(const mv_gemm *gemm, size_t n, size_t k); /* outputs in a slab */
    /* Outputs from ... to - 1 of every row. y is that of output 0. */
    void (*multiply)(const mv_gemm *gemm, float *y, size_t y_stride, const float *x, size_t m,
                     const mv_tensor *w, size_t from, size_t to, uint32_t worker);
} mv_gemm_provider;

struct mv_gemm {
    const mv_gemm_provider *provider;
    const mv_openblas *blas;
    const mv_kernels *kernels;
    bool bf16;             /* operands are rounded to bfloat16 */
    float *x;              /* the prepared x */
    float *scratch;        /* [n_threads, scratch_stride] */
    size_t scratch_stride; /* in elements */
};

/* The provider of that name, or the best if name is NULL. Refused with a list of those there are.
 */
MV_MUST_CHECK mv_code mv_gemm_choose(const mv_gemm_provider **provider, const char *name,
                                     const mv_openblas *blas, bool bf16, mv_error *error);

extern const mv_gemm_provider mv_gemm_own, mv_gemm_generic, mv_gemm_sgemm, mv_gemm_sbgemm;

#endif
