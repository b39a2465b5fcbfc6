#include "harness/utf8.h"

#include <string.h>

#include "tests/test_main.h"
#include "tests/tokenizer_fixture.h"
#include "tests/tokenizer_oracle.h"

/* ---- the stream ---- */

static mv_tokenizer_stream *open_stream(void)
{
    mv_tokenizer_stream *stream = NULL;
    ck_assert_int_eq(mv_tokenizer_stream_open(&stream, tokenizer, &error), MV_OK);
    return stream;
}

static const char *push(mv_tokenizer_stream *stream, int32_t id, size_t *size)
{
    const char *text = NULL;
    ck_assert_int_eq(mv_tokenizer_stream_push(stream, id, &text, size, &error), MV_OK);
    ck_assert_int_eq(text[*size], '\0');
    return text;
}

static const char *finish(mv_tokenizer_stream *stream, size_t *size)
{
    const char *text = NULL;
    ck_assert_int_eq(mv_tokenizer_stream_finish(stream, &text, size, &error), MV_OK);
    return text;
}

START_TEST(streams_a_character_when_its_last_byte_is_there)
{
    mv_tokenizer_stream *stream = open_stream();
    size_t size;
    ck_assert_str_eq(push(stream, BOS, &size), "");
    ck_assert_str_eq(push(stream, 308, &size), "The");
    ck_assert_str_eq(push(stream, 308, &size), " The");
    ck_assert_str_eq(push(stream, BYTE + 0xF0, &size), "");
    ck_assert_str_eq(push(stream, BYTE + 0x9F, &size), "");
    ck_assert_str_eq(push(stream, BYTE + 0x99, &size), "");
    ck_assert_str_eq(push(stream, BYTE + 0x82, &size), "\xF0\x9F\x99\x82");
    ck_assert_str_eq(push(stream, BYTE + 0xE2, &size), "");
    ck_assert_str_eq(push(stream, EOS, &size), ""); /* nothing, so nothing is decided */
    ck_assert_str_eq(push(stream, 395, &size), MV_UTF8_REPLACEMENT "b");
    ck_assert_str_eq(push(stream, BYTE + 0xF0, &size), "");
    ck_assert_str_eq(push(stream, BYTE + 0x80, &size), MV_UTF8_REPLACEMENT MV_UTF8_REPLACEMENT);
    ck_assert_str_eq(push(stream, BYTE + 0xE2, &size), "");
    ck_assert_str_eq(push(stream, BYTE + 0x82, &size), "");
    ck_assert_str_eq(finish(stream, &size), MV_UTF8_REPLACEMENT);
    ck_assert_str_eq(finish(stream, &size), "");
    ck_assert_str_eq(push(stream, 308, &size), "The"); /* and begins again */
    mv_tokenizer_stream_close(&stream);
}
END_TEST

/* ---- properties ---- */

static uint64_t random_state = 20231019;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* Mostly what decoding can go wrong on: bytes, lead bytes above all, spaces, control pieces. */
static int32_t random_id(bool with_bytes)
{
    static const unsigned char bytes[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF,
                                          0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 'a'};
    switch (random_below(with_bytes ? 8 : 4)) {
    case 0:
        return (int32_t)random_below(BYTE); /* unknown, control, user-defined */
    case 1:
        return SPACE;
    case 2:
    case 3:
        return FIRST_NORMAL + (int32_t)random_below(420 - FIRST_NORMAL);
    case 4:
        return BYTE + (int32_t)random_below(256);
    default:
        return BYTE + bytes[random_below(sizeof bytes)];
    }
}

/* Table 3-7 of the Unicode standard, row by row. A maximal subpart is the longest beginning of
 * any of its rows. Nothing is shared with harness/utf8.c. */
/* clang-format off */
static const unsigned char well_formed[9][5][2] = {
    {{1, 0}, {0x00, 0x7F}},
    {{2, 0}, {0xC2, 0xDF}, {0x80, 0xBF}},
    {{3, 0}, {0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
    {{3, 0}, {0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{3, 0}, {0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
    {{3, 0}, {0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{4, 0}, {0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{4, 0}, {0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{4, 0}, {0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
};
/* clang-format on */

static size_t replace_invalid(char *out, const char *text, size_t size)
{
    size_t n = 0;
    for (size_t at = 0; at < size;) {
        size_t best = 0, whole = 0;
        for (size_t row = 0; row < 9; ++row) {
            size_t length = 0, wanted = well_formed[row][0][0];
            while (length < wanted && at + length < size &&
                   (unsigned char)text[at + length] >= well_formed[row][length + 1][0] &&
                   (unsigned char)text[at + length] <= well_formed[row][length + 1][1])
                ++length;
            best = length > best ? length : best;
            whole = length == wanted ? wanted : whole;
        }
        if (whole > 0)
            memcpy(out + n, text + at, whole);
        else
            memcpy(out + n, MV_UTF8_REPLACEMENT, 3);
        n += whole > 0 ? whole : 3;
        at += best > 0 ? best : 1;
    }
    return n;
}

enum { MAX_IDS = 40, MAX_TEXT = 4096 };

/* All that the stream gives for ids. */
static size_t stream_all(char *out, const int32_t *ids, size_t n_ids)
{
    mv_tokenizer_stream *stream = open_stream();
    size_t n = 0, size;
    for (size_t i = 0; i <= n_ids; ++i) {
        const char *text = i < n_ids ? push(stream, ids[i], &size) : finish(stream, &size);
        ck_assert_uint_eq(mv_utf8_check(text, size), size);
        memcpy(out + n, text, size);
        n += size;
    }
    mv_tokenizer_stream_close(&stream);
    return n;
}

START_TEST(streams_what_decode_gives_with_invalid_bytes_replaced)
{
    char expected[MAX_TEXT], streamed[MAX_TEXT];
    int32_t ids[MAX_IDS];
    size_t n_replaced = 0;
    for (int round = 0; round < 5000; ++round) {
        size_t n_ids = random_below(MAX_IDS + 1), size;
        for (size_t i = 0; i < n_ids; ++i)
            ids[i] = random_id(true);
        char *text = NULL;
        ck_assert_int_eq(mv_tokenizer_decode(tokenizer, ids, n_ids, &text, &size, &error), MV_OK);
        size_t n_expected = replace_invalid(expected, text, size);
        size_t n_streamed = stream_all(streamed, ids, n_ids);
        n_replaced += n_expected != size;
        ck_assert_uint_eq(n_streamed, n_expected);
        ck_assert_mem_eq(streamed, expected, n_expected);
        free(text);
    }
    ck_assert_uint_gt(n_replaced, 1000);
}
END_TEST

/* Ids without byte pieces, where sentencepiece loses nothing. */
static void compare_with_oracle(const void *oracle, const int32_t *ids, size_t n_ids)
{
    size_t size;
    char *expected = tokenizer_oracle_decode(oracle, ids, n_ids, &size);
    check_decode(ids, n_ids, expected, size);
    free(expected);
}

START_TEST(decodes_as_sentencepiece_does)
{
    void *oracle = tokenizer_oracle_open(SMALL);
    int32_t ids[MAX_IDS];
    ck_assert_ptr_nonnull(oracle);
    for (int round = 0; round < 5000; ++round) {
        size_t n_ids = random_below(MAX_IDS + 1);
        for (size_t i = 0; i < n_ids; ++i)
            ids[i] = random_id(false);
        compare_with_oracle(oracle, ids, n_ids);
    }
    tokenizer_oracle_close(oracle);
}
END_TEST

/* One character in UTF-8: words of the small model, spaces, bytes of every length. U+2581 is left
 * out: it is how a space is written, and comes back as one. */
static size_t random_character(char *out)
{
    static const char *const some[] = {" ",
                                       " ",
                                       "the",
                                       "count",
                                       "\n",
                                       "<s>",
                                       "\xC3\xA9",
                                       "\xC3\xBC",
                                       "\xE2\x82\xAC",
                                       "\xF0\x9F\x99\x82",
                                       "\xEF\xBF\xBD",
                                       "\xED\x9F\xBF",
                                       "\xF4\x8F\xBF\xBF",
                                       "7",
                                       "[DOC_1]"};
    uint32_t which = random_below(sizeof some / sizeof some[0] + 2);
    if (which >= sizeof some / sizeof some[0]) {
        *out = (char)random_below(128); /* NUL too */
        return 1;
    }
    memcpy(out, some[which], strlen(some[which]));
    return strlen(some[which]);
}

START_TEST(brings_any_text_back)
{
    void *oracle = tokenizer_oracle_open(SMALL);
    ck_assert_ptr_nonnull(oracle);
    for (int round = 0; round < 2000; ++round) {
        char text[MAX_TEXT], streamed[MAX_TEXT];
        size_t size = 0, n_ids;
        for (uint32_t n = random_below(30); n > 0; --n)
            size += random_character(text + size);
        text[size] = '\0';
        int32_t *ids = NULL;
        ck_assert_int_eq(
            mv_tokenizer_encode(tokenizer, text, size, round % 2 == 1, &ids, &n_ids, &error),
            MV_OK);
        check_decode(ids, n_ids, text, size);
        compare_with_oracle(oracle, ids, n_ids);
        if (n_ids < MAX_TEXT / 8) {
            ck_assert_uint_eq(stream_all(streamed, ids, n_ids), size);
            ck_assert_mem_eq(streamed, text, size);
        }
        free(ids);
    }
    tokenizer_oracle_close(oracle);
}
END_TEST

static Suite *tokenizer_stream_suite(void)
{
    Suite *suite = suite_create("tokenizer_stream");
    TCase *tests = tcase_create("tokenizer_stream");
    tcase_add_checked_fixture(tests, open_small, close_small);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, streams_a_character_when_its_last_byte_is_there);
    tcase_add_test(tests, streams_what_decode_gives_with_invalid_bytes_replaced);
    tcase_add_test(tests, decodes_as_sentencepiece_does);
    tcase_add_test(tests, brings_any_text_back);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(tokenizer_stream_suite)
