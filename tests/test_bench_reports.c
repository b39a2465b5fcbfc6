#include "tests/test_main.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "reports/parts.h"
#include "tests/report_samples.h"

static mv_bench_results results;
static mv_bytes bytes;
static mv_error error;
static const mv_report_style plain = {0};

static void set(char *field, size_t size, const char *text)
{
    (void)snprintf(field, size, "%s", text);
}

/* A prefill in two chunks that is complete, and a decode of which nothing is known. */
static void make(const char *text)
{
    mv_bench_run run;
    mv_bench_results_init(&results);
    set(results.tool_version, sizeof results.tool_version, text);
    set(results.model_spec, sizeof results.model_spec, text);
    results.ceilings = (mv_ceilings){.threads = 2,
                                     .reads = {{1 << 20, 5e10}, {1 << 28, 2e10}},
                                     .n_reads = 2,
                                     .flops_per_s = 1.7e11,
                                     .bf16_flops_per_s = NAN};
    mv_bench_run_clear(&run);
    set(run.backend, sizeof run.backend, text);
    set(run.build_id, sizeof run.build_id, text);
    set(run.check, sizeof run.check, text);
    run.shape = (mv_bench_shape){.prompt = 64, .chunk = 32, .window = 8, .batch = 2, .threads = 1};
    run.seed = UINT64_MAX;
    run.samples_ns = malloc(3 * sizeof *run.samples_ns);
    run.chunk_ns = malloc(2 * sizeof *run.chunk_ns);
    ck_assert(run.samples_ns != NULL && run.chunk_ns != NULL);
    for (int64_t i = 0; i < 3; i++)
        run.samples_ns[run.n_samples++] = 1000000 + i;
    for (int64_t i = 0; i < 2; i++)
        run.chunk_ns[run.n_chunks++] = 500000 + i;
    run.tokens_per_s = (mv_estimate){128000, 0, INFINITY};
    run.fraction_of_limit = 0.25;
    run.limit = MV_LIMIT_COMPUTE;
    run.checked = true;
    mv_bench_run_warn(&run, "few_samples", "%s", text);
    ck_assert_int_eq(mv_bench_results_add(&results, &run, &error), MV_OK);
    mv_bench_run_clear(&run);
    run.phase = MV_BENCH_DECODE;
    run.shape = (mv_bench_shape){.generate = 4, .batch = 1, .threads = 1};
    set(run.check, sizeof run.check, text);
    ck_assert_int_eq(mv_bench_results_add(&results, &run, &error), MV_OK);

    mv_bench_comparison row = {.ratio = {1.1, 1.05, 1.2},
                               .p_slower = 0.001,
                               .n_groups = 16,
                               .n_confirm = 32,
                               .gate_percent = NAN,
                               .verdict = MV_BENCH_SLOWER};
    set(row.key, sizeof row.key, text);
    set(row.base, sizeof row.base, text);
    set(row.candidate, sizeof row.candidate, text);
    set(row.method, sizeof row.method, "interleaved");
    set(row.clock, sizeof row.clock, "cpu");
    set(row.reason, sizeof row.reason, text);
    ck_assert_int_eq(mv_bench_results_add_comparison(&results, &row, &error), MV_OK);
    mv_bench_claim claim = {.was_measured = true, .holds = false};
    set(claim.id, sizeof claim.id, text);
    set(claim.statement, sizeof claim.statement, text);
    ck_assert_int_eq(mv_bench_results_add_claim(&results, &claim, &error), MV_OK);
}

static const char *write_as(const char *format)
{
    const mv_report *report = mv_report_find(format);
    ck_assert_ptr_nonnull(report);
    mv_bytes_free(&bytes);
    report->write_bench(&bytes, &results, &plain);
    ck_assert(!bytes.failed);
    return bytes.data;
}

static void tear_down(void)
{
    mv_bench_results_free(&results);
    mv_bytes_free(&bytes);
}

START_TEST(no_hostile_byte_gets_through)
{
    make(mv_hostile_text);
    for (size_t r = 0; r < mv_n_reports; r++) {
        if (mv_reports[r].write_bench == NULL || strcmp(mv_reports[r].name, "html") == 0)
            continue;
        const char *text = write_as(mv_reports[r].name);
        const bool is_csv = strcmp(mv_reports[r].name, "csv") == 0;
        for (uint32_t c; (c = mv_utf8_next(&text)) != 0;)
            ck_assert_msg((c >= 0x20 && (c < 0x7F || c > 0x9F)) || c == '\n' ||
                              (is_csv && (c == '\r' || c == '\t')),
                          "%s: %x", mv_reports[r].name, (unsigned)c);
    }
}
END_TEST

START_TEST(json_says_what_is_known_and_leaves_out_the_rest)
{
    json_error_t where;
    make(mv_hostile_text);
    json_t *root = json_loads(write_as("json"), JSON_REJECT_DUPLICATES, &where);
    ck_assert_msg(root != NULL, "line %d: %s", where.line, where.text);
    json_t *runs = json_object_get(root, "runs"), *first = json_array_get(runs, 0);
    json_t *second = json_array_get(runs, 1);
    ck_assert_uint_eq(json_array_size(runs), 2);
    ck_assert_str_eq(json_string_value(json_object_get(first, "seed")), "18446744073709551615");
    json_t *interval = json_object_get(json_object_get(first, "tokens_per_s"), "ci95");
    ck_assert_str_eq(json_string_value(json_array_get(interval, 1)), "inf");
    ck_assert_ptr_null(json_object_get(first, "ttft_ns"));
    ck_assert_uint_eq(json_array_size(json_object_get(first, "chunk_ns")), 2);
    ck_assert_ptr_null(json_object_get(second, "tokens_per_s"));
    ck_assert_ptr_null(json_object_get(second, "fraction_of_limit"));
    ck_assert(json_is_false(json_object_get(second, "checked")));
    ck_assert_ptr_null(json_object_get(json_object_get(root, "ceilings"), "bf16_flops_per_s"));
    json_decref(root);
}
END_TEST

START_TEST(text_and_markdown_put_what_fails_into_words)
{
    make("some");
    const char *text = write_as("text");
    ck_assert_ptr_nonnull(strstr(text, "UNCHECKED"));
    ck_assert_ptr_nonnull(strstr(text, "* slower        some: +10.00 % (95 %: +5.00 to +20.00)"));
    ck_assert_ptr_nonnull(strstr(text, "BROKEN"));
    ck_assert_ptr_nonnull(strstr(text, "25% compute"));
    ck_assert_ptr_nonnull(strstr(text, "2 rows, 1 unchecked, 1 comparison: 1 slower, 0 inconclus"));
    ck_assert_ptr_nonnull(strstr(write_as("md"), "| **slower** | some | +10.00 % |"));
}
END_TEST

START_TEST(a_profile_is_said_and_costs_other_runs_nothing)
{
    make("some");
    ck_assert_ptr_null(strstr(write_as("csv"), "profile"));
    ck_assert_ptr_null(strstr(write_as("text"), "time by op"));
    ck_assert_ptr_null(strstr(write_as("md"), "Time by op"));
    results.runs[0].profile = (mv_bench_profile){
        .ops = {{"attention", 250000, 0.25}, {"gate|up", 700000, 0.7}, {"norm", 1000, 0.001}},
        .n_ops = 3,
        .how = "made up",
        .n_passes = 3,
        .total_ns = 1000000,
        .untapped_ns = 49000,
        .ratio_to_timed = 1.5};
    const char *csv = write_as("csv");
    ck_assert_ptr_nonnull(strstr(csv, ",profile_total_ns,profile_untapped_ns,"
                                      "profile_ratio_to_timed,profile_ops_ns\r\n"));
    ck_assert_ptr_nonnull(
        strstr(csv, ",1000000,49000,1.5,attention=250000 gate|up=700000 norm=1000\r\n"));
    ck_assert_ptr_nonnull(strstr(write_as("text"), ": gate|up 70%, attention 25%; 1.00 ms with "
                                                   "taps, 1.50 times the timed "));
    ck_assert_ptr_nonnull(
        strstr(write_as("md"), "| gate\\|up 70 %, attention 25 % | 1.00 ms | 1.50 |"));
    ck_assert_ptr_nonnull(strstr(write_as("json"), "\"total_ns\": 1000000, \"untapped_ns\": 49000, "
                                                   "\"ratio_to_timed\": 1.5}"));
}
END_TEST

START_TEST(quantities_have_three_digits_and_a_prefix)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0.00 B"},     {1, "1.00 B"},      {999.4, "999 B"},   {999.6, "1.00 kB"},
        {1536, "1.54 kB"}, {2.5e-4, "250 uB"}, {99.96, "100 B"},   {4.3e12, "4.30 TB"},
        {NAN, "-"},        {INFINITY, "-"},    {-2e9, "-2.00 GB"}, {9.995, "10.0 B"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_str_eq(mv_short_quantity(table[i].value, "B").text, table[i].text);
}
END_TEST

static Suite *bench_reports_suite(void)
{
    Suite *suite = suite_create("bench_reports");
    TCase *tcase = tcase_create("bench_reports");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, no_hostile_byte_gets_through);
    tcase_add_test(tcase, json_says_what_is_known_and_leaves_out_the_rest);
    tcase_add_test(tcase, text_and_markdown_put_what_fails_into_words);
    tcase_add_test(tcase, a_profile_is_said_and_costs_other_runs_nothing);
    tcase_add_test(tcase, quantities_have_three_digits_and_a_prefix);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(bench_reports_suite)
