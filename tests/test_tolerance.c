/* The gate: how much room is left, and that nothing unknown has room. */
#include "harness/tolerance.h"

#include <math.h>
#include <string.h>

#include "tests/test_main.h"

static const mv_compute computes[] = {MV_COMPUTE_F32, MV_COMPUTE_BF16, MV_COMPUTE_F64};

static double headroom(double r_rmse, double r_row, double r_maxabs, const char **decides)
{
    const mv_tolerance limits = {MV_COMPUTE_F32, 3, 4, 5, "the test"};
    mv_metrics metrics;
    mv_metrics_clear(&metrics);
    metrics.r_rmse = r_rmse;
    metrics.r_row = r_row;
    metrics.r_maxabs = r_maxabs;
    return mv_tolerance_headroom(&limits, &metrics, decides);
}

START_TEST(every_arithmetic_has_its_row_with_an_origin)
{
    const mv_tolerance *tolerance = mv_tolerance_get(computes[_i]);
    ck_assert_int_eq(tolerance->compute, computes[_i]);
    ck_assert_double_gt(tolerance->r_rmse, 1); /* the reference itself must pass */
    ck_assert_double_gt(tolerance->r_row, 1);
    ck_assert_double_gt(tolerance->r_maxabs, 1);
    ck_assert_double_le(tolerance->r_rmse, 8); /* the mildest planted bug is above 20 */
    ck_assert_double_le(tolerance->r_row, 16);
    ck_assert_double_le(tolerance->r_maxabs, 8);
    ck_assert_uint_gt(strlen(tolerance->origin), 20);
}
END_TEST

START_TEST(the_least_room_decides)
{
    const char *decides = NULL;
    ck_assert_double_eq(headroom(1, 1, 1, &decides), 3);
    ck_assert_str_eq(decides, "r_rmse");
    ck_assert_double_eq(headroom(1, 2, 1, &decides), 2);
    ck_assert_str_eq(decides, "r_row");
    ck_assert_double_eq(headroom(1, 2, 10, &decides), 0.5);
    ck_assert_str_eq(decides, "r_maxabs");
    ck_assert_double_eq(headroom(6, 2, 10, &decides), 0.5); /* a tie: the first */
    ck_assert_str_eq(decides, "r_rmse");
    ck_assert_double_eq(headroom(3, 4, 5, NULL), 1); /* the limit itself is within it */
}
END_TEST

START_TEST(no_error_has_room_without_end)
{
    const char *decides = NULL;
    ck_assert_double_infinite(headroom(0, 0, 0, &decides));
    ck_assert_str_eq(decides, "r_rmse");
    ck_assert_double_eq(headroom(0, 0, 2.5, &decides), 2);
    ck_assert_str_eq(decides, "r_maxabs");
}
END_TEST

START_TEST(an_infinite_error_has_no_room)
{
    const char *decides = NULL;
    ck_assert_double_eq(headroom(1, INFINITY, 1, &decides), 0);
    ck_assert_str_eq(decides, "r_row");
}
END_TEST

START_TEST(what_is_not_known_has_no_room)
{
    static const struct {
        double ratios[3];
        const char *decides;
    } rows[] = {
        {{NAN, 0, 0}, "r_rmse"},          {{0, NAN, 0}, "r_row"},      {{0, 0, NAN}, "r_maxabs"},
        {{INFINITY, 1, NAN}, "r_maxabs"}, {{NAN, NAN, NAN}, "r_rmse"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *decides = NULL;
        const double *r = rows[i].ratios;
        double room = headroom(r[0], r[1], r[2], &decides);
        ck_assert_msg(!(room >= 0) && !(room < 0), "row %zu: %g", i, room);
        ck_assert_str_eq(decides, rows[i].decides);
    }
    mv_metrics nothing;
    mv_metrics_clear(&nothing);
    ck_assert(!(mv_tolerance_headroom(mv_tolerance_get(MV_COMPUTE_BF16), &nothing, NULL) >= 1));
}
END_TEST

static Suite *tolerance_suite(void)
{
    Suite *suite = suite_create("tolerance");
    TCase *all = tcase_create("tolerance");
    tcase_add_loop_test(all, every_arithmetic_has_its_row_with_an_origin, 0, 3);
    tcase_add_test(all, the_least_room_decides);
    tcase_add_test(all, no_error_has_room_without_end);
    tcase_add_test(all, an_infinite_error_has_no_room);
    tcase_add_test(all, what_is_not_known_has_no_room);
    suite_add_tcase(suite, all);
    return suite;
}

MV_TEST_MAIN(tolerance_suite)
