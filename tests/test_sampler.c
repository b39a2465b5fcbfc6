#include "harness/sampler.h"

#include <math.h>
#include <string.h>

#include "harness/synthetic.h"
#include "tests/test_main.h"

static mv_sampler *open_sampler(uint32_t vocab_size, double temperature, double top_p,
                                uint64_t seed)
{
    const mv_sampler_options options = {temperature, top_p, seed};
    mv_sampler *sampler = NULL;
    mv_error error = {0};
    mv_code code = mv_sampler_open(&sampler, vocab_size, &options, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return sampler;
}

static int32_t pick(mv_sampler *sampler, const float *logits, uint64_t stream, uint64_t index)
{
    int32_t token = -1;
    mv_error error = {0};
    mv_code code = mv_sampler_pick(sampler, logits, stream, index, &token, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return token;
}

/* How often each of n tokens comes in 20000 draws, as fractions. */
enum { N_DRAWS = 20000 };
static void count(double *fractions, const float *logits, uint32_t n, double temperature,
                  double top_p)
{
    mv_sampler *sampler = open_sampler(n, temperature, top_p, 5);
    memset(fractions, 0, n * sizeof *fractions);
    for (uint64_t i = 0; i < N_DRAWS; i++)
        fractions[pick(sampler, logits, 0, i)] += 1.0 / N_DRAWS;
    mv_sampler_close(&sampler);
    ck_assert_ptr_null(sampler);
}

/* Four standard deviations of 20000 draws are at most 0.0142. */
#define NEAR 0.0142

static void log_all(float *logits, const double *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)log(p[i]) + 3.0f; /* an offset changes nothing */
}

START_TEST(takes_the_largest_at_temperature_0_and_the_lowest_id_among_equals)
{
    const float logits[] = {-1.0f, 2.0f, 7.0f, 7.0f, -INFINITY};
    mv_sampler *sampler = open_sampler(5, 0.0, 0.8, 1);
    for (uint64_t i = 0; i < 10; i++)
        ck_assert_int_eq(pick(sampler, logits, i, i), 2);
    mv_sampler_close(&sampler);
}
END_TEST

START_TEST(keeps_the_smallest_prefix_whose_mass_first_exceeds_top_p)
{
    const double p[] = {0.05, 0.3, 0.15, 0.5};
    float logits[4];
    double found[4];
    log_all(logits, p, 4);
    count(found, logits, 4, 1.0, 0.75); /* .5, .3: the second crosses and stays */
    ck_assert_double_eq(found[0] + found[2], 0.0);
    ck_assert_double_eq_tol(found[3], 0.5 / 0.8, NEAR);
    ck_assert_double_eq_tol(found[1], 0.3 / 0.8, NEAR);
    count(found, logits, 4, 1.0, 0.85); /* .15 crosses */
    ck_assert_double_eq(found[0], 0.0);
    ck_assert_double_eq_tol(found[2], 0.15 / 0.95, NEAR);
}
END_TEST

START_TEST(draws_from_all_at_top_p_1_and_from_the_best_at_0)
{
    const double p[] = {0.05, 0.3, 0.15, 0.5};
    float logits[4];
    double found[4];
    log_all(logits, p, 4);
    count(found, logits, 4, 1.0, 1.0);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(found[i], p[i], NEAR);
    count(found, logits, 4, 1.0, 0.0);
    ck_assert_double_eq_tol(found[3], 1.0, 1e-9);
}
END_TEST

START_TEST(sharpens_before_it_cuts)
{
    const double p[] = {0.2, 0.4, 0.4};
    float logits[3];
    double found[3];
    log_all(logits, p, 3);
    count(found, logits, 3, 0.5, 1.0); /* squares: .04 .16 .16 of .36 */
    ck_assert_double_eq_tol(found[0], 0.04 / 0.36, NEAR);
    ck_assert_double_eq_tol(found[1], 0.16 / 0.36, NEAR);
    count(found, logits, 3, 0.5, 0.85); /* .444 + .444 > .85, which .4 + .4 is not */
    ck_assert_double_eq(found[0], 0.0);
}
END_TEST

/* splitmix64's finaliser over (seed 7, stream 3, index), computed by ten lines of Python. */
START_TEST(draws_what_the_documented_generator_says)
{
    static const int32_t expected[] = {2, 7, 4, 4, 0, 9, 9, 3, 4, 5, 1, 6, 9, 0, 0, 8};
    const float logits[10] = {0};
    mv_sampler *sampler = open_sampler(10, 1.0, 1.0, 7);
    for (uint64_t i = 16; i-- > 0;) /* backwards: there is no state */
        ck_assert_int_eq(pick(sampler, logits, 3, i), expected[i]);
    mv_sampler_close(&sampler);
    int n_other_seed = 0, n_other_stream = 0;
    mv_sampler *other = open_sampler(10, 1.0, 1.0, 8);
    sampler = open_sampler(10, 1.0, 1.0, 7);
    for (uint64_t i = 0; i < 16; i++) {
        n_other_seed += pick(other, logits, 3, i) != expected[i];
        n_other_stream += pick(sampler, logits, 4, i) != expected[i];
    }
    ck_assert_int_gt(n_other_seed, 8);
    ck_assert_int_gt(n_other_stream, 8);
    mv_sampler_close(&other);
    mv_sampler_close(&sampler);
}
END_TEST

typedef struct ranked {
    double p;
    int32_t token;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->p < y->p ? 1 : x->p > y->p ? -1 : x->token - y->token;
}

/* The definition once more, with every token sorted and none left out beforehand. */
static int32_t pick_plainly(const float *logits, int n, double temperature, double top_p,
                            uint64_t index)
{
    ranked all[1000];
    double sum = 0.0, mass = 0.0, seen = 0.0;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        all[i] = (ranked){exp(((double)logits[i] - 9.0) / temperature), i};
        sum += all[i].p;
    }
    qsort(all, (size_t)n, sizeof *all, by_rank);
    for (; kept < n && (kept == 0 || mass / sum <= top_p); kept++)
        mass += all[kept].p;
    const double draw = (double)(mv_synthetic_bits(5, 0, index) >> 11) * 0x1p-53 * mass;
    for (int i = 0; i < kept; i++) {
        seen += all[i].p;
        if (draw < seen)
            return all[i].token;
    }
    return all[kept - 1].token;
}

START_TEST(leaves_out_nothing_that_the_definition_keeps)
{
    static const double cases[][2] = {{1.0, 0.8}, {0.3, 0.999}, {2.0, 0.99999}, {1.0, 1.0}};
    enum { N = 1000 };
    float logits[N];
    for (uint64_t i = 0; i < N; i++)
        logits[i] = (float)((double)(mv_synthetic_bits(9, 9, i) >> 40) * 0x1p-24 * 20.0 - 11.0);
    mv_sampler *sampler = open_sampler(N, cases[_i][0], cases[_i][1], 5);
    for (uint64_t i = 0; i < 300; i++)
        ck_assert_int_eq(pick(sampler, logits, 0, i),
                         pick_plainly(logits, N, cases[_i][0], cases[_i][1], i));
    mv_sampler_close(&sampler);
}
END_TEST

START_TEST(never_draws_what_is_impossible)
{
    const float logits[] = {0.0f, -INFINITY, 0.0f};
    double found[3];
    count(found, logits, 3, 1.0, 1.0);
    ck_assert_double_eq(found[1], 0.0);
    ck_assert_double_eq_tol(found[0], 0.5, NEAR);
}
END_TEST

static const struct bad_option {
    mv_sampler_options options;
    const char *fragment;
} bad_options[] = {
    {{NAN, 0.8, 1}, "--temperature: expected 0 (greedy) to 1e6, found nan"},
    {{-0.5, 0.8, 1}, "--temperature: expected 0 (greedy) to 1e6, found -0.5"},
    {{INFINITY, 0.8, 1}, "--temperature: expected 0 (greedy) to 1e6, found inf"},
    {{1.0, NAN, 1}, "--top-p: expected 0 to 1, found nan"},
    {{1.0, 1.01, 1}, "--top-p: expected 0 to 1, found 1.01"},
    {{1.0, -0.1, 1}, "--top-p: expected 0 to 1, found -0.1"},
};

START_TEST(refuses_options_that_mean_nothing)
{
    mv_sampler *sampler = NULL;
    mv_error error = {0};
    ck_assert_int_eq(mv_sampler_open(&sampler, 5, &bad_options[_i].options, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, bad_options[_i].fragment) != NULL, "%s", error.message);
    ck_assert_ptr_null(sampler);
}
END_TEST

static const struct bad_row {
    float logits[3];
    const char *fragment;
} bad_rows[] = {
    {{1.0f, NAN, 0.0f}, "the logit of token 1 is nan"},
    {{1.0f, 0.0f, INFINITY}, "the logit of token 2 is inf"},
    {{-INFINITY, -INFINITY, -INFINITY}, "every logit is -inf"},
};

START_TEST(refuses_a_row_that_an_engine_got_wrong)
{
    for (double temperature = 0.0; temperature < 2.0; temperature += 1.0) {
        mv_sampler *sampler = open_sampler(3, temperature, 0.8, 1);
        int32_t token;
        mv_error error = {0};
        ck_assert_int_eq(mv_sampler_pick(sampler, bad_rows[_i].logits, 0, 0, &token, &error),
                         MV_ERR_BACKEND);
        ck_assert_msg(strstr(error.message, bad_rows[_i].fragment) != NULL, "%s", error.message);
        mv_sampler_close(&sampler);
    }
}
END_TEST

START_TEST(gives_the_log_of_the_softmax)
{
    const float small[] = {0.0f, 1.0f, -INFINITY}, large[] = {1e4f, 1e4f + 1.0f, -1e4f};
    ck_assert_double_eq_tol(mv_log_prob(small, 3, 1), -log(1.0 + exp(-1.0)), 1e-15);
    ck_assert_double_eq_tol(mv_log_prob(large, 3, 1), -log(1.0 + exp(-1.0)), 1e-12);
    ck_assert_double_eq_tol(exp(mv_log_prob(small, 3, 0)) + exp(mv_log_prob(small, 3, 1)), 1.0,
                            1e-15);
    ck_assert(mv_log_prob(small, 3, 2) == -INFINITY);
}
END_TEST

static Suite *sampler_suite(void)
{
    Suite *suite = suite_create("sampler");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 30);
    tcase_add_test(all, takes_the_largest_at_temperature_0_and_the_lowest_id_among_equals);
    tcase_add_test(all, keeps_the_smallest_prefix_whose_mass_first_exceeds_top_p);
    tcase_add_test(all, draws_from_all_at_top_p_1_and_from_the_best_at_0);
    tcase_add_test(all, sharpens_before_it_cuts);
    tcase_add_test(all, draws_what_the_documented_generator_says);
    tcase_add_loop_test(all, leaves_out_nothing_that_the_definition_keeps, 0, 4);
    tcase_add_test(all, never_draws_what_is_impossible);
    tcase_add_loop_test(all, refuses_options_that_mean_nothing, 0,
                        (int)(sizeof bad_options / sizeof *bad_options));
    tcase_add_loop_test(all, refuses_a_row_that_an_engine_got_wrong, 0,
                        (int)(sizeof bad_rows / sizeof *bad_rows));
    tcase_add_test(all, gives_the_log_of_the_softmax);
    suite_add_tcase(suite, all);
    return suite;
}

MV_TEST_MAIN(sampler_suite)
