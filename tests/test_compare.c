/* The measure itself: every number here was computed by hand from its definition in compare.h. */
#include "harness/compare.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/test_main.h"

#define HALF_ULP 0x1p-24

static mv_error_profile reference, test;
static mv_metrics metrics;
static mv_error error;

static void set_up(void)
{
    mv_error_profile_init(&reference, 4);
    mv_error_profile_init(&test, 4);
    mv_metrics_clear(&metrics);
    error = (mv_error){MV_OK, ""};
}

static void tear_down(void)
{
    mv_error_profile_free(&reference);
    mv_error_profile_free(&test);
}

static void add(mv_error_profile *profile, const double *oracle, const float *rows, size_t n_rows)
{
    ck_assert_int_eq(mv_error_profile_add(profile, oracle, rows, n_rows, true, &error), MV_OK);
}

static void measure(void)
{
    ck_assert_int_eq(mv_metrics_from_profiles(&metrics, &reference, &test, &error), MV_OK);
}

/* The usual limits as every gate has them: NAN fails. */
static bool passes_any_bound(void)
{
    const double most = DBL_MAX;
    return metrics.r_rmse <= most || metrics.r_row <= most || metrics.r_maxabs <= most ||
           metrics.max_abs <= most || metrics.nmse <= most || metrics.kl_mean <= most ||
           metrics.kl_max <= most || metrics.top1_agreement > 0;
}

/* ---- values ---- */

static const double oracle_2x4[] = {3, 0, 0, 4, 0, 6, 8, 0};        /* squares 25 and 100 */
static const float reference_2x4[] = {3.5f, 0, 0, 4, 0, 6, 8, .5f}; /* .25 and .25 */
static const float test_2x4[] = {3, 0, 1, 4, 0, 6, 8, 2};           /* 1 and 4 */

START_TEST(each_metric_has_the_value_of_its_definition)
{
    add(&reference, oracle_2x4, reference_2x4, 2);
    add(&test, oracle_2x4, test_2x4, 2);
    measure();
    ck_assert_double_eq_tol(metrics.r_rmse, sqrt(5.0 / 0.5), 1e-12);
    ck_assert_double_eq_tol(metrics.r_row, 4.0, 1e-12);    /* row 1: 2 / 0.5 */
    ck_assert_double_eq_tol(metrics.r_maxabs, 4.0, 1e-12); /* 2 / 0.5 */
    ck_assert_double_eq(metrics.max_abs, 2.0);
    ck_assert_double_eq_tol(metrics.nmse, 5.0 / 125.0, 1e-15);
    ck_assert_double_eq(metrics.top1_agreement, 1.0);
    ck_assert_int_eq(metrics.effective_window, -1);
}
END_TEST

START_TEST(rows_may_come_in_several_calls)
{
    for (size_t i = 0; i < 2; i++) {
        add(&reference, oracle_2x4 + 4 * i, reference_2x4 + 4 * i, 1);
        add(&test, oracle_2x4 + 4 * i, test_2x4 + 4 * i, 1);
    }
    measure();
    ck_assert_double_eq_tol(metrics.r_rmse, sqrt(5.0 / 0.5), 1e-12);
    ck_assert_double_eq_tol(metrics.r_row, 4.0, 1e-12);
    ck_assert_int_eq(test.worst.position, 1);
}
END_TEST

START_TEST(an_engine_as_good_as_the_reference_has_a_ratio_of_one)
{
    add(&reference, oracle_2x4, reference_2x4, 2);
    add(&test, oracle_2x4, reference_2x4, 2);
    measure();
    ck_assert_double_eq(metrics.r_rmse, 1.0);
    ck_assert_double_eq(metrics.r_row, 1.0);
    ck_assert_double_eq(metrics.r_maxabs, 1.0);
}
END_TEST

/* p = (1/2, 1/2) and q = (3/4, 1/4): KL(p || q) = ln(4/3) / 2 = 0.1438, KL(q || p) = 0.1308. */
START_TEST(kl_is_taken_from_the_oracle_to_the_engine)
{
    const double oracle[] = {0, 0};
    const float rows[] = {1.0986123f, 0};
    mv_error_profile_init(&reference, 2);
    mv_error_profile_init(&test, 2);
    add(&reference, oracle, rows, 1);
    add(&test, oracle, rows, 1);
    measure();
    ck_assert_double_eq_tol(metrics.kl_mean, 0.14384104, 1e-7);
    ck_assert_double_eq_tol(metrics.kl_max, 0.14384104, 1e-7);
}
END_TEST

START_TEST(kl_of_identical_rows_is_zero_and_the_mean_is_over_rows)
{
    const double oracle[] = {0.5, -0.25, 300, 7, 0, 0, -1e4, -1e4};
    const float same[] = {0.5f, -0.25f, 300, 7, 0, 0, -1e4f, -1e4f};
    const float other[] = {0.5f, -0.25f, 300, 7, 1.0986123f, 0, -1e4f, -1e4f};
    add(&reference, oracle, same, 2);
    add(&test, oracle, same, 2);
    measure();
    ck_assert_double_eq(metrics.kl_mean, 0);
    ck_assert_double_eq(metrics.kl_max, 0);
    mv_error_profile_free(&test);
    add(&test, oracle, other, 2);
    measure();
    ck_assert_double_eq_tol(metrics.kl_max, 0.14384104, 1e-7);
    ck_assert_double_eq_tol(metrics.kl_mean, 0.14384104 / 2, 1e-7);
}
END_TEST

START_TEST(kl_does_not_overflow_and_ignores_what_is_added_to_all_logits)
{
    const double oracle[] = {1e6, 1e6, -1e6, -1e6};
    const float rows[] = {-2e5f, -2e5f, -3e6f, -3e6f};
    add(&test, oracle, rows, 1);
    ck_assert_double_eq_tol(test.rows[0].kl, 0, 1e-12);
}
END_TEST

START_TEST(kl_that_nobody_asked_for_is_not_known)
{
    ck_assert_int_eq(mv_error_profile_add(&test, oracle_2x4, test_2x4, 2, false, &error), MV_OK);
    add(&reference, oracle_2x4, reference_2x4, 2);
    measure();
    ck_assert_double_nan(metrics.kl_mean);
    ck_assert_double_nan(metrics.kl_max);
    ck_assert_double_eq_tol(metrics.r_rmse, sqrt(10.0), 1e-12);
}
END_TEST

/* ---- the yardstick ---- */

START_TEST(a_reference_without_error_counts_as_float32_rounding)
{
    const float exact[] = {3, 0, 0, 4, 0, 6, 8, 0};
    const double floor = 125.0 * HALF_ULP * HALF_ULP / 3.0; /* of both rows */
    add(&reference, oracle_2x4, exact, 2);
    add(&test, oracle_2x4, test_2x4, 2);
    measure();
    ck_assert_double_eq_tol(metrics.r_rmse / sqrt(5.0 / floor), 1, 1e-12);
    ck_assert_double_eq_tol(metrics.r_row / sqrt(4.0 / (floor / 2)), 1, 1e-12);
    ck_assert_double_eq_tol(metrics.r_maxabs / (2.0 / (8.0 * HALF_ULP / sqrt(3.0))), 1, 1e-12);

    mv_error_profile_free(&test);
    add(&test, oracle_2x4, exact, 2); /* nothing over something is nothing */
    measure();
    ck_assert_double_eq(metrics.r_rmse, 0);
    ck_assert_double_eq(metrics.r_row, 0);
    ck_assert_double_eq(metrics.r_maxabs, 0);
}
END_TEST

START_TEST(an_oracle_of_zeros_shows_nothing)
{
    const double zeros[4] = {0};
    const float exact[4] = {0};
    add(&reference, zeros, exact, 1);
    add(&test, zeros, exact, 1);
    measure();
    ck_assert_double_nan(metrics.r_rmse);
    ck_assert_double_nan(metrics.nmse);
}
END_TEST

/* Row errors of the reference: 0 (luck), 1, 1, 1; of the engine: 1 each. The lucky row counts as
 * half of the median. */
START_TEST(a_lucky_row_of_the_reference_is_no_yardstick)
{
    const double oracle[16] = {100, 0, 0, 0, 100, 0, 0, 0, 100, 0, 0, 0, 100, 0, 0, 0};
    float r[16], t[16];
    for (size_t i = 0; i < 16; i++) {
        r[i] = (float)oracle[i] + (i % 4 == 1 && i >= 4 ? 1 : 0);
        t[i] = (float)oracle[i] + (i % 4 == 2 ? 1 : 0);
    }
    add(&reference, oracle, r, 4);
    add(&test, oracle, t, 4);
    measure();
    ck_assert_double_eq_tol(metrics.r_row, 2.0, 1e-12);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 2.1), -1);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 1.9), 0);
}
END_TEST

START_TEST(finds_the_first_row_beyond_a_limit)
{
    const double oracle[12] = {9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0};
    const float r[12] = {9, 1, 0, 0, 9, 1, 0, 0, 9, 1, 0, 0};
    float t[12] = {9, 0, 1, 0, 9, 0, 4, 0, 9, 0, 8, 0};
    add(&reference, oracle, r, 3);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 3), -1); /* other numbers of rows */
    add(&test, oracle, t, 3);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 3), 1);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 4), 2); /* the limit itself is good */
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 8), -1);
    t[3] = NAN;
    mv_error_profile_free(&test);
    add(&test, oracle, t, 3);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 1e300), 0);
}
END_TEST

/* ---- top 1 ---- */

/* The oracle's first two are 0.5 apart; the reference's error of a row is sqrt(square / 4). */
START_TEST(a_near_tie_may_fall_either_way)
{
    const double oracle[] = {10, 9.5, 0, 0};
    const float swapped[] = {9.5f, 10, 0, 0};
    const struct {
        float noise; /* in one column: an error of noise / 2 a column */
        double agreement;
    } rows[] = {{0.5f, 1}, {0.26f, 1}, {0.24f, 0}, {0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const float r[] = {10, 9.5f, 0, rows[i].noise};
        mv_error_profile_free(&reference);
        mv_error_profile_free(&test);
        add(&reference, oracle, r, 1);
        add(&test, oracle, swapped, 1);
        measure();
        ck_assert_msg(metrics.top1_agreement == rows[i].agreement, "noise %g: %g",
                      (double)rows[i].noise, metrics.top1_agreement);
    }
}
END_TEST

START_TEST(an_exact_tie_agrees_and_a_half_of_wrong_rows_is_a_half)
{
    const double oracle[] = {5, 5, 0, 0, 0, 0, 7, 0};
    const float r[] = {5, 5, 0, 0, 0, 0, 7, 0};
    const float t[] = {4, 5, 0, 0, 0, 9, 7, 0};
    add(&reference, oracle, r, 2);
    add(&test, oracle, t, 2);
    measure();
    ck_assert_double_eq(metrics.top1_agreement, 0.5);
}
END_TEST

/* ---- what is not finite ---- */

static const float not_finite[] = {NAN, INFINITY, -INFINITY};

START_TEST(one_value_that_is_not_finite_fails_every_bound)
{
    for (size_t i = 0; i < 12; i++) {
        float t[4] = {3, 0, 0, 4};
        t[i % 4] = not_finite[i / 4];
        mv_error_profile_free(&reference);
        mv_error_profile_free(&test);
        add(&reference, oracle_2x4, reference_2x4, 1);
        add(&test, oracle_2x4, t, 1);
        ck_assert_uint_eq(test.rows[0].n_non_finite, 1);
        ck_assert_int_eq(test.worst.position, 0);
        ck_assert_int_eq(test.worst.token_id, (int)(i % 4));
        ck_assert(!isfinite(test.worst.actual));
        measure();
        ck_assert_msg(!passes_any_bound(), "column %zu, kind %zu", i % 4, i / 4);
        ck_assert_double_infinite(metrics.max_abs);
    }
}
END_TEST

START_TEST(a_row_of_nan_fails_every_bound)
{
    const float t[4] = {NAN, NAN, NAN, NAN};
    add(&reference, oracle_2x4, reference_2x4, 1);
    add(&test, oracle_2x4, t, 1);
    measure();
    ck_assert(!passes_any_bound());
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 1e300), 0);
}
END_TEST

START_TEST(one_bad_row_of_two_is_not_hidden_by_the_good_one)
{
    const float t[] = {3, 0, 0, 4, 0, NAN, 8, 0};
    add(&reference, oracle_2x4, reference_2x4, 2);
    add(&test, oracle_2x4, t, 2);
    measure();
    ck_assert_double_nan(metrics.r_rmse);
    ck_assert_double_nan(metrics.r_row);
    ck_assert_double_nan(metrics.r_maxabs);
    ck_assert_double_infinite(metrics.max_abs);
    ck_assert_double_infinite(metrics.nmse);
    ck_assert_double_nan(metrics.kl_mean);
    ck_assert_double_nan(metrics.kl_max);
    ck_assert_double_eq(metrics.top1_agreement, 0.5);
    ck_assert_int_eq(test.worst.position, 1);
    ck_assert_int_eq(test.worst.token_id, 1);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 1e300), 1);
}
END_TEST

START_TEST(a_reference_that_is_not_finite_is_no_yardstick)
{
    float r[8];
    memcpy(r, reference_2x4, sizeof r);
    r[5] = NAN;
    add(&reference, oracle_2x4, r, 2);
    add(&test, oracle_2x4, test_2x4, 2);
    measure();
    ck_assert_double_nan(metrics.r_rmse);
    ck_assert_double_nan(metrics.r_row);
    ck_assert_double_nan(metrics.r_maxabs);
}
END_TEST

START_TEST(an_oracle_that_is_not_finite_is_refused)
{
    for (size_t i = 0; i < 3; i++) {
        double oracle[8];
        memcpy(oracle, oracle_2x4, sizeof oracle);
        oracle[4 + i] = (double)not_finite[i];
        mv_error_profile_free(&test);
        ck_assert_int_eq(mv_error_profile_add(&test, oracle, test_2x4, 2, true, &error),
                         MV_ERR_FORMAT);
        ck_assert_msg(strstr(error.message, "row 1 ") != NULL, "%s", error.message);
    }
}
END_TEST

/* ---- the worst ---- */

START_TEST(the_worst_logit_is_where_the_largest_error_is)
{
    const float t[] = {3, -2, 0, 4, 0, 6, 8.5f, 0};
    add(&test, oracle_2x4, t, 2);
    ck_assert_int_eq(test.worst.position, 0);
    ck_assert_int_eq(test.worst.token_id, 1);
    ck_assert_double_eq(test.worst.expected, 0);
    ck_assert_double_eq(test.worst.actual, -2);
}
END_TEST

START_TEST(the_first_that_is_not_finite_is_the_worst)
{
    const double oracle[12] = {0};
    const float t[12] = {9, 0, 0, 0, 0, 0, 0, NAN, 1e30f, INFINITY, 0, 0};
    add(&test, oracle, t, 3);
    ck_assert_int_eq(test.worst.position, 1);
    ck_assert_int_eq(test.worst.token_id, 3);
    ck_assert_double_nan(test.worst.actual);
}
END_TEST

/* ---- shapes ---- */

START_TEST(nothing_compared_is_nothing_known)
{
    measure();
    ck_assert(!passes_any_bound());
    ck_assert_double_nan(metrics.max_abs);
    ck_assert_double_nan(metrics.top1_agreement);
    ck_assert_int_eq(test.worst.position, -1);
    ck_assert_int_eq(mv_first_bad_row(&reference, &test, 0), -1);
}
END_TEST

START_TEST(other_shapes_are_refused_with_both)
{
    add(&reference, oracle_2x4, reference_2x4, 2);
    add(&test, oracle_2x4, test_2x4, 1);
    ck_assert_int_eq(mv_metrics_from_profiles(&metrics, &reference, &test, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "[1, 4]"));
    ck_assert_ptr_nonnull(strstr(error.message, "[2, 4]"));

    mv_error_profile_free(&test);
    mv_error_profile_init(&test, 2); /* as many numbers in all */
    add(&test, oracle_2x4, test_2x4, 2);
    ck_assert_int_eq(mv_metrics_from_profiles(&metrics, &reference, &test, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "[2, 2]"));
}
END_TEST

START_TEST(appended_rows_count_and_bad_ranges_are_refused)
{
    mv_error_profile joined;
    mv_error_profile_init(&joined, 4);
    add(&reference, oracle_2x4, reference_2x4, 2);
    add(&test, oracle_2x4, test_2x4, 2);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 1, 1, &error), MV_OK);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 0, 2, &error), MV_OK);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 2, 0, &error), MV_OK);
    ck_assert_uint_eq(joined.n_rows, 3);
    ck_assert_double_eq(joined.rows[0].square, 4);
    ck_assert_double_eq(joined.rows[1].square, 1);
    ck_assert_double_eq(joined.rows[2].square, 4);
    ck_assert_int_eq(joined.worst.position, -1);

    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 1, 2, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 3, 0, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 1, SIZE_MAX, &error), MV_ERR_ARGUMENT);
    mv_error_profile_free(&joined);
    mv_error_profile_init(&joined, 3);
    ck_assert_int_eq(mv_error_profile_append(&joined, &test, 0, 1, &error), MV_ERR_ARGUMENT);
    ck_assert_uint_eq(joined.n_rows, 0);
    mv_error_profile_free(&joined);
}
END_TEST

START_TEST(many_rows_grow_the_profile)
{
    for (int i = 0; i < 1000; i++)
        add(&test, oracle_2x4, test_2x4, 1 + (size_t)i % 2);
    ck_assert_uint_eq(test.n_rows, 1500);
    ck_assert_double_eq(test.rows[1499].square, 4);
}
END_TEST

/* ---- bit for bit ---- */

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

START_TEST(equal_bits_are_equal_and_equal_values_are_not)
{
    const float a[] = {1, 0, from_bits(0x7fc00001), INFINITY, from_bits(1)};
    float b[5];
    memcpy(b, a, sizeof b);
    ck_assert_int_eq(mv_first_different(a, b, 5), -1); /* a NaN is itself */
    ck_assert_int_eq(mv_first_different(a, b, 0), -1);
    b[1] = -0.0f;
    ck_assert_int_eq(mv_first_different(a, b, 5), 1);
    ck_assert_int_eq(mv_first_different(a, b, 1), -1);
    memcpy(b, a, sizeof b);
    b[2] = from_bits(0x7fc00002); /* another NaN */
    ck_assert_int_eq(mv_first_different(a, b, 5), 2);
    memcpy(b, a, sizeof b);
    b[4] = 0;
    ck_assert_int_eq(mv_first_different(a, b, 5), 4);
    b[0] = from_bits(0x3f800001);
    ck_assert_int_eq(mv_first_different(a, b, 5), 0);
}
END_TEST

static Suite *compare_suite(void)
{
    Suite *suite = suite_create("compare");
    TCase *values = tcase_create("values");
    tcase_add_checked_fixture(values, set_up, tear_down);
    tcase_add_test(values, each_metric_has_the_value_of_its_definition);
    tcase_add_test(values, rows_may_come_in_several_calls);
    tcase_add_test(values, an_engine_as_good_as_the_reference_has_a_ratio_of_one);
    tcase_add_test(values, kl_is_taken_from_the_oracle_to_the_engine);
    tcase_add_test(values, kl_of_identical_rows_is_zero_and_the_mean_is_over_rows);
    tcase_add_test(values, kl_does_not_overflow_and_ignores_what_is_added_to_all_logits);
    tcase_add_test(values, kl_that_nobody_asked_for_is_not_known);
    tcase_add_test(values, a_reference_without_error_counts_as_float32_rounding);
    tcase_add_test(values, an_oracle_of_zeros_shows_nothing);
    tcase_add_test(values, a_lucky_row_of_the_reference_is_no_yardstick);
    tcase_add_test(values, finds_the_first_row_beyond_a_limit);
    tcase_add_test(values, a_near_tie_may_fall_either_way);
    tcase_add_test(values, an_exact_tie_agrees_and_a_half_of_wrong_rows_is_a_half);
    suite_add_tcase(suite, values);

    TCase *bad = tcase_create("not finite");
    tcase_add_checked_fixture(bad, set_up, tear_down);
    tcase_add_test(bad, one_value_that_is_not_finite_fails_every_bound);
    tcase_add_test(bad, a_row_of_nan_fails_every_bound);
    tcase_add_test(bad, one_bad_row_of_two_is_not_hidden_by_the_good_one);
    tcase_add_test(bad, a_reference_that_is_not_finite_is_no_yardstick);
    tcase_add_test(bad, an_oracle_that_is_not_finite_is_refused);
    tcase_add_test(bad, the_worst_logit_is_where_the_largest_error_is);
    tcase_add_test(bad, the_first_that_is_not_finite_is_the_worst);
    suite_add_tcase(suite, bad);

    TCase *shapes = tcase_create("shapes");
    tcase_add_checked_fixture(shapes, set_up, tear_down);
    tcase_add_test(shapes, nothing_compared_is_nothing_known);
    tcase_add_test(shapes, other_shapes_are_refused_with_both);
    tcase_add_test(shapes, appended_rows_count_and_bad_ranges_are_refused);
    tcase_add_test(shapes, many_rows_grow_the_profile);
    tcase_add_test(shapes, equal_bits_are_equal_and_equal_values_are_not);
    suite_add_tcase(suite, shapes);
    return suite;
}

MV_TEST_MAIN(compare_suite)
