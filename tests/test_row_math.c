/* Sums over rows against the plain loops that they stand for, at every length up to a few vectors.
 */
#include <math.h>
#include <string.h>

#include "harness/row_math.h"
#include "harness/synthetic.h"
#include "tests/test_main.h"

enum { MOST = 1100 };
static double o[MOST];
static float t[MOST], rows[MV_ROWS_AT_ONCE][MOST];
static uint8_t codes[MOST][4];

static double uniform(uint64_t stream, size_t i)
{
    return (double)(mv_synthetic_bits(7, stream, i) >> 11) * 0x1p-53;
}

static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        o[i] = 40 * uniform(n, i) - 30;
        t[i] = (float)(o[i] + 1e-3 * (uniform(n + 1, i) - 0.5));
    }
}

static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 511, 512, 513, 516, 1024, 1031};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

START_TEST(a_comparison_is_the_plain_loop)
{
    const size_t n = lengths[_i];
    double square = 0, o_square = 0, max_abs = -1, o_max_abs = 0;
    size_t worst = 0, first_o = 0, first_t = 0;
    fill(n);
    if (n > 8)
        o[n / 2] = o[n - 1] = 50, t[n / 2] = t[n - 1] = 60; /* the first of equals */
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)t[i] - o[i]);
        square += d * d;
        o_square += o[i] * o[i];
        o_max_abs = fmax(o_max_abs, fabs(o[i]));
        worst = d > max_abs ? i : worst;
        max_abs = fmax(max_abs, d);
        first_o = o[i] > o[first_o] ? i : first_o;
        first_t = t[i] > t[first_t] ? i : first_t;
    }
    const mv_row_sums s = mv_row_compare(o, t, n);
    ck_assert(s.finite);
    ck_assert_double_eq_tol(s.square, square, 1e-12 * square);
    ck_assert_double_eq_tol(s.o_square, o_square, 1e-12 * o_square);
    ck_assert_double_eq(s.max_abs, max_abs);
    ck_assert_double_eq(s.o_max_abs, o_max_abs);
    ck_assert_uint_eq(s.worst, worst);
    ck_assert_uint_eq(s.first_o, first_o);
    ck_assert_uint_eq(s.first_t, first_t);
}
END_TEST

START_TEST(what_is_not_finite_is_seen_in_every_place)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const size_t n = lengths[_i];
    for (size_t at = 0; at < n; at++) {
        fill(n);
        t[at] = bad[at % 3];
        ck_assert_msg(!mv_row_compare(o, t, n).finite, "column %zu of %zu", at, n);
    }
}
END_TEST

START_TEST(exponentials_are_those_of_libm)
{
    const size_t n = lengths[_i];
    double sum = 0, sum_o = 0, sum_t = 0, weighted = 0;
    fill(n);
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)t[i] - 12.5);
        sum_o += exp(o[i] - 11);
        sum_t += exp((double)t[i] - 12);
        weighted += exp(o[i] - 11) * ((o[i] - 11) - ((double)t[i] - 12));
    }
    const mv_row_kl kl = mv_row_kl_sums(o, t, n, 11, 12);
    ck_assert_double_eq_tol(mv_row_exp_sum(t, n, 12.5), sum, 1e-14 * sum);
    ck_assert_double_eq_tol(kl.sum_o, sum_o, 1e-14 * sum_o);
    ck_assert_double_eq_tol(kl.sum_t, sum_t, 1e-14 * sum_t);
    ck_assert_double_eq_tol(kl.weighted, weighted, 1e-13 * fabs(weighted));
    const float far[] = {0, -INFINITY, -1e30f, -800};
    ck_assert_double_eq_tol(mv_row_exp_sum(far, 4, 0), 1, 1e-15);
}
END_TEST

START_TEST(four_rows_at_once_are_four_rows)
{
    const size_t n = lengths[_i];
    mv_places places = {{{0}}}, expected = {{{0}}};
    const float *four[MV_ROWS_AT_ONCE];
    for (size_t r = 0; r < MV_ROWS_AT_ONCE; r++) {
        four[r] = rows[r];
        for (size_t i = 0; i < n; i++)
            rows[r][i] = (float)uniform(100 + r, i);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < 4; g++) {
            codes[i][g] = (uint8_t)(mv_synthetic_bits(9, g, i) % MV_PLACES);
            for (size_t r = 0; r < MV_ROWS_AT_ONCE; r++)
                expected[g][codes[i][g]][r] += (double)rows[r][i];
        }
    }
    mv_row_scatter(four, n, (const uint8_t(*)[4])codes, places);
    ck_assert_mem_eq(places, expected, sizeof places);
}
END_TEST

START_TEST(the_next_above_is_the_first)
{
    const size_t n = lengths[_i];
    memset(t, 0, sizeof t);
    for (size_t at = 0; at < n; at++) {
        t[at] = 2;
        ck_assert_uint_eq(mv_row_next_above(t, 0, n, 1), at);
        ck_assert_uint_eq(mv_row_next_above(t, at, n, 1), at);
        ck_assert_uint_eq(mv_row_next_above(t, at + 1, n, 1), n);
        ck_assert_uint_eq(mv_row_next_above(t, 0, n, 2), n);
        t[at] = 0;
    }
}
END_TEST

static Suite *row_math_suite(void)
{
    Suite *suite = suite_create("row_math");
    TCase *sums = tcase_create("sums");
    tcase_add_loop_test(sums, a_comparison_is_the_plain_loop, 0, N_LENGTHS);
    tcase_add_loop_test(sums, what_is_not_finite_is_seen_in_every_place, 0, N_LENGTHS);
    tcase_add_loop_test(sums, exponentials_are_those_of_libm, 0, N_LENGTHS);
    tcase_add_loop_test(sums, four_rows_at_once_are_four_rows, 0, N_LENGTHS);
    tcase_add_loop_test(sums, the_next_above_is_the_first, 0, N_LENGTHS);
    suite_add_tcase(suite, sums);
    return suite;
}

MV_TEST_MAIN(row_math_suite)
