#include "tests/report_samples.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char mv_hostile_text[] =
    "</script>]]>\"'&<b>|`\\*_ \x01\x1b[31m\x7f\t\r\n"
    "``` # SKIP x, ok 1 \xc2\x9b \xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82 \xef\xbf\xbf "
    "\xe2\x80\xa8 \xe2\x80\xae \xe2\x82\xac \xf0\x9f\x98\x80 --- ... {}: =1+1";

static void set(char *field, size_t size, const char *text)
{
    (void)snprintf(field, size, "%s", text);
}

static void add(mv_verify_results *results, const mv_case_result *one)
{
    mv_error error;
    if (mv_verify_results_add(results, one, &error) != MV_OK) {
        abort(); /* out of memory in a test */
    }
}

static void add_mutant(mv_verify_results *results, const char *name, const char *killed_by,
                       double r_rmse, int equivalent)
{
    mv_mutant_result mutant = {.r_rmse = r_rmse, .equivalent = equivalent};
    mv_error error;
    set(mutant.name, sizeof mutant.name, name);
    set(mutant.imitates, sizeof mutant.imitates, "the mask of one key too many");
    set(mutant.expected_suites, sizeof mutant.expected_suites, "window,ring");
    set(mutant.killed_by, sizeof mutant.killed_by, killed_by);
    if (mv_verify_results_add_mutant(results, &mutant, &error) != MV_OK) {
        abort();
    }
}

static void begin(mv_verify_results *results)
{
    mv_verify_results_init(results);
    set(results->tool_version, sizeof results->tool_version, "0.1.0");
    set(results->tool_commit, sizeof results->tool_commit, "0123abc");
    set(results->model_spec, sizeof results->model_spec, "synthetic:probe");
    memset(results->weights_sha256, 'a', 64);
    results->params = (mv_params){64, 4, 16, 128, 4, 2, 256, 8, 1e-5, 1e4};
    results->environment.n_facts = 2;
    set(results->environment.facts[0].key, 48, "cpu_model");
    set(results->environment.facts[0].value, 208, "A CPU @ 2.00GHz");
    set(results->environment.facts[1].key, 48, "cores");
    set(results->environment.facts[1].value, 208, "2");
    results->elapsed_ns = 412345678;
}

static mv_case_result make_case(const char *suite, int64_t chunk, int64_t window, double ratio)
{
    mv_case_result one;
    mv_case_result_clear(&one);
    set(one.suite, sizeof one.suite, suite);
    (void)snprintf(one.name, sizeof one.name, "chunk=%" PRId64 " window=%" PRId64, chunk, window);
    set(one.backend, sizeof one.backend, "blas");
    one.window = window;
    one.chunk = chunk;
    one.length = 64;
    one.seed = 1;
    one.verdict = MV_VERDICT_PASS;
    one.n_positions = 64;
    one.n_beyond_window = window > 0 ? 64 - window : 0;
    one.metrics.r_rmse = ratio;
    one.metrics.r_row = ratio * 1.25;
    one.metrics.r_maxabs = ratio * 1.5;
    one.metrics.max_abs = 0.1;
    one.limits.r_rmse = 2;
    one.limits.r_row = 6;
    one.limits.r_maxabs = 4;
    one.headroom = 2 / ratio;
    one.worst = (mv_worst){17, 211, -1.25, -1.2500001};
    one.elapsed_ns = 1500000;
    return one;
}

static void add_grid(mv_verify_results *results, const char *suite)
{
    static const int64_t chunks[] = {1, 3, 16, 0}, windows[] = {4, 8, 0};
    for (size_t c = 0; c < 4; c++) {
        for (size_t w = 0; w < 3; w++) {
            mv_case_result one =
                make_case(suite, chunks[c], windows[w], 1 + (double)c / 8 + (double)w / 64);
            add(results, &one);
        }
    }
}

void mv_sample_passing(mv_verify_results *results)
{
    begin(results);
    add_grid(results, "chunking");
}

void mv_sample_divergence(mv_divergence *divergence, int64_t n_layers, int64_t n_positions,
                          int64_t bad, const char *op, int64_t from)
{
    static const char *const ops[] = {"attention_norm", "q",    "k",  "v",       "attention",
                                      "attention_out",  "gate", "up", "ffn_out", "layer_out"};
    mv_divergence_begin(divergence, n_layers, n_positions);
    mv_divergence_add_step(divergence, -1, "embedding", 0);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            const bool is_bad = layer == bad && strcmp(ops[i], op) == 0;
            mv_divergence_add_step(divergence, layer, ops[i],
                                   is_bad ? 41.25 : 0.2 + (double)((size_t)layer + i) / 1e3);
        }
        for (int64_t i = 0; i < n_positions; i++) {
            const bool is_bad = layer == bad && i >= from;
            mv_divergence_add_row(divergence, layer, i, is_bad ? 12.5 : 0.2);
        }
    }
    mv_divergence_add_step(divergence, -1, "logits", strcmp(op, "logits") == 0 ? NAN : 0.3);
    for (int64_t i = 0; i < n_positions; i++) {
        mv_divergence_add_row(divergence, -1, i, 0.6);
    }
}

static void add_failing_window(mv_verify_results *results)
{
    mv_case_result one = make_case("window", 3, 8, 41.25);
    one.verdict = MV_VERDICT_FAIL;
    one.headroom = 2 / 41.25;
    set(one.reason, sizeof one.reason, "r_rmse 41.3 is above the limit 2.00");
    one.metrics.effective_window = 9;
    one.limits.effective_window = 8;
    one.worst.actual = 0.5;
    one.divergence_layer = 0;
    one.divergence_position = 8;
    set(one.divergence_op, sizeof one.divergence_op, "attention");
    mv_divergence profile;
    mv_sample_divergence(&profile, 4, 64, 0, "attention", 8);
    one.divergence = &profile;
    set(one.reproduce, sizeof one.reproduce,
        "mistral-verify --suite window --backend blas --chunk 3 --window 8 --length 64 --seed 1");
    add(results, &one);
}

static void add_nan(mv_verify_results *results)
{
    mv_case_result one = make_case("ring", 0, 8, NAN);
    one.verdict = MV_VERDICT_FAIL;
    one.headroom = NAN;
    set(one.name, sizeof one.name, "schedule 5,1,1,7");
    set(one.schedule, sizeof one.schedule, "5,1,1,7");
    set(one.reason, sizeof one.reason, "3 logits are not finite, the first in row 13");
    one.metrics.max_abs = INFINITY;
    one.worst = (mv_worst){15, 0, 0.75, NAN};
    add(results, &one);
}

static void add_others(mv_verify_results *results)
{
    mv_case_result one = make_case("window", 3, 0, 1);
    one.verdict = MV_VERDICT_ERROR;
    mv_metrics_clear(&one.metrics);
    one.headroom = NAN;
    one.worst.position = -1;
    set(one.reason, sizeof one.reason, "the backend crashed: signal 11 in forward");
    add(results, &one);

    mv_case_result_clear(&one);
    set(one.suite, sizeof one.suite, "recorded");
    set(one.name, sizeof one.name, "golden");
    set(one.backend, sizeof one.backend, "blas");
    one.seed = UINT64_MAX;
    add(results, &one);

    set(one.suite, sizeof one.suite, "backends");
    set(one.name, sizeof one.name, "cuda against blas");
    set(one.backend, sizeof one.backend, "cuda");
    one.compute = MV_COMPUTE_BF16;
    one.seed = 1;
    one.verdict = MV_VERDICT_SKIP;
    set(one.reason, sizeof one.reason, "no CUDA device");
    add(results, &one);
}

void mv_sample_mixed(mv_verify_results *results)
{
    mv_sample_passing(results);
    add_failing_window(results);
    add_grid(results, "window");
    add_nan(results);
    add_others(results);
    add_mutant(results, "window_plus_one", "window,ring", 41.25, 0);
    add_mutant(results, "eps_after_sqrt", "", NAN, 0);
    add_mutant(results, "q_and_k_negated", "", 1.0, 1);
    add_mutant(results, "heads_swapped_with_wo", "chunking", 9.5, 1);
    results->benign_total = 40;
}

void mv_sample_deep(mv_verify_results *results, size_t n)
{
    begin(results);
    for (size_t i = 0; i < n; i++) {
        mv_case_result one = make_case("window", 3, 8 + (int64_t)i, 41.25);
        mv_divergence profile;
        mv_sample_divergence(&profile, 64, 64 * 64, (int64_t)i, "q", 0);
        for (size_t r = 0; r <= profile.n_rows; r++) {
            for (size_t b = 0; b < profile.n_bins; b++) {
                profile.times_limit[r][b] = (r + b) % 2 == 0 ? 0.3 : b % 4 == 1 ? 33.3 : 3e30;
            }
        }
        while (profile.n_steps < MV_DIVERGENCE_MAX_STEPS) {
            mv_divergence_add_step(&profile, 63, "layer_out", 1e-9);
        }
        profile.steps[1].times_limit = INFINITY;
        one.verdict = MV_VERDICT_FAIL;
        one.divergence_layer = (int64_t)i;
        one.divergence = &profile;
        set(one.reason, sizeof one.reason, "r_rmse 41.3 is above the limit 2.00");
        set(one.divergence_op, sizeof one.divergence_op, "q");
        add(results, &one);
    }
}

void mv_sample_hostile(mv_verify_results *results, const char *text)
{
    mv_verify_results_init(results);
    set(results->tool_version, sizeof results->tool_version, text);
    set(results->tool_commit, sizeof results->tool_commit, text);
    set(results->model_spec, sizeof results->model_spec, text);
    memset(results->weights_sha256, 'f', 64); /* digits of ours, the one field that is no text */
    results->environment.n_facts = 1;
    set(results->environment.facts[0].key, 48, text);
    set(results->environment.facts[0].value, 208, text);
    for (int verdict = MV_VERDICT_PASS; verdict <= MV_VERDICT_SKIP; verdict++) {
        mv_case_result one = make_case(text, 1, 8, 1);
        one.verdict = (mv_verdict)verdict;
        set(one.name, sizeof one.name, text);
        set(one.backend, sizeof one.backend, text);
        set(one.schedule, sizeof one.schedule, text);
        set(one.reason, sizeof one.reason, text);
        set(one.divergence_op, sizeof one.divergence_op, text);
        set(one.reproduce, sizeof one.reproduce, text);
        mv_divergence profile;
        mv_sample_divergence(&profile, 70, 1000, 3, "logits", 0);
        for (size_t i = 0; i < profile.n_steps; i++) {
            set(profile.steps[i].op, sizeof profile.steps[i].op, text);
        }
        one.divergence = verdict == MV_VERDICT_FAIL ? &profile : NULL;
        add(results, &one);
    }
    add_mutant(results, text, "", NAN, 0);
    mv_mutant_result *mutant = &results->mutants[0];
    set(mutant->imitates, sizeof mutant->imitates, text);
    set(mutant->expected_suites, sizeof mutant->expected_suites, text);
    add_mutant(results, text, text, INFINITY, 1);
}
