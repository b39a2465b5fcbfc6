/* Bugs that no single engine shows on a model of even sizes: those of two engines in a process, of
 * odd sizes, and of memory that is the caller's.
 */
#include "tests/mutant_fixture.h"

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

static Suite *mutant_elsewhere_suite(void)
{
    Suite *suite = suite_create("mutant_elsewhere");
    TCase *bugs = tcase_create("bugs");
    tcase_add_checked_fixture(bugs, set_up, tear_down);
    tcase_set_timeout(bugs, 100);
    tcase_add_test(bugs, shares_a_cache_among_engines_with_cache_is_static_alone);
    tcase_add_test(bugs, differs_on_odd_sizes_alone_with_each_bug_of_alignment);
    tcase_add_test(bugs, touches_memory_that_is_not_its_own_with_each_bug_of_canary);
    suite_add_tcase(suite, bugs);
    return suite;
}

MV_TEST_MAIN(mutant_elsewhere_suite)
