/* kernels_avx2.c - eight lanes: 6 x 16 tiles, 12 sums in 16 registers. */
#if defined(__x86_64__)
#include "backends/blas/kernels.h"

#define LANES 8
#define MR 6
#define TARGET __attribute__((target("avx2,fma")))
#define TABLE mv_kernels_avx2
#define ISA "avx2"
#include "backends/blas/kernels.inc"
#endif
