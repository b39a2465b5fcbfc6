#include "tests/test_main.h"

#include <math.h>
#include <string.h>

#include "harness/baseline.h"

static mv_error error;
static mv_bench_results old, now;

static mv_bench_run make_run(double rate, double half_width)
{
    mv_bench_run run;
    mv_bench_run_clear(&run);
    (void)snprintf(run.backend, sizeof run.backend, "reference");
    run.phase = MV_BENCH_PREFILL;
    run.shape = (mv_bench_shape){.prompt = 64, .chunk = 16, .window = 8, .batch = 1, .threads = 2};
    run.seed = 1;
    run.checked = true;
    run.tokens_per_s = (mv_estimate){rate, rate * (1 - half_width), rate * (1 + half_width)};
    run.has_work = true;
    run.work = (mv_work){sizeof run.work, 1000, 100, 400, 50, 2000, 300, 7, 0};
    return run;
}

static void put(mv_bench_results *results, mv_bench_run run)
{
    ck_assert_int_eq(mv_bench_results_add(results, &run, &error), MV_OK);
}

static void set_up(void)
{
    mv_bench_results *both[] = {&old, &now};
    for (int i = 0; i < 2; i++) {
        mv_bench_results_init(both[i]);
        both[i]->params = (mv_params){64, 4, 16, 128, 4, 2, 300, 8, 1e-5, 1e4};
        (void)snprintf(both[i]->model_spec, sizeof both[i]->model_spec, "synthetic:probe");
        mv_environment_set(&both[i]->environment, "cpu_model", "some");
        mv_environment_set(&both[i]->environment, "cores", "2");
    }
    put(&old, make_run(1000, 0.01));
}

static void tear_down(void)
{
    mv_bench_results_free(&old);
    mv_bench_results_free(&now);
}

/* ---- refusals ---- */

START_TEST(another_model_or_machine_is_refused_with_the_field)
{
    static const char *const facts[] = {"cpu_model", "isa",        "memory_bytes",
                                        "cores",     "build_type", "sanitizers"};
    ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_OK);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const mv_environment kept = now.environment;
        mv_environment_set(&now.environment, facts[i], "other");
        ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_ERR_FORMAT);
        ck_assert_ptr_nonnull(strstr(error.message, "old.json: "));
        ck_assert_ptr_nonnull(strstr(error.message, facts[i]));
        ck_assert_ptr_nonnull(strstr(error.message, "'other' here"));
        now.environment = kept;
    }
    mv_environment_set(&now.environment, "date_utc", "another day"); /* that is allowed */
    ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_OK);
    now.params.hidden_dim++;
    ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "hidden_dim differs: '128' there, '129' here"));
    now.params.hidden_dim--;
    (void)snprintf(now.model_spec, sizeof now.model_spec, "synthetic:probe,seed=2");
    ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "model differs"));
}
END_TEST

START_TEST(a_file_without_rows_is_refused)
{
    old.n_runs = 0;
    ck_assert_int_eq(mv_baseline_check(&old, "old.json", &now, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "expected rows of times"));
}
END_TEST

START_TEST(another_shape_seed_or_compute_type_is_refused_with_the_field)
{
    const mv_bench_run *row = NULL;
    mv_bench_run wanted = make_run(1, 0);
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_OK);
    ck_assert_ptr_eq(row, &old.runs[0]);
    const struct {
        const char *name;
        int64_t *field;
    } fields[] = {
        {"prompt differs: '64' there, '65' here", &wanted.shape.prompt},
        {"depth differs", &wanted.shape.depth},
        {"chunk differs", &wanted.shape.chunk},
        {"window differs", &wanted.shape.window},
        {"batch differs", &wanted.shape.batch},
        {"threads differs", &wanted.shape.threads},
        {"seed differs", (int64_t *)&wanted.seed},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        ++*fields[i].field;
        ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_ERR_FORMAT);
        ck_assert_msg(strstr(error.message, fields[i].name) != NULL, "%s", error.message);
        --*fields[i].field;
    }
    wanted.compute = MV_COMPUTE_BF16;
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "compute differs: 'f32' there, 'bf16' here"));
}
END_TEST

START_TEST(the_nearest_of_many_rows_is_the_one_that_is_named)
{
    const mv_bench_run *row = NULL;
    mv_bench_run wanted = make_run(1, 0), other = make_run(1000, 0.01);
    other.phase = MV_BENCH_DECODE;
    put(&old, other);
    wanted.seed = 2;
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "seed differs"));
}
END_TEST

START_TEST(the_name_of_a_backend_counts_only_among_several)
{
    const mv_bench_run *row = NULL;
    mv_bench_run wanted = make_run(1, 0), other = make_run(1000, 0.01);
    (void)snprintf(wanted.backend, sizeof wanted.backend, "./head.so");
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_OK);
    (void)snprintf(other.backend, sizeof other.backend, "blas");
    put(&old, other);
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "backend differs"));
}
END_TEST

START_TEST(a_row_that_was_not_checked_is_nothing_to_compare_with)
{
    const mv_bench_run *row = NULL;
    const mv_bench_run wanted = make_run(1, 0);
    old.runs[0].checked = false;
    ck_assert_int_eq(mv_baseline_find(&row, &old, "old.json", &wanted, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "not checked"));
}
END_TEST

/* ---- verdicts ---- */

static const mv_bench_comparison *compare(mv_bench_run run, size_t n_expected)
{
    put(&now, run);
    ck_assert_int_eq(mv_baseline_compare(&now, &old, "old.json", 10, &error), MV_OK);
    ck_assert_uint_eq(now.n_comparisons, n_expected);
    ck_assert_str_eq(now.comparisons[0].method, "baseline");
    return now.comparisons;
}

START_TEST(only_what_both_intervals_leave_no_doubt_about_is_decided)
{
    static const struct {
        double rate, half_width;
        mv_bench_verdict verdict;
    } table[] = {
        {1000, 0.01, MV_BENCH_SAME},
        {850, 0.01, MV_BENCH_SLOWER},
        {895, 0.01, MV_BENCH_INCONCLUSIVE},
        {850, 0.2, MV_BENCH_INCONCLUSIVE},
        {1200, 0.01, MV_BENCH_FASTER},
        {1000, 0.2, MV_BENCH_INCONCLUSIVE},
        {500, INFINITY, MV_BENCH_INCONCLUSIVE},
    };
    const mv_bench_comparison *row = compare(make_run(table[_i].rate, table[_i].half_width), 2);
    ck_assert_msg(row->verdict == table[_i].verdict, "%s: %s", mv_bench_verdict_name(row->verdict),
                  row->reason);
    ck_assert_double_eq_tol(row->ratio.value, 1000 / table[_i].rate, 1e-12);
    if (row->verdict != MV_BENCH_INCONCLUSIVE)
        ck_assert_ptr_nonnull(strstr(row->reason, "weaker than --vs"));
}
END_TEST

START_TEST(a_disturbed_machine_is_no_regression)
{
    mv_bench_run run = make_run(500, 0.01);
    mv_bench_run_warn(&run, "foreign_load", "others");
    const mv_bench_comparison *row = compare(run, 2);
    ck_assert_int_eq(row->verdict, MV_BENCH_INCONCLUSIVE);
    ck_assert_ptr_nonnull(strstr(row->reason, "foreign_load"));
}
END_TEST

START_TEST(exact_work_is_compared_whatever_the_machine_does)
{
    mv_bench_run run = make_run(1000, 0.01);
    mv_bench_run_warn(&run, "foreign_load", "others");
    run.work.allocations = 1;
    const mv_bench_comparison *rows = compare(run, 2);
    ck_assert_str_eq(rows[1].method, "work");
    ck_assert_int_eq(rows[1].verdict, MV_BENCH_SLOWER);
}
END_TEST

START_TEST(work_of_another_engine_is_not_compared)
{
    mv_bench_run run = make_run(1000, 0.01);
    (void)snprintf(run.backend, sizeof run.backend, "blas");
    run.work.calls = 1000;
    (void)compare(run, 1);
}
END_TEST

START_TEST(a_row_that_does_not_hold_now_is_not_compared)
{
    mv_bench_run run = make_run(NAN, 0);
    run.checked = false;
    put(&now, run);
    ck_assert_int_eq(mv_baseline_compare(&now, &old, "old.json", 10, &error), MV_OK);
    ck_assert_uint_eq(now.n_comparisons, 0);
}
END_TEST

static Suite *baseline_suite(void)
{
    Suite *suite = suite_create("baseline");
    TCase *tcase = tcase_create("baseline");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, another_model_or_machine_is_refused_with_the_field);
    tcase_add_test(tcase, a_file_without_rows_is_refused);
    tcase_add_test(tcase, another_shape_seed_or_compute_type_is_refused_with_the_field);
    tcase_add_test(tcase, the_nearest_of_many_rows_is_the_one_that_is_named);
    tcase_add_test(tcase, the_name_of_a_backend_counts_only_among_several);
    tcase_add_test(tcase, a_row_that_was_not_checked_is_nothing_to_compare_with);
    tcase_add_loop_test(tcase, only_what_both_intervals_leave_no_doubt_about_is_decided, 0, 7);
    tcase_add_test(tcase, a_disturbed_machine_is_no_regression);
    tcase_add_test(tcase, exact_work_is_compared_whatever_the_machine_does);
    tcase_add_test(tcase, work_of_another_engine_is_not_compared);
    tcase_add_test(tcase, a_row_that_does_not_hold_now_is_not_compared);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(baseline_suite)
