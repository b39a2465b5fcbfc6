/* mutant_backend.c - the mutants as one backend: the arithmetic is chosen when an engine is opened.
 * Each part is mutant.c, compiled for one arithmetic.
 */
#include "backends/mutant/mutant.h"

#include <stdlib.h>
#include <string.h>

const mv_backend *mv_mutant_f32(void);
const mv_backend *mv_mutant_bf16(void);
const mv_backend *mv_mutant_f64(void);

struct mv_engine {
    const mv_backend *part;
    mv_engine *engine; /* the part's own */
    fault fault;       /* for those that are around forward(), not in it */
    size_t vocab_size;
};

static mv_code probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

/* Claims nothing: most mutants would break their word, and would be found by that alone. The
 * self-test holds those of kind CLAIM to every claim. */
static void caps(mv_caps *out)
{
    out->claims = 0;
    out->computes = 1u << MV_COMPUTE_F32 | 1u << MV_COMPUTE_BF16 | 1u << MV_COMPUTE_F64;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    const mv_backend *part = options->compute == MV_COMPUTE_F32    ? mv_mutant_f32()
                             : options->compute == MV_COMPUTE_BF16 ? mv_mutant_bf16()
                                                                   : mv_mutant_f64();
    mv_engine *e = malloc(sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "mutant: no memory for an engine");
    mv_code code = part->open(&e->engine, model, options, error);
    if (code != MV_OK) {
        free(e);
        return code;
    }
    static fault last_fault;
    e->part = part;
    e->fault = FAULT_none;
    e->vocab_size = model->params.vocab_size;
    for (size_t i = 0; i < options->n_options; i++) { /* the part has refused what is no mutant */
        if (strcmp(options->options[i].key, "mutant") == 0)
            (void)!mutant_find(&e->fault, options->options[i].value, NULL);
    }
    mutant_n_calls = e->fault == last_fault ? mutant_n_calls : 0;
    last_fault = e->fault;
    *engine = e;
    return MV_OK;
}

static void close_engine(mv_engine *e)
{
    if (e == NULL)
        return;
    e->part->close(e->engine);
    free(e);
}

static mv_code reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    return e->part->reset(e->engine, sequence, error);
}

static size_t n_tokens_of(const mv_batch *batch)
{
    size_t n = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        n += batch->n_tokens[i];
    return n;
}

/* What an engine does to memory that is not its own. A caller whose rows have no room around them
 * is not safe from these; the suites' have. */
static void write_elsewhere(const mv_engine *e, const mv_batch *batch, float *logits,
                            size_t n_logits)
{
    static const float written = 1;
    int32_t *lent;
    switch (e->fault) {
    case FAULT_logits_written_past:
        logits[n_logits] = written;
        return;
    case FAULT_logits_written_before:
        memcpy(logits - 1, &written, sizeof written);
        return;
    case FAULT_logits_padded_to_tile:
        for (size_t i = 0; (e->vocab_size + i) % 16 != 0; i++)
            logits[n_logits + i] = 0;
        return;
    case FAULT_tokens_written:
        memcpy(&lent, &batch->tokens, sizeof lent);
        lent[n_tokens_of(batch) - 1] = 0;
        return;
    default:
        return;
    }
}

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    const size_t n_rows = which == MV_LOGITS_ALL    ? n_tokens_of(batch)
                          : which == MV_LOGITS_LAST ? batch->n_sequences
                                                    : 0;
    const size_t n_logits = n_rows * e->vocab_size;
    float last = 0;
    if (n_logits > 0)
        memcpy(&last, logits + n_logits - 1, sizeof last);
    mutant_asked = which;
    mutant_n_calls++;
    mv_code code = e->part->forward(e->engine, batch, which, logits, error);
    if (code != MV_OK || n_logits == 0)
        return code;
    if (e->fault == FAULT_row_end_not_written && n_rows > 1)
        memcpy(logits + n_logits - 1, &last, sizeof last);
    write_elsewhere(e, batch, logits, n_logits);
    return code;
}

static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error)
{
    return e->part->truncate(e->engine, sequence, n_positions, error);
}

static mv_code set_tap(mv_engine *e, mv_tap_fn fn, void *cookie, mv_error *error)
{
    return e->part->set_tap(e->engine, fn, cookie, error);
}

static void memory(const mv_engine *e, mv_memory *out)
{
    e->part->memory(e->engine, out);
}

static void work(mv_engine *e, mv_work *out, int clear)
{
    e->part->work(e->engine, out, clear);
}

/* "mutant.NAME" = "KIND|EXPECTED|IMITATES" for every mutant, whatever this engine is; e may be
 * NULL.
 */
static void describe(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char key[64], value[512];
    if (e != NULL)
        e->part->describe(e->engine, emit, cookie);
    for (size_t i = 0; i < N_FAULTS; i++) {
        const mutant *m = &mutants[i];
        (void)snprintf(key, sizeof key, "mutant.%s", m->name);
        (void)snprintf(value, sizeof value, "%s|%s|%s", mutant_kind_name(m->kind), m->expected,
                       m->imitates);
        emit(cookie, key, value);
    }
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = "mutant",
        .summary = "the reference with one planted bug: what the suites must find",
        .version = "1",
        .probe = probe,
        .caps = caps,
        .open = open_engine,
        .close = close_engine,
        .reset = reset,
        .forward = forward,
        .truncate = truncate,
        .set_tap = set_tap,
        .memory = memory,
        .work = work,
        .describe = describe,
    };
    return &table;
}
