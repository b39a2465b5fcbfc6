/* degenerate - the smallest and the dullest inputs.
 *
 * One token; two tokens; one token repeated (all scores of a query nearly equal, all values the
 * same); the first and the last id of the vocabulary; a window of one (every query sees itself
 * alone).
 *
 * Compares every row with the float64 oracle.
 *
 * Catches: ids at the edge of a table; softmax over one key; division by zero where all is equal.
 */
#include <stdlib.h>

#include "suites/run.h"

typedef enum shape { SHAPE_RANDOM, SHAPE_REPEATED, SHAPE_EDGES } shape;

typedef struct input {
    const char *name;
    shape shape;
    int64_t length; /* 0: the run's */
    int64_t window; /* -1: the first window of the run */
    int64_t chunk;
} input;

static const input inputs[] = {
    {"one token", SHAPE_RANDOM, 1, -1, 0},
    {"two tokens, one by one", SHAPE_RANDOM, 2, -1, 1},
    {"one token repeated", SHAPE_REPEATED, 0, -1, 0},
    {"one token repeated, in chunks", SHAPE_REPEATED, 0, -1, 3},
    {"first and last id", SHAPE_EDGES, 0, -1, 0},
    {"a window of one", SHAPE_RANDOM, 0, 1, 0},
    {"a window of one, in chunks", SHAPE_RANDOM, 0, 1, 3},
};

static void fill(const input *in, int32_t *tokens, size_t n, uint32_t vocab_size)
{
    for (size_t i = 0; i < n; i++) {
        if (in->shape == SHAPE_REPEATED)
            tokens[i] = (int32_t)(vocab_size / 2);
        else if (in->shape == SHAPE_EDGES)
            tokens[i] = (i * (i + 1) / 2) % 2 == 0 ? 0 : (int32_t)(vocab_size - 1);
    }
}

static mv_code run_input(mv_run *run, const input *in, int64_t first_window, mv_error *error)
{
    const uint32_t vocab_size = mv_run_get_options(run)->model->params.vocab_size;
    const int64_t n = in->length > 0 ? in->length : mv_run_length(run);
    const int64_t window = in->window >= 0 ? in->window : first_window;
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    const int32_t *random;
    if (!mv_case_begin(run, &result, window, in->chunk, "%s", in->name))
        return MV_OK;
    result.length = n;
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    mv_code code = tokens == NULL
                       ? mv_fail(error, MV_ERR_MEMORY, "no memory for %lld tokens", (long long)n)
                       : mv_run_prompt(run, 0, (size_t)n, &random, error);
    if (code == MV_OK) {
        for (int64_t i = 0; i < n; i++)
            tokens[i] = random[i];
        fill(in, tokens, (size_t)n, vocab_size);
        code = mv_play_add(run, &play, tokens, (size_t)n, error);
    }
    mv_schedule_add_chunks(&schedule, 0, n, in->chunk);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    free(tokens);
    return code;
}

static mv_code run_degenerate(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < sizeof inputs / sizeof *inputs; i++)
        code = run_input(run, &inputs[i], windows.values[0], error);
    return code;
}

const mv_suite mv_suite_degenerate = {
    "degenerate", "the smallest and the dullest inputs are no special case", run_degenerate};
