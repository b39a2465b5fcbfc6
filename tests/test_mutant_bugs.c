/* Every bug is really there, in the layer that was asked for, what is harmless changes no more than
 * roundings, and without a bug the mutant is the reference: one engine each, through everything an
 * engine can be asked.
 */
#include <math.h>

#include "tests/mutant_fixture.h"

enum { MAX_ROWS = 256 };

typedef struct answers {
    float *logits; /* [n, vocab_size] */
    size_t n;
    size_t n_refused; /* truncations */
    mv_code code;     /* of the first call that failed */
} answers;

static void call(const mv_backend *backend, mv_engine *engine, mv_logits which, uint32_t n_parts,
                 const uint32_t *sequences, const uint32_t *n_tokens, answers *a)
{
    int32_t tokens[64];
    size_t n = 0;
    for (uint32_t i = 0; i < n_parts; i++)
        n += n_tokens[i];
    mv_synthetic_tokens(tokens, n, view.params.vocab_size, n + n_parts);
    tokens[0] = (int32_t)view.params.vocab_size - 1;
    tokens[n / 2] = (int32_t)view.params.vocab_size / 3;
    tokens[n - 1] = n > 2 ? 0 : tokens[n - 1];
    const mv_batch batch = {sizeof batch, n_parts, sequences, n_tokens, tokens};
    const size_t n_new = which == MV_LOGITS_ALL ? n : which == MV_LOGITS_LAST ? n_parts : 0;
    ck_assert_uint_le(a->n + n_new, MAX_ROWS);
    if (a->code == MV_OK)
        a->code = backend->forward(engine, &batch, which, a->logits + a->n * view.params.vocab_size,
                                   &error);
    if (a->code == MV_OK)
        a->n += n_new;
}

static void call_one(const mv_backend *backend, mv_engine *engine, uint32_t sequence, uint32_t n,
                     answers *a)
{
    call(backend, engine, MV_LOGITS_ALL, 1, &sequence, &n, a);
}

/* A refusal is an answer, too. */
static void go_back(const mv_backend *backend, mv_engine *engine, uint32_t sequence, uint32_t to,
                    answers *a)
{
    const mv_code code = backend->truncate(engine, sequence, to, &error);
    if (code != MV_OK && a->code == MV_OK)
        a->n_refused++;
}

/* Whole prompts, pieces below, at and above W, single tokens, ragged batches, last rows, none,
 * resets, the ninth and the seventeenth sequence. */
static void ask(const mv_backend *backend, mv_engine *engine, answers *a)
{
    static const uint32_t of_sequence_2[] = {20, 5, 3, 1, 1}, of_sequence_0[] = {3, 1, 1, 4, 1};
    static const uint32_t both[] = {1, 0}, lengths[] = {9, 5}, ones[] = {1, 1};
    static const uint32_t far[] = {0, 8, 16}, far_lengths[] = {12, 5, 1}, far_ones[] = {1, 1, 1};
    static const uint32_t one = 1, two = 2, six = 6;
    const uint32_t W = view.params.sliding_window > 0 ? view.params.sliding_window : 8;
    for (size_t i = 0; i < 5; i++)
        call_one(backend, engine, 2, of_sequence_2[i], a);
    call(backend, engine, MV_LOGITS_LAST, 1, &two, &six, a);
    call(backend, engine, MV_LOGITS_ALL, 2, both, lengths, a);
    for (size_t i = 0; i < 5; i++)
        call_one(backend, engine, 0, of_sequence_0[i], a);
    call(backend, engine, MV_LOGITS_ALL, 2, both, lengths, a);
    if (a->code == MV_OK)
        a->code = backend->reset(engine, 2, &error);
    for (size_t i = 0; i < 4; i++)
        call_one(backend, engine, 2, 1, a);
    call_one(backend, engine, 2, W, a);
    call_one(backend, engine, 2, 26, a);
    call(backend, engine, MV_LOGITS_NONE, 1, &one, &six, a);
    call(backend, engine, MV_LOGITS_LAST, 2, both, lengths, a);
    call(backend, engine, MV_LOGITS_ALL, 2, both, ones, a);
    go_back(backend, engine, 2, W + 30, a); /* where it is */
    call_one(backend, engine, 2, 1, a);
    go_back(backend, engine, 2, 2, a);
    call_one(backend, engine, 2, 3, a);
    if (a->code == MV_OK)
        a->code = backend->reset(engine, 0, &error);
    call(backend, engine, MV_LOGITS_ALL, 3, far, far_lengths, a);
    for (size_t i = 0; i < 2; i++)
        call(backend, engine, MV_LOGITS_ALL, 3, far, far_ones, a);
}

static answers answer(const mv_backend *backend, mv_compute compute, uint32_t window,
                      const char *name, const char *layer)
{
    const mv_option options[] = {{"poison", "nan"}, {"mutant", name}, {"layer", layer}};
    answers a = {.logits = calloc((size_t)MAX_ROWS * view.params.vocab_size, sizeof(float))};
    view.params.sliding_window = window;
    const mv_engine_options o = {.struct_size = sizeof o,
                                 .compute = compute,
                                 .n_threads = 3,
                                 .max_sequences = 17,
                                 .max_positions = 48,
                                 .max_batch_tokens = 40,
                                 .options = options,
                                 .n_options = name == NULL    ? 1
                                              : layer == NULL ? 2
                                                              : 3};
    mv_engine *engine = NULL;
    ck_assert_ptr_nonnull(a.logits);
    ck_assert_msg(backend->open(&engine, &view, &o, &error) == MV_OK, "%s: %s",
                  name != NULL ? name : "no mutant", error.message);
    ask(backend, engine, &a);
    backend->close(engine);
    return a;
}

/* Largest difference; infinite where one is not finite or did not answer. */
static double difference(const answers *a, const answers *b)
{
    double largest = 0;
    if (a->n != b->n || a->code != b->code)
        return INFINITY;
    for (size_t i = 0; i < a->n * view.params.vocab_size; i++) {
        double d = fabs((double)a->logits[i] - (double)b->logits[i]);
        if (!(d <= largest))
            largest = isnan(d) ? (double)INFINITY : d;
    }
    return largest;
}

static const uint32_t windows[] = {8, 7, 1, 0};
enum { N_WINDOWS = sizeof windows / sizeof windows[0] };

/* The reference's answers, once for each arithmetic and window. */
static answers truth[3][N_WINDOWS];

static const answers *get_truth(mv_compute compute, size_t window)
{
    answers *t = &truth[compute][window];
    if (t->logits == NULL)
        *t = answer(reference, compute, windows[window], NULL, NULL);
    ck_assert_int_eq(t->code, MV_OK);
    ck_assert_uint_ge(t->n, 100);
    return t;
}

static double difference_under(const char *name, mv_compute compute, size_t window)
{
    answers a = answer(mutant, compute, windows[window], name, NULL);
    double d = difference(&a, get_truth(compute, window));
    if (a.n_refused < get_truth(compute, window)->n_refused) /* more is honest: fewer slots */
        d = INFINITY;
    free(a.logits);
    return d;
}

/* From the reference, over all windows. */
static double difference_of(const char *name, mv_compute compute)
{
    double largest = 0;
    for (size_t w = 0; w < N_WINDOWS; w++)
        largest = fmax(largest, difference_under(name, compute, w));
    return largest;
}

/* Under any window: most bugs show under the first, and the others need not be tried. */
static bool is_there(const char *name)
{
    bool found = false;
    for (size_t w = 0; w < N_WINDOWS && !found; w++)
        found = difference_under(name, MV_COMPUTE_F32, w) > 0;
    return found;
}

static void forget_truth(void)
{
    for (size_t i = 0; i < 3 * N_WINDOWS; i++)
        free(truth[i / N_WINDOWS][i % N_WINDOWS].logits);
    memset(truth, 0, sizeof truth);
    tear_down();
}

START_TEST(is_the_reference_to_the_bit_without_a_bug)
{
    static const char *const none[] = {NULL, "none"};
    for (int compute = MV_COMPUTE_F32; compute <= MV_COMPUTE_F64; compute++) {
        for (size_t i = 0; i < 2; i++)
            ck_assert_double_eq(difference_of(none[i], (mv_compute)compute), 0);
    }
}
END_TEST

/* But for those that need many positions, other sizes or weights, a look at other memory, or two
 * engines. */
START_TEST(differs_from_the_reference_with_each_bug)
{
    static const char *const elsewhere[] = {"rope_long", "alignment", "canary",
                                            "golden",    "op_level",  "tiles"};
    for (size_t i = 0; i < n_rows; i++) {
        bool is_here = is_kind(&rows[i], "bug");
        for (size_t j = 0; j < sizeof elsewhere / sizeof elsewhere[0]; j++)
            is_here = is_here && !is_only_of(&rows[i], elsewhere[j]) &&
                      strcmp(rows[i].name, "cache_is_static") != 0;
        if (is_here)
            ck_assert_msg(is_there(rows[i].name), "%s is not there", rows[i].name);
    }
}
END_TEST

START_TEST(rounds_otherwise_and_no_more_with_each_harmless_variant)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (!is_kind(&rows[i], "benign") && !is_kind(&rows[i], "claim"))
            continue;
        double in_f32 = difference_under(rows[i].name, MV_COMPUTE_F32, 0);
        double in_bf16 = difference_under(rows[i].name, MV_COMPUTE_BF16, 0);
        ck_assert_msg(in_f32 <= 1e-3 && in_bf16 <= 2, "%s: %g in f32, %g in bf16", rows[i].name,
                      in_f32, in_bf16);
        ck_assert_msg(in_f32 > 0 || in_bf16 > 0, "%s is not there", rows[i].name);
    }
}
END_TEST

START_TEST(changes_nothing_that_shows_with_each_equivalent)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (is_kind(&rows[i], "equivalent")) {
            double d = difference_of(rows[i].name, MV_COMPUTE_F64);
            ck_assert_msg(d <= 1e-6, "%s: %g in f64", rows[i].name, d);
        }
    }
}
END_TEST

START_TEST(puts_a_bug_into_the_layer_that_was_asked_for)
{
    answers one = answer(mutant, MV_COMPUTE_F32, 8, "window_plus_1_one_layer", "1");
    answers usual = answer(mutant, MV_COMPUTE_F32, 8, "window_plus_1_one_layer", NULL);
    answers two = answer(mutant, MV_COMPUTE_F32, 8, "window_plus_1_one_layer", "2");
    ck_assert_double_eq(difference(&one, &usual), 0);
    ck_assert(difference(&one, &two) > 0);
    free(one.logits);
    free(usual.logits);
    free(two.logits);
}
END_TEST

static Suite *mutant_bugs_suite(void)
{
    Suite *suite = suite_create("mutant_bugs");
    TCase *bugs = tcase_create("bugs");
    tcase_add_checked_fixture(bugs, set_up, forget_truth);
    tcase_set_timeout(bugs, 100);
    tcase_add_test(bugs, is_the_reference_to_the_bit_without_a_bug);
    tcase_add_test(bugs, differs_from_the_reference_with_each_bug);
    tcase_add_test(bugs, rounds_otherwise_and_no_more_with_each_harmless_variant);
    tcase_add_test(bugs, changes_nothing_that_shows_with_each_equivalent);
    tcase_add_test(bugs, puts_a_bug_into_the_layer_that_was_asked_for);
    suite_add_tcase(suite, bugs);
    return suite;
}

MV_TEST_MAIN(mutant_bugs_suite)
