#include "harness/model_check.h"

#include <math.h>
#include <string.h>

#include "harness/release.h"
#include "harness/weights.h"
#include "tests/test_main.h"

static mv_model *open_probe(void)
{
    mv_model *model = NULL;
    mv_error error = {0};
    ck_assert_int_eq(mv_model_open(&model, "synthetic:probe,n_layers=2", &error), MV_OK);
    return model;
}

/* The synthetic weights are the model's own memory: a test may plant what it likes. */
static uint16_t *numbers(const mv_model *model, size_t index, size_t *n)
{
    const mv_tensor *tensor = mv_weight_at(mv_model_get_view(model), index);
    *n = tensor->size_bytes / 2;
    return (uint16_t *)(uintptr_t)tensor->data;
}

static mv_findings check(const mv_model *model)
{
    mv_findings findings;
    mv_error error = {0};
    mv_code code = mv_model_check(model, &findings, NULL, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return findings;
}

START_TEST(finds_a_synthetic_model_sound)
{
    mv_model *model = open_probe();
    mv_findings findings = check(model);
    ck_assert_uint_eq(findings.n_errors, 0);
    ck_assert_uint_eq(findings.n_warnings, 0);
    ck_assert_uint_eq(findings.n, 1);
    ck_assert_ptr_nonnull(strstr(findings.list[0].text, "no tokenizer.model"));
    mv_findings_free(&findings);
    mv_model_close(&model);
}
END_TEST

/* A plant: numbers from ... of a tensor become bits, n of them (0: all). */
static const struct plant {
    size_t tensor, from, n;
    uint16_t bits; /* bf16 */
    mv_finding_kind kind;
    const char *fragment;
} plants[] = {
    {2, 65, 1, 0x7fc0, MV_FINDING_ERROR,
     "layers.0.attention.wq.weight: expected finite numbers, found 1 NaN and 0 infinite among "
     "8192; "
     "the first at [1, 1]"},
    {0, 7, 2, 0xff80, MV_FINDING_ERROR,
     "tok_embeddings.weight: expected finite numbers, found 0 "
     "NaN and 2 infinite"},
    {3, 0, 0, 0x0000, MV_FINDING_ERROR, "layers.0.attention.wk.weight: all 2048 numbers are 0"},
    {3, 0, 0, 0x3f80, MV_FINDING_WARNING, "layers.0.attention.wk.weight: all 2048 numbers are 1"},
    {1, 0, 0, 0x3f80, MV_FINDING_NOTE, "layers.0.attention_norm.weight: all 64 numbers are 1"},
    {9, 9, 1, 0x4780, MV_FINDING_WARNING, "layers.0.feed_forward.w3.weight: 1 numbers are beyond"},
    {9, 9, 1, 0x4580, MV_FINDING_WARNING,
     "layers.0.feed_forward.w3.weight: the largest number is 4"},
    {20, 0, 20000, 0, MV_FINDING_WARNING, "output.weight: 61 % of 32576 numbers are exactly 0"},
};

START_TEST(finds_what_was_planted)
{
    const struct plant *plant = &plants[_i];
    mv_model *model = open_probe();
    size_t n;
    uint16_t *values = numbers(model, plant->tensor, &n);
    for (size_t i = 0; i < (plant->n == 0 ? n : plant->n); i++)
        values[plant->from + i] = plant->bits;
    mv_findings findings = check(model);
    ck_assert_uint_eq(findings.n, 2);
    ck_assert_msg(strstr(findings.list[0].text, plant->fragment) != NULL, "%s",
                  findings.list[0].text);
    ck_assert_int_eq(findings.list[0].kind, plant->kind);
    ck_assert_uint_eq(findings.n_errors, plant->kind == MV_FINDING_ERROR ? 1 : 0);
    ck_assert_uint_eq(findings.n_warnings, plant->kind == MV_FINDING_WARNING ? 1 : 0);
    mv_findings_free(&findings);
    mv_model_close(&model);
}
END_TEST

/* wk of one layer over that of the other: the kind of mistake that a converter makes. */
START_TEST(finds_one_tensor_written_over_another)
{
    mv_model *model = open_probe();
    size_t n;
    uint16_t *from = numbers(model, 3, &n), *to = numbers(model, 12, &n);
    memcpy(to, from, n * sizeof *to);
    mv_findings findings = check(model);
    ck_assert_uint_eq(findings.n_errors, 1);
    ck_assert_ptr_nonnull(strstr(findings.list[0].text,
                                 "layers.0.attention.wk.weight and layers.1.attention.wk.weight "
                                 "have the same numbers"));
    mv_findings_free(&findings);
    mv_model_close(&model);
}
END_TEST

START_TEST(takes_an_output_that_repeats_the_embedding_as_tied)
{
    mv_model *model = open_probe();
    size_t n;
    uint16_t *from = numbers(model, 0, &n), *to = numbers(model, 20, &n);
    memcpy(to, from, n * sizeof *to);
    mv_findings findings = check(model);
    ck_assert_uint_eq(findings.n_errors + findings.n_warnings, 0);
    ck_assert_ptr_nonnull(strstr(findings.list[0].text, "tied, written out"));
    mv_findings_free(&findings);
    mv_model_close(&model);
}
END_TEST

START_TEST(counts_what_a_tensor_holds)
{
    const float f32[] = {1.0f, -3.0f, 0.0f, NAN, INFINITY, 70000.0f};
    const uint16_t f16[] = {0x3c00, 0x0001, 0x7c00, 0x7e00, 0xfbff, 0x0000};
    mv_tensor tensor = {.data = f32, .size_bytes = sizeof f32, .dtype = MV_DTYPE_F32};
    mv_weight_stats s;
    mv_weight_stats_take(&s, &tensor);
    ck_assert_uint_eq(s.n_elements, 6);
    ck_assert_uint_eq(s.n_nan, 1);
    ck_assert_uint_eq(s.n_infinite, 1);
    ck_assert_uint_eq(s.n_zero, 1);
    ck_assert_uint_eq(s.first_bad, 3);
    ck_assert_uint_eq(s.n_beyond_f16, 1);
    ck_assert_double_eq(s.max_abs, 70000.0);
    ck_assert_double_eq_tol(s.rms, sqrt((1.0 + 9.0 + 4.9e9) / 4.0), 1e-9);
    tensor = (mv_tensor){.data = f16, .size_bytes = sizeof f16, .dtype = MV_DTYPE_F16};
    mv_weight_stats_take(&s, &tensor);
    ck_assert_uint_eq(s.n_nan, 1);
    ck_assert_uint_eq(s.n_infinite, 1);
    ck_assert_uint_eq(s.first_bad, 2);
    ck_assert_double_eq(s.max_abs, 65504.0);
    ck_assert_uint_eq(s.n_beyond_f16, 0);
    ck_assert(!s.constant);
}
END_TEST

/* ---- releases ---- */

static mv_params v01(void)
{
    return (mv_params){4096, 32, 128, 14336, 32, 8, 32000, 4096, 1e-5, 1e4};
}

START_TEST(knows_the_releases_by_window_theta_and_vocabulary)
{
    mv_params p = v01();
    const char *expected = NULL;
    ck_assert_str_eq(mv_release_find(&p)->name, "Mistral-7B v0.1");
    p.sliding_window = 0;
    p.rope_theta = 1e6;
    ck_assert_str_eq(mv_release_find(&p)->name, "Mistral-7B v0.2");
    p.vocab_size = 32768;
    ck_assert_str_eq(mv_release_find(&p)->name, "Mistral-7B v0.3");
    ck_assert(!mv_release_is_mixed(&p, &expected));
    p.n_layers = 31;
    ck_assert_ptr_null(mv_release_find(&p));
    ck_assert(!mv_release_is_mixed(&p, &expected));
}
END_TEST

START_TEST(warns_of_the_shapes_of_a_release_with_another_ones_numbers)
{
    const char *expected = NULL;
    mv_params p = v01();
    p.rope_theta = 1e6;
    ck_assert_ptr_null(mv_release_find(&p));
    ck_assert(mv_release_is_mixed(&p, &expected));
    ck_assert_ptr_nonnull(strstr(expected, "window 4096, theta 1e4 (v0.1)"));
    p = v01();
    p.sliding_window = 0;
    ck_assert(mv_release_is_mixed(&p, &expected));
    p = v01();
    p.vocab_size = 32768;
    ck_assert(mv_release_is_mixed(&p, &expected));
    ck_assert_ptr_nonnull(strstr(expected, "(v0.3)"));
}
END_TEST

static Suite *model_check_suite(void)
{
    Suite *suite = suite_create("model_check");
    TCase *all = tcase_create("all");
    tcase_add_test(all, finds_a_synthetic_model_sound);
    tcase_add_loop_test(all, finds_what_was_planted, 0, (int)(sizeof plants / sizeof *plants));
    tcase_add_test(all, finds_one_tensor_written_over_another);
    tcase_add_test(all, takes_an_output_that_repeats_the_embedding_as_tied);
    tcase_add_test(all, counts_what_a_tensor_holds);
    tcase_add_test(all, knows_the_releases_by_window_theta_and_vocabulary);
    tcase_add_test(all, warns_of_the_shapes_of_a_release_with_another_ones_numbers);
    suite_add_tcase(suite, all);
    return suite;
}

MV_TEST_MAIN(model_check_suite)
