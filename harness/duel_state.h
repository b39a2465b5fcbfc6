/* duel_state.h - what is known so far of a duel. Private to duel.c and duel_rows.c. */
#ifndef MV_HARNESS_DUEL_STATE_H
#define MV_HARNESS_DUEL_STATE_H

#include "harness/duel.h"

enum { MV_DUEL_BASE, MV_DUEL_CANDIDATE, MV_DUEL_CONTROL, MV_DUEL_MAX_ARMS };

typedef struct mv_duel_metric {
    int32_t n_passes;                       /* of a request; 0 = not known yet */
    double groups[MV_GATE_MAX_GROUPS];      /* log ratios by the clock that decides */
    double wall_groups[MV_GATE_MAX_GROUPS]; /* by the wall, clean or not */
    double fresh[MV_GATE_CONFIRM_GROUPS], control[MV_GATE_CONFIRM_GROUPS];
    size_t n_confirm;
    size_t n_asked, n_clean; /* requests with at least one clean repeat */
    bool has_work;           /* both arms are builds of one engine, and count */
    mv_work work[2];
    bool confirmed;
    mv_estimate confirm_shift;
} mv_duel_metric;

typedef struct mv_duel_state {
    const mv_duel *duel;
    char paths[2][4096]; /* of base and candidate: children look nothing up */
    int copies[2];       /* files in memory, where a path is one; -1: none */
    bool layout_is_free; /* code of at least one of them may lie anywhere in a cache line */
    mv_duel_metric items[MV_GATE_MAX_METRICS];
    mv_gate_metric metrics[MV_GATE_MAX_METRICS];
    size_t n_groups;
    uint64_t n_drawn;
    int64_t start_ns;
    bool out_of_time;
} mv_duel_state;

/* Fills paths, copies and layout_is_free; leave_arms() in any case. */
MV_MUST_CHECK mv_code mv_duel_find_arms(mv_duel_state *state, mv_error *error);
void mv_duel_leave_arms(mv_duel_state *state);

/* The row of time of one item; see mv_duel_run(). */
void mv_duel_time_row(const mv_duel_state *state, size_t item, mv_bench_comparison *row);

/* The row of exact work; only where has_work. */
void mv_duel_work_row(const mv_duel_state *state, size_t item, mv_bench_comparison *row);

#endif
