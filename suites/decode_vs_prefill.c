/* decode_vs_prefill - a token brought alone gives the logits it has inside a prompt.
 *
 * Prefill k tokens, then one at a time; one at a time, then a piece, then one at a time (a second
 * turn of a conversation). k is 1, around W, half of the prompt and all but one.
 *
 * Compares every row with the float64 oracle; an engine that claims chunk invariance must give the
 * whole prompt's bits.
 *
 * Catches: a decode kernel that sees one key less or more; decode that attends before it stores;
 * positions that are off by one after a prefill; a ring that is whole after prefill and not after
 * decode; a piece after decode that starts from the wrong slot.
 * Source: test_generate.py, test_generation (mistral-src 147c4e6).
 */
#include "suites/run.h"

/* What the cases of one window share: the prompt whole, played when a case first asks for it. */
typedef struct shared {
    int64_t window;
    mv_play whole;
    mv_code ran; /* of that play */
    mv_error ran_error;
    bool is_played;
} shared;

static bool claims_same(const mv_run *run)
{
    return (mv_run_claims(run) & MV_CLAIM_CHUNK_INVARIANT) != 0;
}

/* Before the case's own play, which is the one to remember for --localize. */
static void play_whole(mv_run *run, shared *s)
{
    if (!s->is_played && claims_same(run))
        s->ran =
            mv_play_prompt(run, NULL, s->window, mv_run_length(run), 0, &s->whole, &s->ran_error);
    s->is_played = true;
}

static mv_code judge_whole(mv_run *run, mv_case_result *result, const mv_play *play,
                           const shared *s, mv_error *ran_error)
{
    if (s->ran == MV_OK)
        mv_judge_same(run, result, play, &s->whole, MV_CLAIM_CHUNK_INVARIANT,
                      "how a prompt is cut changes no bit");
    else
        *ran_error = s->ran_error;
    return s->ran;
}

/* sizes: how many tokens a call brings, until the prompt ends; the last size repeats. */
static mv_code run_sizes(mv_run *run, shared *s, const char *name, const int64_t *sizes,
                         size_t n_sizes, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = s->window};
    mv_error ran_error = {0};
    const int32_t *tokens;
    if (!mv_case_begin(run, &result, s->window, 0, "window %lld %s", (long long)s->window, name))
        return MV_OK;
    int64_t left = T;
    for (size_t i = 0; left > 0; i++) {
        int64_t n = sizes[i < n_sizes ? i : n_sizes - 1];
        n = n < left ? n : left;
        mv_schedule_add_call(&schedule, 0, n);
        left -= n;
    }
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);

    mv_code code = mv_run_prompt(run, 0, (size_t)T, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)T, error);
    mv_code ran = MV_OK;
    if (code == MV_OK)
        play_whole(run, s);
    if (code == MV_OK)
        ran = mv_play_schedule(run, NULL, &schedule, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK && claims_same(run))
        ran = judge_whole(run, &result, &play, s, &ran_error);
    if (code == MV_OK && ran == MV_OK)
        code = mv_judge(run, &result, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_window(mv_run *run, int64_t window, mv_error *error)
{
    const int64_t T = mv_run_length(run), W = window > 0 && window < T ? window : T / 3;
    const bool large = mv_run_is_large(run);
    mv_range prefills = {.n = 0};
    shared s = {.window = window};
    mv_code code = MV_OK;
    char name[64];
    const int64_t candidates[] = {W + 1, 1, W - 1, W, T / 2, T - 1};
    for (size_t i = 0; i < (large ? 1 : sizeof candidates / sizeof *candidates); i++)
        mv_range_add(&prefills, candidates[i], 1, T - 1);
    for (size_t i = 0; code == MV_OK && i < prefills.n; i++) {
        const int64_t sizes[] = {prefills.values[i], 1};
        (void)snprintf(name, sizeof name, "prefill %lld then decode", (long long)sizes[0]);
        code = run_sizes(run, &s, name, sizes, 2, error);
    }
    const int64_t two_turns[] = {W / 2 + 1, 1, 1, 1, W + 2, 1, 1, W > 3 ? W - 3 : 1, 1};
    const int64_t decode_first[] = {1, 1, 1, W + 1, 1, 1, 2 * W + 1, 1};
    if (code == MV_OK)
        code = run_sizes(run, &s, "decode, chunk, decode", two_turns, 9, error);
    if (code == MV_OK && !large)
        code = run_sizes(run, &s, "decode first, chunks above W", decode_first, 8, error);
    mv_play_free(&s.whole);
    return code;
}

static mv_code run_decode_vs_prefill(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        code = run_window(run, windows.values[i], error);
    return code;
}

const mv_suite mv_suite_decode_vs_prefill = {
    "decode_vs_prefill", "a token brought alone gives the logits that it has inside a prompt",
    run_decode_vs_prefill};
