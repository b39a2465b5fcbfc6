/* Suites about sizes, ids, written text and lent weights: what they list, what they cover, and what
 * they say of an engine that does otherwise. */
#include <math.h>

#include "suites/changed_model.h"
#include "suites/greedy.h"
#include "tests/suite_fixture.h"

static const mv_case_result *find(const char *fragment)
{
    for (size_t i = 0; i < results.n_cases; i++) {
        if (strstr(results.cases[i].name, fragment) != NULL)
            return &results.cases[i];
    }
    ck_abort_msg("no case '%s'", fragment);
    return NULL;
}

/* ---- engines that do otherwise ---- */

static const struct {
    planted behaviour;
    const char *suite;
    mv_verdict verdict;
    const char *name, *fragment; /* of a case with that verdict */
} bugs[] = {
    {OPEN_FAILS, "alignment", MV_VERDICT_ERROR, "head_dim 10", "the engine does not open"},
    {OPEN_FAILS, "vocab_cover", MV_VERDICT_ERROR, "every id", "the engine does not open"},
    {OPEN_FAILS, "generation", MV_VERDICT_ERROR, "prompts at once", "the engine does not open"},
    {OPEN_UNSUPPORTED, "alignment", MV_VERDICT_SKIP, "three heads", "planted: not handled"},
    {OPEN_UNSUPPORTED, "generation", MV_VERDICT_SKIP, "after 1 token", "planted: not handled"},
    {WRITES_NOTHING, "alignment", MV_VERDICT_FAIL, "dim 75", "logits are not finite"},
    {WRITES_NOTHING, "vocab_cover", MV_VERDICT_FAIL, "every id", "logits are not finite"},
    {WRITES_NOTHING, "generation", MV_VERDICT_FAIL, "after 1 token", "logits are not finite"},
    {WRITES_ZEROS, "alignment", MV_VERDICT_FAIL, "vocab_size 521", "error is "},
    {WRITES_ZEROS, "vocab_cover", MV_VERDICT_FAIL, "every id", "error is "},
    {WRITES_ZEROS, "generation", MV_VERDICT_FAIL, "after 1 token", "error is "},
    {WRITES_ZEROS, "nonfinite", MV_VERDICT_FAIL, "NaN out of reach", "error is "},
    {WRITES_ZEROS, "gqa_map", MV_VERDICT_FAIL, "layer 0", "reads no key/value head"},
    {LAST_ROW_IS_FIRST, "generation", MV_VERDICT_FAIL, "after 5 tokens", "error is "},
    {LAST_ROW_IS_FIRST, "batching", MV_VERDICT_FAIL, "all at once, last rows", "error is "},
    {SWAPS_SEQUENCES, "generation", MV_VERDICT_FAIL, "4 prompts at once", "error is "},
    {SWAPS_SEQUENCES, "batching", MV_VERDICT_FAIL, "ragged pieces, last rows", "error is "},
    {WINDOW_PLUS_1, "generation", MV_VERDICT_FAIL, "window 4, after 5 tokens", "error is "},
    {WINDOW_PLUS_1, "window", MV_VERDICT_FAIL, "window 4 chunk 1", "position 4 = W+0"},
    {FORWARD_FAILS, "generation", MV_VERDICT_ERROR, "after 1 token", "the third call fails"},
};

START_TEST(a_planted_bug_gets_its_verdict)
{
    options.backend = engines_get(reference, bugs[_i].behaviour, 0);
    run(bugs[_i].suite);
    const mv_case_result *one = find(bugs[_i].name);
    ck_assert_msg(one->verdict == bugs[_i].verdict, "%s/%s: %s: %s", one->suite, one->name,
                  mv_verdict_name(one->verdict), one->reason);
    has(one->reason, bugs[_i].fragment);
}
END_TEST

/* ---- an engine that gives other bits now and then ---- */

static const struct {
    uint64_t period; /* one call in so many */
    uint32_t claims;
    const char *filter;
    mv_verdict verdict; /* of the run */
    const char *fragment;
} noisy[] = {
    {3, MV_CLAIM_REPEATABLE, "window/effective*", MV_VERDICT_FAIL,
     "the engine is not repeatable, as claimed (layer 0, whole prompt): the same calls gave "},
    {20, MV_CLAIM_REPEATABLE, "window/effective*", MV_VERDICT_FAIL, "not repeatable, as claimed"},
    {20, MV_CLAIM_REPEATABLE, "window/effective*decode", MV_VERDICT_FAIL,
     "not repeatable, as claimed (layer 0, decode)"},
    {2, 0, "window/effective*", MV_VERDICT_PASS, ""},
    {20, 0, "window/effective*", MV_VERDICT_PASS, ""},
    {100, 0, "window/effective*", MV_VERDICT_PASS, ""},
    {20, MV_CLAIM_REPEATABLE, "determinism/*times over", MV_VERDICT_FAIL,
     "claims that the same calls give the same bits (time "},
    {100, MV_CLAIM_REPEATABLE, "determinism/*times over", MV_VERDICT_FAIL,
     "claims that the same calls give the same bits (time "},
    {20, 0, "determinism/*times over", MV_VERDICT_PASS, ""},
};

START_TEST(bits_that_change_once_in_a_while_are_called_that_and_nothing_else)
{
    char suite[32];
    bool found = false;
    (void)snprintf(suite, sizeof suite, "%.*s", (int)strcspn(noisy[_i].filter, "/"),
                   noisy[_i].filter);
    options.backend = engines_get(reference, BIT_BY_TIME, noisy[_i].claims);
    engines_period = noisy[_i].period;
    options.filter = noisy[_i].filter;
    ck_assert_int_eq(run(suite).verdict, noisy[_i].verdict);
    for (size_t i = 0; i < results.n_cases; i++) {
        const char *reason = results.cases[i].reason;
        found = found || strstr(reason, noisy[_i].fragment) != NULL;
        ck_assert_msg(strstr(reason, "effective window is") == NULL, "%s", reason);
    }
    ck_assert_msg(found, "no reason with '%s'", noisy[_i].fragment);
}
END_TEST

/* ---- maxima that are none ---- */

static const struct {
    const char *mutant, *name, *fragment; /* NULL: passes */
} maxima[] = {
    {"softmax_max_of_first_tile", "rising scores, whole", "not finite, first at position 520"},
    {"softmax_max_of_first_tile", "rising scores, in pieces", "not finite, first at position 520"},
    {"softmax_max_of_first_tile", "scores like stairs, whole", "not finite, first at position 303"},
    {"softmax_max_of_each_tile", "falling scores, in pieces", "not finite, first at position 256,"},
    {"softmax_max_of_masked_keys", "rising scores, whole", "not finite, first at position 512"},
    {"softmax_max_starts_at_zero", "scores from far below, whole",
     "not finite, first at position 0"},
    {"softmax_max_starts_at_zero", "rising scores, whole", NULL},
    {"softmax_sum_not_rescaled", "scores like stairs, whole", "first wrong row at position "},
    {"rescale_missing", "scores like stairs, in pieces", "first wrong row at position "},
    {"softmax_online", "scores like stairs, in pieces", NULL},
};

static void use_mutant(const mv_option *option)
{
    ck_assert_int_eq(mv_backend_load(&options.backend,
                                     MV_BUILD_ROOT "/backends/mutant/mistral_mutant.so", NULL, 0,
                                     &error),
                     MV_OK);
    options.options = option;
    options.n_options = 1;
}

START_TEST(a_running_maximum_that_is_not_the_maximum_shows_where_scores_lie_hundreds_apart)
{
    const mv_option option = {"mutant", maxima[_i].mutant};
    char filter[128];
    (void)snprintf(filter, sizeof filter, "op_level/%s", maxima[_i].name);
    use_mutant(&option);
    options.filter = filter;
    ck_assert_int_eq(run("op_level").verdict,
                     maxima[_i].fragment != NULL ? MV_VERDICT_FAIL : MV_VERDICT_PASS);
    ck_assert_uint_eq(results.n_cases, 1);
    has(results.cases[0].reason, maxima[_i].fragment != NULL ? maxima[_i].fragment : "");
}
END_TEST

/* ---- an engine that takes its weights from elsewhere ---- */

static const struct {
    const char *suite, *vacuous; /* a case that asks by changed weights */
    const char *passes;          /* one that does not, or NULL */
} askers[] = {
    {"window", "effective window 4, decode", "window 4 chunk 1"},
    {"op_level", "tiny activations", NULL},
    {"op_level", "rising scores, whole", NULL},
    {"gqa_map", "layer 1", NULL},
    {"nonfinite", "NaN out of reach, chunk 0", NULL},
    {"alignment", "head_dim 10", "prompts of 1 ... 8 tokens"},
};

START_TEST(an_engine_with_weights_of_its_own_is_not_blamed_for_what_it_was_not_asked)
{
    options.backend = engines_get(reference, IGNORES_WEIGHTS, 0);
    engines_own_weights = options.model;
    mv_summary summary = run(askers[_i].suite);
    ck_assert_uint_eq(summary.n_failed + summary.n_errors, 0);
    ck_assert_int_eq(summary.verdict, MV_VERDICT_VACUOUS);
    const mv_case_result *one = find(askers[_i].vacuous);
    ck_assert_int_eq(one->verdict, MV_VERDICT_VACUOUS);
    has(one->reason, "does not compute with the weights that it is lent");
    ck_assert_int_eq(one->metrics.effective_window, -1);
    ck_assert_int_eq(one->divergence_position, -1);
    if (askers[_i].passes != NULL)
        ck_assert_int_eq(find(askers[_i].passes)->verdict, MV_VERDICT_PASS);
}
END_TEST

START_TEST(only_unchanged_logits_show_that_weights_are_ignored)
{
    static const planted others[] = {HONEST, WRITES_ZEROS, WRITES_NAN, WINDOW_PLUS_1, OPEN_FAILS};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        mv_run *r = NULL;
        mv_lent lent = {0};
        options.backend = engines_get(reference, others[i], 0);
        ck_assert_int_eq(mv_run_open(&r, &options, &error), MV_OK);
        ck_assert_int_eq(mv_changed_model_ask_engine(r, &lent, &error), MV_OK);
        ck_assert_msg(lent.asked && !lent.ignored, "behaviour %d", (int)others[i]);
        mv_run_close(&r);
    }
}
END_TEST

/* ---- --localize ---- */

static void use_model(const char *spec)
{
    mv_model_close(&model);
    if (mv_model_open(&model, spec, &error) != MV_OK)
        ck_abort_msg("%s", error.message);
    options.model = mv_model_get_view(model);
}

static const struct {
    const char *suite, *mutant, *name, *op;
} localised[] = {
    {"alignment", "norm_tail_dropped", "dim 75", "attention_norm"},
    {"alignment", "score_tail_dropped", "smaller than a vector", "attention"},
    {"op_level", "silu_overflows", "saturated gate*chunk 0", "gate"},
    {"op_level", "softmax_max_of_first_tile", "rising scores, whole", "attention"},
    {"tiles", "scale_of_head_dim_128", "window 130?*518", "attention"},
    {"generation", "decode_rows_turned", "window 4, 4 prompts at once", "logits"},
};

START_TEST(a_failed_case_is_localised_as_it_was_played_with_its_own_model_and_text)
{
    const mv_option option = {"mutant", localised[_i].mutant};
    char filter[128];
    (void)snprintf(filter, sizeof filter, "%s/%s", localised[_i].suite, localised[_i].name);
    use_mutant(&option);
    options.localize = true;
    options.filter = filter;
    ck_assert_int_eq(run(localised[_i].suite).verdict, MV_VERDICT_FAIL);
    ck_assert_uint_eq(results.n_cases, 1);
    ck_assert_str_eq(results.cases[0].divergence_op, localised[_i].op);

    const mv_divergence *profile = results.cases[0].divergence;
    ck_assert_ptr_nonnull(profile);
    const int64_t first = mv_divergence_first(profile);
    ck_assert_int_ge(first, 0);
    ck_assert_str_eq(profile->steps[first].op, localised[_i].op);
    ck_assert_int_eq(profile->steps[first].layer, results.cases[0].divergence_layer);
}
END_TEST

/* The numbers of the profile: of the planted layer beyond the limit, from the planted position on,
 * and of all others as honest as they are. */
START_TEST(the_profile_of_a_planted_bug_is_over_its_limit_there_and_nowhere_else)
{
    const mv_option option = {"mutant", "window_plus_1_one_layer"};
    use_mutant(&option);
    use_model("synthetic:probe");
    options.localize = true;
    options.windows = "8";
    options.filter = "chunking/window 8 chunk 3";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_FAIL);
    const mv_divergence *profile = results.cases[0].divergence;
    ck_assert_ptr_nonnull(profile);
    ck_assert_int_eq(profile->n_layers, 4);
    ck_assert_int_eq(profile->n_positions, 40);
    for (size_t i = 0; i < profile->n_steps; i++) {
        const mv_divergence_step *step = &profile->steps[i];
        const bool is_planted = step->layer == 1 && strcmp(step->op, "attention") == 0;
        ck_assert_msg((step->times_limit > 100) == is_planted &&
                          (is_planted || step->times_limit < 1),
                      "layer %d %s: %g", step->layer, step->op, step->times_limit);
    }
    for (size_t r = 0; r <= profile->n_rows; r++) {
        for (size_t b = 0; b < profile->n_bins; b++)
            ck_assert_msg((profile->times_limit[r][b] > 1) == (r == 1 && b >= 8),
                          "row %zu position %zu: %g", r, b, profile->times_limit[r][b]);
    }
}
END_TEST

/* ---- a window for nonfinite ---- */

START_TEST(nonfinite_finds_a_window_whatever_the_prompt_and_says_when_it_may_not)
{
    for (options.length = 1; options.length < 8; options.length++) {
        ck_assert_int_eq(run("nonfinite").verdict, MV_VERDICT_PASS);
        ck_assert_int_gt(results.cases[0].window, 0);
    }
    options.windows = "0,9";
    options.length = 8;
    ck_assert_int_eq(run("nonfinite").verdict, MV_VERDICT_VACUOUS);
    ck_assert_uint_eq(results.n_cases, 1);
    has(results.cases[0].reason, "no window of --window 0,9 is passed by a prompt of 8 tokens");
    options.length = 10;
    ck_assert_int_eq(run("nonfinite").verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(results.cases[0].window, 9);
}
END_TEST

/* ---- ids ---- */

START_TEST(every_id_of_a_small_vocabulary_has_a_row_of_its_own)
{
    ck_assert_int_eq(run("vocab_cover").verdict, MV_VERDICT_PASS);
    ck_assert_uint_eq(results.n_cases, 1);
    ck_assert_str_eq(results.cases[0].name, "every id");
    ck_assert_int_eq(results.cases[0].n_positions, 67);
}
END_TEST

START_TEST(a_larger_vocabulary_is_covered_in_parts_by_a_row_for_sixteen)
{
    use_model("synthetic:probe,n_layers=2,vocab_size=2055");
    ck_assert_int_eq(run("vocab_cover").verdict, MV_VERDICT_PASS);
    ck_assert_uint_eq(results.n_cases, 3);
    ck_assert_str_eq(results.cases[2].name, "every id, part 3 of 3");
    ck_assert_int_eq(results.cases[0].n_positions, 64);
    ck_assert_int_eq(results.cases[2].length, 7);
    ck_assert_int_eq(results.cases[2].n_positions, 1);
    ck_assert_str_eq(results.cases[0].reason, "");
}
END_TEST

static char first_listed[96];
static size_t n_listed;

static void take_name(void *cookie, const mv_case_result *result)
{
    (void)cookie;
    if (n_listed++ == 0)
        memcpy(first_listed, result->name, sizeof first_listed);
}

START_TEST(a_vocabulary_beyond_the_budget_says_which_ids_it_covers)
{
    use_model("synthetic:probe,n_layers=1,vocab_size=120000");
    options.list_only = true;
    options.on_case = take_name;
    n_listed = 0;
    run("vocab_cover");
    ck_assert_str_eq(first_listed, "every 57th id and the last, part 1 of 3");
    ck_assert_uint_eq(n_listed, 3);
    ck_assert_int_eq(engines_n_opened, 0);
}
END_TEST

/* ---- text ---- */

START_TEST(near_ties_are_counted_and_no_failure)
{
    bool found = false;
    options.compute = MV_COMPUTE_BF16;
    ck_assert_int_eq(run("generation").verdict, MV_VERDICT_PASS);
    for (size_t i = 0; i < results.n_cases; i++)
        found = found || strstr(results.cases[i].reason, "steps are near-ties") != NULL;
    ck_assert_msg(found, "no near-tie in bfloat16");
}
END_TEST

/* Writes a text of one sequence; then its last token, which was never fed, is changed. */
static mv_code judge_last(mv_run *r, int32_t add, mv_case_result *result, mv_near_ties *ties)
{
    mv_greedy text = {.n_new = 6, .play = {.window = 4}};
    mv_schedule schedule = {0};
    const int32_t *prompt;
    mv_case_result_clear(result);
    result->verdict = MV_VERDICT_PASS;
    mv_code code = mv_run_prompt(r, 0, 5, &prompt, &error);
    if (code == MV_OK)
        code = mv_greedy_add(r, &text, prompt, 5, &error);
    mv_schedule_add_call(&schedule, 0, 5);
    mv_schedule_add_chunks(&schedule, 0, 5, 1);
    if (code == MV_OK)
        code = mv_greedy_write(r, &schedule, &text, &error);
    if (code == MV_OK) {
        text.tokens[0][10] = (text.tokens[0][10] + add) % 67;
        code = mv_greedy_judge(r, result, &text, 0, ties, &error);
    }
    mv_greedy_free(&text);
    mv_schedule_free(&schedule);
    return code;
}

START_TEST(a_token_that_the_oracle_puts_far_behind_fails)
{
    mv_run *r = NULL;
    mv_case_result result;
    mv_near_ties ties = {0};
    ck_assert_int_eq(mv_run_open(&r, &options, &error), MV_OK);
    ck_assert_int_eq(judge_last(r, 0, &result, &ties), MV_OK);
    ck_assert_int_eq(result.verdict, MV_VERDICT_PASS);
    ck_assert_uint_eq(ties.n_steps, 6);
    ck_assert_uint_eq(ties.n_flipped, 0);
    ck_assert_int_eq(judge_last(r, 1, &result, &ties), MV_OK);
    ck_assert_int_eq(result.verdict, MV_VERDICT_FAIL);
    ck_assert_int_eq(result.divergence_position, 9);
    ck_assert_uint_eq(ties.n_flipped, 1);
    has(result.reason, "sequence 0 position 9: the engine chose token ");
    has(result.reason, " behind token ");
    mv_run_close(&r);
}
END_TEST

START_TEST(text_needs_a_tokenizer_of_the_same_vocabulary)
{
    run("generation");
    for (size_t i = 0; i < results.n_cases; i++)
        ck_assert_ptr_null(strchr(results.cases[i].name, '\''));
    options.tokenizer = MV_TEST_DATA "/tokenizer_small.model";
    run("generation");
    const mv_case_result *one = find("after 'Once upon a time'");
    ck_assert_int_eq(one->verdict, MV_VERDICT_SKIP);
    has(one->reason, "tokenizer_small.model");
}
END_TEST

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

static Suite *edges_suite(void)
{
    Suite *suite = suite_create("suites_edges");
    TCase *one = tcase_create("edges");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_set_timeout(one, 60);
    suite_add_tcase(suite, one);
    tcase_add_loop_test(one, a_planted_bug_gets_its_verdict, 0, N_OF(bugs));
    tcase_add_loop_test(one, bits_that_change_once_in_a_while_are_called_that_and_nothing_else, 0,
                        N_OF(noisy));
    tcase_add_loop_test(
        one, a_running_maximum_that_is_not_the_maximum_shows_where_scores_lie_hundreds_apart, 0,
        N_OF(maxima));
    tcase_add_loop_test(one,
                        an_engine_with_weights_of_its_own_is_not_blamed_for_what_it_was_not_asked,
                        0, N_OF(askers));
    tcase_add_test(one, only_unchanged_logits_show_that_weights_are_ignored);
    tcase_add_loop_test(one,
                        a_failed_case_is_localised_as_it_was_played_with_its_own_model_and_text, 0,
                        N_OF(localised));
    tcase_add_test(one, the_profile_of_a_planted_bug_is_over_its_limit_there_and_nowhere_else);
    tcase_add_test(one, nonfinite_finds_a_window_whatever_the_prompt_and_says_when_it_may_not);
    tcase_add_test(one, every_id_of_a_small_vocabulary_has_a_row_of_its_own);
    tcase_add_test(one, a_larger_vocabulary_is_covered_in_parts_by_a_row_for_sixteen);
    tcase_add_test(one, a_vocabulary_beyond_the_budget_says_which_ids_it_covers);
    tcase_add_test(one, near_ties_are_counted_and_no_failure);
    tcase_add_test(one, a_token_that_the_oracle_puts_far_behind_fails);
    tcase_add_test(one, text_needs_a_tokenizer_of_the_same_vocabulary);
    return suite;
}

MV_TEST_MAIN(edges_suite)
