/* kernels_generic.c - for every CPU: vectors of four, which SSE2 and NEON have. */
#include "backends/blas/kernels.h"

#define LANES 4
#define MR 6
#define TARGET
#define TABLE mv_kernels_generic
#define ISA "generic"
#include "backends/blas/kernels.inc"

const mv_kernels *mv_kernels_get(mv_isa isa)
{
    static const mv_kernels *const tables[MV_N_ISAS] = {
        &mv_kernels_generic,
#if defined(__x86_64__)
        &mv_kernels_avx2,
        &mv_kernels_avx512,
        &mv_kernels_avx512bf16,
#endif
    };
    return tables[isa];
}
