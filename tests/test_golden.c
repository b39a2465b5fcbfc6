/* Golden files: what comes back, of which model it is, what is recorded and trimmed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/golden_fixture.h"
#include "tests/test_main.h"

static mv_error error;
static const char *folder, *path, *other;
static mv_model *model;
static mv_golden *golden;

static void set_up(void)
{
    fixture_set_up();
    folder = fixture.folder;
    path = fixture.path;
    other = fixture.other;
    model = fixture.model;
    golden = fixture.golden;
}

/* ---- writing and reading ---- */

static void same_case(const mv_golden_case *a, const mv_golden_case *b, size_t vocab_size)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->window, b->window);
    ck_assert_int_eq(a->chunk, b->chunk);
    ck_assert_int_eq(a->seed, b->seed);
    ck_assert_int_eq(a->sketch_seed, b->sketch_seed);
    ck_assert_uint_eq(a->n_tokens, b->n_tokens);
    ck_assert_uint_eq(a->n_positions, b->n_positions);
    ck_assert_uint_eq(a->n_top, b->n_top);
    const size_t n = a->n_tokens, m = a->n_positions;
    ck_assert_mem_eq(a->tokens, b->tokens, n * sizeof *a->tokens);
    ck_assert_mem_eq(a->positions, b->positions, m * sizeof *a->positions);
    ck_assert_mem_eq(a->oracle, b->oracle, m * vocab_size * sizeof *a->oracle);
    ck_assert_mem_eq(a->sketch, b->sketch, n * MV_SKETCH_SIZE * sizeof *a->sketch);
    ck_assert_mem_eq(a->top_ids, b->top_ids, n * a->n_top * sizeof *a->top_ids);
    ck_assert_mem_eq(a->top_values, b->top_values, n * a->n_top * sizeof *a->top_values);
    ck_assert_mem_eq(a->lse, b->lse, n * sizeof *a->lse);
}

START_TEST(gives_back_what_was_written)
{
    mv_golden *read = fixture_accepted(path);
    ck_assert_mem_eq(&read->params, &golden->params, sizeof read->params);
    ck_assert_str_eq(read->model_spec, FIXTURE_MODEL);
    ck_assert_str_eq(read->tokenizer_sha256, "");
    ck_assert_uint_eq(read->n_weights, 3 + 2 * 9);
    ck_assert_mem_eq(read->weights, golden->weights, read->n_weights * sizeof *read->weights);
    ck_assert_str_eq(mv_environment_get(&read->provenance, "made_by"), "a test");
    ck_assert_uint_eq(read->n_cases, 2);
    for (size_t i = 0; i < 2; i++)
        same_case(&read->cases[i], &golden->cases[i], golden->params.vocab_size);
    mv_golden_close(&read);
}
END_TEST

START_TEST(keeps_both_sides_of_every_edge)
{
    /* 0, around the chunk of 7 and the window of 8, the one asked for, the last. */
    static const int64_t windowed[] = {0, 6, 7, 8, 9, 20, 29}, plain[] = {0, 6, 7, 8, 20, 29};
    ck_assert_uint_eq(golden->cases[0].n_positions, 7);
    ck_assert_mem_eq(golden->cases[0].positions, windowed, sizeof windowed);
    ck_assert_uint_eq(golden->cases[1].n_positions, 6);
    ck_assert_mem_eq(golden->cases[1].positions, plain, sizeof plain);
}
END_TEST

static void same_bytes(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = fixture_read(a, &n), *y = fixture_read(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(x, y, n);
    free(x);
    free(y);
}

START_TEST(writes_the_same_bytes_twice)
{
    mv_golden *again = fixture_golden(model);
    ck_assert_int_eq(mv_golden_write(again, other, &error), MV_OK);
    same_bytes(path, other);
    mv_golden_close(&again);
    again = fixture_accepted(path); /* and what was read, as it was */
    ck_assert_int_eq(mv_golden_write(again, other, &error), MV_OK);
    mv_golden_close(&again);
    mv_golden *x = fixture_accepted(path), *y = fixture_accepted(other);
    ck_assert_str_eq(x->merkle_root, y->merkle_root);
    mv_golden_close(&x);
    mv_golden_close(&y);
}
END_TEST

START_TEST(leaves_no_file_behind_when_it_cannot_write)
{
    char bad[600];
    struct stat info;
    snprintf(bad, sizeof bad, "%s/nowhere/golden.h5", folder);
    ck_assert_int_eq(mv_golden_write(golden, bad, &error), MV_ERR_IO);
    ck_assert_msg(strstr(error.message, bad) != NULL, "%s", error.message);
    ck_assert_int_eq(mv_golden_write(golden, folder, &error), MV_ERR_IO);

    golden->cases[1].oracle[3] = NAN; /* no reader would take it */
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "/cases/0001/logits/oracle: row 0 is not finite") != NULL,
                  "%s", error.message);
    ck_assert_int_ne(stat(other, &info), 0);
}
END_TEST

START_TEST(replaces_an_old_file_whole)
{
    fixture_write(other, "old", 3);
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_OK);
    same_bytes(path, other);
}
END_TEST

/* ---- the model ---- */

static void not_of(const char *spec, const char *what, const char *more)
{
    mv_model *another = fixture_model(spec);
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(another), &error),
                     MV_ERR_FORMAT);
    ck_assert_msg(strncmp(error.message, "g.h5: /model", 12) == 0, "%s", error.message);
    ck_assert_msg(strstr(error.message, what) != NULL, "no '%s': %s", what, error.message);
    ck_assert_msg(strstr(error.message, more) != NULL, "no '%s': %s", more, error.message);
    mv_model_close(&another);
}

START_TEST(tells_another_model_by_its_params_and_by_each_weight)
{
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(model), &error), MV_OK);
    not_of(FIXTURE_MODEL ",vocab_size=68", "/model@vocab_size", "67 there and 68");
    not_of(FIXTURE_MODEL ",rope_theta=1e6", "/model@rope_theta", "10000 there and 1000000");
    not_of(FIXTURE_MODEL ",norm_eps=1e-6", "/model@norm_eps", "1e-05 there and");
    not_of(FIXTURE_MODEL ",n_layers=3", "/model@n_layers", "2 there and 3");
    not_of(FIXTURE_MODEL ",seed=2", "sha256 of tok_embeddings.weight", "/model/weights");

    mv_model *same = fixture_model(FIXTURE_MODEL ",sliding_window=5"); /* each case has its own */
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(same), &error), MV_OK);
    mv_model_close(&same);

    mv_model_view view = *mv_model_get_view(model); /* one bit of the last tensor */
    unsigned char *copy = malloc(view.output.size_bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, view.output.data, view.output.size_bytes);
    copy[view.output.size_bytes - 1] ^= 1;
    view.output.data = copy;
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", &view, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, "output.weight") != NULL, "%s", error.message);
    free(copy);
}
END_TEST

static void free_paths(char **paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
}

START_TEST(finds_the_goldens_of_a_model_and_no_damaged_one)
{
    char **paths = NULL;
    size_t n = 9;
    mv_model *another = fixture_model(FIXTURE_MODEL ",seed=2");
    ck_assert_int_eq(setenv("MISTRAL_GOLDEN_DIR", folder, 1), 0);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(model), &paths, &n, &error), MV_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(paths[0], path);
    free_paths(paths, n);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(another), &paths, &n, &error), MV_OK);
    ck_assert_uint_eq(n, 0);
    free_paths(paths, n);
    fixture_write(other, "rubbish", 7);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(model), &paths, &n, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, other) != NULL, "%s", error.message);
    mv_model_close(&another);
}
END_TEST

/* ---- recording and trimming ---- */

START_TEST(refuses_a_plan_that_cannot_be_run)
{
    const int32_t good[] = {1, 2, 3}, bad[] = {1, 67};
    const mv_model_view *view = mv_model_get_view(model);
    mv_backend no_taps = *fixture_reference();
    mv_golden_plan plan = {.name = "x", .tokens = bad, .n_tokens = 2};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "token 1 is 67") != NULL, "%s", error.message);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 0};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 3, .window = -1};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 3};
    no_taps.set_tap = NULL;
    ck_assert_int_eq(mv_golden_record(golden, &no_taps, view, &plan, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "no taps") != NULL, "%s", error.message);
    ck_assert_uint_eq(golden->n_cases, 2);
}
END_TEST

START_TEST(trims_to_the_rows_asked_for_and_those_that_must_stay)
{
    const mv_range none = {.n = 0}, absent = {.values = {15}, .n = 1};
    const double kept = golden->cases[0].oracle[6 * 67 + 11]; /* position 29, behind 20 */
    ck_assert_int_eq(mv_golden_trim(golden, &absent, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "position 15") != NULL, "%s", error.message);
    ck_assert_uint_eq(golden->cases[0].n_positions, 7);
    ck_assert_int_eq(mv_golden_trim(golden, &none, &error), MV_OK);
    ck_assert_uint_eq(golden->cases[0].n_positions, 6);
    ck_assert_int_eq(golden->cases[0].positions[5], 29);
    ck_assert_double_eq(golden->cases[0].oracle[5 * 67 + 11], kept);
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_OK);
    mv_golden *read = fixture_accepted(other);
    same_case(&read->cases[0], &golden->cases[0], 67);
    mv_golden_close(&read);
}
END_TEST

static Suite *golden_suite(void)
{
    Suite *suite = suite_create("golden");
    TCase *tests = tcase_create("golden");
    tcase_add_checked_fixture(tests, set_up, fixture_tear_down);
    tcase_set_timeout(tests, 110);
    tcase_add_test(tests, gives_back_what_was_written);
    tcase_add_test(tests, keeps_both_sides_of_every_edge);
    tcase_add_test(tests, writes_the_same_bytes_twice);
    tcase_add_test(tests, leaves_no_file_behind_when_it_cannot_write);
    tcase_add_test(tests, replaces_an_old_file_whole);
    tcase_add_test(tests, tells_another_model_by_its_params_and_by_each_weight);
    tcase_add_test(tests, finds_the_goldens_of_a_model_and_no_damaged_one);
    tcase_add_test(tests, refuses_a_plan_that_cannot_be_run);
    tcase_add_test(tests, trims_to_the_rows_asked_for_and_those_that_must_stay);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(golden_suite)
