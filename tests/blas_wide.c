/* blas_wide.c - the kernels of AVX-512 on a CPU that has none: sixteen lanes as the compiler lowers
 * them, and VDPBF16PS in plain vectors. It shows the packing and the order of the lanes, not the
 * instructions. */
#include "backends/blas/kernels.h"

extern const mv_kernels mv_kernels_wide;

#define LANES 16
#define MR 12
#define TARGET
#define TABLE mv_kernels_wide
#define ISA "wide"
#define MULTIPLY_PAIRS(sum, x, w)                                                                  \
    (sum) += (vec)((x) << 16) * (vec)((w) << 16),                                                  \
        (sum) += (vec)((x)&0xffff0000u) * (vec)((w)&0xffff0000u)
#include "backends/blas/kernels.inc"
