/* reference_backend.c - the reference as one backend: the arithmetic is chosen when an engine is
 * opened. Each part is reference.c, compiled for one arithmetic.
 *
 * SEAM(name) as there: the mutant backend compiles this file, too, around parts of its own.
 */
#include "backends/mistral_backend.h"

#include <stdlib.h>

#ifndef SEAM
#define SEAM(name) name
#define NAME "reference"
#define SUMMARY "plain C in the order of the paper, in float64, float32 or emulated bfloat16"
#endif

const mv_backend *mv_reference_f32(void);
const mv_backend *mv_reference_bf16(void);
const mv_backend *mv_reference_f64(void);

struct mv_engine {
    const mv_backend *part;
    mv_engine *engine; /* the part's own */
};

static mv_code probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

static void SEAM(caps)(mv_caps *out)
{
    mv_reference_f64()->caps(out);
    out->computes = 1u << MV_COMPUTE_F32 | 1u << MV_COMPUTE_BF16 | 1u << MV_COMPUTE_F64;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    const mv_backend *part = options->compute == MV_COMPUTE_F32    ? mv_reference_f32()
                             : options->compute == MV_COMPUTE_BF16 ? mv_reference_bf16()
                                                                   : mv_reference_f64();
    mv_engine *e = malloc(sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, NAME ": no memory for an engine");
    mv_code code = part->open(&e->engine, model, options, error);
    if (code != MV_OK) {
        free(e);
        return code;
    }
    e->part = part;
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

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    return e->part->forward(e->engine, batch, which, logits, error);
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

static void SEAM(describe)(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                           void *cookie)
{
    e->part->describe(e->engine, emit, cookie);
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = NAME,
        .summary = SUMMARY,
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
