/* The reference against numbers that nothing of ours made: golden/external/README.md.
 *
 * A row of logits is compared by its relative RMSE. In float64 two honest implementations differ by
 * about 1e-15, so 1e-12 leaves room for another order of sums and for nothing else.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/model.h"
#include "tests/test_main.h"
#include "tests/test_models.h"

static const double F64_BOUND = 1e-12;
static const double F32_BOUND = 1e-5;

enum { MIN_ROWS = 8 }; /* of each window; fewer means that the golden is not what it was */

static mv_error error;

/* ---- the golden ---- */

typedef struct golden {
    json_t *root;
    int32_t *tokens;
    uint32_t n_tokens;
} golden;

static golden golden_load(const char *path)
{
    json_error_t where;
    golden g = {.root = json_load_file(path, 0, &where)};
    ck_assert_msg(g.root != NULL, "%s: %s", path, where.text);
    const json_t *tokens = json_object_get(g.root, "tokens");
    g.n_tokens = (uint32_t)json_array_size(tokens);
    ck_assert_uint_eq(g.n_tokens, 300);
    g.tokens = calloc(g.n_tokens, sizeof *g.tokens);
    ck_assert_ptr_nonnull(g.tokens);
    for (uint32_t i = 0; i < g.n_tokens; ++i)
        g.tokens[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    return g;
}

static void golden_free(golden *g)
{
    free(g->tokens);
    json_decref(g->root);
}

/* The rows of one window; never empty. */
static const json_t *golden_rows(const golden *g, uint32_t window)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(g->root, "cases"), i,
                       one) if (json_integer_value(json_object_get(one, "window")) == window)
    {
        const json_t *rows = json_object_get(one, "rows");
        ck_assert_uint_ge(json_array_size(rows), MIN_ROWS);
        return rows;
    }
    ck_abort_msg("the golden has no window %u", window);
    return NULL;
}

/* ---- the reference's logits, by tap ---- */

typedef struct recorder {
    double *rows; /* [n_tokens, vocab_size] */
    uint64_t n_rows, n_cols, n_seen;
    mv_tap_dtype dtype;
} recorder;

static mv_tap_action record(void *cookie, const mv_tap *tap)
{
    recorder *into = cookie;
    if (strcmp(tap->name, "logits") != 0)
        return MV_TAP_KEEP;
    ck_assert_uint_eq(tap->n_cols, into->n_cols);
    ck_assert_int_eq(tap->dtype, into->dtype);
    ck_assert_uint_eq(tap->first_position, into->n_seen); /* each once, in order */
    ck_assert_uint_le(tap->first_position + tap->n_rows, into->n_rows);
    double *to = into->rows + tap->first_position * tap->n_cols;
    for (uint64_t i = 0; i < tap->n_rows * tap->n_cols; ++i)
        to[i] = tap->dtype == MV_TAP_F64 ? ((const double *)tap->data)[i]
                                         : (double)((const float *)tap->data)[i];
    into->n_seen += tap->n_rows;
    return MV_TAP_KEEP;
}

/* Runs the tokens in calls of chunk. What forward() returns must be what the tap showed. */
static recorder run(const mv_model *model, const golden *g, mv_compute compute, uint32_t window,
                    uint32_t chunk)
{
    const mv_backend *backend = NULL;
    mv_engine *engine = NULL;
    mv_model_view view = *mv_model_get_view(model);
    view.params.sliding_window = window;
    const uint32_t n_cols = view.params.vocab_size;
    recorder into = {.n_rows = g->n_tokens,
                     .n_cols = n_cols,
                     .dtype = compute == MV_COMPUTE_F64 ? MV_TAP_F64 : MV_TAP_F32};
    float *logits = calloc((size_t)chunk * n_cols, sizeof *logits);
    into.rows = calloc((size_t)g->n_tokens * n_cols, sizeof *into.rows);
    ck_assert(logits != NULL && into.rows != NULL);

    mv_code code = mv_backend_load(&backend, "reference", NULL, 0, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = compute,
                                       .n_threads = 1,
                                       .max_sequences = 1,
                                       .max_positions = g->n_tokens,
                                       .max_batch_tokens = chunk};
    code = backend->open(&engine, &view, &options, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert(backend->set_tap != NULL);
    ck_assert_int_eq(backend->set_tap(engine, record, &into, &error), MV_OK);
    ck_assert_int_eq(backend->reset(engine, 0, &error), MV_OK);
    for (uint32_t at = 0; at < g->n_tokens; at += chunk) {
        const uint32_t sequence = 0, n = at + chunk < g->n_tokens ? chunk : g->n_tokens - at;
        const mv_batch batch = {sizeof batch, 1, &sequence, &n, g->tokens + at};
        code = backend->forward(engine, &batch, MV_LOGITS_ALL, logits, &error);
        ck_assert_msg(code == MV_OK, "%s", error.message);
        const double *tapped = into.rows + (size_t)at * n_cols;
        size_t n_equal = 0;
        for (size_t i = 0; i < (size_t)n * n_cols; ++i)
            n_equal += logits[i] == (float)tapped[i];
        ck_assert_uint_eq(n_equal, (size_t)n * n_cols);
    }
    ck_assert_uint_eq(into.n_seen, g->n_tokens);
    backend->close(engine);
    free(logits);
    return into;
}

/* ---- comparing ---- */

static double relative_rmse(const double *row, const json_t *expected, uint64_t n_cols)
{
    double difference = 0, size = 0;
    ck_assert_uint_eq(json_array_size(expected), n_cols);
    for (uint64_t i = 0; i < n_cols; ++i) {
        const json_t *value = json_array_get(expected, i);
        double e = json_is_real(value) ? json_real_value(value) : NAN; /* which fails */
        difference += (row[i] - e) * (row[i] - e);
        size += e * e;
    }
    return sqrt(difference / size);
}

static void check_rows(const recorder *got, const json_t *rows, double bound, const char *what)
{
    size_t i;
    json_t *row;
    double worst = 0;
    json_array_foreach(rows, i, row)
    {
        uint64_t position = (uint64_t)json_integer_value(json_object_get(row, "position"));
        ck_assert_uint_lt(position, got->n_rows);
        double r = relative_rmse(got->rows + position * got->n_cols, json_object_get(row, "logits"),
                                 got->n_cols);
        ck_assert_msg(r <= bound, "%s: position %llu: relative RMSE %.3g, bound %.3g", what,
                      (unsigned long long)position, r, bound);
        worst = r > worst ? r : worst;
    }
    printf("# %s: worst of %zu rows %.3g\n", what, i, worst);
}

static void check_model(const char *spec, const char *golden_path, mv_compute compute, double bound)
{
    static const uint32_t windows[] = {0, 8, 37};
    static const uint32_t chunks[] = {300, 13}; /* whole; and in pieces that fit no window */
    mv_model *model = NULL;
    golden g = golden_load(golden_path);
    ck_assert_msg(mv_model_open(&model, spec, &error) == MV_OK, "%s", error.message);
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; ++w)
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; ++c) {
            char what[96];
            snprintf(what, sizeof what, "%s, window %u, chunk %u", mv_compute_name(compute),
                     windows[w], chunks[c]);
            recorder got = run(model, &g, compute, windows[w], chunks[c]);
            check_rows(&got, golden_rows(&g, windows[w]), bound, what);
            free(got.rows);
        }
    mv_model_close(&model);
    golden_free(&g);
}

#define SMALL MV_TEST_DATA "/golden_small"
#define SMALL_GOLDEN SMALL "/expected.json"
#define STORIES_GOLDEN MV_TEST_DATA "/stories260k_expected.json"

START_TEST(is_numpy_to_rounding_in_f64)
{
    check_model(SMALL, SMALL_GOLDEN, MV_COMPUTE_F64, F64_BOUND);
}
END_TEST

START_TEST(is_numpy_to_f32s_rounding_in_f32)
{
    check_model(SMALL, SMALL_GOLDEN, MV_COMPUTE_F32, F32_BOUND);
}
END_TEST

START_TEST(is_numpy_on_a_trained_model_in_f64)
{
    char spec[512];
    if (test_model_path(spec, sizeof spec, "stories260k"))
        check_model(spec, STORIES_GOLDEN, MV_COMPUTE_F64, F64_BOUND);
}
END_TEST

START_TEST(is_numpy_on_a_trained_model_in_f32)
{
    char spec[512];
    if (test_model_path(spec, sizeof spec, "stories260k"))
        check_model(spec, STORIES_GOLDEN, MV_COMPUTE_F32, F32_BOUND);
}
END_TEST

/* The comparison can fail: a window of one key more or less shows, and only from its edge on. */
START_TEST(tells_a_window_that_is_off_by_one)
{
    mv_model *model = NULL;
    golden g = golden_load(SMALL_GOLDEN);
    ck_assert_msg(mv_model_open(&model, SMALL, &error) == MV_OK, "%s", error.message);
    for (uint32_t window = 7; window <= 9; window += 2) {
        recorder got = run(model, &g, MV_COMPUTE_F64, window, 300);
        const uint64_t edge = window < 8 ? 7 : 8;
        size_t i, n_before = 0, n_after = 0;
        json_t *row;
        json_array_foreach(golden_rows(&g, 8), i, row)
        {
            uint64_t position = (uint64_t)json_integer_value(json_object_get(row, "position"));
            double r = relative_rmse(got.rows + position * got.n_cols,
                                     json_object_get(row, "logits"), got.n_cols);
            if (position < edge)
                ck_assert_msg(r <= F64_BOUND, "position %zu: %g", (size_t)position, r);
            else
                ck_assert_msg(r > 1e-3, "position %zu: %g", (size_t)position, r);
            ++*(position < edge ? &n_before : &n_after);
        }
        ck_assert_uint_ge(n_before, 2);
        ck_assert_uint_ge(n_after, 5);
        free(got.rows);
    }
    mv_model_close(&model);
    golden_free(&g);
}
END_TEST

static void find_backends(void)
{
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", MV_BUILD_ROOT "/backends", 0), 0);
}

static Suite *reference_golden_suite(void)
{
    Suite *suite = suite_create("reference_golden");
    TCase *tests = tcase_create("reference_golden");
    tcase_add_checked_fixture(tests, find_backends, NULL);
    tcase_set_timeout(tests, 110);
    tcase_add_test(tests, is_numpy_to_rounding_in_f64);
    tcase_add_test(tests, is_numpy_to_f32s_rounding_in_f32);
    tcase_add_test(tests, is_numpy_on_a_trained_model_in_f64);
    tcase_add_test(tests, is_numpy_on_a_trained_model_in_f32);
    tcase_add_test(tests, tells_a_window_that_is_off_by_one);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(reference_golden_suite)
