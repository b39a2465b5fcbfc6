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

/* What breaks one format or another: quotes, tags, control characters, C1, bad UTF-8 of every
 * sort, line ends, fences, pipes, a directive of TAP, CSV's comma. */
extern const char mv_hostile_text[];

#endif
