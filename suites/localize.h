/* localize.h - which layer, which operation, which position goes wrong first?
 *
 * Isolated replay. The engine runs a schedule once more with a tap. Whatever it computes is
 * compared with the oracle's tensor of that name and then overwritten by it, so that each operation
 * gets the oracle's input and answers for itself alone: an early mistake does not blur into the
 * later ones. The reference in the same arithmetic is replayed in the same way, and its error on
 * each tensor is the yardstick.
 *
 * Needs an engine with set_tap(). A name that the engine does not tap is judged by the next one
 * that it does.
 */
#ifndef MV_SUITES_LOCALIZE_H
#define MV_SUITES_LOCALIZE_H

#include "suites/run.h"

/* One tensor of one layer, over all positions of all sequences. */
typedef struct mv_tensor_error {
    const char *name; /* static: one of the ABI's tap names */
    int32_t layer;    /* -1 outside the layers */
    double r_rmse, r_row;
    int64_t first_bad_position; /* row that first exceeds the limit, in its sequence; -1 = none */
} mv_tensor_error;

typedef struct mv_localization {
    mv_tensor_error *tensors; /* [n_tensors] in the order of the forward pass */
    size_t n_tensors;
    int64_t first;          /* index of the first wrong one, or -1 */
    mv_divergence *profile; /* the same against the limits, and layer by position */
} mv_localization;

/* tokens and lengths are those of play's tracks; its logits are not touched. MV_ERR_UNSUPPORTED:
 * the backend has no taps. Free with mv_localization_free(). Memory: every inner tensor in float64.
 */
MV_MUST_CHECK mv_code mv_localize(mv_run *run, const mv_play *play, const mv_schedule *schedule,
                                  mv_localization *localization, mv_error *error);
void mv_localization_free(mv_localization *localization);

/* Localises a failed case (the calls that mv_play_on() made last, or the whole prompt), fills
 * divergence_* and divergence (the run's, until the next case is localised), and logs the profile.
 * Never fails: a result without a place is still a result. */
void mv_localize_case(mv_run *run, mv_case_result *result);

#endif
