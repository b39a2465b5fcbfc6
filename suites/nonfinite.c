/* nonfinite - what a query may not see cannot reach it, not even as 0 x NaN.
 *
 * The engine is lent an embedding in which one id is NaN (or infinite), so that its keys and values
 * are, and then: that id at the start of a prompt, and the rows that are out of its reach; that id
 * in a prompt that was there before a reset; that id in other sequences that grow in the same
 * calls. All judged rows must be finite and right.
 *
 * Catches: masks that multiply by zero or add -1e9; a ring slot read before it is written; stale
 * slots after a reset; one sequence seeing another; padding that is attended to. Source: unsloth
 * #9708, mlxcel #401, and the poison of mistral-src's uninitialised cache (torch.empty).
 */
#include <math.h>
#include <stdlib.h>

#include "suites/changed_model.h"

typedef struct poison {
    uint64_t row; /* the id */
    float value;
} poison;

static float poison_row(void *cookie, uint64_t row, uint64_t column, float old)
{
    const poison *p = cookie;
    (void)column;
    return row == p->row ? p->value : old;
}

typedef enum place { PLACE_OUT_OF_REACH, PLACE_BEFORE_RESET, PLACE_NEIGHBOURS, N_PLACES } place;

static const char *const place_names[N_PLACES] = {"out of reach", "before a reset",
                                                  "in other sequences"};

/* Prompt 0 without the poisoned id. *tokens: yours, free(). */
static mv_code clean_prompt(mv_run *run, size_t n, int32_t id, int32_t **tokens, mv_error *error)
{
    const int32_t *random;
    mv_code code = mv_run_prompt(run, 0, n, &random, error);
    if (code != MV_OK)
        return code;
    *tokens = malloc(n * sizeof **tokens);
    if (*tokens == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        (*tokens)[i] = random[i] == id ? 0 : random[i];
    return MV_OK;
}

/* Sequences 1 and 2 grow beside sequence 0, in the same calls, those so far: one is before it in
 * the batch and one behind it. */
static void add_neighbours(mv_schedule *schedule)
{
    static const uint32_t order[3] = {1, 0, 2};
    for (size_t i = 0; i < schedule->n_steps; i++) {
        mv_step *step = &schedule->steps[i];
        const uint32_t n_tokens = step->parts[0].n_tokens;
        step->n_parts = 3;
        for (uint32_t j = 0; j < 3; j++)
            step->parts[j] = (mv_part){order[j], n_tokens};
    }
}

/* Rows that are asked for: from `first` on. */
static void add_rows_from(mv_schedule *schedule, int64_t n, int64_t first, int64_t chunk,
                          bool has_neighbours)
{
    const size_t from = schedule->n_steps;
    mv_schedule_add_chunks(schedule, 0, first, chunk);
    for (size_t i = from; i < schedule->n_steps; i++)
        schedule->steps[i].which = MV_LOGITS_NONE;
    if (has_neighbours)
        add_neighbours(schedule);
    mv_schedule_add_chunks(schedule, 0, n - first, chunk);
}

/* An engine that ignores the lent weights does not see the poison, and would be right without
 * having shown anything. */
static mv_code run_place(mv_run *run, place where, float value, int64_t window, int64_t chunk,
                         mv_lent *lent, mv_error *error)
{
    const mv_params *p = &mv_run_get_options(run)->model->params;
    const int64_t reach = (int64_t)p->n_layers * (window - 1) + 1;
    const int64_t n = where == PLACE_OUT_OF_REACH ? reach + window + 3 : 2 * window + 3;
    const int64_t first = where == PLACE_OUT_OF_REACH ? reach
                          : where == PLACE_NEIGHBOURS ? window
                                                      : 0;
    poison bad = {p->vocab_size - 1, value};
    const int32_t bad_id = (int32_t)bad.row;
    mv_changed_model changed = {0};
    mv_schedule schedule = {0}, truth_schedule = {0};
    mv_case_result result;
    int32_t *tokens = NULL, *bad_tokens = NULL;
    mv_play play = {.window = window, .model = &changed.view};
    if (!mv_case_begin(run, &result, window, chunk, "%s %s, chunk %lld",
                       isnan(value) ? "NaN" : "infinity", place_names[where], (long long)chunk))
        return MV_OK;
    result.length = n;
    mv_code code = mv_changed_model_ask_engine(run, lent, error);
    if (code != MV_OK)
        return code;
    if (lent->ignored) {
        mv_changed_model_say_ignored(&result);
        return mv_case_end(run, &result, MV_OK, NULL, error);
    }

    code = mv_changed_model_init(&changed, mv_run_get_options(run)->model, error);
    if (code == MV_OK)
        code =
            mv_changed_model_map(&changed, &changed.view.tok_embeddings, poison_row, &bad, error);
    if (code == MV_OK)
        code = clean_prompt(run, (size_t)n, bad_id, &tokens, error);
    if (code == MV_OK)
        code = clean_prompt(run, (size_t)n, bad_id, &bad_tokens, error);
    for (int64_t i = 0; code == MV_OK && i < n; i += 2)
        bad_tokens[i] = bad_id;
    if (code == MV_OK && where == PLACE_OUT_OF_REACH)
        tokens[0] = bad_id;
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)n, error);
    for (int i = 0; i < 2 && code == MV_OK && where == PLACE_NEIGHBOURS; i++)
        code = mv_play_add(run, &play, bad_tokens, (size_t)n, error);

    if (where == PLACE_BEFORE_RESET)
        mv_schedule_add_poison(&schedule, 0, n, bad_id, chunk);
    add_rows_from(&schedule, n, first, chunk, where == PLACE_NEIGHBOURS);
    add_rows_from(&truth_schedule, n, first, chunk, false);
    play.truth_schedule = &truth_schedule;
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    mv_schedule_free(&truth_schedule);
    mv_changed_model_free(&changed);
    free(tokens);
    free(bad_tokens);
    return code;
}

/* The first of the user's that the prompt passes (0: there is none), or of those that every suite
 * tries. Without one a short one will do: these prompts are as long as it takes, which is the
 * window for every layer. */
static mv_code choose_window(mv_run *run, int64_t *window, mv_error *error)
{
    enum { SHORTEST = 3, LONGEST = 64 };
    const bool asked = mv_run_get_options(run)->windows != NULL;
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    *window = 0;
    for (size_t i = 0; code == MV_OK && i < windows.n && *window == 0; i++) {
        const int64_t W = windows.values[i];
        *window = W < mv_run_length(run) && (asked || W <= LONGEST) ? W : 0;
    }
    if (!asked && (*window == 0 || mv_run_is_large(run)))
        *window = SHORTEST;
    return code;
}

static mv_code say_no_window(mv_run *run, mv_error *error)
{
    mv_case_result result;
    if (!mv_case_begin(run, &result, 0, 0, "a window"))
        return MV_OK;
    (void)snprintf(result.reason, sizeof result.reason,
                   "no window of --window %.64s is passed by a prompt of %lld tokens, and without "
                   "one everything is in reach",
                   mv_run_get_options(run)->windows, (long long)mv_run_length(run));
    return mv_case_end(run, &result, MV_OK, NULL, error);
}

static mv_code run_nonfinite(mv_run *run, mv_error *error)
{
    int64_t window;
    mv_lent lent = {0};
    mv_code code = choose_window(run, &window, error);
    if (code != MV_OK)
        return code;
    if (window == 0)
        return say_no_window(run, error);
    const int64_t chunks[] = {0, 1, window > 4 ? window - 3 : 2, window + 3};
    const size_t n_chunks = mv_run_is_large(run) ? 1 : sizeof chunks / sizeof *chunks;
    for (int where = 0; where < N_PLACES; where++) {
        for (size_t i = 0; i < n_chunks && code == MV_OK; i++)
            code = run_place(run, (place)where, NAN, window, chunks[i], &lent, error);
        if (code == MV_OK)
            code = run_place(run, (place)where, INFINITY, window, window + 3, &lent, error);
    }
    return code;
}

const mv_suite mv_suite_nonfinite = {
    "nonfinite", "what a query may not see cannot reach it, not even as 0 x NaN", run_nonfinite};
