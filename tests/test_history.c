#include "tests/test_main.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/history.h"

static char path[] = "/tmp/mv-test-history-XXXXXX";
static mv_error error;
static mv_bench_results results;
static const mv_history_builds builds = {"sha256:aa", "sha256:bb"};

static void set_up(void)
{
    mv_bench_comparison row = {.n_groups = 16, .n_confirm = -1, .verdict = MV_BENCH_SAME};
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    mv_bench_results_init(&results);
    (void)snprintf(results.model_spec, sizeof results.model_spec, "a \"model\"\n");
    (void)snprintf(results.tool_commit, sizeof results.tool_commit, "0123456789ab");
    mv_environment_set(&results.environment, "date_utc", "2026-01-02T03:04:05Z");
    (void)snprintf(row.key, sizeof row.key, "decode time");
    (void)snprintf(row.method, sizeof row.method, "interleaved");
    row.ratio = (mv_estimate){1.01, 0.99, 1.03};
    ck_assert_int_eq(mv_bench_results_add_comparison(&results, &row, &error), MV_OK);
    (void)snprintf(row.method, sizeof row.method, "work"); /* has no place in a history of times */
    ck_assert_int_eq(mv_bench_results_add_comparison(&results, &row, &error), MV_OK);
}

static void tear_down(void)
{
    (void)unlink(path);
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    mv_bench_results_free(&results);
}

static void write_text(const char *text)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    (void)fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
}

static size_t read_text(char *text, size_t size)
{
    FILE *in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    const size_t n = fread(text, 1, size - 1, in);
    text[n] = '\0';
    (void)fclose(in);
    return n;
}

/* ---- the file ---- */

START_TEST(each_run_appends_one_line_for_each_time)
{
    char text[4096], before[4096];
    size_t n_added = 0;
    (void)unlink(path); /* the first run makes the file */
    ck_assert_int_eq(mv_history_check(path, &builds, &error), MV_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(mv_history_append(path, &results, &builds, &n_added, &error) == MV_OK, "%s",
                      error.message);
        ck_assert_uint_eq(n_added, 1);
        const size_t size = read_text(text, sizeof text);
        ck_assert_int_eq(text[size - 1], '\n');
        if (i > 0)
            ck_assert_int_eq(memcmp(text, before, strlen(before)), 0);
        memcpy(before, text, size + 1);
    }
    ck_assert_ptr_nonnull(strstr(text, "\"anchor\":\"sha256:aa\",\"candidate\":\"sha256:bb\""));
    ck_assert_ptr_nonnull(strstr(text, "\"ratio\":1.01"));
    ck_assert_ptr_nonnull(strstr(text, "a \\\"model\\\"\\n"));
    ck_assert_int_eq(mv_history_check(path, &builds, &error), MV_OK);
}
END_TEST

START_TEST(another_anchor_is_refused_and_nothing_is_written)
{
    const mv_history_builds other = {"sha256:cc", "sha256:bb"};
    char text[4096];
    size_t n_added;
    ck_assert_int_eq(mv_history_append(path, &results, &builds, &n_added, &error), MV_OK);
    const size_t size = read_text(text, sizeof text);
    ck_assert_int_eq(mv_history_check(path, &other, &error), MV_ERR_FORMAT);
    ck_assert_int_eq(mv_history_append(path, &results, &other, &n_added, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "anchor differs: 'sha256:aa' there"));
    ck_assert_uint_eq(read_text(text, sizeof text), size);
}
END_TEST

START_TEST(a_history_is_read_with_its_intervals_and_its_lines)
{
    mv_history h;
    size_t n_added;
    ck_assert(!mv_history_is_one(path));
    ck_assert_int_eq(mv_history_append(path, &results, &builds, &n_added, &error), MV_OK);
    ck_assert(mv_history_is_one(path));
    ck_assert_int_eq(mv_history_read(&h, path, &error), MV_OK);
    ck_assert_uint_eq(h.n, 1);
    ck_assert_str_eq(h.anchor, "sha256:aa");
    ck_assert_str_eq(h.points[0].key, "decode time");
    ck_assert_double_eq_tol(h.points[0].log_low, log(0.99), 1e-12);
    ck_assert_double_eq_tol(h.points[0].log_high, log(1.03), 1e-12);
    ck_assert_uint_gt(h.size, 0);
    ck_assert_int_eq(h.text[h.size - 1], '\n');
    mv_history_free(&h);
    write_text("{\"schema\":\"mistral-verify/1\"}\n\"mistral-bench-history/1\"\n");
    ck_assert(!mv_history_is_one(path));
    ck_assert_int_eq(mv_history_read(&h, path, &error), MV_ERR_FORMAT);
    ck_assert_uint_eq(h.n, 0);
    ck_assert(!mv_history_is_one("/dev/null"));
    ck_assert(!mv_history_is_one("/tmp/mv-test-none/history.jsonl"));
    ck_assert_int_eq(mv_history_read(&h, "/tmp/mv-test-none/history.jsonl", &error), MV_ERR_IO);
}
END_TEST

#define LINE(anchor, ratio)                                                                        \
    "{\"schema\":\"mistral-bench-history/1\",\"date_utc\":\"d\",\"commit\":\"c\",\"key\":\"k\","   \
    "\"anchor\":\"" anchor "\",\"ratio\":" ratio "}"

START_TEST(a_damaged_line_is_refused_with_its_number)
{
    static const struct {
        const char *text, *message;
    } table[] = {
        {"nothing\n", "line 1: expected an object"},
        {LINE("sha256:aa", "1") "\n{}\n", "line 2: expected an object"},
        {LINE("sha256:aa", "1") "\n\n", "line 2: expected an object"},
        {LINE("sha256:aa", "1"), "line 1: expected a whole line"},
        {LINE("sha256:aa", "0") "\n", "line 1: expected an object"},
        {LINE("sha256:aa", "\"1\"") "\n", "line 1: expected an object"},
        {LINE("sha256:aa", "1") "\n" LINE("sha256:bb", "1") "\n", "line 2: expected the anchor"},
        {"[1]\n", "line 1: expected an object"},
    };
    size_t n_added;
    write_text(table[_i].text);
    ck_assert_int_eq(mv_history_append(path, &results, &builds, &n_added, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, table[_i].message) != NULL, "%s", error.message);
    ck_assert_ptr_nonnull(strstr(error.message, path));
}
END_TEST

START_TEST(two_programs_at_once_leave_whole_lines)
{
    enum { N = 20 };
    char text[65536];
    size_t n_added, n_lines = 0;
    const pid_t other = fork();
    ck_assert_int_ge(other, 0);
    for (int i = 0; i < N; i++) {
        const mv_code code = mv_history_append(path, &results, &builds, &n_added, &error);
        if (other == 0 && code != MV_OK)
            _exit(1);
        ck_assert_int_eq(code, MV_OK);
    }
    if (other == 0)
        _exit(0);
    int status = 1;
    ck_assert_int_eq(waitpid(other, &status, 0), other);
    ck_assert_int_eq(status, 0);
    (void)read_text(text, sizeof text);
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        n_lines++;
    ck_assert_uint_eq(n_lines, 2 * N);
    ck_assert_int_eq(mv_history_check(path, &builds, &error), MV_OK);
}
END_TEST

START_TEST(a_folder_is_no_history)
{
    ck_assert_int_ne(mv_history_check("/tmp", &builds, &error), MV_OK);
    ck_assert_int_eq(mv_history_check("/nowhere/h.jsonl", &builds, &error), MV_OK);
    size_t n_added;
    ck_assert_int_eq(mv_history_append("/nowhere/h.jsonl", &results, &builds, &n_added, &error),
                     MV_ERR_IO);
}
END_TEST

/* ---- change points ---- */

static double values[MV_HISTORY_MAX_POINTS];

/* Noise of about 1 %, the same in each run. */
static void fill(size_t from, size_t to, double level)
{
    uint64_t state = 12345 + from;
    for (size_t i = from; i < to; i++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            sum += (double)(state >> 40) / (double)(1u << 24) - 0.5;
        }
        values[i] = level + 0.017 * sum;
    }
}

START_TEST(noise_has_no_change_point)
{
    mv_change changes[8];
    for (size_t n = 0; n <= 200; n += 40) {
        fill(0, n, 0.1);
        ck_assert_uint_eq(mv_history_changes(changes, 8, values, n), 0);
    }
}
END_TEST

START_TEST(a_step_is_found_where_it_is)
{
    mv_change changes[8];
    fill(0, 40, 0);
    fill(40, 80, log(1.05));
    ck_assert_uint_eq(mv_history_changes(changes, 8, values, 80), 1);
    ck_assert_uint_ge(changes[0].at, 38);
    ck_assert_uint_le(changes[0].at, 42);
    ck_assert_double_eq_tol(changes[0].after - changes[0].before, log(1.05), 0.01);
}
END_TEST

START_TEST(a_step_there_and_back_is_two)
{
    mv_change changes[8];
    fill(0, 60, 0);
    fill(60, 120, 0.08);
    fill(120, 180, 0);
    ck_assert_uint_eq(mv_history_changes(changes, 8, values, 180), 2);
    ck_assert_uint_lt(changes[0].at, changes[1].at);
    ck_assert(changes[0].after > changes[0].before && changes[1].after < changes[1].before);
}
END_TEST

START_TEST(one_value_that_is_off_and_a_step_below_two_percent_are_passed_over)
{
    mv_change changes[8];
    fill(0, 80, 0);
    values[40] = 3;
    ck_assert_uint_eq(mv_history_changes(changes, 8, values, 80), 0);
    fill(0, 200, 0);
    fill(200, 400, 0.01);
    ck_assert_uint_eq(mv_history_changes(changes, 8, values, 400), 0);
}
END_TEST

static void hear(void *cookie, const char *text)
{
    (void)snprintf(cookie, 512, "%s", text);
}

START_TEST(a_change_point_is_told_with_its_line_and_commit)
{
    char said[512] = "";
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fill(0, 20, 0);
    fill(20, 40, 0.1);
    for (int i = 0; i < 40; i++)
        (void)fprintf(out,
                      "{\"schema\":\"mistral-bench-history/1\",\"date_utc\":\"day %d\",\"commit\":"
                      "\"c%d\",\"key\":\"decode\",\"anchor\":\"a\",\"ratio\":%.6f}\n",
                      i, i, exp(values[i]));
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(mv_history_tell(path, hear, said, &error), MV_OK);
    ck_assert_msg(strstr(said, "decode: changed by +10.") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "line 21 (day 20, commit c20)") != NULL, "%s", said);
}
END_TEST

static Suite *history_suite(void)
{
    Suite *suite = suite_create("history");
    TCase *tcase = tcase_create("history");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, each_run_appends_one_line_for_each_time);
    tcase_add_test(tcase, a_history_is_read_with_its_intervals_and_its_lines);
    tcase_add_test(tcase, another_anchor_is_refused_and_nothing_is_written);
    tcase_add_loop_test(tcase, a_damaged_line_is_refused_with_its_number, 0, 8);
    tcase_add_test(tcase, two_programs_at_once_leave_whole_lines);
    tcase_add_test(tcase, a_folder_is_no_history);
    tcase_add_test(tcase, noise_has_no_change_point);
    tcase_add_test(tcase, a_step_is_found_where_it_is);
    tcase_add_test(tcase, a_step_there_and_back_is_two);
    tcase_add_test(tcase, one_value_that_is_off_and_a_step_below_two_percent_are_passed_over);
    tcase_add_test(tcase, a_change_point_is_told_with_its_line_and_commit);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(history_suite)
