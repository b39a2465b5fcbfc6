/* template.c - a backend to copy: every hook in place, and one place for your arithmetic.
 *
 * As it stands it computes a Mistral without layers, logits = output . RMSNorm(embedding): honest,
 * slow, and wrong as soon as the model has a layer. It runs; the suites then say what is missing.
 */
#include <math.h>
#include <mistral_backend.h>
#include <stdlib.h>

struct mv_engine {
    const mv_model_view *model; /* borrowed until close() */
    uint32_t max_sequences, max_positions, max_batch_tokens;
    uint32_t *positions; /* [max_sequences] tokens that each sequence has so far */
    float *hidden;       /* [max_batch_tokens, dim] */
    mv_tap_fn tap;
    void *tap_cookie;
};

/* One element as float. More dtypes: more cases here, and in open(). */
static float load(const mv_tensor *tensor, size_t i)
{
    if (tensor->dtype == MV_DTYPE_F32)
        return ((const float *)tensor->data)[i];
    union {
        uint32_t bits;
        float value;
    } word = {(uint32_t)((const uint16_t *)tensor->data)[i] << 16}; /* bf16: the upper half */
    return word.value;
}

/* Shows [n_rows, n_cols] floats under one of the names in mistral_backend.h. */
static void show(const mv_engine *engine, const char *name, int32_t layer, uint32_t sequence,
                 uint64_t first_position, uint64_t n_rows, uint64_t n_cols, float *data)
{
    mv_tap tap = {sizeof tap, name,   layer,      sequence, first_position,
                  n_rows,     n_cols, MV_TAP_F32, data};
    if (engine->tap != NULL)
        (void)engine->tap(engine->tap_cookie, &tap); /* a replacement was written into data */
}

/* ======== Your arithmetic goes here. ========
 * x: [n, dim], to be filled with the normalised output of the last layer for n new tokens of one
 * sequence, of which the first is at position first. Read and extend that sequence's cache; a query
 * at position i sees the keys i - sliding_window + 1 ... i (all of them if sliding_window is 0). */
static void compute_rows(mv_engine *engine, uint32_t sequence, uint32_t first,
                         const int32_t *tokens, uint32_t n, float *x)
{
    const mv_model_view *model = engine->model;
    const size_t dim = model->params.dim;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++)
            x[i * dim + j] = load(&model->tok_embeddings, (size_t)tokens[i] * dim + j);
    show(engine, "embedding", -1, sequence, first, n, dim, x);
    /* for (uint32_t l = 0; l < model->params.n_layers; l++) { ... mv_layer_at(model, l) ... } */

    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < dim; j++)
            sum += (double)x[i * dim + j] * (double)x[i * dim + j];
        float scale = (float)(1 / sqrt(sum / (double)dim + model->params.norm_eps));
        for (size_t j = 0; j < dim; j++)
            x[i * dim + j] = x[i * dim + j] * scale * load(&model->norm, j);
    }
    show(engine, "norm", -1, sequence, first, n, dim, x);
}

/* logits [n, vocab_size] = x [n, dim] . output [vocab_size, dim] transposed */
static void compute_logits(const mv_engine *engine, const float *x, size_t n, float *logits)
{
    const size_t dim = engine->model->params.dim, vocab_size = engine->model->params.vocab_size;
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < vocab_size; v++) {
            float sum = 0;
            for (size_t j = 0; j < dim; j++)
                sum += x[i * dim + j] * load(&engine->model->output, v * dim + j);
            logits[i * vocab_size + v] = sum;
        }
}

/* Required. No GPU, no server: mv_fail(error, MV_ERR_UNAVAILABLE, "why"), and it is a skip. */
static mv_code template_probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

/* Required. Add a claim when you have tested it. */
static void template_caps(mv_caps *caps)
{
    caps->claims = 0;
    caps->computes = 1u << MV_COMPUTE_F32;
}

/* Required. NULL is fine, and so is a half-opened engine. */
static void template_close(mv_engine *engine)
{
    if (engine != NULL) {
        free(engine->positions);
        free(engine->hidden);
    }
    free(engine);
}

/* Required. Everything is allocated here; forward() allocates nothing. Copy what you need from the
 * options: they are gone after open(). Set *engine only on success. */
static mv_code template_open(mv_engine **engine, const mv_model_view *model,
                             const mv_engine_options *options, mv_error *error)
{
    if (options->n_options > 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "template: unknown option '%s': it has none",
                       options->options[0].key);
    if (options->compute != MV_COMPUTE_F32 || model->tok_embeddings.dtype == MV_DTYPE_F16 ||
        model->norm.dtype == MV_DTYPE_F16 || model->output.dtype == MV_DTYPE_F16)
        return mv_fail(error, MV_ERR_UNSUPPORTED, "template: computes in f32, from f32 or bf16");
    mv_engine *opened = calloc(1, sizeof *opened);
    if (opened != NULL) {
        opened->model = model;
        opened->max_sequences = options->max_sequences;
        opened->max_positions = options->max_positions;
        opened->max_batch_tokens = options->max_batch_tokens;
        opened->positions = calloc(options->max_sequences, sizeof *opened->positions);
        opened->hidden = calloc(options->max_batch_tokens, model->params.dim * sizeof(float));
    }
    if (opened == NULL || opened->positions == NULL || opened->hidden == NULL) {
        template_close(opened);
        return mv_fail(error, MV_ERR_MEMORY, "template: no memory for its hidden rows");
    }
    *engine = opened;
    return MV_OK;
}

/* Required. */
static mv_code template_reset(mv_engine *engine, uint32_t sequence, mv_error *error)
{
    if (sequence >= engine->max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT, "template: no sequence %u", sequence);
    engine->positions[sequence] = 0;
    return MV_OK;
}

/* Required. A batch is ragged: sequences[s] brings n_tokens[s] tokens, one after the other in
 * tokens. So three things move at their own pace: tokens, rows of logits, and positions. */
static mv_code template_forward(mv_engine *engine, const mv_batch *batch, mv_logits which,
                                float *logits, mv_error *error)
{
    const size_t dim = engine->model->params.dim, vocab_size = engine->model->params.vocab_size;
    const int32_t *tokens = batch->tokens;
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        const uint32_t sequence = batch->sequences[s], n = batch->n_tokens[s];
        if (n == 0 || n > engine->max_batch_tokens || sequence >= engine->max_sequences ||
            n > engine->max_positions - engine->positions[sequence])
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "template: sequence %u brings %u tokens: not as announced", sequence, n);
        const uint32_t first = engine->positions[sequence];
        for (uint32_t i = 0; i < n; i++)
            if ((uint32_t)tokens[i] >= vocab_size) /* negative ones, too */
                return mv_fail(error, MV_ERR_ARGUMENT, "template: no token has id %d", tokens[i]);
        compute_rows(engine, sequence, first, tokens, n, engine->hidden);
        engine->positions[sequence] += n;
        tokens += n;
        const size_t n_rows = which == MV_LOGITS_ALL ? n : which == MV_LOGITS_LAST ? 1 : 0;
        if (n_rows == 0)
            continue; /* logits may be NULL */
        compute_logits(engine, engine->hidden + (n - n_rows) * dim, n_rows, logits);
        show(engine, "logits", -1, sequence, first + n - n_rows, n_rows, vocab_size, logits);
        logits += n_rows * vocab_size;
    }
    return MV_OK;
}

/* Optional; leave it out and --localize cannot look inside. */
static mv_code template_set_tap(mv_engine *engine, mv_tap_fn fn, void *cookie, mv_error *error)
{
    (void)error;
    engine->tap = fn;
    engine->tap_cookie = cookie;
    return MV_OK;
}

const mv_backend *mv_backend_get(void)
{
    static const mv_backend table = {
        .abi_major = MV_BACKEND_ABI_MAJOR,
        .abi_minor = MV_BACKEND_ABI_MINOR,
        .struct_size = sizeof table,
        .name = "template",
        .summary = "to copy: a Mistral without layers",
        .version = "1.0",
        .probe = template_probe,
        .caps = template_caps,
        .open = template_open,
        .close = template_close,
        .reset = template_reset,
        .forward = template_forward,
        .set_tap = template_set_tap,
        /* Optional and left out: truncate, memory, work, describe, self_test. */
    };
    return &table;
}
