#include "harness/bench_results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mv_bench_phase_name(mv_bench_phase phase)
{
    return phase == MV_BENCH_PREFILL ? "prefill" : "decode";
}

const char *mv_bench_limit_name(mv_bench_limit limit)
{
    return limit == MV_LIMIT_BANDWIDTH ? "bandwidth" : limit == MV_LIMIT_COMPUTE ? "compute" : "";
}

bool mv_bench_run_has_warning(const mv_bench_run *run, const char *code)
{
    for (size_t i = 0; i < run->n_warnings; i++)
        if (strcmp(run->warnings[i].code, code) == 0)
            return true;
    return false;
}

const char *mv_bench_verdict_name(mv_bench_verdict verdict)
{
    static const char *const names[] = {"faster", "same", "slower", "inconclusive"};
    return (unsigned)verdict <= MV_BENCH_INCONCLUSIVE ? names[verdict] : "inconclusive";
}

void mv_bench_run_clear(mv_bench_run *run)
{
    memset(run, 0, sizeof *run);
    run->n_warmup = -1;
    run->tokens_per_s = (mv_estimate){NAN, NAN, NAN};
    run->deviation = run->cpu_per_wall = NAN;
    run->ttft_ns = run->token_ns_p50 = run->token_ns_p95 = run->token_ns_p99 = -1;
    run->bytes_per_token = run->flops_per_token = run->executed_flops_per_token = NAN;
    run->fraction_of_limit = run->read_bytes_per_s = run->flops_per_s = NAN;
    run->profile.ratio_to_timed = NAN;
    run->weights_bytes = run->kv_cache_bytes = run->scratch_bytes = run->peak_rss_bytes = -1;
}

void mv_bench_run_warn(mv_bench_run *run, const char *code, const char *format, ...)
{
    va_list args;
    if (run->n_warnings == MV_BENCH_MAX_WARNINGS)
        return;
    mv_bench_warning *warning = &run->warnings[run->n_warnings++];
    (void)snprintf(warning->code, sizeof warning->code, "%s", code);
    va_start(args, format);
    (void)vsnprintf(warning->text, sizeof warning->text, format, args);
    va_end(args);
}

void mv_bench_results_init(mv_bench_results *results)
{
    memset(results, 0, sizeof *results);
    results->model_bytes = -1;
    results->ceilings.flops_per_s = results->ceilings.bf16_flops_per_s = NAN;
}

static void free_run(mv_bench_run *run)
{
    free(run->samples_ns);
    free(run->chunk_ns);
    run->samples_ns = run->chunk_ns = NULL;
    run->n_samples = run->n_chunks = 0;
}

void mv_bench_results_free(mv_bench_results *results)
{
    for (size_t i = 0; i < results->n_runs; i++)
        free_run(&results->runs[i]);
    free(results->runs);
    free(results->comparisons);
    free(results->claims);
    mv_bench_results_init(results);
}

/* Appends one item; the old array stays valid on failure. */
static mv_code append(void **items, size_t *n, size_t *capacity, const void *item, size_t size,
                      mv_error *error)
{
    if (*n == *capacity) {
        size_t wanted = *capacity + *capacity / 2 + 8, size_bytes;
        void *grown = NULL;
        if (!__builtin_mul_overflow(wanted, size, &size_bytes))
            grown = realloc(*items, size_bytes);
        if (grown == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu results", wanted);
        *items = grown;
        *capacity = wanted;
    }
    memcpy((char *)*items + *n * size, item, size);
    ++*n;
    return MV_OK;
}

mv_code mv_bench_results_add(mv_bench_results *results, mv_bench_run *run, mv_error *error)
{
    void *items = results->runs;
    mv_code code =
        append(&items, &results->n_runs, &results->runs_capacity, run, sizeof *run, error);
    results->runs = items;
    if (code == MV_OK)
        mv_engine_facts_keep(&results->environment, run->backend, run->compute, run->engine);
    else
        free_run(run);
    return code;
}

mv_code mv_bench_results_add_comparison(mv_bench_results *results, const mv_bench_comparison *one,
                                        mv_error *error)
{
    void *items = results->comparisons;
    mv_code code = append(&items, &results->n_comparisons, &results->comparisons_capacity, one,
                          sizeof *one, error);
    results->comparisons = items;
    return code;
}

mv_code mv_bench_results_add_claim(mv_bench_results *results, const mv_bench_claim *one,
                                   mv_error *error)
{
    void *items = results->claims;
    mv_code code =
        append(&items, &results->n_claims, &results->claims_capacity, one, sizeof *one, error);
    results->claims = items;
    return code;
}
