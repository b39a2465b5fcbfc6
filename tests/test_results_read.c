#include "tests/test_main.h"

#include <string.h>
#include <unistd.h>

#include "harness/results_read.h"
#include "reports/parts.h"
#include "tests/page_samples.h"
#include "tests/report_samples.h"

static char path[] = "/tmp/mv-test-results-XXXXXX";
static mv_results_file file;
static mv_bytes first, second;
static mv_error error;
static const mv_report_style plain = {.verbose = false};

static void set_up(void)
{
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void tear_down(void)
{
    unlink(path);
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    mv_results_file_free(&file);
    mv_bytes_free(&first);
    mv_bytes_free(&second);
}

static mv_code read_text(const char *text)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
    mv_results_file_free(&file);
    memset(&file, 0, sizeof file);
    return mv_results_file_read(&file, path, &error);
}

/* ---- there and back ---- */

static void make_verify(int which, mv_verify_results *results)
{
    if (which == 0) {
        mv_sample_mixed(results);
    } else if (which == 1) {
        mv_sample_passing(results);
    } else if (which == 2) {
        mv_sample_hostile(results, "a \"quote\", </script> and \xE2\x82\xAC");
    } else if (which == 3) {
        mv_sample_deep(results, 2);
    } else {
        mv_verify_results_init(results);
    }
}

START_TEST(a_verification_is_the_same_after_it_was_written_and_read)
{
    mv_verify_results results;
    make_verify(_i, &results);
    mv_json_write_verify(&first, &results, &plain);
    mv_verify_results_free(&results);
    ck_assert_msg(read_text(first.data) == MV_OK, "%s", error.message);
    ck_assert(!file.is_bench);
    mv_json_write_verify(&second, &file.verify, &plain);
    ck_assert_str_eq(second.data, first.data);
}
END_TEST

START_TEST(times_are_the_same_after_they_were_written_and_read)
{
    mv_bench_results results;
    if (_i == 0) {
        mv_sample_bench(&results);
    } else {
        mv_sample_bench_hostile(&results, "a \"quote\", </script> and \xE2\x82\xAC");
    }
    mv_json_write_bench(&first, &results, &plain);
    mv_bench_results_free(&results);
    ck_assert_msg(read_text(first.data) == MV_OK, "%s", error.message);
    ck_assert(file.is_bench);
    mv_json_write_bench(&second, &file.bench, &plain);
    ck_assert_str_eq(second.data, first.data);
}
END_TEST

START_TEST(text_that_is_too_long_is_cut_between_characters)
{
    char text[600] = "";
    for (int i = 0; i < 150; i++) {
        strcat(text, "\xE2\x82\xAC");
    }
    mv_verify_results results;
    mv_sample_passing(&results);
    mv_json_write_verify(&first, &results, &plain);
    mv_verify_results_free(&results);
    char *long_text = NULL;
    const char *at = strstr(first.data, "synthetic:probe");
    ck_assert_int_gt(asprintf(&long_text, "%.*s%s%s", (int)(at - first.data), first.data, text,
                              at + strlen("synthetic:probe")),
                     0);
    ck_assert_msg(read_text(long_text) == MV_OK, "%s", error.message);
    ck_assert_uint_eq(strlen(file.verify.model_spec), 255 / 3 * 3);
    free(long_text);
}
END_TEST

/* ---- refusals ---- */

/* The sample with one piece replaced. Returns yours: free(). */
static char *spoil(const char *text, const char *old, const char *new)
{
    char *spoiled = NULL;
    const char *at = strstr(text, old);
    ck_assert_msg(at != NULL, "the sample has no %s", old);
    ck_assert_int_gt(asprintf(&spoiled, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)),
                     0);
    return spoiled;
}

START_TEST(refuses_a_bad_verification_with_place_and_reason)
{
    static const struct {
        const char *old, *new, *words;
    } table[] = {
        {"mistral-verify/1", "mistral-verify/2", ": schema: expected \"mistral-verify/1\" or"},
        {"\"schema\": \"mistral-verify/1\"", "\"schema\": 1", "found 1"},
        {"\"tool\": {", "\"tool\": [], \"x\": {", "tool: expected an object, found []"},
        {"\"version\": \"0.1.0\"", "\"version\": 5", "tool.version: expected text, found 5"},
        {"\"cores\": \"2\"", "\"cores\": 2", "environment.cores: expected text, found 2"},
        {"\"dim\": 64", "\"dim\": 0", "model.params.dim: expected an integer from 1 to 4294967295"},
        {"\"n_layers\": 4, ", "", "model.params.n_layers: expected an integer from 1"},
        {"\"norm_eps\": 1e-05", "\"norm_eps\": \"small\"", "norm_eps: expected a number, \"nan\""},
        {"\"weights_sha256\": \"aaaa", "\"weights_sha256\": \"aaag", "64 hexadecimal digits"},
        {"\"elapsed_s\": ", "\"elapsed_s\": -", "summary.elapsed_s: expected seconds from 0"},
        {"\"cases\": [", "\"cases\": [3, ", "cases[0].(itself): expected an object, found 3"},
        {"\"verdict\": \"pass\", \"reason\"", "\"verdict\": \"ok\", \"reason\"",
         "cases[0].verdict: expected one of pass, fail, error, vacuous, skip, found \"ok\""},
        {"\"compute\": \"f32\"", "\"compute\": \"f16\"", "cases[0].compute: expected one of f32"},
        {"\"window\": 4", "\"window\": -4", "cases[0].window: expected an integer of at least 0"},
        {"\"chunk\": 1,", "\"chunk\": 1.5,", "cases[0].chunk: expected an integer"},
        {"\"seed\": 1,", "\"seed\": \"x\",", "cases[0].seed: expected a whole number of 64 bits"},
        {"\"seed\": 1,", "\"seed\": -1,", "cases[0].seed: expected an integer of at least 0"},
        {"\"positions\": 64", "\"positions\": null", "cases[0].positions: expected an integer"},
        {"\"r_rmse\": 1,", "\"r_rmse\": true,", "cases[0].r_rmse: expected a number"},
        {"\"limits\": {", "\"limits\": [], \"x\": {", "cases[0].limits: expected an object"},
        {"\"layer\": 0, \"op\": \"q\"", "\"layer\": -1, \"op\": \"q\"",
         "divergence_profile.ops[2].layer: expected an integer from 0 to 3, found -1"},
        {"\"layer\": 3, \"op\": \"q\"", "\"layer\": 4, \"op\": \"q\"", "from 0 to 3, found 4"},
        {"\"op\": \"embedding\"", "\"op\": 3", "cases[12].divergence_profile.ops[0].op: expected"},
        {"\"times_limit\": 41.2", "\"times_limit\": -41.2", "a number of at least 0, or \"inf\""},
        {"\"times_limit\": 41.2", "\"times_limit\": \"nan\"", "times_limit: expected a number of"},
        {"\"times_limit\": 41.2", "\"times_limit\": NaN", "not valid JSON"},
        {"\"times_limit\": 41.2", "\"limit\": 41.2", "times_limit: expected a number"},
        {"{\"op\": \"embedding\"", "3, {\"op\": \"embedding\"", "ops[0].op: expected text"},
        {"\"divergence_profile\": {", "\"divergence_profile\": [], \"x\": {",
         "cases[12].divergence_profile: expected an object, found []"},
        {"\"layers\": 4,", "\"layers\": 0,", "layers: expected an integer from 1 to 1048576"},
        {"\"layers\": 4,", "\"layers\": 5,", "rows: expected a list of 5, not of 4"},
        {"\"layers\": 4,", "\"layers\": 1000000,",
         "layers_per_row: expected at least 15625, found 1"},
        {"\"layers_per_row\": 1,", "\"layers_per_row\": 9,", "layers_per_row: expected an integer"},
        {"\"positions_per_bin\": 1,", "", "positions_per_bin: expected an integer from 1 to 64"},
        {"\"positions\": 64, \"positions_per",
         "\"positions\": 9223372036854775807, \"positions_per",
         "divergence_profile.positions: expected an integer from 1 to"},
        {"\"rows\": [[", "\"rows\": [[0, ", "rows[0]: expected a list of 64, not of 65"},
        {"\"rows\": [[", "\"rows\": [3, [", "rows: expected a list of 4, not of 5"},
        {"\"rows\": [[0.2", "\"rows\": [[null", "rows[0]: expected numbers of at least 0"},
        {"\"outside\": [0.6", "\"outside\": [\"-inf\"", "outside: expected numbers of at least 0"},
        {"\"outside\": [0.6", "\"outside\": [true", "outside: expected numbers of at least 0"},
        {"\"outside\": [", "\"inside\": [", "outside: expected a list, found nothing"},
        {"\"killed_by\": [\"window\"", "\"killed_by\": [1",
         "self_test.mutants[0].killed_by: expected"},
        {"\"equivalent\": false", "\"equivalent\": 0",
         "self_test.mutants[0].equivalent: expected true"},
        {"\"false_alarms\": 0", "\"false_alarms\": 41",
         "false_alarms: expected an integer from 0 to 40"},
        {"\"verdict\": \"error\",\n", "\"verdict\": \"pass\",\n",
         "verdict: expected \"error\", which is what its cases say, found \"pass\""},
        {"{\n", "{\n  \"schema\": \"mistral-verify/1\",\n", "not valid JSON: line 3"},
        {"\"tool\"", "\"tool\" \"", "not valid JSON"},
    };
    mv_verify_results results;
    mv_sample_mixed(&results);
    mv_json_write_verify(&first, &results, &plain);
    mv_verify_results_free(&results);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *text = spoil(first.data, table[i].old, table[i].new);
        ck_assert_msg(read_text(text) == MV_ERR_FORMAT, "accepted: %s", table[i].new);
        ck_assert_msg(strstr(error.message, table[i].words) != NULL, "%s\nlacks: %s", error.message,
                      table[i].words);
        ck_assert_msg(strncmp(error.message, path, strlen(path)) == 0, "%s", error.message);
        ck_assert_uint_eq(file.verify.n_cases + file.verify.n_mutants, 0);
        free(text);
    }
}
END_TEST

START_TEST(refuses_a_profile_with_more_operations_than_any_model_has)
{
    mv_verify_results results;
    mv_sample_mixed(&results);
    mv_json_write_verify(&first, &results, &plain);
    mv_verify_results_free(&results);
    char *many = calloc(1, 40 * (MV_DIVERGENCE_MAX_STEPS + 2));
    ck_assert_ptr_nonnull(many);
    strcpy(many, "\"ops\": [");
    for (char *at = many + strlen(many); at < many + 36 * MV_DIVERGENCE_MAX_STEPS;) {
        at = stpcpy(at, "{\"op\":\"q\",\"times_limit\":0},");
    }
    char *text = spoil(first.data, "\"ops\": [", many);
    ck_assert_int_eq(read_text(text), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "divergence_profile.ops: expected at most 1024"));
    ck_assert_ptr_null(strchr(error.message, '\n'));
    free(text);
    free(many);
}
END_TEST

START_TEST(refuses_bad_times_with_place_and_reason)
{
    static const struct {
        const char *old, *new, *words;
    } table[] = {
        {"\"phase\": \"prefill\"", "\"phase\": \"warm\"", "runs[0].phase: expected one of prefill"},
        {"\"batch\": 1", "\"batch\": 0",
         "runs[0].batch: expected an integer of at least 1, found 0"},
        {"\"samples_ns\": [", "\"samples_ns\": [-1, ",
         "runs[0].samples_ns: expected a list of times"},
        {"\"ci95\": [", "\"ci95\": [1, ", "runs[0].ci95: expected a list of two numbers"},
        {"\"checked\": true", "\"checked\": \"yes\"", "runs[0].checked: expected true or false"},
        {"\"runs\": [", "\"runs\": [[], ", "runs[0].backend: expected text, found nothing"},
        {"\"working_set_bytes\": ", "\"working_set_bytes\": -",
         "ceilings.reads[0].working_set_bytes"},
        {"\"verdict\": \"faster\"", "\"verdict\": \"better\"",
         "comparison[0].verdict: expected one of"},
        {"\"holds\": true", "\"holds\": 1", "claims[0].holds: expected true or false, found 1"},
        {"\"total_ns\": 3000000", "\"total_ns\": 0", "runs[0].total_ns: expected an integer of at"},
        {"\"ns_median\": 3000", "\"ns_median\": -3",
         "runs[0].ns_median: expected an integer of at"},
        {"\"op\": \"embedding\"", "\"op\": 1", "runs[0].op: expected text, found 1"},
    };
    mv_bench_results results;
    mv_sample_bench(&results);
    mv_json_write_bench(&first, &results, &plain);
    mv_bench_results_free(&results);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *text = spoil(first.data, table[i].old, table[i].new);
        ck_assert_msg(read_text(text) == MV_ERR_FORMAT, "accepted: %s", table[i].new);
        ck_assert_msg(strstr(error.message, table[i].words) != NULL, "%s\nlacks: %s", error.message,
                      table[i].words);
        ck_assert_uint_eq(file.bench.n_runs + file.bench.n_comparisons, 0);
        free(text);
    }
}
END_TEST

START_TEST(refuses_a_file_that_is_cut_anywhere)
{
    mv_verify_results results;
    mv_sample_passing(&results);
    mv_json_write_verify(&first, &results, &plain);
    mv_verify_results_free(&results);
    for (size_t size = 0; size + 2 < first.size; size += 97) {
        char *text = strndup(first.data, size);
        ck_assert_int_eq(read_text(text), MV_ERR_FORMAT);
        free(text);
    }
}
END_TEST

START_TEST(a_file_that_is_not_there_is_an_error_of_reading)
{
    ck_assert_int_eq(mv_results_file_read(&file, "/nowhere/r.json", &error), MV_ERR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "/nowhere/r.json: cannot be opened"));
    ck_assert_int_eq(mv_results_file_read(&file, "/tmp", &error), MV_ERR_IO);
}
END_TEST

static Suite *results_read_suite(void)
{
    Suite *suite = suite_create("results_read");
    TCase *tcase = tcase_create("results_read");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_verification_is_the_same_after_it_was_written_and_read, 0, 5);
    tcase_add_loop_test(tcase, times_are_the_same_after_they_were_written_and_read, 0, 2);
    tcase_add_test(tcase, text_that_is_too_long_is_cut_between_characters);
    tcase_add_test(tcase, refuses_a_bad_verification_with_place_and_reason);
    tcase_add_test(tcase, refuses_a_profile_with_more_operations_than_any_model_has);
    tcase_add_test(tcase, refuses_bad_times_with_place_and_reason);
    tcase_add_test(tcase, refuses_a_file_that_is_cut_anywhere);
    tcase_add_test(tcase, a_file_that_is_not_there_is_an_error_of_reading);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(results_read_suite)
