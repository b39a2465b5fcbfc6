/* weights.h - the list of tensors that a model has: name, shape and place in the view.
 *
 * Canonical order: tok_embeddings, every layer in the order of mv_layer, norm, output. Who walks
 * this list writes no tensor name of its own.
 *
 *   for (size_t i = 0; i < mv_weight_count(&view->params); i++) {
 *       mv_weight weight;
 *       mv_weight_describe(&weight, &view->params, i);
 *       const mv_tensor *tensor = mv_weight_at(view, i);
 */
#ifndef MV_HARNESS_WEIGHTS_H
#define MV_HARNESS_WEIGHTS_H

#include "backends/mistral_backend.h"

enum { MV_WEIGHT_NAME_SIZE = 64, MV_WEIGHTS_A_LAYER = 9 };

typedef struct mv_weight {
    char name[MV_WEIGHT_NAME_SIZE];    /* "layers.0.attention.wq.weight" */
    char hf_name[MV_WEIGHT_NAME_SIZE]; /* "model.layers.0.self_attn.q_proj.weight" */
    uint64_t shape[2];                 /* [n_out, n_in]; a norm is [dim, 1] */
    uint32_t n_dims;
    uint32_t n_rope_heads; /* heads in the rows of wq and wk; 0 for all others */
} mv_weight;

size_t mv_weight_count(const mv_params *params);

/* index < mv_weight_count(). */
void mv_weight_describe(mv_weight *weight, const mv_params *params, size_t index);
const mv_tensor *mv_weight_at(const mv_model_view *view, size_t index);

/* The same place while the view is being built; layers is what view->layers points to. */
mv_tensor *mv_weight_slot(mv_model_view *view, mv_layer *layers, size_t index);

#endif
