/* bench_vs.h - mistral-bench --vs: the plan's shapes, interleaved between two builds. */
#ifndef MV_TOOLS_BENCH_VS_H
#define MV_TOOLS_BENCH_VS_H

#include "harness/bench.h"
#include "tools/bench_plan.h"

typedef struct mv_bench_vs {
    const char *base, *candidate; /* not loaded by this process */
    double gate_percent;          /* NAN: the default of 4 */
    const char *clock;            /* "auto", "cpu", "wall" */
    double max_time_s;
    bool strict; /* inconclusive fails */
    bool shows_progress;
} mv_bench_vs;

/* A model and lengths of which one pass takes some milliseconds, for when none is named: what is
 * compared is a build with itself, and not a machine with its limits. */
void mv_bench_vs_defaults(mv_bench_defaults *defaults);

MV_MUST_CHECK mv_code mv_bench_vs_check(const mv_bench_vs *vs, mv_error *error);

/* bench: for the truths and the subject. Adds rows to results. */
MV_MUST_CHECK mv_code mv_bench_vs_run(const mv_bench_vs *vs, mv_bench *bench,
                                      const mv_bench_plan *plan, mv_bench_results *results,
                                      mv_error *error);

/* Does a row fail? */
bool mv_bench_vs_fails(const mv_bench_vs *vs, const mv_bench_comparison *one);

#endif
