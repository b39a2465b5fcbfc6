#include "tests/test_main.h"

#include <math.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/bench_engine.h"
#include "harness/elf_check.h"
#include "harness/model.h"
#include "harness/roofline.h"
#include "harness/work.h"

static mv_error error;
static mv_model *model;
static const mv_work some = {sizeof some, 1000, 100, 400, 50, 2000, 300, 7, 0};

static void set_up(void)
{
    (void)setenv("MISTRAL_BACKEND_DIR", MV_BUILD_ROOT "/backends", 1);
    ck_assert_int_eq(mv_model_open(&model, "synthetic:probe", &error), MV_OK);
}

static void tear_down(void)
{
    mv_model_close(&model);
}

/* ---- two builds ---- */

START_TEST(the_same_counters_are_the_same)
{
    mv_bench_comparison row = {.n_groups = -1};
    mv_work_compare(&row, &some, &some);
    ck_assert_int_eq(row.verdict, MV_BENCH_SAME);
    ck_assert_str_eq(row.method, "work");
    ck_assert_double_eq(row.ratio.value, 1);
}
END_TEST

START_TEST(any_counter_that_grew_by_one_is_slower_and_named)
{
    static const char *const names[] = {"linear_multiply_adds",
                                        "output_multiply_adds",
                                        "attention_multiply_adds",
                                        "attention_pairs",
                                        "weight_bytes",
                                        "kv_cache_bytes",
                                        "calls",
                                        "allocations"};
    mv_bench_comparison row = {.n_groups = -1};
    mv_work more = some;
    uint64_t *const counter = &(&more.linear_multiply_adds)[_i];
    ++*counter;
    mv_work_compare(&row, &some, &more);
    ck_assert_int_eq(row.verdict, MV_BENCH_SLOWER);
    ck_assert_ptr_nonnull(strstr(row.reason, names[_i]));
    ck_assert_ptr_nonnull(strstr(row.reason, "grew from"));
}
END_TEST

START_TEST(less_of_one_does_not_pay_for_more_of_another)
{
    mv_bench_comparison row = {.n_groups = -1};
    mv_work other = some;
    other.linear_multiply_adds = 1;
    other.allocations = 1;
    mv_work_compare(&row, &some, &other);
    ck_assert_int_eq(row.verdict, MV_BENCH_SLOWER);
    other.allocations = 0;
    mv_work_compare(&row, &some, &other);
    ck_assert_int_eq(row.verdict, MV_BENCH_FASTER);
}
END_TEST

START_TEST(eight_counters_that_grew_fit_the_reason)
{
    mv_bench_comparison row = {.n_groups = -1};
    mv_work none = {.struct_size = sizeof none}, most;
    memset(&most, 0x7f, sizeof most);
    mv_work_compare(&row, &none, &most);
    ck_assert_int_eq(row.verdict, MV_BENCH_SLOWER);
    ck_assert_uint_lt(strnlen(row.reason, sizeof row.reason), sizeof row.reason);
}
END_TEST

/* ---- a build and the formulas ---- */

static const mv_bench_shape shapes[] = {
    {.prompt = 20, .batch = 1, .threads = 1},
    {.prompt = 20, .window = 8, .batch = 1, .threads = 1},
    {.prompt = 37, .chunk = 5, .window = 8, .batch = 2, .threads = 1},
    {.prompt = 9, .depth = 30, .chunk = 4, .window = 6, .batch = 3, .threads = 1},
    {.generate = 4, .depth = 3, .batch = 1, .threads = 1},
    {.generate = 7, .depth = 21, .window = 8, .batch = 2, .threads = 1},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static mv_bench_phase phase_of(const mv_bench_shape *shape)
{
    return shape->prompt > 0 ? MV_BENCH_PREFILL : MV_BENCH_DECODE;
}

static mv_work count(const mv_bench_shape *shape)
{
    const mv_bench_subject subject = {.model = mv_model_get_view(model), .seed = 3};
    mv_bench_subject real = subject;
    mv_bench_engine *engine = NULL;
    mv_bench_pass pass;
    mv_work work = {.struct_size = sizeof work};
    ck_assert_int_eq(mv_backend_load(&real.backend, "reference", NULL, 0, &error), MV_OK);
    ck_assert_int_eq(mv_bench_engine_open(&engine, &real, phase_of(shape), shape, 0, &error),
                     MV_OK);
    ck_assert_int_eq(mv_bench_engine_prepare(engine, &error), MV_OK);
    real.backend->work(mv_bench_engine_get(engine), &work, 1);
    ck_assert_int_eq(mv_bench_engine_pass(engine, &pass, &error), MV_OK);
    work = (mv_work){.struct_size = sizeof work};
    real.backend->work(mv_bench_engine_get(engine), &work, 1);
    mv_bench_engine_close(&engine);
    return work;
}

static bool explained(const mv_work *work, const mv_bench_shape *shape, char text[160])
{
    return mv_work_is_explained(text, 160, work, mv_model_get_view(model), MV_COMPUTE_F32,
                                phase_of(shape), shape);
}

START_TEST(what_the_reference_counts_is_what_the_formulas_say)
{
    char text[160] = "";
    const mv_work work = count(&shapes[_i]);
    ck_assert_uint_gt(work.linear_multiply_adds, 0);
    ck_assert_msg(explained(&work, &shapes[_i], text), "%s", text);
}
END_TEST

START_TEST(what_the_formulas_do_not_say_is_named)
{
    static const struct {
        const char *name;
        size_t counter;
        int64_t change;
    } table[] = {
        {"linear_multiply_adds", 0, 1},    {"output_multiply_adds", 1, 1},
        {"attention_multiply_adds", 2, 1}, {"attention_multiply_adds", 2, -64},
        {"attention_pairs", 3, 1 << 20},   {"allocations", 7, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[160] = "";
        mv_work work = count(&shapes[_i]);
        uint64_t *const counter = &(&work.linear_multiply_adds)[table[i].counter];
        *counter += (uint64_t)table[i].change;
        ck_assert_msg(!explained(&work, &shapes[_i], text), "%s %+lld", table[i].name,
                      (long long)table[i].change);
        ck_assert_msg(strstr(text, table[i].name) != NULL, "%s: %s", table[i].name, text);
    }
}
END_TEST

START_TEST(less_than_the_rows_that_were_asked_for_need_is_named)
{
    char text[160] = "";
    const mv_cost cost = mv_cost_of_shape(mv_model_get_view(model), MV_COMPUTE_F32,
                                          phase_of(&shapes[_i]), &shapes[_i], NULL);
    mv_work work = count(&shapes[_i]);
    work.linear_multiply_adds = (uint64_t)(cost.linear_flops / 2);
    ck_assert_msg(explained(&work, &shapes[_i], text), "%s", text);
    work.linear_multiply_adds--;
    ck_assert(!explained(&work, &shapes[_i], text));
    ck_assert_ptr_nonnull(strstr(text, "linear_multiply_adds"));
    work.linear_multiply_adds++;
    work.attention_pairs = (uint64_t)cost.pairs - 1;
    work.attention_multiply_adds =
        2 * (uint64_t)mv_model_get_view(model)->params.head_dim * work.attention_pairs;
    ck_assert(!explained(&work, &shapes[_i], text));
    ck_assert_ptr_nonnull(strstr(text, "attention_pairs"));
}
END_TEST

START_TEST(an_ignored_window_is_more_pairs_than_the_rectangle_holds)
{
    char text[160] = "";
    mv_bench_shape wide = shapes[2];
    wide.window = 0;
    const mv_work work = count(&wide);
    ck_assert(!explained(&work, &shapes[2], text));
    ck_assert_ptr_nonnull(strstr(text, "attention_pairs"));
}
END_TEST

START_TEST(an_engine_that_does_not_count_is_not_judged)
{
    char text[160] = "";
    const mv_work none = {.struct_size = sizeof none};
    ck_assert(explained(&none, &shapes[0], text));
}
END_TEST

/* ---- layout ---- */

START_TEST(our_backends_are_built_so_that_relinking_moves_no_function_in_its_line)
{
    ck_assert_uint_ge(
        mv_elf_text_alignment(MV_BUILD_ROOT "/backends/reference/mistral_reference.so"), 64);
    ck_assert_uint_ge(mv_elf_text_alignment(MV_BUILD_ROOT "/backends/blas/mistral_blas.so"), 64);
    ck_assert_uint_eq(mv_elf_text_alignment("/nowhere.so"), 0);
    ck_assert_uint_eq(mv_elf_text_alignment(__FILE__), 0);
}
END_TEST

static Suite *work_suite(void)
{
    Suite *suite = suite_create("work");
    TCase *tcase = tcase_create("work");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_same_counters_are_the_same);
    tcase_add_loop_test(tcase, any_counter_that_grew_by_one_is_slower_and_named, 0, 8);
    tcase_add_test(tcase, less_of_one_does_not_pay_for_more_of_another);
    tcase_add_test(tcase, eight_counters_that_grew_fit_the_reason);
    tcase_add_loop_test(tcase, what_the_reference_counts_is_what_the_formulas_say, 0, N_SHAPES);
    tcase_add_loop_test(tcase, what_the_formulas_do_not_say_is_named, 0, N_SHAPES);
    tcase_add_loop_test(tcase, less_than_the_rows_that_were_asked_for_need_is_named, 0, N_SHAPES);
    tcase_add_test(tcase, an_ignored_window_is_more_pairs_than_the_rectangle_holds);
    tcase_add_test(tcase, an_engine_that_does_not_count_is_not_judged);
    tcase_add_test(tcase, our_backends_are_built_so_that_relinking_moves_no_function_in_its_line);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(work_suite)
