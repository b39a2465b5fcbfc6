/* ring - the rolling buffer keeps the last W keys, and nothing else, for ever.
 *
 * Prompts that end before, at and after the first wrap (W-1, W, W+1, 2W-1, 2W, 2W+1, 3W+2 tokens),
 * then decoded across the next wraps to beyond 4W. Each of them again in an engine that has served
 * another, longer prompt before and was reset, so that every unused slot holds something stale;
 * and in the last of several sequences, so that a slot computed without the sequence is another's.
 *
 * Compares every row with the float64 oracle.
 *
 * Catches: the wrong slot evicted; a slot read before it was written; the whole ring read when it
 * is not yet full; the length that reaches W exactly; stale keys after a reset; the offset of the
 * sequence left out; keeping the first W keys of a piece instead of the last.
 * Source: mistral/cache.py (mistral-src 147c4e6); seed-system bug list: transformers #37574,
 * #47708, litgpt #2182.
 */
#include "suites/run.h"

typedef struct setting {
    const char *name;
    bool stale;        /* another prompt went before */
    uint32_t sequence; /* which one is used; as many are opened */
} setting;

static mv_code run_prefill(mv_run *run, int64_t window, int64_t n_total, int64_t n_prefill,
                           const setting *s, mv_error *error)
{
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    const int32_t *tokens, *others;
    if (!mv_case_begin(run, &result, window, 0, "window %lld prefill %lld%s", (long long)window,
                       (long long)n_prefill, s->name))
        return MV_OK;
    result.length = n_total;

    mv_code code = mv_run_prompt(run, 0, (size_t)n_total, &tokens, error);
    if (code == MV_OK)
        code = mv_run_prompt(run, 9, (size_t)n_total, &others, error);
    for (uint32_t i = 0; i <= s->sequence && code == MV_OK; i++)
        code = mv_play_add(run, &play, i == s->sequence ? tokens : others, (size_t)n_total, error);
    if (s->stale)
        mv_schedule_add_stale(&schedule, s->sequence, n_total, window + 3);
    mv_schedule_add_call(&schedule, s->sequence, n_prefill);
    for (uint32_t i = 0; i < s->sequence; i++) /* between what is kept and where it is read */
        mv_schedule_add_chunks(&schedule, i, n_total, n_total / 2);
    mv_schedule_add_chunks(&schedule, s->sequence, n_total - n_prefill, 1);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);

    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_window(mv_run *run, int64_t W, mv_error *error)
{
    static const setting settings[] = {
        {"", false, 0}, {", stale slots", true, 0}, {", third sequence", false, 2}};
    const bool large = mv_run_is_large(run);
    const int64_t n_total = 4 * W + 3;
    const int64_t candidates[] = {W + 1, W - 1, W, 1, 2 * W - 1, 2 * W, 2 * W + 1, 3 * W + 2};
    mv_range prefills = {.n = 0};
    mv_code code = MV_OK;
    for (size_t i = 0; i < (large ? 2 : sizeof candidates / sizeof *candidates); i++)
        mv_range_add(&prefills, candidates[i], 1, n_total);
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
        for (size_t i = 0; code == MV_OK && i < prefills.n; i++)
            code = run_prefill(run, W, n_total, prefills.values[i], &settings[s], error);
    }
    return code;
}

/* The decoded tokens are 4W+3, whatever --length says: that keeps their number within reason. */
static bool is_short_enough(const mv_run *run, int64_t window)
{
    return window * 4 <= mv_run_length(run) * 2;
}

static mv_code say_too_long(mv_run *run, int64_t window, mv_error *error)
{
    mv_case_result result;
    if (!mv_case_begin(run, &result, window, 0, "window %lld", (long long)window))
        return MV_OK;
    (void)snprintf(result.reason, sizeof result.reason,
                   "no window is short enough to wrap: ask for a --length of at least %lld tokens, "
                   "or for a shorter --window",
                   (long long)(2 * window));
    return mv_case_end(run, &result, MV_OK, NULL, error);
}

static mv_code run_ring(mv_run *run, mv_error *error)
{
    mv_range windows;
    int64_t least = INT64_MAX;
    mv_code code = mv_run_windows(run, &windows, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < windows.n; i++)
        least = windows.values[i] > 0 && windows.values[i] < least ? windows.values[i] : least;
    if (least == INT64_MAX) /* without a window there is no ring */
        return MV_OK;
    if (!is_short_enough(run, least))
        return say_too_long(run, least, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++) {
        if (windows.values[i] > 0 && is_short_enough(run, windows.values[i]))
            code = run_window(run, windows.values[i], error);
    }
    return code;
}

const mv_suite mv_suite_ring = {
    "ring", "the rolling buffer keeps the last W keys, and nothing else, for ever", run_ring};
