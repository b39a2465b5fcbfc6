/* determinism - the same question gets the same answer.
 *
 * The same calls: twice on one engine with a reset between, on a second engine, after the engine
 * has served something else, with 1, 2 and 3 threads; and the last row asked for alone instead of
 * all. And a few tokens and a decode, two hundred times over on one engine: what happens in one
 * call of a hundred does not happen in three.
 *
 * An engine that claims repeatability (or thread invariance; chunk invariance for the last row
 * alone) must give the same bits. One that does not is judged by the oracle alone, each time.
 *
 * Catches: races; memory read before it was written; state that survives a reset; sums whose order
 * depends on timing; a "last row" path that takes another row.
 */
#include "suites/run.h"

#include <string.h>

typedef enum way {
    WAY_RESET,
    WAY_SECOND_ENGINE,
    WAY_AFTER_OTHER,
    WAY_ONE_THREAD,
    WAY_TWO_THREADS,
    WAY_THREE_THREADS,
    WAY_LAST_ROW,
    N_WAYS
} way;

static const char *const way_names[N_WAYS] = {
    "again after a reset", "a second engine", "after another prompt", "1 thread",
    "2 threads",           "3 threads",       "the last row alone"};

static void add_calls(mv_schedule *schedule, int64_t T, int64_t window, way w)
{
    const int64_t chunk = window > 2 ? window - 1 : 5;
    if (w == WAY_RESET) {
        mv_schedule_add_chunks(schedule, 0, T, chunk);
        mv_step *step = mv_schedule_add(schedule, MV_STEP_RESET);
        step->n_parts = 1;
    }
    if (w == WAY_AFTER_OTHER)
        mv_schedule_add_stale(schedule, 0, T, chunk);
    const size_t first = schedule->n_steps;
    mv_schedule_add_chunks(schedule, 0, T, chunk);
    for (size_t i = first; w == WAY_LAST_ROW && i < schedule->n_steps; i++)
        schedule->steps[i].which = MV_LOGITS_LAST;
}

static mv_code play_way(mv_run *run, int64_t window, way w, mv_play *play, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    const mv_engine_setup setup = {.n_threads = w == WAY_ONE_THREAD      ? 1
                                                : w == WAY_TWO_THREADS   ? 2
                                                : w == WAY_THREE_THREADS ? 3
                                                                         : 0};
    mv_schedule schedule = {0};
    const int32_t *tokens;
    *play = (mv_play){.window = window};
    mv_code code = mv_run_prompt(run, 0, (size_t)T, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, play, tokens, (size_t)T, error);
    add_calls(&schedule, T, window, w);
    if (code == MV_OK)
        code = mv_play_schedule(run, &setup, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_way(mv_run *run, int64_t window, way w, const mv_play *first, mv_error *error)
{
    const bool threads = w >= WAY_ONE_THREAD && w <= WAY_THREE_THREADS;
    mv_case_result result;
    mv_play play = {0};
    mv_error ran_error = {0};
    if (!mv_case_begin(run, &result, window, 0, "window %lld %s", (long long)window, way_names[w]))
        return MV_OK;
    mv_code ran = play_way(run, window, w, &play, &ran_error), code = MV_OK;
    if (ran == MV_OK) {
        if (w == WAY_LAST_ROW) /* not the same calls: a product of one row may sum otherwise */
            mv_judge_same(run, &result, &play, first, MV_CLAIM_CHUNK_INVARIANT,
                          "how a prompt is cut changes no bit");
        else
            mv_judge_same(run, &result, &play, first,
                          threads ? MV_CLAIM_THREAD_INVARIANT : MV_CLAIM_REPEATABLE,
                          threads ? "the number of threads changes no bit"
                                  : "the same calls give the same bits");
        code = mv_judge(run, &result, &play, error);
    }
    mv_play_free(&play);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

/* ---- many times over ---- */

enum { N_TIMES = 200, N_TIMES_LARGE = 8, N_SHORT = 8 };

typedef struct many {
    mv_schedule schedule; /* once */
    mv_play first, again;
    mv_engine *engine;
    mv_code ran;
    mv_error ran_error;
} many;

/* A short prompt, one token, and all is forgotten: the cheapest calls that a server makes. */
static mv_code prepare(mv_run *run, int64_t window, int64_t n, many *m, mv_error *error)
{
    const mv_engine_setup setup = {0};
    const int32_t *tokens;
    m->first.window = m->again.window = window;
    mv_schedule_add(&m->schedule, MV_STEP_RESET)->n_parts = 1;
    mv_schedule_add_chunks(&m->schedule, 0, n - 1, 0);
    mv_schedule_add_call(&m->schedule, 0, 1);
    mv_code code = mv_run_prompt(run, 0, (size_t)n, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &m->first, tokens, (size_t)n, error);
    if (code == MV_OK)
        code = mv_play_add(run, &m->again, tokens, (size_t)n, error);
    if (code == MV_OK)
        m->ran = mv_play_open(run, &m->first, &m->schedule, &setup, &m->engine, &m->ran_error);
    return code;
}

static mv_code play_once(mv_run *run, int time, many *m, mv_case_result *result, mv_error *error)
{
    const mv_engine_setup setup = {0};
    mv_play *play = time == 1 ? &m->first : &m->again;
    const mv_track *a = &m->first.tracks[0], *b = &m->again.tracks[0];
    const size_t n_logits = a->n * mv_run_get_options(run)->model->params.vocab_size;
    char words[64];
    m->ran = mv_play_on(run, &setup, m->engine, &m->schedule, play, &m->ran_error);
    if (m->ran != MV_OK)
        return MV_OK;
    if (time > 1 && mv_first_different(a->logits, b->logits, n_logits) < 0)
        return MV_OK; /* what was said of the first holds for this one */
    (void)snprintf(words, sizeof words, "the same calls give the same bits (time %d)", time);
    mv_judge_same(run, result, play, &m->first, MV_CLAIM_REPEATABLE, words);
    return mv_judge(run, result, play, error);
}

static mv_code run_many(mv_run *run, int64_t window, mv_error *error)
{
    const int n_times = mv_run_is_large(run) ? N_TIMES_LARGE : N_TIMES;
    const int64_t n = mv_run_length(run) < N_SHORT ? mv_run_length(run) : N_SHORT;
    mv_case_result result;
    many m = {0};
    if (!mv_case_begin(run, &result, window, 0, "window %lld %d times over", (long long)window,
                       n_times))
        return MV_OK;
    result.length = n;
    mv_code code = prepare(run, window, n, &m, error);
    for (int time = 1;
         time <= n_times && code == MV_OK && m.ran == MV_OK && result.verdict != MV_VERDICT_FAIL;
         time++)
        code = play_once(run, time, &m, &result, error);
    mv_run_get_options(run)->backend->close(m.engine);
    mv_play_free(&m.first);
    mv_play_free(&m.again);
    mv_schedule_free(&m.schedule);
    return code == MV_OK ? mv_case_end(run, &result, m.ran, &m.ran_error, error) : code;
}

static mv_code run_determinism(mv_run *run, mv_error *error)
{
    const bool large = mv_run_is_large(run);
    mv_range windows;
    mv_play first = {0};
    mv_error first_error = {0};
    mv_code code = mv_run_windows(run, &windows, error);
    if (code != MV_OK || windows.n == 0)
        return code;
    /* One window is enough here, one that the prompt passes; its failure shows in every case. */
    int64_t window = windows.values[0];
    for (size_t i = 0; i < windows.n && (window == 0 || window >= mv_run_length(run)); i++)
        window = windows.values[i];
    if (!mv_run_get_options(run)->list_only)
        (void)!play_way(run, window, WAY_SECOND_ENGINE, &first, &first_error);
    for (int w = 0; code == MV_OK && w < N_WAYS; w++) {
        if (!large || w == WAY_RESET || w == WAY_TWO_THREADS || w == WAY_LAST_ROW)
            code = run_way(run, window, (way)w, &first, error);
    }
    if (code == MV_OK)
        code = run_many(run, window, error);
    mv_play_free(&first);
    return code;
}

const mv_suite mv_suite_determinism = {"determinism", "the same question gets the same answer",
                                       run_determinism};
