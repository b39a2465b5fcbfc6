/* model_hf.h - what Hugging Face's layout does differently: the weights may come in shards, the
 * rows of q and k are permuted, and the output may be the embedding. Private to checkpoint.c.
 */
#ifndef MV_HARNESS_MODEL_HF_H
#define MV_HARNESS_MODEL_HF_H

#include "harness/checkpoint.h"

/* Opens model.safetensors, or every shard that model.safetensors.index.json names, and checks that
 * each shard holds the tensors that the index promises. Sets files, n_files and layout; what is
 * set on failure is closed by mv_checkpoint_close(). */
MV_MUST_CHECK mv_code mv_hf_open_files(mv_checkpoint *checkpoint, const char *folder,
                                       mv_error *error);

/* The output of a model with tie_word_embeddings. own: the file's lm_head.weight, or NULL; path:
 * of its file. Call when view->tok_embeddings and view->output.name are set. */
MV_MUST_CHECK mv_code mv_hf_bind_tied_output(mv_model_view *view, const mv_tensor *own,
                                             const char *path, mv_error *error);

/* Replaces every wq and wk of the view by a copy in interleaved order: 1.3 of a 7B's 14.5 GB, by
 * all cores. */
MV_MUST_CHECK mv_code mv_hf_interleave(mv_checkpoint *checkpoint, mv_error *error);

/* Puts the rows of a q or k projection back into interleaved order. In the file, the rows of each
 * head are (2, head_dim / 2): all first members of rope's pairs, then all second ones. to receives
 * (head_dim / 2, 2): pair i at rows 2i and 2i+1. to: from->size_bytes, not from's own data. */
void mv_hf_interleave_rows(void *to, const mv_tensor *from, uint32_t n_heads);

/* Tensors of old exports that are computed from the params: "...rotary_emb.inv_freq". */
bool mv_hf_is_buffer(const char *name);

#endif
