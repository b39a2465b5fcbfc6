/* verify_run.h - suites against backends: in this process or in others, from the start or resumed.
 */
#ifndef MV_TOOLS_VERIFY_RUN_H
#define MV_TOOLS_VERIFY_RUN_H

#include "suites/run.h"
#include "tools/cli.h"

typedef struct mv_verify_plan {
    const mv_cli *cli;
    mv_run_options *options; /* model, reference and mutant are there; the rest is filled here */
    const mv_suite *const *suites;
    size_t n_suites;
    bool isolate;          /* --isolate, --jobs, --timeout */
    uint32_t n_jobs;       /* processes side by side, at least 1 */
    double timeout_s;      /* for one case, with isolate; 0 = no limit */
    const char *resume;    /* --resume FILE, or NULL */
    uint32_t max_failures; /* after so many the rest is skipped; 0 = no limit */
} mv_verify_plan;

/* Runs every suite on every backend of the command line; the cases are added to results, which
 * already describe the model. With --resume, FILE holds all finished cases after each of them, and
 * those that it held before are not run again: MV_ERR_FORMAT if it is about another model or comes
 * from another version. --list prints the names. A backend that cannot run here is a skip where
 * there are several. */
MV_MUST_CHECK mv_code mv_verify_run(const mv_verify_plan *plan, mv_verify_results *results,
                                    mv_error *error);

#endif
