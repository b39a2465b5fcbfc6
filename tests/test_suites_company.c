/* Suites about who else is there: many sequences in a batch, two engines in a process, a ring that
 * serves less than another. What they list, and what they say of an engine that has no room. */
#include "tests/suite_fixture.h"

static void use_mutant(const mv_option *option)
{
    ck_assert_msg(mv_backend_load(&options.backend,
                                  MV_BUILD_ROOT "/backends/mutant/mistral_mutant.so", NULL, 0,
                                  &error) == MV_OK,
                  "%s", error.message);
    options.backend_name = "mutant";
    options.options = option;
    options.n_options = 1;
}

static size_t count(mv_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < results.n_cases; i++)
        n += results.cases[i].verdict == verdict ? 1 : 0;
    return n;
}

/* ---- engines that have no room ---- */

static const struct {
    planted behaviour;
    const char *suite, *name;
    mv_verdict verdict;
    const char *reason;
} narrow[] = {
    {HONEST, "batching", "window 4 17 sequences", MV_VERDICT_PASS, ""},
    {HONEST, "batching", "window 4 17 sequences at once, last rows", MV_VERDICT_PASS, ""},
    {HONEST, "batching", "window 4 33 sequences", MV_VERDICT_PASS, ""},
    {HONEST, "cache_ops", "window 4 two engines, call by call", MV_VERDICT_PASS, ""},
    {OPEN_WITH_16_SEQUENCES, "batching", "window 4 17 sequences", MV_VERDICT_SKIP,
     "planted: 17 sequences, expected 1-16"},
    {OPEN_WITH_16_SEQUENCES, "batching", "window 4 33 sequences", MV_VERDICT_SKIP,
     "planted: 33 sequences, expected 1-16"},
    {OPEN_WITH_16_SEQUENCES, "batching", "window 4 ragged pieces", MV_VERDICT_PASS, ""},
    {OPEN_ONCE_AT_A_TIME, "cache_ops", "window 4 two engines, call by call", MV_VERDICT_SKIP,
     "planted: one engine at a time"},
    {FORWARD_FAILS, "cache_ops", "window 4 two engines, call by call", MV_VERDICT_ERROR,
     "planted: the third call fails"},
    {WRITES_NOTHING, "cache_ops", "window 4 two engines, call by call", MV_VERDICT_FAIL,
     "logits are not finite, first at position 0"},
};

START_TEST(an_engine_without_room_for_a_case_is_skipped_with_its_reason)
{
    options.backend = engines_get(reference, narrow[_i].behaviour, 0);
    run(narrow[_i].suite);
    const mv_case_result *one = find_case(narrow[_i].name);
    ck_assert_msg(one->verdict == narrow[_i].verdict, "%s: %s: %s", one->name,
                  mv_verdict_name(one->verdict), one->reason);
    ck_assert_msg(strstr(one->reason, narrow[_i].reason) != NULL, "expected '%s' in: %s",
                  narrow[_i].reason, one->reason);
}
END_TEST

START_TEST(who_claims_that_company_changes_no_bit_is_held_to_it_among_17_and_33)
{
    options.backend = engines_get(reference, BIT_BY_COMPANY, ALL_CLAIMS);
    options.filter = "batching/*sequences*";
    run("batching");
    ck_assert_uint_eq(results.n_cases, 3);
    ck_assert_uint_eq(count(MV_VERDICT_FAIL), 3);
    options.backend = engines_get(reference, HONEST, ALL_CLAIMS);
    run("batching");
    ck_assert_uint_eq(count(MV_VERDICT_PASS), 3);
}
END_TEST

/* ---- bugs that need company ---- */

static const struct {
    const char *mutant, *suite;
    const char *fails[3]; /* the names of all cases that fail */
} lonely[] = {
    {"ninth_sequence_in_slots_of_first",
     "batching",
     {"window 4 17 sequences", "window 4 33 sequences"}},
    {"seventeenth_sequence_lost", "batching", {"window 4 17 sequences", "window 4 33 sequences"}},
    {"cache_is_static", "cache_ops", {"window 4 two engines, call by call"}},
};

START_TEST(a_bug_that_needs_company_is_seen_by_the_cases_that_have_it_and_by_no_other)
{
    const mv_option option = {"mutant", lonely[_i].mutant};
    size_t n = 0;
    use_mutant(&option);
    run(lonely[_i].suite);
    for (; n < 3 && lonely[_i].fails[n] != NULL; n++)
        ck_assert_msg(find_case(lonely[_i].fails[n])->verdict == MV_VERDICT_FAIL, "%s passes",
                      lonely[_i].fails[n]);
    ck_assert_uint_eq(count(MV_VERDICT_FAIL), n);
}
END_TEST

/* ---- truncations ---- */

START_TEST(fuzz_asks_every_ring_for_what_it_can_serve_in_three_schedules_of_four)
{
    for (options.seed = 1; options.seed <= 5; options.seed++) {
        options.backend = engines_get(reference, RING_ONE_SLOT_SHORT, 0);
        run("fuzz");
        ck_assert_uint_eq(results.n_cases, 36);
        ck_assert_uint_eq(count(MV_VERDICT_FAIL) + count(MV_VERDICT_ERROR), 0);
        ck_assert_uint_le(count(MV_VERDICT_SKIP), 6);
        options.backend = engines_get(reference, HONEST, 0);
        run("fuzz");
        ck_assert_uint_eq(count(MV_VERDICT_PASS), 36);
    }
}
END_TEST

START_TEST(fuzz_draws_the_same_from_the_same_seed_and_goes_back_in_many_schedules)
{
    char before[36][192];
    size_t n_back = 0, n_other = 0;
    run("fuzz");
    ck_assert_uint_eq(results.n_cases, 36);
    for (size_t i = 0; i < 36; i++) {
        (void)snprintf(before[i], sizeof before[i], "%s", results.cases[i].schedule);
        n_back += strstr(before[i], "keep") != NULL ? 1 : 0;
    }
    ck_assert_uint_ge(n_back, 12);
    run("fuzz");
    for (size_t i = 0; i < 36; i++)
        ck_assert_str_eq(results.cases[i].schedule, before[i]);
    options.seed++;
    run("fuzz");
    for (size_t i = 0; i < 36; i++)
        n_other += strcmp(results.cases[i].schedule, before[i]) != 0 ? 1 : 0;
    ck_assert_uint_ge(n_other, 30);
}
END_TEST

#define N_OF(array) ((int)(sizeof(array) / sizeof(array)[0]))

static Suite *company_suite(void)
{
    Suite *suite = suite_create("suites_company");
    TCase *one = tcase_create("company");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_set_timeout(one, 120);
    suite_add_tcase(suite, one);
    tcase_add_loop_test(one, an_engine_without_room_for_a_case_is_skipped_with_its_reason, 0,
                        N_OF(narrow));
    tcase_add_test(one, who_claims_that_company_changes_no_bit_is_held_to_it_among_17_and_33);
    tcase_add_loop_test(one,
                        a_bug_that_needs_company_is_seen_by_the_cases_that_have_it_and_by_no_other,
                        0, N_OF(lonely));
    tcase_add_test(one, fuzz_asks_every_ring_for_what_it_can_serve_in_three_schedules_of_four);
    tcase_add_test(one, fuzz_draws_the_same_from_the_same_seed_and_goes_back_in_many_schedules);
    return suite;
}

MV_TEST_MAIN(company_suite)
