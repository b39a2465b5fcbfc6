/* truth.c - the oracle's logits, and how far the reference itself is from them. */
#include <stdlib.h>
#include <string.h>

#include "suites/run_private.h"

/* Takes the oracle's float64 rows before they are rounded to the ABI's float32. */
typedef struct collector {
    double *rows; /* [n, vocab_size] */
    size_t n, vocab_size, n_seen;
} collector;

static mv_tap_action collect(void *cookie, const mv_tap *tap)
{
    collector *c = cookie;
    if (strcmp(tap->name, "logits") != 0 || tap->dtype != MV_TAP_F64 ||
        tap->n_cols != c->vocab_size || tap->first_position + tap->n_rows > c->n)
        return MV_TAP_KEEP;
    memcpy(c->rows + tap->first_position * c->vocab_size, tap->data,
           tap->n_rows * c->vocab_size * sizeof *c->rows);
    c->n_seen += tap->n_rows;
    return MV_TAP_KEEP;
}

/* Runs the oracle; play receives its logits rounded to float32. */
static mv_code ask_oracle(mv_run *run, mv_truth *truth, const mv_schedule *schedule, mv_play *play,
                          mv_error *error)
{
    const mv_backend *reference = run->options.reference;
    const mv_engine_setup setup = {
        .backend = reference, .other_compute = true, .compute = MV_COMPUTE_F64};
    collector c = {truth->oracle, truth->n, run->options.model->params.vocab_size, 0};
    mv_engine *engine = NULL;
    mv_code code = mv_play_open(run, play, schedule, &setup, &engine, error);
    if (code != MV_OK)
        return code;
    code = reference->set_tap(engine, collect, &c, error);
    if (code == MV_OK)
        code = mv_play_on(run, &setup, engine, schedule, play, error);
    reference->close(engine);
    if (code == MV_OK && c.n_seen != truth->n)
        return mv_fail(error, MV_ERR_BACKEND, "the oracle gave %zu rows of logits, expected %zu",
                       c.n_seen, truth->n);
    return code;
}

static mv_code fill_truth(mv_run *run, mv_truth *truth, mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    const mv_engine_setup setup = {.backend = run->options.reference};
    mv_schedule schedule = {0};
    mv_play play = {.window = truth->window};
    mv_schedule_add_chunks(&schedule, 0, (int64_t)truth->n, 0);
    mv_code code = mv_play_add(run, &play, truth->tokens, truth->n, error);
    if (code == MV_OK)
        code = ask_oracle(run, truth, &schedule, &play, error);
    if (code == MV_OK && run->options.compute != MV_COMPUTE_F64)
        code = mv_play_schedule(run, &setup, &schedule, &play, error);
    mv_error_profile_init(&truth->reference, vocab_size);
    if (code == MV_OK)
        code = mv_error_profile_add(&truth->reference, truth->oracle, play.tracks[0].logits,
                                    truth->n, false, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
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
    if (truth->tokens == NULL || truth->oracle == NULL) {
        free(truth->tokens);
        free(truth->oracle);
        free(truth);
        return NULL;
    }
    memcpy(truth->tokens, tokens, n * sizeof *tokens);
    return truth;
}

mv_code mv_truth_get(mv_run *run, int64_t window, const int32_t *tokens, size_t n,
                     const mv_truth **truth, mv_error *error)
{
    /* A window that nothing reaches is no window. */
    if (window >= (int64_t)n)
        window = 0;
    for (size_t i = 0; i < run->n_truths; i++) {
        const mv_truth *known = run->truths[i];
        if (known->window == window && known->n >= n &&
            memcmp(known->tokens, tokens, n * sizeof *tokens) == 0) {
            *truth = known;
            return MV_OK;
        }
    }
    mv_truth **truths = realloc(run->truths, (run->n_truths + 1) * sizeof *truths);
    if (truths == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for the oracle's list");
    run->truths = truths;
    mv_truth *fresh = new_truth(run, window, tokens, n);
    if (fresh == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu rows of the oracle's logits", n);
    run->truths[run->n_truths++] = fresh; /* freed with the run, whatever happens now */
    mv_code code = fill_truth(run, fresh, error);
    if (code != MV_OK) {
        fresh->n = 0; /* never matches */
        return code;
    }
    *truth = fresh;
    return MV_OK;
}
