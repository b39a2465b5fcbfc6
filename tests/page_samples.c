#include "tests/page_samples.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(char *field, size_t size, const char *text)
{
    (void)snprintf(field, size, "%s", text);
}

static void must(mv_code code)
{
    if (code != MV_OK) {
        abort(); /* out of memory in a test */
    }
}

static void add_run(mv_bench_results *results, mv_bench_phase phase, int64_t depth, int64_t chunk,
                    int64_t window, int64_t batch, double speed)
{
    mv_bench_run run;
    mv_error error;
    mv_bench_run_clear(&run);
    set(run.backend, sizeof run.backend, "blas");
    set(run.build_id, sizeof run.build_id, "1 sha256:0123");
    run.phase = phase;
    run.shape = (mv_bench_shape){.prompt = phase == MV_BENCH_PREFILL ? 512 : 0,
                                 .generate = phase == MV_BENCH_DECODE ? 16 : 0,
                                 .depth = depth,
                                 .chunk = chunk,
                                 .window = window,
                                 .batch = batch,
                                 .threads = 2};
    run.seed = 1;
    run.n_samples = 8;
    run.samples_ns = calloc(run.n_samples, sizeof *run.samples_ns);
    for (size_t i = 0; run.samples_ns != NULL && i < run.n_samples; i++) {
        run.samples_ns[i] = (int64_t)(1e9 / speed) + (int64_t)(i % 4) * 1000;
    }
    run.n_warmup = 3;
    run.tokens_per_s = (mv_estimate){speed, speed * 0.97, speed * 1.02};
    run.deviation = 0.01;
    run.ttft_ns = phase == MV_BENCH_PREFILL ? 2000000 : -1;
    run.token_ns_p50 = phase == MV_BENCH_DECODE ? 1000000 : -1;
    run.token_ns_p95 = phase == MV_BENCH_DECODE ? 1100000 : -1;
    run.token_ns_p99 = phase == MV_BENCH_DECODE ? 1500000 : -1;
    run.bytes_per_token = 4e8 / (double)(chunk > 0 ? chunk : 1);
    run.flops_per_token = 2e8;
    run.fraction_of_limit = 0.5;
    run.limit = chunk > 16 ? MV_LIMIT_COMPUTE : MV_LIMIT_BANDWIDTH;
    run.kv_cache_bytes = 4096 * batch * (window > 0 ? window : depth + 528);
    run.checked = true;
    set(run.check, sizeof run.check, "all logits against the float64 reference");
    must(mv_bench_results_add(results, &run, &error));
}

/* Ops of fixed shares, with the names of the ABI's taps. ratio: 1 is an engine that taps do not
 * change. */
static void set_profile(mv_bench_run *run, int64_t total_ns, double ratio)
{
    static const struct {
        const char *op;
        int64_t per_mille;
    } rows[] = {{"embedding", 1}, {"attention_norm", 6}, {"q+k+v", 151},   {"attention", 88},
                {"ffn_norm", 5},  {"gate+up", 407},      {"ffn_out", 198}, {"logits", 132}};
    mv_bench_profile *profile = &run->profile;
    profile->n_ops = sizeof rows / sizeof *rows;
    profile->total_ns = profile->untapped_ns = total_ns;
    for (size_t i = 0; i < profile->n_ops; i++) {
        set(profile->ops[i].op, sizeof profile->ops[i].op, rows[i].op);
        profile->ops[i].ns_median = total_ns / 1000 * rows[i].per_mille;
        profile->ops[i].share = (double)rows[i].per_mille / 1000;
        profile->untapped_ns -= profile->ops[i].ns_median;
    }
    profile->n_passes = 9;
    profile->ratio_to_timed = ratio;
    set(profile->how, sizeof profile->how, "fixed shares of a test");
}

static void add_comparison(mv_bench_results *results, const char *key, double ratio,
                           mv_bench_verdict verdict)
{
    mv_error error;
    mv_bench_comparison one = {.ratio = {ratio, ratio - 0.01, ratio + 0.012},
                               .p_slower = ratio > 1.02 ? 1e-4 : 0.4,
                               .n_groups = 24,
                               .n_confirm = -1,
                               .gate_percent = 2,
                               .verdict = verdict};
    set(one.key, sizeof one.key, key);
    set(one.base, sizeof one.base, "old.so");
    set(one.candidate, sizeof one.candidate, "new.so");
    set(one.method, sizeof one.method, "interleaved");
    set(one.clock, sizeof one.clock, "cpu");
    set(one.reason, sizeof one.reason, "the interval and the gate decide");
    must(mv_bench_results_add_comparison(results, &one, &error));
}

static void add_claim(mv_bench_results *results, const char *statement, bool holds)
{
    mv_error error;
    mv_bench_claim one = {.was_measured = true, .holds = holds};
    set(one.id, sizeof one.id, "flat");
    set(one.statement, sizeof one.statement, statement);
    set(one.predicted, sizeof one.predicted, "at least 0.95");
    set(one.measured, sizeof one.measured, holds ? "0.98" : "0.71");
    set(one.how, sizeof one.how, "decode at depth W and 16 W");
    must(mv_bench_results_add_claim(results, &one, &error));
}

static void begin(mv_bench_results *results)
{
    mv_bench_results_init(results);
    set(results->tool_version, sizeof results->tool_version, "0.1.0");
    set(results->tool_commit, sizeof results->tool_commit, "0123abc");
    set(results->model_spec, sizeof results->model_spec, "synthetic:probe");
    results->params = (mv_params){64, 4, 16, 128, 4, 2, 256, 64, 1e-5, 1e4};
    mv_environment_set(&results->environment, "cpu_model", "A CPU @ 2.00GHz");
    results->ceilings.threads = 2;
    results->ceilings.n_reads = 1;
    results->ceilings.reads[0] = (mv_read_point){1 << 28, 4e10};
    results->ceilings.flops_per_s = 2.5e11;
    set(results->ceilings.how, sizeof results->ceilings.how, "fixed numbers of a test");
    results->elapsed_ns = 1234567890;
}

void mv_sample_bench(mv_bench_results *results)
{
    static const int64_t chunks[] = {1, 8, 64, 512}, depths[] = {0, 63, 255, 1023};
    static const int64_t windows[] = {64, 0};
    begin(results);
    for (size_t w = 0; w < 2; w++) {
        for (size_t i = 0; i < 4; i++) {
            double slow = windows[w] == 0 ? 1 + (double)depths[i] / 1000 : 1.0;
            add_run(results, MV_BENCH_PREFILL, 0, chunks[i], windows[w], 1,
                    100 * (double)(i + 1) - (double)w);
            add_run(results, MV_BENCH_DECODE, depths[i], 0, windows[w], 1, 90 / slow);
            add_run(results, MV_BENCH_DECODE, depths[i], 0, windows[w], 4, 200 / slow);
        }
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        const bool is_prefill = results->runs[i].phase == MV_BENCH_PREFILL;
        set_profile(&results->runs[i], is_prefill ? 3000000 : 1000000, is_prefill ? 1.02 : 1.46);
    }
    mv_bench_run_warn(&results->runs[0], "foreign_load", "others used 0.8 cores");
    add_comparison(results, "prefill time", 0.9, MV_BENCH_FASTER);
    add_comparison(results, "decode time", 1.001, MV_BENCH_SAME);
    add_comparison(results, "decode time, window 64", 1.08, MV_BENCH_SLOWER);
    add_comparison(results, "first token", 1.03, MV_BENCH_INCONCLUSIVE);
    add_claim(results, "decode is flat beyond the window", true);
    add_claim(results, "the cache does not grow", false);
}

void mv_sample_bench_hostile(mv_bench_results *results, const char *text)
{
    begin(results);
    set(results->tool_version, sizeof results->tool_version, text);
    set(results->tool_commit, sizeof results->tool_commit, text);
    set(results->model_spec, sizeof results->model_spec, text);
    mv_environment_set(&results->environment, text, text);
    set(results->ceilings.how, sizeof results->ceilings.how, text);
    for (int64_t depth = 0; depth < 30; depth += 10) {
        add_run(results, MV_BENCH_DECODE, depth, 0, 8, 1, 50);
        mv_bench_run *run = &results->runs[results->n_runs - 1];
        set(run->backend, sizeof run->backend, text);
        set(run->build_id, sizeof run->build_id, text);
        set(run->check, sizeof run->check, text);
        set_profile(run, 1000000, 1);
        set(run->profile.ops[0].op, sizeof run->profile.ops[0].op, text);
        set(run->profile.how, sizeof run->profile.how, text);
        mv_bench_run_warn(run, "code", "%s", text);
        set(run->warnings[0].code, sizeof run->warnings[0].code, text);
    }
    add_comparison(results, text, 1.5, MV_BENCH_SLOWER);
    mv_bench_comparison *one = &results->comparisons[0];
    set(one->base, sizeof one->base, text);
    set(one->candidate, sizeof one->candidate, text);
    set(one->method, sizeof one->method, text);
    set(one->clock, sizeof one->clock, text);
    set(one->reason, sizeof one->reason, text);
    add_claim(results, text, false);
    mv_bench_claim *claim = &results->claims[0];
    set(claim->predicted, sizeof claim->predicted, text);
    set(claim->measured, sizeof claim->measured, text);
    set(claim->how, sizeof claim->how, text);
}

/* ---- a history ---- */

static const char history_line[] =
    "{\"schema\":\"mistral-bench-history/1\",\"date_utc\":\"2026-01-02T03:04:05Z\",\"commit\":"
    "\"</script><!--\",\"key\":\"k\",\"anchor\":\"sha256:aa\",\"ratio\":1.0}\n";

void mv_sample_history(mv_history *history, const char *key)
{
    const size_t n = 80, line = sizeof history_line - 1;
    *history = (mv_history){.n = n, .capacity = n, .size = n * line};
    history->points = calloc(n, sizeof *history->points);
    history->text = malloc(n * line);
    if (history->points == NULL || history->text == NULL) {
        abort();
    }
    set(history->anchor, sizeof history->anchor, "sha256:aa");
    for (size_t i = 0; i < n; i++) {
        mv_history_point *point = &history->points[i];
        const size_t run = i / 2;
        const double wave = 0.004 * (double)(run * 7 % 5) - 0.008;
        const double ratio = (i % 2 == 0 && run >= 20 ? 1.05 : 1) + wave;
        memcpy(history->text + i * line, history_line, line);
        set(point->key, sizeof point->key, i % 2 == 0 ? "decode time" : key);
        (void)snprintf(point->commit, sizeof point->commit, "%07zu", run);
        (void)snprintf(point->date, sizeof point->date, "2026-01-%02zuT03:04:05Z", run % 28 + 1);
        point->log_ratio = log(ratio);
        point->log_low = log(ratio - 0.01);
        point->log_high = log(ratio + 0.012);
    }
}
