/* openblas.h - OpenBLAS, loaded when it is first asked for and kept for the life of the process. */
#ifndef MV_BLAS_OPENBLAS_H
#define MV_BLAS_OPENBLAS_H

#include "backends/mistral_backend.h"

enum { MV_CBLAS_ROW_MAJOR = 101, MV_CBLAS_NO_TRANS = 111, MV_CBLAS_TRANS = 112 };

typedef struct mv_openblas {
    void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                  const float *a, int a_stride, const float *b, int b_stride, float beta, float *c,
                  int c_stride);
    /* Of bfloat16 into float32; NULL in most builds. */
    void (*sbgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                   const uint16_t *a, int a_stride, const uint16_t *b, int b_stride, float beta,
                   float *c, int c_stride);
    char core[32];     /* whose kernels it uses: "Haswell" */
    char version[128]; /* its own words about itself */
} mv_openblas;

/* The core is the best for this CPU, unless the user set OPENBLAS_CORETYPE; one thread a call.
 * MV_ERR_UNAVAILABLE where it is not installed, with the package to install. */
MV_MUST_CHECK mv_code mv_openblas_get(const mv_openblas **blas, mv_error *error);

#endif
