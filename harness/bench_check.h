/* bench_check.h - nothing is timed whose logits were not compared first.
 *
 * A truth is what the reference says about a short prompt, in float64 and in the arithmetic under
 * test; it is made once and serves many engines, also in children made by fork(). The limits are
 * those of tolerance.h.
 */
#ifndef MV_HARNESS_BENCH_CHECK_H
#define MV_HARNESS_BENCH_CHECK_H

#include "harness/compare.h"

typedef struct mv_bench_truth {
    mv_compute compute;
    int64_t window;  /* what the reference was opened with */
    int32_t *tokens; /* [n] */
    size_t n;
    double *oracle;             /* [n, vocab_size] */
    mv_error_profile reference; /* of the reference in `compute` */
} mv_bench_truth;

/* How many tokens the reference can be asked about in a few seconds: at least 4, at most `wanted`
 * (or 4) and 512. */
size_t mv_bench_check_length(const mv_model_view *model, int64_t wanted);

/* Yours: mv_bench_truth_free(). Zero-initialise before. seed: of the tokens. */
MV_MUST_CHECK mv_code mv_bench_truth_make(mv_bench_truth *truth, const mv_backend *reference,
                                          const mv_model_view *model, mv_compute compute,
                                          int64_t window, size_t n, uint64_t seed,
                                          uint32_t n_threads, mv_error *error);
void mv_bench_truth_free(mv_bench_truth *truth);

/* Feeds the truth's tokens to every one of n_sequences of an open engine (which must be ready for
 * them), the last two one by one, those before in calls of `chunk` (0: one call). All rows are
 * compared. *passed says whether they hold; text receives what was compared, or why it does not
 * hold. Sequences start and end at position 0. */
MV_MUST_CHECK mv_code mv_bench_check(bool *passed, char *text, size_t text_size,
                                     const mv_bench_truth *truth, const mv_backend *backend,
                                     mv_engine *engine, const mv_model_view *model,
                                     uint32_t n_sequences, int64_t chunk, mv_error *error);

#endif
