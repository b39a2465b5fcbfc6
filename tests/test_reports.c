#include "tests/test_main.h"

#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "reports/parts.h"
#include "tests/report_samples.h"

static mv_verify_results results;
static mv_bytes bytes;
static const mv_report_style plain = {.color = false, .verbose = false};

static void tear_down(void)
{
    mv_verify_results_free(&results);
    mv_bytes_free(&bytes);
}

static void make_sample(const char *name)
{
    mv_verify_results_free(&results);
    if (strcmp(name, "mixed") == 0) {
        mv_sample_mixed(&results);
    } else if (strcmp(name, "passing") == 0) {
        mv_sample_passing(&results);
    } else if (strcmp(name, "hostile") == 0) {
        mv_sample_hostile(&results, mv_hostile_text);
    }
}

static const char *write_as(const char *format, const mv_report_style *style)
{
    const mv_report *report = mv_report_find(format);
    ck_assert_ptr_nonnull(report);
    mv_bytes_free(&bytes);
    report->write_verify(&bytes, &results, style);
    ck_assert(!bytes.failed);
    return bytes.data;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

/* ---- bytes that must not change unnoticed ---- */

static const char *const samples[] = {"mixed", "passing", "empty", "hostile"};
enum { n_samples = sizeof samples / sizeof *samples };

/* MV_UPDATE_GOLDEN=1 writes the files anew; read the diff before you commit it. */
static void compare_with_golden(const char *name)
{
    char path[512];
    mv_error error;
    (void)snprintf(path, sizeof path, MV_TEST_DATA "/reports/%s", name);
    if (getenv("MV_UPDATE_GOLDEN") != NULL) {
        ck_assert_msg(mv_report_save(&bytes, path, &error) == MV_OK, "%s", error.message);
        return;
    }
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    char *golden = calloc(1, bytes.size + 2); /* one byte more, to notice a longer file */
    ck_assert_ptr_nonnull(golden);
    size_t size = fread(golden, 1, bytes.size + 1, file);
    fclose(file);
    size_t at = 0, line = 1;
    for (; at < size && at < bytes.size && golden[at] == bytes.data[at]; at++) {
        line += golden[at] == '\n' ? 1 : 0;
    }
    bool is_same = at == size && at == bytes.size;
    free(golden);
    ck_assert_msg(is_same,
                  "differs from %s in line %zu; if the change is wanted, run this test "
                  "with MV_UPDATE_GOLDEN=1",
                  path, line);
}

START_TEST(every_format_writes_the_bytes_it_always_wrote)
{
    char name[64];
    for (size_t r = 0; r < mv_n_reports; r++) {
        if (strcmp(mv_reports[r].name, "html") == 0) {
            continue; /* large, and with style and script: tests/test_html.c */
        }
        make_sample(samples[_i]);
        write_as(mv_reports[r].name, &plain);
        (void)snprintf(name, sizeof name, "%s%s", samples[_i], mv_reports[r].extension);
        compare_with_golden(name);
    }
}
END_TEST

START_TEST(verbose_text_lists_every_case)
{
    const mv_report_style verbose = {.color = false, .verbose = true};
    make_sample("mixed");
    const char *text = write_as("text", &verbose);
    ck_assert_uint_eq(count(text, " s\n") + 2, results.n_cases + 1); /* two cases have no time */
    compare_with_golden("mixed.verbose.txt");
}
END_TEST

/* ---- what a locale, a terminal or a hostile text could break ---- */

START_TEST(no_hostile_byte_gets_through)
{
    make_sample("hostile");
    for (size_t r = 0; r < mv_n_reports; r++) {
        const char *text = write_as(mv_reports[r].name, &plain);
        const char *start = text;
        ck_assert_uint_eq(strlen(text), bytes.size);
        bool is_csv = strcmp(mv_reports[r].name, "csv") == 0;
        for (const char *before = text; *text != '\0'; before = text) {
            uint32_t c = mv_utf8_next(&text);
            bool is_line_end = c == '\n' || (is_csv && (c == '\r' || c == '\t'));
            ck_assert_msg(c >= 0x20 || is_line_end, "%s: control character %u at %td",
                          mv_reports[r].name, (unsigned)c, before - start);
            ck_assert_msg(c < 0x7F || c > 0x9F, "%s: %x", mv_reports[r].name, (unsigned)c);
            ck_assert_msg(c != 0xFFFD || text - before == 3, "%s: invalid UTF-8 at %td",
                          mv_reports[r].name, before - start);
        }
    }
}
END_TEST

START_TEST(colour_is_only_ever_added)
{
    const mv_report_style colored = {.color = true, .verbose = false};
    char stripped[65536];
    size_t n = 0;
    make_sample("mixed");
    for (const char *c = write_as("text", &colored); *c != '\0'; c++) {
        if (*c == '\033') {
            c += strcspn(c, "m");
        } else {
            stripped[n++] = *c;
        }
    }
    stripped[n] = '\0';
    ck_assert_uint_lt(n, bytes.size);
    ck_assert_str_eq(stripped, write_as("text", &plain));
}
END_TEST

START_TEST(nothing_run_is_vacuous_in_every_format)
{
    make_sample("empty");
    for (size_t r = 0; r < mv_n_reports; r++) {
        const char *text = write_as(mv_reports[r].name, &plain);
        ck_assert_msg(strstr(text, "vacuous") != NULL, "%s", mv_reports[r].name);
    }
    ck_assert_ptr_nonnull(strstr(write_as("tap", &plain), "1..1\nnot ok 1 "));
    ck_assert_ptr_nonnull(strstr(write_as("junit", &plain), "failures=\"1\""));
}
END_TEST

/* ---- each format by its own rules ---- */

START_TEST(json_can_be_read_back_whatever_the_text)
{
    for (size_t i = 0; i < n_samples; i++) {
        make_sample(samples[i]);
        json_error_t error;
        json_t *root = json_loads(write_as("json", &plain), JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(root != NULL, "%s: line %d: %s", samples[i], error.line, error.text);
        mv_summary summary = mv_verify_results_summarise(&results);
        ck_assert_str_eq(json_string_value(json_object_get(root, "verdict")),
                         mv_verdict_name(summary.verdict));
        ck_assert_uint_eq(json_array_size(json_object_get(root, "cases")), results.n_cases);
        ck_assert_int_eq(json_object_get(root, "self_test") != NULL, results.n_mutants > 0);
        json_decref(root);
    }
}
END_TEST

START_TEST(json_keeps_a_nan_that_decides_and_leaves_out_what_was_not_measured)
{
    make_sample("mixed");
    json_t *root = json_loads(write_as("json", &plain), 0, NULL);
    json_t *cases = json_object_get(root, "cases");
    json_t *one = NULL;
    size_t i = 0;
    size_t n_seen = 0;
    json_array_foreach(cases, i, one)
    {
        json_t *metrics = json_object_get(one, "metrics");
        const char *suite = json_string_value(json_object_get(one, "suite"));
        ck_assert_ptr_null(json_object_get(metrics, "kl_mean"));
        if (strcmp(suite, "ring") == 0) {
            n_seen++;
            ck_assert_str_eq(json_string_value(json_object_get(metrics, "r_rmse")), "nan");
            ck_assert_str_eq(json_string_value(json_object_get(metrics, "max_abs")), "inf");
            ck_assert_str_eq(json_string_value(json_object_get(one, "headroom")), "nan");
            ck_assert_ptr_null(json_object_get(one, "first_divergence"));
        } else if (strcmp(suite, "recorded") == 0) {
            n_seen++;
            ck_assert_uint_eq(json_object_size(metrics), 0);
            ck_assert_ptr_null(json_object_get(one, "worst"));
            ck_assert_ptr_null(json_object_get(one, "window"));
            ck_assert_str_eq(json_string_value(json_object_get(one, "seed")),
                             "18446744073709551615");
        }
    }
    ck_assert_uint_eq(n_seen, 2);
    json_decref(root);
}
END_TEST

static size_t count_lines(const char *text, const char *beginning)
{
    size_t n = strncmp(text, beginning, strlen(beginning)) == 0 ? 1 : 0;
    while ((text = strchr(text, '\n')) != NULL) {
        text++;
        n += strncmp(text, beginning, strlen(beginning)) == 0 ? 1 : 0;
    }
    return n;
}

/* Lines of the kind that meson's reader and others take for a skip: with any '#' before the word,
 * escaped or not. What is indented is YAML. */
static size_t count_skips(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text != '\0') {
        const char *skip = strstr(text, "# SKIP");
        n += *text != ' ' && skip != NULL && skip < text + strcspn(text, "\n") ? 1 : 0;
    }
    return n;
}

START_TEST(tap_plans_as_many_points_as_it_gives)
{
    for (size_t i = 0; i < n_samples; i++) {
        char plan[32];
        make_sample(samples[i]);
        const char *text = write_as("tap", &plain);
        size_t n_not_ok = count_lines(text, "not ok ");
        size_t n = n_not_ok + count_lines(text, "ok ");
        (void)snprintf(plan, sizeof plan, "TAP version 13\n1..%zu\n", n);
        ck_assert_msg(strncmp(text, plan, strlen(plan)) == 0, "%s: %zu", samples[i], n);
        ck_assert_uint_eq(count_lines(text, "  ---"), n_not_ok);
        ck_assert_uint_eq(count_skips(text), mv_verify_results_summarise(&results).n_skipped);
    }
}
END_TEST

START_TEST(junit_counts_what_it_lists)
{
    for (size_t i = 0; i < n_samples; i++) {
        char counts[128];
        make_sample(samples[i]);
        const char *text = write_as("junit", &plain);
        (void)snprintf(counts, sizeof counts,
                       "<testsuites name=\"mistral-verify\" tests=\"%zu\" failures=\"%zu\" "
                       "errors=\"%zu\" skipped=\"%zu\"",
                       count(text, "<testcase "), count(text, "<failure "), count(text, "<error "),
                       count(text, "<skipped "));
        ck_assert_msg(strstr(text, counts) != NULL, "%s: %s", samples[i], counts);
        bool is_pass = strcmp(samples[i], "passing") == 0;
        ck_assert_int_eq(strstr(text, "<failure") == NULL, is_pass);
    }
}
END_TEST

/* Cells of the record at *text, by RFC 4180; *text moves to the next record. */
static size_t count_cells(const char **text)
{
    size_t n = 1;
    bool is_quoted = false;
    for (; **text != '\0' && (is_quoted || strncmp(*text, "\r\n", 2) != 0); ++*text) {
        if (**text == '"') {
            is_quoted = !is_quoted;
        }
        n += **text == ',' && !is_quoted ? 1 : 0;
    }
    *text += **text != '\0' ? 2 : 0;
    return n;
}

START_TEST(csv_has_one_record_a_case_and_as_many_cells_as_its_header)
{
    for (size_t i = 0; i < n_samples; i++) {
        make_sample(samples[i]);
        const char *text = write_as("csv", &plain);
        size_t n_cells = count_cells(&text);
        size_t n_records = 0;
        for (; *text != '\0'; n_records++) {
            ck_assert_uint_eq(count_cells(&text), n_cells);
        }
        ck_assert_uint_eq(n_records, results.n_cases > 0 ? results.n_cases : 1);
    }
}
END_TEST

/* Those that end a cell: not behind a backslash, unless that is itself escaped. */
static size_t count_bars(const char *line, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '\\') {
            i++;
        } else if (line[i] == '|') {
            n++;
        }
    }
    return n;
}

START_TEST(markdown_cannot_be_left_through_a_fence_or_a_cell)
{
    make_sample("hostile");
    const char *text = write_as("md", &plain);
    bool is_code = false;
    size_t n_cells = 0;
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        size_t size = strcspn(line, "\n");
        bool is_ours = strncmp(line, "<details>", 9) == 0 || strncmp(line, "</details>", 10) == 0;
        is_code = strncmp(line, "````", 4) == 0 ? !is_code : is_code;
        ck_assert_msg(is_code || is_ours || memchr(line, '<', size) == NULL, "%s", line);
        if (!is_code && line[0] == '|') {
            size_t n = count_bars(line, size);
            ck_assert_msg(n_cells == 0 || n == n_cells, "%s", line);
            n_cells = n;
        } else {
            n_cells = 0;
        }
    }
    ck_assert_uint_eq(count_lines(text, "````"), 2 * count_lines(text, "````sh"));
    ck_assert_uint_eq(count_lines(text, "````sh"), 3); /* fail, error, vacuous */
}
END_TEST

START_TEST(a_long_list_of_failures_is_cut_and_says_so)
{
    make_sample("passing");
    for (size_t i = 0; i < results.n_cases; i++) {
        results.cases[i].verdict = MV_VERDICT_FAIL;
    }
    ck_assert_ptr_nonnull(strstr(write_as("text", &plain), "... and 7 more in chunking"));
    ck_assert_ptr_nonnull(strstr(write_as("md", &plain), "... and 9 more"));
    for (size_t i = 0; i < results.n_cases; i++) { /* the first of each suite, not ten of one */
        (void)snprintf(results.cases[i].suite, sizeof results.cases[i].suite, "suite %zu", i / 6);
    }
    ck_assert_ptr_nonnull(strstr(write_as("md", &plain), "... and 6 more"));
    ck_assert_ptr_nonnull(strstr(write_as("md", &plain), "**fail**: suite 1 / "));
    const mv_report_style verbose = {.color = false, .verbose = true};
    ck_assert_ptr_null(strstr(write_as("text", &verbose), "more in chunking"));
}
END_TEST

START_TEST(positions_are_told_against_the_window)
{
    static const struct {
        int64_t position, window;
        const char *words;
    } table[] = {
        {7, 8, "position 7 = W-1 (W = 8)"},    {8, 8, "position 8 = W (W = 8)"},
        {9, 8, "position 9 = W+1 (W = 8)"},    {24, 8, "position 24 = 3W (W = 8)"},
        {31, 8, "position 31 = 4W-1 (W = 8)"}, {3, 8, "position 3 (inside the first window of 8)"},
        {3, 0, "position 3, token"},           {3, -1, "position 3, token"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mv_case_result one;
        mv_detail details[MV_MAX_DETAILS];
        mv_case_result_clear(&one);
        one.window = table[i].window;
        one.worst = (mv_worst){table[i].position, 1, 0, 0};
        ck_assert_uint_eq(mv_case_details(&one, details), 2);
        ck_assert_msg(strstr(details[1].text, table[i].words) == details[1].text, "%s",
                      details[1].text);
    }
}
END_TEST

static Suite *reports_suite(void)
{
    Suite *suite = suite_create("reports");
    TCase *tcase = tcase_create("reports");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_loop_test(tcase, every_format_writes_the_bytes_it_always_wrote, 0, n_samples);
    tcase_add_test(tcase, verbose_text_lists_every_case);
    tcase_add_test(tcase, no_hostile_byte_gets_through);
    tcase_add_test(tcase, colour_is_only_ever_added);
    tcase_add_test(tcase, nothing_run_is_vacuous_in_every_format);
    tcase_add_test(tcase, json_can_be_read_back_whatever_the_text);
    tcase_add_test(tcase, json_keeps_a_nan_that_decides_and_leaves_out_what_was_not_measured);
    tcase_add_test(tcase, tap_plans_as_many_points_as_it_gives);
    tcase_add_test(tcase, junit_counts_what_it_lists);
    tcase_add_test(tcase, csv_has_one_record_a_case_and_as_many_cells_as_its_header);
    tcase_add_test(tcase, markdown_cannot_be_left_through_a_fence_or_a_cell);
    tcase_add_test(tcase, a_long_list_of_failures_is_cut_and_says_so);
    tcase_add_test(tcase, positions_are_told_against_the_window);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(reports_suite)
