/* bench_row.h - from the samples of one engine in one shape to a row. Private to bench.c. */
#ifndef MV_HARNESS_BENCH_ROW_H
#define MV_HARNESS_BENCH_ROW_H

#include "harness/bench.h"

typedef struct mv_bench_tally {
    double *values;  /* [n] samples in ns */
    double *calls;   /* [n_passes, n_chunks] */
    double *ttft_ns; /* [n_passes] */
    size_t n, n_passes, capacity, calls_capacity, passes_capacity;
    int64_t wall_ns, cpu_ns;
    mv_lapse sum;
    uint64_t hash;
    bool same_hash, all_finite;
    mv_work work;
} mv_bench_tally;

/* Rates, intervals, percentiles. */
MV_MUST_CHECK mv_code mv_bench_row_set_times(mv_bench_run *run, const mv_bench_tally *t,
                                             mv_error *error);

/* The samples themselves, and the median of each of the n_calls of a pass. */
MV_MUST_CHECK mv_code mv_bench_row_set_samples(mv_bench_run *run, const mv_bench_tally *t,
                                               size_t n_calls, mv_error *error);

/* Needed and executed work, and the share of what the hardware allows; after set_times. */
void mv_bench_row_set_limits(const mv_bench *bench, mv_bench_run *run, const mv_bench_tally *t);

void mv_bench_row_set_memory(const mv_bench *bench, mv_bench_engine *engine, mv_bench_run *run);

#endif
