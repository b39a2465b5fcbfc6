/* run.c - options, prompts, and which windows and chunk sizes are worth trying. */
#include "suites/run.h"

#include <stdlib.h>
#include <string.h>

#include "harness/log.h"
#include "harness/model.h"
#include "harness/synthetic.h"
#include "suites/condition.h"
#include "suites/run_private.h"

#define LARGE_MODEL_BYTES 200000000u /* each forward pass of the reference takes seconds */

/* Four windows and a bit, where the window is short enough for that. */
static int64_t default_length(const mv_run_options *options)
{
    int64_t window = options->model->params.sliding_window;
    if (options->tokens != NULL)
        return (int64_t)options->n_tokens;
    if (window > 0 && window <= 64)
        return 4 * window + 8;
    return mv_model_size_bytes(options->model) > LARGE_MODEL_BYTES ? 64 : 120;
}

/* Of a prompt's logits: the oracle's in float64, two plays in float32 and one call's. */
static mv_code check_memory(const mv_run *run, mv_error *error)
{
    const uint64_t vocab_size = run->options.model->params.vocab_size;
    const double needed = (double)run->length * (double)vocab_size * 20.0;
    const uint64_t available = mv_machine_memory_available_bytes();
    if (available == 0 || needed <= (double)available)
        return MV_OK;
    return mv_fail(error, MV_ERR_MEMORY,
                   "the logits of %lld tokens take %.1f GiB, and %.1f GiB are available: ask for a "
                   "shorter --length",
                   (long long)run->length, needed / 0x1p30, (double)available / 0x1p30);
}

mv_code mv_run_open(mv_run **run, const mv_run_options *options, mv_error *error)
{
    mv_run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a run");
    r->options = *options;
    r->n_threads = options->n_threads > 0 ? options->n_threads : (uint32_t)mv_machine_n_cores();
    r->length = options->length > 0 ? options->length : default_length(options);
    mv_code code = options->list_only ? MV_OK : check_memory(r, error);
    if (code != MV_OK) {
        free(r);
        return code;
    }
    *run = r;
    return MV_OK;
}

void mv_run_close(mv_run **run)
{
    mv_run *r = *run;
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->n_prompts; i++)
        free(r->prompts[i].tokens);
    for (size_t i = 0; i < r->n_truths; i++)
        mv_truth_free(r->truths[i]);
    mv_schedule_free(&r->last.schedule);
    free(r->divergence);
    free(r->effects);
    free(r->prompts);
    free(r->truths);
    free(r);
    *run = NULL;
}

void mv_run_set_filter(mv_run *run, const char *filter)
{
    run->options.filter = filter;
}

void mv_run_set_claims(mv_run *run, uint32_t claims)
{
    run->options.claims = claims;
}

uint32_t mv_run_claims(const mv_run *run)
{
    return run->options.claims | mv_backend_claims(run->options.backend);
}

void mv_run_set_engine(mv_run *run, const char *backend_name, const mv_backend *backend,
                       const mv_option *options, size_t n_options)
{
    run->options.backend_name = backend_name;
    run->options.backend = backend;
    run->options.options = options;
    run->options.n_options = n_options;
}

const mv_model_view *mv_run_set_model(mv_run *run, const mv_model_view *model)
{
    const mv_model_view *before = run->options.model;
    run->options.model = model;
    return before;
}

const mv_run_options *mv_run_get_options(const mv_run *run)
{
    return &run->options;
}

int64_t mv_run_length(const mv_run *run)
{
    return run->length;
}

bool mv_run_is_large(const mv_run *run)
{
    return mv_model_size_bytes(run->options.model) > LARGE_MODEL_BYTES;
}

/* ---- prompts ---- */

static void fill_prompt(const mv_run *run, mv_prompt *prompt)
{
    const mv_run_options *o = &run->options;
    if (prompt->which == 0 && o->tokens != NULL) {
        for (size_t i = 0; i < prompt->n; i++)
            prompt->tokens[i] = o->tokens[i % o->n_tokens];
        return;
    }
    mv_synthetic_tokens(prompt->tokens, prompt->n, o->model->params.vocab_size,
                        o->seed * 1000003u + prompt->which);
}

mv_code mv_run_prompt(mv_run *run, uint32_t which, size_t n, const int32_t **tokens,
                      mv_error *error)
{
    for (size_t i = 0; i < run->n_prompts; i++) {
        if (run->prompts[i].which == which && run->prompts[i].n >= n) {
            *tokens = run->prompts[i].tokens;
            return MV_OK;
        }
    }
    mv_prompt prompt = {which, n, malloc((n > 0 ? n : 1) * sizeof *prompt.tokens)};
    mv_prompt *prompts = realloc(run->prompts, (run->n_prompts + 1) * sizeof *prompts);
    if (prompts != NULL)
        run->prompts = prompts;
    if (prompts == NULL || prompt.tokens == NULL) {
        free(prompt.tokens);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a prompt of %zu tokens", n);
    }
    fill_prompt(run, &prompt);
    run->prompts[run->n_prompts++] = prompt;
    *tokens = prompt.tokens;
    return MV_OK;
}

/* ---- windows and chunks ---- */

/* A window that a prompt of T tokens passes several times. */
static int64_t passed_window(int64_t length)
{
    int64_t window = length / 6;
    return window < 2 ? 2 : (window | 1);
}

int64_t mv_run_main_window(const mv_run *run)
{
    const int64_t own = run->options.model->params.sliding_window;
    return own > 0 && own * 2 < run->length ? own : passed_window(run->length);
}

mv_code mv_run_windows(const mv_run *run, mv_range *windows, mv_error *error)
{
    const int64_t own = run->options.model->params.sliding_window, T = run->length;
    if (run->options.windows != NULL) {
        const mv_symbol symbols[] = {{'W', own > 0 ? own : -1}, {'T', T}};
        return mv_range_parse(windows, run->options.windows, "--window", symbols, 2, 0, INT32_MAX,
                              error);
    }
    windows->n = 0;
    mv_range_add(windows, own, 0, INT32_MAX);
    if (own == 0 || own * 2 >= T)
        mv_range_add(windows, passed_window(T), 1, T);
    else
        mv_range_add(windows, own - 1, 2, T);
    mv_range_add(windows, 0, 0, 0);
    return MV_OK;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_common_divisor(b, a % b);
}

int64_t mv_run_coprime(int64_t window, int64_t near, int64_t step)
{
    while (window > 0 && near > 1 && greatest_common_divisor(window, near) != 1)
        near += step;
    return near;
}

/* "0", and not the 0 that W-1 comes to where W is 1: that one means nothing. */
static bool asks_for_zero(const char *list)
{
    for (const char *item = list; *item != '\0'; item += strcspn(item, ",")) {
        item += *item == ',' ? 1 : 0;
        if (*item == '0' && (item[1] == '\0' || item[1] == ',' || item[1] == '.'))
            return true;
    }
    return false;
}

mv_code mv_run_chunks(const mv_run *run, int64_t window, mv_range *chunks, mv_error *error)
{
    const int64_t T = run->length, W = window;
    if (run->options.chunks != NULL) {
        /* Without a window W is the one that the others are about. */
        const int64_t own = run->options.model->params.sliding_window;
        const mv_symbol symbols[] = {{'W', W > 0 ? W : own > 0 ? own : passed_window(T)}, {'T', T}};
        const bool has_zero = asks_for_zero(run->options.chunks);
        mv_range asked;
        mv_code code =
            mv_range_parse(&asked, run->options.chunks, "--chunk", symbols, 2, 0, INT32_MAX, error);
        chunks->n = 0;
        for (size_t i = 0; code == MV_OK && i < asked.n; i++)
            mv_range_add(chunks, asked.values[i] > 0 || !has_zero ? asked.values[i] : T, 1,
                         INT32_MAX);
        return code;
    }
    const bool passes = W > 0 && W < T, large = mv_run_is_large(run);
    const int64_t small_grid[] = {7, T / 2};
    const int64_t plain_grid[] = {1, 3, 7, T / 2, T - 1, T};
    const int64_t short_grid[] = {mv_run_coprime(W, W * 2 / 3, -1), W - 1,    W, W + 1,
                                  mv_run_coprime(W, W + 2, 1),      2 * W + 1};
    const int64_t full_grid[] = {1,         2,     3,         mv_run_coprime(W, W * 2 / 3, -1),
                                 W - 1,     W,     W + 1,     mv_run_coprime(W, W + 2, 1),
                                 2 * W - 1, 2 * W, 2 * W + 1, T - 1,
                                 T};
    const int64_t *grid =
        passes ? (large ? short_grid : full_grid) : (large ? small_grid : plain_grid);
    const size_t sizes[] = {sizeof small_grid, sizeof plain_grid, sizeof short_grid,
                            sizeof full_grid};
    const size_t n = sizes[(passes ? 2 : 0) + (large ? 0 : 1)] / sizeof *grid;
    chunks->n = 0;
    for (size_t i = 0; i < n; i++)
        mv_range_add(chunks, grid[i], 1, T);
    return MV_OK;
}

/* ---- one suite ---- */

/* A suite that could have looked beyond a window and never did has shown nothing about windows. */
static mv_code check_coverage(mv_run *run, mv_error *error)
{
    mv_case_result result;
    const bool stopped = run->options.stop_at_failure && run->has_failed;
    if (run->least_window == 0 || run->has_beyond_window || run->options.filter != NULL ||
        run->options.list_only || stopped)
        return MV_OK;
    mv_case_begin_coverage(run, &result);
    (void)snprintf(result.reason, sizeof result.reason,
                   "no compared position lies beyond a window: ask for a --length above %lld "
                   "tokens, or for a shorter --window",
                   (long long)run->least_window);
    return mv_case_end(run, &result, MV_OK, NULL, error);
}

mv_code mv_run_suite(mv_run *run, const mv_suite *suite, mv_verify_results *results,
                     mv_error *error)
{
    run->suite = suite;
    run->results = results;
    run->has_beyond_window = run->has_failed = run->has_run = false;
    run->least_window = 0;
    run->n_localized = 0;
    run->recall_code = MV_OK;
    mv_code code = suite->run(run, error);
    if (code == MV_OK && run->recall_code != MV_OK) {
        *error = run->recall_error;
        code = run->recall_code;
    }
    if (code == MV_OK)
        code = check_coverage(run, error);
    if (code == MV_OK)
        code = mv_condition_check(run, error);
    if (run->n_localized > MV_MAX_LOCALIZED)
        mv_log(MV_LOG_WARN,
               "%s: %zu more failure%s of this suite %s not localised (%d are): ask for one with "
               "--filter",
               suite->name, run->n_localized - MV_MAX_LOCALIZED,
               run->n_localized > MV_MAX_LOCALIZED + 1 ? "s" : "",
               run->n_localized > MV_MAX_LOCALIZED + 1 ? "were" : "was", MV_MAX_LOCALIZED);
    run->suite = NULL;
    return code;
}
