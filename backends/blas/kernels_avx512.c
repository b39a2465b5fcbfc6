/* kernels_avx512.c - sixteen lanes: 12 x 32 tiles, 24 sums in 32 registers. */
#if defined(__x86_64__)
#include "backends/blas/kernels.h"

#define LANES 16
#define MR 12
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define TABLE mv_kernels_avx512
#define ISA "avx512"
#include "backends/blas/kernels.inc"
#endif
