/* groups.c - the cases of one suite, backend and compute type, taken together. Cases of a parallel
 * run come interleaved, so that a group is what matches, not what is adjacent. */
#include "reports/parts.h"

#include <math.h>
#include <string.h>

bool mv_group_has(const mv_case_result *first, const mv_case_result *one)
{
    return first->compute == one->compute && strcmp(first->suite, one->suite) == 0 &&
           strcmp(first->backend, one->backend) == 0;
}

bool mv_group_begins_at(const mv_verify_results *results, size_t index)
{
    for (size_t i = 0; i < index; i++) { /* short: a group that exists begins early */
        if (mv_group_has(&results->cases[i], &results->cases[index])) {
            return false;
        }
    }
    return true;
}

/* NAN once seen stays: an engine that gave NaN must not be hidden by the next case. */
static void keep_largest(double *largest, double value, bool *any)
{
    if (!*any || isnan(value) || value > *largest) {
        *largest = *any && isnan(*largest) ? NAN : value;
    }
    *any = true;
}

/* What has no limit is told for another reason (suite condition: of a planted bug), and is not how
 * far the engine is from the truth. */
static void add_ratios(mv_group *group, const mv_case_result *one)
{
    for (size_t i = 0; i < 3; i++) {
        if (mv_metric_is_known(one, i) && !isnan(mv_metric_get(&one->limits, i))) {
            keep_largest(&group->ratios[i], mv_metric_get(&one->metrics, i), &group->has_ratio[i]);
        }
    }
    if (mv_headroom_is_known(one)) {
        double negative = -group->headroom;
        keep_largest(&negative, -one->headroom, &group->has_headroom);
        group->headroom = -negative;
    }
}

static mv_verdict worst_verdict(const size_t n[MV_VERDICT_SKIP + 1])
{
    static const mv_verdict order[] = {MV_VERDICT_ERROR, MV_VERDICT_FAIL, MV_VERDICT_VACUOUS,
                                       MV_VERDICT_PASS, MV_VERDICT_SKIP};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (n[order[i]] > 0) {
            return order[i];
        }
    }
    return MV_VERDICT_VACUOUS;
}

mv_group mv_group_summarise(const mv_verify_results *results, size_t first)
{
    mv_group group;
    memset(&group, 0, sizeof group);
    group.ratios[0] = group.ratios[1] = group.ratios[2] = group.headroom = NAN;
    for (size_t i = first; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (!mv_group_has(&results->cases[first], one)) {
            continue;
        }
        bool is_known = one->verdict <= MV_VERDICT_SKIP;
        group.n_cases++;
        group.n_by_verdict[is_known ? one->verdict : MV_VERDICT_ERROR]++;
        group.elapsed_ns += one->elapsed_ns > 0 ? one->elapsed_ns : 0;
        if (one->verdict == MV_VERDICT_SKIP && group.skip == NULL) {
            group.skip = one;
        }
        add_ratios(&group, one);
    }
    group.verdict = worst_verdict(group.n_by_verdict);
    return group;
}
