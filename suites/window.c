/* window - a query sees exactly W keys, itself included, in every layer and on every path.
 *
 * Two kinds of case. The grid: windows of 1, 2, 3, 5, W-1, W, W+1, T-1, T, T+1 and none, each as
 * one prompt and in pieces, some token by token; every row against the float64 oracle of that
 * window. The probe: what each layer really sees, counted (window_probe.h), for the prompt whole,
 * in pieces and token by token; an exact integer, so that the report can say "uses W+1".
 *
 * Catches: W+1 (the paper's text, one_file_ref.py's prefill, a FlashAttention call with (W, W)),
 * W-1, no window, a window in one layer or on one path only, a window applied where there is none,
 * a key from the future, a mask that drops all keys of a row. Source: the figures and main.py of
 * mistral-src 147c4e6; transformers #29623, #39408; vLLM #3385.
 */
#include "suites/changed_model.h"
#include "suites/window_probe.h"

/* ---- the grid ---- */

static mv_code run_grid_case(mv_run *run, int64_t window, int64_t chunk, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_case_result result;
    mv_play play = {0};
    mv_error ran_error = {0};
    char how[32];
    (void)snprintf(how, sizeof how, chunk > 0 ? "chunk %lld" : "whole", (long long)chunk);
    if (!mv_case_begin(run, &result, window, chunk, "window %lld %s", (long long)window, how))
        return MV_OK;
    mv_code ran = mv_play_prompt(run, NULL, window, T, chunk, &play, &ran_error), code = MV_OK;
    if (ran == MV_OK)
        code = mv_judge(run, &result, &play, error);
    mv_play_free(&play);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code choose_windows(mv_run *run, mv_range *windows, mv_error *error)
{
    const mv_run_options *options = mv_run_get_options(run);
    const int64_t T = mv_run_length(run);
    mv_code code = mv_run_windows(run, windows, error);
    if (code != MV_OK || options->windows != NULL)
        return code;
    const bool large = mv_run_is_large(run);
    const int64_t own = windows->values[0] > 0 ? windows->values[0]
                        : windows->n > 1       ? windows->values[1]
                                               : 0;
    const int64_t more[] = {own + 1, T, T + 1, own - 1, T - 1, 1, 2, 3, 5};
    for (size_t i = 0; i < (large ? 2 : sizeof more / sizeof *more); i++)
        mv_range_add(windows, more[i], 1, T + 1);
    return MV_OK;
}

/* Token by token for the windows that every suite tries: a decode path that attends before it
 * stores has the right number of keys, so that the probe cannot tell, and the wrong ones. */
static mv_code run_grid(mv_run *run, mv_error *error)
{
    mv_range windows, usual;
    mv_code code = choose_windows(run, &windows, error);
    if (code == MV_OK)
        code = mv_run_windows(run, &usual, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++) {
        code = run_grid_case(run, windows.values[i], 0, error);
        if (code == MV_OK && !mv_run_is_large(run))
            code = run_grid_case(run, windows.values[i], 5, error);
        if (code == MV_OK && !mv_run_is_large(run) && i < usual.n)
            code = run_grid_case(run, windows.values[i], 1, error);
    }
    return code;
}

/* ---- the probe ---- */

typedef struct path {
    const char *name;
    int64_t chunk;
} path;

/* "W+1", "W-2", "no window": how an engineer would say it. */
static void say_window(int64_t found, int64_t asked, char *text, size_t size)
{
    if (found == 0)
        (void)snprintf(text, size, "no window (every key)");
    else if (asked == 0)
        (void)snprintf(text, size, "a window of %lld where none was asked for", (long long)found);
    else if (found == asked)
        (void)snprintf(text, size, "W = %lld", (long long)found);
    else
        (void)snprintf(text, size, "W%+lld = %lld where %lld was asked for",
                       (long long)(found - asked), (long long)found, (long long)asked);
}

/* Adds what one layer showed to the case; false once something is wrong. */
static void take_finding(mv_case_result *result, uint32_t layer, const mv_window_finding *finding,
                         const char *path_name)
{
    char words[96];
    result->n_positions += (int64_t)finding->n_positions;
    if (result->window > 0)
        result->n_beyond_window += (int64_t)finding->n_positions - 3 * result->window;
    if (result->verdict != MV_VERDICT_PASS)
        return;
    if (finding->ignored) {
        mv_changed_model_say_ignored(result);
        return;
    }
    if (finding->noisy >= 0) {
        result->divergence_position = finding->noisy;
        mv_case_fail(result,
                     "the engine is not repeatable, as claimed (layer %u, %s): the same calls gave "
                     "%.9g and then %.9g for token %lld at position %lld, so that nobody can tell "
                     "which keys it sees",
                     layer, path_name, (double)finding->noisy_logits[0],
                     (double)finding->noisy_logits[1], (long long)finding->noisy_token,
                     (long long)finding->noisy);
        return;
    }
    result->metrics.effective_window = finding->window;
    say_window(finding->window, result->window, words, sizeof words);
    if (finding->leak >= 0)
        mv_case_fail(result, "layer %u: the query at position %lld sees a later token (%s)", layer,
                     (long long)finding->leak, path_name);
    else if (finding->window != result->window)
        mv_case_fail(result, "the engine's effective window is %s (layer %u, %s)", words, layer,
                     path_name);
    else if (finding->gap >= 0)
        mv_case_fail(result,
                     "layer %u: the query at position %lld does not see a key inside its "
                     "window (%s)",
                     layer, (long long)finding->gap, path_name);
    if (result->verdict == MV_VERDICT_FAIL) {
        result->divergence_layer = layer;
        (void)snprintf(result->divergence_op, sizeof result->divergence_op, "attention");
    }
}

static mv_code run_probe(mv_run *run, int64_t window, const path *p, mv_error *error)
{
    const uint32_t n_layers = mv_run_get_options(run)->model->params.n_layers;
    const int64_t n = window > 0 ? 2 * window + 5 : 12;
    mv_case_result result;
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
    if (!mv_case_begin(run, &result, window, p->chunk, "effective window %lld, %s",
                       (long long)window, p->name))
        return MV_OK;
    result.length = n;
    result.verdict = MV_VERDICT_PASS;
    const uint32_t stride = mv_run_is_large(run) && n_layers > 2 ? n_layers - 1 : 1;
    for (uint32_t layer = 0;
         layer < n_layers && ran == MV_OK && result.verdict != MV_VERDICT_VACUOUS;
         layer += stride) {
        mv_window_finding finding;
        ran = mv_window_probe(run, window, layer, n, p->chunk, &finding, &ran_error);
        if (ran == MV_OK)
            take_finding(&result, layer, &finding, p->name);
    }
    if (result.n_positions == 0 && result.verdict == MV_VERDICT_PASS)
        result.verdict = MV_VERDICT_VACUOUS;
    return mv_case_end(run, &result, ran, &ran_error, error);
}

static mv_code run_probes(mv_run *run, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++) {
        const int64_t W = windows.values[i];
        const path paths[] = {{"whole prompt", 0}, {"chunks", W > 3 ? W - 3 : 2}, {"decode", 1}};
        if (W >= T) /* the prompt would have to pass it */
            continue;
        const size_t n_paths = mv_run_is_large(run) ? 1 : 3;
        for (size_t j = 0; code == MV_OK && j < n_paths; j++)
            code = run_probe(run, W, &paths[j], error);
    }
    return code;
}

static mv_code run_window(mv_run *run, mv_error *error)
{
    mv_code code = run_probes(run, error);
    return code == MV_OK ? run_grid(run, error) : code;
}

const mv_suite mv_suite_window = {
    "window", "a query sees exactly W keys, itself included, in every layer and on every path",
    run_window};
