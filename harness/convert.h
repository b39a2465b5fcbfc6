/* convert.h - writes a model into a new folder, in any of the three layouts, without a bit changed.
 *
 * What a reader of the new folder gets is what mv_model_hash() says is the same: q and k are put
 * into Hugging Face's order of rows on the way out, and back on the way in. A tied output is
 * written out where the layout cannot say that it is tied.
 */
#ifndef MV_HARNESS_CONVERT_H
#define MV_HARNESS_CONVERT_H

#include "harness/model.h"
#include "harness/out_tensor.h"

typedef enum mv_convert_layout {
    MV_CONVERT_MISTRAL = 0, /* params.json, consolidated.safetensors */
    MV_CONVERT_PTH = 1,     /* params.json, consolidated.00.pth */
    MV_CONVERT_HF = 2       /* config.json, model.safetensors, or shards and their index */
} mv_convert_layout;

/* "mistral", "pth", "hf". MV_ERR_ARGUMENT. */
MV_MUST_CHECK mv_code mv_convert_layout_parse(mv_convert_layout *layout, const char *name,
                                              mv_error *error);

typedef struct mv_convert_options {
    mv_convert_layout to;
    uint64_t shard_bytes; /* Hugging Face only: most bytes of tensors in one file; 0: one file. A
                             tensor that is larger has a file of its own */
    const mv_write_watch *watch; /* or NULL */
} mv_convert_options;

/* folder must not exist, or be empty. Everything is written into a folder beside it, which is
 * renamed at the end: there is the whole model, or nothing; on failure, and when the watch stops
 * it, the other folder is removed. tokenizer.model is copied where the model has one. Not flushed
 * to disk: after a power cut, convert again. MV_ERR_ARGUMENT: folder is taken. MV_ERR_IO: what the
 * system said. */
MV_MUST_CHECK mv_code mv_convert(const mv_model *model, const char *folder,
                                 const mv_convert_options *options, mv_error *error);

/* How many bytes of tensors mv_convert() will write: the sum that the watch is told. */
uint64_t mv_convert_size_bytes(const mv_model_view *view, mv_convert_layout to);

#endif
