/* test_gate.c - the decision by itself, on simulated noise with a fixed seed: how often is it
 * wrong, and how often does it see what is there? */
#include "tests/test_main.h"

#include <math.h>
#include <string.h>

#include "harness/gate.h"

static mv_error error;

/* ---- noise ---- */

static uint64_t state;

static double uniform(void) /* (0, 1): splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

typedef enum kind { HEAVY, CORRELATED, BIMODAL, N_KINDS } kind;

/* What a machine adds to the logarithm of one arm's time in one group. sigma: 0.0123, so that the
 * differences have the robust deviation of 1.74 % that was measured for groups of decode. */
static double disturb(kind which, double *memory)
{
    const double sigma = 0.0123;
    switch (which) {
    case HEAVY: /* Student's t with 2 degrees of freedom: no variance at all */
        return sigma * normal() / sqrt(-log(uniform()));
    case CORRELATED: /* neighbours come and go: resembles what was before */
        *memory = 0.95 * *memory + sigma * normal();
        return *memory;
    case BIMODAL: /* a quarter of the runs gets a fast mode, 19 % below */
        return 0.3 * sigma * normal() - (uniform() < 0.25 ? 0.19 : 0);
    case N_KINDS:
        break;
    }
    return 0;
}

static double memory;

/* One group: both arms one after the other, in random order. */
static double one_group(kind which, double shift)
{
    double first = disturb(which, &memory), second = disturb(which, &memory);
    return (uniform() < 0.5 ? first - second : second - first) + shift;
}

typedef struct outcome {
    int slower, suspect, same, faster, undecided;
} outcome;

static void simulate_one(kind which, double shift, double layout, outcome *out)
{
    double groups[MV_GATE_MAX_GROUPS], fresh[MV_GATE_CONFIRM_GROUPS];
    double control[MV_GATE_CONFIRM_GROUPS];
    const mv_gate_rule rule = mv_gate_rule_of(4);
    mv_gate_metric metric = {.groups = groups, .state = MV_GATE_OPEN};
    size_t n = 0;
    for (size_t look; metric.state == MV_GATE_OPEN && (look = mv_gate_next_look(n)) != 0;) {
        while (n < look)
            groups[n++] = one_group(which, shift + layout);
        ck_assert_int_eq(mv_gate_look(&metric, 1, n, &rule, &error), MV_OK);
    }
    out->same += metric.state == MV_GATE_SAME;
    out->faster += metric.state == MV_GATE_FASTER;
    out->undecided += metric.state == MV_GATE_UNDECIDED;
    if (metric.state != MV_GATE_SUSPECT)
        return;
    out->suspect++;
    mv_estimate again;
    bool confirmed;
    for (size_t i = 0; i < MV_GATE_CONFIRM_GROUPS; i++) {
        fresh[i] = one_group(which, shift + layout);
        control[i] = one_group(which, 0);
    }
    ck_assert_int_eq(
        mv_gate_confirm(&confirmed, &again, fresh, control, MV_GATE_CONFIRM_GROUPS, &rule, &error),
        MV_OK);
    out->slower += confirmed;
}

static outcome simulate(kind which, int n, double shift, double layout)
{
    outcome out = {0};
    state = 20240731 + (uint64_t)which;
    memory = 0;
    for (int i = 0; i < n; i++)
        simulate_one(which, log1p(shift), log1p(layout), &out);
    return out;
}

START_TEST(the_same_program_is_called_slower_in_less_than_one_of_a_hundred_gates)
{
    const int n = 3400;
    outcome out = simulate((kind)_i, n, 0, 0);
    ck_assert_msg(out.suspect <= n / 100, "%d suspected", out.suspect);
    ck_assert_msg(out.slower <= n / 1000, "%d called slower", out.slower);
    ck_assert_int_eq(out.faster, 0);
}
END_TEST

/* Two builds of one source may differ by the layout of their code: the allowance. */
START_TEST(a_difference_within_the_allowance_is_no_regression)
{
    const int n = 1500;
    outcome out = simulate((kind)_i, n, 0, 0.01);
    ck_assert_msg(out.slower <= n / 100, "%d called slower", out.slower);
}
END_TEST

START_TEST(what_is_slower_is_found_more_often_the_slower_it_is)
{
    const int n = 400;
    /* Percent of gates that say slower: at least, and at most, for a true slowdown. Two modes that
     * lie 19 % apart are more than 64 groups can see through; the gate must then not say "same". */
    static const struct {
        double shift;
        int least[N_KINDS], most[N_KINDS];
    } table[] = {
        {0.02, {0, 0, 0}, {2, 2, 2}},
        {0.05, {97, 97, 20}, {100, 100, 100}},
        {0.08, {99, 99, 30}, {100, 100, 100}},
        {0.10, {99, 99, 30}, {100, 100, 100}},
    };
    int before = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        outcome out = simulate((kind)_i, n, table[i].shift, 0);
        ck_assert_msg(100 * out.slower >= n * table[i].least[_i], "%.0f %%: %d of %d slower",
                      100 * table[i].shift, out.slower, n);
        ck_assert_int_le(100 * out.slower, n * table[i].most[_i]);
        if (table[i].shift > 0.045)
            ck_assert_msg(out.same <= n / 50, "%.0f %%: %d of %d same", 100 * table[i].shift,
                          out.same, n);
        ck_assert_int_ge(out.slower + n / 50, before);
        before = out.slower;
    }
}
END_TEST

START_TEST(most_gates_of_the_same_program_end_at_the_first_look)
{
    outcome out = simulate(HEAVY, 1000, 0, 0);
    ck_assert_int_ge(out.same, 990);
}
END_TEST

START_TEST(swapping_the_arms_mirrors_the_verdict)
{
    double groups[32], mirrored[32];
    const mv_gate_rule rule = mv_gate_rule_of(4);
    state = 5;
    for (size_t i = 0; i < 32; i++) {
        groups[i] = 0.08 + 0.01 * normal();
        mirrored[i] = -groups[i];
    }
    mv_gate_metric metrics[2] = {{.groups = groups}, {.groups = mirrored}};
    ck_assert_int_eq(mv_gate_look(metrics, 2, 32, &rule, &error), MV_OK);
    ck_assert_int_eq(metrics[0].state, MV_GATE_SUSPECT);
    ck_assert_int_eq(metrics[1].state, MV_GATE_FASTER);
    ck_assert_double_eq_tol(metrics[0].shift.value, -metrics[1].shift.value, 1e-15);
}
END_TEST

/* Base and its own copy differ as much as base and candidate: the machine, not the program. */
START_TEST(a_control_that_differs_as_much_clears_the_candidate)
{
    double groups[32], control[32];
    const mv_gate_rule rule = mv_gate_rule_of(4);
    mv_estimate shift;
    bool confirmed = true;
    for (size_t i = 0; i < 32; i++) {
        groups[i] = 0.08 + 0.0001 * (double)i;
        control[i] = 0.09;
    }
    ck_assert_int_eq(mv_gate_confirm(&confirmed, &shift, groups, control, 32, &rule, &error),
                     MV_OK);
    ck_assert(!confirmed);
    memset(control, 0, sizeof control);
    ck_assert_int_eq(mv_gate_confirm(&confirmed, &shift, groups, control, 32, &rule, &error),
                     MV_OK);
    ck_assert(confirmed);
}
END_TEST

START_TEST(more_metrics_need_stronger_evidence)
{
    double strong[16], none[16];
    const mv_gate_rule rule = mv_gate_rule_of(4);
    for (size_t i = 0; i < 16; i++) {
        strong[i] = i < 4 ? -0.001 * (double)i : 0.06 + 0.001 * (double)i; /* p = 43 / 2^16 */
        none[i] = (i % 2 == 0 ? 1 : -1) * (0.2 + 0.01 * (double)i);
    }
    mv_gate_metric alone[1] = {{.groups = strong}};
    ck_assert_int_eq(mv_gate_look(alone, 1, 16, &rule, &error), MV_OK);
    ck_assert_int_eq(alone[0].state, MV_GATE_SUSPECT);
    mv_gate_metric crowd[8] = {{.groups = strong}};
    for (size_t i = 1; i < 8; i++)
        crowd[i].groups = none;
    ck_assert_int_eq(mv_gate_look(crowd, 8, 16, &rule, &error), MV_OK);
    ck_assert_int_eq(crowd[0].state, MV_GATE_OPEN);
    ck_assert(crowd[0].p_slower > 7 * alone[0].p_slower);
}
END_TEST

START_TEST(a_group_that_is_no_number_is_refused)
{
    double groups[16] = {0, NAN};
    const mv_gate_rule rule = mv_gate_rule_of(4);
    mv_gate_metric metric = {.groups = groups};
    ck_assert_int_eq(mv_gate_look(&metric, 1, 16, &rule, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(metric.state, MV_GATE_OPEN);
}
END_TEST

static Suite *gate_suite(void)
{
    Suite *suite = suite_create("gate");
    TCase *tcase = tcase_create("gate");
    tcase_set_timeout(tcase, 100);
    tcase_add_loop_test(
        tcase, the_same_program_is_called_slower_in_less_than_one_of_a_hundred_gates, 0, N_KINDS);
    tcase_add_loop_test(tcase, a_difference_within_the_allowance_is_no_regression, 0, N_KINDS);
    tcase_add_loop_test(tcase, what_is_slower_is_found_more_often_the_slower_it_is, 0, N_KINDS);
    tcase_add_test(tcase, most_gates_of_the_same_program_end_at_the_first_look);
    tcase_add_test(tcase, swapping_the_arms_mirrors_the_verdict);
    tcase_add_test(tcase, a_control_that_differs_as_much_clears_the_candidate);
    tcase_add_test(tcase, more_metrics_need_stronger_evidence);
    tcase_add_test(tcase, a_group_that_is_no_number_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(gate_suite)
