/* recording.h - every inner tensor of a run of the oracle, and what an engine makes of each when it
 * is replayed against them (localize.h says why).
 */
#ifndef MV_SUITES_RECORDING_H
#define MV_SUITES_RECORDING_H

#include "suites/run_private.h"

/* The ABI's tap names in the order of the forward pass. */
enum { MV_N_TAPS = 15, MV_FIRST_TAP_IN_LAYER = 1, MV_LAST_TAP_IN_LAYER = 12 };
extern const char *const mv_tap_names[MV_N_TAPS];

typedef struct mv_recorded {
    double *rows; /* [positions of all sequences, n_cols]; NULL until seen */
    uint64_t n_cols;
    double *error; /* [positions] squared error of a replay */
    double *size;  /* [positions] squared oracle */
    bool *seen;    /* [positions] */
} mv_recorded;

typedef struct mv_recording {
    mv_recorded
        *tensors; /* [1 + n_layers, MV_N_TAPS]: row 0 outside the layers, row 1 + l layer l */
    uint32_t n_layers;
    size_t offsets[MV_MAX_PARTS]; /* of each sequence's position 0 */
    size_t n_positions;
    bool replaying, failed;
} mv_recording;

/* Runs the oracle over the play's sequences, each in one call, and keeps its tensors. Free with
 * mv_recording_free(), also after a failure. Memory: every inner tensor in float64. */
MV_MUST_CHECK mv_code mv_recording_open(mv_run *run, const mv_play *play, mv_recording *recording,
                                        mv_error *error);
void mv_recording_free(mv_recording *recording);

/* Plays the schedule on a backend; whatever it computes is compared with the oracle's tensor of
 * that name and then overwritten by it. The errors are in tensors[].error until the next replay.
 * The play's logits are not touched. */
MV_MUST_CHECK mv_code mv_recording_replay(mv_run *run, const mv_play *play,
                                          const mv_schedule *schedule, const mv_engine_setup *setup,
                                          const mv_backend *backend, mv_recording *recording,
                                          mv_error *error);

#endif
