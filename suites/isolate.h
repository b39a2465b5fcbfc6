/* isolate.h - cases in processes of their own: what crashes or hangs an engine becomes a verdict.
 *
 * Child processes play the cases and send each result through a pipe as soon as it is there. A
 * child that dies, or that takes too long over one case, costs that case alone: its verdict is
 * ERROR with the signal or the time, and a new child goes on with the next case. Several children
 * share the cases between them.
 *
 * The caller has no threads and no open engine when it calls: children are forked.
 */
#ifndef MV_SUITES_ISOLATE_H
#define MV_SUITES_ISOLATE_H

#include "harness/results.h"

typedef struct mv_isolate_sink mv_isolate_sink; /* a child's end of the pipe */

typedef struct mv_isolate {
    const char *backend_name;
    uint32_t n_jobs;  /* children at a time, 1 ... 64 */
    double timeout_s; /* for one case; 0 = no limit */
    /* In a child: plays the cases of part `job` of n_jobs that are not among the results yet, and
     * calls mv_isolate_begin() and _end() for each. */
    mv_code (*work)(void *cookie, uint32_t job, mv_isolate_sink *sink, mv_error *error);
    /* In the parent, after a case was added to the results; may be NULL. */
    void (*on_case)(void *cookie, const mv_case_result *result);
    void *cookie;
} mv_isolate;

void mv_isolate_begin(mv_isolate_sink *sink, const mv_case_result *result);
void mv_isolate_end(mv_isolate_sink *sink, const mv_case_result *result);

/* Adds the cases to results, in the order of mv_case_result.order. Returns an error that work()
 * returned; MV_ERR_BACKEND if a child died outside of any case. */
MV_MUST_CHECK mv_code mv_isolate_run(const mv_isolate *isolate, mv_verify_results *results,
                                     mv_error *error);

#endif
