/* localize.c - replay an engine against the oracle's inner tensors, and read the errors. */
#include "suites/localize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/log.h"
#include "suites/recording.h"

/* A limit twice as wide as that of the logits: one operation alone has less to average over. */
#define SLACK 2.0

/* ---- reading the errors ---- */

typedef struct errors {
    double *rows; /* [positions] squared error; NAN where not seen */
    double square, size;
    size_t n_seen;
} errors;

/* Moves the errors of the last replay out. */
static bool take_errors(const mv_recording *r, const mv_recorded *t, errors *out)
{
    *out = (errors){.rows = malloc((r->n_positions + 1) * sizeof *out->rows)};
    if (out->rows == NULL)
        return false;
    for (size_t i = 0; i < r->n_positions; i++) {
        out->rows[i] = t->seen[i] ? t->error[i] : NAN;
        if (!t->seen[i])
            continue;
        out->square += t->error[i];
        out->size += t->size[i];
        out->n_seen++;
    }
    return true;
}

static int64_t position_of(const mv_recording *r, const mv_play *play, size_t at)
{
    for (uint32_t i = 0; i < play->n_tracks; i++) {
        if (at >= r->offsets[i] && at < r->offsets[i] + play->tracks[i].n)
            return (int64_t)(at - r->offsets[i]);
    }
    return -1;
}

/* Float32 values cannot be nearer to the oracle than half of their last bit. */
static mv_tensor_error judge_tensor(const mv_recording *r, const mv_play *play, int32_t layer,
                                    const errors *reference, const errors *test,
                                    const mv_tolerance *limits, mv_divergence *profile)
{
    mv_tensor_error e = {.layer = layer, .first_bad_position = -1};
    const double n = (double)test->n_seen;
    const double floor = test->size * 0x1p-48 / 3.0;
    const double square = fmax(reference->square, floor), row_floor = square / n / 4.0;
    e.r_rmse = sqrt(test->square / square);
    for (size_t i = 0; i < r->n_positions; i++) {
        if (isnan(test->rows[i]) && isnan(reference->rows[i]))
            continue;
        double ratio = sqrt(test->rows[i] / fmax(reference->rows[i], row_floor));
        if (!(ratio <= e.r_row))
            e.r_row = ratio;
        const double times_limit = ratio / (SLACK * limits->r_row);
        const int64_t position = position_of(r, play, i);
        mv_divergence_add_row(profile, layer, position, times_limit);
        if (!(times_limit <= 1) && e.first_bad_position < 0)
            e.first_bad_position = position;
    }
    return e;
}

/* The larger of two errors, each over its limit; NAN if one is. */
static double worse_of(const mv_tensor_error *e, const mv_tolerance *limits)
{
    const double rmse = e->r_rmse / (SLACK * limits->r_rmse);
    const double row = e->r_row / (SLACK * limits->r_row);
    return !(rmse <= row) ? (isnan(row) ? row : rmse) : row;
}

static size_t longest_track(const mv_play *play)
{
    size_t longest = 1;
    for (uint32_t i = 0; i < play->n_tracks; i++)
        longest = play->tracks[i].n > longest ? play->tracks[i].n : longest;
    return longest;
}

static mv_code judge_all(mv_run *run, const mv_recording *r, const mv_play *play,
                         const errors *reference, mv_localization *out, mv_error *error)
{
    const mv_tolerance *limits = mv_tolerance_get(run->options.compute);
    const size_t n_slots = (size_t)(r->n_layers + 1) * MV_N_TAPS;
    out->tensors = calloc(n_slots, sizeof *out->tensors);
    out->profile = malloc(sizeof *out->profile);
    if (out->tensors == NULL || out->profile == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
    mv_divergence_begin(out->profile, r->n_layers, (int64_t)longest_track(play));
    for (uint32_t row = 0; row <= r->n_layers + 1; row++) {
        /* row 0: the embedding; then the layers; then what follows them, which is in row 0 too */
        const uint32_t from = row == 0             ? 0
                              : row <= r->n_layers ? MV_FIRST_TAP_IN_LAYER
                                                   : MV_LAST_TAP_IN_LAYER + 1;
        const uint32_t to = row == 0             ? 0
                            : row <= r->n_layers ? MV_LAST_TAP_IN_LAYER
                                                 : MV_N_TAPS - 1;
        const size_t base = row <= r->n_layers ? (size_t)row * MV_N_TAPS : 0;
        for (uint32_t i = from; i <= to; i++) {
            const mv_recorded *t = &r->tensors[base + i];
            errors test;
            if (t->rows == NULL || reference[base + i].rows == NULL)
                continue;
            if (!take_errors(r, t, &test))
                return mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
            if (test.n_seen > 0) {
                const int32_t layer = row == 0 || row > r->n_layers ? -1 : (int32_t)row - 1;
                mv_tensor_error e =
                    judge_tensor(r, play, layer, &reference[base + i], &test, limits, out->profile);
                const double worst = worse_of(&e, limits);
                e.name = mv_tap_names[i];
                mv_divergence_add_step(out->profile, layer, e.name, worst);
                if (out->first < 0 && !(worst <= 1))
                    out->first = (int64_t)out->n_tensors;
                out->tensors[out->n_tensors++] = e;
            }
            free(test.rows);
        }
    }
    return MV_OK;
}

/* The reference's own errors, tensor by tensor. */
static mv_code measure_reference(mv_run *run, const mv_play *play, const mv_schedule *schedule,
                                 mv_recording *r, errors *reference, mv_error *error)
{
    const mv_engine_setup setup = {.backend = run->options.reference};
    mv_code code =
        mv_recording_replay(run, play, schedule, &setup, run->options.reference, r, error);
    for (size_t i = 0; code == MV_OK && i < (size_t)(r->n_layers + 1) * MV_N_TAPS; i++) {
        if (r->tensors[i].rows != NULL && !take_errors(r, &r->tensors[i], &reference[i]))
            code = mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
    }
    return code;
}

mv_code mv_localize(mv_run *run, const mv_play *play, const mv_schedule *schedule,
                    mv_localization *localization, mv_error *error)
{
    const mv_backend *backend = run->options.backend;
    const mv_engine_setup setup = {0};
    mv_recording r = {0};
    const size_t n_slots = ((size_t)run->options.model->params.n_layers + 1) * MV_N_TAPS;
    *localization = (mv_localization){.first = -1};
    if (backend->set_tap == NULL)
        return mv_fail(error, MV_ERR_UNSUPPORTED, "backend %s has no taps", backend->name);
    errors *reference = calloc(n_slots, sizeof *reference);
    mv_code code = reference != NULL
                       ? mv_recording_open(run, play, &r, error)
                       : mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
    if (code == MV_OK)
        code = measure_reference(run, play, schedule, &r, reference, error);
    if (code == MV_OK)
        code = mv_recording_replay(run, play, schedule, &setup, backend, &r, error);
    if (code == MV_OK)
        code = judge_all(run, &r, play, reference, localization, error);
    for (size_t i = 0; reference != NULL && i < n_slots; i++)
        free(reference[i].rows);
    free(reference);
    mv_recording_free(&r);
    if (code != MV_OK)
        mv_localization_free(localization);
    return code;
}

void mv_localization_free(mv_localization *localization)
{
    free(localization->tensors);
    free(localization->profile);
    *localization = (mv_localization){.first = -1};
}

/* ---- cases ---- */

static void log_profile(const mv_case_result *result, const mv_localization *l)
{
    char line[400] = "";
    int32_t layer = INT32_MIN;
    size_t at = 0;
    mv_log(MV_LOG_WARN,
           "%s/%s, each operation on the oracle's input (R rmse, 1 = honest):", result->suite,
           result->name);
    for (size_t i = 0; i <= l->n_tensors; i++) {
        if (i == l->n_tensors || l->tensors[i].layer != layer) {
            if (at > 0)
                mv_log(MV_LOG_WARN, "%s", line);
            if (i == l->n_tensors)
                return;
            layer = l->tensors[i].layer;
            at = layer < 0 ? (size_t)snprintf(line, sizeof line, "  outside ")
                           : (size_t)snprintf(line, sizeof line, "  layer %-2d", layer);
        }
        const mv_tensor_error *e = &l->tensors[i];
        if (at < sizeof line)
            at += (size_t)snprintf(line + at, sizeof line - at, " %s%s %.2g", e->name,
                                   l->first == (int64_t)i ? " WRONG" : "", e->r_rmse);
    }
}

/* ---- the case that was played last ---- */

void mv_play_remember(mv_run *run, const mv_schedule *schedule, const mv_play *play)
{
    if (!run->options.localize)
        return;
    mv_step *steps = malloc(schedule->n_steps * sizeof *steps);
    if (steps == NULL)
        return;
    memcpy(steps, schedule->steps, schedule->n_steps * sizeof *steps);
    mv_schedule_free(&run->last.schedule);
    run->last.schedule =
        (mv_schedule){.steps = steps, .n_steps = schedule->n_steps, .capacity = schedule->n_steps};
    run->last.play =
        (mv_play){.n_tracks = play->n_tracks, .window = play->window, .model = play->model};
    for (uint32_t i = 0; i < play->n_tracks; i++)
        run->last.play.tracks[i] =
            (mv_track){.tokens = play->tracks[i].tokens, .n = play->tracks[i].n};
    run->last.is_set = true;
    run->last.had_other_weights = false;
}

void mv_localize_case(mv_run *run, mv_case_result *result)
{
    mv_localization l = {.first = -1};
    mv_schedule whole = {0};
    mv_play play = {.window = result->window};
    mv_error error = {0};
    const int32_t *tokens;
    mv_code code = MV_OK;
    const mv_model_view *own = run->options.model;
    if (run->last.had_other_weights) {
        mv_log(MV_LOG_WARN, "%s/%s is not localised: it ran on weights of its own", result->suite,
               result->name);
        return;
    }
    if (run->last.is_set && run->last.play.model != NULL)
        (void)mv_run_set_model(run, run->last.play.model);
    run->options.localize = false; /* the replay itself is not to be remembered */
    if (!run->last.is_set) {
        const size_t n = (size_t)run->length;
        code = mv_run_prompt(run, 0, n, &tokens, &error);
        if (code == MV_OK)
            code = mv_play_add(run, &play, tokens, n, &error);
        mv_schedule_add_chunks(&whole, 0, run->length, result->chunk);
    }
    if (code == MV_OK)
        code = run->last.is_set ? mv_localize(run, &run->last.play, &run->last.schedule, &l, &error)
                                : mv_localize(run, &play, &whole, &l, &error);
    if (code != MV_OK) {
        mv_log(MV_LOG_WARN, "%s/%s cannot be localised further: %s", result->suite, result->name,
               error.message);
    } else {
        log_profile(result, &l);
        if (l.first < 0)
            mv_log(MV_LOG_WARN, "%s/%s: each operation is right on the oracle's input",
                   result->suite, result->name);
        free(run->divergence);
        run->divergence = result->divergence = l.profile;
        l.profile = NULL;
        if (l.first >= 0) {
            const mv_tensor_error *e = &l.tensors[l.first];
            result->divergence_layer = e->layer;
            (void)snprintf(result->divergence_op, sizeof result->divergence_op, "%s", e->name);
            if (e->first_bad_position >= 0)
                result->divergence_position = e->first_bad_position;
        }
    }
    mv_localization_free(&l);
    mv_play_free(&play);
    mv_schedule_free(&whole);
    (void)mv_run_set_model(run, own);
    run->options.localize = true;
}
