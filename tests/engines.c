#include "tests/engines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SEQUENCES = 64 };

double engines_noise;
uint64_t engines_period;
const mv_model_view *engines_own_weights;
int engines_n_opened, engines_n_open;
bool engines_saw_option;
int32_t engines_first_tokens[4];

static const mv_backend *reference;
static planted behaviour;
static uint32_t claims;
static uint64_t n_calls_ever;

struct mv_engine {
    mv_engine *inner;
    mv_engine *second; /* WIDE_WINDOW_LATE: the wider one */
    mv_model_view view, second_view;
    uint32_t n_threads, vocab_size, window;
    int n_calls;
    uint64_t positions[MAX_SEQUENCES];
    float *first_row; /* [vocab_size], REPEATS_FIRST_CALL */
    bool has_first_row;
};

static mv_code probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

static void caps(mv_caps *out)
{
    reference->caps(out);
    out->claims = claims;
}

static void close_engine(mv_engine *e)
{
    if (e == NULL)
        return;
    reference->close(e->inner);
    reference->close(e->second);
    free(e->first_row);
    free(e);
    engines_n_open--;
}

static uint32_t planted_window(uint32_t asked)
{
    if (behaviour == WINDOW_UNASKED)
        return asked == 0 ? 3 : asked;
    if (asked == 0)
        return 0;
    return behaviour == WINDOW_PLUS_1    ? asked + 1
           : behaviour == WINDOW_MINUS_1 ? (asked > 1 ? asked - 1 : 1)
           : behaviour == NO_WINDOW      ? 0
                                         : asked;
}

static mv_code refuse(const mv_engine_options *options, mv_error *error)
{
    switch (behaviour) {
    case OPEN_WITH_16_SEQUENCES:
        return options->max_sequences <= 16
                   ? MV_OK
                   : mv_fail(error, MV_ERR_UNSUPPORTED, "planted: %u sequences, expected 1-16",
                             options->max_sequences);
    case OPEN_ONCE_AT_A_TIME:
        return engines_n_open == 0
                   ? MV_OK
                   : mv_fail(error, MV_ERR_UNSUPPORTED, "planted: one engine at a time");
    case OPEN_FAILS:
        return mv_fail(error, MV_ERR_BACKEND, "planted: the engine does not open");
    case OPEN_UNSUPPORTED:
        return mv_fail(error, MV_ERR_UNSUPPORTED, "planted: not handled");
    case OPEN_UNAVAILABLE:
        return mv_fail(error, MV_ERR_UNAVAILABLE, "planted: no such device");
    default:
        return MV_OK;
    }
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    mv_code code = refuse(options, error);
    engines_n_opened++;
    if (code != MV_OK)
        return code;
    mv_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "planted: no memory");
    engines_n_open++;
    mv_engine_options inner = *options;
    for (size_t i = 0; i < options->n_options; i++)
        engines_saw_option = engines_saw_option || (strcmp(options->options[i].key, "test") == 0 &&
                                                    strcmp(options->options[i].value, "yes") == 0);
    inner.n_options = 0;
    if (behaviour == IGNORES_RESET) /* room for what is never forgotten */
        inner.max_positions *= 8;
    e->view = e->second_view = behaviour == IGNORES_WEIGHTS ? *engines_own_weights : *model;
    e->n_threads = options->n_threads;
    e->vocab_size = model->params.vocab_size;
    e->window = model->params.sliding_window;
    e->view.params.sliding_window = planted_window(e->window);
    e->second_view.params.sliding_window += e->window > 0;
    e->first_row = malloc(e->vocab_size * sizeof *e->first_row);
    code = e->first_row == NULL ? mv_fail(error, MV_ERR_MEMORY, "planted: no memory")
                                : reference->open(&e->inner, &e->view, &inner, error);
    if (code == MV_OK && behaviour == WIDE_WINDOW_LATE)
        code = reference->open(&e->second, &e->second_view, &inner, error);
    if (code != MV_OK) {
        close_engine(e);
        return code;
    }
    *engine = e;
    return MV_OK;
}

static mv_code reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    if (behaviour == RESET_FAILS)
        return mv_fail(error, MV_ERR_BACKEND, "planted: the engine cannot forget");
    if (behaviour == IGNORES_RESET)
        return MV_OK;
    e->positions[sequence % MAX_SEQUENCES] = 0;
    mv_code code = reference->reset(e->inner, sequence, error);
    return code == MV_OK && e->second != NULL ? reference->reset(e->second, sequence, error) : code;
}

static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error)
{
    const uint64_t seen = e->positions[sequence % MAX_SEQUENCES];
    if (behaviour == RING_ONE_SLOT_SHORT && e->window > 0 && seen >= e->window)
        return mv_fail(error, MV_ERR_UNSUPPORTED, "planted: it has left the rolling buffer");
    e->positions[sequence % MAX_SEQUENCES] = n_positions;
    mv_code code = reference->truncate(e->inner, sequence, n_positions, error);
    return code == MV_OK && e->second != NULL
               ? reference->truncate(e->second, sequence, n_positions, error)
               : code;
}

static mv_code set_tap(mv_engine *e, mv_tap_fn fn, void *cookie, mv_error *error)
{
    return reference->set_tap(e->inner, fn, cookie, error);
}

/* ---- forward ---- */

static size_t n_tokens_of(const mv_batch *batch)
{
    size_t n = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        n += batch->n_tokens[i];
    return n;
}

static void swap_rows(float *a, float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void flip_bit(float *logit)
{
    uint32_t bits;
    memcpy(&bits, logit, sizeof bits);
    bits ^= 1;
    memcpy(logit, &bits, sizeof bits);
}

static void spoil_row(const mv_engine *e, uint64_t position, float *row)
{
    const size_t n = e->vocab_size;
    for (size_t i = 0; i < n; i++) {
        if (behaviour == WRITES_NAN)
            row[i] = NAN;
        if (behaviour == WRITES_ZEROS)
            row[i] = 0;
        if (behaviour == NOISY)
            row[i] *= (float)(1 + engines_noise);
    }
    if (behaviour == WRITES_ONE_NAN && position == 10)
        row[3] = NAN;
    if (behaviour == WRITES_INFINITY && position == 10)
        row[3] = INFINITY;
}

/* Goes over the rows that a call has written, in its order. */
static void spoil_rows(const mv_engine *e, const mv_batch *batch, mv_logits which, float *logits)
{
    float *row = logits;
    for (uint32_t i = 0; i < batch->n_sequences && which != MV_LOGITS_NONE; i++) {
        const uint64_t before = e->positions[batch->sequences[i] % MAX_SEQUENCES];
        const uint32_t first = which == MV_LOGITS_LAST ? batch->n_tokens[i] - 1 : 0;
        for (uint32_t j = first; j < batch->n_tokens[i]; j++, row += e->vocab_size)
            spoil_row(e, before + j, row);
    }
}

static void repeat_first_call(mv_engine *e, const mv_batch *batch, float *logits)
{
    const size_t size = e->vocab_size * sizeof *logits;
    if (n_tokens_of(batch) != 1)
        return;
    if (e->has_first_row)
        memcpy(logits, e->first_row, size);
    else
        memcpy(e->first_row, logits, size);
    e->has_first_row = true;
}

static void spoil_call(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits)
{
    const size_t n_tokens = n_tokens_of(batch), n = e->vocab_size;
    const bool all = which == MV_LOGITS_ALL;
    if (which == MV_LOGITS_NONE)
        return;
    if (behaviour == SWAPS_SEQUENCES && batch->n_sequences > 1)
        swap_rows(logits, logits + (all ? batch->n_tokens[0] : 1) * n, n);
    if (behaviour == REPEATS_FIRST_CALL)
        repeat_first_call(e, batch, logits);
    if ((behaviour == BIT_BY_CALL_SIZE && n_tokens % 2 == 1) ||
        (behaviour == BIT_BY_COMPANY && batch->n_sequences > 1) ||
        (behaviour == BIT_BY_THREADS && e->n_threads == 2) ||
        (behaviour == BIT_BY_TIME && n_calls_ever % engines_period == 1))
        flip_bit(&logits[1]);
}

/* Rows of the second engine from position 2W on. */
static mv_code widen_late(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                          mv_error *error)
{
    const size_t n_logits = n_tokens_of(batch) * e->vocab_size;
    float *wide = malloc(n_logits * sizeof *wide);
    if (wide == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "planted: no memory");
    mv_code code = reference->forward(e->second, batch, which, wide, error);
    const float *from = wide;
    float *row = logits;
    for (uint32_t i = 0; code == MV_OK && i < batch->n_sequences && which != MV_LOGITS_NONE; i++) {
        const uint64_t before = e->positions[batch->sequences[i] % MAX_SEQUENCES];
        for (uint32_t j = which == MV_LOGITS_LAST ? batch->n_tokens[i] - 1 : 0;
             j < batch->n_tokens[i]; j++, row += e->vocab_size, from += e->vocab_size) {
            if (e->window > 0 && before + j >= 2 * (uint64_t)e->window)
                memcpy(row, from, e->vocab_size * sizeof *row);
        }
    }
    free(wide);
    return code;
}

/* Asks for all rows and gives the first of each sequence for its last. */
static mv_code first_for_last(mv_engine *e, const mv_batch *batch, float *logits, mv_error *error)
{
    const size_t n = e->vocab_size;
    float *all = malloc(n_tokens_of(batch) * n * sizeof *all);
    if (all == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "planted: no memory");
    mv_code code = reference->forward(e->inner, batch, MV_LOGITS_ALL, all, error);
    const float *from = all;
    for (uint32_t i = 0; code == MV_OK && i < batch->n_sequences; i++) {
        memcpy(logits + i * n, from, n * sizeof *from);
        from += batch->n_tokens[i] * n;
    }
    free(all);
    return code;
}

/* A forward() that does the work and keeps all or a part of the answer for itself. */
static mv_code keep_answer(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                           mv_error *error)
{
    const size_t n_rows = which == MV_LOGITS_LAST ? batch->n_sequences : n_tokens_of(batch);
    const bool part = behaviour == WRITES_NOT_THE_LAST_ROW;
    float *all = malloc(n_rows * e->vocab_size * sizeof *all);
    if (all == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "planted: no memory");
    mv_code code = reference->forward(e->inner, batch, which, all, error);
    if (code == MV_OK && which != MV_LOGITS_NONE && part)
        memcpy(logits, all, (n_rows > 1 ? n_rows - 1 : 1) * e->vocab_size * sizeof *all);
    free(all);
    return code;
}

static mv_code answer(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                      mv_error *error)
{
    if (behaviour == WRITES_NOTHING || behaviour == WRITES_NOT_THE_LAST_ROW)
        return keep_answer(e, batch, which, logits, error);
    if (behaviour == LAST_ROW_IS_FIRST && which == MV_LOGITS_LAST)
        return first_for_last(e, batch, logits, error);
    mv_code code = reference->forward(e->inner, batch, which, logits, error);
    if (code == MV_OK && e->second != NULL)
        code = widen_late(e, batch, which, logits, error);
    return code;
}

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    if (n_calls_ever++ == 0) {
        const size_t n = n_tokens_of(batch);
        memcpy(engines_first_tokens, batch->tokens, (n < 4 ? n : 4) * sizeof *batch->tokens);
    }
    if (behaviour == FORWARD_FAILS && ++e->n_calls == 3)
        return mv_fail(error, MV_ERR_BACKEND, "planted: the third call fails");
    if (behaviour == FORWARD_UNSUPPORTED && n_tokens_of(batch) > 1)
        return mv_fail(error, MV_ERR_UNSUPPORTED, "planted: one token at a time");
    mv_code code = answer(e, batch, which, logits, error);
    if (code == MV_OK) {
        spoil_rows(e, batch, which, logits);
        spoil_call(e, batch, which, logits);
    }
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        e->positions[batch->sequences[i] % MAX_SEQUENCES] += batch->n_tokens[i];
    return code;
}

const mv_backend *engines_get(const mv_backend *loaded, planted what, uint32_t claimed)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = "planted",
        .summary = "the reference with one planted behaviour",
        .version = "1",
        .probe = probe,
        .caps = caps,
        .open = open_engine,
        .close = close_engine,
        .reset = reset,
        .forward = forward,
        .truncate = truncate,
        .set_tap = set_tap,
    };
    reference = loaded;
    behaviour = what;
    claims = claimed;
    n_calls_ever = 0;
    engines_n_opened = engines_n_open = 0;
    engines_saw_option = false;
    engines_noise = 0;
    engines_period = 3;
    memset(engines_first_tokens, 0xff, sizeof engines_first_tokens);
    return &table;
}
