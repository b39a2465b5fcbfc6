/* kernels_avx512bf16.c - as kernels_avx512.c, and VDPBF16PS for prefill in bf16: twice the products
 * of an FMA. It takes subnormal numbers for zero and rounds in its own way between its two sums. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "backends/blas/kernels.h"

#define LANES 16
#define MR 12
#define TARGET __attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define TABLE mv_kernels_avx512bf16
#define ISA "avx512bf16"
#define MULTIPLY_PAIRS(sum, x, w)                                                                  \
    sum = (vec)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(x), (__m512bh)(w))
#include "backends/blas/kernels.inc"
#endif
