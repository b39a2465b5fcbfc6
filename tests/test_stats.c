#include "tests/test_main.h"

#include <math.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/stats.h"

static mv_error error;

#define CLOSE(a, b, tolerance) ck_assert_double_eq_tol((a), (b), (tolerance))

/* ---- enumerated by brute force ---- */

/* P(W+ >= w) over all 2^n choices of signs, ranks[i] doubled. */
static double brute_tail(const double *ranks, size_t n, double w)
{
    unsigned n_above = 0;
    for (unsigned signs = 0; signs < 1u << n; signs++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (signs >> i & 1u) != 0 ? ranks[i] : 0;
        n_above += sum >= w ? 1 : 0;
    }
    return (double)n_above / (double)(1u << n);
}

START_TEST(the_signed_rank_distribution_is_that_of_all_choices_of_signs)
{
    for (size_t n = 1; n <= 12; n++) {
        double ranks[12];
        for (size_t i = 0; i < n; i++)
            ranks[i] = (double)(i + 1);
        for (size_t w = 0; w <= n * (n + 1) / 2 + 1; w++)
            CLOSE(mv_signed_rank_tail(n, (double)w), brute_tail(ranks, n, (double)w), 1e-14);
    }
}
END_TEST

/* Wilcoxon and Wilcox 1964, table 2: largest W with one-sided P(W <= w) <= 0.025 and 0.005. */
START_TEST(published_critical_values_of_the_signed_rank_test_are_met)
{
    static const struct {
        size_t n;
        double at_025, at_005; /* -1: none */
    } table[] = {
        {6, 0, -1}, {7, 2, -1},   {8, 3, 0},    {9, 5, 1},
        {10, 8, 3}, {15, 25, 15}, {20, 52, 37}, {25, 89, 68},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const double most = (double)(table[i].n * (table[i].n + 1) / 2);
        const double limits[2] = {0.025, 0.005}, critical[2] = {table[i].at_025, table[i].at_005};
        for (size_t j = 0; j < 2; j++) { /* P(W <= w) = P(W >= most - w) */
            if (critical[j] >= 0)
                ck_assert(mv_signed_rank_tail(table[i].n, most - critical[j]) <= limits[j]);
            ck_assert(mv_signed_rank_tail(table[i].n, most - critical[j] - 1) > limits[j]);
        }
    }
}
END_TEST

START_TEST(the_approximation_beyond_200_joins_the_exact_values)
{
    for (double z = 0; z < 4; z += 0.5) {
        double p[2];
        for (size_t j = 0; j < 2; j++) {
            size_t n = MV_EXACT_RANKS + j;
            double mean = (double)n * (double)(n + 1) / 4;
            p[j] = mv_signed_rank_tail(n, round(mean + z * sqrt(mean * (2 * (double)n + 1) / 6)));
        }
        CLOSE(p[0], p[1], 0.002);
        ck_assert(fabs(p[0] / p[1] - 1) < 0.12);
    }
}
END_TEST

START_TEST(tied_and_zero_differences_have_the_exact_conditional_distribution)
{
    static const double d[] = {0, 1, -1, 1, 2, 2, -3, 0, 4};
    static const double ranks[] = {2, 2, 2, 4.5, 4.5, 6, 7}; /* of |d| = 1 1 1 2 2 3 4 */
    double above, below;
    ck_assert_int_eq(mv_signed_rank(&above, &below, d, 9, &error), MV_OK);
    CLOSE(above, brute_tail(ranks, 7, 2 + 2 + 4.5 + 4.5 + 7), 1e-14);
    CLOSE(below, 1 - brute_tail(ranks, 7, 2 + 2 + 4.5 + 4.5 + 7 + 0.5), 1e-14);
}
END_TEST

START_TEST(swapping_the_arms_mirrors_the_test_and_scaling_changes_nothing)
{
    static const double d[] = {0.3, -0.1, 0.8, 0.2, -0.5, 0.9, 1.1, 0.05};
    double mirrored[8], scaled[8], p[2], q[2], r[2];
    mv_estimate shift, other;
    for (size_t i = 0; i < 8; i++) {
        mirrored[i] = -d[i];
        scaled[i] = 1e-6 * d[i];
    }
    ck_assert_int_eq(mv_signed_rank(&p[0], &p[1], d, 8, &error), MV_OK);
    ck_assert_int_eq(mv_signed_rank(&q[1], &q[0], mirrored, 8, &error), MV_OK);
    ck_assert_int_eq(mv_signed_rank(&r[0], &r[1], scaled, 8, &error), MV_OK);
    ck_assert(memcmp(p, q, sizeof p) == 0 && memcmp(p, r, sizeof p) == 0);
    ck_assert_int_eq(mv_hodges_lehmann(&shift, d, 8, 0.95, &error), MV_OK);
    ck_assert_int_eq(mv_hodges_lehmann(&other, mirrored, 8, 0.95, &error), MV_OK);
    CLOSE(shift.value, -other.value, 1e-15);
    CLOSE(shift.low, -other.high, 1e-15);
}
END_TEST

START_TEST(all_zero_differences_say_nothing)
{
    static const double d[] = {0, 0, 0, 0};
    double above, below;
    ck_assert_int_eq(mv_signed_rank(&above, &below, d, 4, &error), MV_OK);
    CLOSE(above, 1, 1e-12);
    CLOSE(below, 1, 1e-12);
}
END_TEST

/* ---- Hodges and Lehmann ---- */

START_TEST(hodges_lehmann_is_the_median_of_the_means_of_two)
{
    static const double d[] = {1, 2, 4};
    mv_estimate shift; /* means: 1 1.5 2 2.5 3 4 */
    ck_assert_int_eq(mv_hodges_lehmann(&shift, d, 3, 0.95, &error), MV_OK);
    CLOSE(shift.value, 2.25, 1e-15);
    ck_assert(isinf(shift.low) && shift.low < 0 && isinf(shift.high) && shift.high > 0);
}
END_TEST

/* The interval is what the test does not reject: step through candidates and ask the test. */
START_TEST(the_hodges_lehmann_interval_inverts_the_test)
{
    static const double d[] = {0.31, -0.12, 0.83, 0.27, -0.55, 0.92, 1.13, 0.05, 0.44, 0.71};
    mv_estimate shift;
    ck_assert_int_eq(mv_hodges_lehmann(&shift, d, 10, 0.95, &error), MV_OK);
    for (double candidate = -1.0003; candidate < 2; candidate += 0.0101) {
        double moved[10], above, below;
        for (size_t i = 0; i < 10; i++)
            moved[i] = d[i] - candidate;
        ck_assert_int_eq(mv_signed_rank(&above, &below, moved, 10, &error), MV_OK);
        bool accepted = above > 0.025 && below > 0.025;
        ck_assert_int_eq(accepted, candidate > shift.low && candidate < shift.high);
    }
}
END_TEST

/* ---- the median ---- */

/* Ranks of the 95 % interval: 2 P(B(n, 1/2) < k) <= 0.05, from binomial coefficients. */
START_TEST(the_interval_of_the_median_has_the_binomial_ranks)
{
    for (size_t n = 1; n <= 40; n++) {
        double values[40], coefficient = 1, below = 0;
        size_t k = 0;
        mv_estimate median;
        for (size_t i = 0; i < n; i++)
            values[i] = (double)(n - i);
        for (; k < n; k++) {
            below += coefficient;
            if (2 * below > 0.05 * pow(2, (double)n))
                break;
            coefficient = coefficient * (double)(n - k) / (double)(k + 1);
        }
        ck_assert_int_eq(mv_median_estimate(&median, values, n, (double)n, 0.95, &error), MV_OK);
        CLOSE(median.value, (double)(n + 1) / 2, 1e-12);
        ck_assert_int_eq(k == 0, isinf(median.low) != 0);
        ck_assert_int_eq(k == 0, n < 6);
        if (k > 0) {
            CLOSE(median.low, (double)k, 1e-12);
            CLOSE(median.high, (double)(n + 1 - k), 1e-12);
        }
    }
}
END_TEST

START_TEST(the_interval_of_many_values_joins_that_of_fewer)
{
    double values[2000];
    mv_estimate few, many;
    for (size_t i = 0; i < 2000; i++)
        values[i] = (double)i;
    ck_assert_int_eq(mv_median_estimate(&few, values, 2000, 999, 0.95, &error), MV_OK);
    ck_assert_int_eq(mv_median_estimate(&many, values, 2000, 1000, 0.95, &error), MV_OK);
    CLOSE(few.low, many.low, 4);
    CLOSE(few.high, many.high, 4);
}
END_TEST

START_TEST(values_that_follow_each_other_are_worth_fewer)
{
    double smooth[200], jumping[200], n_smooth, n_jumping;
    for (size_t i = 0; i < 200; i++) {
        smooth[i] = sin((double)i / 20);
        jumping[i] = (double)((i * 7919) % 200);
    }
    ck_assert_int_eq(mv_effective_count(&n_smooth, smooth, 200, &error), MV_OK);
    ck_assert_int_eq(mv_effective_count(&n_jumping, jumping, 200, &error), MV_OK);
    ck_assert(n_smooth < 10);
    ck_assert(n_jumping > 150);
    mv_estimate wide, narrow;
    ck_assert_int_eq(mv_median_estimate(&narrow, jumping, 200, 200, 0.95, &error), MV_OK);
    ck_assert_int_eq(mv_median_estimate(&wide, jumping, 200, 20, 0.95, &error), MV_OK);
    ck_assert(wide.low < narrow.low && wide.high > narrow.high);
}
END_TEST

START_TEST(percentiles_are_interpolated_as_numpy_does)
{
    static const double sorted[] = {1, 2, 4, 8};
    CLOSE(mv_percentile(sorted, 4, 0), 1, 1e-12);
    CLOSE(mv_percentile(sorted, 4, 0.5), 3, 1e-15);
    CLOSE(mv_percentile(sorted, 4, 0.95), 7.4, 1e-12);
    CLOSE(mv_percentile(sorted, 4, 1), 8, 1e-12);
    CLOSE(mv_percentile(sorted, 1, 0.99), 1, 1e-12);
    double unsorted[] = {8, 1, 4, 2}, odd[] = {9, 7, 8}, one[] = {5};
    CLOSE(mv_median_in_place(unsorted, 4), 3, 1e-15);
    CLOSE(mv_median_in_place(odd, 3), 8, 1e-15);
    CLOSE(mv_median_in_place(one, 1), 5, 1e-15);
}
END_TEST

START_TEST(the_median_deviation_ignores_one_wild_value)
{
    static const double values[] = {1, 2, 3, 4, 1e9};
    double deviation;
    ck_assert_int_eq(mv_median_deviation(&deviation, values, 5, &error), MV_OK);
    CLOSE(deviation, 1.4826, 1e-4);
}
END_TEST

/* ---- Holm ---- */

START_TEST(holm_multiplies_by_the_hypotheses_that_are_left)
{
    static const double p[] = {0.01, 0.04, 0.03, 0.005}; /* Holm 1979's step-down, by hand */
    static const double expected[] = {0.03, 0.06, 0.06, 0.02};
    double adjusted[4];
    ck_assert_int_eq(mv_holm(adjusted, p, 4, &error), MV_OK);
    for (size_t i = 0; i < 4; i++)
        CLOSE(adjusted[i], expected[i], 1e-15);
}
END_TEST

START_TEST(numbers_that_are_not_finite_are_refused)
{
    const double bad[] = {1, NAN, 2}, worse[] = {INFINITY}, above_one[] = {1.5};
    double a, b;
    mv_estimate estimate;
    ck_assert_int_eq(mv_signed_rank(&a, &b, bad, 3, &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "value 1 of 3 is nan"));
    ck_assert_int_eq(mv_hodges_lehmann(&estimate, bad, 3, 0.95, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_median_estimate(&estimate, worse, 1, 1, 0.95, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_median_deviation(&a, bad, 0, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_holm(&a, above_one, 1, &error), MV_ERR_ARGUMENT);
}
END_TEST

/* ---- the clock ---- */

START_TEST(a_lapse_counts_work)
{
    mv_tick start, end;
    volatile double sum = 0;
    mv_tick_read(&start);
    do {
        for (int i = 0; i < 1000; i++)
            sum = sum + (double)i;
        mv_tick_read(&end);
    } while (end.cpu_ns - start.cpu_ns < 2000000);
    mv_lapse lapse = mv_tick_between(&start, &end);
    ck_assert_int_ge(lapse.wall_ns, 1000000);
    ck_assert_int_ge(lapse.cpu_ns, 2000000);
    ck_assert_int_gt(mv_clock_resolution_ns(), 0);
}
END_TEST

static Suite *stats_suite(void)
{
    Suite *suite = suite_create("stats");
    TCase *tcase = tcase_create("stats");
    tcase_add_test(tcase, the_signed_rank_distribution_is_that_of_all_choices_of_signs);
    tcase_add_test(tcase, published_critical_values_of_the_signed_rank_test_are_met);
    tcase_add_test(tcase, the_approximation_beyond_200_joins_the_exact_values);
    tcase_add_test(tcase, tied_and_zero_differences_have_the_exact_conditional_distribution);
    tcase_add_test(tcase, swapping_the_arms_mirrors_the_test_and_scaling_changes_nothing);
    tcase_add_test(tcase, all_zero_differences_say_nothing);
    tcase_add_test(tcase, hodges_lehmann_is_the_median_of_the_means_of_two);
    tcase_add_test(tcase, the_hodges_lehmann_interval_inverts_the_test);
    tcase_add_test(tcase, the_interval_of_the_median_has_the_binomial_ranks);
    tcase_add_test(tcase, the_interval_of_many_values_joins_that_of_fewer);
    tcase_add_test(tcase, values_that_follow_each_other_are_worth_fewer);
    tcase_add_test(tcase, percentiles_are_interpolated_as_numpy_does);
    tcase_add_test(tcase, the_median_deviation_ignores_one_wild_value);
    tcase_add_test(tcase, holm_multiplies_by_the_hypotheses_that_are_left);
    tcase_add_test(tcase, numbers_that_are_not_finite_are_refused);
    tcase_add_test(tcase, a_lapse_counts_work);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(stats_suite)
