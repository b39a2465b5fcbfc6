/* blas.c - the backend's table: checks what it is given, keeps the books, and calls mv_forward().
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/blas/engine.h"

static mv_code probe(mv_error *error)
{
    const mv_openblas *blas;
    return mv_openblas_get(&blas, error);
}

/* Not BATCH_INVARIANT nor CHUNK_INVARIANT: few rows and many go through different loops. */
static void caps(mv_caps *out)
{
    out->claims = MV_CLAIM_REPEATABLE | MV_CLAIM_THREAD_INVARIANT;
    out->computes = 1u << MV_COMPUTE_F32 | 1u << MV_COMPUTE_BF16;
}

static void close_engine(mv_engine *e)
{
    if (e == NULL)
        return;
    mv_pool_close(e->pool);
    mv_memory_free(e);
    free(e);
}

/* OpenBLAS takes its working memory at a thread's first product: here, and not in forward(). */
static void warm_up(void *arg, size_t item, uint32_t worker)
{
    mv_engine *e = arg;
    float a[64] = {0}, b[64] = {0}, c[64];
    (void)item, (void)worker;
    e->blas->sgemm(MV_CBLAS_ROW_MAJOR, MV_CBLAS_NO_TRANS, MV_CBLAS_TRANS, 8, 8, 8, 1, a, 8, b, 8, 0,
                   c, 8);
}

static mv_code check_shape(const mv_params *p, const mv_engine_options *options, mv_error *error)
{
    if (options->max_sequences == 0 || options->max_positions == 0 ||
        options->max_batch_tokens == 0)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "blas: max_sequences, max_positions and max_batch_tokens must be at least 1, "
            "found %u, %u and %u",
            options->max_sequences, options->max_positions, options->max_batch_tokens);
    if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0 || p->head_dim == 0 ||
        p->head_dim % 2 != 0 || p->dim == 0 || p->hidden_dim == 0 || p->vocab_size == 0)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "blas: expected n_heads a multiple of n_kv_heads, head_dim even, and no size "
            "of 0, found n_heads %u, n_kv_heads %u, head_dim %u, dim %u, hidden_dim %u, "
            "vocab_size %u",
            p->n_heads, p->n_kv_heads, p->head_dim, p->dim, p->hidden_dim, p->vocab_size);
    return MV_OK;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    mv_code code = check_shape(&model->params, options, error);
    if (code != MV_OK)
        return code;
    mv_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "blas: no memory for an engine");
    e->model = model;
    e->p = model->params;
    e->max_sequences = options->max_sequences;
    e->max_positions = options->max_positions;
    e->max_batch_tokens = options->max_batch_tokens;
    e->n_slots = mv_cache_slots(&e->p, e->max_positions);
    e->work.struct_size = sizeof e->work;
    code = mv_options_read(e, options, error);
    if (code == MV_OK)
        code = mv_memory_take(e, options, error);
    if (code == MV_OK && (e->pool = mv_pool_open(e->n_threads, e->pinned)) == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "blas: cannot start %u threads", e->n_threads);
    if (code != MV_OK) {
        close_engine(e);
        return code;
    }
    if (e->gemm.provider == &mv_gemm_sgemm)
        mv_pool_run(e->pool, 4 * (size_t)e->n_threads, warm_up, e);
    *engine = e;
    return MV_OK;
}

static mv_code check_sequence(const mv_engine *e, uint32_t sequence, mv_error *error)
{
    if (sequence < e->max_sequences)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT, "blas: sequence %u, expected less than %u", sequence,
                   e->max_sequences);
}

static mv_code reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    mv_code code = check_sequence(e, sequence, error);
    if (code == MV_OK)
        e->n_seen[sequence] = e->n_written[sequence] = 0;
    return code;
}

/* A position can be forgotten while all that its successor must see is still in the buffer. What
 * was written there later, and forgotten since, has overwritten what was there before. */
static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error)
{
    mv_code code = check_sequence(e, sequence, error);
    if (code != MV_OK)
        return code;
    uint64_t n_seen = e->n_seen[sequence], window = e->p.sliding_window;
    uint64_t n_written = e->n_written[sequence];
    uint64_t oldest = n_written > e->n_slots ? n_written - e->n_slots : 0;
    uint64_t needed = window > 0 && n_positions + 1ull > window ? n_positions + 1ull - window : 0;
    if (n_positions > n_seen)
        return mv_fail(error, MV_ERR_ARGUMENT, "blas: truncate to %u, but there are %llu",
                       n_positions, (unsigned long long)n_seen);
    if (needed < oldest && n_positions < n_seen)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "blas: truncate to %u: position %llu has left the rolling buffer",
                       n_positions, (unsigned long long)needed);
    e->n_seen[sequence] = n_positions;
    return MV_OK;
}

/* The batch as spans. Checks everything, so that the arithmetic need not. */
static mv_code make_spans(mv_engine *e, const mv_batch *batch, size_t *n_rows, mv_error *error)
{
    size_t row = 0;
    if (batch->n_sequences == 0 || batch->n_sequences > e->max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT, "blas: %u sequences in a batch, expected 1 ... %u",
                       batch->n_sequences, e->max_sequences);
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        uint32_t sequence = batch->sequences[i], n = batch->n_tokens[i];
        mv_code code = check_sequence(e, sequence, error);
        if (code != MV_OK)
            return code;
        for (uint32_t j = 0; j < i; j++) {
            if (batch->sequences[j] == sequence)
                return mv_fail(error, MV_ERR_ARGUMENT, "blas: sequence %u appears twice in a batch",
                               sequence);
        }
        if (n == 0 || e->n_seen[sequence] + n > e->max_positions)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "blas: %u new tokens for sequence %u, which has %llu of at most %u "
                           "positions",
                           n, sequence, (unsigned long long)e->n_seen[sequence], e->max_positions);
        e->spans[i] = (mv_span){sequence, e->n_seen[sequence], n, row};
        row += n;
    }
    if (row > e->max_batch_tokens)
        return mv_fail(error, MV_ERR_ARGUMENT, "blas: %zu tokens in a batch, expected at most %u",
                       row, e->max_batch_tokens);
    for (size_t i = 0; i < row; i++) {
        if (batch->tokens[i] < 0 || (uint32_t)batch->tokens[i] >= e->p.vocab_size)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "blas: token %zu of the batch is %d, expected 0 ... %u", i,
                           batch->tokens[i], e->p.vocab_size - 1);
    }
    *n_rows = row;
    return MV_OK;
}

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    size_t n_rows = 0;
    mv_code code = make_spans(e, batch, &n_rows, error);
    if (code != MV_OK)
        return code;
    mv_forward(e, batch->n_sequences, batch->tokens, n_rows, which, logits);
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        uint32_t sequence = batch->sequences[i];
        e->n_seen[sequence] += batch->n_tokens[i];
        if (e->n_written[sequence] < e->n_seen[sequence])
            e->n_written[sequence] = e->n_seen[sequence];
    }
    return MV_OK;
}

static mv_code set_tap(mv_engine *e, mv_tap_fn fn, void *cookie, mv_error *error)
{
    (void)error;
    e->tap = fn;
    e->tap_cookie = cookie;
    return MV_OK;
}

static void memory(const mv_engine *e, mv_memory *out)
{
    out->weights_bytes = e->weights_bytes;
    out->kv_cache_bytes = e->kv_cache_bytes;
    out->scratch_bytes = e->scratch_bytes;
}

static void work(mv_engine *e, mv_work *out, int clear)
{
    *out = e->work;
    if (clear != 0)
        e->work = (mv_work){.struct_size = sizeof e->work};
}

static void describe(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%u", e->n_threads);
    emit(cookie, "threads", text);
    emit(cookie, "gemm", e->gemm.provider->name);
    emit(cookie, "isa", e->kernels->isa);
    emit(cookie, "blas_core", e->blas->core);
    emit(cookie, "blas_version", e->blas->version);
    emit(cookie, "cache_dtype", e->kv_dtype == MV_DTYPE_BF16 ? "bf16" : "f32");
    (void)snprintf(text, sizeof text, "%zu", e->n_slots);
    emit(cookie, "cache_slots", text);
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = "blas",
        .summary = "fast on a CPU: OpenBLAS in float32, own kernels in bfloat16, weights in place",
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
