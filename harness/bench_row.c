#include "harness/bench_row.h"

#include <math.h>
#include <stdlib.h>

#include "harness/roofline.h"

mv_code mv_bench_row_set_times(mv_bench_run *run, const mv_bench_tally *t, mv_error *error)
{
    const bool is_prefill = run->phase == MV_BENCH_PREFILL;
    const double n_tokens = (double)(run->shape.batch * (is_prefill ? run->shape.prompt : 1));
    mv_estimate ns;
    double n_effective, deviation, *sorted = NULL;
    mv_code code = mv_effective_count(&n_effective, t->values, t->n, error);
    if (code == MV_OK)
        code = mv_median_estimate(&ns, t->values, t->n, n_effective, 0.95, error);
    if (code == MV_OK)
        code = mv_median_deviation(&deviation, t->values, t->n, error);
    if (code == MV_OK)
        code = mv_sorted_copy(&sorted, t->values, t->n, error);
    if (code != MV_OK)
        return code;
    /* No upper end of the time: the rate may be anything down to 0, and the other way round. */
    run->tokens_per_s = (mv_estimate){1e9 * n_tokens / ns.value, 1e9 * n_tokens / ns.high,
                                      ns.low > 0 ? 1e9 * n_tokens / ns.low : INFINITY};
    run->deviation = deviation / ns.value;
    if (!is_prefill) {
        run->token_ns_p50 = llround(mv_percentile(sorted, t->n, 0.50));
        run->token_ns_p95 = llround(mv_percentile(sorted, t->n, 0.95));
        run->token_ns_p99 = llround(mv_percentile(sorted, t->n, 0.99));
    }
    free(sorted);
    if (is_prefill) {
        code = mv_sorted_copy(&sorted, t->ttft_ns, t->n_passes, error);
        if (code != MV_OK)
            return code;
        run->ttft_ns = llround(mv_percentile(sorted, t->n_passes, 0.5));
        free(sorted);
    }
    run->cpu_per_wall = t->sum.wall_ns > 0 ? (double)t->sum.cpu_ns / (double)t->sum.wall_ns : NAN;
    return MV_OK;
}

mv_code mv_bench_row_set_samples(mv_bench_run *run, const mv_bench_tally *t, size_t n_calls,
                                 mv_error *error)
{
    run->samples_ns = malloc((t->n + 1) * sizeof *run->samples_ns);
    if (run->samples_ns == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu samples", t->n);
    for (size_t i = 0; i < t->n; i++)
        run->samples_ns[i] = llround(t->values[i]);
    run->n_samples = t->n;
    if (run->phase != MV_BENCH_PREFILL || n_calls < 2)
        return MV_OK;
    double *column = malloc((t->n_passes + 1) * sizeof *column), *sorted = NULL;
    run->chunk_ns = malloc(n_calls * sizeof *run->chunk_ns);
    mv_code code = column == NULL || run->chunk_ns == NULL
                       ? mv_fail(error, MV_ERR_MEMORY, "no memory for %zu chunks", n_calls)
                       : MV_OK;
    for (size_t i = 0; i < n_calls && code == MV_OK; i++) {
        for (size_t j = 0; j < t->n_passes; j++)
            column[j] = t->calls[j * n_calls + i];
        code = mv_sorted_copy(&sorted, column, t->n_passes, error);
        if (code != MV_OK)
            break;
        run->chunk_ns[run->n_chunks++] = llround(mv_percentile(sorted, t->n_passes, 0.5));
        free(sorted);
    }
    free(column);
    return code;
}

void mv_bench_row_set_limits(const mv_bench *bench, mv_bench_run *run, const mv_bench_tally *t)
{
    const mv_cost cost = mv_cost_of_shape(bench->subject.model, run->compute, run->phase,
                                          &run->shape, bench->ceilings);
    const double calls = run->phase == MV_BENCH_PREFILL && run->shape.chunk > 0
                             ? ceil((double)run->shape.prompt / (double)run->shape.chunk)
                             : 1;
    const double bytes = cost.linear_bytes + cost.attention_bytes + cost.output_bytes;
    const double flops = cost.linear_flops + cost.attention_flops + cost.output_flops;
    const double measured_s = cost.n_tokens / run->tokens_per_s.value;
    run->bytes_per_token = bytes / cost.n_tokens;
    run->flops_per_token = flops / cost.n_tokens;
    if (bench->subject.backend->work != NULL) {
        const mv_work *w = &t->work;
        double executed = 2.0 * ((double)w->linear_multiply_adds + (double)w->output_multiply_adds +
                                 (double)w->attention_multiply_adds);
        run->has_work = true;
        run->work = *w;
        if (executed > 0)
            run->executed_flops_per_token = executed / cost.n_tokens;
    }
    const double working_set =
        run->phase == MV_BENCH_PREFILL ? bytes / calls : bytes / (double)run->shape.generate;
    run->read_bytes_per_s = mv_read_bandwidth(bench->ceilings, working_set);
    run->flops_per_s = mv_peak_flops(bench->ceilings, run->compute);
    run->fraction_of_limit = cost.least_s / measured_s;
    if (isfinite(run->fraction_of_limit))
        run->limit = cost.least_memory_s > cost.least_s / 2 ? MV_LIMIT_BANDWIDTH : MV_LIMIT_COMPUTE;
}

void mv_bench_row_set_memory(const mv_bench *bench, mv_bench_engine *engine, mv_bench_run *run)
{
    const mv_backend *backend = bench->subject.backend;
    const uint64_t peak = mv_machine_peak_rss_bytes();
    mv_memory memory = {.struct_size = sizeof memory};
    if (backend->memory != NULL) {
        backend->memory(mv_bench_engine_get(engine), &memory);
        run->weights_bytes = (int64_t)memory.weights_bytes;
        run->kv_cache_bytes = (int64_t)memory.kv_cache_bytes;
        run->scratch_bytes = (int64_t)memory.scratch_bytes;
    }
    run->peak_rss_bytes = peak > 0 ? (int64_t)peak : -1;
}
