/* make_model.h - small checkpoints in a temporary folder, in every layout, for tests.
 *
 * The value of an element follows from its Mistral name and its place there, whatever the layout:
 * so the same options in two layouts are the same model. Failures to write abort the test.
 */
#ifndef MV_TESTS_MAKE_MODEL_H
#define MV_TESTS_MAKE_MODEL_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

typedef enum make_layout { MAKE_MISTRAL, MAKE_HF, MAKE_HF_SHARDS } make_layout;

typedef struct make_options {
    mv_params params;
    make_layout layout;
    mv_dtype dtype;
    bool tied;           /* HF: no lm_head, and tie_word_embeddings */
    const char *omit;    /* a tensor (its name in the file) that is left out */
    const char *reshape; /* a tensor that gets one row less */
    const char *extra;   /* a tensor [2] that no model has */
    bool repeat_last;    /* HF shards: the last shard has the first tensor once more */
    bool misalign;       /* the data begins at an odd place */
} make_options;

/* dim 24, 2 layers, 6 heads of 4 over 2 kv heads, hidden 20, vocab 11, window 7: all different. */
mv_params make_small_params(void);

/* Writes params or config, weights, index. folder must exist. */
void make_model(const char *folder, const make_options *options);

/* The bits of one element of a Mistral-layout tensor; row-major. */
uint32_t make_bits(const char *name, uint64_t index, mv_dtype dtype);

/* A new empty folder under $TMPDIR or /tmp, and its removal with all the files in it. */
char *make_folder(void);
void make_folder_remove(char *folder); /* frees it, too */

/* FOLDER/NAME with these bytes. The path is yours, free(). */
char *make_file(const char *folder, const char *name, const void *bytes, size_t size);

#endif
