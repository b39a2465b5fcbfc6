#include "tests/test_main.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/bench.h"
#include "harness/bench_doubts.h"
#include "harness/model.h"
#include "harness/roofline.h"

#define CLOSE(a, b, tolerance) ck_assert_double_eq_tol((a), (b), (tolerance))

static mv_error error;
static mv_model *model;
static mv_bench bench;
static mv_bench_run run;

static void open_model(const char *spec)
{
    ck_assert_msg(mv_model_open(&model, spec, &error) == MV_OK, "%s", error.message);
}

static const mv_backend *load(const char *name)
{
    const mv_backend *table = NULL;
    char path[4096];
    (void)setenv("MISTRAL_BACKEND_DIR", MV_BUILD_ROOT "/backends", 1);
    ck_assert_msg(mv_backend_load(&table, name, path, sizeof path, &error) == MV_OK, "%s",
                  error.message);
    return table;
}

static void set_up(void)
{
    open_model("synthetic:probe");
    bench = (mv_bench){
        .subject = {.backend = load("reference"), .model = mv_model_get_view(model), .seed = 7},
        .backend_name = "some",
        .build_id = "1",
        .reference = load("reference"),
        .min_time_s = 0,
        .max_time_s = 0.001,
        .precision = 10,
        .min_warmup = 1,
    };
    mv_bench_run_clear(&run);
}

static void tear_down(void)
{
    free(run.samples_ns);
    free(run.chunk_ns);
    mv_bench_free(&bench);
    mv_model_close(&model);
}

static void measure(mv_bench_phase phase, mv_bench_shape shape)
{
    free(run.samples_ns);
    free(run.chunk_ns);
    mv_code code = mv_bench_measure(&bench, phase, &shape, &run, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
}

/* ---- formulas ---- */

START_TEST(visible_pairs_are_those_that_one_counts)
{
    for (int64_t window = 0; window <= 9; window++)
        for (int64_t start = 0; start <= 20; start++)
            for (int64_t n = 1; n <= 20; n++) {
                double pairs = 0;
                for (int64_t i = start; i < start + n; i++)
                    pairs += (double)(window > 0 && i + 1 > window ? window : i + 1);
                CLOSE(mv_visible_pairs(start, n, window), pairs, 1e-9);
            }
}
END_TEST

/* Mistral-7B in bfloat16, without any weights: the formulas read only shapes and sizes. */
static mv_model_view shapes_of_7b(mv_layer layers[32])
{
    mv_model_view view = {.struct_size = sizeof view, .layer_size = sizeof *layers};
    view.params = (mv_params){4096, 32, 128, 14336, 32, 8, 32000, 4096, 1e-5, 1e4};
    memset(layers, 0, 32 * sizeof *layers);
    for (int l = 0; l < 32; l++) {
        layers[l].wq.size_bytes = layers[l].wo.size_bytes = 2ull * 4096 * 4096;
        layers[l].wk.size_bytes = layers[l].wv.size_bytes = 2ull * 1024 * 4096;
        layers[l].w1.size_bytes = layers[l].w2.size_bytes = layers[l].w3.size_bytes =
            2ull * 14336 * 4096;
    }
    view.output.size_bytes = 2ull * 32000 * 4096;
    view.layers = layers;
    return view;
}

START_TEST(a_token_of_7b_costs_what_the_paper_sizes_say)
{
    static const struct {
        int64_t depth, window;
        double gflop, gbyte; /* docs/BENCHMARKING.md's table; bfloat16, one sequence */
    } table[] = {
        {0, 4096, 14.22, 14.22},
        {4095, 4096, 16.37, 14.76},
        {32767, 4096, 16.37, 14.76},
        {32767, 0, 31.40, 18.52},
    };
    mv_layer layers[32];
    const mv_model_view view = shapes_of_7b(layers);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mv_cost cost = {0};
        mv_cost_add_call(&cost, &view, MV_COMPUTE_BF16, table[i].depth, 1, table[i].window, 1, 1,
                         NULL);
        CLOSE((cost.linear_flops + cost.attention_flops + cost.output_flops) * 1e-9, table[i].gflop,
              0.006);
        CLOSE((cost.linear_bytes + cost.attention_bytes + cost.output_bytes) * 1e-9, table[i].gbyte,
              0.006);
        ck_assert(isnan(cost.least_s));
    }
    CLOSE(mv_kv_bytes_per_token(&view.params, MV_COMPUTE_BF16), 131072, 0.1);
}
END_TEST

/* 512 tokens: keys and values of all of them in 32 layers, all else in 31; the 32nd for the rows of
 * logits, one by one counted here. */
START_TEST(the_last_layer_costs_what_the_rows_of_logits_need)
{
    mv_layer layers[32];
    const mv_model_view view = shapes_of_7b(layers);
    const double kv = 2.0 * 1024 * 4096, rest = 2.0 * 4096 * 4096 + 3.0 * 14336 * 4096;
    static const int64_t rows[] = {0, 1, 512};
    for (size_t i = 0; i < 3; i++) {
        const double n = (double)rows[i];
        double pairs = 31 * 512.0 * 513 / 2, keys = 31 * 512 + (n > 0 ? 512 : 0);
        mv_cost cost = {0};
        for (int64_t t = 512 - rows[i]; t < 512; t++)
            pairs += (double)t + 1;
        mv_cost_add_call(&cost, &view, MV_COMPUTE_BF16, 0, 512, 4096, 1, rows[i], NULL);
        CLOSE(cost.linear_flops, 2 * ((32 * kv + 31 * rest) * 512 + rest * n), 0.5);
        CLOSE(cost.linear_bytes, 2 * (32 * kv + (n > 0 ? 32 : 31) * rest), 0.5);
        CLOSE(cost.pairs, 32 * pairs, 0.5);
        CLOSE(cost.attention_bytes, 131072.0 / 32 * (keys + 32 * 512), 0.5);
    }
}
END_TEST

START_TEST(the_least_time_is_the_slower_of_arithmetic_and_memory_part_by_part)
{
    mv_layer layers[32];
    const mv_model_view view = shapes_of_7b(layers);
    const mv_ceilings fast_memory = {.threads = 1,
                                     .reads = {{1 << 20, 9e15}, {1 << 30, 1e15}},
                                     .n_reads = 2,
                                     .flops_per_s = 1e12,
                                     .bf16_flops_per_s = NAN};
    const mv_ceilings slow_memory = {.threads = 1,
                                     .reads = {{1 << 20, 9e15}, {1 << 30, 4.3e12}},
                                     .n_reads = 2,
                                     .flops_per_s = 1e18,
                                     .bf16_flops_per_s = NAN};
    mv_cost cost = {0};
    mv_cost_add_call(&cost, &view, MV_COMPUTE_BF16, 0, 1, 4096, 1, 1, &fast_memory);
    CLOSE(cost.least_s, 14.22e9 / 1e12, 1e-5);
    CLOSE(cost.least_memory_s, 0, 1e-12);
    cost = (mv_cost){0};
    mv_cost_add_call(&cost, &view, MV_COMPUTE_BF16, 0, 1, 4096, 1, 1, &slow_memory);
    CLOSE(1 / cost.least_s, 302, 1); /* tokens a second at 4.3 TB/s */
    CLOSE(cost.least_memory_s, cost.least_s, 1e-12);
}
END_TEST

/* ---- measuring ---- */

static double pairs_of_all_rows(const mv_bench_shape *shape)
{
    const mv_params *p = &bench.subject.model->params;
    return mv_visible_pairs(shape->depth, shape->prompt + shape->generate, shape->window) *
           (double)shape->batch * p->n_layers * p->n_heads;
}

START_TEST(the_work_that_the_reference_counts_is_that_of_the_formulas)
{
    static const mv_bench_shape shapes[] = {
        {.prompt = 30, .chunk = 7, .window = 8, .batch = 2, .threads = 1},
        {.prompt = 30, .window = 0, .batch = 1, .threads = 1},
        {.prompt = 5, .depth = 11, .chunk = 2, .window = 8, .batch = 1, .threads = 1},
        {.generate = 12, .depth = 3, .window = 8, .batch = 3, .threads = 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const mv_bench_phase phase = shapes[i].prompt > 0 ? MV_BENCH_PREFILL : MV_BENCH_DECODE;
        measure(phase, shapes[i]);
        const mv_cost cost =
            mv_cost_of_shape(bench.subject.model, MV_COMPUTE_F32, phase, &shapes[i], NULL);
        ck_assert_msg(run.checked, "%s", run.check);
        ck_assert(run.has_work);
        /* It takes all rows through the last layer, which only the asked-for ones need. */
        CLOSE((double)run.work.linear_multiply_adds,
              mv_linear_of_all_rows(bench.subject.model, &shapes[i], phase), 0.5);
        ck_assert(2.0 * (double)run.work.linear_multiply_adds >= cost.linear_flops);
        CLOSE(2.0 * (double)run.work.output_multiply_adds, cost.output_flops, 0.5);
        CLOSE((double)run.work.attention_pairs, pairs_of_all_rows(&shapes[i]), 0.5);
        CLOSE((double)run.work.attention_multiply_adds,
              2.0 * bench.subject.model->params.head_dim * (double)run.work.attention_pairs, 0.5);
        ck_assert_uint_eq(run.work.allocations, 0);
    }
}
END_TEST

/* The reference is bitwise chunk-invariant, so that any wrong position, token or reset shows. */
START_TEST(prefill_in_chunks_and_decode_at_depth_end_at_the_same_logits)
{
    char expected[sizeof run.logits];
    bench.min_time_s = bench.max_time_s = 0.02; /* several passes */
    bench.precision = 0;
    measure(MV_BENCH_PREFILL,
            (mv_bench_shape){.prompt = 21, .window = 8, .batch = 2, .threads = 1});
    memcpy(expected, run.logits, sizeof expected);
    ck_assert_uint_eq(strlen(expected), 16);
    ck_assert_uint_ge(run.n_samples, 1); /* how many, is up to the machine */
    measure(MV_BENCH_PREFILL,
            (mv_bench_shape){.prompt = 21, .chunk = 4, .window = 8, .batch = 2, .threads = 1});
    ck_assert_str_eq(run.logits, expected);
    ck_assert_uint_eq(run.n_chunks, 6);
    measure(MV_BENCH_PREFILL,
            (mv_bench_shape){
                .prompt = 16, .depth = 5, .chunk = 3, .window = 8, .batch = 2, .threads = 1});
    ck_assert_str_eq(run.logits, expected);
    measure(MV_BENCH_DECODE,
            (mv_bench_shape){.generate = 4, .depth = 17, .window = 8, .batch = 2, .threads = 1});
    ck_assert_str_eq(run.logits, expected);
    ck_assert_uint_eq(run.n_samples % 4, 0);
    measure(MV_BENCH_DECODE,
            (mv_bench_shape){.generate = 4, .depth = 16, .window = 8, .batch = 2, .threads = 1});
    ck_assert_str_ne(run.logits, expected);
}
END_TEST

START_TEST(a_row_is_complete)
{
    const mv_ceilings ceilings = {.threads = 1,
                                  .reads = {{1 << 20, 1e15}},
                                  .n_reads = 1,
                                  .flops_per_s = 1e15,
                                  .bf16_flops_per_s = NAN};
    bench.ceilings = &ceilings;
    measure(MV_BENCH_PREFILL,
            (mv_bench_shape){.prompt = 20, .window = 8, .batch = 1, .threads = 1});
    ck_assert(run.tokens_per_s.value > 0);
    ck_assert_int_ge(run.ttft_ns, run.samples_ns[0] / 1000);
    ck_assert_int_eq(run.token_ns_p50, -1);
    ck_assert(run.fraction_of_limit > 0 && run.fraction_of_limit <= 1);
    ck_assert_int_gt(run.kv_cache_bytes, 0);
    ck_assert_int_gt(run.peak_rss_bytes, 0);
    measure(MV_BENCH_DECODE,
            (mv_bench_shape){.generate = 9, .window = 8, .batch = 1, .threads = 1});
    ck_assert_int_eq(run.ttft_ns, -1);
    ck_assert_int_gt(run.token_ns_p50, 0);
    ck_assert_int_ge(run.token_ns_p95, run.token_ns_p50);
    ck_assert_int_ge(run.token_ns_p99, run.token_ns_p95);
}
END_TEST

static bool has_warning(const char *code)
{
    for (size_t i = 0; i < run.n_warnings; i++)
        if (strcmp(run.warnings[i].code, code) == 0)
            return true;
    return false;
}

START_TEST(a_profile_adds_up_and_leaves_the_samples_alone)
{
    for (int phase = MV_BENCH_PREFILL; phase <= MV_BENCH_DECODE; phase++) {
        const bool is_prefill = phase == MV_BENCH_PREFILL;
        const mv_bench_shape shape = {.prompt = is_prefill ? 11 : 0,
                                      .generate = is_prefill ? 0 : 3,
                                      .depth = 5,
                                      .chunk = is_prefill ? 4 : 0,
                                      .window = 8,
                                      .batch = 2,
                                      .threads = 1};
        bench.profile = true;
        measure((mv_bench_phase)phase, shape);
        const mv_bench_profile *profile = &run.profile;
        int64_t sum = profile->untapped_ns;
        double share = (double)profile->untapped_ns / (double)profile->total_ns;
        for (size_t i = 0; i < profile->n_ops; i++) {
            ck_assert_int_gt(profile->ops[i].ns_median, 0);
            sum += profile->ops[i].ns_median;
            share += profile->ops[i].share;
        }
        ck_assert_int_eq(sum, profile->total_ns);
        CLOSE(share, 1, 1e-9);
        ck_assert_int_ge(profile->untapped_ns, 0);
        ck_assert_int_ge(profile->n_passes, 3);
        ck_assert(isfinite(profile->ratio_to_timed) && profile->ratio_to_timed > 0);
        ck_assert_uint_eq(profile->n_ops, 12); /* each name of the ABI, qkv and gate, up together */
        ck_assert_str_eq(profile->ops[0].op, "embedding");
        ck_assert_str_eq(profile->ops[2].op, "q+k+v");
        ck_assert_str_eq(profile->ops[11].op, "logits");
        /* 4 layers of 12 tensors and 2 or 3 others, of 2 sequences, in 3 calls or 1. */
        char words[64];
        (void)snprintf(words, sizeof words, "time between %d inner tensors of a %s",
                       is_prefill ? 3 * 2 * (4 * 12 + 2) + 2 : 2 * (4 * 12 + 3),
                       is_prefill ? "pass" : "token step");
        ck_assert_msg(strstr(profile->how, words) != NULL, "%s: %s", words, profile->how);
        ck_assert_uint_gt(run.n_samples, 0);
        ck_assert_uint_eq(run.n_samples % (is_prefill ? 1 : 3), 0);
        free(run.samples_ns);
        free(run.chunk_ns);
        mv_bench_run_clear(&run);
    }
}
END_TEST

START_TEST(without_taps_or_unasked_there_is_no_profile)
{
    const mv_bench_shape shape = {.prompt = 4, .window = 8, .batch = 1, .threads = 1};
    mv_backend no_taps = *bench.subject.backend;
    measure(MV_BENCH_PREFILL, shape);
    ck_assert_uint_eq(run.profile.n_ops, 0);
    free(run.samples_ns);
    free(run.chunk_ns);
    mv_bench_run_clear(&run);
    no_taps.set_tap = NULL;
    bench.subject.backend = &no_taps;
    bench.profile = true;
    measure(MV_BENCH_PREFILL, shape);
    ck_assert_uint_gt(run.n_samples, 0);
    ck_assert_uint_eq(run.profile.n_ops, 0);
}
END_TEST

START_TEST(a_limit_that_was_passed_is_not_believed)
{
    const mv_ceilings ceilings = {.threads = 1,
                                  .reads = {{1 << 20, 1.0}},
                                  .n_reads = 1,
                                  .flops_per_s = 1.0,
                                  .bf16_flops_per_s = NAN};
    bench.ceilings = &ceilings;
    measure(MV_BENCH_DECODE,
            (mv_bench_shape){.generate = 9, .window = 8, .batch = 1, .threads = 1});
    ck_assert(isnan(run.fraction_of_limit));
    ck_assert(has_warning("ceiling_too_low"));
}
END_TEST

START_TEST(a_core_of_openblas_has_the_level_of_its_instructions)
{
    static const struct {
        const char *core;
        int level;
    } table[] = {{"Prescott", 0}, {"Sandybridge", 0}, {"no such core", 0}, {"Haswell", 1},
                 {"ZEN", 1},      {"SkylakeX", 2},    {"Cooperlake", 3},   {"SapphireRapids", 3}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(mv_blas_core_level(table[i].core) == table[i].level, "%s", table[i].core);
}
END_TEST

START_TEST(a_blas_core_below_the_cpu_is_doubted)
{
    static const char *const cores[] = {"", "SapphireRapids", "Prescott"};
    for (int i = 0; i < 3; i++) {
        mv_doubts doubts;
        mv_doubts_begin(&doubts);
        mv_bench_run_clear(&run);
        (void)snprintf(doubts.blas_core, sizeof doubts.blas_core, "%s", cores[i]);
        mv_doubts_end(&doubts, &run);
#if defined(__x86_64__)
        const bool has_more = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        ck_assert_int_eq(has_warning("blas_core"), i == 2 && has_more);
#else
        ck_assert(!has_warning("blas_core"));
#endif
    }
}
END_TEST

START_TEST(memory_that_changed_by_a_fifth_is_doubted_unless_others_explain_it)
{
    const mv_ceilings ceilings = {.threads = 1, .reads = {{1 << 28, 40e9}}, .n_reads = 1};
    static const struct {
        double now;
        bool is_shared, doubted;
    } table[] = {{40e9, false, false}, {47e9, false, false}, {34e9, false, false},
                 {78e9, false, true},  {20e9, false, true},  {20e9, true, false},
                 {78e9, true, true},   {NAN, false, false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mv_bench_run_clear(&run);
        if (table[i].is_shared)
            mv_bench_run_warn(&run, "foreign_load", "others");
        mv_doubt_memory_mode(&run, &ceilings, table[i].now);
        ck_assert_msg(has_warning("memory_mode") == table[i].doubted, "%g", table[i].now);
    }
}
END_TEST

START_TEST(work_that_the_formulas_explain_is_not_doubted)
{
    measure(MV_BENCH_PREFILL,
            (mv_bench_shape){.prompt = 20, .chunk = 7, .window = 8, .batch = 2, .threads = 1});
    ck_assert(run.has_work);
    ck_assert(!has_warning("unexplained_work"));
    mv_doubts doubts;
    mv_doubts_begin(&doubts);
    doubts.model = bench.subject.model;
    run.work.output_multiply_adds *= 20;
    mv_doubts_end(&doubts, &run);
    ck_assert(has_warning("unexplained_work"));
}
END_TEST

START_TEST(an_engine_with_wrong_logits_is_not_timed)
{
    bench.subject.backend = load("template"); /* a Mistral without its layers */
    measure(MV_BENCH_PREFILL, (mv_bench_shape){.prompt = 9, .window = 8, .batch = 1, .threads = 1});
    ck_assert(!run.checked);
    ck_assert_uint_eq(run.n_samples, 0);
    ck_assert_ptr_nonnull(strstr(run.check, "times as far from the float64 reference as allowed"));
    bench.no_check = true;
    measure(MV_BENCH_PREFILL, (mv_bench_shape){.prompt = 9, .window = 8, .batch = 1, .threads = 1});
    ck_assert(!run.checked);
    ck_assert_uint_gt(run.n_samples, 0);
}
END_TEST

START_TEST(an_engine_that_ignores_the_window_is_not_timed)
{
    const mv_bench_shape shape = {.prompt = 40, .window = 8, .batch = 1, .threads = 1};
    const mv_bench_truth *truth;
    mv_bench_engine *engine;
    mv_bench_shape unlimited = shape;
    char text[200];
    bool passed = true;
    unlimited.window = 0;
    ck_assert_int_eq(mv_bench_get_truth(&bench, MV_BENCH_PREFILL, &shape, &truth, &error), MV_OK);
    ck_assert_int_eq(mv_bench_engine_open(&engine, &bench.subject, MV_BENCH_PREFILL, &unlimited,
                                          truth->n, &error),
                     MV_OK);
    ck_assert_int_eq(mv_bench_engine_check(engine, truth, &passed, text, sizeof text, &error),
                     MV_OK);
    ck_assert(!passed);
    mv_bench_engine_close(&engine);
}
END_TEST

START_TEST(a_longer_truth_without_a_window_does_not_serve_a_shorter_shape_with_one)
{
    measure(MV_BENCH_PREFILL, (mv_bench_shape){.prompt = 24, .batch = 1, .threads = 1});
    ck_assert(run.checked);
    measure(MV_BENCH_DECODE,
            (mv_bench_shape){.generate = 6, .window = 8, .batch = 1, .threads = 1});
    ck_assert_msg(run.checked, "%s", run.check);
}
END_TEST

START_TEST(an_engine_that_refuses_says_so)
{
    const mv_option option = {"nonsense", "1"};
    const mv_bench_shape shape = {.prompt = 9, .window = 8, .batch = 1, .threads = 1};
    const mv_bench_shape empty = {.window = 8, .batch = 1, .threads = 1};
    bench.subject.options = &option;
    bench.subject.n_options = 1;
    ck_assert_int_eq(mv_bench_measure(&bench, MV_BENCH_PREFILL, &shape, &run, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "unknown option 'nonsense'"));
    ck_assert_int_eq(mv_bench_measure(&bench, MV_BENCH_PREFILL, &empty, &run, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "prefill of 0 tokens"));
}
END_TEST

START_TEST(two_files_have_two_build_ids)
{
    char a[96], b[96], c[96];
    const mv_backend *backend = load("reference");
    mv_bench_build_id(a, sizeof a, backend, MV_BUILD_ROOT "/backends/null/mistral_null.so");
    mv_bench_build_id(b, sizeof b, backend, MV_BUILD_ROOT "/backends/mistral_template.so");
    mv_bench_build_id(c, sizeof c, backend, "/nonexistent");
    ck_assert_str_ne(a, b);
    ck_assert_ptr_nonnull(strstr(a, "sha256:"));
    ck_assert_str_eq(c, backend->version);
}
END_TEST

static Suite *bench_suite(void)
{
    Suite *suite = suite_create("bench");
    TCase *tcase = tcase_create("bench");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, visible_pairs_are_those_that_one_counts);
    tcase_add_test(tcase, a_token_of_7b_costs_what_the_paper_sizes_say);
    tcase_add_test(tcase, the_last_layer_costs_what_the_rows_of_logits_need);
    tcase_add_test(tcase, the_least_time_is_the_slower_of_arithmetic_and_memory_part_by_part);
    tcase_add_test(tcase, the_work_that_the_reference_counts_is_that_of_the_formulas);
    tcase_add_test(tcase, prefill_in_chunks_and_decode_at_depth_end_at_the_same_logits);
    tcase_add_test(tcase, a_row_is_complete);
    tcase_add_test(tcase, a_profile_adds_up_and_leaves_the_samples_alone);
    tcase_add_test(tcase, without_taps_or_unasked_there_is_no_profile);
    tcase_add_test(tcase, a_limit_that_was_passed_is_not_believed);
    tcase_add_test(tcase, a_core_of_openblas_has_the_level_of_its_instructions);
    tcase_add_test(tcase, a_blas_core_below_the_cpu_is_doubted);
    tcase_add_test(tcase, memory_that_changed_by_a_fifth_is_doubted_unless_others_explain_it);
    tcase_add_test(tcase, work_that_the_formulas_explain_is_not_doubted);
    tcase_add_test(tcase, an_engine_with_wrong_logits_is_not_timed);
    tcase_add_test(tcase, an_engine_that_ignores_the_window_is_not_timed);
    tcase_add_test(tcase, a_longer_truth_without_a_window_does_not_serve_a_shorter_shape_with_one);
    tcase_add_test(tcase, an_engine_that_refuses_says_so);
    tcase_add_test(tcase, two_files_have_two_build_ids);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(bench_suite)
