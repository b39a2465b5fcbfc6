#include "harness/claims_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/clock.h"

void mv_claim_close(mv_claim_stage *s)
{
    if (s->engine != NULL)
        s->claims->backend->close(s->engine);
    mv_synthetic_close(&s->model);
    free(s->tokens);
    free(s->logits);
    s->engine = NULL;
    s->tokens = NULL;
    s->logits = NULL;
}

mv_code mv_claim_open(mv_claim_stage *s, const mv_claims *claims, const char *spec, size_t n,
                      size_t chunk, uint32_t window, mv_error *error)
{
    const mv_engine_options options = {
        .struct_size = sizeof options,
        .compute = claims->compute,
        .n_threads = 1,
        .max_sequences = 1,
        .max_positions = (uint32_t)n,
        .max_batch_tokens = (uint32_t)chunk,
        .options = claims->options,
        .n_options = claims->n_options,
    };
    *s = (mv_claim_stage){.claims = claims, .n = n};
    mv_code code = mv_synthetic_open(&s->model, spec, error);
    if (code != MV_OK)
        return code;
    s->view = *mv_synthetic_get_view(s->model);
    s->view.params.sliding_window = window;
    s->tokens = malloc(n * sizeof *s->tokens);
    s->logits = malloc(n * s->view.params.vocab_size * sizeof *s->logits);
    if (s->tokens == NULL || s->logits == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu tokens", n);
    mv_synthetic_tokens(s->tokens, n, s->view.params.vocab_size, claims->seed);
    return mv_backend_open(claims->backend, &s->engine, &s->view, &options, error);
}

mv_code mv_claim_prefill(mv_claim_stage *s, size_t chunk, mv_logits which, mv_error *error)
{
    const mv_backend *backend = s->claims->backend;
    mv_code code = backend->reset(s->engine, 0, error);
    float *row = s->logits;
    for (size_t at = 0; at < s->n && code == MV_OK; at += chunk) {
        const uint32_t sequence = 0, n = (uint32_t)(s->n - at < chunk ? s->n - at : chunk);
        const mv_batch batch = {sizeof batch, 1, &sequence, &n, s->tokens + at};
        code = backend->forward(s->engine, &batch, which, row, error);
        if (which == MV_LOGITS_ALL)
            row += (size_t)n * s->view.params.vocab_size;
    }
    return code;
}

/* ---- two windows of one model, in turn ---- */

static mv_code time_prefill(mv_claim_stage *s, double *ns, mv_error *error)
{
    mv_tick start, end;
    mv_tick_read(&start);
    mv_code code = mv_claim_prefill(s, s->n, MV_LOGITS_LAST, error);
    mv_tick_read(&end);
    *ns = (double)mv_tick_between(&start, &end).cpu_ns;
    return code;
}

static mv_code run_rounds(mv_claim_stage stages[2], mv_claim_contest *c, mv_error *error)
{
    double ratios[MV_CLAIM_ROUNDS], ns[2];
    mv_estimate median;
    mv_code code = MV_OK;
    for (int round = -1; round < MV_CLAIM_ROUNDS && code == MV_OK;
         round++) { /* the first warms up */
        for (int i = 0; i < 2 && code == MV_OK; i++) {
            const int which = (round + i) & 1; /* first one first, then the other */
            code = time_prefill(&stages[which], &ns[which], error);
            c->rounds_s += 1e-9 * ns[which];
        }
        if (round >= 0)
            ratios[round] = ns[0] / fmax(ns[1], 1);
    }
    if (code == MV_OK)
        code = mv_median_estimate(&median, ratios, MV_CLAIM_ROUNDS, MV_CLAIM_ROUNDS, 0.95, error);
    if (code == MV_OK)
        c->ratio = median.value;
    return code;
}

mv_code mv_claim_hold_contest(mv_claim_contest *c, const mv_claims *claims, const char *spec,
                              size_t n, mv_error *error)
{
    const uint32_t windows[2] = {0, (uint32_t)(n * MV_CLAIM_WINDOW / MV_CLAIM_LONG)};
    mv_claim_stage stages[2] = {{.n = 0}, {.n = 0}};
    mv_code code = MV_OK;
    *c = (mv_claim_contest){.has_work = claims->backend->work != NULL};
    for (int i = 0; i < 2 && code == MV_OK; i++)
        code = mv_claim_open(&stages[i], claims, spec, n, n, windows[i], error);
    for (int i = 0; i < 2 && code == MV_OK && c->has_work; i++) {
        mv_work work = {.struct_size = sizeof work};
        claims->backend->work(stages[i].engine, &work, 1);
        code = mv_claim_prefill(&stages[i], n, MV_LOGITS_LAST, error);
        work = (mv_work){.struct_size = sizeof work};
        claims->backend->work(stages[i].engine, &work, 1);
        c->pairs[i] = (double)work.attention_pairs;
        c->products[i] = (double)work.attention_multiply_adds + (double)work.linear_multiply_adds +
                         (double)work.output_multiply_adds;
    }
    if (code == MV_OK)
        code = run_rounds(stages, c, error);
    c->has_work = c->has_work && c->pairs[1] > 0;
    mv_claim_close(&stages[0]);
    mv_claim_close(&stages[1]);
    return code;
}
