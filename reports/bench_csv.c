/* bench_csv.c - one record a row of times, RFC 4180; the raw samples are in the JSON. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>

static void put_integer(mv_bytes *bytes, int64_t value)
{
    mv_bytes_text(bytes, ",");
    if (value >= 0)
        mv_bytes_print(bytes, "%" PRId64, value);
}

static void put_number(mv_bytes *bytes, double value)
{
    mv_bytes_text(bytes, ",");
    if (!isnan(value))
        mv_bytes_double(bytes, value);
}

/* "gate+up=1234 ffn_out=567" in ns. */
static void put_profile(mv_bytes *bytes, const mv_bench_profile *profile)
{
    char ops[MV_BENCH_MAX_OPS * 54] = "";
    size_t used = 0;
    const bool is_known = profile->n_ops > 0;
    for (size_t i = 0; i < profile->n_ops; i++)
        used += (size_t)snprintf(ops + used, sizeof ops - used, "%s%s=%" PRId64, i == 0 ? "" : " ",
                                 profile->ops[i].op, profile->ops[i].ns_median);
    put_integer(bytes, is_known ? profile->total_ns : -1);
    put_integer(bytes, is_known ? profile->untapped_ns : -1);
    put_number(bytes, profile->ratio_to_timed);
    mv_csv_text(bytes, false, ops);
}

static void put_run(mv_bytes *bytes, const mv_bench_run *run, bool with_profile)
{
    const mv_bench_shape *s = &run->shape;
    const int64_t integers[] = {s->prompt, s->generate, s->depth,  s->chunk,
                                s->window, s->batch,    s->threads};
    const double numbers[] = {run->tokens_per_s.value, run->tokens_per_s.low,
                              run->tokens_per_s.high, run->deviation};
    const int64_t times[] = {run->ttft_ns, run->token_ns_p50, run->token_ns_p95, run->token_ns_p99};
    const double costs[] = {run->bytes_per_token, run->flops_per_token,
                            run->executed_flops_per_token, run->fraction_of_limit};
    const int64_t memory[] = {run->weights_bytes, run->kv_cache_bytes, run->scratch_bytes,
                              run->peak_rss_bytes};
    mv_csv_text(bytes, true, run->backend);
    mv_csv_text(bytes, false, run->build_id);
    mv_csv_text(bytes, false, mv_compute_word(run->compute));
    mv_csv_text(bytes, false, mv_bench_phase_name(run->phase));
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        put_integer(bytes, integers[i]);
    mv_bytes_print(bytes, ",%" PRIu64, run->seed);
    put_integer(bytes, (int64_t)run->n_samples);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_number(bytes, numbers[i]);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put_integer(bytes, times[i]);
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        put_number(bytes, costs[i]);
    mv_csv_text(bytes, false, mv_bench_limit_name(run->limit));
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        put_integer(bytes, memory[i]);
    mv_csv_text(bytes, false, run->checked ? "true" : "false");
    char codes[MV_BENCH_MAX_WARNINGS * 34] = "";
    size_t used = 0;
    for (size_t i = 0; i < run->n_warnings; i++)
        used += (size_t)snprintf(codes + used, sizeof codes - used, "%s%s", i == 0 ? "" : " ",
                                 run->warnings[i].code);
    mv_csv_text(bytes, false, codes);
    if (with_profile)
        put_profile(bytes, &run->profile);
    mv_bytes_text(bytes, "\r\n");
}

/* Two builds side by side leave no rows of times, only ratios. */
static void put_comparisons(mv_bytes *bytes, const mv_bench_results *results)
{
    mv_bytes_text(bytes, "key,base,candidate,method,clock,ratio,ratio_low,ratio_high,p_slower,"
                         "gate_percent,groups,confirm_groups,verdict,reason\r\n");
    for (size_t i = 0; i < results->n_comparisons; i++) {
        const mv_bench_comparison *one = &results->comparisons[i];
        const double numbers[] = {one->ratio.value, one->ratio.low, one->ratio.high, one->p_slower,
                                  one->gate_percent};
        mv_csv_text(bytes, true, one->key);
        mv_csv_text(bytes, false, one->base);
        mv_csv_text(bytes, false, one->candidate);
        mv_csv_text(bytes, false, one->method);
        mv_csv_text(bytes, false, one->clock);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            put_number(bytes, numbers[k]);
        put_integer(bytes, one->n_groups);
        put_integer(bytes, one->n_confirm);
        mv_csv_text(bytes, false, mv_bench_verdict_name(one->verdict));
        mv_csv_text(bytes, false, one->reason);
        mv_bytes_text(bytes, "\r\n");
    }
}

void mv_csv_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                        const mv_report_style *style)
{
    (void)style;
    if (results->n_runs == 0 && results->n_comparisons > 0) {
        put_comparisons(bytes, results);
        return;
    }
    mv_bytes_text(bytes,
                  "backend,build_id,compute,phase,prompt,generate,depth,chunk,window,batch,threads,"
                  "seed,samples,tokens_per_s,tokens_per_s_low,tokens_per_s_high,deviation,ttft_ns,"
                  "token_ns_p50,token_ns_p95,token_ns_p99,bytes_per_token,flops_per_token,"
                  "executed_flops_per_token,fraction_of_limit,limit,weights_bytes,kv_cache_bytes,"
                  "scratch_bytes,peak_rss_bytes,checked,warnings");
    bool with_profile = false; /* four columns more, of a run with --profile only */
    for (size_t i = 0; i < results->n_runs; i++)
        with_profile = with_profile || results->runs[i].profile.n_ops > 0;
    mv_bytes_text(bytes, with_profile ? ",profile_total_ns,profile_untapped_ns,"
                                        "profile_ratio_to_timed,profile_ops_ns\r\n"
                                      : "\r\n");
    for (size_t i = 0; i < results->n_runs; i++)
        put_run(bytes, &results->runs[i], with_profile);
}
