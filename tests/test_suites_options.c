/* What a user asks of a run: windows, chunks, text, seeds, --strict, and what cannot be had. */
#include <math.h>

#include "tests/suite_fixture.h"

START_TEST(chunks_around_the_window_work_beside_a_case_without_one)
{
    plant(HONEST, 0);
    options.chunks = "W-1,W,W+1";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(find_case("window 4 chunk 3")->chunk, 3);
    find_case("window 4 chunk 4");
    find_case("window 4 chunk 5");
    find_case("window 3 chunk 2");
    find_case("window 0 chunk 3"); /* the model's own W */
    find_case("window 0 chunk 5");
    options.windows = "1";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    ck_assert_uint_eq(results.n_cases, 4); /* whole, 1, 2, half unseen */
    options.chunks = "0,W-1";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    ck_assert_uint_eq(results.n_cases, 3); /* whole, T, half unseen */
}
END_TEST

START_TEST(bad_lists_are_the_callers_mistake)
{
    static const struct {
        const char *windows, *chunks, *fragment;
    } rows[] = {
        {"x", NULL, "--window 'x'"},
        {"-1", NULL, "--window '-1'"},
        {NULL, "-1", "--chunk '-1'"},
        {NULL, "4294967296", "--chunk: expected a number within 0.."},
        {NULL, "1..", "--chunk '1..'"},
    };
    plant(HONEST, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        options.windows = rows[i].windows;
        options.chunks = rows[i].chunks;
        ck_assert_int_eq(run_code("chunking"), MV_ERR_ARGUMENT);
        has(error.message, rows[i].fragment);
    }
}
END_TEST

START_TEST(text_options_and_seeds_reach_the_engine)
{
    static const int32_t tokens[] = {5, 6, 7};
    static const mv_option passed_on[] = {{"test", "yes"}};
    plant(HONEST, 0);
    options.tokens = tokens;
    options.n_tokens = 3;
    options.length = 12;
    options.options = passed_on; /* the reference, which knows no option, is not given it */
    options.n_options = 1;
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    ck_assert(engines_saw_option);
    ck_assert_int_eq(engines_first_tokens[0], 5);
    ck_assert_int_eq(engines_first_tokens[2], 7);
    ck_assert_int_eq(engines_first_tokens[3], 5); /* from the beginning again */
    has(results.cases[0].reproduce, "--backend-option test=yes");

    int32_t first[4];
    options.tokens = NULL;
    plant(HONEST, 0);
    run("chunking");
    memcpy(first, engines_first_tokens, sizeof first);
    options.seed = 2;
    plant(HONEST, 0);
    run("chunking");
    ck_assert_mem_ne(first, engines_first_tokens, sizeof first);
}
END_TEST

START_TEST(a_prompt_that_cannot_fit_is_refused_with_numbers)
{
    plant(HONEST, 0);
    options.length = INT32_MAX;
    ck_assert_int_eq(run_code("chunking"), MV_ERR_MEMORY);
    has(error.message, "the logits of 2147483647 tokens take ");
    has(error.message, " GiB are available");
    ck_assert_int_eq(engines_n_opened, 0);
}
END_TEST

/* A norm of infinity makes every logit NaN: the oracle then says nothing about anybody. */
START_TEST(an_oracle_that_is_not_finite_ends_the_run)
{
    static uint16_t infinity[64];
    mv_model_view view = *options.model;
    for (size_t i = 0; i < 64; i++)
        infinity[i] = 0x7f80;
    view.norm.data = infinity;
    options.model = &view;
    plant(HONEST, 0);
    ck_assert_int_eq(run_code("chunking"), MV_ERR_FORMAT);
    has(error.message, "the oracle's logits of row 0 are not finite");
}
END_TEST

static int noise_steps; /* of a twentieth of the reference's own error */

START_TEST(strict_fails_what_passes_with_little_room)
{
    bool found = false;
    options.filter = "chunking/window 4 whole";
    plant(HONEST, 0);
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_PASS);
    const double own = sqrt(results.cases[0].metrics.nmse);
    for (noise_steps = 5; noise_steps < 100 && !found; noise_steps++) {
        options.strict = false;
        plant(NOISY, 0);
        engines_noise = own * noise_steps / 20;
        mv_summary summary = run("chunking");
        const double headroom = results.cases[0].headroom;
        options.strict = true;
        engines_noise = own * noise_steps / 20;
        mv_summary strict = run("chunking");
        if (headroom >= 1.3) {
            ck_assert_int_eq(strict.verdict, MV_VERDICT_PASS);
        } else if (headroom >= 1.0) {
            found = true;
            ck_assert_int_eq(summary.verdict, MV_VERDICT_PASS);
            ck_assert_int_eq(strict.verdict, MV_VERDICT_FAIL);
            has(results.cases[0].reason, ", and --strict asks for 1.3");
        }
    }
    ck_assert_msg(found, "no noise left little room");
}
END_TEST

static Suite *options_suite(void)
{
    Suite *suite = suite_create("suites_options");
    TCase *one = tcase_create("options");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_set_timeout(one, 60);
    suite_add_tcase(suite, one);
    tcase_add_test(one, chunks_around_the_window_work_beside_a_case_without_one);
    tcase_add_test(one, bad_lists_are_the_callers_mistake);
    tcase_add_test(one, text_options_and_seeds_reach_the_engine);
    tcase_add_test(one, a_prompt_that_cannot_fit_is_refused_with_numbers);
    tcase_add_test(one, an_oracle_that_is_not_finite_ends_the_run);
    tcase_add_test(one, strict_fails_what_passes_with_little_room);
    return suite;
}

MV_TEST_MAIN(options_suite)
