/* checkpoint.h - a folder of weights, made into a model view. Private to model.c and model_hf.c. */
#ifndef MV_HARNESS_CHECKPOINT_H
#define MV_HARNESS_CHECKPOINT_H

#include <stdbool.h>

#include "harness/tensor_file.h"

typedef struct mv_weight_file {
    mv_tensor_file *file;
    char *path;
    unsigned char *used; /* [file->n_tensors] 1 if the view has it */
} mv_weight_file;

typedef struct mv_checkpoint {
    mv_model_view view;
    const char *layout;    /* static: "mistral safetensors", ... */
    char *tokenizer;       /* path of tokenizer.model, or NULL */
    mv_weight_file *files; /* [n_files] */
    size_t n_files;
    mv_layer *layers; /* [n_layers] */
    char *names;      /* the view's tensor names */
    void *copies;     /* q and k of Hugging Face's layout */
} mv_checkpoint;

/* Mistral's layout is preferred where a folder has both. The checksums of a .pth are left to be
 * compared: tensor_sum.h. Yours: close with mv_checkpoint_close(). */
MV_MUST_CHECK mv_code mv_checkpoint_open(mv_checkpoint **checkpoint, const char *folder,
                                         mv_error *error);
void mv_checkpoint_close(mv_checkpoint **checkpoint);

/* "FOLDER/NAME": yours, free(); NULL without memory. */
char *mv_checkpoint_path(const char *folder, const char *name);

/* There is an entry of that name, even if it is a link to nowhere (as a broken download in
 * Hugging Face's cache is): opening it then says so. */
bool mv_checkpoint_has(const char *folder, const char *name);

#endif
