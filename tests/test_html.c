/* A page of mistral-report as a whole: its bytes, its size, and the results that come out again. */
#include <errno.h>

#include "tests/page_fixture.h"

static mv_error error;

/* Style, script and data have checks of their own; the hashes change with each comma. */
static char *without(const char *text, const char *begin, const char *end)
{
    char *copy = strdup(text);
    for (char *at = copy; (at = strstr(at, begin)) != NULL;) {
        at += strlen(begin);
        char *stop = strstr(at, end);
        ck_assert_ptr_nonnull(stop);
        memmove(at, stop, strlen(stop) + 1);
    }
    return copy;
}

/* MV_UPDATE_GOLDEN=1 writes the files anew; read the diff before you commit it. */
static void compare_with_golden(const char *text, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, MV_TEST_DATA "/reports/%s", name);
    char *no_style = without(text, "<style>", "</style>");
    char *no_script = without(no_style, "<script>", "</script>");
    char *no_data = without(no_script, "-json\">", "</script>");
    char *body = without(no_data, "'sha256-", "'");
    free(no_style);
    free(no_script);
    free(no_data);
    if (getenv("MV_UPDATE_GOLDEN") != NULL) {
        mv_bytes bytes = {0};
        mv_bytes_text(&bytes, body);
        ck_assert_msg(mv_report_save(&bytes, path, &error) == MV_OK, "%s", error.message);
        mv_bytes_free(&bytes);
        free(body);
        return;
    }
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    size_t size = strlen(body), line = 1, at = 0;
    char *golden = calloc(1, size + 2);
    ck_assert_ptr_nonnull(golden);
    size_t n = fread(golden, 1, size + 1, file);
    fclose(file);
    for (; at < n && at < size && golden[at] == body[at]; at++) {
        line += golden[at] == '\n' ? 1 : 0;
    }
    bool is_same = at == n && at == size;
    free(golden);
    free(body);
    ck_assert_msg(is_same,
                  "differs from %s in line %zu; if the change is wanted, run this test with "
                  "MV_UPDATE_GOLDEN=1",
                  path, line);
}

START_TEST(the_page_of_a_verification_has_the_bytes_it_always_had)
{
    mv_sample_mixed(&verify);
    compare_with_golden(write_verify(), "mixed.page.html");
}
END_TEST

START_TEST(the_page_of_times_has_the_bytes_it_always_had)
{
    mv_sample_bench(&bench);
    compare_with_golden(write_bench(), "times.page.html");
}
END_TEST

START_TEST(the_same_results_give_the_same_bytes_whatever_the_clock_says)
{
    mv_sample_mixed(&verify);
    char *first = strdup(write_verify());
    setenv("SOURCE_DATE_EPOCH", "1", 1);
    setenv("TZ", "Asia/Tokyo", 1);
    ck_assert_str_eq(first, write_verify());
    free(first);
}
END_TEST

START_TEST(a_page_gives_back_the_json_that_went_in)
{
    const mv_report_style plain = {.verbose = false};
    mv_bytes json = {0}, out = {0};
    mv_sample_hostile(&verify, mv_hostile_text);
    mv_sample_bench_hostile(&bench, mv_hostile_text);
    mv_json_write_verify(&json, &verify, &plain);
    mv_json_write_bench(&json, &bench, &plain);
    const mv_page_part parts[] = {{.name = "a", .verify = &verify}, {.name = "b", .bench = &bench}};
    write_page(parts, 2);
    ck_assert_int_eq(mv_html_extract(&out, page.data, page.size, "p.html", &error), MV_OK);
    ck_assert_str_eq(out.data, json.data);
    mv_bytes_free(&json);
    mv_bytes_free(&out);
}
END_TEST

#define PACKED "<script type=\"application/gzip\" class=\"results\" id=\"r1-json\">\n"

START_TEST(refuses_to_extract_from_what_is_no_page_of_ours)
{
    static const struct {
        const char *text, *words;
    } table[] = {
        {"", "no page of mistral-report"},
        {"<html><script>1</script></html>", "no page of mistral-report"},
        {"<script type=\"application/json\" class=\"results\" id=\"", "have no end"},
        {"<script type=\"application/json\" class=\"results\" id=\"r1-json\">\n{}", "have no end"},
        {PACKED "</script>\n", "are damaged"},
        {PACKED "\n</script>\n", "are damaged"},
        {PACKED "H4sI\n</script>\n", "are damaged"},
        {PACKED "H4s=H4sI\n</script>\n", "are damaged"},
        {PACKED "H=4s\n</script>\n", "are damaged"},
        {PACKED "e30=\n</script>\n", "are damaged"},
    };
    mv_bytes out = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ck_assert_int_eq(
            mv_html_extract(&out, table[i].text, strlen(table[i].text), "p.html", &error),
            MV_ERR_FORMAT);
        must_have(error.message, table[i].words);
        must_have(error.message, "p.html: ");
    }
    mv_bytes_free(&out);
}
END_TEST

START_TEST(a_page_of_many_cases_stays_below_a_megabyte)
{
    mv_sample_passing(&verify);
    for (size_t i = 0; i < 700; i++) {
        mv_case_result one = verify.cases[i % 12];
        (void)snprintf(one.reproduce, sizeof one.reproduce,
                       "mistral-verify --model synthetic:probe --backend reference --compute f32 "
                       "--suite chunking --length 40 --seed 1 --filter 'chunking/window 8 %zu'",
                       i);
        ck_assert_int_eq(mv_verify_results_add(&verify, &one, &error), MV_OK);
    }
    const mv_report_style plain = {.verbose = false};
    const mv_page_part parts[] = {{.name = "f32.json", .verify = &verify},
                                  {.name = "bf16.json", .verify = &verify}};
    mv_bytes json = {0}, out = {0};
    write_page(parts, 2);
    ck_assert_uint_lt(page.size, 1000000);
    mv_json_write_verify(&json, &verify, &plain); /* packed in the page, and out again */
    ck_assert_uint_gt(json.size, 400000);
    ck_assert_int_eq(mv_html_extract(&out, page.data, page.size, "p.html", &error), MV_OK);
    ck_assert_uint_eq(out.size, 2 * json.size);
    ck_assert_int_eq(memcmp(out.data, json.data, json.size), 0);
    mv_bytes_free(&json);
    mv_bytes_free(&out);
    ck_assert_uint_lt(strlen(mv_html_script), 10240);
}
END_TEST

static Suite *html_suite(void)
{
    Suite *suite = suite_create("html");
    TCase *tcase = tcase_create("html");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, the_page_of_a_verification_has_the_bytes_it_always_had);
    tcase_add_test(tcase, the_page_of_times_has_the_bytes_it_always_had);
    tcase_add_test(tcase, the_same_results_give_the_same_bytes_whatever_the_clock_says);
    tcase_add_test(tcase, a_page_gives_back_the_json_that_went_in);
    tcase_add_test(tcase, refuses_to_extract_from_what_is_no_page_of_ours);
    tcase_add_test(tcase, a_page_of_many_cases_stays_below_a_megabyte);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(html_suite)
