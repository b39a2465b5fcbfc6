/* gate.h - has it become slower? A decision from paired groups that does not cry wolf.
 *
 * A group is one value: the median over its rounds of log(time of candidate / time of base), both
 * run by fresh processes on the same cores, in random order. If the two are the same program, such
 * a value is as often above 0 as below, whatever the noise is; so the signed-rank test on the
 * groups is exact. Looks after 16, 32 and 64 groups share the error. A suspicion is confirmed on
 * fresh groups that also hold a second copy of the base as a control. docs/BENCHMARKING.md has the
 * figures.
 */
#ifndef MV_HARNESS_GATE_H
#define MV_HARNESS_GATE_H

#include "harness/bench_results.h"

enum { MV_GATE_MAX_METRICS = 8, MV_GATE_MAX_GROUPS = 64, MV_GATE_CONFIRM_GROUPS = 32 };

typedef struct mv_gate_rule {
    double alpha;     /* 0.01: chance of a false alarm, over metrics and looks, before confirming */
    double allowance; /* log(1 + d): what placement and layout of code may cost */
    double least;     /* log: an estimate below this is no regression */
    double most;      /* log: shown to be below this is "same" */
} mv_gate_rule;

/* From --gate PERCENT: most = log(1 + PERCENT), least three quarters and allowance one quarter of
 * it: 4 % gives 3 % and 1 %. */
mv_gate_rule mv_gate_rule_of(double percent);

/* 16, 32, 64; 0 after the last. */
size_t mv_gate_next_look(size_t n_groups);

typedef enum mv_gate_state {
    MV_GATE_OPEN,    /* more groups are needed */
    MV_GATE_SUSPECT, /* slower, if the confirmation agrees */
    MV_GATE_SAME,
    MV_GATE_FASTER,
    MV_GATE_UNDECIDED /* the groups are used up */
} mv_gate_state;

/* One metric at the end of the groups so far. */
typedef struct mv_gate_metric {
    const double *groups;      /* [n_groups] log ratios */
    mv_gate_state state;       /* OPEN before the first look; stays once it is not OPEN */
    mv_estimate shift;         /* Hodges-Lehmann of the log ratios */
    double p_slower, p_faster; /* one-sided, after Holm over the metrics */
} mv_gate_metric;

/* Looks at all metrics that are still open, with n_groups each. MV_ERR_ARGUMENT: not finite. */
MV_MUST_CHECK mv_code mv_gate_look(mv_gate_metric *metrics, size_t n_metrics, size_t n_groups,
                                   const mv_gate_rule *rule, mv_error *error);

/* Do fresh groups of candidate against base, and of a second copy of the base against the base,
 * agree that it is slower? *shift: of the fresh groups. */
MV_MUST_CHECK mv_code mv_gate_confirm(bool *confirmed, mv_estimate *shift, const double *groups,
                                      const double *control, size_t n_groups,
                                      const mv_gate_rule *rule, mv_error *error);

#endif
