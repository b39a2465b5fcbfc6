/* bench_doubts.h - warnings as data: why a number may not be what it seems. */
#ifndef MV_HARNESS_BENCH_DOUBTS_H
#define MV_HARNESS_BENCH_DOUBTS_H

#include "harness/bench_results.h"
#include "harness/clock.h"

/* Set by begin(): what the machine did until then. Set by the caller before end(): the rest. */
typedef struct mv_doubts {
    mv_tick start;
    mv_machine_load load;
    bool has_load;

    bool steady;    /* the warm-up ended because times did not change any more */
    mv_lapse lapse; /* sums over the timed regions */
    double precision;
    const mv_model_view *model;
    const mv_ceilings *ceilings; /* or NULL */
    char blas_core[64];          /* as the engine describes itself; "" = no such thing */
} mv_doubts;

void mv_doubts_begin(mv_doubts *doubts);

/* Adds the warnings to a run that is otherwise complete. Codes: foreign_load, steal, page_faults,
 * sanitizer_build, debug_build, clock_coarse, cache_resident, not_steady, few_samples,
 * wide_interval, ceiling_too_low (the fraction of the limit is then not known), unexplained_work
 * (work.h), blas_core (below what the CPU has). */
void mv_doubts_end(const mv_doubts *doubts, mv_bench_run *run);

/* memory_mode, for rows that used these ceilings: reads memory once more (a tenth of a second), and
 * doubts them if it is faster or slower by a fifth than it was, and nobody else was seen to be the
 * reason. mv_doubt_memory_mode() is the decision alone. */
void mv_doubts_read_memory(mv_bench_run *runs, size_t n_runs, const mv_ceilings *ceilings);
void mv_doubt_memory_mode(mv_bench_run *run, const mv_ceilings *ceilings, double read_bytes_per_s);

/* What an OpenBLAS core of that name is written for: 0 not known or less, 1 AVX2, 2 AVX-512, 3 also
 * bfloat16 products. */
int mv_blas_core_level(const char *core);

#endif
