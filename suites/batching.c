/* batching - a sequence gives the same logits whoever is in the batch with it.
 *
 * Prompts of 1, W-1, W+1, 2W+3 and T tokens side by side: all in one call; in ragged pieces, so
 * that some are within their first window while others wrap; prefill of one beside decode of the
 * others; the same in another order of slots; and a leak test, in which all but one sequence are
 * replaced by other text and the one that stays must not notice; all in one call and in ragged
 * pieces again, asking for the last row of each sequence only. Under the first window also 17 short
 * sequences, and 33 of them: at once, and prefill of half of them beside decode of the others until
 * all decode together. An engine that has room for fewer says so in open() (MV_ERR_UNSUPPORTED),
 * and the case is skipped with its reason.
 *
 * Compares every row of every sequence with the float64 oracle of that sequence alone; an engine
 * that claims batch invariance must give the bits of the sequence alone.
 *
 * Catches: keys of one sequence seen by another; rows in the wrong order; the slot offset left out;
 * positions taken from the first sequence; a last row taken from the longest, or from the last;
 * arrays for 8 or 16 sequences, and tiles of 16 rows of which the seventeenth is lost.
 * Source: mistral/model.py (packed ragged batches) and vLLM's needle-in-a-batch test.
 */
#include "suites/run.h"

enum { N = 5 };

typedef struct group {
    uint32_t n;
    size_t lengths[MV_MAX_PARTS];
    uint32_t prompts[MV_MAX_PARTS]; /* which prompt each sequence is */
} group;

/* How a group is brought: tokens of sequence i in call number `turn`, when `left` are to come. Each
 * gets at least one until it is finished. */
typedef size_t (*brings_fn)(const uint32_t *pieces, uint32_t i, uint32_t turn, size_t left);

static mv_code add_tracks(mv_run *run, mv_play *play, const group *g, mv_error *error)
{
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < g->n && code == MV_OK; i++) {
        const int32_t *tokens;
        code = mv_run_prompt(run, g->prompts[i], g->lengths[i], &tokens, error);
        if (code == MV_OK)
            code = mv_play_add(run, play, tokens, g->lengths[i], error);
    }
    return code;
}

static size_t whole(const uint32_t *pieces, uint32_t i, uint32_t turn, size_t left)
{
    (void)pieces, (void)i, (void)turn;
    return left;
}

static size_t in_pieces(const uint32_t *pieces, uint32_t i, uint32_t turn, size_t left)
{
    (void)turn, (void)left;
    return pieces[i];
}

/* The odd ones bring all but three tokens while the even ones decode; then the other way round;
 * then all decode, together. */
static size_t in_waves(const uint32_t *pieces, uint32_t i, uint32_t turn, size_t left)
{
    (void)pieces;
    return turn < 2 && i % 2 != turn && left > 4 ? left - 3 : 1;
}

/* Finished sequences stay out. The order of the parts turns by one from call to call. */
static void bring(const group *g, mv_schedule *schedule, brings_fn brings, const uint32_t *pieces)
{
    size_t done[MV_MAX_PARTS] = {0};
    for (uint32_t turn = 0;; turn++) {
        mv_part parts[MV_MAX_PARTS];
        uint32_t n_parts = 0;
        for (uint32_t j = 0; j < g->n; j++) {
            const uint32_t i = (j + turn) % g->n;
            const size_t left = g->lengths[i] - done[i];
            const size_t wanted = left > 0 ? brings(pieces, i, turn, left) : 0;
            const uint32_t n = (uint32_t)(wanted < left ? wanted : left);
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
    for (uint32_t i = 0; i < s->g.n; i++)
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
    for (uint32_t i = 0; i < g->n; i++) {
        for (uint32_t j = 0; j < g->n; j++) {
            if (s->g.prompts[j] == g->prompts[i] && s->g.lengths[j] == g->lengths[i])
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

/* pieces: for in_pieces() alone, [n]. */
static mv_code run_group(mv_run *run, shared *s, const char *name, const group *g, brings_fn brings,
                         const uint32_t *pieces, mv_logits which, mv_error *error)
{
    const bool is_cut = brings != whole;
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = s->window};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, s->window, 0, "window %lld %s", (long long)s->window, name))
        return MV_OK;
    bring(g, &schedule, brings, pieces);
    for (size_t i = 0; i < schedule.n_steps; i++)
        schedule.steps[i].which = which;
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);

    mv_code code = add_tracks(run, &play, g, error), ran = MV_OK;
    if (code == MV_OK && claims_same(run, is_cut))
        play_alone(run, s); /* before the case's own play, which --localize remembers */
    if (code == MV_OK)
        ran = mv_play_schedule(run, NULL, &schedule, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK && claims_same(run, is_cut))
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
    for (uint32_t i = 0; i < g->n; i++) {
        if (i != 2)
            others.g.prompts[i] = g->prompts[i] + 20;
    }
    mv_code code =
        run_group(run, &others, "other company", &others.g, whole, NULL, MV_LOGITS_ALL, error);
    mv_play_free(&others.alone);
    return code;
}

static mv_code run_groups(mv_run *run, shared *s, mv_error *error)
{
    const size_t *lengths = s->g.lengths, W = lengths[0] - 1;
    const bool large = mv_run_is_large(run);
    const group turned = {
        N, {lengths[3], lengths[4], lengths[0], lengths[2], lengths[1]}, {3, 4, 1, 0, 2}};
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
            code = run_group(run, s, cases[i].name, cases[i].g,
                             cases[i].pieces != NULL ? in_pieces : whole, cases[i].pieces,
                             cases[i].which, error);
    }
    return code;
}

static mv_code run_window(mv_run *run, int64_t window, mv_error *error)
{
    const size_t T = (size_t)mv_run_length(run);
    const size_t W = window > 0 && (size_t)window < T ? (size_t)window : T / 4 + 1;
    const size_t longest = mv_run_is_large(run) ? W + 2 : T;
    shared s = {.window = window,
                .g = {N, {W + 1, 1, 2 * W + 3, W > 1 ? W - 1 : 1, longest}, {1, 2, 0, 3, 4}}};
    mv_code code = run_groups(run, &s, error);
    if (code == MV_OK)
        code = run_leak(run, window, &s.g, error);
    mv_play_free(&s.alone);
    return code;
}

/* Of a large model the oracle takes seconds for each prompt: there the sequences begin like those
 * of run_window(), whose truths are known, and the ninth and the seventeenth not like the first. */
static group many_of(const mv_run *run, size_t W, size_t T, uint32_t n)
{
    static const uint32_t known[] = {0, 1, 4};
    const bool large = mv_run_is_large(run);
    const size_t spread = W + 3 < 12 ? W + 3 : 12;
    group g = {.n = n};
    for (uint32_t i = 0; i < n; i++) {
        const size_t length = 5 + i * 7 % spread, most = large && W + 1 < T ? W + 1 : T;
        g.lengths[i] = length < most ? length : most;
        g.prompts[i] = large ? known[i % 3] : 40 + i % 17;
    }
    return g;
}

/* More sequences than an array of 8 or 16 holds, and one more row than a tile of 16 or 32 has. */
static mv_code run_many(mv_run *run, int64_t window, mv_error *error)
{
    const size_t T = (size_t)mv_run_length(run);
    const size_t W = window > 0 && (size_t)window < T ? (size_t)window : T / 4 + 1;
    shared s17 = {.window = window, .g = many_of(run, W, T, 17)};
    shared s33 = {.window = window, .g = many_of(run, W, T, 33)};
    mv_code code =
        run_group(run, &s17, "17 sequences", &s17.g, in_waves, NULL, MV_LOGITS_ALL, error);
    if (code == MV_OK && !mv_run_is_large(run))
        code = run_group(run, &s17, "17 sequences at once, last rows", &s17.g, whole, NULL,
                         MV_LOGITS_LAST, error);
    if (code == MV_OK && !mv_run_is_large(run))
        code = run_group(run, &s33, "33 sequences", &s33.g, in_waves, NULL, MV_LOGITS_ALL, error);
    mv_play_free(&s17.alone);
    mv_play_free(&s33.alone);
    return code;
}

static mv_code run_batching(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        code = run_window(run, windows.values[i], error);
    return code == MV_OK && windows.n > 0 ? run_many(run, windows.values[0], error) : code;
}

const mv_suite mv_suite_batching = {
    "batching", "a sequence gives the same logits whoever is in the batch with it", run_batching};
