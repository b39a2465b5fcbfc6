/* play.c - a schedule of calls on an engine, and the rows of logits that come back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/log.h"
#include "suites/run_private.h"

void mv_play_free(mv_play *play)
{
    for (uint32_t i = 0; i < play->n_tracks; i++) {
        free(play->tracks[i].logits);
        free(play->tracks[i].has_row);
    }
    *play = (mv_play){0};
}

mv_code mv_play_add(mv_run *run, mv_play *play, const int32_t *tokens, size_t n, mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    size_t n_logits;
    if (play->n_tracks == MV_MAX_PARTS)
        return mv_fail(error, MV_ERR_ARGUMENT, "more than %d sequences in a play", MV_MAX_PARTS);
    if (__builtin_mul_overflow(n, vocab_size, &n_logits))
        n_logits = SIZE_MAX / sizeof(float);
    mv_track track = {tokens, n, malloc(n_logits * sizeof(float)), calloc(n + 1, sizeof(bool))};
    if (track.logits == NULL || track.has_row == NULL) {
        free(track.logits);
        free(track.has_row);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu rows of %zu logits", n, vocab_size);
    }
    play->tracks[play->n_tracks++] = track;
    return MV_OK;
}

static size_t most_tokens(const mv_schedule *schedule)
{
    size_t most = 1;
    for (size_t i = 0; i < schedule->n_steps; i++) {
        size_t n = 0;
        for (uint32_t j = 0; j < schedule->steps[i].n_parts; j++)
            n += schedule->steps[i].parts[j].n_tokens;
        if (schedule->steps[i].kind == MV_STEP_FORWARD && n > most)
            most = n;
    }
    return most;
}

static size_t longest_track(const mv_play *play)
{
    size_t longest = 1;
    for (uint32_t i = 0; i < play->n_tracks; i++)
        longest = play->tracks[i].n > longest ? play->tracks[i].n : longest;
    return longest;
}

static const mv_backend *backend_of(const mv_run *run, const mv_engine_setup *setup)
{
    return setup->backend != NULL ? setup->backend : run->options.backend;
}

mv_code mv_play_open(mv_run *run, mv_play *play, const mv_schedule *schedule,
                     const mv_engine_setup *setup, mv_engine **engine, mv_error *error)
{
    const mv_backend *backend = backend_of(run, setup);
    const bool under_test = backend == run->options.backend && setup->backend == NULL;
    mv_model_view *view = &play->view;
    *view = play->model != NULL ? *play->model : *run->options.model;
    view->params.sliding_window = (uint32_t)play->window;
    mv_engine_options options = {
        .struct_size = sizeof options,
        .compute = setup->other_compute ? setup->compute : run->options.compute,
        .n_threads = setup->n_threads > 0 ? setup->n_threads : run->n_threads,
        .max_sequences = play->n_tracks + setup->extra_sequences,
        .max_positions = (uint32_t)(setup->most_positions > 0 ? (size_t)setup->most_positions
                                                              : longest_track(play)),
        .max_batch_tokens = (uint32_t)most_tokens(schedule),
        .options = under_test ? run->options.options : setup->options,
        .n_options = under_test ? run->options.n_options : setup->n_options,
        .log = mv_log_backend};
    if (schedule->failed)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a schedule");
    const mv_code code = mv_backend_open(backend, engine, view, &options, error);
    if (code == MV_OK && under_test)
        mv_engine_facts(run->engine, backend, *engine);
    return code;
}

/* ---- playing ---- */

typedef struct call {
    uint32_t sequences[MV_MAX_PARTS], n_tokens[MV_MAX_PARTS];
    size_t first[MV_MAX_PARTS]; /* position of the first new token */
    int32_t *tokens;
    float *logits; /* [rows, vocab_size] */
    size_t n_rows;
} call;

/* Collects the tokens of one call and moves the positions on. */
static mv_code gather(const mv_play *play, const mv_step *step, size_t *positions, call *c,
                      mv_error *error)
{
    size_t at = 0;
    c->n_rows = step->which == MV_LOGITS_LAST ? step->n_parts : 0;
    for (uint32_t i = 0; i < step->n_parts; i++) {
        const mv_part *part = &step->parts[i];
        if (part->sequence >= play->n_tracks)
            return mv_fail(error, MV_ERR_ARGUMENT, "schedule names sequence %u of %u",
                           part->sequence, play->n_tracks);
        const mv_track *track = &play->tracks[part->sequence];
        size_t first = positions[part->sequence];
        if (part->n_tokens > track->n - first)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "schedule asks for %u tokens of sequence %u at position %zu",
                           part->n_tokens, part->sequence, first);
        memcpy(c->tokens + at, track->tokens + first, part->n_tokens * sizeof *c->tokens);
        for (size_t j = at; step->foreign && j < at + part->n_tokens; j++)
            c->tokens[j] = step->foreign_id >= 0
                               ? step->foreign_id
                               : (c->tokens[j] + 1) % (int32_t)play->view.params.vocab_size;
        c->sequences[i] = part->sequence;
        c->n_tokens[i] = part->n_tokens;
        c->first[i] = first;
        at += part->n_tokens;
        positions[part->sequence] = first + part->n_tokens;
    }
    if (step->which == MV_LOGITS_ALL)
        c->n_rows = at;
    return MV_OK;
}

/* Puts the rows of a call where they belong. */
static void scatter(mv_play *play, const mv_step *step, const call *c, size_t vocab_size)
{
    const float *row = c->logits;
    for (uint32_t i = 0; i < step->n_parts && step->which != MV_LOGITS_NONE; i++) {
        mv_track *track = &play->tracks[c->sequences[i]];
        bool last_only = step->which == MV_LOGITS_LAST;
        size_t n = last_only ? 1 : c->n_tokens[i];
        size_t at = c->first[i] + (last_only ? c->n_tokens[i] - 1 : 0);
        memcpy(track->logits + at * vocab_size, row, n * vocab_size * sizeof *row);
        memset(track->has_row + at, true, n);
        row += n * vocab_size;
    }
}

/* What an engine that writes too little leaves behind is not finite, and so never passes. */
static void spoil(float *logits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        logits[i] = NAN;
}

static mv_code play_call(mv_run *run, const mv_backend *backend, mv_engine *engine,
                         const mv_step *step, size_t *positions, call *c, mv_play *play,
                         mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    mv_code code = gather(play, step, positions, c, error);
    if (code != MV_OK)
        return code;
    mv_batch batch = {sizeof batch, step->n_parts, c->sequences, c->n_tokens, c->tokens};
    spoil(c->logits, c->n_rows * vocab_size);
    code = backend->forward(engine, &batch, step->which, c->logits, error);
    if (code == MV_OK)
        scatter(play, step, c, vocab_size);
    return code;
}

static mv_code play_step(mv_run *run, const mv_backend *backend, mv_engine *engine,
                         const mv_step *step, size_t *positions, call *c, mv_play *play,
                         mv_error *error)
{
    const uint32_t sequence = step->parts[0].sequence;
    mv_code code;
    switch (step->kind) {
    case MV_STEP_RESET:
        positions[sequence] = 0;
        return backend->reset(engine, sequence, error);
    case MV_STEP_TRUNCATE:
        if (backend->truncate == NULL)
            return mv_fail(error, MV_ERR_UNSUPPORTED, "the backend has no truncate");
        code = backend->truncate(engine, sequence, step->parts[0].n_tokens, error);
        if (code == MV_OK)
            positions[sequence] = step->parts[0].n_tokens;
        return code;
    case MV_STEP_FORWARD:
        break;
    }
    return play_call(run, backend, engine, step, positions, c, play, error);
}

/* How far one engine is in its schedule. */
typedef struct player {
    call call;
    float *block; /* call.logits, with its margins */
    size_t positions[MV_MAX_PARTS];
} player;

/* Free with end(), whatever is returned. */
static mv_code begin(mv_run *run, const mv_schedule *schedule, mv_play *play, player *p,
                     mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    const size_t most = most_tokens(schedule);
    size_t n_logits;
    if (__builtin_mul_overflow(most, vocab_size, &n_logits))
        n_logits = SIZE_MAX / sizeof(float) - 2 * MV_ROW_MARGIN;
    *p = (player){.call = {.tokens = malloc(most * sizeof *p->call.tokens)},
                  .block = malloc((n_logits + 2 * MV_ROW_MARGIN) * sizeof *p->block)};
    if (p->call.tokens == NULL || p->block == NULL || schedule->failed)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a call of %zu tokens", most);
    p->call.logits = p->block + MV_ROW_MARGIN;
    for (uint32_t i = 0; i < play->n_tracks; i++)
        memset(play->tracks[i].has_row, 0, play->tracks[i].n);
    return MV_OK;
}

static void end(player *p)
{
    free(p->call.tokens);
    free(p->block);
}

mv_code mv_play_on(mv_run *run, const mv_engine_setup *setup, mv_engine *engine,
                   const mv_schedule *schedule, mv_play *play, mv_error *error)
{
    player p;
    if (setup->backend == NULL && play->model == NULL)
        mv_play_remember(run, schedule, play);
    if (setup->backend == NULL && play->model != NULL)
        run->last.had_other_weights = true;
    mv_code code = begin(run, schedule, play, &p, error);
    for (size_t i = 0; i < schedule->n_steps && code == MV_OK; i++)
        code = play_step(run, backend_of(run, setup), engine, &schedule->steps[i], p.positions,
                         &p.call, play, error);
    end(&p);
    return code;
}

mv_code mv_play_side_by_side(mv_run *run, const mv_schedule schedules[2], mv_play *const plays[2],
                             mv_error *error)
{
    const mv_backend *backend = run->options.backend;
    const mv_engine_setup usual = {0};
    mv_engine *engines[2] = {NULL, NULL};
    player players[2] = {0};
    mv_code code = MV_OK;
    mv_play_remember(run, &schedules[0], plays[0]);
    for (size_t k = 0; k < 2 && code == MV_OK; k++) {
        code = mv_play_open(run, plays[k], &schedules[k], &usual, &engines[k], error);
        if (code == MV_OK)
            code = begin(run, &schedules[k], plays[k], &players[k], error);
    }
    for (size_t i = 0; code == MV_OK && (engines[0] != NULL || engines[1] != NULL); i++) {
        for (size_t k = 0; k < 2 && code == MV_OK; k++) {
            if (i < schedules[k].n_steps) {
                code = play_step(run, backend, engines[k], &schedules[k].steps[i],
                                 players[k].positions, &players[k].call, plays[k], error);
            } else if (engines[k] != NULL) {
                backend->close(engines[k]);
                engines[k] = NULL;
            }
        }
    }
    for (size_t k = 0; k < 2; k++) {
        if (engines[k] != NULL)
            backend->close(engines[k]);
        end(&players[k]);
    }
    return code;
}

mv_code mv_play_schedule(mv_run *run, const mv_engine_setup *setup, const mv_schedule *schedule,
                         mv_play *play, mv_error *error)
{
    const mv_engine_setup usual = {0};
    mv_engine *engine = NULL;
    if (setup == NULL)
        setup = &usual;
    mv_code code = mv_play_open(run, play, schedule, setup, &engine, error);
    if (code != MV_OK)
        return code;
    code = mv_play_on(run, setup, engine, schedule, play, error);
    backend_of(run, setup)->close(engine);
    return code;
}

mv_code mv_play_prompt(mv_run *run, const mv_engine_setup *setup, int64_t window, int64_t n,
                       int64_t chunk, mv_play *play, mv_error *error)
{
    mv_schedule schedule = {0};
    const int32_t *tokens;
    *play = (mv_play){.window = window};
    mv_code code = mv_run_prompt(run, 0, (size_t)n, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, play, tokens, (size_t)n, error);
    mv_schedule_add_chunks(&schedule, 0, n, chunk);
    if (code == MV_OK)
        code = mv_play_schedule(run, setup, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}
