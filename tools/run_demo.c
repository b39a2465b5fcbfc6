/* run_demo.c - the seed's demo: three prompts of different lengths in one batch. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tools/run_command.h"

enum { MAX_PROMPTS = 64 };

/* The last one ends in a space. */
static const char *const seed_prompts[] = {
    "This is a test", "This is another test",
    "This is a third test, mistral AI is very good at testing. ", NULL};

typedef struct demo {
    const mv_run_settings *settings;
    mv_text_engine engine;
    const char *const *texts;
    size_t n;
    int32_t *tokens[MAX_PROMPTS];
    mv_prompt_in prompts[MAX_PROMPTS];
    mv_generated generated[MAX_PROMPTS];
} demo;

static mv_code encode_all(demo *d, mv_error *error)
{
    mv_code code = MV_OK;
    while (d->texts[d->n] != NULL && code == MV_OK) {
        const char *text = d->texts[d->n];
        if (d->n == MAX_PROMPTS)
            return mv_fail(error, MV_ERR_ARGUMENT, "--prompt: more than %d", MAX_PROMPTS);
        if (text[0] == '\0')
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "--prompt: expected some text, found an empty "
                           "prompt");
        mv_prompt_in *p = &d->prompts[d->n];
        code = mv_run_encode(&d->engine, "--prompt", text, strlen(text), &d->tokens[d->n],
                             &p->n_tokens, error);
        p->tokens = d->tokens[d->n];
        p->stream = d->n++;
    }
    return code;
}

static mv_code generate(demo *d, mv_error *error)
{
    const mv_run_settings *s = d->settings;
    const mv_generate_options options = {
        .max_tokens = s->max_tokens,
        .chunk = s->chunk,
        .sampler = s->sampler,
        .eos = s->ignore_eos ? -1 : mv_tokenizer_eos(d->engine.tokenizer),
        .prompt_log_probs = true};
    size_t most = 0;
    for (size_t i = 0; i < d->n; i++)
        most = d->prompts[i].n_tokens > most ? d->prompts[i].n_tokens : most;
    mv_code code = mv_text_engine_start(&d->engine, s, d->n, most + s->max_tokens, error);
    if (code == MV_OK)
        code = mv_generate(d->engine.backend, d->engine.engine, d->engine.view.params.vocab_size,
                           d->prompts, d->n, &options, d->generated, error);
    return code;
}

/* Prompt and answer decoded together: pieces cannot be decoded one by one. *text: yours, free(). */
static mv_code decode(const demo *d, size_t i, char **text, size_t *size, mv_error *error)
{
    const mv_prompt_in *p = &d->prompts[i];
    const mv_generated *g = &d->generated[i];
    int32_t *all = malloc((p->n_tokens + g->n_tokens) * sizeof *all);
    if (all == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for an answer");
    memcpy(all, p->tokens, p->n_tokens * sizeof *all);
    memcpy(all + p->n_tokens, g->tokens, g->n_tokens * sizeof *all);
    mv_code code =
        mv_tokenizer_decode(d->engine.tokenizer, all, p->n_tokens + g->n_tokens, text, size, error);
    free(all);
    return code;
}

static json_t *json_ids(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *json_reals(const double *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) /* -inf is a log-probability, and no JSON number */
        (void)json_array_append_new(list, values[i] >= -1e300 ? json_real(values[i])
                                                              : json_string("-inf"));
    return list;
}

/* Bytes that are not UTF-8 cannot stand in JSON: the ids say what they were. */
static json_t *json_text(const char *text, size_t size)
{
    json_t *value = json_stringn(text, size);
    return value != NULL ? value : json_null();
}

static mv_code print_json(const demo *d, FILE *out, mv_error *error)
{
    json_t *list = json_array();
    mv_code code = MV_OK;
    for (size_t i = 0; i < d->n && code == MV_OK; i++) {
        const mv_generated *g = &d->generated[i];
        char *text = NULL;
        size_t size = 0;
        code = decode(d, i, &text, &size, error);
        if (code == MV_OK)
            (void)json_array_append_new(
                list, json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "prompt", d->texts[i], "text",
                                json_text(text, size), "prompt_tokens",
                                json_ids(d->prompts[i].tokens, d->prompts[i].n_tokens), "tokens",
                                json_ids(g->tokens, g->n_tokens), "prompt_log_probs",
                                json_reals(g->prompt_log_probs, g->n_prompt_log_probs), "log_probs",
                                json_reals(g->log_probs, g->n_tokens)));
        free(text);
    }
    json_t *root =
        json_pack("{s:s,s:o,s:o}", "schema", "mistral-run-demo/1", "model",
                  json_text(d->settings->spec, strlen(d->settings->spec)), "prompts", list);
    if (code == MV_OK && json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0)
        (void)fputc('\n', out);
    json_decref(root);
    return code;
}

static mv_code print_text(const demo *d, FILE *out, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < d->n && code == MV_OK; i++) {
        char *text = NULL;
        size_t size = 0;
        code = decode(d, i, &text, &size, error);
        if (code == MV_OK) {
            (void)fwrite(text, 1, size, out);
            (void)fputs("\n=====================\n", out);
        }
        free(text);
    }
    return code;
}

mv_code mv_run_demo(const mv_run_settings *settings, mv_error *error)
{
    const char *const *texts =
        settings->prompts != NULL ? (const char *const *)settings->prompts : seed_prompts;
    demo d = {.settings = settings, .texts = texts};
    FILE *out = NULL;
    bool json = false;
    mv_code code = mv_text_engine_open(&d.engine, settings, error);
    if (code == MV_OK)
        code = encode_all(&d, error);
    if (code == MV_OK)
        code = generate(&d, error);
    if (code == MV_OK)
        code = mv_run_open_output(settings->cli, &out, &json, error);
    if (code == MV_OK) {
        mv_error late = {0};
        code = json ? print_json(&d, out, error) : print_text(&d, out, error);
        if (mv_run_close_output(settings->cli, out, &late) != MV_OK && code == MV_OK) {
            *error = late;
            code = late.code;
        }
    }
    mv_generated_free(d.generated, d.n);
    for (size_t i = 0; i < d.n; i++)
        free(d.tokens[i]);
    mv_text_engine_close(&d.engine);
    return code;
}
