#include "tests/test_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/parts.h"
#include "tests/report_samples.h"

static mv_divergence profile;

/* ---- the profile ---- */

START_TEST(three_digits_are_kept_and_what_is_wrong_stays_wrong)
{
    mv_divergence_begin(&profile, 1, 1);
    static const struct {
        double in, out;
    } table[] = {{0.123456, 0.123}, {1, 1}, {0.99999, 1},    {1.0000001, 1.001},
                 {41.254, 41.3},    {0, 0}, {NAN, INFINITY}, {INFINITY, INFINITY}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mv_divergence_add_step(&profile, 0, "q", table[i].in);
        ck_assert_double_eq(profile.steps[i].times_limit, table[i].out);
    }
    ck_assert_int_eq(mv_divergence_first(&profile), 3);
}
END_TEST

START_TEST(a_profile_does_not_grow_with_the_model)
{
    const int64_t n_layers = 1000, n_positions = 100000;
    mv_divergence_begin(&profile, n_layers, n_positions);
    mv_divergence_add_step(&profile, -1, "embedding", 0.1);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        mv_divergence_add_step(&profile, layer, "q", layer == 777 ? 3 : 0.1);
        mv_divergence_add_step(&profile, layer, "k", 0.2);
    }
    mv_divergence_add_step(&profile, -1, "logits", 0.1);
    ck_assert_uint_le(profile.n_rows, MV_DIVERGENCE_MAX_ROWS);
    ck_assert_uint_eq(profile.n_steps, 2 * profile.n_rows + 2);
    const int64_t first = mv_divergence_first(&profile);
    ck_assert_int_eq(profile.steps[first].layer, 777);
    ck_assert_str_eq(profile.steps[first].op, "q");
    ck_assert_str_eq(profile.steps[first + 1].op, "k");

    mv_divergence_add_row(&profile, 999, n_positions - 1, 5);
    mv_divergence_add_row(&profile, 999, n_positions - 1, 2);
    ck_assert_double_eq(profile.times_limit[profile.n_rows - 1][profile.n_bins - 1], 5);
    mv_divergence_add_row(&profile, 999, n_positions, 6); /* there is no such position */
    mv_divergence_add_row(&profile, 0, -1, 6);
    mv_divergence_add_row(&profile, 1000000, 0, 6);
    mv_divergence_add_row(&profile, -1, 0, NAN);
    ck_assert(isinf(profile.times_limit[profile.n_rows][0]));
    ck_assert(isnan(profile.times_limit[0][0]));
}
END_TEST

START_TEST(more_operations_than_there_is_room_for_are_left_out)
{
    mv_divergence_begin(&profile, 1, 1);
    for (int i = 0; i < MV_DIVERGENCE_MAX_STEPS + 9; i++) {
        mv_divergence_add_step(&profile, 0, "q", 0.5);
    }
    ck_assert_uint_eq(profile.n_steps, MV_DIVERGENCE_MAX_STEPS);
}
END_TEST

START_TEST(results_keep_a_copy_of_their_own)
{
    mv_verify_results results;
    mv_case_result one;
    mv_error error;
    mv_verify_results_init(&results);
    mv_case_result_clear(&one);
    mv_sample_divergence(&profile, 4, 64, 2, "q", 8);
    one.divergence = &profile;
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(mv_verify_results_add(&results, &one, &error), MV_OK);
    }
    memset(&profile, 0, sizeof profile);
    const mv_divergence *kept = results.cases[39].divergence;
    ck_assert_ptr_ne(kept, results.cases[0].divergence);
    ck_assert_int_eq(kept->steps[mv_divergence_first(kept)].layer, 2);
    mv_verify_results_free(&results);
}
END_TEST

/* ---- in words ---- */

static const struct {
    int64_t n_layers, n_positions, bad;
    const char *op;
    int64_t from, window;
    const char *steps, *map;
} said[] = {
    {4, 64, 2, "q", 8, 8,
     "Of 42 operations the first wrong one is layer 2, q: its error is 41.2 times its limit; no "
     "later one is wrong.",
     "Layer 2 alone is over its limit, first at position 8, where the window (W = 8) is passed; "
     "the worst, 12.5 times the limit, is at position 8."},
    {4, 64, 3, "gate", 0, 8,
     "Of 42 operations the first wrong one is layer 3, gate: its error is 41.2 times its limit; no "
     "later one is wrong.",
     "Layer 3 alone is over its limit, at every position; the worst, 12.5 times the limit, is at "
     "position 0."},
    {130, 640, 77, "v", 300, 0, "the first wrong one is layer 77, v: its error",
     "Layer 75-77 alone is over its limit, first at positions 300 to 309; the worst, 12.5 times "
     "the limit, is at positions 300 to 309."},
    {4, 64, 9, "logits", 0, 8,
     "Of 42 operations the first wrong one is logits: it gives values that are not finite; no "
     "later one is wrong.",
     "No layer is over its limit at any single position."},
    {4, 64, 9, "none", 0, 8,
     "None of 42 operations is wrong by itself: the worst, logits, reaches 0.3 of its limit. What "
     "fails lies between them, or between calls.",
     "No layer is over its limit at any single position."},
};

START_TEST(a_profile_says_what_is_wrong_first_and_where)
{
    mv_sample_divergence(&profile, said[_i].n_layers, said[_i].n_positions, said[_i].bad,
                         said[_i].op, said[_i].from);
    const mv_finding steps = mv_divergence_steps_finding(&profile);
    const mv_finding map = mv_divergence_map_finding(&profile, said[_i].window);
    ck_assert_msg(strstr(steps.text, said[_i].steps) != NULL, "%s", steps.text);
    ck_assert_str_eq(map.text, said[_i].map);
}
END_TEST

START_TEST(a_row_says_where_it_is_over_its_limit)
{
    mv_divergence_begin(&profile, 2, 20);
    for (int64_t i = 0; i < 20; i++) {
        mv_divergence_add_row(&profile, 0, i, i % 3 == 0 ? 2 : 0.5);
        mv_divergence_add_row(&profile, 1, i, i < 4 || i == 7 ? INFINITY : 0.5);
    }
    ck_assert_str_eq(mv_divergence_row(&profile, 0).text,
                     "layer 0: over the limit at positions 0, 3, 6, 9, 12 and 2 more stretches; "
                     "the worst error / limit is 2, at position 0");
    ck_assert_str_eq(mv_divergence_row(&profile, 1).text,
                     "layer 1: over the limit at positions 0 to 3, 7; the worst error / limit is "
                     "not finite, at position 0");
    ck_assert_str_eq(mv_divergence_row(&profile, 2).text,
                     "outside of the layers: nothing was played");
    ck_assert_str_eq(mv_divergence_map_finding(&profile, 0).text,
                     "2 of 2 layers are over their limit, layer 0 first at position 0; the worst, "
                     "not finite, is at position 0 of layer 1.");
}
END_TEST

static Suite *divergence_suite(void)
{
    Suite *suite = suite_create("divergence");
    TCase *tcase = tcase_create("divergence");
    tcase_add_test(tcase, three_digits_are_kept_and_what_is_wrong_stays_wrong);
    tcase_add_test(tcase, a_profile_does_not_grow_with_the_model);
    tcase_add_test(tcase, more_operations_than_there_is_room_for_are_left_out);
    tcase_add_test(tcase, results_keep_a_copy_of_their_own);
    tcase_add_loop_test(tcase, a_profile_says_what_is_wrong_first_and_where, 0,
                        (int)(sizeof said / sizeof *said));
    tcase_add_test(tcase, a_row_says_where_it_is_over_its_limit);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(divergence_suite)
