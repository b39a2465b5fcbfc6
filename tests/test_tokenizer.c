#include "harness/tokenizer.h"

#include "tests/test_main.h"
#include "tests/test_models.h"
#include "tests/tokenizer_fixture.h"
#include <stdbool.h>
#include <string.h>

static void check_encode(const mv_tokenizer *with, const char *text, size_t size, bool with_bos,
                         const int32_t *expected, size_t n_expected)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    mv_code code = mv_tokenizer_encode(with, text, size, with_bos, &ids, &n_ids, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_ptr_nonnull(ids);
    ck_assert_uint_eq(n_ids, n_expected);
    for (size_t i = 0; i < n_ids; ++i)
        ck_assert_msg(ids[i] == expected[i], "\"%s\": id %zu is %d, expected %d", text, i, ids[i],
                      expected[i]);
    free(ids);
}

/* ---- facts of the small model ---- */

START_TEST(knows_its_pieces_and_where_they_end)
{
    ck_assert_uint_eq(mv_tokenizer_n_pieces(tokenizer), 420);
    ck_assert_int_eq(mv_tokenizer_bos(tokenizer), BOS);
    ck_assert_int_eq(mv_tokenizer_eos(tokenizer), EOS);
    ck_assert_str_eq(mv_tokenizer_piece(tokenizer, EOS), "</s>");
    ck_assert_str_eq(mv_tokenizer_piece(tokenizer, BYTE + 10), "<0x0A>");
    ck_assert_str_eq(mv_tokenizer_piece(tokenizer, FIRST_NORMAL), "\xE2\x96\x81t");
    ck_assert_ptr_nonnull(mv_tokenizer_piece(tokenizer, 419));
    ck_assert_ptr_null(mv_tokenizer_piece(tokenizer, 420));
    ck_assert_ptr_null(mv_tokenizer_piece(tokenizer, -1));
}
END_TEST

START_TEST(refuses_a_vocabulary_of_another_size)
{
    ck_assert_int_eq(mv_tokenizer_check(tokenizer, 420, &error), MV_OK);
    ck_assert_int_eq(mv_tokenizer_check(tokenizer, 32000, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, SMALL ": 420 pieces"));
    ck_assert_ptr_nonnull(strstr(error.message, "32000"));
}
END_TEST

/* ---- encode; the ids are those of the PyPI package sentencepiece 0.2.3 ---- */

START_TEST(encodes_as_sentencepiece_does)
{
    check_encode(tokenizer, "The window counts", 17, false,
                 IDS(308, 294, 272, 385, 317, 275, 351, 376, 377));
    check_encode(tokenizer, "  two  spaces ", 14, true,
                 IDS(BOS, 374, 374, 262, 394, 381, 374, 268, 396, 326, 270, 374));
    check_encode(tokenizer, "12345", 5, false, IDS(SPACE, 400, 415, 416, 417, 418));
    check_encode(tokenizer, " ", 1, false, IDS(SPACE, SPACE));
    check_encode(tokenizer, "a[DOC_1]b", 9, false, IDS(280, DOC, 395));
}
END_TEST

START_TEST(encodes_nothing_as_nothing_or_bos)
{
    check_encode(tokenizer, "", 0, false, NULL, 0);
    check_encode(tokenizer, NULL, 0, false, NULL, 0);
    check_encode(tokenizer, "", 0, true, IDS(BOS));
}
END_TEST

START_TEST(falls_back_to_bytes_for_what_no_piece_covers)
{
    check_encode(tokenizer, "caf\xC3\xA9 \xF0\x9F\x99\x82\n", 11, false,
                 IDS(275, 380, 399, 412, SPACE, BYTE + 0xF0, BYTE + 0x9F, BYTE + 0x99, BYTE + 0x82,
                     BYTE + '\n'));
}
END_TEST

START_TEST(reads_on_behind_a_nul)
{
    check_encode(tokenizer, "\0x", 2, false, IDS(SPACE, BYTE, BYTE + 'x'));
    check_decode(IDS(SPACE, BYTE, BYTE + 'x'), "\0x", 2);
}
END_TEST

static void check_no_control(const mv_tokenizer *with, const char *text)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    ck_assert_int_eq(mv_tokenizer_encode(with, text, strlen(text), false, &ids, &n_ids, &error),
                     MV_OK);
    ck_assert_uint_gt(n_ids, 1);
    for (size_t i = 0; i < n_ids; ++i) {
        const char *piece = mv_tokenizer_piece(with, ids[i]);
        ck_assert_msg(strcmp(piece, text) != 0, "text %s became one piece", text);
        ck_assert_int_ne(ids[i], mv_tokenizer_bos(with));
        ck_assert_int_ne(ids[i], mv_tokenizer_eos(with));
    }
    char *back = NULL;
    size_t size = 0;
    ck_assert_int_eq(mv_tokenizer_decode(with, ids, n_ids, &back, &size, &error), MV_OK);
    ck_assert_str_eq(back, text);
    free(back);
    free(ids);
}

static const char *const control_texts[] = {"<s>", "</s>", "<unk>", "[INST]", "[/INST]", "<0x0A>"};

START_TEST(never_makes_a_control_piece_out_of_text)
{
    for (size_t i = 0; i < sizeof control_texts / sizeof control_texts[0]; ++i)
        check_no_control(tokenizer, control_texts[i]);
}
END_TEST

static const struct {
    const char *text;
    const char *offset;
} bad_texts[] = {
    {"\xFF", "byte 0 (0xFF) of 1"},      /* never in UTF-8 */
    {"ab\x80", "byte 2 (0x80) of 3"},    /* lone continuation */
    {"a\xC0\xAF", "byte 1 (0xC0) of 3"}, /* overlong */
    {"abc\xE0\x80\xAF", "byte 3 (0xE0) of 6"},
    {"\xC3\xA9\xED\xA0\x80", "byte 2 (0xED) of 5"}, /* surrogate */
    {"a\xF4\x90\x80\x80", "byte 1 (0xF4) of 5"},    /* beyond U+10FFFF */
    {"x \xF0\x9F\x99", "byte 2 (0xF0) of 5"},       /* cut short */
};

START_TEST(refuses_text_that_is_not_utf8_and_says_where)
{
    int32_t *ids = NULL;
    size_t n_ids = 7;
    const char *text = bad_texts[_i].text;
    ck_assert_int_eq(mv_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &n_ids, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, bad_texts[_i].offset) != NULL, "%s", error.message);
    ck_assert_ptr_null(ids);
    ck_assert_uint_eq(n_ids, 7);
}
END_TEST

/* ---- decode ---- */

START_TEST(drops_the_leading_space_once_and_control_pieces_always)
{
    const int32_t the = 308, t = FIRST_NORMAL;
    check_decode(NULL, 0, "", 0);
    check_decode(IDS(BOS, EOS, INST), "", 0);
    check_decode(IDS(the), "The", 3);
    check_decode(IDS(BOS, INST, the, EOS, the), "The The", 7);
    check_decode(IDS(SPACE), "", 0);
    check_decode(IDS(SPACE, the), " The", 4);
    check_decode(IDS(SPACE, BOS, t), " t", 2);
    check_decode(IDS(SPACE, SPACE, SPACE), "  ", 2);
    check_decode(IDS(BYTE + ' ', the), "  The", 5); /* a byte is no leading space */
    check_decode(IDS(DOC, the), "[DOC_1] The", 11);
    check_decode(IDS(0, the), " \xE2\x81\x87  The", 9); /* unknown */
}
END_TEST

START_TEST(decodes_bytes_as_they_are_though_they_be_no_utf8)
{
    check_decode(IDS(BYTE + 0xFF, BYTE, BYTE + 0xC3, 395), "\xFF\0\xC3\x62", 4);
}
END_TEST

START_TEST(refuses_ids_outside_the_vocabulary)
{
    const int32_t bad[] = {420, -1, INT32_MAX, INT32_MIN};
    mv_tokenizer_stream *stream = NULL;
    ck_assert_int_eq(mv_tokenizer_stream_open(&stream, tokenizer, &error), MV_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        const int32_t ids[] = {BOS, bad[i]};
        char *text = NULL, number[32];
        const char *shown = NULL;
        size_t size;
        snprintf(number, sizeof number, "token id %d at index 1;", bad[i]);
        ck_assert_int_eq(mv_tokenizer_decode(tokenizer, ids, 2, &text, &size, &error),
                         MV_ERR_ARGUMENT);
        ck_assert_ptr_null(text);
        ck_assert_msg(strstr(error.message, number) != NULL, "%s", error.message);
        ck_assert_int_eq(mv_tokenizer_stream_push(stream, bad[i], &shown, &size, &error),
                         MV_ERR_ARGUMENT);
        ck_assert_ptr_null(shown);
    }
    mv_tokenizer_stream_close(&stream);
    ck_assert_ptr_null(stream);
}
END_TEST

/* ---- the real vocabularies ---- */

/* Ids of v0.1; those of v0.3 are 768 higher, but for BOS. */
static const struct {
    const char *text;
    const char *ids; /* behind BOS */
} goldens[] = {
    {"This is a test", "851 349 264 1369"},
    {"This is another test", "851 349 1698 1369"},
    {"This is another great test", "851 349 1698 1598 1369"},
    {"This is a third test, mistral AI is very good at testing. ",
     "851 349 264 4008 1369 28725 5710 1650 16107 349 1215 1179 438 8260 28723 28705"},
    {"hello", "6312 28709"},
    {" hello", "28705 6312 28709"},
    {"Hello world!", "22557 1526 28808"},
    {"12345", "28705 28740 28750 28770 28781 28782"},
    {"\n", "28705 13"},
    {"\xC3\xA9\xF0\x9F\x99\x82", "1233 29340"},
    {"[INST] Hello [/INST]", "733 16289 28793 22557 733 28748 16289 28793"},
    {"<s>", "523 28713 28767"},
    {"", ""},
};

static void check_goldens(const char *name, uint32_t n_pieces, int32_t shift)
{
    char path[512];
    mv_tokenizer *real = NULL;
    if (!test_model_path(path, sizeof path, name))
        return;
    ck_assert_msg(mv_tokenizer_open(&real, path, &error) == MV_OK, "%s", error.message);
    ck_assert_int_eq(mv_tokenizer_check(real, n_pieces, &error), MV_OK);
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; ++i) {
        int32_t expected[24] = {BOS};
        size_t n = 1;
        char *next = NULL;
        for (const char *at = goldens[i].ids; *at != '\0'; at = next)
            expected[n++] = (int32_t)strtol(at, &next, 10) + shift;
        check_encode(real, goldens[i].text, strlen(goldens[i].text), true, expected, n);
        char *text = NULL;
        size_t size;
        ck_assert_int_eq(mv_tokenizer_decode(real, expected, n, &text, &size, &error), MV_OK);
        ck_assert_str_eq(text, goldens[i].text);
        free(text);
    }
    for (size_t i = 0; i < sizeof control_texts / sizeof control_texts[0]; ++i)
        check_no_control(real, control_texts[i]);
    mv_tokenizer_close(&real);
}

START_TEST(agrees_with_the_goldens_of_mistral_v1)
{
    check_goldens("tokenizers/mistral-v1.model", 32000, 0);
}
END_TEST

START_TEST(agrees_with_the_goldens_of_mistral_v3)
{
    check_goldens("tokenizers/mistral-v3.model", 32768, 768);
}
END_TEST

START_TEST(opens_the_tokenizer_of_stories260k)
{
    char path[512];
    mv_tokenizer *real = NULL;
    if (!test_model_path(path, sizeof path, "stories260k/tokenizer.model"))
        return;
    ck_assert_msg(mv_tokenizer_open(&real, path, &error) == MV_OK, "%s", error.message);
    ck_assert_int_eq(mv_tokenizer_check(real, 512, &error), MV_OK);
    check_no_control(real, "Once upon a time");
    mv_tokenizer_close(&real);
}
END_TEST

static Suite *tokenizer_suite(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *tests = tcase_create("tokenizer");
    tcase_add_checked_fixture(tests, open_small, close_small);
    tcase_add_test(tests, knows_its_pieces_and_where_they_end);
    tcase_add_test(tests, refuses_a_vocabulary_of_another_size);
    tcase_add_test(tests, encodes_as_sentencepiece_does);
    tcase_add_test(tests, encodes_nothing_as_nothing_or_bos);
    tcase_add_test(tests, falls_back_to_bytes_for_what_no_piece_covers);
    tcase_add_test(tests, reads_on_behind_a_nul);
    tcase_add_test(tests, never_makes_a_control_piece_out_of_text);
    tcase_add_loop_test(tests, refuses_text_that_is_not_utf8_and_says_where, 0,
                        (int)(sizeof bad_texts / sizeof bad_texts[0]));
    tcase_add_test(tests, drops_the_leading_space_once_and_control_pieces_always);
    tcase_add_test(tests, decodes_bytes_as_they_are_though_they_be_no_utf8);
    tcase_add_test(tests, refuses_ids_outside_the_vocabulary);
    tcase_add_test(tests, agrees_with_the_goldens_of_mistral_v1);
    tcase_add_test(tests, agrees_with_the_goldens_of_mistral_v3);
    tcase_add_test(tests, opens_the_tokenizer_of_stories260k);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(tokenizer_suite)
