/* What the charts of a page are made of: scales, numbers on an axis, rows, maps. */
#include <math.h>

#include "tests/page_fixture.h"

/* The first text of a chart that begins so. */
static const char *text_of(const char *svg, const char *begin)
{
    const char *at = strstr(svg, begin);
    ck_assert_msg(at != NULL, "lacks %s", begin);
    return at;
}

START_TEST(every_chart_has_one_width_and_what_is_too_wide_is_broken)
{
    mv_bytes bytes = {0};
    mv_heat_cell cells[3 * 12] = {{.text = ""}};
    mv_short rows[3] = {{"1"}, {"2"}, {"whole"}}, columns[12];
    for (size_t c = 0; c < 12; c++) {
        (void)snprintf(columns[c].text, sizeof columns[c].text, "c%zu", c);
        (void)snprintf(cells[c == 11 ? 24 + c : c].text, 24, "v%zu", c);
    }
    const mv_heat heat = {"map", "chunk", "window", rows, columns, 3, 12, cells};
    mv_svg_heat(&bytes, &heat);
    ck_assert_uint_eq(count(bytes.data, "<svg role=\"img\" width=\"420\""), 2);
    must_have(bytes.data, "aria-label=\"map, columns c0 to c5\"");
    must_have(bytes.data, "aria-label=\"map, columns c6 to c11\"");
    ck_assert_uint_eq(count(bytes.data, ">whole</text>"), 1); /* only where it has a cell */
    ck_assert_uint_eq(count(bytes.data, ">2</text>"), 0);
    ck_assert(text_of(bytes.data, ">v11<") > text_of(bytes.data, "columns c6"));
    mv_bytes_free(&bytes);

    const double widths[] = {300, 120};
    for (size_t i = 0; i < 2; i++) {
        static const char text[] = "decode, generate 16, depth 1023, window 64, batch 4, threads 2";
        const size_t n = mv_svg_lines(&bytes, 0, 0, text, widths[i], 300);
        ck_assert_uint_eq(n, i == 0 ? 2 : 3);
        ck_assert_uint_eq(n, count(bytes.data, "<text "));
        ck_assert_uint_eq(n, mv_svg_lines(NULL, 0, 0, text, widths[i], 300));
        must_have(bytes.data, "2</text>"); /* to the end */
        mv_bytes_free(&bytes);
    }
    ck_assert_uint_eq(mv_svg_lines(NULL, 0, 0, "", 10, 10), 0);
    ck_assert_uint_eq(mv_svg_lines(NULL, 0, 0, "\xE2\x82\xAC\xE2\x82\xAC", 1, 1), 2);
}
END_TEST

START_TEST(what_all_rows_share_is_said_once_in_the_caption)
{
    mv_html html;
    memset(&html, 0, sizeof html);
    const mv_bytes nothing = {0};
    const mv_point point = {.x = 1, .low = NAN, .high = NAN};
    const mv_chart_row rows[] = {
        {.label = "blas, prefill, chunk 1, threads 2", .points = &point, .n_points = 1},
        {.label = "blas, decode, threads 2", .points = &point, .n_points = 1}};
    const mv_rows chart = {"rows", "x", true, rows, 2, NULL, 0};
    mv_html_rows(&html, &chart, &nothing);
    must_have(html.body.data, "<span class=\"chip\">blas, threads 2</span>");
    must_have(html.body.data, ">prefill, chunk 1</text>");
    must_have(html.body.data, ">decode</text>");
    must_have(html.body.data, "<td>blas, decode, threads 2</td>"); /* the table has all */
    mv_bytes_free(&html.body);
    const mv_rows alone = {"rows", "x", true, rows, 1, NULL, 0};
    mv_html_rows(&html, &alone, &nothing);
    ck_assert_ptr_null(strstr(html.body.data, "chip"));
    mv_bytes_free(&html.body);
    mv_bytes_free(&html.nav);
}
END_TEST

START_TEST(scales_are_round_and_hold_what_they_were_made_for)
{
    static const struct {
        double low, high;
        bool is_log;
        double round_low, round_high;
    } table[] = {
        {0, 97, false, 0, 100},       {0, 1, false, 0, 1},     {3, 3, false, 1.5, 4.5},
        {0.3, 41, true, 0.2, 50},     {1, 1, true, 0.5, 2},    {1, 1000, true, 1, 1000},
        {2e-9, 3e9, true, 2e-9, 5e9}, {-4, 11, false, -5, 15},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double ticks[MV_MAX_TICKS];
        mv_scale scale = mv_scale_make(table[i].low, table[i].high, table[i].is_log, 10, 110);
        ck_assert_double_eq_tol(scale.low, table[i].round_low, 1e-9 * fabs(table[i].round_high));
        ck_assert_double_eq_tol(scale.high, table[i].round_high, 1e-9 * fabs(table[i].round_high));
        ck_assert_double_eq_tol(mv_scale_at(&scale, scale.low), 10, 1e-6);
        ck_assert_double_eq_tol(mv_scale_at(&scale, scale.high), 110, 1e-6);
        ck_assert_double_eq_tol(mv_scale_at(&scale, NAN), 10, 1e-6);
        size_t n = mv_scale_ticks(&scale, ticks);
        ck_assert_uint_ge(n, 2);
        for (size_t k = 0; k < n; k++) {
            ck_assert(k == 0 || ticks[k] > ticks[k - 1]);
            ck_assert(ticks[k] >= scale.low - 1e-9 && ticks[k] <= scale.high * (1 + 1e-9) + 1e-9);
        }
    }
}
END_TEST

START_TEST(numbers_of_an_axis_are_short)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0"},      {4096, "4096"}, {32768, "32768"}, {100000, "100k"}, {1.5e6, "1.5M"},
        {2e10, "20G"}, {0.5, "0.5"},   {0.05, "0.05"},   {3e12, "3T"},     {1234.5, "1234"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ck_assert_str_eq(mv_si_number(table[i].value).text, table[i].text);
    }
}
END_TEST

static Suite *html_chart_suite(void)
{
    Suite *suite = suite_create("html_chart");
    TCase *tcase = tcase_create("html");
    tcase_add_test(tcase, every_chart_has_one_width_and_what_is_too_wide_is_broken);
    tcase_add_test(tcase, what_all_rows_share_is_said_once_in_the_caption);
    tcase_add_test(tcase, scales_are_round_and_hold_what_they_were_made_for);
    tcase_add_test(tcase, numbers_of_an_axis_are_short);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(html_chart_suite)
