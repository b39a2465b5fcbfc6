/* recording.c - a tap that keeps, and a tap that compares and overwrites. */
#include "suites/recording.h"

#include <stdlib.h>
#include <string.h>

const char *const mv_tap_names[MV_N_TAPS] = {"embedding",
                                             "attention_norm",
                                             "q",
                                             "k",
                                             "v",
                                             "attention",
                                             "attention_out",
                                             "attention_residual",
                                             "ffn_norm",
                                             "gate",
                                             "up",
                                             "ffn_out",
                                             "layer_out",
                                             "norm",
                                             "logits"};
static mv_recorded *tensor_of(const mv_recording *r, const char *name, int32_t layer)
{
    if (layer < -1 || layer >= (int32_t)r->n_layers)
        return NULL;
    for (size_t i = 0; i < MV_N_TAPS; i++) {
        if (strcmp(mv_tap_names[i], name) == 0)
            return &r->tensors[(size_t)(layer + 1) * MV_N_TAPS + i];
    }
    return NULL;
}

static double tap_value(const mv_tap *tap, uint64_t row, uint64_t column)
{
    const uint64_t i = row * tap->n_cols + column;
    return tap->dtype == MV_TAP_F64 ? ((const double *)tap->data)[i]
                                    : (double)((const float *)tap->data)[i];
}

static void keep_row(mv_recorded *t, const mv_tap *tap, uint64_t row, size_t at)
{
    for (uint64_t j = 0; j < t->n_cols; j++)
        t->rows[at * t->n_cols + j] = tap_value(tap, row, j);
    t->seen[at] = true;
}

/* Measures what the engine made of the oracle's input, and hands on the oracle's output. */
static void replay_row(mv_recorded *t, const mv_tap *tap, uint64_t row, size_t at)
{
    const double *oracle = t->rows + at * t->n_cols;
    double error = 0, size = 0;
    for (uint64_t j = 0; j < t->n_cols; j++) {
        double d = tap_value(tap, row, j) - oracle[j];
        error += d * d;
        size += oracle[j] * oracle[j];
        if (tap->dtype == MV_TAP_F64)
            ((double *)tap->data)[row * tap->n_cols + j] = oracle[j];
        else
            ((float *)tap->data)[row * tap->n_cols + j] = (float)oracle[j];
    }
    t->error[at] = error;
    t->size[at] = size;
    t->seen[at] = true;
}

static bool make_room(mv_recording *r, mv_recorded *t, uint64_t n_cols)
{
    size_t n;
    if (t->rows != NULL)
        return t->n_cols == n_cols;
    if (__builtin_mul_overflow(r->n_positions, (size_t)n_cols, &n))
        return false;
    t->rows = calloc(n + 1, sizeof *t->rows);
    t->error = calloc(r->n_positions + 1, sizeof *t->error);
    t->size = calloc(r->n_positions + 1, sizeof *t->size);
    t->seen = calloc(r->n_positions + 1, sizeof *t->seen);
    t->n_cols = n_cols;
    return t->rows != NULL && t->error != NULL && t->size != NULL && t->seen != NULL;
}

static mv_tap_action on_tap(void *cookie, const mv_tap *tap)
{
    mv_recording *r = cookie;
    mv_recorded *t = tensor_of(r, tap->name, tap->layer);
    if (t == NULL || r->failed || tap->sequence >= MV_MAX_PARTS)
        return MV_TAP_KEEP;
    const size_t first = r->offsets[tap->sequence] + (size_t)tap->first_position;
    if (r->replaying && (t->rows == NULL || t->n_cols != tap->n_cols))
        return MV_TAP_KEEP; /* the oracle has no such tensor */
    if (first + tap->n_rows > r->n_positions || !make_room(r, t, tap->n_cols)) {
        r->failed = true;
        return MV_TAP_KEEP;
    }
    for (uint64_t i = 0; i < tap->n_rows; i++) {
        if (r->replaying)
            replay_row(t, tap, i, first + i);
        else
            keep_row(t, tap, i, first + i);
    }
    return r->replaying ? MV_TAP_REPLACED : MV_TAP_KEEP;
}

void mv_recording_free(mv_recording *r)
{
    for (size_t i = 0; r->tensors != NULL && i < (size_t)(r->n_layers + 1) * MV_N_TAPS; i++) {
        free(r->tensors[i].rows);
        free(r->tensors[i].error);
        free(r->tensors[i].size);
        free(r->tensors[i].seen);
    }
    free(r->tensors);
}

/* ---- runs ---- */

/* A play of the same tokens, so that nobody's logits are touched. */
static mv_code copy_play(mv_run *run, const mv_play *play, mv_play *copy, mv_error *error)
{
    mv_code code = MV_OK;
    *copy = (mv_play){.window = play->window};
    for (uint32_t i = 0; i < play->n_tracks && code == MV_OK; i++)
        code = mv_play_add(run, copy, play->tracks[i].tokens, play->tracks[i].n, error);
    return code;
}

static mv_code run_tapped(mv_run *run, const mv_play *play, const mv_schedule *schedule,
                          const mv_engine_setup *setup, const mv_backend *backend, mv_recording *r,
                          mv_error *error)
{
    mv_play copy;
    mv_engine *engine = NULL;
    mv_code code = copy_play(run, play, &copy, error);
    for (size_t i = 0; r->replaying && i < (size_t)(r->n_layers + 1) * MV_N_TAPS; i++) {
        if (r->tensors[i].seen != NULL)
            memset(r->tensors[i].seen, 0, r->n_positions);
    }
    if (code == MV_OK)
        code = mv_play_open(run, &copy, schedule, setup, &engine, error);
    if (code == MV_OK) {
        code = backend->set_tap(engine, on_tap, r, error);
        if (code == MV_OK)
            code = mv_play_on(run, setup, engine, schedule, &copy, error);
        backend->close(engine);
    }
    if (code == MV_OK && r->failed)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory to record inner tensors");
    mv_play_free(&copy);
    return code;
}

mv_code mv_recording_replay(mv_run *run, const mv_play *play, const mv_schedule *schedule,
                            const mv_engine_setup *setup, const mv_backend *backend,
                            mv_recording *recording, mv_error *error)
{
    recording->replaying = true;
    return run_tapped(run, play, schedule, setup, backend, recording, error);
}

/* Only the tokens of the prompt themselves: what was played before a reset is not recorded. */
mv_code mv_recording_open(mv_run *run, const mv_play *play, mv_recording *r, mv_error *error)
{
    const mv_engine_setup setup = {
        .backend = run->options.reference, .other_compute = true, .compute = MV_COMPUTE_F64};
    mv_schedule whole = {0};
    *r = (mv_recording){.n_layers = run->options.model->params.n_layers};
    for (uint32_t i = 0; i < play->n_tracks; i++) {
        r->offsets[i] = r->n_positions;
        r->n_positions += play->tracks[i].n;
        mv_schedule_add_chunks(&whole, i, (int64_t)play->tracks[i].n, 0);
    }
    for (uint32_t i = play->n_tracks; i < MV_MAX_PARTS; i++)
        r->offsets[i] = SIZE_MAX / 2;
    r->tensors = calloc((size_t)(r->n_layers + 1) * MV_N_TAPS, sizeof *r->tensors);
    mv_code code = r->tensors != NULL
                       ? run_tapped(run, play, &whole, &setup, run->options.reference, r, error)
                       : mv_fail(error, MV_ERR_MEMORY, "no memory to record inner tensors");
    mv_schedule_free(&whole);
    return code;
}
