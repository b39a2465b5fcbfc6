/* fake_cublaslt.h - a cuBLASLt whose algorithms take as long as the test says.
 *
 * fake_cublaslt.c is loaded as libcublasLt.so.13 by gemm_lt.c; the test finds this by its symbol
 * "fake_lt". The CUDA runtime that gemm_lt.c calls is in test_cuda_gemm.c.
 */
#ifndef MV_TESTS_FAKE_CUBLASLT_H
#define MV_TESTS_FAKE_CUBLASLT_H

enum { FAKE_ALGORITHMS = 8 };

typedef struct fake_lt {
    float clock_ms;                  /* of the GPU */
    float takes_ms[FAKE_ALGORITHMS]; /* below 0: it fails */
    int n_algorithms;                /* that are proposed, if so many are asked for */
    int n_asked;                     /* calls for proposals */
    int n_products[FAKE_ALGORITHMS];
    int last;            /* algorithm of the last product */
    const void *watched; /* products that write to it are counted */
    int n_watched;
} fake_lt;

#endif
