/* generation - the text that an engine writes by itself is the text that the model writes.
 *
 * Greedy: the token with the largest logit of the last row goes back into the engine, step by step
 * through the cache. From prompts of 1, W-1, W+1 and half of T tokens, prefilled whole or in
 * pieces, until several windows are passed; from prompts of unequal lengths in one batch, each of
 * which must write what it writes alone; and from English text, if the model has a tokenizer.
 *
 * Compares every row of logits with the float64 oracle of the same tokens, and every token with the
 * oracle's own choice. Where the oracle's two best are nearer than the noise, 4 x the row error of
 * the reference x the limit for a row, either is right: such near-ties are counted in the reason. A
 * token that the oracle puts further behind than that fails.
 *
 * Catches: a last row that is not the last, or another sequence's; decode that feeds itself what it
 * should not; the two best exchanged; an error that only builds up over steps.
 * Source: test_generate.py, test_generation (mistral-src 147c4e6); for near-ties vLLM #57365 and
 * pytorch #177393, whose token tests fail honest engines.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/tokenizer.h"
#include "suites/greedy.h"

static void say_ties(mv_case_result *result, const mv_near_ties *found)
{
    if (result->verdict == MV_VERDICT_PASS && found->n_near > 0)
        (void)snprintf(result->reason, sizeof result->reason,
                       "%zu of %zu steps are near-ties, and %zu of them went the other way than "
                       "the oracle; first at position %zu, between tokens %d and %d",
                       found->n_near, found->n_steps, found->n_flipped, found->position,
                       found->ids[0], found->ids[1]);
}

/* ---- cases ---- */

/* Prompts in one ragged call, or in pieces of `chunk`; then all together token by token. */
static void add_steps(mv_schedule *schedule, const mv_greedy *t, int64_t chunk)
{
    if (chunk > 0) {
        mv_schedule_add_chunks(schedule, 0, (int64_t)t->prompts[0], chunk);
    } else {
        mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
        step->n_parts = t->n;
        for (uint32_t i = 0; i < t->n; i++)
            step->parts[i] = (mv_part){i, (uint32_t)t->prompts[i]};
    }
    for (size_t k = 1; k < t->n_new; k++) {
        mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
        step->n_parts = t->n;
        for (uint32_t i = 0; i < t->n; i++)
            step->parts[i] = (mv_part){i, 1};
    }
}

/* The same texts, one after the other. */
static mv_code write_alone(mv_run *run, const mv_greedy *t, mv_greedy *alone, mv_error *error)
{
    mv_schedule schedule = {0};
    mv_code code = MV_OK;
    *alone = (mv_greedy){.n_new = t->n_new, .play = {.window = t->play.window}};
    for (uint32_t i = 0; i < t->n && code == MV_OK; i++) {
        code = mv_greedy_add(run, alone, t->tokens[i], t->prompts[i], error);
        mv_schedule_add_call(&schedule, i, (int64_t)t->prompts[i]);
        mv_schedule_add_chunks(&schedule, i, (int64_t)t->n_new - 1, 1);
    }
    if (code == MV_OK)
        code = mv_greedy_write(run, &schedule, alone, error);
    mv_schedule_free(&schedule);
    return code;
}

/* Writes, judges and ends a case that has begun. t: its prompts are there, and it is freed here. */
static mv_code run_text(mv_run *run, mv_case_result *result, mv_greedy *t, int64_t chunk,
                        mv_error *error)
{
    mv_schedule schedule = {0};
    mv_greedy alone = {0};
    mv_near_ties found = {0};
    mv_error ran_error = {0};
    mv_code code = MV_OK;
    add_steps(&schedule, t, chunk);
    for (size_t i = 0; i < schedule.n_steps; i++)
        schedule.steps[i].which = MV_LOGITS_LAST;
    mv_schedule_print(&schedule, result->schedule, sizeof result->schedule);
    for (uint32_t i = 0; i < t->n; i++)
        result->length = (int64_t)t->play.tracks[i].n > result->length || i == 0
                             ? (int64_t)t->play.tracks[i].n
                             : result->length;
    mv_code ran = mv_greedy_write(run, &schedule, t, &ran_error);
    if (ran == MV_OK && t->n > 1)
        ran = write_alone(run, t, &alone, &ran_error);
    if (ran == MV_OK && t->n > 1)
        mv_judge_same(run, result, &t->play, &alone.play, MV_CLAIM_BATCH_INVARIANT,
                      "other sequences in the batch change no bit");
    if (ran == MV_OK)
        code = mv_judge(run, result, &t->play, error);
    for (uint32_t i = 0; i < t->n && ran == MV_OK && code == MV_OK; i++)
        code = mv_greedy_judge(run, result, t, i, &found, error);
    if (ran == MV_OK && code == MV_OK && t->n > 1)
        code = mv_greedy_judge_same(run, result, t, &alone, error);
    say_ties(result, &found);
    mv_play_remember(run, &schedule, &t->play);
    if (code == MV_OK)
        code = mv_case_end(run, result, ran, &ran_error, error);
    mv_greedy_free(&alone);
    mv_greedy_free(t);
    mv_schedule_free(&schedule);
    return code;
}

static size_t n_new_of(const mv_run *run)
{
    return mv_run_is_large(run) ? 5 : 24;
}

/* Prompts of these lengths, numbered from 0. */
static mv_code run_prompts(mv_run *run, int64_t window, const int64_t *lengths, uint32_t n,
                           int64_t chunk, mv_error *error)
{
    mv_case_result result;
    mv_greedy t = {.n_new = n_new_of(run), .play = {.window = window}};
    char what[64];
    (void)snprintf(what, sizeof what, "after %lld token%s%s", (long long)lengths[0],
                   lengths[0] == 1 ? "" : "s", chunk > 0 ? " in pieces" : "");
    if (n > 1)
        (void)snprintf(what, sizeof what, "%u prompts at once", n);
    if (!mv_case_begin(run, &result, window, chunk, "window %lld, %s", (long long)window, what))
        return MV_OK;
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < n && code == MV_OK; i++) {
        const int32_t *prompt;
        code = mv_run_prompt(run, i, (size_t)lengths[i], &prompt, error);
        if (code == MV_OK)
            code = mv_greedy_add(run, &t, prompt, (size_t)lengths[i], error);
    }
    if (code == MV_OK)
        return run_text(run, &result, &t, chunk, error);
    mv_greedy_free(&t);
    return code;
}

static mv_code run_window(mv_run *run, int64_t window, mv_error *error)
{
    const int64_t T = mv_run_length(run), W = window > 0 && window < T ? window : T / 3 + 2;
    const int64_t batch[] = {W + 1, 1, 2 * W + 3, W > 1 ? W - 1 : 1};
    mv_range lengths = {.n = 0};
    const int64_t wanted[] = {W + 1, 1, W - 1, T / 2};
    for (size_t i = 0; i < (mv_run_is_large(run) ? 1 : 4); i++)
        mv_range_add(&lengths, wanted[i], 1, INT32_MAX);
    mv_code code = MV_OK;
    for (size_t i = 0; i < lengths.n && code == MV_OK; i++)
        code = run_prompts(run, window, &lengths.values[i], 1, 0, error);
    if (code == MV_OK && !mv_run_is_large(run))
        code = run_prompts(run, window, batch + 2, 1, W > 3 ? W - 3 : 2, error);
    return code == MV_OK ? run_prompts(run, window, batch, 4, 0, error) : code;
}

/* ---- text ---- */

/* *ids: yours, free(). */
static mv_code tokenize(const mv_run *run, const char *words, int32_t **ids, size_t *n,
                        mv_error *error)
{
    const mv_run_options *o = mv_run_get_options(run);
    mv_tokenizer *tokenizer = NULL;
    mv_code code = mv_tokenizer_open(&tokenizer, o->tokenizer, error);
    if (code == MV_OK)
        code = mv_tokenizer_check(tokenizer, o->model->params.vocab_size, error);
    if (code == MV_OK)
        code = mv_tokenizer_encode(tokenizer, words, strlen(words), true, ids, n, error);
    mv_tokenizer_close(&tokenizer);
    return code;
}

static mv_code run_words(mv_run *run, int64_t window, const char *words, mv_error *error)
{
    mv_case_result result;
    mv_greedy t = {.n_new = n_new_of(run), .play = {.window = window}};
    mv_error no_tokens = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    if (!mv_case_begin(run, &result, window, 0, "window %lld, after '%s'", (long long)window,
                       words))
        return MV_OK;
    if (tokenize(run, words, &ids, &n, &no_tokens) != MV_OK || n == 0)
        return mv_case_end(run, &result, MV_ERR_UNSUPPORTED, &no_tokens, error);
    mv_code code = mv_greedy_add(run, &t, ids, n, error);
    free(ids);
    if (code == MV_OK)
        return run_text(run, &result, &t, 0, error);
    mv_greedy_free(&t);
    return code;
}

static mv_code run_generation(mv_run *run, mv_error *error)
{
    static const char *const words[] = {"Once upon a time", "The capital of France is"};
    const bool has_text = mv_run_get_options(run)->tokenizer != NULL;
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    const size_t n = mv_run_is_large(run) && windows.n > 1 ? 1 : windows.n;
    for (size_t i = 0; i < n && code == MV_OK; i++)
        code = run_window(run, windows.values[i], error);
    for (size_t i = 0; has_text && windows.n > 0 && i < 2 && code == MV_OK; i++)
        code = run_words(run, windows.values[0], words[i], error);
    return code;
}

const mv_suite mv_suite_generation = {
    "generation", "the text that an engine writes by itself is the text that the model writes",
    run_generation};
