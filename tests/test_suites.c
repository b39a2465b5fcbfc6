/* Suites against engines with one planted behaviour each (engines.h): what must pass passes, and
 * what must not is said to be what it is. */
#include <math.h>

#include "tests/suite_fixture.h"

static const mv_case_result *first_of(mv_verdict verdict)
{
    for (size_t i = 0; i < results.n_cases; i++) {
        if (results.cases[i].verdict == verdict)
            return &results.cases[i];
    }
    return NULL;
}

/* ---- the reference passes ---- */

START_TEST(every_suite_passes_on_the_reference)
{
    plant(HONEST, ALL_CLAIMS);
    mv_summary summary = run(mv_suites[_i]->name);
    for (size_t i = 0; i < results.n_cases; i++) {
        const mv_case_result *one = &results.cases[i];
        ck_assert_msg(one->verdict == MV_VERDICT_PASS || one->verdict == MV_VERDICT_SKIP,
                      "%s/%s: %s: %s", one->suite, one->name, mv_verdict_name(one->verdict),
                      one->reason);
        ck_assert_str_eq(one->suite, mv_suites[_i]->name);
        ck_assert_str_eq(one->backend, "planted");
        has(one->reproduce, one->name);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(one->name, results.cases[j].name) != 0, "twice: %s", one->name);
    }
    /* golden needs a recorded file, and says so */
    ck_assert_msg(summary.verdict == MV_VERDICT_PASS || results.cases[0].reason[0] != '\0',
                  "%s: %s", mv_suites[_i]->name, mv_verdict_name(summary.verdict));
    ck_assert_uint_eq(summary.n_vacuous, 0);
}
END_TEST

START_TEST(the_grids_look_beyond_the_window_and_measure)
{
    int64_t n_beyond = 0;
    plant(HONEST, 0);
    ck_assert_int_eq(run(grids[_i]).verdict, MV_VERDICT_PASS);
    for (size_t i = 0; i < results.n_cases; i++) {
        const mv_case_result *one = &results.cases[i];
        n_beyond += one->n_beyond_window;
        ck_assert_int_gt(one->n_positions, 0);
        if (one->metrics.effective_window >= 0)
            continue; /* the probe counts, it does not measure */
        ck_assert_double_eq_tol(one->metrics.r_rmse, 1, 0.5);
        ck_assert_double_ge(one->headroom, 1);
        ck_assert_double_eq(one->limits.r_rmse, 4);
        ck_assert_int_eq(one->divergence_position, -1);
    }
    ck_assert_int_gt(n_beyond, 50);
}
END_TEST

START_TEST(each_arithmetic_is_judged_by_its_own_yardstick)
{
    static const mv_compute computes[] = {MV_COMPUTE_F64, MV_COMPUTE_BF16};
    plant(HONEST, ALL_CLAIMS);
    for (size_t i = 0; i < 2; i++) {
        options.compute = computes[i];
        ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
        ck_assert_int_eq(results.cases[0].compute, computes[i]);
        ck_assert_double_eq(results.cases[0].limits.r_rmse, mv_tolerance_get(computes[i])->r_rmse);
    }
}
END_TEST

/* ---- what must not pass ---- */

static const struct {
    planted behaviour;
    const char *suite;
    mv_verdict verdict;
    const char *fragment; /* of the first such case's reason, "" for any */
} bugs[] = {
    {OPEN_FAILS, "chunking", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_FAILS, "window", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_FAILS, "ring", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_FAILS, "decode_vs_prefill", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_FAILS, "batching", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_FAILS, "determinism", MV_VERDICT_ERROR, "planted: the engine does not open"},
    {OPEN_UNSUPPORTED, "chunking", MV_VERDICT_SKIP, "planted: not handled"},
    {OPEN_UNSUPPORTED, "window", MV_VERDICT_SKIP, "planted: not handled"},
    {OPEN_UNAVAILABLE, "ring", MV_VERDICT_SKIP, "planted: no such device"},
    {OPEN_UNAVAILABLE, "batching", MV_VERDICT_SKIP, "planted: no such device"},
    {OPEN_UNAVAILABLE, "determinism", MV_VERDICT_SKIP, "planted: no such device"},
    {FORWARD_FAILS, "chunking", MV_VERDICT_ERROR, "planted: the third call fails"},
    {FORWARD_FAILS, "decode_vs_prefill", MV_VERDICT_ERROR, "planted: the third call fails"},
    {RESET_FAILS, "determinism", MV_VERDICT_ERROR, "planted: the engine cannot forget"},
    {RESET_FAILS, "ring", MV_VERDICT_ERROR, "planted: the engine cannot forget"},
    {RESET_FAILS, "chunking", MV_VERDICT_PASS, ""},
    {WRITES_NAN, "chunking", MV_VERDICT_FAIL, "logits are not finite, first at position 0, within"},
    {WRITES_NAN, "window", MV_VERDICT_FAIL, ""},
    {WRITES_NAN, "ring", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NAN, "decode_vs_prefill", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NAN, "batching", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NAN, "determinism", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_ONE_NAN, "chunking", MV_VERDICT_FAIL, "not finite, first at position 10 = W+6"},
    {WRITES_INFINITY, "chunking", MV_VERDICT_FAIL, "not finite, first at position 10 = W+6"},
    {WRITES_NOTHING, "chunking", MV_VERDICT_FAIL, "logits are not finite, first at position 0"},
    {WRITES_NOTHING, "window", MV_VERDICT_FAIL, ""},
    {WRITES_NOTHING, "ring", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NOTHING, "decode_vs_prefill", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NOTHING, "batching", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NOTHING, "determinism", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_NOT_THE_LAST_ROW, "chunking", MV_VERDICT_FAIL, "first at position 23 = W+19"},
    {WRITES_NOT_THE_LAST_ROW, "batching", MV_VERDICT_FAIL, "logits are not finite"},
    {WRITES_ZEROS, "chunking", MV_VERDICT_FAIL, "error is "},
    {WRITES_ZEROS, "window", MV_VERDICT_FAIL, ""},
    {WRITES_ZEROS, "determinism", MV_VERDICT_FAIL, "error is "},
    {SWAPS_SEQUENCES, "batching", MV_VERDICT_FAIL, "first wrong row at position "},
    {SWAPS_SEQUENCES, "chunking", MV_VERDICT_PASS, ""},
    {IGNORES_RESET, "ring", MV_VERDICT_FAIL, "first wrong row at position "},
    {IGNORES_RESET, "determinism", MV_VERDICT_FAIL, "first wrong row at position "},
    {IGNORES_RESET, "chunking", MV_VERDICT_PASS, ""},
    {LAST_ROW_IS_FIRST, "determinism", MV_VERDICT_FAIL, "error is "},
    {REPEATS_FIRST_CALL, "decode_vs_prefill", MV_VERDICT_FAIL, "error is "},
    {REPEATS_FIRST_CALL, "ring", MV_VERDICT_FAIL, "error is "},
    {WINDOW_PLUS_1, "window", MV_VERDICT_FAIL,
     "the engine's effective window is W+1 = 5 where 4 was asked for (layer 0, whole prompt)"},
    {WINDOW_PLUS_1, "chunking", MV_VERDICT_FAIL, "first wrong row at position 4 = W+0"},
    {WINDOW_PLUS_1, "ring", MV_VERDICT_FAIL, "first wrong row at position 4 = W+0"},
    {WINDOW_PLUS_1, "decode_vs_prefill", MV_VERDICT_FAIL, "first wrong row at position 4 = W+0"},
    {WINDOW_PLUS_1, "batching", MV_VERDICT_FAIL, "error is "},
    {WINDOW_PLUS_1, "determinism", MV_VERDICT_FAIL, "error is "},
    {WINDOW_MINUS_1, "window", MV_VERDICT_FAIL, "window is W-1 = 3 where 4 was asked for"},
    {WINDOW_MINUS_1, "chunking", MV_VERDICT_FAIL, "first wrong row at position 3, within"},
    {NO_WINDOW, "window", MV_VERDICT_FAIL, "effective window is no window (every key)"},
    {WINDOW_UNASKED, "window", MV_VERDICT_FAIL, "a window of 3 where none was asked for"},
    {WINDOW_UNASKED, "chunking", MV_VERDICT_FAIL, "error is "},
    {WIDE_WINDOW_LATE, "window", MV_VERDICT_FAIL, ""},
    {WIDE_WINDOW_LATE, "chunking", MV_VERDICT_FAIL, "first wrong row at position 8 = W+4"},
};

START_TEST(a_planted_bug_gets_its_verdict)
{
    plant(bugs[_i].behaviour, 0);
    mv_summary summary = run(bugs[_i].suite);
    const mv_case_result *one = first_of(bugs[_i].verdict);
    ck_assert_msg(summary.verdict == bugs[_i].verdict, "%s on bug %d: %s, expected %s",
                  bugs[_i].suite, (int)bugs[_i].behaviour, mv_verdict_name(summary.verdict),
                  mv_verdict_name(bugs[_i].verdict));
    ck_assert_ptr_nonnull(one);
    has(one->reason, bugs[_i].fragment);
    ck_assert_uint_eq(summary.n_vacuous, 0);
}
END_TEST

START_TEST(an_engine_that_cannot_is_not_blamed_for_coverage)
{
    static const planted unable[] = {OPEN_FAILS, OPEN_UNSUPPORTED, OPEN_UNAVAILABLE};
    for (size_t i = 0; i < 3; i++) {
        plant(unable[i], 0);
        for (size_t j = 0; j < sizeof grids / sizeof *grids; j++) {
            mv_summary summary = run(grids[j]);
            ck_assert_uint_gt(results.n_cases, 0);
            ck_assert_uint_eq(summary.n_vacuous + summary.n_passed + summary.n_failed, 0);
        }
    }
}
END_TEST

START_TEST(what_one_case_cannot_do_the_others_still_show)
{
    plant(FORWARD_UNSUPPORTED, 0);
    mv_summary summary = run("chunking");
    ck_assert_int_eq(summary.verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(find_case("window 4 chunk 1")->verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(find_case("window 4 chunk 2")->verdict, MV_VERDICT_SKIP);
    ck_assert_uint_gt(summary.n_skipped, summary.n_passed);
}
END_TEST

START_TEST(a_bad_row_is_named_with_its_place_and_values)
{
    plant(WRITES_ONE_NAN, 0);
    run("chunking");
    const mv_case_result *one = find_case("window 4 chunk 3");
    ck_assert_int_eq(one->verdict, MV_VERDICT_FAIL);
    ck_assert_int_eq(one->divergence_position, 10);
    ck_assert_int_eq(one->worst.position, 10);
    ck_assert_int_eq(one->worst.token_id, 3);
    ck_assert(isnan(one->worst.actual));
    ck_assert(isfinite(one->worst.expected));
    ck_assert_double_nan(one->headroom);
    ck_assert_double_infinite(one->metrics.max_abs);
}
END_TEST

START_TEST(the_probe_names_the_window_in_every_layer_and_on_every_path)
{
    static const struct {
        planted behaviour;
        int64_t window;
    } rows[] = {{WINDOW_PLUS_1, 5}, {WINDOW_MINUS_1, 3}, {NO_WINDOW, 0}, {HONEST, 4}};
    static const char *const paths[] = {"whole prompt", "chunks", "decode"};
    for (size_t i = 0; i < 4; i++) {
        plant(rows[i].behaviour, MV_CLAIM_REPEATABLE);
        run("window");
        for (size_t j = 0; j < 3; j++) {
            char name[64];
            (void)snprintf(name, sizeof name, "effective window 4, %s", paths[j]);
            const mv_case_result *one = find_case(name);
            ck_assert_int_eq(one->metrics.effective_window, rows[i].window);
            ck_assert_int_eq(one->verdict, rows[i].window == 4 ? MV_VERDICT_PASS : MV_VERDICT_FAIL);
            ck_assert_int_eq(one->divergence_layer, rows[i].window == 4 ? -1 : 0);
        }
        ck_assert_int_eq(find_case("effective window 0, decode")->verdict, MV_VERDICT_PASS);
    }
}
END_TEST

START_TEST(a_window_that_widens_only_after_the_ring_has_turned_is_seen_by_the_probe)
{
    plant(WIDE_WINDOW_LATE, MV_CLAIM_REPEATABLE);
    run("window");
    const mv_case_result *one = find_case("effective window 4, decode");
    ck_assert_int_eq(one->verdict, MV_VERDICT_FAIL);
    ck_assert_int_eq(one->metrics.effective_window, 5);
}
END_TEST

/* ---- claims ---- */

static const struct {
    planted behaviour;
    uint32_t claims;
    const char *suite;
    mv_verdict verdict;
    const char *fragment;
} claims[] = {
    {BIT_BY_CALL_SIZE, 0, "chunking", MV_VERDICT_PASS, ""},
    {BIT_BY_CALL_SIZE, MV_CLAIM_CHUNK_INVARIANT, "chunking", MV_VERDICT_FAIL,
     "the backend claims that how a prompt is cut changes no bit, but sequence 0 position"},
    {BIT_BY_CALL_SIZE, MV_CLAIM_CHUNK_INVARIANT, "decode_vs_prefill", MV_VERDICT_FAIL,
     "how a prompt is cut changes no bit"},
    {BIT_BY_CALL_SIZE, MV_CLAIM_REPEATABLE | MV_CLAIM_THREAD_INVARIANT, "determinism",
     MV_VERDICT_PASS, ""},
    {BIT_BY_COMPANY, 0, "batching", MV_VERDICT_PASS, ""},
    {BIT_BY_COMPANY, MV_CLAIM_CHUNK_INVARIANT, "batching", MV_VERDICT_PASS, ""},
    {BIT_BY_COMPANY, MV_CLAIM_BATCH_INVARIANT, "batching", MV_VERDICT_FAIL,
     "other sequences in the batch change no bit"},
    {BIT_BY_COMPANY, MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT, "batching",
     MV_VERDICT_FAIL, "other sequences in the batch change no bit"},
    {BIT_BY_CALL_SIZE, MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT, "batching",
     MV_VERDICT_FAIL, "change no bit"},
    {BIT_BY_THREADS, 0, "determinism", MV_VERDICT_PASS, ""},
    {BIT_BY_THREADS, MV_CLAIM_REPEATABLE, "determinism", MV_VERDICT_PASS, ""},
    {BIT_BY_THREADS, MV_CLAIM_THREAD_INVARIANT, "determinism", MV_VERDICT_FAIL,
     "the number of threads changes no bit"},
    {BIT_BY_TIME, 0, "determinism", MV_VERDICT_PASS, ""},
    {BIT_BY_TIME, 0, "window", MV_VERDICT_PASS, ""}, /* the probe allows for the noise */
    {BIT_BY_TIME, MV_CLAIM_REPEATABLE, "determinism", MV_VERDICT_FAIL,
     "the backend claims that the same calls give the same bits, but sequence 0 position"},
};

START_TEST(a_claim_is_held_to_the_bit_and_nothing_else_is)
{
    plant(claims[_i].behaviour, claims[_i].claims);
    mv_summary summary = run(claims[_i].suite);
    const mv_case_result *one = first_of(claims[_i].verdict);
    const mv_case_result *bad = first_of(MV_VERDICT_FAIL);
    ck_assert_msg(summary.verdict == claims[_i].verdict, "%s: %s", claims[_i].suite,
                  bad != NULL ? bad->reason : "no case failed");
    has(one->reason, claims[_i].fragment);
    if (claims[_i].verdict == MV_VERDICT_FAIL) /* the measure has nothing against it */
        ck_assert_double_ge(one->headroom, 1);
}
END_TEST

/* ---- coverage ---- */

START_TEST(a_prompt_that_never_leaves_its_window_is_vacuous)
{
    static const char *const suites[] = {"chunking", "window", "decode_vs_prefill", "batching",
                                         "determinism"};
    plant(HONEST, 0);
    options.windows = "8";
    options.length = 5;
    for (size_t i = 0; i < 5; i++) {
        ck_assert_msg(run(suites[i]).verdict == MV_VERDICT_VACUOUS, "%s", suites[i]);
        const mv_case_result *one = find_case("coverage");
        ck_assert_int_eq(one->verdict, MV_VERDICT_VACUOUS);
        has(one->reason, "no compared position lies beyond a window");
        has(one->reason, "a --length above 8 tokens");
        ck_assert_ptr_null(strstr(one->reproduce, "--filter"));
    }
    ck_assert_int_eq(run("ring").verdict, MV_VERDICT_VACUOUS);
    ck_assert_uint_eq(results.n_cases, 1);
    has(results.cases[0].reason, "ask for a --length of at least 16 tokens");
}
END_TEST

START_TEST(every_shard_of_a_vacuous_run_is_vacuous_and_no_other)
{
    plant(HONEST, 0);
    options.windows = "8";
    options.n_shards = 3;
    for (options.shard = 0; options.shard < 3; options.shard++) {
        options.length = 5;
        ck_assert_int_eq(run("decode_vs_prefill").verdict, MV_VERDICT_VACUOUS);
        options.length = 12;
        ck_assert_int_eq(run("decode_vs_prefill").verdict, MV_VERDICT_PASS);
    }
}
END_TEST

START_TEST(without_a_window_there_is_nothing_to_lie_beyond)
{
    plant(HONEST, 0);
    options.windows = "0";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(run("window").verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(run("ring").verdict, MV_VERDICT_VACUOUS); /* no case at all */
    ck_assert_uint_eq(results.n_cases, 0);
}
END_TEST

START_TEST(the_shortest_prompts_do_no_harm)
{
    static const char *const windows[] = {NULL, "0", "1", "1,2,T,T+1"};
    plant(HONEST, ALL_CLAIMS);
    for (options.length = 1; options.length <= 4; options.length++) {
        for (size_t i = 0; i < 4; i++) {
            options.windows = windows[i];
            for (size_t j = 0; j < sizeof grids / sizeof *grids; j++) {
                mv_summary summary = run(grids[j]);
                ck_assert_msg(summary.n_failed + summary.n_errors == 0, "%s, %d tokens", grids[j],
                              (int)options.length);
            }
        }
    }
}
END_TEST

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *one = tcase_create(name);
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_set_timeout(one, 60);
    suite_add_tcase(suite, one);
    return one;
}

static Suite *suites_suite(void)
{
    Suite *suite = suite_create("suites");
    TCase *good = new_case(suite, "good");
    tcase_add_loop_test(good, every_suite_passes_on_the_reference, 0, (int)mv_n_suites);
    tcase_add_loop_test(good, the_grids_look_beyond_the_window_and_measure, 0, N_OF(grids));
    tcase_add_test(good, each_arithmetic_is_judged_by_its_own_yardstick);

    TCase *bad = new_case(suite, "bad");
    tcase_add_loop_test(bad, a_planted_bug_gets_its_verdict, 0, N_OF(bugs));
    tcase_add_test(bad, an_engine_that_cannot_is_not_blamed_for_coverage);
    tcase_add_test(bad, what_one_case_cannot_do_the_others_still_show);
    tcase_add_test(bad, a_bad_row_is_named_with_its_place_and_values);
    tcase_add_test(bad, the_probe_names_the_window_in_every_layer_and_on_every_path);
    tcase_add_test(bad, a_window_that_widens_only_after_the_ring_has_turned_is_seen_by_the_probe);
    tcase_add_loop_test(bad, a_claim_is_held_to_the_bit_and_nothing_else_is, 0, N_OF(claims));

    TCase *coverage = new_case(suite, "coverage");
    tcase_add_test(coverage, a_prompt_that_never_leaves_its_window_is_vacuous);
    tcase_add_test(coverage, every_shard_of_a_vacuous_run_is_vacuous_and_no_other);
    tcase_add_test(coverage, without_a_window_there_is_nothing_to_lie_beyond);
    tcase_add_test(coverage, the_shortest_prompts_do_no_harm);
    return suite;
}

MV_TEST_MAIN(suites_suite)
