/* cache_ops - what is forgotten is forgotten, and what is kept is kept.
 *
 * A reset of one sequence beside others that go on; a reset in the middle of the first window, at
 * its end and beyond it; and, where the engine has truncate(): back by one, then on; back within
 * the first window to half of the prompt, then on (the cache's prefix is used again); a truncation
 * that the rolling buffer cannot serve must be refused, not answered. And two engines of one plugin
 * open at once, call by call, one of which is closed while the other goes on; not on a large model,
 * of which there may be no room for two.
 *
 * Compares every row that comes after with the float64 oracle.
 *
 * Catches: stale keys after a reset; a reset that clears all sequences or none; positions that go
 * on counting after a truncation; a prefix reused with the wrong length; a cache, lengths or
 * scratch in static variables. Source: sglang #22819, #28063; mlx-examples #1000; transformers
 * #31917.
 */
#include <string.h>

#include "suites/run.h"

/* The next n_sequences prompts from number `first` on. */
static mv_code add_prompts_from(mv_run *run, mv_play *play, uint32_t first, uint32_t n_sequences,
                                int64_t n, mv_error *error)
{
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < n_sequences && code == MV_OK; i++) {
        const int32_t *tokens;
        code = mv_run_prompt(run, first + i, (size_t)n, &tokens, error);
        if (code == MV_OK)
            code = mv_play_add(run, play, tokens, (size_t)n, error);
    }
    return code;
}

static mv_code add_prompts(mv_run *run, mv_play *play, uint32_t n_sequences, int64_t n,
                           mv_error *error)
{
    return add_prompts_from(run, play, 0, n_sequences, n, error);
}

/* Three sequences; the middle one is reset after `at` tokens and starts again. */
static mv_code run_reset(mv_run *run, int64_t window, int64_t at, mv_error *error)
{
    const int64_t n = 2 * window + 3;
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    if (!mv_case_begin(run, &result, window, 0, "window %lld reset one of three after %lld",
                       (long long)window, (long long)at))
        return MV_OK;
    result.length = n;
    mv_code code = add_prompts(run, &play, 3, n, error);
    for (uint32_t i = 0; i < 3; i++)
        mv_schedule_add_chunks(&schedule, i, at, 3);
    mv_step *reset = mv_schedule_add(&schedule, MV_STEP_RESET);
    reset->n_parts = 1;
    reset->parts[0].sequence = 1;
    for (uint32_t i = 0; i < 3; i++)
        mv_schedule_add_chunks(&schedule, i, i == 1 ? n : n - at, 4);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

static void add_truncate(mv_schedule *schedule, int64_t keep)
{
    mv_step *step = mv_schedule_add(schedule, MV_STEP_TRUNCATE);
    step->n_parts = 1;
    step->parts[0] = (mv_part){0, (uint32_t)keep};
}

/* `first` tokens (the last of them foreign, so that keeping them would show), back to `keep`, on.
 */
static mv_code run_truncate(mv_run *run, int64_t window, int64_t first, int64_t keep, int64_t chunk,
                            mv_error *error)
{
    const int64_t n = 3 * window + 2;
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, window, chunk, "window %lld truncate %lld to %lld, chunk %lld",
                       (long long)window, (long long)first, (long long)keep, (long long)chunk))
        return MV_OK;
    if (mv_run_get_options(run)->backend->truncate == NULL) {
        mv_fail(&ran_error, MV_ERR_UNSUPPORTED, "the backend has no truncate");
        return mv_case_end(run, &result, MV_ERR_UNSUPPORTED, &ran_error, error);
    }
    result.length = n;
    mv_code code = add_prompts(run, &play, 1, n, error);
    mv_schedule_add_chunks(&schedule, 0, keep, chunk);
    const size_t from = schedule.n_steps;
    mv_schedule_add_chunks(&schedule, 0, first - keep, chunk);
    for (size_t i = from; i < schedule.n_steps; i++) {
        schedule.steps[i].foreign = true;
        schedule.steps[i].which = MV_LOGITS_NONE;
    }
    add_truncate(&schedule, keep);
    mv_schedule_add_chunks(&schedule, 0, n - keep, chunk);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

/* `played` tokens, then back to each of `keep` in turn (0 ends them); the last must be refused, for
 * what its next token must see has left the ring. An engine that keeps more may serve it, and must
 * be right. */
static mv_code run_refusal(mv_run *run, int64_t window, const char *name, int64_t played,
                           const int64_t keep[3], mv_error *error)
{
    const int64_t n = 3 * window + 2;
    const mv_run_options *o = mv_run_get_options(run);
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    mv_error ran_error = {0};
    int64_t kept = played;
    if (!mv_case_begin(run, &result, window, 0, "window %lld %s", (long long)window, name))
        return MV_OK;
    result.length = n;
    mv_code code = add_prompts(run, &play, 1, n, error);
    mv_schedule_add_chunks(&schedule, 0, played, 0);
    for (size_t i = 0; i < 3 && keep[i] > 0; i++)
        add_truncate(&schedule, kept = keep[i]);
    mv_schedule_add_chunks(&schedule, 0, n - kept, 0);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    mv_code ran = code == MV_OK ? mv_play_schedule(run, NULL, &schedule, &play, &ran_error) : code;
    if (code == MV_OK && ran == MV_ERR_UNSUPPORTED && o->backend->truncate != NULL) {
        result.verdict = MV_VERDICT_PASS;
        result.n_positions = 1;
        ran = MV_OK;
    } else if (code == MV_OK && ran == MV_OK) {
        code = mv_judge(run, &result, &play, error);
    }
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_refusals(mv_run *run, int64_t W, mv_error *error)
{
    const int64_t far[3] = {(3 * W + 2) / 2}, twice[3] = {W + 1, W};
    mv_code code = run_refusal(run, W, "truncate beyond the ring", 3 * W + 2, far, error);
    /* One back is served; the position it forgets has overwritten what another one back would need.
     */
    return code == MV_OK ? run_refusal(run, W, "truncate twice by one", W + 2, twice, error) : code;
}

/* Two sequences in calls of `chunk` tokens each, the first call of `first`. */
static void add_pair(mv_schedule *schedule, int64_t n, int64_t first, int64_t chunk)
{
    for (int64_t at = 0; at < n;) {
        const int64_t wanted = at == 0 ? first : chunk, left = n - at;
        const uint32_t brings = (uint32_t)(wanted < left ? wanted : left);
        mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
        step->n_parts = 2;
        step->parts[0] = (mv_part){0, brings};
        step->parts[1] = (mv_part){1, brings};
        at += brings;
    }
}

/* The first prefills, and forgets a sequence; the second mostly decodes, and is open for longer. */
static mv_code run_two_engines(mv_run *run, int64_t window, mv_error *error)
{
    const int64_t n = 2 * window + 3;
    mv_case_result result;
    mv_schedule schedules[2] = {{0}, {0}};
    mv_play first = {.window = window}, second = {.window = window};
    mv_play *const plays[2] = {&first, &second};
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
    if (!mv_case_begin(run, &result, window, 0, "window %lld two engines, call by call",
                       (long long)window))
        return MV_OK;
    result.length = n;
    add_pair(&schedules[0], n, 3, 3);
    mv_step *reset = mv_schedule_add(&schedules[0], MV_STEP_RESET);
    reset->n_parts = 1;
    reset->parts[0].sequence = 1;
    mv_schedule_add_chunks(&schedules[0], 1, n, 5);
    add_pair(&schedules[1], n, 4, 1);
    mv_schedule_print(&schedules[0], result.schedule, sizeof result.schedule);
    mv_code code = add_prompts(run, &first, 2, n, error);
    if (code == MV_OK)
        code = add_prompts_from(run, &second, 2, 2, n, error);
    if (code == MV_OK)
        ran = mv_play_side_by_side(run, schedules, plays, &ran_error);
    if (code == MV_OK && ran == MV_OK) { /* judged as one: sequences 2 and 3 are the second's */
        mv_play both = first;
        for (uint32_t i = 0; i < second.n_tracks; i++)
            both.tracks[both.n_tracks++] = second.tracks[i];
        code = mv_judge(run, &result, &both, error);
    }
    mv_play_free(&first);
    mv_play_free(&second);
    mv_schedule_free(&schedules[0]);
    mv_schedule_free(&schedules[1]);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_window(mv_run *run, int64_t W, mv_error *error)
{
    const int64_t resets[] = {1, W - 1, W, W + 1, 2 * W + 1};
    const int64_t truncates[][3] = {{W - 1, W / 2, 3}, {W - 1, W - 2, 1}, {W, W - 1, 2},
                                    {W, 1, W},         {W - 2, W - 3, 5}, {W / 2 + 1, 1, 1}};
    mv_code code = MV_OK;
    for (size_t i = 0; i < sizeof resets / sizeof *resets && code == MV_OK; i++)
        code = run_reset(run, W, resets[i], error);
    for (size_t i = 0; i < sizeof truncates / sizeof *truncates && code == MV_OK; i++) {
        const int64_t *t = truncates[i];
        if (t[1] >= 1 && t[0] > t[1])
            code = run_truncate(run, W, t[0], t[1], t[2] > 0 ? t[2] : 1, error);
    }
    if (code == MV_OK)
        code = run_refusals(run, W, error);
    return code == MV_OK && !mv_run_is_large(run) ? run_two_engines(run, W, error) : code;
}

static mv_code run_cache_ops(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++) {
        if (windows.values[i] < 4 || windows.values[i] * 2 > mv_run_length(run))
            continue;
        code = run_window(run, windows.values[i], error);
        if (mv_run_is_large(run))
            break;
    }
    return code;
}

const mv_suite mv_suite_cache_ops = {
    "cache_ops", "what is forgotten is forgotten, and what is kept is kept", run_cache_ops};
