/* golden_plan.c - which tokens, windows, chunk and rows a recording takes. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "golden/golden.h"
#include "harness/backend.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/synthetic.h"
#include "tools/golden_plan.h"
#include "tools/text_tokens.h"
#include "tools/version.h"

mv_code golden_record_positions(mv_range *positions, const char *text, int64_t window,
                                int64_t length, mv_error *error)
{
    const mv_symbol symbols[] = {{'W', window > 0 ? window : -1}, {'T', length}};
    positions->n = 0;
    if (text == NULL)
        return MV_OK;
    return mv_range_parse(positions, text, "--positions", symbols, 2, 0, length - 1, error);
}

/* Past three windows where that is short, past one otherwise. */
static int64_t default_length(int64_t window)
{
    if (window <= 0)
        return 120;
    return window <= 64 ? 4 * window + 8 : window <= 512 ? 3 * window + 8 : window + 64;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_common_divisor(b, a % b);
}

/* Calls whose edges fall on every place of the window sooner or later. */
static int64_t default_chunk(int64_t window)
{
    int64_t chunk = 61;
    while (window > 0 && greatest_common_divisor(window, chunk) != 1)
        chunk--;
    return chunk;
}

/* ---- provenance ---- */

static void add_word(char *text, size_t size, const char *option, const char *value)
{
    const size_t at = strlen(text);
    if (value != NULL)
        (void)snprintf(text + at, size - at, " %s %s", option, value);
}

/* The options that decide the contents, and so not the name of the file. */
static void set_provenance(const mv_cli *cli, const golden_record_options *o, const char *spec,
                           mv_golden *golden)
{
    static const char *const kept[] = {"compiler", "cpu_model", "os"};
    char command[512] = "mistral-golden record", number[32], stamp[32];
    mv_environment machine;
    time_t now = time(NULL);
    struct tm utc;
    mv_environment *to = &golden->provenance;
    add_word(command, sizeof command, "--model", spec);
    add_word(command, sizeof command, "--window", o->windows);
    (void)snprintf(number, sizeof number, "%d", o->length);
    add_word(command, sizeof command, "--length", o->length > 0 ? number : NULL);
    (void)snprintf(number, sizeof number, "%d", o->chunk);
    add_word(command, sizeof command, "--chunk", o->chunk > 0 ? number : NULL);
    add_word(command, sizeof command, "--positions", o->positions);
    add_word(command, sizeof command, "--seed", cli->seed_text);
    add_word(command, sizeof command, "--text", o->text);
    mv_environment_collect(&machine);
    mv_environment_set(to, "made_by", "mistral-golden " MV_VERSION " (" MV_COMMIT ")");
    mv_environment_set(to, "arithmetic", "backend reference in float64");
    mv_environment_set(to, "command", command);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const char *value = mv_environment_get(&machine, kept[i]);
        if (value != NULL)
            mv_environment_set(to, kept[i], value);
    }
    if (o->stamp != 0 && gmtime_r(&now, &utc) != NULL &&
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0)
        mv_environment_set(to, "created_utc", stamp);
}

/* ---- cases ---- */

typedef struct recording {
    const mv_model_view *model;
    const mv_backend *reference;
    const golden_record_options *options;
    const int32_t *tokens;
    size_t n_tokens;
    int64_t seed;
    uint32_t n_threads;
} recording;

static mv_code record_window(const recording *r, int64_t window, mv_golden *golden, mv_error *error)
{
    mv_range positions;
    char name[64];
    /* Without a window W is the model's own. */
    const int64_t symbol = window > 0 ? window : (int64_t)r->model->params.sliding_window;
    mv_code code = golden_record_positions(&positions, r->options->positions, symbol,
                                           (int64_t)r->n_tokens, error);
    if (code != MV_OK)
        return code;
    (void)snprintf(name, sizeof name, "window %lld", (long long)window);
    const int64_t chunk = r->options->chunk > 0 ? r->options->chunk : default_chunk(window);
    const mv_golden_plan plan = {.name = name,
                                 .tokens = r->tokens,
                                 .n_tokens = r->n_tokens,
                                 .window = window,
                                 .chunk = chunk < (int64_t)r->n_tokens ? chunk : 0,
                                 .seed = r->seed,
                                 .positions = &positions,
                                 .n_threads = r->n_threads};
    mv_log_progress("%s: %zu tokens in float64", name, r->n_tokens);
    return mv_golden_record(golden, r->reference, r->model, &plan, error);
}

static mv_code choose_windows(const golden_record_options *o, int64_t own, mv_range *windows,
                              mv_error *error)
{
    const mv_symbol symbols[] = {{'W', own > 0 ? own : -1}, {'T', -1}};
    windows->n = 0;
    if (o->windows != NULL)
        return mv_range_parse(windows, o->windows, "--window", symbols, 2, 0, INT32_MAX, error);
    mv_range_add(windows, own > 0 ? own : 19, 1, INT32_MAX);
    mv_range_add(windows, 0, 0, 0);
    return MV_OK;
}

static int64_t largest(const mv_range *range)
{
    int64_t most = 0;
    for (size_t i = 0; i < range->n; i++)
        most = range->values[i] > most ? range->values[i] : most;
    return most;
}

/* *tokens: yours, free(). Random ones are those that mistral-verify takes for the same seed. */
static mv_code choose_tokens(const mv_cli *cli, const golden_record_options *o,
                             const mv_model *model, const mv_range *windows, mv_golden *golden,
                             int32_t **tokens, size_t *n_tokens, mv_error *error)
{
    if (o->text != NULL) {
        mv_code code = mv_text_tokens(model, o->text, tokens, n_tokens, error);
        if (code == MV_OK && o->length > 0 && (size_t)o->length < *n_tokens)
            *n_tokens = (size_t)o->length;
        return code != MV_OK ? code
                             : mv_golden_hash_file(golden->tokenizer_sha256,
                                                   mv_model_get_tokenizer(model), error);
    }
    *n_tokens = (size_t)(o->length > 0 ? o->length : default_length(largest(windows)));
    *tokens = malloc(*n_tokens * sizeof **tokens);
    if (*tokens == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu tokens", *n_tokens);
    mv_synthetic_tokens(*tokens, *n_tokens, golden->params.vocab_size, cli->seed * 1000003u);
    return MV_OK;
}

static mv_code record_all(const mv_cli *cli, const golden_record_options *o, const mv_model *model,
                          mv_golden *golden, mv_error *error)
{
    mv_range windows;
    int32_t *tokens = NULL;
    recording r = {.model = mv_model_get_view(model),
                   .options = o,
                   .seed = o->text != NULL ? -1 : (int64_t)cli->seed,
                   .n_threads = cli->n_threads > 0 ? (uint32_t)cli->n_threads
                                                   : (uint32_t)mv_machine_n_cores()};
    mv_code code = mv_backend_load(&r.reference, "reference", NULL, 0, error);
    if (code == MV_OK)
        code = choose_windows(o, golden->params.sliding_window, &windows, error);
    if (code == MV_OK)
        code = choose_tokens(cli, o, model, &windows, golden, &tokens, &r.n_tokens, error);
    r.tokens = tokens;
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        code = record_window(&r, windows.values[i], golden, error);
    mv_log_progress("%s", "");
    free(tokens);
    return code;
}

static mv_code check_options(const mv_cli *cli, const golden_record_options *o, mv_error *error)
{
    if (cli->n_outputs != 1 || strcmp(cli->outputs[0], "-") == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "record: expected one --output FILE%s",
                       cli->n_outputs == 1 ? "; a golden cannot go to stdout" : "");
    if (o->length < 0 || o->chunk < 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected at least 1, found %d",
                       o->length < 0 ? "--length" : "--chunk",
                       o->length < 0 ? o->length : o->chunk);
    if (cli->n_arguments > 2 || (cli->n_arguments == 2) == (cli->model != NULL))
        return mv_fail(error, MV_ERR_ARGUMENT, "record: expected one model, as --model SPEC");
    return MV_OK;
}

mv_code golden_record(const mv_cli *cli, const golden_record_options *o, mv_error *error)
{
    mv_model *model = NULL;
    mv_golden *golden = NULL;
    mv_code code = check_options(cli, o, error);
    if (code != MV_OK)
        return code;
    const char *spec = cli->model != NULL ? cli->model : cli->arguments[1];
    code = mv_model_open(&model, spec, error);
    if (code == MV_OK)
        code = mv_golden_new(&golden, mv_model_get_view(model), spec, error);
    if (code == MV_OK) {
        set_provenance(cli, o, spec, golden);
        code = record_all(cli, o, model, golden, error);
    }
    if (code == MV_OK)
        code = mv_golden_write(golden, cli->outputs[0], error);
    mv_golden_close(&golden);
    mv_model_close(&model);
    return code;
}
