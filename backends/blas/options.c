/* options.c - --backend-option KEY=VALUE, each a row of the table below. */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "backends/blas/engine.h"

typedef struct chosen {
    const char *gemm; /* NULL: the best */
    mv_isa isa;
    bool pin;
    float poison;
} chosen;

static mv_code read_gemm(chosen *to, const char *value, mv_error *error)
{
    (void)error;
    to->gemm = value; /* looked up when the library and the compute type are known */
    return MV_OK;
}

static mv_code read_isa(chosen *to, const char *value, mv_error *error)
{
    const mv_isa best = mv_isa_best();
    char names[64] = "";
    bool known = mv_isa_parse(&to->isa, value);
    if (known && to->isa <= best)
        return MV_OK;
    for (int i = 0; i < (known ? (int)best + 1 : MV_N_ISAS); i++) {
        size_t n = strlen(names);
        (void)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "",
                       mv_isa_name((mv_isa)i));
    }
    if (known)
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "blas: isa=%s: this CPU does not have it; it has "
                       "%s",
                       value, names);
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: unknown isa=%s; expected one of: %s", value,
                   names);
}

static mv_code read_pin(chosen *to, const char *value, mv_error *error)
{
    to->pin = strcmp(value, "1") == 0;
    if (to->pin || strcmp(value, "0") == 0)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: pin=%s: expected 0 or 1", value);
}

static mv_code read_poison(chosen *to, const char *value, mv_error *error)
{
    char *end = NULL;
    to->poison = strtof(value, &end);
    if (end != value && *end == '\0')
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: poison=%s: expected a number, or nan", value);
}

static const struct {
    const char *key, *shape;
    mv_code (*read)(chosen *to, const char *value, mv_error *error);
} keys[] = {
    {"gemm", "gemm=sgemm|sbgemm|own|generic", read_gemm},
    {"isa", "isa=generic|avx2|avx512|avx512bf16", read_isa},
    {"pin", "pin=0|1", read_pin},
    {"poison", "poison=VALUE", read_poison},
};
#define N_KEYS (sizeof keys / sizeof keys[0])

static mv_code read_option(chosen *to, const mv_option *option, mv_error *error)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(option->key, keys[i].key) == 0)
            return keys[i].read(to, option->value, error);
    }
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: unknown option '%s'; known: %s, %s, %s, %s",
                   option->key, keys[0].shape, keys[1].shape, keys[2].shape, keys[3].shape);
}

static uint32_t threads_of(const mv_engine_options *options)
{
    cpu_set_t all;
    uint32_t n = options->n_threads;
    if (n == 0)
        n = sched_getaffinity(0, sizeof all, &all) == 0 ? (uint32_t)CPU_COUNT(&all) : 1;
    return n == 0 ? 1 : n > 256 ? 256 : n;
}

static void warn_of_core(const mv_engine *e, const mv_engine_options *options)
{
    const mv_isa best = mv_isa_best(), core = mv_isa_of_blas_core(e->blas->core);
    const mv_isa enough = best > MV_ISA_AVX512 ? MV_ISA_AVX512 : best; /* the same sgemm */
    char text[256];
    if (options->log == NULL || core >= enough || e->gemm.provider != &mv_gemm_sgemm)
        return;
    (void)snprintf(text, sizeof text,
                   "blas: OpenBLAS uses its core %s, below this CPU's %s; unset OPENBLAS_CORETYPE, "
                   "or set it to %s",
                   e->blas->core, mv_isa_name(best), mv_isa_blas_core(best));
    options->log(options->log_cookie, MV_LOG_WARN, text);
}

mv_code mv_options_read(mv_engine *e, const mv_engine_options *options, mv_error *error)
{
    chosen to = {.isa = mv_isa_best()};
    mv_code code = MV_OK;
    if (options->compute != MV_COMPUTE_F32 && options->compute != MV_COMPUTE_BF16)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "blas: computes in f32 or bf16, found compute type %d; use --backend "
                       "reference for f64",
                       (int)options->compute);
    e->bf16 = options->compute == MV_COMPUTE_BF16;
    for (size_t i = 0; i < options->n_options && code == MV_OK; i++)
        code = read_option(&to, &options->options[i], error);
    if (code == MV_OK)
        code = mv_openblas_get(&e->blas, error);
    if (code == MV_OK)
        code = mv_gemm_choose(&e->gemm.provider, to.gemm, e->blas, e->bf16, error);
    if (code != MV_OK)
        return code;
    e->kernels = mv_kernels_get(to.isa);
    e->gemm.blas = e->blas;
    e->gemm.kernels =
        e->gemm.provider == &mv_gemm_generic ? mv_kernels_get(MV_ISA_GENERIC) : e->kernels;
    e->gemm.bf16 = e->bf16;
    e->kv_dtype = e->bf16 ? MV_DTYPE_BF16 : MV_DTYPE_F32;
    e->kv_size = e->bf16 ? 2 : 4;
    e->poison = to.poison;
    e->pinned = to.pin;
    e->n_threads = threads_of(options);
    warn_of_core(e, options);
    return MV_OK;
}
