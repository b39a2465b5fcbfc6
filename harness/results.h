/* results.h - what was run, on what, with what outcome: plain structs that know nothing of suites
 * or formats. reports/ reads only this. Field for field the JSON of the contract.
 *
 * Text fields are fixed arrays, cut if too long, so that a result can be copied by assignment.
 * Non-finite numbers mean "not known"; integers use -1 for it.
 */
#ifndef MV_HARNESS_RESULTS_H
#define MV_HARNESS_RESULTS_H

#include "harness/compare.h"
#include "harness/divergence.h"
#include "harness/engine_facts.h"
#include "harness/machine.h"

typedef enum mv_verdict {
    MV_VERDICT_PASS,
    MV_VERDICT_FAIL,    /* a comparison failed */
    MV_VERDICT_ERROR,   /* the backend failed or crashed: nothing can be said */
    MV_VERDICT_VACUOUS, /* it ran, and showed nothing */
    MV_VERDICT_SKIP     /* cannot run here, with the reason */
} mv_verdict;

const char *mv_verdict_name(mv_verdict verdict); /* "pass", "fail", ... */

typedef struct mv_case_result {
    char suite[32];
    char name[96];    /* "case" in the JSON */
    char backend[96]; /* as the user named it */
    mv_compute compute;
    int64_t window;     /* 0 = unlimited */
    int64_t chunk;      /* 0 = whole prompt, or a mixed schedule */
    char schedule[192]; /* "" unless the calls are mixed: "5,1,1,7" */
    int64_t length;     /* tokens of the longest sequence */
    uint64_t seed;
    mv_verdict verdict;
    char reason[384];                     /* one sentence; "" for a plain pass */
    int64_t n_positions, n_beyond_window; /* rows compared; those whose index is >= window > 0 */
    mv_metrics metrics;
    mv_metrics limits; /* NAN where not gated */
    double headroom;   /* least limit / observed; NAN if nothing is gated */
    mv_worst worst;
    int64_t divergence_layer, divergence_position; /* -1 = none, or not known */
    char divergence_op[32];                        /* "" = none, or not known */
    /* NULL: none. Of a case among results: theirs, and freed with them. Else borrowed, from who
     * made the case, and copied by mv_verify_results_add(). */
    mv_divergence *divergence;
    char reproduce[512]; /* one command line */
    int64_t elapsed_ns;
    uint64_t order;               /* its place in the run, growing; not in any file */
    char engine[MV_ENGINE_FACTS]; /* as it described itself; to the environment */
} mv_case_result;

void mv_case_result_clear(mv_case_result *result); /* everything "not known", verdict VACUOUS */

/* One planted bug and which suites saw it. */
typedef struct mv_mutant_result {
    char name[64];
    char imitates[160];        /* what it is in the wild */
    char expected_suites[160]; /* with ',' */
    char killed_by[192];       /* with ','; "" = survived */
    double r_rmse;             /* the largest seen */
    int equivalent;            /* a true equivalent: must survive */
} mv_mutant_result;

typedef struct mv_verify_results {
    char tool_version[32], tool_commit[48];
    mv_environment environment;
    char model_spec[256];
    mv_params params;
    char weights_sha256[65]; /* "" = not computed */

    mv_case_result *cases; /* [n_cases] */
    size_t n_cases, cases_capacity;

    mv_mutant_result *mutants; /* [n_mutants]; n_mutants > 0 only after --self-test */
    size_t n_mutants, mutants_capacity;
    size_t benign_total, false_alarms;

    int64_t elapsed_ns;
} mv_verify_results;

/* Counts over the cases. */
typedef struct mv_summary {
    size_t n_passed, n_failed, n_errors, n_skipped, n_vacuous;
    size_t n_mutants_killed, n_mutants_total; /* equivalents left out */
    mv_verdict verdict; /* error > fail > vacuous > pass > skip; nothing at all is vacuous. A mutant
                           that survives, or a false alarm, is a fail */
} mv_summary;

/* Every suite that must kill it did; an equivalent is killed by any. */
bool mv_mutant_is_killed(const mv_mutant_result *mutant);

void mv_verify_results_init(mv_verify_results *results);
void mv_verify_results_free(mv_verify_results *results);
/* Copies the case, its profile of divergence included. */
MV_MUST_CHECK mv_code mv_verify_results_add(mv_verify_results *results, const mv_case_result *one,
                                            mv_error *error);
MV_MUST_CHECK mv_code mv_verify_results_add_mutant(mv_verify_results *results,
                                                   const mv_mutant_result *one, mv_error *error);
mv_summary mv_verify_results_summarise(const mv_verify_results *results);

#endif
