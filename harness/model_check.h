/* model_check.h - all that can be known about a model without running it.
 *
 * Shapes are already checked when a model opens. Here: every number of every tensor (NaN, infinity,
 * all alike, too large for float16), tensors that share or repeat their bytes, the tokenizer
 * against vocab_size, and window and theta against the published releases.
 */
#ifndef MV_HARNESS_MODEL_CHECK_H
#define MV_HARNESS_MODEL_CHECK_H

#include <stdbool.h>

#include "harness/model.h"
#include "harness/out_tensor.h"

/* What one pass over a tensor shows. */
typedef struct mv_weight_stats {
    uint64_t n_elements, n_nan, n_infinite, n_zero;
    uint64_t n_beyond_f16; /* finite, and infinite once it is float16: the seed loads as float16 */
    uint64_t first_bad;    /* index of the first NaN or infinity */
    double max_abs, rms;   /* of the finite ones */
    bool constant;         /* all the same bits, and more than one */
    uint64_t hash;         /* of the bytes */
} mv_weight_stats;

/* About 1 GB/s. */
void mv_weight_stats_take(mv_weight_stats *stats, const mv_tensor *tensor);

typedef enum mv_finding_kind {
    MV_FINDING_NOTE,    /* unusual, and allowed */
    MV_FINDING_WARNING, /* the model works here; something about it is probably not meant */
    MV_FINDING_ERROR    /* no engine can give right logits for it */
} mv_finding_kind;

typedef struct mv_finding {
    mv_finding_kind kind;
    char text[300]; /* one line: which tensor or file, expected, found */
} mv_finding;

typedef struct mv_findings {
    mv_finding *list; /* [n] */
    size_t n, capacity;
    size_t n_errors, n_warnings;
} mv_findings;

/* watch: told the bytes of every tensor; may be NULL. A failure is about the checking, not about
 * the model: out of memory, stopped. findings: yours, mv_findings_free(), also after a failure. */
MV_MUST_CHECK mv_code mv_model_check(const mv_model *model, mv_findings *findings,
                                     const mv_write_watch *watch, mv_error *error);
void mv_findings_free(mv_findings *findings);

#endif
