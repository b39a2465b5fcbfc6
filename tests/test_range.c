/* Lists of numbers as people write them: what they mean, and what is refused in which words. */
#include "harness/range.h"

#include <inttypes.h>
#include <string.h>

#include "tests/test_main.h"

/* W = 8, T = 40; U is known and has no value here. */
static const mv_symbol symbols[] = {{'W', 8}, {'T', 40}, {'U', -1}};
static const mv_symbol window_of_one[] = {{'W', 1}, {'T', 1}};

static mv_code parse(mv_range *range, const char *text, const mv_symbol *known, size_t n_known,
                     int64_t least, int64_t most, mv_error *error)
{
    memset(range, 0xa5, sizeof *range); /* nobody clears it before */
    return mv_range_parse(range, text, "--chunk", known, n_known, least, most, error);
}

static void to_text(const mv_range *range, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < range->n && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, i > 0 ? "," : "",
                               range->values[i]);
}

/* ---- what it means ---- */

static const struct {
    const char *text, *values;
} good[] = {
    {"1", "1"},
    {"1,2,8", "1,2,8"},
    {"8,2,1", "8,2,1"},       /* the order is kept */
    {"2,1,2,2,1,3", "2,1,3"}, /* duplicates are dropped */
    {"007", "7"},             /* decimal */
    {"3..6", "3,4,5,6"},      /* both ends */
    {"5..5", "5"},            /**/
    {"1..10+4", "1,5,9"},     /* the end need not be hit */
    {"2..20+9", "2,11,20"},   /* and may be */
    {"64..4096*2", "64,128,256,512,1024,2048,4096"},
    {"3..100*10", "3,30"},
    {"W", "8"},
    {"T", "40"},
    {"W-1,W,W+1,T", "7,8,9,40"},
    {"2W-1", "15"},
    {"2W", "16"},
    {"0W+3", "3"},
    {"10W-1", "79"},
    {"W..W+3", "8,9,10,11"},
    {"W..2W+1+4", "8,12,16"}, /* the second '+' is the step */
    {"1..W*2", "1,2,4,8"},
    {"W-1..W+1,3", "7,8,9,3"},
    {"1..W+1", "1,2,3,4,5,6,7,8,9"}, /* an offset, not a step */
    {"W,8,2..9+6", "8,2"},
    {"5000", "5000"},
    /* made with a symbol, and out of 1..5000: left out */
    {"W-8", ""},
    {"W-9,3", "3"},
    {"1000W,3", "3"},
    {"W-10..W-6", "1,2"},
    {"T..W", ""},
    {"W..4,2", "2"},
    {"10..W", ""},
    {"W-8..W*2", ""},
};

START_TEST(reads_what_people_write)
{
    mv_range range;
    mv_error error = {MV_OK, ""};
    char values[2048];
    mv_code code = parse(&range, good[_i].text, symbols, 3, 1, 5000, &error);
    ck_assert_msg(code == MV_OK, "'%s': %s", good[_i].text, error.message);
    to_text(&range, values, sizeof values);
    ck_assert_msg(strcmp(values, good[_i].values) == 0, "'%s' is %s, expected %s", good[_i].text,
                  values, good[_i].values);
}
END_TEST

START_TEST(zero_is_allowed_where_the_list_says_so)
{
    mv_range range;
    mv_error error;
    ck_assert_int_eq(parse(&range, "0,W,0..2", symbols, 3, 0, 100, &error), MV_OK);
    ck_assert_uint_eq(range.n, 4);
    ck_assert_int_eq(range.values[0], 0);
    ck_assert_int_eq(parse(&range, "0", symbols, 3, 1, 100, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(parse(&range, "W-8,W-9", symbols, 3, 0, 100, &error), MV_OK);
    ck_assert_uint_eq(range.n, 1); /* 0, and not -1 */
}
END_TEST

START_TEST(around_a_window_of_one_only_what_there_is_is_tried)
{
    static const struct {
        const char *text, *values;
    } rows[] = {
        {"W-1,W,W+1", "1,2"}, {"1..W-1", ""}, {"1..W-1,5", "5"}, {"W-1..W", "1"},
        {"W-1..W*2", ""},     {"T-1", ""},    {"W..T", "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mv_range range;
        mv_error error = {MV_OK, ""};
        char values[64];
        ck_assert_msg(parse(&range, rows[i].text, window_of_one, 2, 1, 100, &error) == MV_OK,
                      "'%s': %s", rows[i].text, error.message);
        to_text(&range, values, sizeof values);
        ck_assert_str_eq(values, rows[i].values);
    }
}
END_TEST

START_TEST(a_full_list_is_256_values)
{
    mv_range range;
    mv_error error = {MV_OK, ""};
    ck_assert_int_eq(parse(&range, "1..256", symbols, 3, 1, 5000, &error), MV_OK);
    ck_assert_uint_eq(range.n, MV_RANGE_MAX);
    ck_assert_int_eq(range.values[255], 256);
    ck_assert_int_eq(parse(&range, "1..257", symbols, 3, 1, 5000, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(parse(&range, "1..256,1000", symbols, 3, 1, 5000, &error), MV_ERR_ARGUMENT);
}
END_TEST

START_TEST(numbers_near_the_end_of_64_bits_do_not_wrap)
{
    mv_range range;
    mv_error error = {MV_OK, ""};
    ck_assert_int_eq(parse(&range, "9223372036854775807", symbols, 3, 1, INT64_MAX, &error), MV_OK);
    ck_assert_int_eq(range.values[0], INT64_MAX);
    ck_assert_int_eq(
        parse(&range, "9223372036854775806..9223372036854775807", symbols, 3, 1, INT64_MAX, &error),
        MV_OK);
    ck_assert_uint_eq(range.n, 2);
    ck_assert_int_eq(parse(&range, "1..9223372036854775807*4611686018427387904", symbols, 3, 1,
                           INT64_MAX, &error),
                     MV_OK);
    ck_assert_uint_eq(range.n, 2);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    const char *text, *fragment;
} bad[] = {
    {"", "--chunk '': expected a number or a symbol (W, T) at character 1, found the end"},
    {",", "at character 1, found ','"},
    {"1,", "at character 3, found the end"},
    {"1,,2", "at character 3, found ',2'"},
    {" 1", "at character 1, found ' 1'"},
    {"1 ", "expected ',' or the end at character 2, found ' '"},
    {"1;2", "expected ',' or the end at character 2, found ';2'"},
    {"-1", "expected a number or a symbol (W, T) at character 1, found '-1'"},
    {"+1", "at character 1, found '+1'"},
    {"1.5", "expected ',' or the end at character 2, found '.5'"},
    {"1e3",
     "expected a number or a symbol that has a value here (W, T) at character 2, found 'e3'"},
    {"0x10", "at character 2, found 'x10'"},
    {"9-1", "expected ',' or the end at character 2, found '-1'"}, /* only symbols take offsets */
    {"T/2", "expected ',' or the end at character 2, found '/2'"},
    {"w", "expected a number or a symbol that has a value here (W, T) at character 1, found 'w'"},
    {"Q", "at character 1, found 'Q'"},
    {"U", "a symbol that has a value here (W, T) at character 1, found 'U'"},
    {"WT", "expected ',' or the end at character 2, found 'T'"},
    {"W+", "expected a number at character 3, found the end"},
    {"W+x", "expected a number at character 3, found 'x'"},
    {"W*2", "expected ',' or the end at character 2, found '*2'"}, /* a step of no range */
    {"1..", "expected a number or a symbol (W, T) at character 4, found the end"},
    {"1...5", "at character 4, found '.5'"},
    {"..5", "at character 1, found '..5'"},
    {"1..5..9", "expected ',' or the end at character 5, found '..9'"},
    {"1..8*", "expected a number at character 6, found the end"},
    {"1..8*1", "expected a factor of at least 2 at character 6, found '1'"},
    {"1..8*0", "expected a factor of at least 2"},
    {"1..8+0", "expected a step of at least 1 at character 6, found '0'"},
    {"1..8+W", "expected a number at character 6, found 'W'"},
    {"8..1", "--chunk: '8..1' is 8..1, expected a rising range within 1..5000"},
    {"0", "--chunk: expected a number within 1..5000, found '0'"},
    {"7,5001", "--chunk: expected a number within 1..5000, found '5001'"},
    {"0..4", "'0..4' is 0..4, expected a rising range within 1..5000"},
    {"1..5001", "'1..5001' is 1..5001, expected a rising range within 1..5000"},
    {"0..W", "'0..W' is 0..8, expected a rising range within 1..5000"},
    {"1..300", "--chunk '1..300': more than 256 values"},
    {"W-200000..W", "more than 256 values"},
    {"99999999999999999999", "expected a smaller number at character 19, found '99'"},
    {"9223372036854775807W", "expected a smaller number"},
    {"W+9223372036854775807", "expected a smaller number"},
    {"1..8*99999999999999999999", "expected a smaller number"},
    {"\xff", "at character 1"},
    {"1\n2", "expected ',' or the end at character 2"},
};

START_TEST(refuses_what_is_no_list)
{
    mv_range range;
    mv_error error = {MV_OK, ""};
    mv_code code = parse(&range, bad[_i].text, symbols, 3, 1, 5000, &error);
    ck_assert_msg(code == MV_ERR_ARGUMENT, "'%s' was taken", bad[_i].text);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.message, bad[_i].fragment) != NULL, "expected '%s' in: %s",
                  bad[_i].fragment, error.message);
    ck_assert_msg(strstr(error.message, "--chunk") != NULL, "which option: %s", error.message);
}
END_TEST

START_TEST(adds_once_and_within_the_limits)
{
    mv_range range = {.n = 0};
    mv_range_add(&range, 5, 1, 9);
    mv_range_add(&range, 5, 1, 9);
    mv_range_add(&range, 0, 1, 9);
    mv_range_add(&range, 10, 1, 9);
    mv_range_add(&range, 1, 1, 9);
    mv_range_add(&range, 9, 1, 9);
    ck_assert_uint_eq(range.n, 3);
    for (int64_t i = 0; i < 1000; i++)
        mv_range_add(&range, i, 0, 1000);
    ck_assert_uint_eq(range.n, MV_RANGE_MAX);
}
END_TEST

START_TEST(a_whole_number_is_digits_that_64_bits_hold)
{
    static const char *const refused[] = {"",    "-1", "+1", " 1",  "1 ",
                                          "0x1", "1.", "x",  "1e3", "18446744073709551616"};
    uint64_t whole = 7;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_msg(!mv_range_parse_whole(&whole, refused[i]), "'%s'", refused[i]);
        ck_assert_uint_eq(whole, 7);
    }
    ck_assert(mv_range_parse_whole(&whole, "0"));
    ck_assert_uint_eq(whole, 0);
    ck_assert(mv_range_parse_whole(&whole, "18446744073709551615"));
    ck_assert_uint_eq(whole, UINT64_MAX);
}
END_TEST

static Suite *range_suite(void)
{
    Suite *suite = suite_create("range");
    TCase *all = tcase_create("range");
    tcase_add_loop_test(all, reads_what_people_write, 0, (int)(sizeof good / sizeof *good));
    tcase_add_loop_test(all, refuses_what_is_no_list, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(all, zero_is_allowed_where_the_list_says_so);
    tcase_add_test(all, around_a_window_of_one_only_what_there_is_is_tried);
    tcase_add_test(all, a_full_list_is_256_values);
    tcase_add_test(all, numbers_near_the_end_of_64_bits_do_not_wrap);
    tcase_add_test(all, adds_once_and_within_the_limits);
    tcase_add_test(all, a_whole_number_is_digits_that_64_bits_hold);
    suite_add_tcase(suite, all);
    return suite;
}

MV_TEST_MAIN(range_suite)
