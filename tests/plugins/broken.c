/* broken.c - backends that the loader must refuse, or must bear: one for each BROKEN_x. */
#include "backends/mistral_backend.h"

#if !defined(BROKEN_NO_SYMBOL)

static mv_code broken_probe(mv_error *error)
{
#if defined(BROKEN_UNAVAILABLE)
    return mv_fail(error, MV_ERR_UNAVAILABLE, "no flux capacitor in this machine");
#elif defined(BROKEN_SILENT)
    (void)error;
    return MV_ERR_UNAVAILABLE;
#else
    (void)error;
    return MV_OK;
#endif
}

static void broken_caps(mv_caps *caps)
{
    caps->claims = MV_CLAIM_REPEATABLE | MV_CLAIM_CHUNK_INVARIANT;
    caps->computes = 1u << MV_COMPUTE_BF16;
}

static mv_code broken_open(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    (void)engine;
    (void)model;
    (void)options;
    return mv_fail(error, MV_ERR_BACKEND, "never opens");
}

static void broken_close(mv_engine *engine)
{
    (void)engine;
}

#if !defined(BROKEN_ENTRY)
static mv_code broken_reset(mv_engine *engine, uint32_t sequence, mv_error *error)
{
    (void)engine;
    (void)sequence;
    return mv_fail(error, MV_ERR_BACKEND, "never opened");
}
#endif

#if defined(BROKEN_UNDEFINED)
mv_code a_function_that_nobody_has(void);
#endif

static mv_code broken_forward(mv_engine *engine, const mv_batch *batch, mv_logits which,
                              float *logits, mv_error *error)
{
    (void)engine;
    (void)batch;
    (void)which;
    (void)logits;
#if defined(BROKEN_UNDEFINED)
    (void)error;
    return a_function_that_nobody_has();
#else
    return mv_fail(error, MV_ERR_BACKEND, "never opened");
#endif
}

/* What a later minor version looks like from here: the same beginning, and more. */
typedef struct later_backend {
    mv_backend now;
    void *later[5];
} later_backend;

static const later_backend table = {
    .now =
        {
#if defined(BROKEN_MAJOR)
            .abi_major = MV_BACKEND_ABI_MAJOR + 1,
#else
            .abi_major = MV_BACKEND_ABI_MAJOR,
#endif
#if defined(BROKEN_LATER)
            .abi_minor = MV_BACKEND_ABI_MINOR + 7,
            .struct_size = sizeof(later_backend),
#elif defined(BROKEN_SHORT)
            .struct_size = offsetof(mv_backend, self_test),
#else
            .struct_size = sizeof(mv_backend),
#endif
#if defined(BROKEN_NAME)
            .name = "",
#else
            .name = "broken",
#endif
            .summary = "for the tests of the loader",
#if !defined(BROKEN_VERSION)
            .version = "1.0",
#endif
            .probe = broken_probe,
            .caps = broken_caps,
            .open = broken_open,
            .close = broken_close,
#if !defined(BROKEN_ENTRY)
            .reset = broken_reset,
#endif
            .forward = broken_forward,
        },
    .later = {NULL},
};

const mv_backend *mv_backend_get(void)
{
#if defined(BROKEN_NO_TABLE)
    (void)table;
    return NULL;
#else
    return &table.now;
#endif
}

#else

MV_EXPORT int not_a_backend(void);
int not_a_backend(void)
{
    return 0;
}
#endif
