/* report_samples.h - fixed results for the tests of the writers. Free with
 * mv_verify_results_free(). */
#ifndef MV_TESTS_REPORT_SAMPLES_H
#define MV_TESTS_REPORT_SAMPLES_H

#include "harness/results.h"

/* Every verdict, a grid, an engine that gives NaN, a self-test with a survivor. */
void mv_sample_mixed(mv_verify_results *results);

/* One passing suite. */
void mv_sample_passing(mv_verify_results *results);

/* text in every field that holds text, verdicts of every kind. */
void mv_sample_hostile(mv_verify_results *results, const char *text);

/* A profile with the taps of the ABI: layer `bad` is wrong in op from position `from` on. Each
 * number differs from its neighbours, so that nothing can be drawn once for several. */
void mv_sample_divergence(mv_divergence *divergence, int64_t n_layers, int64_t n_positions,
                          int64_t bad, const char *op, int64_t from);

/* n failed cases with the largest profiles, each wrong in another layer, at every other position.
 */
void mv_sample_deep(mv_verify_results *results, size_t n);

/* What breaks one format or another: quotes, tags, control characters, C1, bad UTF-8 of every
 * sort, line ends, fences, pipes, a directive of TAP, CSV's comma. */
extern const char mv_hostile_text[];

#endif
