#include "harness/gate.h"

#include <math.h>
#include <stdlib.h>

static const size_t looks[] = {16, 32, 64};
#define N_LOOKS (sizeof looks / sizeof *looks)

mv_gate_rule mv_gate_rule_of(double percent)
{
    const double most = percent / 100;
    return (mv_gate_rule){
        .alpha = 0.01,
        .allowance = log1p(most / 4),
        .least = log1p(most * 3 / 4),
        .most = log1p(most),
    };
}

size_t mv_gate_next_look(size_t n_groups)
{
    for (size_t i = 0; i < N_LOOKS; i++)
        if (looks[i] > n_groups)
            return looks[i];
    return 0;
}

/* One-sided p of "the groups are centred above +allowance" and of "below -allowance". */
static mv_code test_shift(double *p_slower, double *p_faster, const double *groups, size_t n,
                          double allowance, mv_error *error)
{
    double moved[MV_GATE_MAX_GROUPS] = {0}, other;
    if (n > MV_GATE_MAX_GROUPS)
        return mv_fail(error, MV_ERR_ARGUMENT, "%zu groups, expected at most %d", n,
                       MV_GATE_MAX_GROUPS);
    for (size_t i = 0; i < n; i++)
        moved[i] = groups[i] - allowance;
    mv_code code = mv_signed_rank(p_slower, &other, moved, n, error);
    for (size_t i = 0; i < n; i++)
        moved[i] = groups[i] + allowance;
    return code == MV_OK ? mv_signed_rank(&other, p_faster, moved, n, error) : code;
}

/* Holm over all metrics. Those that were decided before count as if they were the last in order,
 * which is the cautious side. */
static mv_code adjust(mv_gate_metric *metrics, size_t n_metrics, const bool *is_open,
                      mv_error *error)
{
    double slower[MV_GATE_MAX_METRICS], faster[MV_GATE_MAX_METRICS];
    for (size_t i = 0; i < n_metrics; i++) {
        slower[i] = is_open[i] ? metrics[i].p_slower : 1;
        faster[i] = is_open[i] ? metrics[i].p_faster : 1;
    }
    mv_code code = mv_holm(slower, slower, n_metrics, error);
    if (code == MV_OK)
        code = mv_holm(faster, faster, n_metrics, error);
    for (size_t i = 0; i < n_metrics && code == MV_OK; i++) {
        if (is_open[i]) {
            metrics[i].p_slower = slower[i];
            metrics[i].p_faster = faster[i];
        }
    }
    return code;
}

static void decide(mv_gate_metric *metric, bool is_last, const mv_gate_rule *rule)
{
    const double limit = rule->alpha / (double)N_LOOKS;
    if (metric->p_slower <= limit && metric->shift.value >= rule->least)
        metric->state = MV_GATE_SUSPECT;
    else if (metric->p_faster <= limit && metric->shift.value <= -rule->least)
        metric->state = MV_GATE_FASTER;
    else if (metric->shift.high < rule->most)
        metric->state = MV_GATE_SAME;
    else if (is_last)
        metric->state = MV_GATE_UNDECIDED;
}

mv_code mv_gate_look(mv_gate_metric *metrics, size_t n_metrics, size_t n_groups,
                     const mv_gate_rule *rule, mv_error *error)
{
    bool was_open[MV_GATE_MAX_METRICS] = {false};
    mv_code code = MV_OK;
    if (n_metrics == 0 || n_metrics > MV_GATE_MAX_METRICS)
        return mv_fail(error, MV_ERR_ARGUMENT, "%zu metrics, expected 1 to %d", n_metrics,
                       MV_GATE_MAX_METRICS);
    for (size_t i = 0; i < n_metrics && code == MV_OK; i++) {
        was_open[i] = metrics[i].state == MV_GATE_OPEN;
        if (!was_open[i])
            continue;
        code = test_shift(&metrics[i].p_slower, &metrics[i].p_faster, metrics[i].groups, n_groups,
                          rule->allowance, error);
        if (code == MV_OK)
            code = mv_hodges_lehmann(&metrics[i].shift, metrics[i].groups, n_groups, 0.95, error);
    }
    if (code == MV_OK)
        code = adjust(metrics, n_metrics, was_open, error);
    for (size_t i = 0; i < n_metrics && code == MV_OK; i++)
        if (was_open[i])
            decide(&metrics[i], mv_gate_next_look(n_groups) == 0, rule);
    return code;
}

mv_code mv_gate_confirm(bool *confirmed, mv_estimate *shift, const double *groups,
                        const double *control, size_t n_groups, const mv_gate_rule *rule,
                        mv_error *error)
{
    mv_estimate other;
    double p_slower, p_faster;
    mv_code code = test_shift(&p_slower, &p_faster, groups, n_groups, rule->allowance, error);
    if (code == MV_OK)
        code = mv_hodges_lehmann(shift, groups, n_groups, 0.95, error);
    if (code == MV_OK)
        code = mv_hodges_lehmann(&other, control, n_groups, 0.95, error);
    if (code != MV_OK)
        return code;
    /* What two copies of one program differ by, on this machine today. */
    const double control_reach = fabs(other.value) + (other.high - other.low) / 2;
    *confirmed =
        p_slower <= rule->alpha && shift->value >= rule->least && control_reach < shift->value;
    return MV_OK;
}
