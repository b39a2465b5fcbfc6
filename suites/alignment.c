/* alignment - nothing depends on where a call starts or ends, or on a size being a round number.
 *
 * Three kinds of case. Prompts of 1 ... 17 tokens and of one less, as many and one more than 32,
 * 48, 64 and 128, each in one call of its own. Calls of 1 ... 17 tokens that start at every
 * position modulo 16. And models in which one size after another is no multiple of anything: a
 * head_dim of 10, three heads, groups of three, an odd dim and hidden_dim, a prime vocabulary, all
 * of them, all smaller than a vector, all one below and one above a power of two; and all multiples
 * of 64, where the tail is empty. They are synthetic, whatever the user's model is, and each is
 * played whole, in calls of 1, 2, 3 ... tokens and token by token.
 *
 * Compares every row with the float64 oracle of the same weights. An engine that does not have a
 * shape says MV_ERR_UNSUPPORTED, and the case is skipped with its reason. One that takes its
 * weights from elsewhere cannot be asked about shapes: vacuous.
 *
 * Catches: a tail that a vector loop leaves out, in a product, a score, a value, a norm, a rotation
 * or a tile of rows; a loop rounded up that reads what lies behind; the last of an odd number of
 * heads; a shift where a division is meant.
 * Source: the tail handling of ggml's mul_mat tests (odd shapes in test-backend-ops) and
 * FlashAttention's seqlens 113, 127, 128, 203.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/synthetic.h"
#include "suites/changed_model.h"

/* ---- prompts and calls, on the user's model ---- */

enum { LONGEST_CALL = 17 };

/* The prompt is the same for all, so that one truth serves them all. */
static mv_code add_tracks(mv_run *run, mv_play *play, const int64_t *lengths, size_t n,
                          int64_t longest, mv_error *error)
{
    const int32_t *tokens;
    mv_code code = mv_run_prompt(run, 0, (size_t)longest, &tokens, error);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        code = mv_play_add(run, play, tokens, (size_t)lengths[i], error);
    return code;
}

static mv_code run_lengths(mv_run *run, int64_t window, const int64_t *lengths, size_t n,
                           mv_error *error)
{
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    if (!mv_case_begin(run, &result, window, 0, "window %lld, prompts of %lld ... %lld tokens",
                       (long long)window, (long long)lengths[0], (long long)lengths[n - 1]))
        return MV_OK;
    result.length = lengths[n - 1];
    for (uint32_t i = 0; i < n; i++)
        mv_schedule_add_call(&schedule, i, lengths[i]);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    mv_code code = add_tracks(run, &play, lengths, n, lengths[n - 1], error);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

/* Sequence i has `first + i` tokens, and then gets 1, 2, 3 ... more a call: eight neighbouring
 * sequences meet every start modulo 8 with every length. */
static mv_code run_starts(mv_run *run, int64_t window, int64_t first, uint32_t n, mv_error *error)
{
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    int64_t lengths[MV_MAX_PARTS];
    if (!mv_case_begin(
            run, &result, window, 0, "window %lld, calls of 1 ... %d tokens after %lld ... %lld",
            (long long)window, LONGEST_CALL, (long long)first, (long long)(first + n - 1)))
        return MV_OK;
    for (uint32_t i = 0; i < n; i++) {
        lengths[i] = first + i;
        mv_schedule_add_call(&schedule, i, lengths[i]);
        for (int64_t size = 1; size <= LONGEST_CALL; size++) {
            mv_schedule_add_call(&schedule, i, size);
            lengths[i] += size;
        }
    }
    result.length = lengths[n - 1];
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    mv_code code = add_tracks(run, &play, lengths, n, lengths[n - 1], error);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

/* Without a window the number of keys is odd, too. */
static mv_code run_own_model(mv_run *run, mv_error *error)
{
    static const int64_t few[] = {1, 2, 3, 5, 7, 9, 15, 17};
    static const struct {
        int64_t lengths[MV_MAX_PARTS];
        size_t n;
    } groups[] = {{{1, 2, 3, 4, 5, 6, 7, 8}, 8},
                  {{9, 10, 11, 12, 13, 14, 15, 16}, 8},
                  {{17, 31, 32, 33, 47, 48, 49}, 7},
                  {{63, 64, 65, 127, 128, 129}, 6}};
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    if (code != MV_OK || windows.n == 0)
        return code;
    const int64_t window = windows.values[0], last_window = windows.values[windows.n - 1];
    if (mv_run_is_large(run))
        return run_lengths(run, window, few, sizeof few / sizeof *few, error);
    for (size_t i = 0; i < sizeof groups / sizeof *groups && code == MV_OK; i++)
        code = run_lengths(run, last_window, groups[i].lengths, groups[i].n, error);
    if (code == MV_OK)
        code = run_starts(run, last_window, 1, 8, error);
    return code == MV_OK ? run_starts(run, window, 9, 8, error) : code;
}

/* ---- sizes ---- */

enum { ODD_LENGTH = 41, N_WAYS = 3 };

#define PROBE "synthetic:probe,n_layers=2,sliding_window=5,"

static const struct {
    const char *name, *spec;
} odd_models[] = {
    {"head_dim 10", PROBE "head_dim=10"},
    {"head_dim 22", PROBE "head_dim=22"},
    {"three heads", PROBE "n_heads=3,n_kv_heads=1"},
    {"groups of three", PROBE "n_heads=6,n_kv_heads=2"},
    {"hidden_dim 131", PROBE "hidden_dim=131"},
    {"vocab_size 521", PROBE "vocab_size=521"},
    {"dim 75", PROBE "dim=75"},
    {"every size odd", PROBE "dim=67,head_dim=14,n_heads=5,n_kv_heads=5,hidden_dim=137,"
                             "vocab_size=251"},
    {"smaller than a vector",
     PROBE "n_layers=1,dim=6,head_dim=2,n_heads=3,n_kv_heads=3,hidden_dim=7,"
           "vocab_size=61"},
    {"one below a power of two", PROBE "dim=31,head_dim=30,n_heads=1,n_kv_heads=1,hidden_dim=63,"
                                       "vocab_size=127"},
    {"one above a power of two", PROBE "dim=33,head_dim=18,n_heads=3,n_kv_heads=1,hidden_dim=65,"
                                       "vocab_size=129"},
    {"multiples of 64", PROBE "dim=64,head_dim=64,n_heads=2,n_kv_heads=1,hidden_dim=128,"
                              "vocab_size=256"},
};

/* Sequence 0 whole, 1 in calls of 1, 2, 3 ... tokens, 2 token by token. */
static void add_three_ways(mv_schedule *schedule)
{
    mv_schedule_add_call(schedule, 0, ODD_LENGTH);
    int64_t left = ODD_LENGTH;
    for (int64_t size = 1; left > 0; size++) {
        const int64_t n = size < left ? size : left;
        mv_schedule_add_call(schedule, 1, n);
        left -= n;
    }
    mv_schedule_add_chunks(schedule, 2, ODD_LENGTH, 1);
}

static mv_code play_odd(mv_run *run, mv_case_result *result, const mv_model_view *view,
                        mv_error *error)
{
    int32_t tokens[N_WAYS][ODD_LENGTH];
    mv_schedule schedule = {0};
    mv_play play = {.window = view->params.sliding_window, .model = view};
    mv_code code = MV_OK;
    add_three_ways(&schedule);
    for (uint64_t i = 0; i < N_WAYS && code == MV_OK; i++) {
        mv_synthetic_tokens(tokens[i], ODD_LENGTH, view->params.vocab_size,
                            mv_run_get_options(run)->seed * N_WAYS + i);
        code = mv_play_add(run, &play, tokens[i], ODD_LENGTH, error);
    }
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
    if (code == MV_OK)
        ran = mv_play_schedule(run, NULL, &schedule, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK)
        code = mv_judge(run, result, &play, error);
    if (mv_run_get_options(run)->compute == MV_COMPUTE_BF16)
        mv_judge_by_all_rows(result); /* a row of so few sums hangs on a few roundings */
    mv_play_remember(run, &schedule, &play);
    if (code == MV_OK)
        code = mv_case_end(run, result, ran, &ran_error, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_odd(mv_run *run, size_t which, mv_lent *lent, mv_error *error)
{
    mv_synthetic *synthetic = NULL;
    mv_case_result result;
    if (!mv_case_begin(run, &result, 5, 0, "%s", odd_models[which].name))
        return MV_OK;
    result.length = ODD_LENGTH;
    mv_code code = mv_changed_model_ask_engine(run, lent, error);
    if (code == MV_OK && lent->ignored) {
        mv_changed_model_say_ignored(&result);
        return mv_case_end(run, &result, MV_OK, NULL, error);
    }
    if (code == MV_OK)
        code = mv_synthetic_open(&synthetic, odd_models[which].spec, error);
    if (code != MV_OK)
        return code;
    const mv_model_view *view = mv_synthetic_get_view(synthetic);
    const mv_model_view *own = mv_run_set_model(run, view);
    code = play_odd(run, &result, view, error);
    (void)mv_run_set_model(run, own);
    mv_synthetic_close(&synthetic);
    return code;
}

static mv_code run_alignment(mv_run *run, mv_error *error)
{
    mv_lent lent = {0};
    mv_code code = run_own_model(run, error);
    for (size_t i = 0; i < sizeof odd_models / sizeof *odd_models && code == MV_OK; i++)
        code = run_odd(run, i, &lent, error);
    return code;
}

const mv_suite mv_suite_alignment = {
    "alignment",
    "nothing depends on where a call starts or ends, or on a size being a round number",
    run_alignment};
