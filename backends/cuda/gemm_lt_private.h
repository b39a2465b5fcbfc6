/* gemm_lt_private.h - what gemm_lt.c and gemm_lt_choose.c share. */
#ifndef MV_CUDA_GEMM_LT_PRIVATE_H
#define MV_CUDA_GEMM_LT_PRIVATE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "backends/cuda/gemm_lt.h"

enum {
    MV_LT_WORKSPACE = 32 << 20, /* bytes */
    MV_LT_SHAPES = 256,         /* kept at a time */
    MV_LT_CHOICES = 16          /* algorithms timed for one shape, at most */
};

/* The functions of the library, by name. */
#define MV_LT_FUNCTIONS(F)                                                                         \
    F(cublasLtCreate)                                                                              \
    F(cublasLtDestroy)                                                                             \
    F(cublasLtGetVersion)                                                                          \
    F(cublasLtMatmul)                                                                              \
    F(cublasLtMatmulAlgoGetHeuristic)                                                              \
    F(cublasLtMatmulDescCreate)                                                                    \
    F(cublasLtMatmulDescDestroy)                                                                   \
    F(cublasLtMatmulDescSetAttribute)                                                              \
    F(cublasLtMatmulPreferenceCreate)                                                              \
    F(cublasLtMatmulPreferenceDestroy)                                                             \
    F(cublasLtMatmulPreferenceSetAttribute)                                                        \
    F(cublasLtMatrixLayoutCreate)                                                                  \
    F(cublasLtMatrixLayoutDestroy)

/* A product of some size, and the algorithm that is kept for it. */
typedef struct mv_lt_shape {
    mv_gemm gemm; /* pointers NULL */
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
} mv_lt_shape;

struct mv_lt {
    void *library;
#define MV_LT_DECLARE(f) __typeof__(&f) f;
    MV_LT_FUNCTIONS(MV_LT_DECLARE)
    cublasLtHandle_t handle;
    void *workspace;
    uint32_t tune; /* algorithms to time for a shape; 0: the library's first choice */
    mv_lt_shape shapes[MV_LT_SHAPES];
    size_t n_shapes;
};

/* Whether both are one shape: everything but the pointers. */
static inline bool mv_gemm_is_like(const mv_gemm *a, const mv_gemm *b)
{
    return a->dtype == b->dtype && a->y_f32 == b->y_f32 && a->add == b->add && a->ldx == b->ldx &&
           a->ldw == b->ldw && a->ldy == b->ldy && a->n_rows == b->n_rows && a->n_out == b->n_out &&
           a->n_in == b->n_in;
}

/* gemm_lt_choose.c: sets s->algorithm, of a shape that is described. `gemm` has the operands: they
 * are read if there is something to time, and y is not written. */
bool mv_lt_choose(const mv_lt *lt, mv_lt_shape *s, const mv_gemm *gemm, void *stream);

#endif
