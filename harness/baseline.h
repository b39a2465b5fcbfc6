/* baseline.h - results of another day, to compare with: weaker than a duel, because the machine may
 * have been another one that day (a neighbour, a clock, a kernel) without anybody's knowing. So it
 * decides only what the two intervals leave no doubt about, and refuses what cannot be compared.
 *
 *   code = mv_bench_results_read(&old, path, &error);
 *   code = mv_baseline_check(&old, path, &now, &error);           once, before measuring
 *   code = mv_baseline_find(&row, &old, path, &wanted, &error);   each row, before measuring it
 *   code = mv_baseline_compare(&now, &old, path, percent, &error); at the end
 */
#ifndef MV_HARNESS_BASELINE_H
#define MV_HARNESS_BASELINE_H

#include "harness/bench_results.h"

/* The same model and the same machine? MV_ERR_FORMAT: no; the message names the file, the field and
 * both values. */
MV_MUST_CHECK mv_code mv_baseline_check(const mv_bench_results *old, const char *path,
                                        const mv_bench_results *now, mv_error *error);

/* The old row of the same backend, phase, shape, compute type and seed. The name of the backend
 * does not count if all rows of the file are of one backend. MV_ERR_FORMAT: there is none; the
 * message names the first field in which the nearest row differs. Borrowed from old. */
MV_MUST_CHECK mv_code mv_baseline_find(const mv_bench_run **row, const mv_bench_results *old,
                                       const char *path, const mv_bench_run *wanted,
                                       mv_error *error);

/* Adds to now, for each of its runs, a comparison of time (method "baseline") and, where both
 * count, one of work. slower: even the fast end of the interval now is more than percent slower
 * than the slow end was; same: the slow end now is less than percent slower than the fast end was.
 */
MV_MUST_CHECK mv_code mv_baseline_compare(mv_bench_results *now, const mv_bench_results *old,
                                          const char *path, double percent, mv_error *error);

#endif
