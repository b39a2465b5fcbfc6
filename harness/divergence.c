#include "harness/divergence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t mv_divergence_split(int64_t n, int64_t *per_bin)
{
    *per_bin = 1 + (n - 1) / MV_DIVERGENCE_MAX_BINS;
    return (size_t)(1 + (n - 1) / *per_bin);
}

void mv_divergence_begin(mv_divergence *d, int64_t n_layers, int64_t n_positions)
{
    memset(d, 0, sizeof *d);
    d->n_layers = n_layers;
    d->n_positions = n_positions;
    d->n_rows = mv_divergence_split(n_layers, &d->layers_per_row);
    d->n_bins = mv_divergence_split(n_positions, &d->positions_per_bin);
    for (size_t r = 0; r <= d->n_rows; r++) {
        for (size_t b = 0; b < d->n_bins; b++) {
            d->times_limit[r][b] = NAN;
        }
    }
}

/* What is printed is what is kept: a profile from a file is the one that was written. */
static double to_three_digits(double times_limit)
{
    char text[32];
    if (!(times_limit < INFINITY)) {
        return INFINITY;
    }
    (void)snprintf(text, sizeof text, "%.2e", times_limit);
    const double rounded = strtod(text, NULL);
    return times_limit > 1 && !(rounded > 1) ? 1.001 : rounded;
}

/* Where several layers share a row, an operation's place in it is behind those of its first layer.
 */
static mv_divergence_step *find_step(mv_divergence *d, int64_t row, const char *op)
{
    for (size_t i = d->n_steps; i > 0; i--) {
        mv_divergence_step *step = &d->steps[i - 1];
        if (step->layer < 0 || step->layer / d->layers_per_row != row) {
            return NULL;
        }
        if (strcmp(step->op, op) == 0) {
            return step;
        }
    }
    return NULL;
}

void mv_divergence_add_step(mv_divergence *d, int32_t layer, const char *op, double times_limit)
{
    const double value = to_three_digits(times_limit);
    mv_divergence_step *step =
        layer >= 0 && d->layers_per_row > 1 ? find_step(d, layer / d->layers_per_row, op) : NULL;
    if (step == NULL) {
        if (d->n_steps == MV_DIVERGENCE_MAX_STEPS) {
            return;
        }
        step = &d->steps[d->n_steps++];
        (void)snprintf(step->op, sizeof step->op, "%s", op);
    } else if (!(value > step->times_limit)) {
        return;
    }
    step->layer = layer;
    step->times_limit = value;
}

void mv_divergence_add_row(mv_divergence *d, int32_t layer, int64_t position, double times_limit)
{
    const size_t row = layer < 0 ? d->n_rows : (size_t)(layer / d->layers_per_row);
    if (row > d->n_rows || position < 0 || position >= d->n_positions) {
        return;
    }
    double *worst = &d->times_limit[row][position / d->positions_per_bin];
    if (!(times_limit <= *worst)) { /* also where there was none */
        *worst = to_three_digits(times_limit);
    }
}

int64_t mv_divergence_first(const mv_divergence *d)
{
    for (size_t i = 0; i < d->n_steps; i++) {
        if (!(d->steps[i].times_limit <= 1)) {
            return (int64_t)i;
        }
    }
    return -1;
}
