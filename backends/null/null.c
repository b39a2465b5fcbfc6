/* null.c - the right shapes and no arithmetic: what the harness itself costs.
 *
 * Every row of logits is 0, but for a 1 in the column (token + position) mod vocab_size. So a row
 * that was routed to the wrong place shows, greedy decoding does not stand still, and every
 * invariance holds bit for bit. It keeps the books as strictly as an engine can: what was not
 * announced is refused, and then nothing has moved.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mistral_backend.h"

struct mv_engine {
    uint32_t vocab_size, max_sequences, max_positions, max_batch_tokens;
    uint32_t *positions;  /* [max_sequences] tokens so far */
    uint64_t *seen_in;    /* [max_sequences] the last call that brought the sequence */
    uint64_t n_calls;     /* numbers the calls, from 1 */
    uint64_t state_bytes; /* of the two arrays */
};

static mv_code null_probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

static void null_caps(mv_caps *caps)
{
    caps->claims = MV_CLAIM_REPEATABLE | MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT |
                   MV_CLAIM_THREAD_INVARIANT;
    caps->computes = 1u << MV_COMPUTE_F32 | 1u << MV_COMPUTE_BF16 | 1u << MV_COMPUTE_F64;
}

static void null_close(mv_engine *engine)
{
    if (engine == NULL)
        return;
    free(engine->positions);
    free(engine->seen_in);
    free(engine);
}

static mv_code null_open(mv_engine **engine, const mv_model_view *model,
                         const mv_engine_options *options, mv_error *error)
{
    if (options->n_options > 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "null: unknown option '%s': it has none",
                       options->options[0].key);
    if ((unsigned)options->compute > MV_COMPUTE_F64)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "null: expected a compute type from 0 to %d, found %u", MV_COMPUTE_F64,
                       (unsigned)options->compute);
    if (options->max_sequences == 0 || options->max_positions == 0 ||
        options->max_batch_tokens == 0 || model->params.vocab_size == 0)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected sequences, positions, batch tokens and a vocabulary of at "
                       "least 1, found %u, %u, %u and %u",
                       options->max_sequences, options->max_positions, options->max_batch_tokens,
                       model->params.vocab_size);
    mv_engine *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "null: no memory for an engine");
    opened->vocab_size = model->params.vocab_size;
    opened->max_sequences = options->max_sequences;
    opened->max_positions = options->max_positions;
    opened->max_batch_tokens = options->max_batch_tokens;
    opened->positions = calloc(options->max_sequences, sizeof *opened->positions);
    opened->seen_in = calloc(options->max_sequences, sizeof *opened->seen_in);
    opened->state_bytes =
        (uint64_t)options->max_sequences * (sizeof *opened->positions + sizeof *opened->seen_in);
    if (opened->positions == NULL || opened->seen_in == NULL) {
        null_close(opened);
        return mv_fail(error, MV_ERR_MEMORY, "null: no memory for %u sequences",
                       options->max_sequences);
    }
    *engine = opened;
    return MV_OK;
}

static mv_code check_sequence(const mv_engine *engine, uint32_t sequence, mv_error *error)
{
    if (sequence >= engine->max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected a sequence below the announced %u, found %u",
                       engine->max_sequences, sequence);
    return MV_OK;
}

static mv_code null_reset(mv_engine *engine, uint32_t sequence, mv_error *error)
{
    mv_code code = check_sequence(engine, sequence, error);
    if (code == MV_OK)
        engine->positions[sequence] = 0;
    return code;
}

static mv_code null_truncate(mv_engine *engine, uint32_t sequence, uint32_t n_positions,
                             mv_error *error)
{
    mv_code code = check_sequence(engine, sequence, error);
    if (code != MV_OK)
        return code;
    if (n_positions > engine->positions[sequence])
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: cannot keep %u positions of sequence %u: it has %u", n_positions,
                       sequence, engine->positions[sequence]);
    engine->positions[sequence] = n_positions;
    return MV_OK;
}

/* One sequence's part of a batch. n_before: tokens of the batch before it. */
static mv_code check_part(mv_engine *engine, uint32_t sequence, uint32_t n_tokens,
                          const int32_t *tokens, uint64_t n_before, mv_error *error)
{
    mv_code code = check_sequence(engine, sequence, error);
    if (code != MV_OK)
        return code;
    if (engine->seen_in[sequence] == engine->n_calls)
        return mv_fail(error, MV_ERR_ARGUMENT, "null: sequence %u is in the batch twice", sequence);
    engine->seen_in[sequence] = engine->n_calls;
    if (n_tokens == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "null: sequence %u is in the batch with 0 tokens",
                       sequence);
    if (n_before + n_tokens > engine->max_batch_tokens)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected at most the announced %u tokens in a batch, found %llu "
                       "up to sequence %u",
                       engine->max_batch_tokens, (unsigned long long)(n_before + n_tokens),
                       sequence);
    if (n_tokens > engine->max_positions - engine->positions[sequence])
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected sequence %u to stay within the announced %u positions, "
                       "found %u and %u new ones",
                       sequence, engine->max_positions, engine->positions[sequence], n_tokens);
    for (uint32_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= engine->vocab_size)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "null: expected token ids from 0 to %u, found %d at position %u of "
                           "sequence %u",
                           engine->vocab_size - 1, tokens[i], engine->positions[sequence] + i,
                           sequence);
    return MV_OK;
}

static mv_code check_batch(mv_engine *engine, const mv_batch *batch, mv_logits which,
                           const float *logits, mv_error *error)
{
    uint64_t n_before = 0;
    if ((unsigned)which > MV_LOGITS_NONE || (which != MV_LOGITS_NONE && logits == NULL))
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected all, last or none of the logits and a place for them, found "
                       "%u and %s",
                       (unsigned)which, logits != NULL ? "a place" : "NULL");
    if (batch->n_sequences == 0 || batch->n_sequences > engine->max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "null: expected 1 to %u sequences in a batch, as announced, found %u",
                       engine->max_sequences, batch->n_sequences);
    engine->n_calls++;
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        mv_code code = check_part(engine, batch->sequences[s], batch->n_tokens[s],
                                  batch->tokens + n_before, n_before, error);
        if (code != MV_OK)
            return code;
        n_before += batch->n_tokens[s];
    }
    return MV_OK;
}

static mv_code null_forward(mv_engine *engine, const mv_batch *batch, mv_logits which,
                            float *logits, mv_error *error)
{
    mv_code code = check_batch(engine, batch, which, logits, error);
    if (code != MV_OK)
        return code;
    const int32_t *tokens = batch->tokens;
    float *row = logits;
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        uint32_t *position = &engine->positions[batch->sequences[s]];
        uint32_t n_tokens = batch->n_tokens[s];
        for (uint32_t i = 0; i < n_tokens; i++) {
            if (which == MV_LOGITS_ALL || (which == MV_LOGITS_LAST && i == n_tokens - 1)) {
                memset(row, 0, engine->vocab_size * sizeof *row); /* all bits 0 is 0.0f */
                row[((uint64_t)(uint32_t)tokens[i] + *position + i) % engine->vocab_size] = 1;
                row += engine->vocab_size;
            }
        }
        *position += n_tokens;
        tokens += n_tokens;
    }
    return MV_OK;
}

static void null_memory(const mv_engine *engine, mv_memory *memory)
{
    memory->weights_bytes = 0;
    memory->kv_cache_bytes = 0;
    memory->scratch_bytes = sizeof *engine + engine->state_bytes;
}

/* It does no work at all, and can say so exactly. */
static void null_work(mv_engine *engine, mv_work *work, int clear)
{
    (void)engine;
    (void)clear;
    size_t struct_size = work->struct_size;
    memset(work, 0, struct_size);
    work->struct_size = struct_size;
}

static void null_describe(const mv_engine *engine,
                          void (*emit)(void *cookie, const char *key, const char *value),
                          void *cookie)
{
    (void)engine;
    emit(cookie, "arithmetic", "none");
    emit(cookie, "threads", "1");
}

static const mv_backend null_table = {
    .abi_major = MV_BACKEND_ABI_MAJOR,
    .abi_minor = MV_BACKEND_ABI_MINOR,
    .struct_size = sizeof(mv_backend),
    .name = "null",
    .summary = "right shapes, no arithmetic: measures the harness",
    .version = "1.0",
    .probe = null_probe,
    .caps = null_caps,
    .open = null_open,
    .close = null_close,
    .reset = null_reset,
    .forward = null_forward,
    .truncate = null_truncate,
    .memory = null_memory,
    .work = null_work,
    .describe = null_describe,
};

const mv_backend *mv_backend_get(void)
{
    return &null_table;
}
