/* blas_wide_cpu.c - backends/blas/cpu.c as it would answer on a CPU with AVX512-BF16, whatever this
 * one has. OpenBLAS has no such double: it is told the truth. */
#define mv_isa_best cpu_isa_best
#define mv_isa_blas_core cpu_isa_blas_core
#include "backends/blas/cpu.c"
#undef mv_isa_best
#undef mv_isa_blas_core

mv_isa mv_isa_best(void);
const char *mv_isa_blas_core(mv_isa isa);

mv_isa mv_isa_best(void)
{
    return MV_ISA_AVX512BF16;
}

const char *mv_isa_blas_core(mv_isa isa)
{
    (void)isa;
    return cpu_isa_blas_core(cpu_isa_best());
}
