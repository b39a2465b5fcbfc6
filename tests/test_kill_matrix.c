/* Who checks the checker's checker: bugs whose description asks for what does, or does not, see
 * them. */
#include "suites/mutant_list.h"
#include "suites/self_test.h"
#include "tests/suite_fixture.h"

/* ---- a mutant backend that says of its mutants what the test wants ---- */

static mv_backend liar;
static const char *described; /* "NAME=KIND|EXPECTED|IMITATES" */

static void describe(const mv_engine *engine, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char key[64];
    (void)engine;
    (void)snprintf(key, sizeof key, "mutant.%.*s", (int)strcspn(described, "="), described);
    emit(cookie, key, described + strcspn(described, "=") + 1);
}

static void set_up_liar(void)
{
    const mv_backend *mutant;
    set_up();
    if (mv_backend_load(&mutant, MV_BUILD_ROOT "/backends/mutant/mistral_mutant.so", NULL, 0,
                        &error) != MV_OK)
        ck_abort_msg("%s", error.message);
    liar = *mutant;
    liar.describe = describe;
    options.backend = &liar;
    options.backend_name = "liar";
    options.n_jobs = 1;
}

/* The suites chunking and determinism, against one mutant. */
static mv_code self_test(const char *description)
{
    const mv_suite *const suites[] = {mv_suite_find("chunking"), mv_suite_find("determinism")};
    described = description;
    return mv_self_test(&options, suites, 2, &results, NULL, NULL, &error);
}

static void is(const char *found, const char *expected)
{
    ck_assert_str_eq(found, expected);
}

/* ---- what is expected of whom ---- */

static const struct {
    const char *description;
    const char *expected, *killed_by; /* suites */
    const char *reason;               /* of the one failed case beside the control's, or NULL */
} bugs[] = {
    {"window_plus_1=bug|chunking|x", "chunking", "chunking", NULL},
    {"window_plus_1=bug|chunking,determinism|x", "chunking,determinism", "chunking,determinism",
     NULL},
    {"window_plus_1=bug|chunking/*whole,chunking/*chunk 1|x", "chunking", "chunking", NULL},
    /* seen by the suite, and not by the cases that it is there for */
    {"window_plus_1_later_chunks=bug|chunking,chunking/*whole|x", "chunking", "",
     "no case of --filter 'chunking/*whole' sees the planted bug 'window_plus_1_later_chunks'"},
    /* cases that are not there, or no longer */
    {"window_plus_1=bug|chunking/gone*,determinism|x", "chunking,determinism", "determinism",
     "no case of --filter 'chunking/gone*' sees the planted bug 'window_plus_1'"},
    {"none=bug|chunking|x", "chunking", "", NULL},
    /* bits count only for who claims them */
    {"sums_differ_by_rows=claim|chunking|x", "chunking", "chunking", NULL},
    {"sums_differ_by_rows=bug|chunking|x", "chunking", "", NULL},
    {"sums_differ_by_threads=claim|determinism/*threads|x", "determinism", "determinism", NULL},
};

START_TEST(a_bug_is_killed_if_all_that_is_expected_to_see_it_does)
{
    ck_assert_msg(self_test(bugs[_i].description) == MV_OK, "%s", error.message);
    ck_assert_uint_eq(results.n_mutants, 1);
    is(results.mutants[0].expected_suites, bugs[_i].expected);
    is(results.mutants[0].killed_by, bugs[_i].killed_by);
    const mv_case_result *failed = NULL;
    for (size_t i = 0; i < results.n_cases; i++) {
        if (results.cases[i].verdict == MV_VERDICT_FAIL)
            failed = &results.cases[i];
    }
    ck_assert_msg((failed != NULL) == (bugs[_i].reason != NULL), "%s",
                  failed != NULL ? failed->reason : "no case failed");
    if (failed != NULL)
        ck_assert_msg(strstr(failed->reason, bugs[_i].reason) != NULL, "%s", failed->reason);
}
END_TEST

START_TEST(a_harmless_change_that_a_suite_complains_about_is_a_false_alarm)
{
    ck_assert_msg(self_test("window_plus_1=benign||x") == MV_OK, "%s", error.message);
    ck_assert_uint_eq(results.n_mutants, 0);
    ck_assert_uint_eq(results.benign_total, 2);
    ck_assert_uint_eq(results.false_alarms, 2);
    ck_assert_int_eq(mv_verify_results_summarise(&results).verdict, MV_VERDICT_FAIL);
}
END_TEST

/* ---- descriptions ---- */

START_TEST(a_description_that_makes_no_sense_is_the_backend_s_error)
{
    char long_one[400] = "none=bug|";
    memset(long_one + strlen(long_one), 'a', 300);
    const char *const wrong[] = {"none=bogus|chunking|x", "none=|chunking|x", "none=", long_one};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(self_test(wrong[i]) == MV_ERR_BACKEND, "%s", wrong[i]);
        ck_assert_msg(strstr(error.message, "backend liar: ") != NULL, "%s", error.message);
    }
}
END_TEST

START_TEST(a_backend_without_mutants_cannot_be_self_tested)
{
    liar.describe = NULL;
    ck_assert_int_eq(self_test(""), MV_ERR_ARGUMENT);
    is(error.message, "--self-test: backend liar plants no bugs; expected the mutant backend");
}
END_TEST

START_TEST(what_is_expected_of_a_suite_is_found_among_the_others)
{
    static const char list[] = "window,ring/*stale*,window/effective*,ringing";
    static const struct {
        const char *suite, *globs[3];
    } rows[] = {{"window", {"", "window/effective*"}},
                {"ring", {"ring/*stale*"}},
                {"ringing", {""}},
                {"win", {NULL}},
                {"", {NULL}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = list;
        char glob[128];
        size_t n = 0;
        while (mv_mutant_next_expected(&at, rows[i].suite, glob)) {
            ck_assert_ptr_nonnull(rows[i].globs[n]);
            is(glob, rows[i].globs[n++]);
        }
        ck_assert_ptr_null(rows[i].globs[n]);
    }
}
END_TEST

static Suite *kill_matrix_suite(void)
{
    Suite *suite = suite_create("kill_matrix");
    TCase *one = tcase_create("kill_matrix");
    tcase_add_checked_fixture(one, set_up_liar, tear_down);
    tcase_set_timeout(one, 120);
    suite_add_tcase(suite, one);
    tcase_add_loop_test(one, a_bug_is_killed_if_all_that_is_expected_to_see_it_does, 0,
                        (int)(sizeof bugs / sizeof bugs[0]));
    tcase_add_test(one, a_harmless_change_that_a_suite_complains_about_is_a_false_alarm);
    tcase_add_test(one, a_description_that_makes_no_sense_is_the_backend_s_error);
    tcase_add_test(one, a_backend_without_mutants_cannot_be_self_tested);
    tcase_add_test(one, what_is_expected_of_a_suite_is_found_among_the_others);
    return suite;
}

MV_TEST_MAIN(kill_matrix_suite)
