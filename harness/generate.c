#include "harness/generate.h"

#include <stdlib.h>
#include <string.h>

/* While generating. */
typedef struct job {
    const mv_backend *backend;
    mv_engine *engine;
    uint32_t vocab_size;
    const mv_prompt_in *prompts;
    const mv_generate_options *options;
    mv_generated *generated;
    size_t n_prompts;
    mv_sampler *sampler;
    size_t *fed;         /* [n_prompts] tokens of the prompt that the engine has */
    bool *waiting;       /* [n_prompts] has a row to sample from: last_rows */
    bool *done;          /* [n_prompts] */
    float *last_rows;    /* [n_prompts, vocab_size] the newest row of each */
    float *logits;       /* [rows of one call, vocab_size] */
    uint32_t *sequences; /* [n_prompts] */
    uint32_t *n_tokens;  /* [n_prompts] */
    int32_t *tokens;     /* [tokens of one call] */
} job;

void mv_generated_free(mv_generated *generated, size_t n_prompts)
{
    for (size_t i = 0; i < n_prompts && generated != NULL; i++) {
        free(generated[i].tokens);
        free(generated[i].log_probs);
        free(generated[i].prompt_log_probs);
        generated[i] = (mv_generated){0};
    }
}

static mv_code check_prompts(const job *j, mv_error *error)
{
    for (size_t i = 0; i < j->n_prompts; i++) {
        const mv_prompt_in *p = &j->prompts[i];
        if (p->n_tokens == 0)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "prompt %zu: expected at least one token, found "
                           "none",
                           i);
        for (size_t k = 0; k < p->n_tokens; k++) {
            if (p->tokens[k] < 0 || (uint32_t)p->tokens[k] >= j->vocab_size)
                return mv_fail(error, MV_ERR_ARGUMENT,
                               "prompt %zu: token %zu: expected an id below vocab_size %u, found "
                               "%d",
                               i, k, j->vocab_size, p->tokens[k]);
        }
    }
    return MV_OK;
}

static size_t longest_call(const job *j)
{
    size_t most = 1;
    for (size_t i = 0; i < j->n_prompts; i++)
        most = j->prompts[i].n_tokens > most ? j->prompts[i].n_tokens : most;
    return most < j->options->chunk ? most : j->options->chunk;
}

static mv_code no_memory(mv_error *error)
{
    return mv_fail(error, MV_ERR_MEMORY,
                   "no memory for the logits of one call; a smaller --chunk takes less");
}

/* n * m elements of size bytes; NULL if that is too many. */
static void *allocate(size_t n, size_t m, size_t size)
{
    size_t count;
    return __builtin_mul_overflow(n, m, &count) ? NULL : calloc(count > 0 ? count : 1, size);
}

static mv_code take_memory(job *j, mv_error *error)
{
    const size_t n = j->n_prompts, most = longest_call(j);
    const size_t rows = j->options->prompt_log_probs ? most : 1;
    size_t n_rows;
    if (__builtin_mul_overflow(n, rows, &n_rows))
        return no_memory(error);
    j->fed = allocate(n, 1, sizeof *j->fed);
    j->waiting = allocate(n, 1, sizeof *j->waiting);
    j->done = allocate(n, 1, sizeof *j->done);
    j->sequences = allocate(n, 1, sizeof *j->sequences);
    j->n_tokens = allocate(n, 1, sizeof *j->n_tokens);
    j->tokens = allocate(n, most, sizeof *j->tokens);
    j->last_rows = allocate(n, j->vocab_size, sizeof *j->last_rows);
    j->logits = allocate(n_rows, j->vocab_size, sizeof *j->logits);
    if (j->fed == NULL || j->waiting == NULL || j->done == NULL || j->sequences == NULL ||
        j->n_tokens == NULL || j->tokens == NULL || j->last_rows == NULL || j->logits == NULL)
        return no_memory(error);
    for (size_t i = 0; i < n; i++) {
        mv_generated *g = &j->generated[i];
        g->tokens = allocate(j->options->max_tokens, 1, sizeof *g->tokens);
        g->log_probs = allocate(j->options->max_tokens, 1, sizeof *g->log_probs);
        if (j->options->prompt_log_probs)
            g->prompt_log_probs = allocate(j->prompts[i].n_tokens, 1, sizeof(double));
        if (g->tokens == NULL || g->log_probs == NULL ||
            (j->options->prompt_log_probs && g->prompt_log_probs == NULL))
            return no_memory(error);
    }
    return MV_OK;
}

static void free_memory(job *j)
{
    mv_sampler_close(&j->sampler);
    free(j->fed);
    free(j->waiting);
    free(j->done);
    free(j->sequences);
    free(j->n_tokens);
    free(j->tokens);
    free(j->last_rows);
    free(j->logits);
}

/* ---- one call of the engine ---- */

/* What a prompt brings to the next call: a piece of itself, or the token that it just got. */
static size_t next_piece(const job *j, size_t i, const int32_t **tokens)
{
    const mv_prompt_in *p = &j->prompts[i];
    const mv_generated *g = &j->generated[i];
    const size_t left = p->n_tokens - j->fed[i];
    *tokens = left > 0 ? p->tokens + j->fed[i] : g->tokens + g->n_tokens - 1;
    return left == 0 ? 1 : left < j->options->chunk ? left : j->options->chunk;
}

/* The log-probability of each prompt token whose distribution is known by now. before: the row in
 * front of the first row, or NULL. */
static void score_prompt(job *j, size_t i, const float *before, const float *rows, size_t n)
{
    mv_generated *g = &j->generated[i];
    const mv_prompt_in *p = &j->prompts[i];
    for (size_t k = 0; k < n; k++) {
        const size_t token = j->fed[i] + k;
        const float *row = k > 0 ? rows + (k - 1) * j->vocab_size : before;
        if (token > 0)
            g->prompt_log_probs[g->n_prompt_log_probs++] =
                mv_log_prob(row, j->vocab_size, p->tokens[token]);
    }
}

/* Hands the rows of the call to their prompts. */
static void take_rows(job *j, uint32_t n_parts, bool all_rows)
{
    const float *rows = j->logits;
    for (uint32_t part = 0; part < n_parts; part++) {
        const size_t i = j->sequences[part], n = j->n_tokens[part];
        const size_t n_rows = all_rows ? n : 1;
        float *last = j->last_rows + i * j->vocab_size;
        const bool is_prompt = j->fed[i] < j->prompts[i].n_tokens;
        if (is_prompt && j->options->prompt_log_probs)
            score_prompt(j, i, last, rows, n);
        memcpy(last, rows + (n_rows - 1) * j->vocab_size, j->vocab_size * sizeof *last);
        j->fed[i] += is_prompt ? n : 0;
        j->generated[i].n_seen += n;
        j->waiting[i] = j->fed[i] == j->prompts[i].n_tokens;
        rows += n_rows * j->vocab_size;
    }
}

static mv_code call(job *j, mv_error *error)
{
    uint32_t n_parts = 0;
    size_t n = 0;
    bool all_rows = false;
    for (size_t i = 0; i < j->n_prompts; i++) {
        const int32_t *tokens;
        if (j->done[i])
            continue;
        const size_t piece = next_piece(j, i, &tokens);
        memcpy(j->tokens + n, tokens, piece * sizeof *tokens);
        j->sequences[n_parts] = (uint32_t)i;
        j->n_tokens[n_parts++] = (uint32_t)piece;
        all_rows = all_rows || j->fed[i] < j->prompts[i].n_tokens;
        n += piece;
    }
    all_rows = all_rows && j->options->prompt_log_probs;
    const mv_batch batch = {sizeof batch, n_parts, j->sequences, j->n_tokens, j->tokens};
    mv_code code = j->backend->forward(j->engine, &batch, all_rows ? MV_LOGITS_ALL : MV_LOGITS_LAST,
                                       j->logits, error);
    if (code == MV_OK)
        take_rows(j, n_parts, all_rows);
    return code;
}

/* ---- from rows to tokens ---- */

/* Takes one token for a prompt that has all its rows; decides whether it goes on. */
static mv_code step(job *j, size_t i, mv_error *error)
{
    mv_generated *g = &j->generated[i];
    const float *row = j->last_rows + i * j->vocab_size;
    int32_t token;
    j->waiting[i] = false;
    if (j->options->max_tokens == 0) {
        j->done[i] = true;
        return MV_OK;
    }
    mv_code code = mv_sampler_pick(j->sampler, row, j->prompts[i].stream, g->n_seen, &token, error);
    if (code != MV_OK)
        return code;
    g->tokens[g->n_tokens] = token;
    g->log_probs[g->n_tokens++] = mv_log_prob(row, j->vocab_size, token);
    if (j->options->on_token != NULL &&
        !j->options->on_token(j->options->cookie, i, token, g->log_probs[g->n_tokens - 1]))
        g->stopped = true;
    j->done[i] = g->stopped || g->n_tokens == j->options->max_tokens ||
                 (j->options->eos >= 0 && token == j->options->eos);
    return MV_OK;
}

static bool has_work(const job *j)
{
    for (size_t i = 0; i < j->n_prompts; i++) {
        if (!j->done[i])
            return true;
    }
    return false;
}

static mv_code run(job *j, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < j->n_prompts && code == MV_OK; i++) {
        j->generated[i].n_seen = j->prompts[i].n_seen;
        if (j->prompts[i].n_seen == 0)
            code = j->backend->reset(j->engine, (uint32_t)i, error);
    }
    while (code == MV_OK && has_work(j)) {
        if (j->options->go_on != NULL && !j->options->go_on(j->options->cookie)) {
            for (size_t i = 0; i < j->n_prompts; i++)
                j->generated[i].stopped = j->generated[i].stopped || !j->done[i];
            return MV_OK;
        }
        code = call(j, error);
        for (size_t i = 0; i < j->n_prompts && code == MV_OK; i++) {
            if (j->waiting[i])
                code = step(j, i, error);
        }
    }
    return code;
}

mv_code mv_generate(const mv_backend *backend, mv_engine *engine, uint32_t vocab_size,
                    const mv_prompt_in *prompts, size_t n_prompts,
                    const mv_generate_options *options, mv_generated *generated, mv_error *error)
{
    job j = {.backend = backend,
             .engine = engine,
             .vocab_size = vocab_size,
             .prompts = prompts,
             .options = options,
             .generated = generated,
             .n_prompts = n_prompts};
    memset(generated, 0, n_prompts * sizeof *generated);
    if (options->chunk == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--chunk: expected at least 1, found 0");
    mv_code code = check_prompts(&j, error);
    if (code == MV_OK)
        code = mv_sampler_open(&j.sampler, vocab_size, &options->sampler, error);
    if (code == MV_OK)
        code = take_memory(&j, error);
    if (code == MV_OK)
        code = run(&j, error);
    free_memory(&j);
    return code;
}
