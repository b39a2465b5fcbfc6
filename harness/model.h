/* model.h - from a MODEL SPEC to weights that an engine can use.
 *
 *   mv_model *model = NULL;
 *   mv_code code = mv_model_open(&model, "synthetic:probe", &error);
 *   const mv_model_view *view = mv_model_get_view(model);
 *   ...
 *   mv_model_close(&model);
 *
 * SPEC: a folder in Mistral's layout (params.json, and consolidated.safetensors or
 * consolidated.00.pth) or in Hugging Face's (config.json, and model.safetensors or shards with
 * model.safetensors.index.json), or tiny (the small trained model that comes with the program), or
 * synthetic:NAME[,key=value...]. Every tensor's shape is checked
 * against the params. Mapped where the format allows; q and k of Hugging Face's layout are copied,
 * because their rows are put back into interleaved order.
 */
#ifndef MV_HARNESS_MODEL_H
#define MV_HARNESS_MODEL_H

#include "backends/mistral_backend.h"

typedef struct mv_model mv_model;

/* Yours: close with mv_model_close(). */
MV_MUST_CHECK mv_code mv_model_open(mv_model **model, const char *spec, mv_error *error);
void mv_model_close(mv_model **model);

/* The same, but what a .pth says about its own bytes has not been compared with them: for
 * mv_convert(), which reads them all and compares, and for what never reads them. */
MV_MUST_CHECK mv_code mv_model_open_unchecked(mv_model **model, const char *spec, mv_error *error);

/* What is still to be compared. find: the checksum of just this tensor's bytes, or NULL; borrowed.
 * check: all that nobody has compared. */
typedef struct mv_tensor_sum mv_tensor_sum;
mv_tensor_sum *mv_model_find_sum(const mv_model *model, const mv_tensor *tensor);
MV_MUST_CHECK mv_code mv_model_check_sums(const mv_model *model, mv_error *error);

/* Borrowed until close. */
const mv_model_view *mv_model_get_view(const mv_model *model);
const char *mv_model_get_spec(const mv_model *model);
const char *mv_model_get_layout(const mv_model *model);    /* "mistral safetensors", ... */
const char *mv_model_get_tokenizer(const mv_model *model); /* path of tokenizer.model, or NULL */

/* sha256 over every tensor in the canonical order (tok_embeddings, layers in the order of
 * mv_layer, norm, output): name, dtype, shape, bytes. Independent of the container. About 1.5 GB/s.
 * hex: 64 digits and a NUL. */
MV_MUST_CHECK mv_code mv_model_hash(const mv_model *model, char hex[65], mv_error *error);

/* Bytes of all the tensors. */
uint64_t mv_model_size_bytes(const mv_model_view *view);

#endif
