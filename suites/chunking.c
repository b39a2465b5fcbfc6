/* chunking - a prompt prefilled in pieces gives the logits of the prompt prefilled whole.
 *
 * For each window (the model's own, one that the prompt passes several times, none) and each chunk
 * size: pieces of 1, 2, 3, of sizes without a common factor with W below and above it, W-1, W, W+1,
 * around 2W, T-1 and T. A chunk of exactly W, the usual advice, hides half of the known bugs; a
 * size coprime to W puts a boundary at every place of the ring sooner or later.
 *
 * Once more with one of the sizes, and without logits for the first half.
 *
 * Compares every row with the float64 oracle of the whole prompt; an engine that claims chunk
 * invariance must give the whole prompt's bits.
 *
 * Catches: a slot overwritten before it is read; RoPE that restarts with a piece; a mask aligned to
 * the top-left of a piece; W keys or W+1 in later pieces only; an un-rotated ring; a lost last
 * piece; a ring too small for pieces above W; a call without logits that leaves the cache
 * incomplete.
 * Source: test_generate.py, test_chunks (mistral-src 147c4e6), which has one size and no window
 * beyond it.
 */
#include "suites/run.h"

/* What the bits of the pieces are compared with, where the engine claims them: played once, inside
 * of a case, so that a crash is that case's. */
static mv_code play_whole(mv_run *run, int64_t window, mv_play *whole, mv_error *error)
{
    const bool asked = (mv_run_claims(run) & MV_CLAIM_CHUNK_INVARIANT) != 0;
    if (!asked || whole->n_tracks > 0)
        return MV_OK;
    mv_code code = mv_play_prompt(run, NULL, window, mv_run_length(run), 0, whole, error);
    if (code != MV_OK)
        mv_play_free(whole);
    return code;
}

static mv_code run_chunk(mv_run *run, int64_t window, int64_t chunk, mv_play *whole,
                         mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_case_result result;
    mv_play play = {0};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, window, chunk, "window %lld chunk %lld", (long long)window,
                       (long long)chunk))
        return MV_OK;
    mv_code ran = play_whole(run, window, whole, &ran_error), code = MV_OK;
    if (ran == MV_OK)
        ran = mv_play_prompt(run, NULL, window, T, chunk, &play, &ran_error);
    if (ran == MV_OK) {
        mv_judge_same(run, &result, &play, whole, MV_CLAIM_CHUNK_INVARIANT,
                      "how a prompt is cut changes no bit");
        code = mv_judge(run, &result, &play, error);
    }
    mv_play_free(&play);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

/* As a server prefills: nobody asks for logits of the first half, so that an engine may leave out
 * what only they need. All rows after it depend on what those calls left in the cache. */
static mv_code play_unseen(mv_run *run, int64_t window, int64_t chunk, mv_case_result *result,
                           mv_play *play, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_schedule schedule = {0};
    const int32_t *tokens;
    *play = (mv_play){.window = window};
    mv_schedule_add_chunks(&schedule, 0, T / 2, chunk);
    for (size_t i = 0; i < schedule.n_steps; i++)
        schedule.steps[i].which = MV_LOGITS_NONE;
    mv_schedule_add_chunks(&schedule, 0, T - T / 2, chunk);
    mv_schedule_print(&schedule, result->schedule, sizeof result->schedule);
    mv_code code = mv_run_prompt(run, 0, (size_t)T, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, play, tokens, (size_t)T, error);
    if (code == MV_OK)
        code = mv_play_schedule(run, NULL, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_unseen(mv_run *run, int64_t window, int64_t chunk, mv_play *whole,
                          mv_error *error)
{
    mv_case_result result;
    mv_play play = {0};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, window, chunk, "window %lld chunk %lld first half unseen",
                       (long long)window, (long long)chunk))
        return MV_OK;
    mv_code ran = play_whole(run, window, whole, &ran_error), code = MV_OK;
    if (ran == MV_OK)
        ran = play_unseen(run, window, chunk, &result, &play, &ran_error);
    if (ran == MV_OK) {
        mv_judge_same(run, &result, &play, whole, MV_CLAIM_CHUNK_INVARIANT,
                      "how a prompt is cut changes no bit");
        code = mv_judge(run, &result, &play, error);
    }
    mv_play_free(&play);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

/* The whole prompt is both a case of its own and what the pieces are compared with. */
static mv_code run_whole(mv_run *run, int64_t window, mv_play *whole, mv_error *error)
{
    mv_case_result result;
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, window, 0, "window %lld whole", (long long)window))
        return MV_OK;
    mv_code ran = mv_play_prompt(run, NULL, window, mv_run_length(run), 0, whole, &ran_error);
    mv_code code = ran == MV_OK ? mv_judge(run, &result, whole, error) : MV_OK;
    if (ran != MV_OK)
        mv_play_free(whole);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_window(mv_run *run, int64_t window, mv_error *error)
{
    mv_range chunks;
    mv_play whole = {0};
    mv_code code = run_whole(run, window, &whole, error);
    if (code == MV_OK)
        code = mv_run_chunks(run, window, &chunks, error);
    for (size_t i = 0; code == MV_OK && i < chunks.n; i++)
        code = run_chunk(run, window, chunks.values[i], &whole, error);
    if (code == MV_OK && chunks.n > 0)
        code = run_unseen(run, window, chunks.values[chunks.n / 2], &whole, error);
    mv_play_free(&whole);
    return code;
}

static mv_code run_chunking(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        code = run_window(run, windows.values[i], error);
    return code;
}

const mv_suite mv_suite_chunking = {
    "chunking", "a prompt prefilled in pieces gives the logits of the prompt prefilled whole",
    run_chunking};
