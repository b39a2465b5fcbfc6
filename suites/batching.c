/* batching - a sequence gives the same logits whoever is in the batch with it.
 *
 * Prompts of 1, W-1, W+1, 2W+3 and T tokens side by side: all in one call; in ragged pieces, so
 * that some are within their first window while others wrap; prefill of one beside decode of the
 * others; the same in another order of slots; and a leak test, in which all but one sequence are
 * replaced by other text and the one that stays must not notice; all in one call and in ragged
 * pieces again, asking for the last row of each sequence only.
 *
 * Compares every row of every sequence with the float64 oracle of that sequence alone; an engine
 * that claims batch invariance must give the bits of the sequence alone.
 *
 * Catches: keys of one sequence seen by another; rows in the wrong order; the slot offset left out;
 * positions taken from the first sequence; a last row taken from the longest, or from the last.
 * Source: mistral/model.py (packed ragged batches) and vLLM's needle-in-a-batch test.
 */
#include "suites/run.h"

enum { N = 5 };

typedef struct group {
    size_t lengths[N];
    uint32_t prompts[N]; /* which prompt each sequence is */
} group;

static mv_code add_tracks(mv_run *run, mv_play *play, const group *g, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < N && code == MV_OK; i++) {
        const int32_t *tokens;
        code = mv_run_prompt(run, g->prompts[i], g->lengths[i], &tokens, error);
        if (code == MV_OK)
            code = mv_play_add(run, play, tokens, g->lengths[i], error);
    }
    return code;
}

/* Every sequence whole, in one call. */
static void all_at_once(const group *g, mv_schedule *schedule)
{
    mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
    step->n_parts = N;
    for (uint32_t i = 0; i < N; i++)
        step->parts[i] = (mv_part){i, (uint32_t)g->lengths[i]};
}

/* In each call sequence i brings piece(i) tokens, or fewer at its end; finished ones stay out. The
 * order of the parts turns by one from call to call. */
static void in_pieces(const group *g, mv_schedule *schedule, const uint32_t pieces[N])
{
    size_t done[N] = {0};
    for (uint32_t turn = 0;; turn++) {
        mv_part parts[N];
        uint32_t n_parts = 0;
        for (uint32_t j = 0; j < N; j++) {
            uint32_t i = (j + turn) % N;
            size_t left = g->lengths[i] - done[i];
            uint32_t n = (uint32_t)(left < pieces[i] ? left : pieces[i]);
            if (n > 0)
                parts[n_parts++] = (mv_part){i, n};
            done[i] += n;
        }
        if (n_parts == 0)
            return;
        mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
        step->n_parts = n_parts;
        for (uint32_t i = 0; i < n_parts; i++)
            step->parts[i] = parts[i];
    }
}

/* What the cases of one window share: each sequence of a group alone in its calls, played when a
 * case first asks for it. The same sequences in other slots are the same alone. */
typedef struct shared {
    int64_t window;
    group g;
    mv_play alone;
    mv_code ran; /* of that play */
    mv_error ran_error;
    bool is_played;
} shared;

static void play_alone(mv_run *run, shared *s)
{
    mv_schedule schedule = {0};
    if (s->is_played)
        return;
    s->is_played = true;
    s->alone = (mv_play){.window = s->window};
    s->ran = add_tracks(run, &s->alone, &s->g, &s->ran_error);
    for (uint32_t i = 0; i < N; i++)
        mv_schedule_add_chunks(&schedule, i, (int64_t)s->g.lengths[i], 0);
    if (s->ran == MV_OK)
        s->ran = mv_play_schedule(run, NULL, &schedule, &s->alone, &s->ran_error);
    mv_schedule_free(&schedule);
}

/* The shared play's tracks, in the order of the group. */
static mv_code judge_alone(mv_run *run, mv_case_result *result, const group *g, const mv_play *play,
                           const shared *s, mv_error *ran_error)
{
    mv_play alone = s->alone; /* its rows stay the shared play's */
    if (s->ran != MV_OK) {
        *ran_error = s->ran_error;
        return s->ran;
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            if (s->g.prompts[j] == g->prompts[i])
                alone.tracks[i] = s->alone.tracks[j];
        }
    }
    mv_judge_same(run, result, play, &alone, MV_CLAIM_BATCH_INVARIANT,
                  "other sequences in the batch change no bit");
    return MV_OK;
}

/* Pieces are cut otherwise than the sequence alone: that takes both claims. */
static bool claims_same(const mv_run *run, bool pieces)
{
    const uint32_t needed = MV_CLAIM_BATCH_INVARIANT | (pieces ? MV_CLAIM_CHUNK_INVARIANT : 0u);
    return (mv_run_claims(run) & needed) == needed;
}

/* pieces: NULL for all in one call. */
static mv_code run_group(mv_run *run, shared *s, const char *name, const group *g,
                         const uint32_t *pieces, mv_logits which, mv_error *error)
{
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = s->window};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, s->window, 0, "window %lld %s", (long long)s->window, name))
        return MV_OK;
    if (pieces != NULL)
        in_pieces(g, &schedule, pieces);
    else
        all_at_once(g, &schedule);
    for (size_t i = 0; i < schedule.n_steps; i++)
        schedule.steps[i].which = which;
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);

    mv_code code = add_tracks(run, &play, g, error), ran = MV_OK;
    if (code == MV_OK && claims_same(run, pieces != NULL))
        play_alone(run, s); /* before the case's own play, which --localize remembers */
    if (code == MV_OK)
        ran = mv_play_schedule(run, NULL, &schedule, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK && claims_same(run, pieces != NULL))
        ran = judge_alone(run, &result, g, &play, s, &ran_error);
    if (code == MV_OK && ran == MV_OK)
        code = mv_judge(run, &result, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

/* Sequence 2 stays; what is beside it changes. Its rows may not move by more than what changing the
 * company of an honest engine does: with a claim not by a bit, else within the limits. */
static mv_code run_leak(mv_run *run, int64_t window, const group *g, mv_error *error)
{
    shared others = {.window = window, .g = *g};
    for (uint32_t i = 0; i < N; i++) {
        if (i != 2)
            others.g.prompts[i] = g->prompts[i] + 20;
    }
    mv_code code = run_group(run, &others, "other company", &others.g, NULL, MV_LOGITS_ALL, error);
    mv_play_free(&others.alone);
    return code;
}

static mv_code run_groups(mv_run *run, shared *s, mv_error *error)
{
    const size_t *lengths = s->g.lengths, W = lengths[0] - 1;
    const bool large = mv_run_is_large(run);
    const group turned = {{lengths[3], lengths[4], lengths[0], lengths[2], lengths[1]},
                          {3, 4, 1, 0, 2}};
    const uint32_t small = (uint32_t)(W > 3 ? W - 3 : 1);
    const uint32_t ragged[N] = {3, 1, small, 2, (uint32_t)W + 3};
    const uint32_t mixed[N] = {1, 1, (uint32_t)(2 * W + 3), 1, 5};
    const struct {
        const char *name;
        const group *g;
        const uint32_t *pieces;
        mv_logits which;
        bool also_large;
    } cases[] = {{"all at once", &s->g, NULL, MV_LOGITS_ALL, true},
                 {"ragged pieces", &s->g, ragged, MV_LOGITS_ALL, true},
                 {"prefill beside decode", &s->g, mixed, MV_LOGITS_ALL, false},
                 {"other slots", &turned, ragged, MV_LOGITS_ALL, false},
                 {"all at once, last rows", &s->g, NULL, MV_LOGITS_LAST, true},
                 {"ragged pieces, last rows", &turned, ragged, MV_LOGITS_LAST, false}};
    mv_code code = MV_OK;
    for (size_t i = 0; i < sizeof cases / sizeof *cases && code == MV_OK; i++) {
        if (cases[i].also_large || !large)
            code = run_group(run, s, cases[i].name, cases[i].g, cases[i].pieces, cases[i].which,
                             error);
    }
    return code;
}

static mv_code run_window(mv_run *run, int64_t window, mv_error *error)
{
    const size_t T = (size_t)mv_run_length(run);
    const size_t W = window > 0 && (size_t)window < T ? (size_t)window : T / 4 + 1;
    const size_t longest = mv_run_is_large(run) ? W + 2 : T;
    shared s = {.window = window,
                .g = {{W + 1, 1, 2 * W + 3, W > 1 ? W - 1 : 1, longest}, {1, 2, 0, 3, 4}}};
    mv_code code = run_groups(run, &s, error);
    if (code == MV_OK)
        code = run_leak(run, window, &s.g, error);
    mv_play_free(&s.alone);
    return code;
}

static mv_code run_batching(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        code = run_window(run, windows.values[i], error);
    return code;
}

const mv_suite mv_suite_batching = {
    "batching", "a sequence gives the same logits whoever is in the batch with it", run_batching};
