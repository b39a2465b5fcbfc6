/* cpu.h - which instructions this CPU has, and which OpenBLAS core suits it. */
#ifndef MV_BLAS_CPU_H
#define MV_BLAS_CPU_H

#include <stdbool.h>

/* From the least to the most; each includes those before it. */
typedef enum mv_isa {
    MV_ISA_GENERIC,
    MV_ISA_AVX2,      /* AVX2 and FMA */
    MV_ISA_AVX512,    /* F, BW, DQ and VL */
    MV_ISA_AVX512BF16 /* and VDPBF16PS */
} mv_isa;
enum { MV_N_ISAS = 4 };

const char *mv_isa_name(mv_isa isa);
bool mv_isa_parse(mv_isa *isa, const char *name);

/* What the CPU has and the operating system saves: asked of CPUID. */
mv_isa mv_isa_best(void);

/* The name for OPENBLAS_CORETYPE; NULL where OpenBLAS should choose. */
const char *mv_isa_blas_core(mv_isa isa);

/* The ISA that a core reported by OpenBLAS is written for: MV_ISA_GENERIC if not known. */
mv_isa mv_isa_of_blas_core(const char *core);

#endif
