/* blas_wide.c - the kernels of AVX-512 on a CPU that has none: sixteen lanes as the compiler lowers
 * them, and VDPBF16PS in plain vectors. It shows the packing and the order of the lanes, not the
 * instructions.
 *   -DTABLE, -DISA   the name of the mv_kernels and its name as a string (default: mv_kernels_wide)
 *   -DNO_PAIRS       without VDPBF16PS
 */
#include "backends/blas/kernels.h"

#if !defined(TABLE)
#define TABLE mv_kernels_wide
#define ISA "wide"
#endif

extern const mv_kernels TABLE;

#define LANES 16
#define MR 12
#define TARGET
#if !defined(NO_PAIRS)
#define MULTIPLY_PAIRS(sum, x, w)                                                                  \
    (sum) += (vec)((x) << 16) * (vec)((w) << 16),                                                  \
        (sum) += (vec)((x)&0xffff0000u) * (vec)((w)&0xffff0000u)
#endif
#include "backends/blas/kernels.inc"
