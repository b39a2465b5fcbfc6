/* synthetic.c - weights from a hash.
 *
 * One allocation holds every tensor. Values are uniform, not normal: one integer hash, one float
 * multiplication and one rounding to bfloat16, so that a GPU or another language gets the same
 * bits. The spread of each tensor is chosen so that a unit-variance input gives an output of the
 * variance named in `tensor_spread` below.
 */
#include "harness/synthetic.h"

#include <stdlib.h>
#include <string.h>

#include "harness/machine.h"
#include "harness/nearest.h"
#include "harness/parallel.h"
#include "harness/params.h"
#include "harness/range.h"

#define PREFIX "synthetic:"
#define GOLDEN 0x9e3779b97f4a7c15u /* 2^64 / phi */
#define ALIGNMENT 64
#define MAX_NAME 48

struct mv_synthetic {
    mv_model_view view;
    mv_layer *layers;        /* [n_layers] */
    char (*names)[MAX_NAME]; /* [9 * n_layers] of the layers' tensors */
    char *data;
    uint64_t size_bytes, seed;
};

typedef struct preset {
    const char *name;
    mv_params params;
} preset;

/* probe: every size differs from every other, so that a swapped one shows; hidden_dim, vocab_size
 * and n_heads * head_dim are no multiples of a tile or of dim; 4 query heads share a key head. */
static const preset presets[] = {
    {"probe",
     {.dim = 64,
      .n_layers = 4,
      .head_dim = 16,
      .hidden_dim = 172,
      .n_heads = 8,
      .n_kv_heads = 2,
      .vocab_size = 509,
      .sliding_window = 8,
      .norm_eps = 1e-5,
      .rope_theta = 1e4}},
    {"7b",
     {.dim = 4096,
      .n_layers = 32,
      .head_dim = 128,
      .hidden_dim = 14336,
      .n_heads = 32,
      .n_kv_heads = 8,
      .vocab_size = 32000,
      .sliding_window = 4096,
      .norm_eps = 1e-5,
      .rope_theta = 1e4}},
};
#define N_PRESETS (sizeof presets / sizeof presets[0])

bool mv_synthetic_is_spec(const char *spec)
{
    return strncmp(spec, PREFIX, strlen(PREFIX)) == 0;
}

/* ---- the generator ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t stream_key(uint64_t seed, uint64_t stream)
{
    return mix(seed * GOLDEN + stream);
}

uint64_t mv_synthetic_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    return mix(stream_key(seed, stream) + (index + 1) * GOLDEN);
}

/* FNV-1a, 64 bits: the stream of a tensor is its name. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

void mv_synthetic_tokens(int32_t *tokens, size_t n, uint32_t vocab_size, uint64_t seed)
{
    const uint64_t stream = hash_name("tokens");
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((mv_synthetic_bits(seed, stream, i) >> 32) * vocab_size >> 32);
}

static uint16_t bf16_from_float(float value) /* finite; to nearest, ties to even */
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* ---- filling ---- */

/* Element [row, column] is offset + spread * row_gain(row) * u, u uniform in [-1, 1). */
typedef struct recipe {
    uint16_t *out;
    uint64_t key, n_columns;
    float offset, spread;
    uint64_t rows_a_head, n_heads; /* 0: no gain by head */
    float first_gain, last_gain;   /* of head 0 and head n_heads - 1 */
} recipe;

static float row_gain(const recipe *r, uint64_t row)
{
    if (r->rows_a_head == 0 || r->n_heads < 2)
        return 1.0f;
    float at = (float)(row / r->rows_a_head) / (float)(r->n_heads - 1);
    return r->first_gain + (r->last_gain - r->first_gain) * at;
}

static void fill_rows(void *cookie, uint64_t from, uint64_t to)
{
    const recipe *r = cookie;
    for (uint64_t row = from; row < to; row++) {
        float scale = r->spread * row_gain(r, row) * 0x1p-23f;
        uint64_t index = row * r->n_columns;
        for (uint64_t end = index + r->n_columns; index < end; index++) {
            uint64_t bits = mix(r->key + (index + 1) * GOLDEN);
            int32_t u = (int32_t)(bits >> 40) - (1 << 23); /* 24 bits: exact as a float */
            r->out[index] = bf16_from_float(r->offset + (float)u * scale);
        }
    }
}

/* Uniform in [-spread, spread) has standard deviation spread / sqrt(3). */
#define SQRT3 1.7320508f

static float tensor_spread(float deviation, uint64_t n_in)
{
    float root = 1.0f; /* square root by Newton: the same bits everywhere, no libm */
    for (int i = 0; i < 40; i++)
        root = 0.5f * (root + (float)n_in / root);
    return deviation * SQRT3 / root;
}

/* ---- the model ---- */

/* Places one tensor in the arena, or just counts it when data is not there yet. */
static void place(mv_synthetic *s, mv_tensor *tensor, uint64_t *at, uint64_t n_out, uint64_t n_in,
                  uint32_t n_dims)
{
    tensor->shape[0] = n_out;
    tensor->shape[1] = n_in;
    tensor->n_dims = n_dims;
    tensor->dtype = MV_DTYPE_BF16;
    tensor->size_bytes = n_out * n_in * 2;
    tensor->data = s->data != NULL ? s->data + *at : NULL;
    *at += (tensor->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t place_all(mv_synthetic *s)
{
    const mv_params *p = &s->view.params;
    const uint64_t q = (uint64_t)p->n_heads * p->head_dim,
                   kv = (uint64_t)p->n_kv_heads * p->head_dim;
    uint64_t at = 0;
    place(s, &s->view.tok_embeddings, &at, p->vocab_size, p->dim, 2);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        mv_layer *layer = &s->layers[l];
        place(s, &layer->attention_norm, &at, p->dim, 1, 1);
        place(s, &layer->wq, &at, q, p->dim, 2);
        place(s, &layer->wk, &at, kv, p->dim, 2);
        place(s, &layer->wv, &at, kv, p->dim, 2);
        place(s, &layer->wo, &at, p->dim, q, 2);
        place(s, &layer->ffn_norm, &at, p->dim, 1, 1);
        place(s, &layer->w1, &at, p->hidden_dim, p->dim, 2);
        place(s, &layer->w2, &at, p->dim, p->hidden_dim, 2);
        place(s, &layer->w3, &at, p->hidden_dim, p->dim, 2);
    }
    place(s, &s->view.norm, &at, p->dim, 1, 1);
    place(s, &s->view.output, &at, p->vocab_size, p->dim, 2);
    return at;
}

static void name_all(mv_synthetic *s)
{
    static const char *const parts[] = {
        "attention_norm.weight",  "attention.wq.weight",    "attention.wk.weight",
        "attention.wv.weight",    "attention.wo.weight",    "ffn_norm.weight",
        "feed_forward.w1.weight", "feed_forward.w2.weight", "feed_forward.w3.weight"};
    s->view.tok_embeddings.name = "tok_embeddings.weight";
    s->view.norm.name = "norm.weight";
    s->view.output.name = "output.weight";
    for (uint32_t l = 0; l < s->view.params.n_layers; l++) {
        mv_tensor *tensors[] = {&s->layers[l].attention_norm,
                                &s->layers[l].wq,
                                &s->layers[l].wk,
                                &s->layers[l].wv,
                                &s->layers[l].wo,
                                &s->layers[l].ffn_norm,
                                &s->layers[l].w1,
                                &s->layers[l].w2,
                                &s->layers[l].w3};
        for (size_t i = 0; i < 9; i++) {
            char *name = s->names[l * 9 + i];
            (void)snprintf(name, MAX_NAME, "layers.%u.%s", l, parts[i]);
            tensors[i]->name = name;
        }
    }
}

static void fill_tensor(const mv_synthetic *s, const mv_tensor *tensor, recipe r)
{
    r.out = (uint16_t *)(void *)(s->data + ((const char *)tensor->data - s->data));
    r.key = stream_key(s->seed, hash_name(tensor->name));
    r.n_columns = tensor->shape[1];
    mv_parallel(tensor->shape[0], r.n_columns, fill_rows, &r);
}

static void fill_norm(const mv_synthetic *s, const mv_tensor *tensor)
{
    fill_tensor(s, tensor, (recipe){.offset = 1.0f, .spread = 0.5f});
}

/* The output of tensor has about this standard deviation for an input of standard deviation 1. */
static void fill_matrix(const mv_synthetic *s, const mv_tensor *tensor, float deviation)
{
    fill_tensor(s, tensor, (recipe){.spread = tensor_spread(deviation, tensor->shape[1])});
}

static void fill_heads(const mv_synthetic *s, const mv_tensor *tensor, float deviation,
                       uint32_t n_heads, float first_gain, float last_gain)
{
    fill_tensor(s, tensor,
                (recipe){.spread = tensor_spread(deviation, tensor->shape[1]),
                         .rows_a_head = s->view.params.head_dim,
                         .n_heads = n_heads,
                         .first_gain = first_gain,
                         .last_gain = last_gain});
}

/* Scores have a standard deviation of about 1.6 * 1.6 = 2.6: peaked attention, in which a key more
 * or less, or turned a little further, shows. No two heads are alike. What a layer adds is of the
 * size of what it is added to, shrinking with depth so that deep models stay finite. */
static void fill_all(const mv_synthetic *s)
{
    const mv_params *p = &s->view.params;
    const float added = p->n_layers > 4 ? 2.0f / (float)p->n_layers : 0.5f;
    fill_tensor(s, &s->view.tok_embeddings, (recipe){.spread = SQRT3});
    for (uint32_t l = 0; l < p->n_layers; l++) {
        const mv_layer *layer = &s->layers[l];
        fill_norm(s, &layer->attention_norm);
        fill_heads(s, &layer->wq, 1.6f, p->n_heads, 0.7f, 1.3f);
        fill_heads(s, &layer->wk, 1.6f, p->n_kv_heads, 1.2f, 0.8f);
        fill_heads(s, &layer->wv, 1.0f, p->n_kv_heads, 0.6f, 1.4f);
        fill_matrix(s, &layer->wo, 2.0f * added);
        fill_norm(s, &layer->ffn_norm);
        fill_matrix(s, &layer->w1, 1.5f);
        fill_matrix(s, &layer->w2, 2.0f * added);
        fill_matrix(s, &layer->w3, 1.0f);
    }
    fill_norm(s, &s->view.norm);
    fill_matrix(s, &s->view.output, 2.0f);
}

/* ---- the spec ---- */

static mv_code read_spec(mv_synthetic *s, const char *spec, mv_error *error)
{
    const char *name = spec + strlen(PREFIX), *names[N_PRESETS];
    const size_t name_size = strcspn(name, ",");
    const preset *found = NULL;
    for (size_t i = 0; i < N_PRESETS; i++) {
        names[i] = presets[i].name;
        if (strlen(presets[i].name) == name_size && strncmp(presets[i].name, name, name_size) == 0)
            found = &presets[i];
    }
    if (found == NULL) {
        char word[64];
        (void)snprintf(word, sizeof word, "%.*s", (int)name_size, name);
        const char *near = mv_nearest(word, names, N_PRESETS);
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "model %s: no synthetic model '%s'; there are: probe, 7b%s%s%s", spec, word,
                       near != NULL ? " (did you mean " : "", near != NULL ? near : "",
                       near != NULL ? "?)" : "");
    }
    s->view.params = found->params;
    for (const char *at = name + name_size; *at == ',';) {
        char key[64], value[64];
        const char *item = at + 1;
        const size_t item_size = strcspn(item, ","), key_size = strcspn(item, "=,");
        if (key_size == item_size || key_size == 0 || key_size >= sizeof key ||
            item_size - key_size > sizeof value)
            return mv_fail(error, MV_ERR_ARGUMENT, "model %s: expected key=value, found '%.*s'",
                           spec, (int)item_size, item);
        (void)snprintf(key, sizeof key, "%.*s", (int)key_size, item);
        (void)snprintf(value, sizeof value, "%.*s", (int)(item_size - key_size - 1),
                       item + key_size + 1);
        at = item + item_size;
        if (strcmp(key, "seed") == 0) {
            if (!mv_range_parse_whole(&s->seed, value))
                return mv_fail(error, MV_ERR_ARGUMENT,
                               "model %s: seed: expected a whole number below 2^64, found '%s'",
                               spec, value);
            continue;
        }
        mv_code code = mv_params_set(&s->view.params, key, value, spec, error);
        if (code != MV_OK)
            return code;
    }
    return mv_params_check(&s->view.params, spec, error);
}

static mv_code take_memory(mv_synthetic *s, const char *spec, mv_error *error)
{
    const uint64_t available = mv_machine_memory_available_bytes();
    void *data = NULL;
    s->size_bytes = place_all(s);
    if (available > 0 && s->size_bytes > available)
        return mv_fail(error, MV_ERR_MEMORY,
                       "model %s takes %.1f GiB, and %.1f GiB are available; fewer layers fit: "
                       "add n_layers=N",
                       spec, (double)s->size_bytes / 0x1p30, (double)available / 0x1p30);
    if (posix_memalign(&data, 2u << 20, s->size_bytes) != 0)
        return mv_fail(error, MV_ERR_MEMORY, "model %s: no memory for %.1f GiB", spec,
                       (double)s->size_bytes / 0x1p30);
    s->data = data;
    (void)place_all(s);
    return MV_OK;
}

mv_code mv_synthetic_open(mv_synthetic **synthetic, const char *spec, mv_error *error)
{
    mv_synthetic *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "model %s: no memory", spec);
    s->seed = 1;
    mv_code code = read_spec(s, spec, error);
    if (code != MV_OK)
        goto done;
    s->layers = calloc(s->view.params.n_layers, sizeof *s->layers);
    s->names = calloc((size_t)s->view.params.n_layers * 9, sizeof *s->names);
    if (s->layers == NULL || s->names == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "model %s: no memory for %u layers", spec,
                       s->view.params.n_layers);
        goto done;
    }
    s->view.struct_size = sizeof s->view;
    s->view.layer_size = sizeof *s->layers;
    s->view.layers = s->layers;
    code = take_memory(s, spec, error);
    if (code != MV_OK)
        goto done;
    name_all(s);
    fill_all(s);
    *synthetic = s;
    s = NULL;
done:
    mv_synthetic_close(&s);
    return code;
}

const mv_model_view *mv_synthetic_get_view(const mv_synthetic *synthetic)
{
    return &synthetic->view;
}

void mv_synthetic_close(mv_synthetic **synthetic)
{
    if (*synthetic == NULL)
        return;
    free((*synthetic)->data);
    free((*synthetic)->names);
    free((*synthetic)->layers);
    free(*synthetic);
    *synthetic = NULL;
}
