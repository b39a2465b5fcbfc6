/* bench_follow.h - what mistral-bench does beside and after timing: another day's file, the history
 * of a metric, the headline claims. */
#ifndef MV_TOOLS_BENCH_FOLLOW_H
#define MV_TOOLS_BENCH_FOLLOW_H

#include "harness/bench.h"
#include "tools/bench_plan.h"
#include "tools/cli.h"

/* --baseline: reads the file and refuses it before an hour is spent on measuring: every row that
 * the plan makes with these backends must have a partner in it. *old: initialised; yours. */
MV_MUST_CHECK mv_code mv_bench_baseline_open(mv_bench_results *old, const char *path,
                                             const mv_bench_results *now, const mv_bench *bench,
                                             const mv_bench_plan *plan, const char *const *names,
                                             size_t n_names, mv_error *error);

/* --record: before a comparison (results NULL) checks that the file can take it; after it appends,
 * and logs the change points. base, candidate: as the user named them. */
MV_MUST_CHECK mv_code mv_bench_record(const char *path, const mv_bench_results *results,
                                      const char *base, const char *candidate, mv_error *error);

/* --claims, on one backend. */
MV_MUST_CHECK mv_code mv_bench_run_claims(const mv_cli *cli, const char *name, mv_compute compute,
                                          mv_bench_results *results, mv_error *error);

#endif
