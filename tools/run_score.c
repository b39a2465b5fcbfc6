/* run_score.c - how well a model expects a text, and what its tokens are. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/log.h"
#include "tools/run_command.h"

enum { NAME_SIZE = 300 };

/* ---- score ---- */

typedef struct progress {
    size_t n_tokens, n_done, chunk;
    double start_s;
} progress;

static double now_s(void)
{
    return (double)mv_clock_wall_ns() * 1e-9;
}

/* Before every call of the engine. */
static bool show_progress(void *cookie)
{
    progress *p = cookie;
    const double elapsed = now_s() - p->start_s, rate = (double)p->n_done / elapsed;
    if (p->n_done > 0)
        mv_log_progress("scoring %.0f %% \xc2\xb7 %.0f tokens/s \xc2\xb7 %.0f s left",
                        100.0 * (double)p->n_done / (double)p->n_tokens, rate,
                        (double)(p->n_tokens - p->n_done) / rate);
    p->n_done += p->chunk < p->n_tokens - p->n_done ? p->chunk : p->n_tokens - p->n_done;
    return true;
}

typedef struct score {
    size_t n_bytes, n_tokens, n_scored;
    double sum;        /* of the log-probabilities */
    double perplexity; /* of a token */
    double bits_per_byte;
} score;

static score sum_up(const mv_generated *g, size_t n_bytes, size_t n_tokens)
{
    score s = {.n_bytes = n_bytes, .n_tokens = n_tokens, .n_scored = g->n_prompt_log_probs};
    for (size_t i = 0; i < s.n_scored; i++)
        s.sum += g->prompt_log_probs[i];
    s.perplexity = exp(-s.sum / (double)s.n_scored);
    s.bits_per_byte = -s.sum / log(2.0) / (double)n_bytes;
    return s;
}

static void print_score(FILE *out, const mv_run_settings *settings, const mv_text_engine *engine,
                        const score *s)
{
    char window[32] = "none";
    if (engine->view.params.sliding_window > 0)
        (void)snprintf(window, sizeof window, "%u", engine->view.params.sliding_window);
    fprintf(out, "text           %s, %zu bytes\n", settings->text, s->n_bytes);
    fprintf(out, "tokens         %zu, %zu scored (window %s, chunk %u)\n", s->n_tokens, s->n_scored,
            window, settings->chunk);
    fprintf(out, "perplexity     %.6f\n", s->perplexity);
    fprintf(out, "bits per byte  %.6f\n", s->bits_per_byte);
}

static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value)
                           : json_string(isnan(value) ? "nan"
                                         : value > 0  ? "inf"
                                                      : "-inf");
}

/* A path need not be UTF-8, and JSON must. */
static json_t *json_path(const char *path)
{
    json_t *value = json_string(path);
    return value != NULL ? value : json_null();
}

static void print_score_json(FILE *out, const mv_run_settings *settings,
                             const mv_text_engine *engine, const score *s, const int32_t *tokens,
                             const mv_generated *g)
{
    json_t *ids = json_array(), *log_probs = json_array();
    for (size_t i = 0; i < s->n_tokens; i++)
        (void)json_array_append_new(ids, json_integer(tokens[i]));
    for (size_t i = 0; i < g->n_prompt_log_probs; i++)
        (void)json_array_append_new(log_probs, json_number(g->prompt_log_probs[i]));
    json_t *root = json_pack(
        "{s:s,s:o,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:o}", "schema", "mistral-run-score/1", "model",
        json_path(settings->spec), "text", json_path(settings->text), "bytes",
        (json_int_t)s->n_bytes, "window", (json_int_t)engine->view.params.sliding_window, "chunk",
        (json_int_t)settings->chunk, "perplexity", json_number(s->perplexity), "bits_per_byte",
        json_number(s->bits_per_byte), "tokens", ids, "log_probs", log_probs);
    (void)json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    (void)fputc('\n', out);
    json_decref(root);
}

static mv_code score_tokens(mv_text_engine *engine, const mv_run_settings *settings,
                            const int32_t *tokens, size_t n, mv_generated *g, mv_error *error)
{
    const mv_prompt_in prompt = {.tokens = tokens, .n_tokens = n};
    progress p = {.n_tokens = n, .chunk = settings->chunk, .start_s = now_s()};
    const mv_generate_options options = {.chunk = settings->chunk,
                                         .sampler = settings->sampler,
                                         .eos = -1,
                                         .prompt_log_probs = true,
                                         .go_on = show_progress,
                                         .cookie = &p};
    mv_code code = mv_text_engine_start(engine, settings, 1, n, error);
    if (code == MV_OK)
        code = mv_generate(engine->backend, engine->engine, engine->view.params.vocab_size, &prompt,
                           1, &options, g, error);
    mv_log_progress("%s", "");
    return code;
}

static mv_code write_score(const mv_run_settings *settings, const mv_text_engine *engine,
                           const score *s, const int32_t *tokens, const mv_generated *g,
                           mv_error *error)
{
    FILE *out = NULL;
    bool json = false;
    mv_code code = mv_run_open_output(settings->cli, &out, &json, error);
    if (code != MV_OK)
        return code;
    if (json)
        print_score_json(out, settings, engine, s, tokens, g);
    else
        print_score(out, settings, engine, s);
    return mv_run_close_output(settings->cli, out, error);
}

/* Leaves the first --length tokens, and the bytes of text that are theirs. */
static mv_code cut(const mv_run_settings *settings, const mv_text_engine *engine,
                   const int32_t *tokens, size_t *n, size_t *n_bytes, mv_error *error)
{
    char *text = NULL;
    if (settings->length == 0 || *n <= settings->length)
        return MV_OK;
    *n = settings->length;
    mv_code code = mv_tokenizer_decode(engine->tokenizer, tokens, *n, &text, n_bytes, error);
    free(text);
    return code;
}

/* --text as messages name it. */
static void name_text(char name[NAME_SIZE], const char *path)
{
    if (strcmp(path, "-") == 0)
        (void)snprintf(name, NAME_SIZE, "standard input");
    else
        (void)snprintf(name, NAME_SIZE, "--text %s", path);
}

mv_code mv_run_score(const mv_run_settings *settings, mv_error *error)
{
    mv_text_engine engine = {0};
    mv_generated g = {0};
    char *text = NULL, name[NAME_SIZE];
    size_t size = 0, n = 0;
    int32_t *tokens = NULL;
    if (settings->text == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT, "score: expected --text FILE ('-' is stdin)");
    name_text(name, settings->text);
    mv_code code = mv_text_engine_open(&engine, settings, error);
    if (code == MV_OK)
        code = mv_run_read_text(settings->text, &text, &size, error);
    if (code == MV_OK)
        code = mv_run_encode(&engine, name, text, size, &tokens, &n, error);
    if (code == MV_OK && n < 2)
        code = mv_fail(error, MV_ERR_ARGUMENT, "%s: the text is empty: nothing to score", name);
    if (code == MV_OK)
        code = cut(settings, &engine, tokens, &n, &size, error);
    if (code == MV_OK)
        code = score_tokens(&engine, settings, tokens, n, &g, error);
    if (code == MV_OK) {
        const score s = sum_up(&g, size, n);
        code = write_score(settings, &engine, &s, tokens, &g, error);
    }
    mv_generated_free(&g, 1);
    free(tokens);
    free(text);
    mv_text_engine_close(&engine);
    return code;
}

/* ---- tokenize ---- */

static void print_tokens(FILE *out, const mv_tokenizer *tokenizer, const int32_t *ids, size_t n,
                         bool verbose)
{
    for (size_t i = 0; i < n; i++) {
        if (verbose)
            fprintf(out, "%6d  %s\n", ids[i], mv_tokenizer_piece(tokenizer, ids[i]));
        else
            fprintf(out, "%s%d", i > 0 ? " " : "", ids[i]);
    }
    if (!verbose)
        (void)fputc('\n', out);
}

static void print_tokens_json(FILE *out, const mv_tokenizer *tokenizer, const int32_t *ids,
                              size_t n)
{
    json_t *tokens = json_array(), *pieces = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(tokens, json_integer(ids[i]));
        (void)json_array_append_new(pieces, json_string(mv_tokenizer_piece(tokenizer, ids[i])));
    }
    json_t *root = json_pack("{s:s,s:o,s:o}", "schema", "mistral-run-tokenize/1", "tokens", tokens,
                             "pieces", pieces);
    (void)json_dumpf(root, out, JSON_INDENT(1));
    (void)fputc('\n', out);
    json_decref(root);
}

mv_code mv_run_tokenize(const mv_run_settings *settings, mv_error *error)
{
    mv_text_engine engine = {0};
    const char *path = settings->text != NULL ? settings->text : "-";
    char *text = NULL, name[NAME_SIZE] = "TEXT";
    size_t size = 0, n = 0;
    int32_t *ids = NULL;
    FILE *out = NULL;
    bool json = false;
    mv_code code = mv_text_engine_open(&engine, settings, error);
    if (code == MV_OK && settings->argument == NULL)
        code = mv_run_read_text(path, &text, &size, error);
    const char *given = settings->argument != NULL ? settings->argument : text;
    if (code == MV_OK && settings->argument != NULL)
        size = strlen(settings->argument);
    else
        name_text(name, path);
    if (code == MV_OK)
        code = mv_run_encode(&engine, name, given, size, &ids, &n, error);
    if (code == MV_OK)
        code = mv_run_open_output(settings->cli, &out, &json, error);
    if (code == MV_OK) {
        if (json)
            print_tokens_json(out, engine.tokenizer, ids, n);
        else
            print_tokens(out, engine.tokenizer, ids, n, settings->cli->verbose != 0);
        code = mv_run_close_output(settings->cli, out, error);
    }
    free(ids);
    free(text);
    mv_text_engine_close(&engine);
    return code;
}
