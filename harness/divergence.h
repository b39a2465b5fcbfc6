/* divergence.h - how wrong an engine is, operation by operation, and layer by position: the profile
 * of a failed case that was replayed (suites/localize.h).
 *
 * Every number is an error divided by its limit: above 1 is wrong. In each operation, and at each
 * position, the engine had the oracle's input, so that a number speaks of that operation alone.
 */
#ifndef MV_HARNESS_DIVERGENCE_H
#define MV_HARNESS_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of a profile does not grow with the model: more layers share a row, more positions a
 * bin, each with the worst of what it stands for. */
enum { MV_DIVERGENCE_MAX_ROWS = 64, MV_DIVERGENCE_MAX_BINS = 64, MV_DIVERGENCE_MAX_STEPS = 1024 };

/* One operation. */
typedef struct mv_divergence_step {
    int32_t layer; /* -1 outside the layers; the worst one, where several share a row */
    char op[24];
    double times_limit; /* INFINITY: the engine gave what is not finite */
} mv_divergence_step;

/* About 64 KiB, flat: can be copied by assignment and sent through a pipe. */
typedef struct mv_divergence {
    mv_divergence_step steps[MV_DIVERGENCE_MAX_STEPS]; /* in the order of the forward pass */
    size_t n_steps;

    int64_t n_layers, layers_per_row;
    int64_t n_positions, positions_per_bin; /* of the longest sequence; each in its own */
    size_t n_rows, n_bins;
    /* [n_rows + 1, n_bins], the worst of all operations; the last row is what lies outside the
     * layers. NAN: no position of it was played. */
    double times_limit[MV_DIVERGENCE_MAX_ROWS + 1][MV_DIVERGENCE_MAX_BINS];
} mv_divergence;

/* Makes *divergence an empty profile; both numbers are at least 1. */
void mv_divergence_begin(mv_divergence *divergence, int64_t n_layers, int64_t n_positions);

/* How many rows or bins n things need, and how many of them each holds. */
size_t mv_divergence_split(int64_t n, int64_t *per_bin);

/* Steps come in the order of the forward pass. A number that is NAN is kept as INFINITY; the others
 * are kept to three digits, which never makes a wrong one right. layer -1: outside. */
void mv_divergence_add_step(mv_divergence *divergence, int32_t layer, const char *op,
                            double times_limit);
void mv_divergence_add_row(mv_divergence *divergence, int32_t layer, int64_t position,
                           double times_limit);

/* Index of the first step that is wrong, or -1. */
int64_t mv_divergence_first(const mv_divergence *divergence);

#endif
