#include "harness/generate.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/model.h"
#include "harness/synthetic.h"
#include "tests/test_main.h"
#include "tests/test_models.h"

enum { N_PROMPTS = 5, N_NEW = 20, MAX_POSITIONS = 64, VOCAB = 509 };

/* Around the window, which is 8, and the same engine for all. */
static const size_t lengths[N_PROMPTS] = {1, 5, 8, 9, 23};
static int32_t prompt_tokens[N_PROMPTS][MAX_POSITIONS];
static mv_model *model;
static const mv_backend *backend;

static mv_engine *open_engine(uint32_t n_sequences)
{
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = MV_COMPUTE_F64,
                                       .n_threads = 1,
                                       .max_sequences = n_sequences,
                                       .max_positions = MAX_POSITIONS,
                                       .max_batch_tokens = n_sequences * MAX_POSITIONS};
    mv_engine *engine = NULL;
    mv_error error = {0};
    mv_code code = backend->open(&engine, mv_model_get_view(model), &options, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return engine;
}

static void set_up(void)
{
    mv_error error = {0};
    ck_assert_msg(mv_model_open(&model, "synthetic:probe", &error) == MV_OK, "%s", error.message);
    ck_assert_msg(mv_backend_load(&backend, "reference", NULL, 0, &error) == MV_OK, "%s",
                  error.message);
    for (size_t i = 0; i < N_PROMPTS; i++)
        mv_synthetic_tokens(prompt_tokens[i], MAX_POSITIONS, VOCAB, 100 + i);
}

static void tear_down(void)
{
    mv_model_close(&model);
}

static mv_prompt_in prompt_of(size_t i)
{
    return (mv_prompt_in){.tokens = prompt_tokens[i], .n_tokens = lengths[i], .stream = i};
}

static mv_generate_options usual(double temperature)
{
    return (mv_generate_options){.max_tokens = N_NEW,
                                 .chunk = MAX_POSITIONS,
                                 .sampler = {temperature, 0.9, 11},
                                 .eos = -1,
                                 .prompt_log_probs = true};
}

/* One prompt on an engine of its own. */
static mv_generated alone(const mv_prompt_in *prompt, const mv_generate_options *options)
{
    mv_engine *engine = open_engine(1);
    mv_generated g;
    mv_error error = {0};
    mv_code code = mv_generate(backend, engine, VOCAB, prompt, 1, options, &g, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    backend->close(engine);
    return g;
}

/* Logits are rounded to float32 on their way out. */
static void check_near(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= 5e-6, "%zu: %.9f, %.9f", i, a[i], b[i]);
}

static void check_same(const mv_generated *a, const mv_generated *b)
{
    ck_assert_uint_eq(a->n_tokens, b->n_tokens);
    ck_assert_mem_eq(a->tokens, b->tokens, a->n_tokens * sizeof *a->tokens);
    check_near(a->log_probs, b->log_probs, a->n_tokens);
    ck_assert_uint_eq(a->n_prompt_log_probs, b->n_prompt_log_probs);
    check_near(a->prompt_log_probs, b->prompt_log_probs, a->n_prompt_log_probs);
    ck_assert_uint_eq(a->n_seen, b->n_seen);
}

/* _i: greedy or sampled, and two chunks: one that gives prompts different numbers of calls. */
START_TEST(gives_each_prompt_of_a_batch_what_it_gives_alone)
{
    mv_generate_options options = usual(_i % 2 == 0 ? 0.0 : 1.0);
    mv_prompt_in prompts[N_PROMPTS];
    mv_generated batch[N_PROMPTS];
    mv_engine *engine = open_engine(N_PROMPTS);
    mv_error error = {0};
    options.chunk = _i < 2 ? MAX_POSITIONS : 3;
    for (size_t i = 0; i < N_PROMPTS; i++)
        prompts[i] = prompt_of(i);
    mv_code code = mv_generate(backend, engine, VOCAB, prompts, N_PROMPTS, &options, batch, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    for (size_t i = 0; i < N_PROMPTS; i++) {
        mv_generated one = alone(&prompts[i], &options);
        ck_assert_uint_eq(one.n_tokens, N_NEW);
        ck_assert_uint_eq(one.n_prompt_log_probs, lengths[i] - 1);
        ck_assert_uint_eq(one.n_seen, lengths[i] + N_NEW - 1);
        check_same(&batch[i], &one);
        mv_generated_free(&one, 1);
    }
    backend->close(engine);
    mv_generated_free(batch, N_PROMPTS);
    ck_assert_ptr_null(batch[0].tokens);
}
END_TEST

static const uint32_t chunks[] = {1, 2, 3, 7, 8, 9, 22, 23, 24};

START_TEST(gives_the_same_in_chunks_as_in_one_piece)
{
    mv_generate_options options = usual(1.0);
    const mv_prompt_in prompt = prompt_of(4);
    mv_generated whole = alone(&prompt, &options);
    options.chunk = chunks[_i];
    mv_generated pieces = alone(&prompt, &options);
    check_same(&pieces, &whole);
    mv_generated_free(&whole, 1);
    mv_generated_free(&pieces, 1);
}
END_TEST

/* The seed's own test: what was generated, fed again as a prompt, has the same log-probabilities.
 */
START_TEST(scores_what_it_generated_as_it_generated_it)
{
    mv_generate_options options = usual(1.0);
    mv_prompt_in prompt = prompt_of(1);
    int32_t all[MAX_POSITIONS];
    mv_generated first = alone(&prompt, &options);
    memcpy(all, prompt.tokens, prompt.n_tokens * sizeof *all);
    memcpy(all + prompt.n_tokens, first.tokens, N_NEW * sizeof *all);
    const mv_prompt_in again = {.tokens = all, .n_tokens = prompt.n_tokens + N_NEW};
    options.max_tokens = 0;
    mv_generated second = alone(&again, &options);
    ck_assert_uint_eq(second.n_tokens, 0);
    ck_assert_uint_eq(second.n_prompt_log_probs, prompt.n_tokens + N_NEW - 1);
    check_near(first.prompt_log_probs, second.prompt_log_probs, prompt.n_tokens - 1);
    check_near(first.log_probs, second.prompt_log_probs + prompt.n_tokens - 1, N_NEW);
    mv_generated_free(&first, 1);
    mv_generated_free(&second, 1);
}
END_TEST

START_TEST(goes_on_with_a_conversation_where_it_was)
{
    mv_generate_options options = usual(0.0);
    mv_engine *engine = open_engine(1);
    mv_error error = {0};
    mv_prompt_in turn = prompt_of(3);
    mv_generated first, second;
    int32_t next[1 + 6], all[MAX_POSITIONS];
    options.max_tokens = 4;
    ck_assert_int_eq(mv_generate(backend, engine, VOCAB, &turn, 1, &options, &first, &error),
                     MV_OK);
    next[0] = first.tokens[3]; /* the engine has not seen it */
    memcpy(next + 1, prompt_tokens[0], 6 * sizeof *next);
    turn = (mv_prompt_in){.tokens = next, .n_tokens = 7, .n_seen = first.n_seen, .stream = 3};
    ck_assert_int_eq(mv_generate(backend, engine, VOCAB, &turn, 1, &options, &second, &error),
                     MV_OK);
    memcpy(all, prompt_tokens[3], 9 * sizeof *all);
    memcpy(all + 9, first.tokens, 4 * sizeof *all);
    memcpy(all + 13, prompt_tokens[0], 6 * sizeof *all);
    const mv_prompt_in whole = {.tokens = all, .n_tokens = 19, .stream = 3};
    mv_generated expected = alone(&whole, &options);
    ck_assert_mem_eq(second.tokens, expected.tokens, 4 * sizeof *all);
    check_near(second.log_probs, expected.log_probs, 4);
    ck_assert_uint_eq(second.n_seen, expected.n_seen);
    backend->close(engine);
    mv_generated_free(&first, 1);
    mv_generated_free(&second, 1);
    mv_generated_free(&expected, 1);
}
END_TEST

START_TEST(stops_at_the_end_of_text_and_not_when_told_not_to)
{
    mv_generate_options options = usual(0.0);
    const mv_prompt_in prompt = prompt_of(2);
    mv_generated all = alone(&prompt, &options);
    size_t first = 0;
    options.eos = all.tokens[6];
    while (all.tokens[first] != options.eos)
        first++;
    mv_generated some = alone(&prompt, &options);
    ck_assert_uint_eq(some.n_tokens, first + 1);
    ck_assert_mem_eq(some.tokens, all.tokens, (first + 1) * sizeof *all.tokens);
    ck_assert(!some.stopped);
    mv_generated_free(&all, 1);
    mv_generated_free(&some, 1);
}
END_TEST

static bool stop_second(void *cookie, size_t prompt, int32_t token, double log_prob)
{
    int *n = cookie;
    (void)token;
    ck_assert(log_prob <= 0.0);
    return prompt != 1 || ++*n < 3;
}

static bool stop_fourth_call(void *cookie)
{
    return ++*(int *)cookie < 4;
}

START_TEST(stops_one_answer_or_all_when_asked)
{
    mv_generate_options options = usual(0.0);
    const mv_prompt_in prompts[] = {prompt_of(0), prompt_of(1)};
    mv_engine *engine = open_engine(2);
    mv_generated g[2];
    mv_error error = {0};
    int n = 0;
    options.on_token = stop_second;
    options.cookie = &n;
    ck_assert_int_eq(mv_generate(backend, engine, VOCAB, prompts, 2, &options, g, &error), MV_OK);
    ck_assert_uint_eq(g[0].n_tokens, N_NEW);
    ck_assert_uint_eq(g[1].n_tokens, 3);
    ck_assert(g[1].stopped && !g[0].stopped);
    mv_generated_free(g, 2);
    options.on_token = NULL;
    options.go_on = stop_fourth_call;
    n = 0;
    ck_assert_int_eq(mv_generate(backend, engine, VOCAB, prompts, 2, &options, g, &error), MV_OK);
    ck_assert_uint_eq(g[0].n_tokens, 3);
    ck_assert(g[0].stopped && g[1].stopped);
    mv_generated_free(g, 2);
    backend->close(engine);
}
END_TEST

static const int32_t too_large[] = {3, VOCAB}, negative[] = {-1};
static const struct bad_call {
    mv_prompt_in prompt;
    uint32_t chunk;
    double temperature;
    mv_code code;
    const char *fragment;
} bad_calls[] = {
    {{too_large, 0, 0, 0}, 8, 0.0, MV_ERR_ARGUMENT, "prompt 0: expected at least one token"},
    {{too_large, 2, 0, 0}, 8, 0.0, MV_ERR_ARGUMENT, "prompt 0: token 1: expected an id below"},
    {{negative, 1, 0, 0}, 8, 0.0, MV_ERR_ARGUMENT, "found -1"},
    {{too_large, 1, 0, 0}, 0, 0.0, MV_ERR_ARGUMENT, "--chunk: expected at least 1"},
    {{too_large, 1, 0, 0}, 8, NAN, MV_ERR_ARGUMENT, "--temperature"},
    {{prompt_tokens[0], MAX_POSITIONS, 0, 0}, 64, 0.0, MV_ERR_ARGUMENT, "64"},
};

START_TEST(refuses_what_cannot_be_generated)
{
    const struct bad_call *bad = &bad_calls[_i];
    mv_generate_options options = usual(bad->temperature);
    mv_engine *engine = open_engine(1);
    mv_generated g;
    mv_error error = {0};
    options.chunk = bad->chunk;
    ck_assert_int_eq(mv_generate(backend, engine, VOCAB, &bad->prompt, 1, &options, &g, &error),
                     bad->code);
    ck_assert_msg(strstr(error.message, bad->fragment) != NULL, "%s", error.message);
    mv_generated_free(&g, 1);
    backend->close(engine);
}
END_TEST

/* ---- a trained model, against Transformers ---- */

static int32_t *read_ids(const json_t *list, size_t *n)
{
    *n = json_array_size(list);
    int32_t *ids = calloc(*n + 1, sizeof *ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return ids;
}

static void check_story(const json_t *one, mv_compute compute, const mv_model *stories)
{
    size_t n_prompt, n;
    int32_t *prompt = read_ids(json_object_get(one, "prompt_tokens"), &n_prompt);
    int32_t *expected = read_ids(json_object_get(one, "tokens"), &n);
    const mv_model_view *view = mv_model_get_view(stories);
    const mv_engine_options options = {sizeof options, compute, 1,    1,   200, 200,
                                       NULL,           0,       NULL, NULL};
    const mv_prompt_in in = {.tokens = prompt, .n_tokens = n_prompt};
    mv_generate_options how = {.max_tokens = (uint32_t)n, .chunk = 3, .eos = -1};
    mv_engine *engine = NULL;
    mv_generated g;
    mv_error error = {0};
    ck_assert_int_eq(backend->open(&engine, view, &options, &error), MV_OK);
    ck_assert_int_eq(
        mv_generate(backend, engine, view->params.vocab_size, &in, 1, &how, &g, &error), MV_OK);
    ck_assert_uint_eq(g.n_tokens, n);
    for (size_t i = 0; i < n; i++) {
        const double log_prob =
            json_number_value(json_array_get(json_object_get(one, "log_probs"), i));
        ck_assert_int_eq(g.tokens[i], expected[i]);
        ck_assert_msg(fabs(g.log_probs[i] - log_prob) <= 1e-4, "%zu", i);
    }
    backend->close(engine);
    mv_generated_free(&g, 1);
    free(prompt);
    free(expected);
}

static void check_stories(const char *spec, const char *golden_path, size_t least)
{
    mv_model *stories = NULL;
    mv_error error = {0};
    ck_assert_msg(mv_model_open(&stories, spec, &error) == MV_OK, "%s", error.message);
    json_t *golden = json_load_file(golden_path, 0, NULL);
    const json_t *cases = json_object_get(golden, "cases");
    ck_assert_uint_ge(json_array_size(cases), 3);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        ck_assert_uint_ge(json_array_size(json_object_get(one, "tokens")), least);
        check_story(one, MV_COMPUTE_F32, stories);
        check_story(one, MV_COMPUTE_F64, stories);
    }
    json_decref(golden);
    mv_model_close(&stories);
}

START_TEST(tells_the_stories_that_transformers_tells)
{
    char path[600];
    if (test_model_path(path, sizeof path, "stories260k"))
        check_stories(path, MV_TEST_DATA "/stories260k_greedy.json", 60);
}
END_TEST

/* 120 tokens: beyond its window of 64. */
START_TEST(writes_with_tiny_what_transformers_writes)
{
    check_stories("tiny", MV_TEST_DATA "/tiny_greedy.json", 120);
}
END_TEST

static Suite *generate_suite(void)
{
    Suite *suite = suite_create("generate");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_loop_test(all, gives_each_prompt_of_a_batch_what_it_gives_alone, 0, 4);
    tcase_add_loop_test(all, gives_the_same_in_chunks_as_in_one_piece, 0,
                        (int)(sizeof chunks / sizeof *chunks));
    tcase_add_test(all, scores_what_it_generated_as_it_generated_it);
    tcase_add_test(all, goes_on_with_a_conversation_where_it_was);
    tcase_add_test(all, stops_at_the_end_of_text_and_not_when_told_not_to);
    tcase_add_test(all, stops_one_answer_or_all_when_asked);
    tcase_add_loop_test(all, refuses_what_cannot_be_generated, 0,
                        (int)(sizeof bad_calls / sizeof *bad_calls));
    tcase_add_test(all, tells_the_stories_that_transformers_tells);
    tcase_add_test(all, writes_with_tiny_what_transformers_writes);
    suite_add_tcase(suite, all);
    return suite;
}

MV_TEST_MAIN(generate_suite)
