/* golden.h - recorded truth: float64 logits of a model, in an HDF5 file that cannot be changed
 * unnoticed.
 *
 * A golden holds cases. A case is a list of tokens under one window, and of the oracle's logits:
 * whole rows at a few positions (both sides of the window's and of the first chunk's edge, both
 * ends), and at every position a sketch of the row, its largest logits and its log-sum-exp. Only
 * this folder includes <hdf5.h>; golden/README.md describes the file byte by byte.
 *
 * A file is checked whole when it is opened: its digest, then every hash, shape and range. What
 * is refused is MV_ERR_FORMAT, with the file and the dataset in the message.
 */
#ifndef MV_GOLDEN_GOLDEN_H
#define MV_GOLDEN_GOLDEN_H

#include <stdbool.h>

#include "harness/machine.h"
#include "harness/range.h"
#include "harness/weights.h"

enum {
    MV_GOLDEN_MAJOR = 1, /* a reader refuses another major; a minor only adds */
    MV_GOLDEN_MINOR = 0,
    MV_SKETCH_SIZE = 64,
    MV_GOLDEN_TOP = 20,
    MV_SHA256_SIZE = 65 /* hex digits and a NUL */
};

#define MV_WINDOW_SEMANTICS "incl_self" /* query i sees i-W+1 ... i */

typedef struct mv_golden_weight {
    char name[MV_WEIGHT_NAME_SIZE];
    char dtype[8]; /* "f32", "f16", "bf16" */
    uint64_t shape[2];
    char sha256[MV_SHA256_SIZE]; /* of the little-endian bytes */
} mv_golden_weight;

typedef struct mv_golden_case {
    char name[64];
    int64_t window, chunk; /* 0: none, whole. chunk is how the oracle was run; it has no effect */
    int64_t seed;          /* of the tokens; -1 = they come from a text or from elsewhere */
    int64_t sketch_seed;
    size_t n_tokens, n_positions, n_top; /* n_top = least of MV_GOLDEN_TOP and vocab_size */
    int32_t *tokens;                     /* [n_tokens] */
    int64_t *positions;                  /* [n_positions] whose rows are kept; rising */
    double *oracle;                      /* [n_positions, vocab_size] */
    float *sketch;                       /* [n_tokens, MV_SKETCH_SIZE] */
    int32_t *top_ids;                    /* [n_tokens, n_top] largest first, then lowest id */
    double *top_values;                  /* [n_tokens, n_top] */
    double *lse;                         /* [n_tokens] log of the sum of exp() over a row */
} mv_golden_case;

typedef struct mv_golden {
    mv_params params;
    char model_spec[256]; /* as it was named where the file was made: nothing is decided by it */
    char tokenizer_sha256[MV_SHA256_SIZE]; /* "" unless tokens come from a text */
    mv_golden_weight *weights;             /* [n_weights] in the order of weights.h */
    size_t n_weights;
    mv_environment provenance; /* how, with what and on what it was made; sorted by key if read */
    mv_golden_case *cases;     /* [n_cases] */
    size_t n_cases;

    /* Of the file that was read. */
    int minor;
    uint64_t size_bytes;
    char merkle_root[MV_SHA256_SIZE];
} mv_golden;

/* ---- files ---- */

/* Reads and checks all of it; about 0.4 s for 100 MB. Yours: mv_golden_close(). */
MV_MUST_CHECK mv_code mv_golden_open(mv_golden **golden, const char *path, mv_error *error);
void mv_golden_close(mv_golden **golden); /* NULL is fine */

/* Checks what a reader would check, then writes a temporary file beside path, flushes it to disk
 * and renames it: there is the old file or the whole new one. The same golden gives the same
 * bytes. MV_ERR_IO, or MV_ERR_ARGUMENT for a golden that no reader would take. */
MV_MUST_CHECK mv_code mv_golden_write(const mv_golden *golden, const char *path, mv_error *error);

/* ---- making one ---- */

MV_MUST_CHECK mv_code mv_golden_new(mv_golden **golden, const mv_model_view *model,
                                    const char *model_spec, mv_error *error);

/* What to run for one case. */
typedef struct mv_golden_plan {
    const char *name;
    const int32_t *tokens; /* [n_tokens] borrowed */
    size_t n_tokens;
    int64_t window, chunk; /* 0: none, whole */
    int64_t seed;
    const mv_range *positions; /* beyond those that must be there; NULL = none */
    uint32_t n_threads;        /* 0 = the backend's choice */
} mv_golden_plan;

/* Runs reference in float64 over the tokens and appends the case. Keeps the kept rows and 500
 * bytes a position; the rest of the logits is never in memory at once. */
MV_MUST_CHECK mv_code mv_golden_record(mv_golden *golden, const mv_backend *reference,
                                       const mv_model_view *model, const mv_golden_plan *plan,
                                       mv_error *error);

/* The positions that a case must keep: 0, W-1, W, W+1, both sides of the first chunk's edge, the
 * last. Those that the prompt does not reach are left out. */
void mv_golden_needed_positions(mv_range *positions, int64_t n_tokens, int64_t window,
                                int64_t chunk);

/* Drops the rows that are neither in positions nor needed. MV_ERR_ARGUMENT: a position that has no
 * row. */
MV_MUST_CHECK mv_code mv_golden_trim(mv_golden *golden, const mv_range *positions, mv_error *error);

/* ---- using one ---- */

/* Is this the model that the golden was recorded from? Every param but sliding_window (each case
 * has its own), and the sha256 of each tensor (about 1.5 GB/s). path: for the message.
 * MV_ERR_FORMAT names the first thing that differs. */
MV_MUST_CHECK mv_code mv_golden_match(const mv_golden *golden, const char *path,
                                      const mv_model_view *model, mv_error *error);

/* sha256 of a file's bytes: of a tokenizer.model, where the tokens come from a text. */
MV_MUST_CHECK mv_code mv_golden_hash_file(char hex[MV_SHA256_SIZE], const char *path,
                                          mv_error *error);

/* Every shipped golden of this model: *.h5 in $MISTRAL_GOLDEN_DIR (a list with ':'), else in
 * golden/data/ beside the folder of the running program (the build) and in the installation.
 * A damaged file there is an error, not left out. *paths: yours, free() each and the list. */
MV_MUST_CHECK mv_code mv_golden_find(const mv_model_view *model, char ***paths, size_t *n_paths,
                                     mv_error *error);

/* A random +-1 projection of rows of vocab_size logits to MV_SKETCH_SIZE numbers, seeded. The mean
 * of the squares of a difference of two sketches estimates the squared distance of the two rows
 * (relative standard deviation sqrt(2 / 64)). Costs a few additions a logit. */
typedef struct mv_sketch {
    uint8_t (*codes)[4]; /* [vocab_size] */
    size_t vocab_size;
} mv_sketch;

#define MV_SKETCH_GENERATOR "mv_synthetic_bits, 4 x hadamard 16"
#define MV_SKETCH_SEED 64 /* of the files we make */

MV_MUST_CHECK mv_code mv_sketch_make(mv_sketch *sketch, size_t vocab_size, uint64_t seed,
                                     mv_error *error);
void mv_sketch_free(mv_sketch *sketch);

/* What is kept of a row. lse and sketch are NAN where a logit is not finite. */
typedef struct mv_row_summary {
    double sketch[MV_SKETCH_SIZE];
    double lse;
    int32_t top_ids[MV_GOLDEN_TOP];
    double top_values[MV_GOLDEN_TOP];
} mv_row_summary;

void mv_row_summarise(mv_row_summary *summary, const mv_sketch *sketch, const double *row);

/* The same of rows [n_rows, vocab_size] of an engine, on all cores; the last bits may differ. */
void mv_rows_summarise(mv_row_summary *summaries, const mv_sketch *sketch, const float *rows,
                       size_t n_rows);

/* ---- comparing two ---- */

typedef struct mv_golden_difference {
    char path[96]; /* "/cases/0000/logits/oracle" */
    size_t n_compared, n_different;
    double max_abs,
        relative;   /* relative: RMSE over the root mean square of a's; NAN = not numbers */
    char note[128]; /* what differs, where it is no number; else "" */
} mv_golden_difference;

/* Calls each() for every dataset that is in either. Rows of the oracle are compared at the
 * positions that both have. */
void mv_golden_diff(const mv_golden *a, const mv_golden *b,
                    void (*each)(void *cookie, const mv_golden_difference *difference),
                    void *cookie);

#endif
