/* noise.h - how far harmless reorderings of the same sums spread: what --strict asks of R rmse.
 *
 * The limits (harness/tolerance.h) hold for all models and prompts, so they leave room: a column of
 * one product that is dropped in bfloat16 is R = 1.04, far below 1.5. But on one prompt the
 * harmless variants lie within a few thousandths of each other, and 1.04 is many of their spreads
 * away. So
 * --strict plays an ensemble of them on the same tokens and fails a case whose R rmse lies more
 * than MV_NOISE_MOST_SPREADS above their mean. A ratio below the mean is no fault.
 */
#ifndef MV_SUITES_NOISE_H
#define MV_SUITES_NOISE_H

#include "suites/run_private.h"

#define MV_NOISE_MOST_SPREADS 6.0

/* Mutants that are orders of the same sums which engines really differ by. */
extern const char *const mv_harmless[MV_N_HARMLESS];

/* Plays the ensemble and keeps its errors in truth->ensemble: MV_N_HARMLESS passes of the
 * reference. play: one track with the truth's tokens; its logits are overwritten. */
MV_MUST_CHECK mv_code mv_noise_measure(mv_run *run, mv_truth *truth, const mv_schedule *schedule,
                                       mv_play *play, mv_error *error);

/* The ensemble's errors on the rows of one case. */
typedef struct mv_noise {
    mv_error_profile variants[MV_N_HARMLESS];
} mv_noise;

void mv_noise_init(mv_noise *noise, size_t vocab_size);
void mv_noise_free(mv_noise *noise);
MV_MUST_CHECK mv_code mv_noise_add_row(mv_noise *noise, const mv_truth *truth, size_t position,
                                       mv_error *error);

/* Mean and spread (standard deviation, at least half a percent of the mean) of R rmse. */
MV_MUST_CHECK mv_code mv_noise_spread(const mv_noise *noise, const mv_error_profile *reference,
                                      double *mean, double *spread, mv_error *error);

#endif
