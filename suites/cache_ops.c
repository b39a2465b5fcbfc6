/* cache_ops - what is forgotten is forgotten, and what is kept is kept.
 *
 * A reset of one sequence beside others that go on; a reset in the middle of the first window, at
 * its end and beyond it; and, where the engine has truncate(): back by one, then on; back within
 * the first window to half of the prompt, then on (the cache's prefix is used again); a truncation
 * that the rolling buffer cannot serve must be refused, not answered.
 *
 * Compares every row that comes after with the float64 oracle.
 *
 * Catches: stale keys after a reset; a reset that clears all sequences or none; positions that go
 * on counting after a truncation; a prefix reused with the wrong length. Source: sglang #22819,
 * #28063; mlx-examples #1000; transformers #31917.
 */
#include <string.h>

#include "suites/run.h"

static mv_code add_prompts(mv_run *run, mv_play *play, uint32_t n_sequences, int64_t n,
                           mv_error *error)
{
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < n_sequences && code == MV_OK; i++) {
        const int32_t *tokens;
        code = mv_run_prompt(run, i, (size_t)n, &tokens, error);
        if (code == MV_OK)
            code = mv_play_add(run, play, tokens, (size_t)n, error);
    }
    return code;
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
    return code == MV_OK ? run_refusals(run, W, error) : code;
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
