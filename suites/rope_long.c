/* rope_long - a position is a position, at 100 and at 33,000.
 *
 * One layer of the model (the first; a lent view can have one) and a short window, so that a long
 * sequence is cheap; most of it brought in large pieces without logits. Rows are judged just beyond
 * 1k, 4k, 8k, 16k, 32k: where a table ends, a float16 or bfloat16 position loses its last digit, a
 * 16-bit integer overflows, an angle in float32 has lost its precision.
 *
 * Compares those rows with the float64 oracle. The yardstick is the reference in the same
 * arithmetic, which rounds angles to float32 as the seed does, so an engine may do that, too.
 *
 * Catches: positions in half precision; tables that end; int16; positions taken mod the window;
 * theta slightly off, which grows with the position; dynamic scaling that nobody asked for. Source:
 * MaxText's finding that short prompts cannot show RoPE bugs; transformers #29285.
 */
#include "suites/run.h"

enum { CHUNK = 509, ROWS = 6 };

static const int64_t marks[] = {1024, 4096, 8192, 16384, 32768};
enum { N_MARKS = sizeof marks / sizeof marks[0] };

/* Pieces without logits up to each mark, then ROWS tokens with theirs: half as a piece, half one by
 * one. */
static int64_t add_marks(mv_schedule *schedule, size_t n_marks)
{
    int64_t at = 0;
    for (size_t i = 0; i < n_marks; i++) {
        const size_t from = schedule->n_steps;
        mv_schedule_add_chunks(schedule, 0, marks[i] - ROWS / 2 - at, CHUNK);
        for (size_t j = from; j < schedule->n_steps; j++)
            schedule->steps[j].which = MV_LOGITS_NONE;
        mv_schedule_add_call(schedule, 0, ROWS / 2);
        mv_schedule_add_chunks(schedule, 0, ROWS / 2, 1);
        at = marks[i] + ROWS / 2;
    }
    return at;
}

static mv_code run_long(mv_run *run, int64_t window, size_t n_marks, mv_error *error)
{
    mv_model_view one_layer = *mv_run_get_options(run)->model;
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_play play = {.window = window, .model = &one_layer, .truth_schedule = &schedule};
    const int32_t *tokens;
    if (!mv_case_begin(run, &result, window, 0, "to position %lld", (long long)marks[n_marks - 1]))
        return MV_OK;
    one_layer.params.n_layers = 1;
    const int64_t n = add_marks(&schedule, n_marks);
    result.length = n;
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    mv_code code = mv_run_prompt(run, 0, (size_t)n, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)n, error);
    if (code == MV_OK)
        code = mv_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_rope_long(mv_run *run, mv_error *error)
{
    const int64_t own = mv_run_get_options(run)->model->params.sliding_window;
    /* A large model's layer costs a second for each thousand tokens: not by default. */
    if (mv_run_is_large(run))
        return run_long(run, 16, 1, error);
    return run_long(run, own > 0 && own < 64 ? own : 16, N_MARKS, error);
}

const mv_suite mv_suite_rope_long = {"rope_long", "a position is a position, at 100 and at 33,000",
                                     run_rope_long};
