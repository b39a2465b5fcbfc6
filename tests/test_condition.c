/* What a model can show, and what --strict asks beyond the limits. */
#include <math.h>

#include "suites/changed_model.h"
#include "suites/condition.h"
#include "suites/noise.h"
#include "tests/suite_fixture.h"

static const mv_backend *mutant;
static mv_changed_model changed;

static void set_up_condition(void)
{
    set_up();
    if (mv_backend_load(&mutant, MV_BUILD_ROOT "/backends/mutant/mistral_mutant.so", NULL, 0,
                        &error) != MV_OK ||
        mv_changed_model_init(&changed, mv_model_get_view(model), &error) != MV_OK)
        ck_abort_msg("%s", error.message);
    options.backend = reference;
    options.mutant = mutant;
}

static void tear_down_condition(void)
{
    mv_changed_model_free(&changed);
    tear_down();
}

static mv_verdict verdict_of(const char *suite)
{
    return run(suite).verdict;
}

static const mv_case_result *find(const char *name)
{
    for (size_t i = 0; i < results.n_cases; i++) {
        if (strcmp(results.cases[i].name, name) == 0)
            return &results.cases[i];
    }
    return NULL;
}

/* Every query sees every key alike, wherever it stands. */
static void make_attention_uniform(void)
{
    for (uint32_t l = 0; l < changed.view.params.n_layers; l++)
        mv_changed_model_zero(&changed, &changed.layers[l].wq);
    options.model = &changed.view;
}

/* ---- condition ---- */

START_TEST(a_conditioned_model_shows_what_every_suite_is_about)
{
    static const mv_compute computes[] = {MV_COMPUTE_F32, MV_COMPUTE_BF16, MV_COMPUTE_F64};
    options.compute = computes[_i];
    ck_assert_int_eq(verdict_of("condition"), MV_VERDICT_PASS);
    ck_assert_uint_gt(results.n_cases, 15);
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_PASS);
    ck_assert_ptr_null(find("condition"));
}
END_TEST

START_TEST(a_suite_on_a_model_that_cannot_show_its_bugs_is_vacuous)
{
    make_attention_uniform();
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_VACUOUS);
    const mv_case_result *one = find("condition");
    ck_assert_ptr_nonnull(one);
    ck_assert_int_eq(one->verdict, MV_VERDICT_VACUOUS);
    ck_assert_msg(strstr(one->reason, "too tame") != NULL &&
                      strstr(one->reason, "rope_restarts_with_chunk") != NULL,
                  "%s", one->reason);
    ck_assert_int_eq(verdict_of("condition"), MV_VERDICT_VACUOUS);
    ck_assert_int_eq(find("shows rope_halves")->verdict, MV_VERDICT_VACUOUS);
    /* the mask still counts where positions do not */
    ck_assert_int_eq(find("shows window_plus_1_one_layer")->verdict, MV_VERDICT_PASS);
    ck_assert_int_eq(find("bears sums_reversed")->verdict, MV_VERDICT_PASS);
}
END_TEST

START_TEST(a_tame_model_does_not_hide_a_failure)
{
    make_attention_uniform();
    options.backend = engines_get(reference, WINDOW_PLUS_1, 0);
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_FAIL);
}
END_TEST

START_TEST(without_the_mutants_condition_says_that_they_are_missing)
{
    options.mutant = NULL;
    ck_assert_int_eq(verdict_of("condition"), MV_VERDICT_SKIP);
    ck_assert_ptr_nonnull(strstr(results.cases[0].reason, "'mutant'"));
    make_attention_uniform();
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_PASS);
}
END_TEST

/* ---- --strict ---- */

/* In bfloat16 a scale wrong by a hundredth is within every limit on one prompt, and far outside of
 * what harmless variants do there. */
START_TEST(strict_sees_a_small_bias_that_the_limits_let_pass)
{
    options.compute = MV_COMPUTE_BF16;
    options.backend = engines_get(reference, NOISY, 0);
    engines_noise = 0.004;
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_PASS);
    options.strict = true;
    ck_assert_int_eq(verdict_of("chunking"), MV_VERDICT_FAIL);
    const mv_case_result *one = &results.cases[0];
    ck_assert_msg(strstr(one->reason, "spreads off") != NULL, "%s", one->reason);
    ck_assert_double_gt(one->headroom, 1.0);
}
END_TEST

START_TEST(strict_lets_harmless_variants_pass)
{
    /* none of these is in the ensemble itself */
    static const char *const others[] = {"sums_permuted_b", "sums_pairwise",
                                         "rope_frequency_by_powf"};
    static const mv_compute computes[] = {MV_COMPUTE_F32, MV_COMPUTE_BF16};
    const mv_option option = {"mutant", others[_i]};
    options.strict = true;
    options.backend = mutant;
    options.options = &option;
    options.n_options = 1;
    for (size_t i = 0; i < 2; i++) {
        options.compute = computes[i];
        const mv_verdict verdict = verdict_of("chunking");
        for (size_t j = 0; j < results.n_cases; j++)
            ck_assert_msg(results.cases[j].verdict == MV_VERDICT_PASS, "%s: %s",
                          results.cases[j].name, results.cases[j].reason);
        ck_assert_int_eq(verdict, MV_VERDICT_PASS);
    }
}
END_TEST

static Suite *condition_suite(void)
{
    Suite *suite = suite_create("condition");
    TCase *models = tcase_create("condition");
    tcase_add_checked_fixture(models, set_up_condition, tear_down_condition);
    tcase_set_timeout(models, 60);
    tcase_add_loop_test(models, a_conditioned_model_shows_what_every_suite_is_about, 0, 3);
    tcase_add_test(models, a_suite_on_a_model_that_cannot_show_its_bugs_is_vacuous);
    tcase_add_test(models, a_tame_model_does_not_hide_a_failure);
    tcase_add_test(models, without_the_mutants_condition_says_that_they_are_missing);
    suite_add_tcase(suite, models);
    TCase *strict = tcase_create("strict");
    tcase_add_checked_fixture(strict, set_up_condition, tear_down_condition);
    tcase_set_timeout(strict, 60);
    tcase_add_test(strict, strict_sees_a_small_bias_that_the_limits_let_pass);
    tcase_add_loop_test(strict, strict_lets_harmless_variants_pass, 0, 3);
    suite_add_tcase(suite, strict);
    return suite;
}

MV_TEST_MAIN(condition_suite)
