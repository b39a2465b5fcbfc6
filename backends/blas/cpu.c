#include "backends/blas/cpu.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const names[MV_N_ISAS] = {"generic", "avx2", "avx512", "avx512bf16"};

const char *mv_isa_name(mv_isa isa)
{
    return names[isa];
}

bool mv_isa_parse(mv_isa *isa, const char *name)
{
    for (int i = 0; i < MV_N_ISAS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *isa = (mv_isa)i;
            return true;
        }
    }
    return false;
}

/* __builtin_cpu_supports() asks XGETBV too: whether the registers survive a task switch. */
mv_isa mv_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return MV_ISA_GENERIC;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return MV_ISA_AVX2;
    return __builtin_cpu_supports("avx512bf16") ? MV_ISA_AVX512BF16 : MV_ISA_AVX512;
#else
    return MV_ISA_GENERIC;
#endif
}

/* OpenBLAS up to 0.3.34 takes a Zen 5 for a Haswell, at half the speed (docs/SPEED.md). */
const char *mv_isa_blas_core(mv_isa isa)
{
    static const char *const cores[MV_N_ISAS] = {NULL, "HASWELL", "SKYLAKEX", "COOPERLAKE"};
    return cores[isa];
}

mv_isa mv_isa_of_blas_core(const char *core)
{
    static const struct {
        const char *name;
        mv_isa isa;
    } cores[] = {
        {"Haswell", MV_ISA_AVX2},
        {"Zen", MV_ISA_AVX2},
        {"SkylakeX", MV_ISA_AVX512},
        {"Cooperlake", MV_ISA_AVX512BF16},
        {"SapphireRapids", MV_ISA_AVX512BF16},
    };
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
        if (strcasecmp(core, cores[i].name) == 0)
            return cores[i].isa;
    }
    return MV_ISA_GENERIC;
}
