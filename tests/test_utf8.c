#include "harness/utf8.h"

#include <string.h>

#include "tests/test_main.h"

/* Replacing every maximal subpart; the answers are those of Python 3's errors="replace". */
static void replaced(char *out, const char *text, size_t size)
{
    size_t length;
    *out = '\0';
    for (size_t at = 0; at < size; at += length) {
        mv_utf8_kind kind = mv_utf8_read(text + at, size - at, &length);
        ck_assert_uint_ge(length, 1);
        ck_assert_uint_le(length, size - at);
        if (kind == MV_UTF8_VALID)
            strncat(out, text + at, length);
        else
            strcat(out, "?");
    }
}

static const struct {
    const char *text;
    size_t first_bad; /* offset, or the size */
    const char *replaced;
} cases[] = {
    {"", 0, ""}, /* nothing */
    {"plain", 5, "plain"},
    {"\xC2\x80\xDF\xBF", 4, "\xC2\x80\xDF\xBF"},                 /* ends of two bytes */
    {"\xE0\xA0\x80\xED\x9F\xBF", 6, "\xE0\xA0\x80\xED\x9F\xBF"}, /* beside surrogates */
    {"\xEE\x80\x80\xEF\xBF\xBF", 6, "\xEE\x80\x80\xEF\xBF\xBF"},
    {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8, "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
    {"a\x80"
     "b",
     1, "a?b"},            /* lone continuation */
    {"\xC0\xAF", 0, "??"}, /* overlong */
    {"\xC1\xBF", 0, "??"},
    {"\xE0\x80\xAF", 0, "???"},
    {"\xE0\x9F\xBF", 0, "???"},
    {"\xF0\x80\x80\x80", 0, "????"},
    {"\xF0\x8F\xBF\xBF", 0, "????"},
    {"\xED\xA0\x80", 0, "???"}, /* surrogates */
    {"ok\xED\xBF\xBF", 2, "ok???"},
    {"\xF4\x90\x80\x80", 0, "????"}, /* beyond U+10FFFF */
    {"\xF5\x80\x80\x80", 0, "????"},
    {"\xFF\xFE", 0, "??"},
    {"a\xE2\x82", 1, "a?"}, /* cut short */
    {"\xF0\x9F\x99", 0, "?"},
    {"\xC3", 0, "?"},
    {"\xE2\x82"
     "A",
     0, "?A"}, /* broken off */
    {"\xF0\x9F\x99\xF0\x9F\x99\x82", 0, "?\xF0\x9F\x99\x82"},
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF", 0, "????"},
};

START_TEST(finds_the_first_bad_sequence_and_replaces_each_maximal_subpart)
{
    char out[64];
    size_t size = strlen(cases[_i].text);
    ck_assert_uint_eq(mv_utf8_check(cases[_i].text, size), cases[_i].first_bad);
    replaced(out, cases[_i].text, size);
    ck_assert_str_eq(out, cases[_i].replaced);
}
END_TEST

START_TEST(takes_a_nul_for_a_character)
{
    ck_assert_uint_eq(mv_utf8_check("a\0b", 3), 3);
}
END_TEST

START_TEST(tells_a_sequence_that_may_still_end_well_from_one_that_cannot)
{
    size_t length;
    ck_assert_int_eq(mv_utf8_read("\xF0\x9F\x99", 3, &length), MV_UTF8_PARTIAL);
    ck_assert_uint_eq(length, 3);
    ck_assert_int_eq(mv_utf8_read("\xED\xA0", 2, &length), MV_UTF8_BROKEN);
    ck_assert_uint_eq(length, 1);
    ck_assert_int_eq(mv_utf8_read("\xED", 1, &length), MV_UTF8_PARTIAL);
}
END_TEST

/* Exactly the scalar values: 0 ... D7FF and E000 ... 10FFFF, each in its shortest form. */
START_TEST(accepts_as_many_sequences_as_there_are_characters)
{
    const size_t expected[5] = {0, 0x80, 0x780, 0x10000 - 0x800 - 0x800, 0x100000};
    size_t counted[5] = {0}, length;
    unsigned char t[4];
    for (unsigned n = 0; n < 1u << 21; ++n) { /* the bits of a four-byte form, and 0 ... 7F */
        for (unsigned size = 1; size <= 4; ++size) {
            unsigned payload = size == 1 ? 7 : 5 * size + 1;
            if (n >> payload != 0)
                continue;
            static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
            t[0] = (unsigned char)(lead[size] | n >> (6 * (size - 1)));
            for (unsigned i = 1; i < size; ++i)
                t[i] = (unsigned char)(0x80 | (n >> (6 * (size - 1 - i)) & 0x3F));
            counted[size] += mv_utf8_read((const char *)t, size, &length) == MV_UTF8_VALID;
        }
    }
    for (unsigned size = 1; size <= 4; ++size)
        ck_assert_uint_eq(counted[size], expected[size]);
}
END_TEST

static Suite *utf8_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    tcase_add_loop_test(tests, finds_the_first_bad_sequence_and_replaces_each_maximal_subpart, 0,
                        (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, takes_a_nul_for_a_character);
    tcase_add_test(tests, tells_a_sequence_that_may_still_end_well_from_one_that_cannot);
    tcase_add_test(tests, accepts_as_many_sequences_as_there_are_characters);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(utf8_suite)
