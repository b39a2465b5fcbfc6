/* cuda.c - the backend's table: checks what it is given, keeps the books, and calls mv_forward().
 * One text for both devices: mv_device_backend says which. */
#include <stdlib.h>

#include "backends/cuda/cuda_engine.h"

/* Not BATCH_INVARIANT nor CHUNK_INVARIANT: few rows and many go through different kernels. */
static void caps(mv_caps *out)
{
    out->claims = MV_CLAIM_REPEATABLE | MV_CLAIM_THREAD_INVARIANT;
    out->computes = 1u << MV_COMPUTE_F32 | 1u << MV_COMPUTE_BF16;
}

static void close_engine(mv_engine *e)
{
    if (e == NULL)
        return;
    if (e->device != NULL) {
        mv_memory_free(e);
        mv_device_close(e->device);
    }
    free(e);
}

static mv_code check_shape(const mv_params *p, const mv_engine_options *options, mv_error *error)
{
    if (options->max_sequences == 0 || options->max_positions == 0 ||
        options->max_batch_tokens == 0)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "%s: max_sequences, max_positions and max_batch_tokens must be at least 1, found %u, "
            "%u and %u",
            mv_device_backend, options->max_sequences, options->max_positions,
            options->max_batch_tokens);
    if (p->n_kv_heads == 0 || p->n_heads == 0 || p->n_heads % p->n_kv_heads != 0 ||
        p->head_dim == 0 || p->head_dim % 2 != 0 || p->dim == 0 || p->hidden_dim == 0 ||
        p->vocab_size == 0)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "%s: expected n_heads a multiple of n_kv_heads, head_dim even, and no size of 0, found "
            "n_heads %u, n_kv_heads %u, head_dim %u, dim %u, hidden_dim %u, vocab_size %u",
            mv_device_backend, p->n_heads, p->n_kv_heads, p->head_dim, p->dim, p->hidden_dim,
            p->vocab_size);
    /* Shared memory of a block: attend_many.cu's keys and values; gemv.cu's normed rows. */
    if (p->head_dim > 256 || p->dim > 7168)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: made for head_dim up to 256 and dim up to 7168, found %u and %u",
                       mv_device_backend, p->head_dim, p->dim);
    return MV_OK;
}

static mv_code open_parts(mv_engine *e, const mv_model_view *model,
                          const mv_engine_options *options, mv_error *error)
{
    mv_code code = mv_choices_read(&e->chosen, options, error);
    if (code != MV_OK)
        return code;
    e->dtype = options->compute == MV_COMPUTE_BF16 ? MV_DTYPE_BF16 : MV_DTYPE_F32;
    e->size = e->dtype == MV_DTYPE_BF16 ? 2 : 4;
    code = mv_device_open(&e->device, e->chosen.ordinal, e->chosen.pdl, e->chosen.tune, error);
    if (code != MV_OK)
        return code;
    e->facts = mv_device_get_facts(e->device);
    code = mv_memory_take(e, model, error);
    if (code == MV_OK)
        code = mv_upload_weights(e, model, options->n_threads, error);
    if (code == MV_OK && e->chosen.graphs)
        code = mv_few_record(e, error);
    return code == MV_OK ? mv_device_wait(e->device, error) : code;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    mv_code code = check_shape(&model->params, options, error);
    if (code != MV_OK)
        return code;
    mv_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for an engine", mv_device_backend);
    e->p = model->params;
    e->max_sequences = options->max_sequences;
    e->max_positions = options->max_positions;
    e->max_batch_tokens = options->max_batch_tokens;
    e->work.struct_size = sizeof e->work;
    code = open_parts(e, model, options, error);
    if (code != MV_OK) {
        close_engine(e);
        return code;
    }
    *engine = e;
    return MV_OK;
}

static mv_code check_sequence(const mv_engine *e, uint32_t sequence, mv_error *error)
{
    if (sequence < e->max_sequences)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT, "%s: sequence %u, expected less than %u",
                   mv_device_backend, sequence, e->max_sequences);
}

static mv_code reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    const mv_code code = check_sequence(e, sequence, error);
    if (code == MV_OK)
        e->n_seen[sequence] = e->n_written[sequence] = 0;
    return code;
}

/* A position can be forgotten while all that its successor must see is still in the ring. What was
 * written there later, and forgotten since, has overwritten what was there before. */
static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error)
{
    const mv_code code = check_sequence(e, sequence, error);
    if (code != MV_OK)
        return code;
    const uint64_t n_seen = e->n_seen[sequence], window = e->p.sliding_window;
    const uint64_t n_written = e->n_written[sequence];
    const uint64_t oldest = n_written > e->n_slots ? n_written - e->n_slots : 0;
    const uint64_t needed =
        window > 0 && n_positions + 1ull > window ? n_positions + 1ull - window : 0;
    if (n_positions > n_seen)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: truncate to %u, but there are %llu",
                       mv_device_backend, n_positions, (unsigned long long)n_seen);
    if (needed < oldest && n_positions < n_seen)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: truncate to %u: position %llu has left the rolling buffer",
                       mv_device_backend, n_positions, (unsigned long long)needed);
    e->n_seen[sequence] = n_positions;
    return MV_OK;
}

static mv_code check_tokens(const mv_engine *e, const int32_t *tokens, size_t n, mv_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= e->p.vocab_size)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "%s: token %zu of the batch is %d, expected 0 ... %u", mv_device_backend,
                           i, tokens[i], e->p.vocab_size - 1);
    }
    return MV_OK;
}

/* The batch as spans [n_sequences]. Checks everything, so that the arithmetic need not. */
static mv_code make_spans(const mv_engine *e, const mv_batch *batch, mv_span *spans,
                          mv_error *error)
{
    size_t row = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        const uint32_t sequence = batch->sequences[i], n = batch->n_tokens[i];
        const mv_code code = check_sequence(e, sequence, error);
        if (code != MV_OK)
            return code;
        for (uint32_t j = 0; j < i; j++) {
            if (batch->sequences[j] == sequence)
                return mv_fail(error, MV_ERR_ARGUMENT, "%s: sequence %u appears twice in a batch",
                               mv_device_backend, sequence);
        }
        if (n == 0 || e->n_seen[sequence] + n > e->max_positions)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "%s: %u new tokens for sequence %u, which has %llu of at most %u "
                           "positions",
                           mv_device_backend, n, sequence, (unsigned long long)e->n_seen[sequence],
                           e->max_positions);
        spans[i] = (mv_span){sequence, e->n_seen[sequence], n, row, true};
        row += n;
    }
    if (row > e->max_batch_tokens)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: %zu tokens in a batch, expected at most %u",
                       mv_device_backend, row, e->max_batch_tokens);
    return check_tokens(e, batch->tokens, row, error);
}

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    if (batch->n_sequences == 0 || batch->n_sequences > e->max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: %u sequences in a batch, expected 1 ... %u",
                       mv_device_backend, batch->n_sequences, e->max_sequences);
    mv_span *all = e->spans + e->max_sequences; /* the second half */
    mv_code code = make_spans(e, batch, all, error);
    if (code == MV_OK)
        code = mv_forward(e, all, batch->n_sequences, batch->tokens, which, logits, error);
    if (code != MV_OK)
        return code;
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        const uint32_t sequence = batch->sequences[i];
        e->n_seen[sequence] += batch->n_tokens[i];
        if (e->n_written[sequence] < e->n_seen[sequence])
            e->n_written[sequence] = e->n_seen[sequence];
    }
    return MV_OK;
}

static mv_code set_tap(mv_engine *e, mv_tap_fn fn, void *cookie, mv_error *error)
{
    const mv_code code = fn != NULL ? mv_memory_take_taps(e, error) : MV_OK;
    if (code == MV_OK) {
        e->tap = fn;
        e->tap_cookie = cookie;
    }
    return code;
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
    char text[128];
    emit(cookie, "device", e->facts->name);
    emit(cookie, "gemm", e->facts->library);
    mv_device_tell_gemm(e->device, text, sizeof text);
    emit(cookie, "gemm_algorithms", text);
    emit(cookie, "graphs", e->chosen.graphs ? "on" : "off");
    emit(cookie, "pdl", e->chosen.pdl ? "on" : "off");
    emit(cookie, "cache_dtype", e->dtype == MV_DTYPE_BF16 ? "bf16" : "f32");
    (void)snprintf(text, sizeof text, "%zu", e->n_slots);
    emit(cookie, "cache_slots", text);
    (void)snprintf(text, sizeof text, "%u", e->piece);
    emit(cookie, "rows_at_a_time", text);
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof(mv_backend),
        .name = mv_device_backend,
        .summary = mv_device_summary,
        .version = "1",
        .probe = mv_device_probe,
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
