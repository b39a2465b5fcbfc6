#include "backends/blas/gemm.h"

#include <string.h>

/* In the order of preference for each compute type (measured: docs/SPEED.md). */
static const mv_gemm_provider *const for_f32[] = {&mv_gemm_sgemm, &mv_gemm_own, &mv_gemm_generic};
static const mv_gemm_provider *const for_bf16[] = {&mv_gemm_own, &mv_gemm_sbgemm, &mv_gemm_sgemm,
                                                   &mv_gemm_generic};

static const mv_gemm_provider *const all[] = {&mv_gemm_sgemm, &mv_gemm_sbgemm, &mv_gemm_own,
                                              &mv_gemm_generic};
#define N_ALL (sizeof all / sizeof all[0])

/* The names, separated by ", ": all, or those that can be used here. */
static void list(char *text, size_t size, const mv_openblas *blas, bool bf16, bool only_usable)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_ALL && n < size; i++) {
        if (!only_usable || all[i]->refuse(blas, bf16) == NULL)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "", all[i]->name);
    }
}

mv_code mv_gemm_choose(const mv_gemm_provider **provider, const char *name, const mv_openblas *blas,
                       bool bf16, mv_error *error)
{
    char names[128];
    const char *why = NULL;
    if (name == NULL) {
        const mv_gemm_provider *const *preferred = bf16 ? for_bf16 : for_f32;
        while ((*preferred)->refuse(blas, bf16) != NULL)
            preferred++; /* the last is never refused */
        *provider = *preferred;
        return MV_OK;
    }
    for (size_t i = 0; i < N_ALL; i++) {
        if (strcmp(name, all[i]->name) != 0)
            continue;
        why = all[i]->refuse(blas, bf16);
        if (why == NULL) {
            *provider = all[i];
            return MV_OK;
        }
    }
    list(names, sizeof names, blas, bf16, why != NULL);
    if (why != NULL)
        return mv_fail(error, MV_ERR_UNAVAILABLE, "blas: gemm=%s cannot run here: %s; here are: %s",
                       name, why, names);
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: unknown gemm=%s; expected one of: %s", name,
                   names);
}
