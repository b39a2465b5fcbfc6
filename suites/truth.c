/* truth.c - the oracle's logits, and how far the reference itself is from them. */
#include <stdlib.h>
#include <string.h>

#include "suites/noise.h"

/* Takes the oracle's float64 rows before they are rounded to the ABI's float32. */
typedef struct collector {
    double *rows; /* [n, vocab_size] */
    size_t n, vocab_size, n_seen;
    bool *has_row; /* [n] */
} collector;

static mv_tap_action collect(void *cookie, const mv_tap *tap)
{
    collector *c = cookie;
    if (strcmp(tap->name, "logits") != 0 || tap->dtype != MV_TAP_F64 ||
        tap->n_cols != c->vocab_size || tap->first_position + tap->n_rows > c->n)
        return MV_TAP_KEEP;
    memcpy(c->rows + tap->first_position * c->vocab_size, tap->data,
           tap->n_rows * c->vocab_size * sizeof *c->rows);
    memset(c->has_row + tap->first_position, true, tap->n_rows);
    c->n_seen += tap->n_rows;
    return MV_TAP_KEEP;
}

static size_t count_rows(const mv_track *track)
{
    size_t n = 0;
    for (size_t i = 0; i < track->n; i++)
        n += track->has_row[i] ? 1 : 0;
    return n;
}

/* Runs the oracle; play receives its logits rounded to float32. */
static mv_code ask_oracle(mv_run *run, mv_truth *truth, const mv_schedule *schedule, mv_play *play,
                          mv_error *error)
{
    const mv_backend *reference = run->options.reference;
    const mv_engine_setup setup = {
        .backend = reference, .other_compute = true, .compute = MV_COMPUTE_F64};
    collector c = {truth->oracle, truth->n, run->options.model->params.vocab_size, 0,
                   truth->has_row};
    mv_engine *engine = NULL;
    mv_code code = mv_play_open(run, play, schedule, &setup, &engine, error);
    if (code != MV_OK)
        return code;
    code = reference->set_tap(engine, collect, &c, error);
    if (code == MV_OK)
        code = mv_play_on(run, &setup, engine, schedule, play, error);
    reference->close(engine);
    if (code == MV_OK && c.n_seen != count_rows(&play->tracks[0]))
        return mv_fail(error, MV_ERR_BACKEND, "the oracle gave %zu rows of logits, expected %zu",
                       c.n_seen, count_rows(&play->tracks[0]));
    return code;
}

mv_code mv_truth_measure(const mv_truth *truth, const mv_track *track, size_t vocab_size,
                         mv_error_profile *profile, mv_error *error)
{
    mv_error_profile_init(profile, vocab_size);
    mv_code code = MV_OK;
    for (size_t i = 0; i < truth->n && code == MV_OK; i++)
        code = truth->has_row[i]
                   ? mv_error_profile_add(profile, truth->oracle + i * vocab_size,
                                          track->logits + i * vocab_size, 1, false, error)
                   : mv_error_profile_add_empty(profile, error);
    return code;
}

/* model and schedule: NULL for the run's own, and for the whole prompt in one call. */
static mv_code fill_truth(mv_run *run, mv_truth *truth, const mv_model_view *model,
                          const mv_schedule *schedule, mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    const mv_engine_setup setup = {.backend = run->options.reference};
    mv_schedule whole = {0};
    mv_play play = {.window = truth->window, .model = model};
    if (schedule == NULL) {
        mv_schedule_add_chunks(&whole, 0, (int64_t)truth->n, 0);
        schedule = &whole;
    }
    mv_code code = mv_play_add(run, &play, truth->tokens, truth->n, error);
    if (code == MV_OK)
        code = ask_oracle(run, truth, schedule, &play, error);
    if (code == MV_OK && run->options.compute != MV_COMPUTE_F64)
        code = mv_play_schedule(run, &setup, schedule, &play, error);
    if (code == MV_OK)
        code = mv_truth_measure(truth, &play.tracks[0], vocab_size, &truth->reference, error);
    if (code == MV_OK && run->options.strict && run->options.mutant != NULL)
        code = mv_noise_measure(run, truth, schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&whole);
    return code;
}

void mv_truth_free(mv_truth *truth)
{
    if (truth == NULL)
        return;
    free(truth->tokens);
    free(truth->oracle);
    free(truth->has_row);
    mv_error_profile_free(&truth->reference);
    for (size_t i = 0; i < MV_N_HARMLESS; i++)
        mv_error_profile_free(&truth->ensemble[i]);
    free(truth);
}

static mv_truth *new_truth(const mv_run *run, int64_t window, const int32_t *tokens, size_t n)
{
    size_t n_logits;
    if (__builtin_mul_overflow(n, (size_t)run->options.model->params.vocab_size, &n_logits))
        return NULL;
    mv_truth *truth = calloc(1, sizeof *truth);
    if (truth == NULL)
        return NULL;
    truth->window = window;
    truth->n = n;
    truth->tokens = malloc((n + 1) * sizeof *truth->tokens);
    truth->oracle = malloc((n_logits + 1) * sizeof *truth->oracle);
    truth->has_row = calloc(n + 1, sizeof *truth->has_row);
    if (truth->tokens == NULL || truth->oracle == NULL || truth->has_row == NULL) {
        mv_truth_free(truth);
        return NULL;
    }
    memcpy(truth->tokens, tokens, n * sizeof *tokens);
    return truth;
}

/* Takes over the truth, and fills it. On failure it stays, and never matches. */
static mv_code keep_truth(mv_run *run, mv_truth *fresh, const mv_model_view *model,
                          const mv_schedule *schedule, mv_error *error)
{
    mv_truth **truths = realloc(run->truths, (run->n_truths + 1) * sizeof *truths);
    if (truths != NULL)
        run->truths = truths;
    if (truths == NULL || fresh == NULL) {
        mv_truth_free(fresh);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for the oracle's logits");
    }
    run->truths[run->n_truths++] = fresh;
    mv_code code = fill_truth(run, fresh, model, schedule, error);
    if (code != MV_OK) {
        fresh->n = 0;
        (void)snprintf(fresh->name, sizeof fresh->name, "failed");
    }
    return code;
}

mv_code mv_truth_get(mv_run *run, int64_t window, const int32_t *tokens, size_t n,
                     const mv_truth **truth, mv_error *error)
{
    /* A window that nothing reaches is no window. */
    if (window >= (int64_t)n)
        window = 0;
    for (size_t i = 0; i < run->n_truths; i++) {
        const mv_truth *known = run->truths[i];
        if (known->name[0] == '\0' && known->window == window && known->n >= n &&
            memcmp(known->tokens, tokens, n * sizeof *tokens) == 0) {
            *truth = known;
            return MV_OK;
        }
    }
    mv_truth *fresh = new_truth(run, window, tokens, n);
    mv_code code = keep_truth(run, fresh, NULL, NULL, error);
    if (code == MV_OK)
        *truth = fresh;
    return code;
}

mv_code mv_truth_get_own(mv_run *run, const mv_case_result *result, const mv_play *play,
                         uint32_t track, const mv_truth **truth, mv_error *error)
{
    char name[sizeof(*truth)->name];
    (void)snprintf(name, sizeof name, "%s/%s/%u", result->suite, result->name, track);
    for (size_t i = 0; i < run->n_truths; i++) {
        if (strcmp(run->truths[i]->name, name) == 0) {
            *truth = run->truths[i];
            return MV_OK;
        }
    }
    mv_truth *fresh =
        new_truth(run, play->window, play->tracks[track].tokens, play->tracks[track].n);
    if (fresh != NULL)
        memcpy(fresh->name, name, sizeof name);
    mv_code code = keep_truth(run, fresh, play->model, play->truth_schedule, error);
    if (code == MV_OK)
        *truth = fresh;
    return code;
}
