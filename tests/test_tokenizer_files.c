/* What mv_tokenizer_open() refuses. Every refusal names the path, and nothing is printed. */
#include "harness/tokenizer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test_main.h"

#define SMALL MV_TEST_DATA "/tokenizer_small.model"

static char folder[PATH_MAX], path[PATH_MAX + 16];
static char small[20000];
static size_t small_size;
static int saved_stderr = -1;
static mv_error error;

/* stderr goes to a file, so that what a library prints there is seen. */
static void set_up(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mv-tokenizer-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/some.model", folder);
    FILE *file = fopen(SMALL, "rb");
    ck_assert_ptr_nonnull(file);
    small_size = fread(small, 1, sizeof small, file);
    ck_assert_uint_lt(small_size, sizeof small);
    fclose(file);
    saved_stderr = dup(STDERR_FILENO);
    FILE *printed = tmpfile();
    ck_assert_ptr_nonnull(printed);
    ck_assert_int_ge(dup2(fileno(printed), STDERR_FILENO), 0);
    fclose(printed);
}

static void tear_down(void)
{
    off_t n_printed = lseek(STDERR_FILENO, 0, SEEK_END);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    unlink(path);
    rmdir(folder);
    ck_assert_msg(n_printed == 0, "%lld bytes on stderr", (long long)n_printed);
}

static void write_model(const void *bytes, size_t size, const void *more, size_t more_size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_uint_eq(fwrite(more, 1, more_size, file), more_size);
    ck_assert_int_eq(fclose(file), 0);
}

static void check_refused(const char *where, mv_code expected, const char *fragment)
{
    mv_tokenizer *tokenizer = NULL;
    mv_code code = mv_tokenizer_open(&tokenizer, where, &error);
    ck_assert_msg(code == expected, "code %d, expected %d: %s", code, expected, error.message);
    ck_assert_int_eq(error.code, expected);
    ck_assert_ptr_null(tokenizer);
    ck_assert_msg(strstr(error.message, where) != NULL, "no path in: %s", error.message);
    ck_assert_msg(strstr(error.message, fragment) != NULL, "no '%s' in: %s", fragment,
                  error.message);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}

START_TEST(refuses_what_is_no_file)
{
    check_refused(path, MV_ERR_IO, "No such file");
    check_refused(folder, MV_ERR_IO, "found a folder");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_refused(path, MV_ERR_IO, "not a file");
}
END_TEST

START_TEST(refuses_an_empty_file)
{
    write_model("", 0, "", 0);
    check_refused(path, MV_ERR_FORMAT, "found no bytes");
}
END_TEST

START_TEST(refuses_files_of_another_kind)
{
    const char json[] = "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\"}}";
    write_model(json, sizeof json - 1, "", 0);
    check_refused(path, MV_ERR_FORMAT, "not a sentencepiece model");
    write_model("PK\3\4", 4, small, small_size);
    check_refused(path, MV_ERR_FORMAT, "not a sentencepiece model");
    write_model("\x22\x03new", 5, "", 0); /* a protobuf message without pieces */
    check_refused(path, MV_ERR_FORMAT, "0 pieces");
}
END_TEST

START_TEST(refuses_random_bytes)
{
    uint64_t state = 1;
    for (int round = 0; round < 500; ++round) {
        char bytes[256];
        for (size_t i = 0; i < sizeof bytes; ++i) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (char)(state >> 56);
        }
        mv_tokenizer *tokenizer = NULL;
        write_model(bytes, sizeof bytes, "", 0);
        ck_assert_int_eq(mv_tokenizer_open(&tokenizer, path, &error), MV_ERR_FORMAT);
        ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
    }
}
END_TEST

/* Also between two messages, where protobuf sees nothing wrong: normalizer_spec, which has to be
 * there to be identity, comes last. */
START_TEST(refuses_the_model_cut_anywhere)
{
    write_model(small, small_size, "", 0);
    for (size_t size = small_size - 1; size > 0; --size) {
        mv_tokenizer *tokenizer = NULL;
        ck_assert_int_eq(truncate(path, (off_t)size), 0);
        mv_code code = mv_tokenizer_open(&tokenizer, path, &error);
        ck_assert_msg(code == MV_ERR_FORMAT || code == MV_ERR_UNSUPPORTED, "%zu bytes: code %d",
                      size, code);
        ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
    }
}
END_TEST

/* Appended to a good model: in protobuf that adds a piece, or changes a setting made before. */
#define BYTES(text) text, sizeof text - 1
static const struct {
    const char *bytes;
    size_t size;
    mv_code code;
    const char *fragment;
} appended[] = {
    {BYTES("\x0B"), MV_ERR_FORMAT, "bad protobuf field"},     /* group */
    {BYTES("\x0A\x7F"), MV_ERR_FORMAT, "bad protobuf field"}, /* too long */
    {BYTES("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), MV_ERR_FORMAT, "bad protobuf field"},
    {BYTES("\x30\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), MV_ERR_FORMAT,
     "bad protobuf field"},
    {BYTES("\x30\x80"), MV_ERR_FORMAT, "bad protobuf field"},
    {BYTES("\x31\x01\x02"), MV_ERR_FORMAT, "bad protobuf field"},
    {BYTES("\x02\x01x"), MV_ERR_FORMAT, "bad protobuf field"}, /* number 0 */
    {BYTES("\x0A\x02\x0A\x05"), MV_ERR_FORMAT, "in a piece"},
    {BYTES("\x12\x02\x0A\x05"), MV_ERR_FORMAT, "in trainer_spec"},
    {BYTES("\x1A\x02\x0A\x05"), MV_ERR_FORMAT, "in normalizer_spec"},
    {BYTES("\x0A\x00"), MV_ERR_FORMAT, "piece 420: it is empty"},
    {BYTES("\x0A\x03\x0A\x01\xFF"), MV_ERR_FORMAT, "piece 420: it is not UTF-8"},
    {BYTES("\x0A\x03\x0A\x01\0"), MV_ERR_FORMAT, "piece 420: it holds a NUL"},
    {BYTES("\x0A\x08\x0A\x01Z\x15\0\0\xC0\x7F"), MV_ERR_FORMAT, "score is not finite"},
    {BYTES("\x0A\x05\x0A\x01Z\x18\x09"), MV_ERR_FORMAT, "none of 1 ... 6"},
    {BYTES("\x0A\x05\x0A\x01Z\x18\x00"), MV_ERR_FORMAT, "none of 1 ... 6"},
    {BYTES("\x0A\x05\x0A\x01Z\x18\x06"), MV_ERR_FORMAT, "not of the form <0x0A>"},
    {BYTES("\x0A\x0A\x0A\x06<0xag>\x18\x06"), MV_ERR_FORMAT, "not of the form <0x0A>"},
    {BYTES("\x0A\x05\x0A\x01Z\x18\x03"), MV_ERR_FORMAT, "of one character"},
    {BYTES("\x0A\x07\x0A\x03<s>\x18\x03"), MV_ERR_FORMAT, "already defined"},
    {BYTES("\x0A\x05\x0A\x03Z\n\x1B\x0A\x05\x0A\x03Z\n\x1B"), MV_ERR_FORMAT,
     "Z\\x0a\\x1b is already defined"},
    {BYTES("\x0A\x05\x0A\x01Z\x18\x02"), MV_ERR_FORMAT, "unk"},
    {BYTES("\x12\x04\xE2\x02\x01\xFF"), MV_ERR_FORMAT, "unk_surface is not UTF-8"},
    {BYTES("\x12\x02\x18\x01"), MV_ERR_UNSUPPORTED, "not BPE"},
    {BYTES("\x12\x03\x98\x02\0"), MV_ERR_UNSUPPORTED, "no byte fallback"},
    {BYTES("\x12\x03\xC0\x01\x01"), MV_ERR_UNSUPPORTED, "before the word"},
    {BYTES("\x1A\x03\x12\x01x"), MV_ERR_UNSUPPORTED, "changes text"},
    {BYTES("\x1A\x02\x20\x01"), MV_ERR_UNSUPPORTED, "removes extra whitespace"},
    {BYTES("\x1A\x02\x28\0"), MV_ERR_UNSUPPORTED, "before the word"},
    {BYTES("\x2A\x03\x12\x01x"), MV_ERR_UNSUPPORTED, "changes text"},
};

START_TEST(refuses_a_model_that_would_decode_wrongly_or_crash)
{
    write_model(small, small_size, appended[_i].bytes, appended[_i].size);
    check_refused(path, appended[_i].code, appended[_i].fragment);
}
END_TEST

START_TEST(refuses_a_model_without_a_piece_for_a_space)
{
    char *piece = memmem(small, small_size, BYTES("\x0A\x03\xE2\x96\x81"));
    ck_assert_ptr_nonnull(piece);
    piece[4] = '\x82'; /* U+2582 */
    write_model(small, small_size, "", 0);
    check_refused(path, MV_ERR_UNSUPPORTED, "no piece for a space");
}
END_TEST

static void check_decodes_to(const char *settings, size_t size, const int32_t *ids, size_t n_ids,
                             const char *expected)
{
    mv_tokenizer *tokenizer = NULL;
    char *text = NULL;
    write_model(small, small_size, settings, size);
    mv_code code = mv_tokenizer_open(&tokenizer, path, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_int_eq(mv_tokenizer_decode(tokenizer, ids, n_ids, &text, &size, &error), MV_OK);
    ck_assert_str_eq(text, expected);
    free(text);
    mv_tokenizer_close(&tokenizer);
}

START_TEST(follows_the_settings_that_decoding_depends_on)
{
    const int32_t ids[] = {308, 0}; /* "▁The", unknown */
    check_decodes_to("", 0, ids, 2, "The \xE2\x81\x87 ");
    check_decodes_to(BYTES("\x1A\x02\x18\0"), ids, 2, " The \xE2\x81\x87 "); /* no dummy prefix */
    check_decodes_to(BYTES("\x12\x04\xE2\x02\x01?"), ids, 2, "The?");        /* unk_surface */
}
END_TEST

/* A control piece named as bos_piece is missing: bos_piece = "Z". */
START_TEST(says_so_when_bos_is_asked_for_and_there_is_none)
{
    mv_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t n_ids;
    write_model(small, small_size, BYTES("\x12\x04\xF2\x02\x01Z"));
    ck_assert_int_eq(mv_tokenizer_open(&tokenizer, path, &error), MV_OK);
    ck_assert_int_eq(mv_tokenizer_bos(tokenizer), -1);
    ck_assert_int_eq(mv_tokenizer_encode(tokenizer, "a", 1, true, &ids, &n_ids, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "BOS"));
    ck_assert_int_eq(mv_tokenizer_encode(tokenizer, "a", 1, false, &ids, &n_ids, &error), MV_OK);
    free(ids);
    mv_tokenizer_close(&tokenizer);
}
END_TEST

static Suite *tokenizer_files_suite(void)
{
    Suite *suite = suite_create("tokenizer_files");
    TCase *tests = tcase_create("tokenizer_files");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, refuses_what_is_no_file);
    tcase_add_test(tests, refuses_an_empty_file);
    tcase_add_test(tests, refuses_files_of_another_kind);
    tcase_add_test(tests, refuses_random_bytes);
    tcase_add_test(tests, refuses_the_model_cut_anywhere);
    tcase_add_loop_test(tests, refuses_a_model_that_would_decode_wrongly_or_crash, 0,
                        (int)(sizeof appended / sizeof appended[0]));
    tcase_add_test(tests, refuses_a_model_without_a_piece_for_a_space);
    tcase_add_test(tests, follows_the_settings_that_decoding_depends_on);
    tcase_add_test(tests, says_so_when_bos_is_asked_for_and_there_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(tokenizer_files_suite)
