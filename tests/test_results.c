#include "tests/test_main.h"

#include <stdio.h>
#include <string.h>

#include "harness/results.h"

static mv_verify_results results;
static mv_error error;

static void set_up(void)
{
    mv_verify_results_init(&results);
}

static void tear_down(void)
{
    mv_verify_results_free(&results);
}

static void add(mv_verdict verdict)
{
    mv_case_result one;
    mv_case_result_clear(&one);
    one.verdict = verdict;
    ck_assert_int_eq(mv_verify_results_add(&results, &one, &error), MV_OK);
}

static void add_mutant(const char *killed_by, int equivalent)
{
    mv_mutant_result mutant = {.equivalent = equivalent};
    (void)snprintf(mutant.killed_by, sizeof mutant.killed_by, "%s", killed_by);
    ck_assert_int_eq(mv_verify_results_add_mutant(&results, &mutant, &error), MV_OK);
}

START_TEST(a_cleared_case_claims_nothing)
{
    mv_case_result one;
    memset(&one, 0x5A, sizeof one);
    mv_case_result_clear(&one);
    ck_assert_int_eq(one.verdict, MV_VERDICT_VACUOUS);
    ck_assert_double_nan(one.metrics.r_rmse);
    ck_assert_double_nan(one.limits.top1_agreement);
    ck_assert_double_nan(one.headroom);
    ck_assert_double_nan(one.worst.actual);
    ck_assert_int_eq(one.worst.position, -1);
    ck_assert_int_eq(one.divergence_layer, -1);
    ck_assert_int_eq(one.divergence_position, -1);
    ck_assert_int_eq(one.metrics.effective_window, -1);
    ck_assert_int_eq(one.window, -1);
    ck_assert_int_eq(one.chunk, -1);
    ck_assert_int_eq(one.length, -1);
    ck_assert_int_eq(one.elapsed_ns, -1);
    ck_assert_int_eq(one.n_positions, 0);
    ck_assert_str_eq(one.suite, "");
    ck_assert_str_eq(one.reason, "");
}
END_TEST

START_TEST(nothing_at_all_is_vacuous)
{
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_VACUOUS);
}
END_TEST

/* In the order of the rule: each verdict beats those to its right. */
static const mv_verdict severity[] = {MV_VERDICT_ERROR, MV_VERDICT_FAIL, MV_VERDICT_VACUOUS,
                                      MV_VERDICT_PASS, MV_VERDICT_SKIP};

START_TEST(the_graver_verdict_wins_in_either_order)
{
    for (int i = 0; i < 5; i++) {
        for (int j = i; j < 5; j++) {
            add(severity[i]);
            add(severity[j]);
            ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, severity[i]);
            results.n_cases = 0;
            add(severity[j]);
            add(severity[i]);
            ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, severity[i]);
            results.n_cases = 0;
        }
    }
}
END_TEST

START_TEST(each_verdict_is_counted_apart)
{
    for (size_t i = 0; i < 5; i++) {
        for (size_t n = 0; n <= i; n++) {
            add(severity[i]);
        }
    }
    mv_summary summary = mv_verify_results_summarise(&results);
    ck_assert_uint_eq(summary.n_errors, 1);
    ck_assert_uint_eq(summary.n_failed, 2);
    ck_assert_uint_eq(summary.n_vacuous, 3);
    ck_assert_uint_eq(summary.n_passed, 4);
    ck_assert_uint_eq(summary.n_skipped, 5);
}
END_TEST

START_TEST(a_verdict_that_is_none_counts_as_an_error)
{
    add((mv_verdict)99);
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_ERROR);
    ck_assert_str_eq(mv_verdict_name((mv_verdict)99), "error");
}
END_TEST

START_TEST(equivalent_mutants_are_not_counted_as_survivors)
{
    add_mutant("window", 0);
    add_mutant("", 1);
    mv_summary summary = mv_verify_results_summarise(&results);
    ck_assert_uint_eq(summary.n_mutants_killed, 1);
    ck_assert_uint_eq(summary.n_mutants_total, 1);
    ck_assert_int_eq(summary.verdict, MV_VERDICT_PASS);
}
END_TEST

START_TEST(a_mutant_that_survives_is_a_failure)
{
    add(MV_VERDICT_PASS);
    add_mutant("", 0);
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_FAIL);
}
END_TEST

START_TEST(a_false_alarm_is_a_failure)
{
    add(MV_VERDICT_PASS);
    add_mutant("window", 1);
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_FAIL);
    results.n_mutants = 0;
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_PASS);
    results.false_alarms = 1;
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_FAIL);
}
END_TEST

START_TEST(keeps_every_case_while_it_grows)
{
    mv_case_result one;
    mv_case_result_clear(&one);
    for (uint64_t i = 0; i < 1000; i++) {
        one.seed = i;
        ck_assert_int_eq(mv_verify_results_add(&results, &one, &error), MV_OK);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert_uint_eq(results.cases[i].seed, i);
    }
}
END_TEST

START_TEST(says_how_much_memory_was_missing)
{
    results.n_cases = results.cases_capacity = SIZE_MAX / 4;
    mv_case_result one;
    mv_case_result_clear(&one);
    ck_assert_int_eq(mv_verify_results_add(&results, &one, &error), MV_ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(error.message, "case results"));
    ck_assert_uint_eq(results.n_cases, SIZE_MAX / 4);
    mv_verify_results_init(&results);
}
END_TEST

static Suite *results_suite(void)
{
    Suite *suite = suite_create("results");
    TCase *results_case = tcase_create("results");
    tcase_add_checked_fixture(results_case, set_up, tear_down);
    tcase_add_test(results_case, a_cleared_case_claims_nothing);
    tcase_add_test(results_case, nothing_at_all_is_vacuous);
    tcase_add_test(results_case, the_graver_verdict_wins_in_either_order);
    tcase_add_test(results_case, each_verdict_is_counted_apart);
    tcase_add_test(results_case, a_verdict_that_is_none_counts_as_an_error);
    tcase_add_test(results_case, equivalent_mutants_are_not_counted_as_survivors);
    tcase_add_test(results_case, a_mutant_that_survives_is_a_failure);
    tcase_add_test(results_case, a_false_alarm_is_a_failure);
    tcase_add_test(results_case, keeps_every_case_while_it_grows);
    tcase_add_test(results_case, says_how_much_memory_was_missing);
    suite_add_tcase(suite, results_case);
    return suite;
}

MV_TEST_MAIN(results_suite)
