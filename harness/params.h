/* params.h - the shape of a model, from params.json or config.json.
 *
 * Both readers refuse: not JSON, a duplicate key, a missing or zero or negative or absurd value,
 * n_heads not a multiple of n_kv_heads, an odd head_dim, a window given as a list (per-layer
 * windows), a mixture of experts. Keys that do not change the arithmetic are ignored; any other
 * unknown key is refused, because silently ignoring one is how a model goes wrong.
 */
#ifndef MV_HARNESS_PARAMS_H
#define MV_HARNESS_PARAMS_H

#include "backends/mistral_backend.h"

/* Mistral's params.json. rope_theta absent: 1e4 (v0.1 has none). sliding_window absent or null: 0;
 * but a file of v0.1's shapes that has neither key is v0.1, with its window of 4096, and a warning.
 * vocab_size absent or -1 (as the oldest exports wrote) is an error. */
MV_MUST_CHECK mv_code mv_params_read(mv_params *params, const char *path, mv_error *error);

/* Hugging Face's config.json of a MistralForCausalLM or LlamaForCausalLM. rope_theta at the top
 * level or inside rope_parameters; head_dim may be absent (hidden_size / num_attention_heads);
 * *tied is tie_word_embeddings. Any rope scaling other than "default" is refused. */
MV_MUST_CHECK mv_code mv_params_read_config(mv_params *params, int *tied, const char *path,
                                            mv_error *error);

/* Sets one field by its name in params.json, as a MODEL SPEC's key=value does. where: for the
 * message, e.g. the spec. Unknown key: names the nearest. */
MV_MUST_CHECK mv_code mv_params_set(mv_params *params, const char *key, const char *value,
                                    const char *where, mv_error *error);

/* All the cross-field checks above. where: a path or a spec, for the message. */
MV_MUST_CHECK mv_code mv_params_check(const mv_params *params, const char *where, mv_error *error);

#endif
