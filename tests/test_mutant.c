/* The mutant backend: its list is sound, every bug is really there, and without one it is the
 * reference. That the suites kill them is mistral-verify's own --self-test.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/synthetic.h"
#include "tests/test_main.h"

enum { MAX_ROWS = 256, MAX_MUTANTS = 400, MIN_BUGS = 60, MIN_BENIGN = 8 };

static mv_error error;

/* ---- the list ---- */

typedef struct row {
    char name[64], kind[16], expected[256], imitates[256];
} row;

static row rows[MAX_MUTANTS];
static size_t n_rows;

static void take_row(void *cookie, const char *key, const char *value)
{
    (void)cookie;
    if (strncmp(key, "mutant.", 7) != 0)
        return;
    ck_assert_uint_lt(n_rows, MAX_MUTANTS);
    const size_t kind_size = strcspn(value, "|");
    ck_assert_msg(value[kind_size] == '|', "%s: %s", key, value);
    const char *expected = value + kind_size + 1, *imitates = strchr(expected, '|');
    ck_assert_msg(imitates != NULL && strchr(imitates + 1, '|') == NULL, "%s: %s", key, value);
    row *r = &rows[n_rows++];
    (void)snprintf(r->name, sizeof r->name, "%s", key + 7);
    (void)snprintf(r->kind, sizeof r->kind, "%.*s", (int)kind_size, value);
    (void)snprintf(r->expected, sizeof r->expected, "%.*s", (int)(imitates - expected), expected);
    (void)snprintf(r->imitates, sizeof r->imitates, "%s", imitates + 1);
}

static bool is_kind(const row *r, const char *kind)
{
    return strcmp(r->kind, kind) == 0;
}

static size_t count(const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++)
        n += is_kind(&rows[i], kind);
    return n;
}

/* ---- one engine through everything an engine can be asked ---- */

typedef struct answers {
    float *logits; /* [n, vocab_size] */
    size_t n;
    size_t n_refused; /* truncations */
    mv_code code;     /* of the first call that failed */
} answers;

static mv_synthetic *synthetic;
static mv_model_view view;
static const mv_backend *reference, *mutant;

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

static void set_up(void)
{
    memset(truth, 0, sizeof truth);
    n_rows = 0;
    ck_assert_msg(mv_synthetic_open(&synthetic, "synthetic:probe", &error) == MV_OK, "%s",
                  error.message);
    view = *mv_synthetic_get_view(synthetic);
    ck_assert_msg(mv_backend_load(&reference, "reference", NULL, 0, &error) == MV_OK, "%s",
                  error.message);
    ck_assert_msg(mv_backend_load(&mutant, "mutant", NULL, 0, &error) == MV_OK, "%s",
                  error.message);
    mutant->describe(NULL, take_row, NULL);
}

static void tear_down(void)
{
    for (size_t i = 0; i < 3 * N_WINDOWS; i++)
        free(truth[i / N_WINDOWS][i % N_WINDOWS].logits);
    mv_synthetic_close(&synthetic);
}

/* ---- the list is sound ---- */

START_TEST(has_sixty_bugs_and_eight_harmless_variants)
{
    ck_assert_uint_ge(count("bug"), MIN_BUGS);
    ck_assert_uint_ge(count("benign"), MIN_BENIGN);
    ck_assert_uint_ge(count("equivalent"), 2);
    ck_assert_uint_ge(count("claim"), 4); /* one for each claim */
    ck_assert_uint_eq(count("bug") + count("claim") + count("benign") + count("equivalent"),
                      n_rows);
}
END_TEST

START_TEST(names_each_mutant_once_and_says_what_it_imitates)
{
    for (size_t i = 0; i < n_rows; i++) {
        ck_assert_msg(rows[i].imitates[0] != '\0', "%s", rows[i].name);
        ck_assert_msg(strlen(rows[i].imitates) < 159, "%s: too long for a report", rows[i].name);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(rows[i].name, rows[j].name);
    }
}
END_TEST

static bool is_suite(const char *name, size_t size)
{
    static const char *const suites[] = {
        "chunking",    "window",      "ring",      "decode_vs_prefill",
        "batching",    "determinism", "op_level",  "rope_long",
        "vocab_cover", "degenerate",  "canary",    "nonfinite",
        "cache_ops",   "gqa_map",     "alignment", "golden",
        "fuzz",        "generation",  "tiles"};
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        if (strlen(suites[i]) == size && strncmp(suites[i], name, size) == 0)
            return true;
    }
    return false;
}

START_TEST(names_for_each_bug_what_must_see_it)
{
    for (size_t i = 0; i < n_rows; i++) {
        for (const char *at = rows[i].expected; *at != '\0';) {
            size_t n = strcspn(at, ",");
            ck_assert_msg(is_suite(at, strcspn(at, ",/")), "%s: unknown suite in '%s'",
                          rows[i].name, rows[i].expected);
            at += n + (at[n] == ',' ? 1 : 0);
        }
        bool is_wrong = is_kind(&rows[i], "bug") || is_kind(&rows[i], "claim");
        ck_assert_msg((rows[i].expected[0] != '\0') == is_wrong, "%s (%s): '%s'", rows[i].name,
                      rows[i].kind, rows[i].expected);
    }
}
END_TEST

/* ---- the bugs are there ---- */

START_TEST(is_the_reference_to_the_bit_without_a_bug)
{
    static const char *const none[] = {NULL, "none"};
    for (int compute = MV_COMPUTE_F32; compute <= MV_COMPUTE_F64; compute++) {
        for (size_t i = 0; i < 2; i++)
            ck_assert_double_eq(difference_of(none[i], (mv_compute)compute), 0);
    }
}
END_TEST

/* Whether one suite alone is expected to see it. */
static bool is_only_of(const row *r, const char *suite)
{
    const size_t size = strlen(suite);
    for (const char *at = r->expected; *at != '\0';) {
        if (strcspn(at, ",/") != size || strncmp(at, suite, size) != 0)
            return false;
        at += strcspn(at, ",");
        at += *at == ',' ? 1 : 0;
    }
    return r->expected[0] != '\0';
}

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

/* The row of one token after three others, with another engine's three in between, or not. */
static void row_after_three(const char *name, bool other_between, float *logits)
{
    const mv_option option = {"mutant", name};
    const mv_engine_options o = {.struct_size = sizeof o,
                                 .compute = MV_COMPUTE_F32,
                                 .n_threads = 1,
                                 .max_sequences = 2,
                                 .max_positions = 8,
                                 .max_batch_tokens = 3,
                                 .options = &option,
                                 .n_options = 1};
    const int32_t own[] = {1, 2, 3, 4}, others[] = {7, 8, 9};
    const uint32_t sequence = 0, three = 3, one = 1;
    const mv_batch first = {sizeof first, 1, &sequence, &three, own};
    const mv_batch second = {sizeof second, 1, &sequence, &three, others};
    const mv_batch last = {sizeof last, 1, &sequence, &one, own + 3};
    mv_engine *a = NULL, *b = NULL;
    if (mutant->open(&a, &view, &o, &error) != MV_OK ||
        mutant->open(&b, &view, &o, &error) != MV_OK ||
        mutant->forward(a, &first, MV_LOGITS_NONE, NULL, &error) != MV_OK ||
        (other_between && mutant->forward(b, &second, MV_LOGITS_NONE, NULL, &error) != MV_OK) ||
        mutant->forward(a, &last, MV_LOGITS_ALL, logits, &error) != MV_OK)
        ck_abort_msg("%s: %s", name, error.message);
    mutant->close(a);
    mutant->close(b);
}

START_TEST(shares_a_cache_among_engines_with_cache_is_static_alone)
{
    const size_t size = view.params.vocab_size * sizeof(float);
    float *alone = malloc(size), *between = malloc(size);
    ck_assert_ptr_nonnull(alone);
    ck_assert_ptr_nonnull(between);
    row_after_three("cache_is_static", false, alone);
    row_after_three("cache_is_static", true, between);
    ck_assert_int_ne(memcmp(alone, between, size), 0);
    row_after_three("none", true, between);
    ck_assert_int_eq(memcmp(alone, between, size), 0);
    free(alone);
    free(between);
}
END_TEST

enum { N_ODD = 33, ROOM = 64 };

/* One call of N_ODD tokens, with the caller's memory around what was asked for. */
typedef struct one_call {
    int32_t tokens[N_ODD];
    float *block; /* [ROOM + N_ODD * V + ROOM] */
    size_t n;
} one_call;

static one_call call_once(const mv_backend *backend, const mv_model_view *model, const char *name)
{
    const mv_option option = {"mutant", name};
    const mv_engine_options o = {.struct_size = sizeof o,
                                 .compute = MV_COMPUTE_F32,
                                 .n_threads = 1,
                                 .max_sequences = 1,
                                 .max_positions = N_ODD,
                                 .max_batch_tokens = N_ODD,
                                 .options = &option,
                                 .n_options = name != NULL ? 1 : 0};
    const uint32_t sequence = 0, n_tokens = N_ODD;
    mv_engine *engine = NULL;
    one_call c = {.n = 2 * ROOM + (size_t)N_ODD * model->params.vocab_size};
    const mv_batch batch = {sizeof batch, 1, &sequence, &n_tokens, c.tokens};
    mv_synthetic_tokens(c.tokens, N_ODD, model->params.vocab_size, 1);
    c.block = malloc(c.n * sizeof *c.block);
    ck_assert_ptr_nonnull(c.block);
    memset(c.block, 0x11, c.n * sizeof *c.block);
    if (backend->open(&engine, model, &o, &error) != MV_OK ||
        backend->forward(engine, &batch, MV_LOGITS_ALL, c.block + ROOM, &error) != MV_OK)
        ck_abort_msg("%s: %s", name != NULL ? name : "no mutant", error.message);
    backend->close(engine);
    return c;
}

/* Only there: where every size is a multiple of 8 they are the reference. */
START_TEST(differs_on_odd_sizes_alone_with_each_bug_of_alignment)
{
    static const char odd[] = "synthetic:probe,n_layers=2,dim=67,head_dim=10,n_heads=9,n_kv_heads="
                              "3,hidden_dim=131,vocab_size=251",
                      even[] = "synthetic:probe,n_layers=2,hidden_dim=176,vocab_size=256";
    const char *const specs[] = {odd, even};
    for (size_t k = 0; k < 2; k++) {
        mv_synthetic *other;
        ck_assert_int_eq(mv_synthetic_open(&other, specs[k], &error), MV_OK);
        const mv_model_view *model = mv_synthetic_get_view(other);
        one_call truth_call = call_once(reference, model, NULL);
        for (size_t i = 0; i < n_rows; i++) {
            if (!is_only_of(&rows[i], "alignment"))
                continue;
            one_call c = call_once(mutant, model, rows[i].name);
            const bool same = memcmp(c.block, truth_call.block, c.n * sizeof *c.block) == 0;
            if (k == 0)
                ck_assert_msg(!same, "%s is not there", rows[i].name);
            else if (strcmp(rows[i].name, "single_last_row_lost") != 0) /* of rows, not of sizes */
                ck_assert_msg(same || strcmp(rows[i].name, "norm_tail_dropped") == 0,
                              "%s is everywhere", rows[i].name);
            free(c.block);
        }
        free(truth_call.block);
        mv_synthetic_close(&other);
    }
}
END_TEST

START_TEST(touches_memory_that_is_not_its_own_with_each_bug_of_canary)
{
    const one_call truth_call = call_once(reference, &view, NULL);
    size_t n_found = 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (!is_only_of(&rows[i], "canary"))
            continue;
        one_call c = call_once(mutant, &view, rows[i].name);
        ck_assert_msg(memcmp(c.block, truth_call.block, c.n * sizeof *c.block) != 0 ||
                          memcmp(c.tokens, truth_call.tokens, sizeof c.tokens) != 0,
                      "%s is not there", rows[i].name);
        free(c.block);
        n_found++;
    }
    ck_assert_uint_ge(n_found, 5);
    free(truth_call.block);
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

/* ---- the door ---- */

START_TEST(claims_nothing)
{
    ck_assert_uint_eq(mv_backend_claims(mutant), 0);
    for (int compute = MV_COMPUTE_F32; compute <= MV_COMPUTE_F64; compute++)
        ck_assert(mv_backend_has_compute(mutant, (mv_compute)compute));
}
END_TEST

static const struct {
    mv_option option;
    const char *fragment;
} refused[] = {
    {{"mutant", "window_pluss_1"}, "is named 'window_pluss_1'; the nearest are window_plus_1, "},
    {{"mutant", ""}, "is named ''; the nearest are "},
    {{"layer", "4"}, "option layer: expected 0 ... 3, found '4'"},
    {{"layer", "-1"}, "expected 0 ... 3, found '-1'"},
    {{"layer", "1x"}, "expected 0 ... 3, found '1x'"},
    {{"layer", ""}, "expected 0 ... 3, found ''"},
    {{"bug", "rope"}, "unknown option 'bug'; known: mutant=NAME, layer=N, poison="},
    {{"poison", "much"}, "option poison: expected a number, found 'much'"},
};

START_TEST(refuses_an_option_that_it_does_not_know)
{
    const mv_engine_options o = {.struct_size = sizeof o,
                                 .max_sequences = 1,
                                 .max_positions = 4,
                                 .max_batch_tokens = 4,
                                 .options = &refused[_i].option,
                                 .n_options = 1};
    mv_engine *engine = NULL;
    ck_assert_int_eq(mutant->open(&engine, &view, &o, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, refused[_i].fragment) != NULL, "expected '%s' in: %s",
                  refused[_i].fragment, error.message);
    ck_assert_ptr_null(engine);
}
END_TEST

static Suite *mutant_suite(void)
{
    Suite *suite = suite_create("mutant");
    TCase *list = tcase_create("list"), *bugs = tcase_create("bugs"), *door = tcase_create("door");
    tcase_add_checked_fixture(list, set_up, tear_down);
    tcase_add_checked_fixture(bugs, set_up, tear_down);
    tcase_add_checked_fixture(door, set_up, tear_down);
    tcase_set_timeout(bugs, 100);
    tcase_add_test(list, has_sixty_bugs_and_eight_harmless_variants);
    tcase_add_test(list, names_each_mutant_once_and_says_what_it_imitates);
    tcase_add_test(list, names_for_each_bug_what_must_see_it);
    tcase_add_test(bugs, is_the_reference_to_the_bit_without_a_bug);
    tcase_add_test(bugs, differs_from_the_reference_with_each_bug);
    tcase_add_test(bugs, shares_a_cache_among_engines_with_cache_is_static_alone);
    tcase_add_test(bugs, differs_on_odd_sizes_alone_with_each_bug_of_alignment);
    tcase_add_test(bugs, touches_memory_that_is_not_its_own_with_each_bug_of_canary);
    tcase_add_test(bugs, rounds_otherwise_and_no_more_with_each_harmless_variant);
    tcase_add_test(bugs, changes_nothing_that_shows_with_each_equivalent);
    tcase_add_test(bugs, puts_a_bug_into_the_layer_that_was_asked_for);
    tcase_add_test(door, claims_nothing);
    tcase_add_loop_test(door, refuses_an_option_that_it_does_not_know, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    suite_add_tcase(suite, list);
    suite_add_tcase(suite, bugs);
    suite_add_tcase(suite, door);
    return suite;
}

MV_TEST_MAIN(mutant_suite)
