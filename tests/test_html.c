#include "tests/test_main.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/html_parts.h"
#include "tests/page_samples.h"
#include "tests/report_samples.h"

static mv_verify_results verify;
static mv_bench_results bench;
static mv_history history;
static mv_bytes page;
static mv_error error;

static void tear_down(void)
{
    mv_verify_results_free(&verify);
    mv_bench_results_free(&bench);
    mv_history_free(&history);
    mv_bytes_free(&page);
}

static const char *write_page(const mv_page_part *parts, size_t n_parts)
{
    mv_bytes_free(&page);
    mv_html_write_page(&page, parts, n_parts);
    ck_assert(!page.failed);
    return page.data;
}

static const char *write_verify(void)
{
    const mv_page_part part = {.name = "", .verify = &verify};
    return write_page(&part, 1);
}

static const char *write_bench(void)
{
    const mv_page_part part = {.name = "", .bench = &bench};
    return write_page(&part, 1);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

static void must_have(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "lacks: %s", what);
}

/* ---- bytes that must not change unnoticed ---- */

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

/* ---- what comes out again ---- */

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

/* ---- what the sections say ---- */

START_TEST(the_first_screen_says_the_verdict_in_words_and_how_to_see_it_again)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    const char *screen = strstr(text, "id=\"r1-verdict\"");
    ck_assert_ptr_nonnull(screen);
    must_have(screen, "Error: a backend failed");
    must_have(screen, "<code>mistral-verify --suite window --backend blas --chunk 3");
    ck_assert(strstr(screen, "--suite window") < strstr(text, "id=\"r1-heat\""));
}
END_TEST

/* 102 cards of one bug hide the one of another. */
START_TEST(cases_that_fail_alike_are_one_card)
{
    static const struct {
        const char *suite, *name;
        int64_t window, position;
    } failed[] = {{"chunking", "a", 8, 9}, {"chunking", "b", 8, 9},  {"chunking", "c <&", 8, 9},
                  {"chunking", "d", 7, 9}, {"chunking", "e", 8, 10}, {"window", "f", 8, 9},
                  {"window", "g", 8, -1},  {"window", "h", 8, -1}};
    mv_verify_results_init(&verify);
    for (size_t i = 0; i < sizeof failed / sizeof failed[0]; i++) {
        mv_case_result one;
        mv_case_result_clear(&one);
        (void)snprintf(one.suite, sizeof one.suite, "%s", failed[i].suite);
        (void)snprintf(one.name, sizeof one.name, "%s", failed[i].name);
        (void)snprintf(one.backend, sizeof one.backend, "mine");
        (void)snprintf(one.reason, sizeof one.reason, "reason %zu", i);
        one.window = failed[i].window;
        one.divergence_position = failed[i].position;
        one.verdict = MV_VERDICT_FAIL;
        ck_assert_int_eq(mv_verify_results_add(&verify, &one, &error), MV_OK);
    }
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "<details class=\"failure"), 6); /* g and h: another reason */
    must_have(text, "8 cases, in 6 groups:");
    must_have(text, "2 more cases of this suite fail alike: b, c &lt;&amp;.");
    ck_assert_uint_eq(count(text, "fail alike"), 1);
}
END_TEST

START_TEST(a_failing_cell_is_hatched_and_keeps_its_number)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "class=\"cell bad\""), 3);
    ck_assert_uint_eq(count(text, "class=\"hatch\""), 3 + 2); /* two in the map of a profile */
    must_have(text, ">41.2</text>");
    must_have(text, "3 of 13 cells fail");
    mv_verify_results_free(&verify);
    mv_sample_passing(&verify);
    text = write_verify();
    ck_assert_uint_eq(count(text, "class=\"hatch\""), 0);
    must_have(text, "no failure in 12 cells");
}
END_TEST

START_TEST(the_heat_map_names_the_shape_of_its_failures)
{
    static const struct {
        int64_t chunk, window; /* which fail; -1: any */
        const char *words;
    } table[] = {
        {-1, 8, "4 of 12 cells fail, all with window 8;"},
        {16, -1, "3 of 12 cells fail, all with chunk 16;"},
        {3, 4, "1 of 12 cells fail: chunk 3, window 4;"},
        {-1, -1, "12 of 12 cells fail: every one of them;"},
    };
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        mv_verify_results_free(&verify);
        mv_sample_passing(&verify);
        for (size_t i = 0; i < verify.n_cases; i++) {
            mv_case_result *one = &verify.cases[i];
            if ((table[t].chunk < 0 || one->chunk == table[t].chunk) &&
                (table[t].window < 0 || one->window == table[t].window)) {
                one->verdict = MV_VERDICT_FAIL;
            }
        }
        must_have(write_verify(), table[t].words);
    }
}
END_TEST

START_TEST(a_chunk_above_the_window_is_seen_as_such)
{
    mv_sample_passing(&verify);
    for (size_t i = 0; i < verify.n_cases; i++) {
        mv_case_result *one = &verify.cases[i];
        one->chunk = one->chunk == 3 ? 5 : one->chunk;
        bool is_above = one->window > 0 && one->chunk > one->window;
        one->verdict = is_above ? MV_VERDICT_FAIL : MV_VERDICT_PASS;
    }
    must_have(write_verify(), "3 of 12 cells fail, all with a chunk above the window;");
}
END_TEST

START_TEST(a_profile_names_the_first_wrong_operation_in_words_and_marks_it)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    must_have(text, "Of 42 operations the first wrong one is layer 0, attention: its error is 41.2 "
                    "times its limit; no later one is wrong.");
    must_have(text, ">first wrong: layer 0, attention</text>");
    must_have(text, "<title>layer 0, attention: error / limit 41.2</title>");
    must_have(text,
              "Layer 0 alone is over its limit, first at position 8, where the window (W = 8) "
              "is passed;");
    must_have(text, "<title>layer 0: over the limit at positions 8 to 63; ");
    must_have(text, "<td>attention</td><td class=\"n\">41.2</td>");
    must_have(text, "<td class=\"n\">12.5</td><td class=\"n\">8</td><td>8 to 63</td>");
    ck_assert_uint_eq(count(text, "<h4>"), 1);
    ck_assert_ptr_null(strstr(text, "more are in the data"));
}
END_TEST

START_TEST(of_many_profiles_one_of_each_place_is_shown_and_the_rest_is_counted)
{
    mv_sample_deep(&verify, 7);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "<h4>"), 4);
    must_have(text, "the profiles of 3 more are in the data");
    for (size_t i = 0; i < verify.n_cases; i++) {
        verify.cases[i].divergence_layer = 5;
    }
    text = write_verify();
    ck_assert_uint_eq(count(text, "<h4>"), 1);
    must_have(text, "the profiles of 6 more are in the data");
}
END_TEST

START_TEST(the_kill_matrix_says_who_saw_what)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "\"ear\"> killed</span></td>"), 2);
    ck_assert_uint_eq(count(text, "> missed</span></td>"), 2);
    ck_assert_uint_eq(count(text, "> false</span></td>"), 1);
    must_have(text, "Survived: <code>eps_after_sqrt</code>.");
}
END_TEST

START_TEST(sections_without_data_do_not_appear)
{
    mv_sample_passing(&verify);
    const char *text = write_verify();
    static const char *const absent[] = {"r1-failures", "r1-divergence", "r1-self-test",
                                         "r1-changes",  "r1-prefill",    "r1-gate"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        ck_assert_msg(strstr(text, absent[i]) == NULL, "%s", absent[i]);
    }
    must_have(text, "No self-test in this run");
}
END_TEST

START_TEST(an_older_run_shows_what_changed_and_where_the_machines_differ)
{
    mv_verify_results old;
    mv_sample_mixed(&verify);
    mv_sample_passing(&old);
    old.cases[2].metrics.r_rmse *= 3;
    mv_environment_set(&old.environment, "cores", "64");
    const mv_page_part part = {.name = "", .verify = &verify, .verify_old = &old};
    const char *text = write_page(&part, 1);
    must_have(text,
              "1 of 29 cases changed (another verdict, or R by more than a fifth); 17 are new");
    must_have(text, "<tr class=\"differs\"><th scope=\"row\">cores</th><td>2</td><td>64</td>");
    ck_assert_uint_eq(count(text, "<tr class=\"differs\""), 1);
    must_have(text, "1 fact of the machine or the build differs: <code>cores</code>");
    must_have(text, "<p>0 no longer hold, 0 hold again.");
    old.cases[3].verdict = MV_VERDICT_FAIL;
    must_have(write_page(&part, 1), "<p>0 no longer hold, 1 holds again.");
    old.cases[3].verdict = MV_VERDICT_PASS;
    verify.cases[3].verdict = MV_VERDICT_FAIL;
    must_have(write_page(&part, 1), "<strong>1 no longer holds, 0 hold again.</strong>");
    mv_verify_results_free(&old);
}
END_TEST

START_TEST(times_say_their_findings)
{
    mv_sample_bench(&bench);
    const char *text = write_bench();
    must_have(text, "Slower than before");
    must_have(text, "The largest ratio is +8.0 %");
    must_have(text, "blas f32, window 64 is fastest: 400 tokens/s with chunk 512");
    must_have(text, "That is 50 % of what the machine allows");
    must_have(text,
              "blas f32, window 64 keeps 100 % of its speed from 1 to 1024 keys; blas f32, no "
              "window keeps 49 % of its speed from 1 to 1024 keys.");
    must_have(text, "times as many tokens with 4 sequences as with 1");
    must_have(text, "The best row reaches 50 % of its limit");
    must_have(text, "others used 0.8 cores");
}
END_TEST

START_TEST(an_older_file_of_times_says_what_got_slower_and_how_sure)
{
    mv_bench_results old;
    mv_sample_bench(&bench);
    mv_sample_bench(&old);
    const mv_page_part part = {.name = "", .bench = &bench, .bench_old = &old};
    bench.runs[0].tokens_per_s = (mv_estimate){80, 79, 81}; /* 100 before */
    bench.runs[1].tokens_per_s = (mv_estimate){180, 178, 182};
    bench.runs[4].checked = false;
    bench.runs[5].shape.depth = 77;
    mv_environment_set(&old.environment, "cpu_model", "Another");
    const char *text = write_page(&part, 1);
    must_have(text, "23 rows are in both files; 1 new, 1 gone.");
    must_have(text, "1 row was right in the older run and is not now.");
    must_have(text, "1 row is slower than before, 1 faster, 21 cannot be told apart. The slowest "
                    "takes +25.0 % (+19.8 to +29.1): blas prefill, prompt 512, chunk 1");
    must_have(text, "1 fact of the machine or the build differs: <code>cpu_model</code>");
    must_have(text, "no longer right");
    mv_bench_results_free(&old);
}
END_TEST

START_TEST(what_the_context_adds_is_fitted_and_what_is_lost_in_the_noise_is_counted)
{
    mv_sample_bench(&bench);
    must_have(write_bench(), "</b>: 11.4 ms more a token with 1023 keys more; it grows with "
                             "exponent 1.00 \xC2\xB1 0.00 (3 depths)");
    must_have(page.data, "<b>blas f32, window 64</b>: what the context adds is lost in the noise "
                         "at all 3 depths.");
    for (size_t i = 0; i < bench.n_runs; i++) { /* 1 us a key that can be seen, known exactly */
        mv_bench_run *run = &bench.runs[i];
        const double keys = (double)run->shape.depth;
        const double seen = run->shape.window > 0 ? fmin(keys, (double)run->shape.window) : keys;
        const double speed = 1e6 / (100 + seen);
        run->tokens_per_s = (mv_estimate){speed, speed * 0.9999, speed * 1.0001};
        run->phase = MV_BENCH_DECODE;
        run->shape = (mv_bench_shape){.generate = 1,
                                      .depth = (int64_t)keys,
                                      .window = run->shape.window,
                                      .batch = 1,
                                      .threads = 2};
    }
    must_have(write_bench(), "</b>: 1.02 ms more a token with 1023 keys more; it grows with "
                             "exponent 1.00 \xC2\xB1 0.00 (3 depths)");
    must_have(page.data, "past the window 4.01 times the keys take 1.00 times as long, with "
                         "exponent 0.00 (2 depths)");
    must_have(page.data, "data-name=\"n: as the keys\"");
    must_have(page.data, "data-name=\"W: as the visible keys\"");
    for (size_t i = 0; i < bench.n_runs; i++) {
        bench.runs[i].shape.depth = 0;
    }
    ck_assert_ptr_null(strstr(write_bench(), "What the context costs"));
}
END_TEST

START_TEST(a_history_shows_its_steps_and_gives_its_lines_back)
{
    mv_bytes out = {0};
    mv_sample_history(&history, "prefill time");
    const mv_page_part part = {.name = "h.jsonl", .history = &history};
    const char *text = write_page(&part, 1);
    must_have(text, "1 step in 2 metrics");
    must_have(text, "<b>decode time</b>: the last of 40 runs took");
    must_have(text, "It changed by +5.0 % at run 21 (2026-01-21T03:04:05Z, commit 0000020).");
    must_have(text, "No step of 2 % or more is found in it.");
    ck_assert_int_eq(mv_html_extract(&out, page.data, page.size, "p.html", &error), MV_OK);
    ck_assert_uint_eq(count(out.data, "\n"), 80);
    ck_assert_uint_eq(count(out.data, "\\u003c/script>\\u003c!--"), 80);
    mv_bytes_free(&out);
}
END_TEST

START_TEST(time_by_op_says_what_takes_most_and_that_it_is_not_the_timed_run)
{
    mv_sample_bench(&bench);
    const char *text = write_bench();
    must_have(text, "<code>gate+up</code> and <code>ffn_out</code> take 60 % of a pass of 3.00 ms");
    must_have(text, "With taps it took 1.02 times the timed one. <span");
    must_have(text, "of a token step of 1.00 ms");
    must_have(text, "With taps it took 1.46 times the timed one: the sum is not the timed run");
    ck_assert_uint_eq(count(text, "chart: time by op"), 2); /* one a phase, of 24 rows */
    for (size_t i = 0; i < bench.n_runs; i++) {
        bench.runs[i].profile.n_ops = 0;
    }
    ck_assert_ptr_null(strstr(write_bench(), "Time by op"));
}
END_TEST

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

START_TEST(what_was_timed_and_not_checked_is_no_pass)
{
    mv_sample_bench(&bench);
    bench.n_comparisons = 0;
    bench.n_claims = 0;
    must_have(write_bench(), "Timed, and right");
    bench.runs[3].checked = false;
    must_have(write_bench(), "Not proved");
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

/* ---- scales ---- */

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
    tcase_add_test(tcase, the_first_screen_says_the_verdict_in_words_and_how_to_see_it_again);
    tcase_add_test(tcase, a_failing_cell_is_hatched_and_keeps_its_number);
    tcase_add_test(tcase, cases_that_fail_alike_are_one_card);
    tcase_add_test(tcase, the_heat_map_names_the_shape_of_its_failures);
    tcase_add_test(tcase, a_chunk_above_the_window_is_seen_as_such);
    tcase_add_test(tcase, a_profile_names_the_first_wrong_operation_in_words_and_marks_it);
    tcase_add_test(tcase, of_many_profiles_one_of_each_place_is_shown_and_the_rest_is_counted);
    tcase_add_test(tcase, the_kill_matrix_says_who_saw_what);
    tcase_add_test(tcase, sections_without_data_do_not_appear);
    tcase_add_test(tcase, an_older_run_shows_what_changed_and_where_the_machines_differ);
    tcase_add_test(tcase, times_say_their_findings);
    tcase_add_test(tcase, an_older_file_of_times_says_what_got_slower_and_how_sure);
    tcase_add_test(tcase, what_the_context_adds_is_fitted_and_what_is_lost_in_the_noise_is_counted);
    tcase_add_test(tcase, a_history_shows_its_steps_and_gives_its_lines_back);
    tcase_add_test(tcase, time_by_op_says_what_takes_most_and_that_it_is_not_the_timed_run);
    tcase_add_test(tcase, every_chart_has_one_width_and_what_is_too_wide_is_broken);
    tcase_add_test(tcase, what_all_rows_share_is_said_once_in_the_caption);
    tcase_add_test(tcase, what_was_timed_and_not_checked_is_no_pass);
    tcase_add_test(tcase, a_page_of_many_cases_stays_below_a_megabyte);
    tcase_add_test(tcase, scales_are_round_and_hold_what_they_were_made_for);
    tcase_add_test(tcase, numbers_of_an_axis_are_short);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(html_suite)
