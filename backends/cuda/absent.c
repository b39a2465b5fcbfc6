/* absent.c - the backend cuda where it could not be built: it is listed, and says why it cannot
 * run. */
#include "backends/mistral_backend.h"

#ifndef MV_CUDA_ABSENT
#error "MV_CUDA_ABSENT: why, and what to do"
#endif

static mv_code probe(mv_error *error)
{
    return mv_fail(error, MV_ERR_UNAVAILABLE, "this build has no CUDA kernels: " MV_CUDA_ABSENT);
}

static void caps(mv_caps *out)
{
    out->claims = 0;
    out->computes = 0;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    (void)engine, (void)model, (void)options;
    return probe(error);
}

static void close_engine(mv_engine *engine)
{
    (void)engine;
}

static mv_code reset(mv_engine *engine, uint32_t sequence, mv_error *error)
{
    (void)engine, (void)sequence;
    return probe(error);
}

static mv_code forward(mv_engine *engine, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    (void)engine, (void)batch, (void)which, (void)logits;
    return probe(error);
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = "cuda",
        .summary = "NVIDIA GPUs: not built",
        .version = "1",
        .probe = probe,
        .caps = caps,
        .open = open_engine,
        .close = close_engine,
        .reset = reset,
        .forward = forward,
    };
    return &table;
}
