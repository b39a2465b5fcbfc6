/* suite.h - a suite is one claim about every engine, and the runs that could refute it.
 *
 * A suite file defines one `const mv_suite mv_suite_NAME` and is one row of suites.c. Its first
 * comment is the claim, what breaks it, and the planted bugs that it catches. Its run() walks over
 * cases; for each it asks mv_case_begin() whether this one is wanted, runs the engine, judges the
 * logits and ends the case. A failed comparison is a result, not an error: run() returns an error
 * only if nothing more can be learnt (no memory, no oracle).
 */
#ifndef MV_SUITES_SUITE_H
#define MV_SUITES_SUITE_H

#include <stdbool.h>

#include "harness/range.h"
#include "harness/results.h"

typedef struct mv_run mv_run; /* run.h */

typedef struct mv_suite {
    const char *name;
    const char *claim; /* one sentence */
    mv_code (*run)(mv_run *run, mv_error *error);
} mv_suite;

/* One a file. */
extern const mv_suite mv_suite_chunking;
extern const mv_suite mv_suite_window;
extern const mv_suite mv_suite_ring;
extern const mv_suite mv_suite_decode_vs_prefill;
extern const mv_suite mv_suite_batching;
extern const mv_suite mv_suite_determinism;
extern const mv_suite mv_suite_golden;
extern const mv_suite mv_suite_op_level;
extern const mv_suite mv_suite_gqa_map;
extern const mv_suite mv_suite_degenerate;
extern const mv_suite mv_suite_nonfinite;
extern const mv_suite mv_suite_cache_ops;
extern const mv_suite mv_suite_canary;
extern const mv_suite mv_suite_rope_long;
extern const mv_suite mv_suite_alignment;
extern const mv_suite mv_suite_tiles;
extern const mv_suite mv_suite_vocab_cover;
extern const mv_suite mv_suite_generation;
extern const mv_suite mv_suite_fuzz;
extern const mv_suite mv_suite_condition;

/* The list: suites.c. */
extern const mv_suite *const mv_suites[];
extern const size_t mv_n_suites;

const mv_suite *mv_suite_find(const char *name); /* or NULL */

#endif
