#include "harness/weights.h"

/* How many rows or columns, in words of params.json. */
typedef enum extent { ONE, DIM, HIDDEN, VOCAB, QUERY, KEY } extent;

typedef struct row {
    const char *name, *hf_name; /* of a layer's: behind "layers.N." and "model.layers.N." */
    size_t offset;              /* in mv_layer, or in mv_model_view */
    extent n_out, n_in;
    int is_rope;
} row;

static const row layer_rows[MV_WEIGHTS_A_LAYER] = {
    {"attention_norm", "input_layernorm", offsetof(mv_layer, attention_norm), DIM, ONE, 0},
    {"attention.wq", "self_attn.q_proj", offsetof(mv_layer, wq), QUERY, DIM, 1},
    {"attention.wk", "self_attn.k_proj", offsetof(mv_layer, wk), KEY, DIM, 1},
    {"attention.wv", "self_attn.v_proj", offsetof(mv_layer, wv), KEY, DIM, 0},
    {"attention.wo", "self_attn.o_proj", offsetof(mv_layer, wo), DIM, QUERY, 0},
    {"ffn_norm", "post_attention_layernorm", offsetof(mv_layer, ffn_norm), DIM, ONE, 0},
    {"feed_forward.w1", "mlp.gate_proj", offsetof(mv_layer, w1), HIDDEN, DIM, 0},
    {"feed_forward.w2", "mlp.down_proj", offsetof(mv_layer, w2), DIM, HIDDEN, 0},
    {"feed_forward.w3", "mlp.up_proj", offsetof(mv_layer, w3), HIDDEN, DIM, 0},
};

static const row first_row = {
    "tok_embeddings", "model.embed_tokens", offsetof(mv_model_view, tok_embeddings), VOCAB, DIM, 0};
static const row last_rows[] = {
    {"norm", "model.norm", offsetof(mv_model_view, norm), DIM, ONE, 0},
    {"output", "lm_head", offsetof(mv_model_view, output), VOCAB, DIM, 0},
};

static size_t n_layer_weights(const mv_params *params)
{
    return (size_t)params->n_layers * MV_WEIGHTS_A_LAYER;
}

size_t mv_weight_count(const mv_params *params)
{
    return n_layer_weights(params) + 3;
}

/* *layer: -1 outside the layers. */
static const row *find_row(const mv_params *params, size_t index, int64_t *layer)
{
    *layer = -1;
    if (index == 0) {
        return &first_row;
    }
    index--;
    if (index >= n_layer_weights(params)) {
        return &last_rows[index - n_layer_weights(params)];
    }
    *layer = (int64_t)(index / MV_WEIGHTS_A_LAYER);
    return &layer_rows[index % MV_WEIGHTS_A_LAYER];
}

static uint64_t length_of(extent e, const mv_params *params)
{
    switch (e) {
    case DIM:
        return params->dim;
    case HIDDEN:
        return params->hidden_dim;
    case VOCAB:
        return params->vocab_size;
    case QUERY:
        return (uint64_t)params->n_heads * params->head_dim;
    case KEY:
        return (uint64_t)params->n_kv_heads * params->head_dim;
    case ONE:
        break;
    }
    return 1;
}

void mv_weight_describe(mv_weight *weight, const mv_params *params, size_t index)
{
    int64_t layer;
    const row *r = find_row(params, index, &layer);
    if (layer < 0) {
        (void)snprintf(weight->name, sizeof weight->name, "%s.weight", r->name);
        (void)snprintf(weight->hf_name, sizeof weight->hf_name, "%s.weight", r->hf_name);
    } else {
        (void)snprintf(weight->name, sizeof weight->name, "layers.%u.%s.weight", (uint32_t)layer,
                       r->name);
        (void)snprintf(weight->hf_name, sizeof weight->hf_name, "model.layers.%u.%s.weight",
                       (uint32_t)layer, r->hf_name);
    }
    weight->shape[0] = length_of(r->n_out, params);
    weight->shape[1] = length_of(r->n_in, params);
    weight->n_dims = r->n_in == ONE ? 1 : 2;
    weight->n_rope_heads = 0;
    if (r->is_rope) { /* wk has fewer heads than wq: the mistake that 32/8 heads show */
        weight->n_rope_heads = r->n_out == QUERY ? params->n_heads : params->n_kv_heads;
    }
}

const mv_tensor *mv_weight_at(const mv_model_view *view, size_t index)
{
    int64_t layer;
    const row *r = find_row(&view->params, index, &layer);
    const char *base = layer < 0 ? (const char *)view
                                 : (const char *)(const void *)mv_layer_at(view, (uint32_t)layer);
    return (const mv_tensor *)(const void *)(base + r->offset);
}

mv_tensor *mv_weight_slot(mv_model_view *view, mv_layer *layers, size_t index)
{
    int64_t layer;
    const row *r = find_row(&view->params, index, &layer);
    char *base = layer < 0 ? (char *)view : (char *)&layers[layer];
    return (mv_tensor *)(void *)(base + r->offset);
}
