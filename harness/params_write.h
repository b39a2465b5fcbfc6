/* params_write.h - params.json and config.json, as text. The readers are params.h. */
#ifndef MV_HARNESS_PARAMS_WRITE_H
#define MV_HARNESS_PARAMS_WRITE_H

#include "harness/params.h"

/* Mistral's params.json. rope_theta is always written: current upstream code takes 1e6 where it is
 * absent, v0.1's own takes 1e4. sliding_window is written only where there is one. path must not
 * exist. MV_ERR_IO. */
MV_MUST_CHECK mv_code mv_params_write(const mv_params *params, const char *path, mv_error *error);

/* Hugging Face's config.json of a MistralForCausalLM. dtype: the most frequent one of the weights.
 * What params.json does not know is written as in the published models: bos 1, eos 2, 32768
 * positions. path must not exist. MV_ERR_IO. */
MV_MUST_CHECK mv_code mv_params_write_config(const mv_params *params, int tied, mv_dtype dtype,
                                             const char *path, mv_error *error);

#endif
