/* Rows shared out among the cores: each once, whatever the sizes. */
#include <stdatomic.h>
#include <stdbool.h>

#include "harness/machine.h"
#include "harness/parallel.h"
#include "tests/test_main.h"

enum { MOST_ROWS = 5000 };

typedef struct visits {
    atomic_uint of_row[MOST_ROWS], n_parts;
} visits;

static void visit(void *cookie, uint64_t from, uint64_t to)
{
    visits *v = cookie;
    ck_assert_uint_le(to, MOST_ROWS);
    atomic_fetch_add(&v->n_parts, 1);
    for (uint64_t row = from; row < to; row++)
        atomic_fetch_add(&v->of_row[row], 1);
}

static const struct {
    uint64_t n_rows, n_values;
    bool is_large;
} sizes[] = {{0, 100, false},    {1, 100, false},   {1, 1u << 30, true},
             {2, 1000000, true}, {17, 0, false},    {1000, 1000, false},
             {1001, 1000, true}, {4999, 509, true}, {5000, UINT64_MAX, true}};

START_TEST(every_row_is_visited_once)
{
    visits v = {0};
    mv_parallel(sizes[_i].n_rows, sizes[_i].n_values, visit, &v);
    for (uint64_t row = 0; row < MOST_ROWS; row++)
        ck_assert_uint_eq(v.of_row[row], row < sizes[_i].n_rows ? 1 : 0);
}
END_TEST

START_TEST(only_large_work_is_cut_up)
{
    visits v = {0};
    const unsigned n_cores = (unsigned)mv_machine_n_cores();
    mv_parallel(sizes[_i].n_rows, sizes[_i].n_values, visit, &v);
    ck_assert_uint_eq(v.n_parts, sizes[_i].is_large ? (n_cores < 16 ? n_cores : 16) : 1);
}
END_TEST

static Suite *parallel_suite(void)
{
    const int n = (int)(sizeof sizes / sizeof sizes[0]);
    Suite *suite = suite_create("parallel");
    TCase *one = tcase_create("parallel");
    suite_add_tcase(suite, one);
    tcase_add_loop_test(one, every_row_is_visited_once, 0, n);
    tcase_add_loop_test(one, only_large_work_is_cut_up, 0, n);
    return suite;
}

MV_TEST_MAIN(parallel_suite)
