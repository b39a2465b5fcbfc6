/* old_1_0.c - a backend as ABI 1.0 laid it out, pinned for ever.
 *
 * It does not include mistral_backend.h: it declares what a binary that was built with 1.0 knows.
 * tests/test_abi.c fills every field through today's header; this file reads them through the
 * old layout, and open() and forward() say which one is not where it was. If a change of the header
 * makes this fail, the change breaks every backend that exists: append instead, or raise the major.
 * Never edit the layout below.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct old_error {
    int code;
    char message[508];
} old_error;

typedef struct old_tensor {
    const char *name;
    const void *data;
    uint64_t shape[2];
    uint64_t size_bytes;
    uint32_t n_dims;
    int dtype;
} old_tensor;

typedef struct old_params {
    uint32_t dim, n_layers, head_dim, hidden_dim, n_heads, n_kv_heads, vocab_size, sliding_window;
    double norm_eps, rope_theta;
} old_params;

typedef struct old_layer {
    old_tensor attention_norm, wq, wk, wv, wo, ffn_norm, w1, w2, w3;
} old_layer;

typedef struct old_model_view {
    size_t struct_size, layer_size;
    old_params params;
    old_tensor tok_embeddings, norm, output;
    const old_layer *layers;
} old_model_view;

typedef struct old_option {
    const char *key, *value;
} old_option;

typedef struct old_engine_options {
    size_t struct_size;
    int compute;
    uint32_t n_threads, max_sequences, max_positions, max_batch_tokens;
    const old_option *options;
    size_t n_options;
    void (*log)(void *cookie, int level, const char *text);
    void *log_cookie;
} old_engine_options;

typedef struct old_batch {
    size_t struct_size;
    uint32_t n_sequences;
    const uint32_t *sequences, *n_tokens;
    const int32_t *tokens;
} old_batch;

typedef struct old_caps {
    size_t struct_size;
    uint32_t claims, computes;
} old_caps;

typedef struct old_memory {
    size_t struct_size;
    uint64_t weights_bytes, kv_cache_bytes, scratch_bytes;
} old_memory;

typedef struct old_work {
    size_t struct_size;
    uint64_t linear_multiply_adds, output_multiply_adds, attention_multiply_adds, attention_pairs;
    uint64_t weight_bytes, kv_cache_bytes, calls, allocations;
} old_work;

typedef struct old_tap {
    size_t struct_size;
    const char *name;
    int32_t layer;
    uint32_t sequence;
    uint64_t first_position, n_rows, n_cols;
    int dtype;
    void *data;
} old_tap;

typedef int (*old_tap_fn)(void *cookie, const old_tap *tap);

typedef struct old_engine {
    old_tap_fn tap;
    void *tap_cookie;
} old_engine;

typedef struct old_backend {
    uint32_t abi_major, abi_minor;
    size_t struct_size;
    const char *name, *summary, *version;
    int (*probe)(old_error *error);
    void (*caps)(old_caps *caps);
    int (*open)(old_engine **engine, const old_model_view *model, const old_engine_options *options,
                old_error *error);
    void (*close)(old_engine *engine);
    int (*reset)(old_engine *engine, uint32_t sequence, old_error *error);
    int (*forward)(old_engine *engine, const old_batch *batch, int which, float *logits,
                   old_error *error);
    int (*truncate)(old_engine *engine, uint32_t sequence, uint32_t n_positions, old_error *error);
    int (*set_tap)(old_engine *engine, old_tap_fn fn, void *cookie, old_error *error);
    void (*memory)(const old_engine *engine, old_memory *memory);
    void (*work)(old_engine *engine, old_work *work, int clear);
    void (*describe)(const old_engine *engine,
                     void (*emit)(void *cookie, const char *key, const char *value), void *cookie);
    int (*self_test)(old_error *error);
} old_backend;

/* The binaries in the wild are for machines with 8-byte pointers. */
#if __SIZEOF_POINTER__ == 8
#define AT(type, field, offset)                                                                    \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")
AT(old_error, message, 4);
SIZE(old_error, 512);
AT(old_tensor, data, 8);
AT(old_tensor, shape, 16);
AT(old_tensor, size_bytes, 32);
AT(old_tensor, n_dims, 40);
AT(old_tensor, dtype, 44);
SIZE(old_tensor, 48);
AT(old_params, n_layers, 4);
AT(old_params, head_dim, 8);
AT(old_params, hidden_dim, 12);
AT(old_params, n_heads, 16);
AT(old_params, n_kv_heads, 20);
AT(old_params, vocab_size, 24);
AT(old_params, sliding_window, 28);
AT(old_params, norm_eps, 32);
AT(old_params, rope_theta, 40);
SIZE(old_params, 48);
AT(old_layer, wq, 48);
AT(old_layer, wk, 96);
AT(old_layer, wv, 144);
AT(old_layer, wo, 192);
AT(old_layer, ffn_norm, 240);
AT(old_layer, w1, 288);
AT(old_layer, w2, 336);
AT(old_layer, w3, 384);
SIZE(old_layer, 432);
AT(old_model_view, layer_size, 8);
AT(old_model_view, params, 16);
AT(old_model_view, tok_embeddings, 64);
AT(old_model_view, norm, 112);
AT(old_model_view, output, 160);
AT(old_model_view, layers, 208);
SIZE(old_model_view, 216);
AT(old_option, value, 8);
SIZE(old_option, 16);
AT(old_engine_options, compute, 8);
AT(old_engine_options, n_threads, 12);
AT(old_engine_options, max_sequences, 16);
AT(old_engine_options, max_positions, 20);
AT(old_engine_options, max_batch_tokens, 24);
AT(old_engine_options, options, 32);
AT(old_engine_options, n_options, 40);
AT(old_engine_options, log, 48);
AT(old_engine_options, log_cookie, 56);
SIZE(old_engine_options, 64);
AT(old_batch, n_sequences, 8);
AT(old_batch, sequences, 16);
AT(old_batch, n_tokens, 24);
AT(old_batch, tokens, 32);
SIZE(old_batch, 40);
AT(old_caps, claims, 8);
AT(old_caps, computes, 12);
SIZE(old_caps, 16);
AT(old_memory, weights_bytes, 8);
AT(old_memory, kv_cache_bytes, 16);
AT(old_memory, scratch_bytes, 24);
SIZE(old_memory, 32);
AT(old_work, linear_multiply_adds, 8);
AT(old_work, output_multiply_adds, 16);
AT(old_work, attention_multiply_adds, 24);
AT(old_work, attention_pairs, 32);
AT(old_work, weight_bytes, 40);
AT(old_work, kv_cache_bytes, 48);
AT(old_work, calls, 56);
AT(old_work, allocations, 64);
SIZE(old_work, 72);
AT(old_tap, name, 8);
AT(old_tap, layer, 16);
AT(old_tap, sequence, 20);
AT(old_tap, first_position, 24);
AT(old_tap, n_rows, 32);
AT(old_tap, n_cols, 40);
AT(old_tap, dtype, 48);
AT(old_tap, data, 56);
SIZE(old_tap, 64);
AT(old_backend, abi_minor, 4);
AT(old_backend, struct_size, 8);
AT(old_backend, name, 16);
AT(old_backend, summary, 24);
AT(old_backend, version, 32);
AT(old_backend, probe, 40);
AT(old_backend, caps, 48);
AT(old_backend, open, 56);
AT(old_backend, close, 64);
AT(old_backend, reset, 72);
AT(old_backend, forward, 80);
AT(old_backend, truncate, 88);
AT(old_backend, set_tap, 96);
AT(old_backend, memory, 104);
AT(old_backend, work, 112);
AT(old_backend, describe, 120);
AT(old_backend, self_test, 128);
SIZE(old_backend, 136);
#endif

/* The values of enum mv_code that it returns. */
enum { OLD_OK = 0, OLD_ERR_MEMORY = 2, OLD_ERR_FORMAT = 4, OLD_ERR_BACKEND = 7 };

static int old_probe(old_error *error)
{
    (void)error;
    return OLD_OK;
}

static void old_fill_caps(old_caps *caps)
{
    caps->claims = 1 << 0 | 1 << 3;   /* repeatable, thread invariant */
    caps->computes = 1 << 0 | 1 << 2; /* f32, f64 */
}

static int differs(old_error *error, const char *what, double expected, double found)
{
    if (expected == found)
        return 0;
    error->code = OLD_ERR_FORMAT;
    (void)snprintf(error->message, sizeof error->message,
                   "%s is not where 1.0 had it: expected %g, found %g", what, expected, found);
    return 1;
}

/* Tensor number i: the test puts i into every field. */
static int tensor_differs(old_error *error, const char *what, const old_tensor *tensor, int i)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s (name %s)", what, tensor->name);
    return differs(error, name, i, atoi(tensor->name)) ||
           differs(error, name, i, *(const float *)tensor->data) ||
           differs(error, name, 100 + i, (double)tensor->shape[0]) ||
           differs(error, name, 200 + i, (double)tensor->shape[1]) ||
           differs(error, name, 300 + i, (double)tensor->size_bytes) ||
           differs(error, name, 400 + i, tensor->n_dims) ||
           differs(error, name, i % 3, tensor->dtype);
}

static int params_differ(old_error *error, const old_params *params)
{
    return differs(error, "dim", 11, params->dim) ||
           differs(error, "n_layers", 2, params->n_layers) ||
           differs(error, "head_dim", 13, params->head_dim) ||
           differs(error, "hidden_dim", 14, params->hidden_dim) ||
           differs(error, "n_heads", 15, params->n_heads) ||
           differs(error, "n_kv_heads", 16, params->n_kv_heads) ||
           differs(error, "vocab_size", 17, params->vocab_size) ||
           differs(error, "sliding_window", 18, params->sliding_window) ||
           differs(error, "norm_eps", 0.25, params->norm_eps) ||
           differs(error, "rope_theta", 1e6, params->rope_theta);
}

static int layers_differ(old_error *error, const old_model_view *model)
{
    for (size_t l = 0; l < 2; l++) {
        const old_layer *layer =
            (const old_layer *)(const void *)((const char *)model->layers + l * model->layer_size);
        const old_tensor *tensors = &layer->attention_norm;
        for (int i = 0; i < 9; i++)
            if (tensor_differs(error, "a layer's tensor", &tensors[i], 10 * (int)l + i + 10))
                return 1;
    }
    return 0;
}

static int options_differ(old_error *error, const old_engine_options *options)
{
    return differs(error, "options.struct_size", 1, options->struct_size >= 64) ||
           differs(error, "compute", 2, options->compute) ||
           differs(error, "n_threads", 21, options->n_threads) ||
           differs(error, "max_sequences", 22, options->max_sequences) ||
           differs(error, "max_positions", 23, options->max_positions) ||
           differs(error, "max_batch_tokens", 24, options->max_batch_tokens) ||
           differs(error, "n_options", 1, (double)options->n_options) ||
           differs(error, "options[0].key", 'k', options->options[0].key[0]) ||
           differs(error, "options[0].value", 'v', options->options[0].value[0]);
}

static int old_open(old_engine **engine, const old_model_view *model,
                    const old_engine_options *options, old_error *error)
{
    if (differs(error, "model.struct_size", 1, model->struct_size >= 216) ||
        params_differ(error, &model->params) ||
        tensor_differs(error, "tok_embeddings", &model->tok_embeddings, 1) ||
        tensor_differs(error, "norm", &model->norm, 2) ||
        tensor_differs(error, "output", &model->output, 3) || layers_differ(error, model) ||
        options_differ(error, options))
        return OLD_ERR_FORMAT;
    options->log(options->log_cookie, 2, "opened");
    *engine = calloc(1, sizeof **engine);
    return *engine != NULL ? OLD_OK : OLD_ERR_MEMORY;
}

static void old_close(old_engine *engine)
{
    free(engine);
}

static int old_reset(old_engine *engine, uint32_t sequence, old_error *error)
{
    (void)engine;
    return differs(error, "reset's sequence", 31, sequence) ? OLD_ERR_FORMAT : OLD_OK;
}

static int old_forward(old_engine *engine, const old_batch *batch, int which, float *logits,
                       old_error *error)
{
    if (differs(error, "batch.struct_size", 1, batch->struct_size >= 40) ||
        differs(error, "n_sequences", 1, batch->n_sequences) ||
        differs(error, "sequences[0]", 41, batch->sequences[0]) ||
        differs(error, "n_tokens[0]", 2, batch->n_tokens[0]) ||
        differs(error, "tokens[1]", 43, batch->tokens[1]) ||
        differs(error, "MV_LOGITS_LAST", 1, which))
        return OLD_ERR_FORMAT;
    for (int i = 0; i < 17; i++)
        logits[i] = (float)i;
    if (engine->tap != NULL) {
        old_tap tap = {sizeof tap, "logits", -1, 41, 51, 1, 17, 0, logits};
        if (differs(error, "MV_TAP_REPLACED", 1, engine->tap(engine->tap_cookie, &tap)))
            return OLD_ERR_FORMAT;
    }
    return OLD_OK;
}

static int old_set_tap(old_engine *engine, old_tap_fn fn, void *cookie, old_error *error)
{
    (void)error;
    engine->tap = fn;
    engine->tap_cookie = cookie;
    return OLD_OK;
}

static void old_fill_memory(const old_engine *engine, old_memory *memory)
{
    (void)engine;
    memory->weights_bytes = 61;
    memory->kv_cache_bytes = 62;
    memory->scratch_bytes = 63;
}

static void old_fill_work(old_engine *engine, old_work *work, int clear)
{
    (void)engine;
    (void)clear;
    uint64_t *fields = &work->linear_multiply_adds;
    for (unsigned i = 0; i < 8; i++)
        fields[i] = 71 + i;
}

static int old_self_test(old_error *error)
{
    error->code = OLD_ERR_BACKEND;
    (void)snprintf(error->message, sizeof error->message, "self test was called");
    return OLD_ERR_BACKEND;
}

static const old_backend old_table = {
    .abi_major = 1,
    .struct_size = sizeof(old_backend),
    .name = "old_1_0",
    .summary = "ABI 1.0, pinned",
    .version = "1.0",
    .probe = old_probe,
    .caps = old_fill_caps,
    .open = old_open,
    .close = old_close,
    .reset = old_reset,
    .forward = old_forward,
    .set_tap = old_set_tap,
    .memory = old_fill_memory,
    .work = old_fill_work,
    .self_test = old_self_test,
};

__attribute__((visibility("default"))) const old_backend *mv_backend_get(void);
const old_backend *mv_backend_get(void)
{
    return &old_table;
}
