/* self_test.h - can these suites fail? Planted bugs against suites, and harmless changes that must
 * pass.
 *
 * The mutants are the mutant backend's; it names them, and says who must see each (mutant_list.h).
 */
#ifndef MV_SUITES_SELF_TEST_H
#define MV_SUITES_SELF_TEST_H

#include "suites/run.h"

/* options: as for mv_run_open(); the backend named there must have mutants, and the suites are
 * those that run. For each mutant every suite runs until its first failure. What a suite says of a
 * mutant is not a case of results; results gets one mv_mutant_result a bug (and equivalent), the
 * counts of benign runs, and a failed case for each false alarm, which says how to repeat it, and
 * for the first SUITE/GLOB of a bug whose cases did not see it. A bug that expects suites which do
 * not run is held to those that do; one that has none left is not counted. MV_ERR_ARGUMENT: the
 * backend has no mutants. */
MV_MUST_CHECK mv_code mv_self_test(const mv_run_options *options, const mv_suite *const *suites,
                                   size_t n_suites, mv_verify_results *results,
                                   void (*on_mutant)(void *cookie, size_t n_done, size_t n_total,
                                                     const char *name),
                                   void *cookie, mv_error *error);

#endif
