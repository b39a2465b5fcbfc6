/* localize.c - record the oracle's inner tensors; replay an engine against them. */
#include "suites/localize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/log.h"
#include "suites/run_private.h"

/* The ABI's tap names in the order of the forward pass. */
static const char *const names[] = {"embedding",
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
enum { N_NAMES = sizeof names / sizeof names[0], FIRST_IN_LAYER = 1, LAST_IN_LAYER = 12 };

/* A limit twice as wide as that of the logits: one operation alone has less to average over. */
#define SLACK 2.0

/* ---- what the oracle computed ---- */

typedef struct recorded {
    double *rows; /* [positions of all sequences, n_cols]; NULL until seen */
    uint64_t n_cols;
    double *error; /* [positions] squared error of a replay */
    double *size;  /* [positions] squared oracle */
    bool *seen;    /* [positions] */
} recorded;

typedef struct recording {
    recorded *tensors; /* [2 + n_layers, N_NAMES]: row 0 before the layers, row 1 + l layer l */
    uint32_t n_layers;
    size_t offsets[MV_MAX_PARTS]; /* of each sequence's position 0 */
    size_t n_positions;
    bool replaying, failed;
} recording;

static recorded *tensor_of(const recording *r, const char *name, int32_t layer)
{
    if (layer < -1 || layer >= (int32_t)r->n_layers)
        return NULL;
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strcmp(names[i], name) == 0)
            return &r->tensors[(size_t)(layer + 1) * N_NAMES + i];
    }
    return NULL;
}

static double tap_value(const mv_tap *tap, uint64_t row, uint64_t column)
{
    const uint64_t i = row * tap->n_cols + column;
    return tap->dtype == MV_TAP_F64 ? ((const double *)tap->data)[i]
                                    : (double)((const float *)tap->data)[i];
}

static void keep_row(recorded *t, const mv_tap *tap, uint64_t row, size_t at)
{
    for (uint64_t j = 0; j < t->n_cols; j++)
        t->rows[at * t->n_cols + j] = tap_value(tap, row, j);
    t->seen[at] = true;
}

/* Measures what the engine made of the oracle's input, and hands on the oracle's output. */
static void replay_row(recorded *t, const mv_tap *tap, uint64_t row, size_t at)
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

static bool make_room(recording *r, recorded *t, uint64_t n_cols)
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
    recording *r = cookie;
    recorded *t = tensor_of(r, tap->name, tap->layer);
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

static void free_recording(recording *r)
{
    for (size_t i = 0; r->tensors != NULL && i < (size_t)(r->n_layers + 1) * N_NAMES; i++) {
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
                          const mv_engine_setup *setup, const mv_backend *backend, recording *r,
                          mv_error *error)
{
    mv_play copy;
    mv_engine *engine = NULL;
    mv_code code = copy_play(run, play, &copy, error);
    for (size_t i = 0; r->replaying && i < (size_t)(r->n_layers + 1) * N_NAMES; i++) {
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

/* Only the tokens of the prompt themselves: what was played before a reset is not recorded. */
static mv_code record_oracle(mv_run *run, const mv_play *play, recording *r, mv_error *error)
{
    const mv_engine_setup setup = {
        .backend = run->options.reference, .other_compute = true, .compute = MV_COMPUTE_F64};
    mv_schedule whole = {0};
    for (uint32_t i = 0; i < play->n_tracks; i++)
        mv_schedule_add_chunks(&whole, i, (int64_t)play->tracks[i].n, 0);
    mv_code code = run_tapped(run, play, &whole, &setup, run->options.reference, r, error);
    mv_schedule_free(&whole);
    return code;
}

/* ---- reading the errors ---- */

typedef struct errors {
    double *rows; /* [positions] squared error; NAN where not seen */
    double square, size;
    size_t n_seen;
} errors;

/* Moves the errors of the last replay out. */
static bool take_errors(const recording *r, const recorded *t, errors *out)
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

static int64_t position_of(const recording *r, const mv_play *play, size_t at)
{
    for (uint32_t i = 0; i < play->n_tracks; i++) {
        if (at >= r->offsets[i] && at < r->offsets[i] + play->tracks[i].n)
            return (int64_t)(at - r->offsets[i]);
    }
    return -1;
}

/* Float32 values cannot be nearer to the oracle than half of their last bit. */
static mv_tensor_error judge_tensor(const recording *r, const mv_play *play,
                                    const errors *reference, const errors *test,
                                    const mv_tolerance *limits)
{
    mv_tensor_error e = {.first_bad_position = -1};
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
        if (!(ratio <= SLACK * limits->r_row) && e.first_bad_position < 0)
            e.first_bad_position = position_of(r, play, i);
    }
    return e;
}

static bool is_bad(const mv_tensor_error *e, const mv_tolerance *limits)
{
    return !(e->r_rmse <= SLACK * limits->r_rmse) || !(e->r_row <= SLACK * limits->r_row);
}

static mv_code judge_all(mv_run *run, const recording *r, const mv_play *play,
                         const errors *reference, mv_localization *out, mv_error *error)
{
    const mv_tolerance *limits = mv_tolerance_get(run->options.compute);
    const size_t n_slots = (size_t)(r->n_layers + 1) * N_NAMES;
    out->tensors = calloc(n_slots, sizeof *out->tensors);
    if (out->tensors == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
    for (uint32_t row = 0; row <= r->n_layers + 1; row++) {
        /* row 0: the embedding; then the layers; then what follows them, which is in row 0 too */
        const uint32_t from = row == 0             ? 0
                              : row <= r->n_layers ? FIRST_IN_LAYER
                                                   : LAST_IN_LAYER + 1;
        const uint32_t to = row == 0 ? 0 : row <= r->n_layers ? LAST_IN_LAYER : N_NAMES - 1;
        const size_t base = row <= r->n_layers ? (size_t)row * N_NAMES : 0;
        for (uint32_t i = from; i <= to; i++) {
            const recorded *t = &r->tensors[base + i];
            errors test;
            if (t->rows == NULL || reference[base + i].rows == NULL)
                continue;
            if (!take_errors(r, t, &test))
                return mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
            if (test.n_seen > 0) {
                mv_tensor_error e = judge_tensor(r, play, &reference[base + i], &test, limits);
                e.name = names[i];
                e.layer = row == 0 || row > r->n_layers ? -1 : (int32_t)row - 1;
                if (out->first < 0 && is_bad(&e, limits))
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
                                 recording *r, errors *reference, mv_error *error)
{
    const mv_engine_setup setup = {.backend = run->options.reference};
    mv_code code = run_tapped(run, play, schedule, &setup, run->options.reference, r, error);
    for (size_t i = 0; code == MV_OK && i < (size_t)(r->n_layers + 1) * N_NAMES; i++) {
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
    recording r = {.n_layers = run->options.model->params.n_layers};
    const size_t n_slots = (size_t)(r.n_layers + 1) * N_NAMES;
    *localization = (mv_localization){.first = -1};
    if (backend->set_tap == NULL)
        return mv_fail(error, MV_ERR_UNSUPPORTED, "backend %s has no taps", backend->name);
    for (uint32_t i = 0; i < play->n_tracks; i++) {
        r.offsets[i] = r.n_positions;
        r.n_positions += play->tracks[i].n;
    }
    for (uint32_t i = play->n_tracks; i < MV_MAX_PARTS; i++)
        r.offsets[i] = SIZE_MAX / 2;
    r.tensors = calloc(n_slots, sizeof *r.tensors);
    errors *reference = calloc(n_slots, sizeof *reference);
    mv_code code = MV_OK;
    if (r.tensors == NULL || reference == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a localisation");
    if (code == MV_OK)
        code = record_oracle(run, play, &r, error);
    r.replaying = true;
    if (code == MV_OK)
        code = measure_reference(run, play, schedule, &r, reference, error);
    if (code == MV_OK)
        code = run_tapped(run, play, schedule, &setup, backend, &r, error);
    if (code == MV_OK)
        code = judge_all(run, &r, play, reference, localization, error);
    for (size_t i = 0; reference != NULL && i < n_slots; i++)
        free(reference[i].rows);
    free(reference);
    free_recording(&r);
    if (code != MV_OK)
        mv_localization_free(localization);
    return code;
}

void mv_localization_free(mv_localization *localization)
{
    free(localization->tensors);
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

void mv_localize_case(mv_run *run, mv_case_result *result)
{
    mv_localization l = {.first = -1};
    mv_schedule whole = {0};
    mv_play play = {.window = result->window};
    mv_error error = {0};
    const int32_t *tokens;
    mv_code code = MV_OK;
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
    run->options.localize = true;
}
