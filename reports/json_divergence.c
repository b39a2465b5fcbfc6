/* json_divergence.c - the profile of a failed case, on the line of its case. */
#include "reports/parts.h"

#include <inttypes.h>

static void put_bins(mv_bytes *bytes, const mv_divergence *divergence, size_t row)
{
    mv_bytes_text(bytes, "[");
    for (size_t b = 0; b < divergence->n_bins; b++) {
        mv_bytes_text(bytes, b > 0 ? ", " : "");
        mv_json_number(bytes, divergence->times_limit[row][b]);
    }
    mv_bytes_text(bytes, "]");
}

static void put_step(mv_bytes *bytes, const mv_divergence_step *step)
{
    mv_bytes_text(bytes, "{");
    if (step->layer >= 0) {
        mv_bytes_print(bytes, "\"layer\": %" PRId32 ", ", step->layer);
    }
    mv_bytes_text(bytes, "\"op\": ");
    mv_json_string(bytes, step->op);
    mv_bytes_text(bytes, ", \"times_limit\": ");
    mv_json_number(bytes, step->times_limit);
    mv_bytes_text(bytes, "}");
}

void mv_json_divergence_profile(mv_bytes *bytes, const mv_divergence *divergence)
{
    mv_bytes_print(bytes,
                   "{\"layers\": %" PRId64 ", \"layers_per_row\": %" PRId64
                   ", \"positions\": %" PRId64 ", \"positions_per_bin\": %" PRId64 ", \"ops\": [",
                   divergence->n_layers, divergence->layers_per_row, divergence->n_positions,
                   divergence->positions_per_bin);
    for (size_t i = 0; i < divergence->n_steps; i++) {
        mv_bytes_text(bytes, i > 0 ? ", " : "");
        put_step(bytes, &divergence->steps[i]);
    }
    mv_bytes_text(bytes, "], \"rows\": [");
    for (size_t r = 0; r < divergence->n_rows; r++) {
        mv_bytes_text(bytes, r > 0 ? ", " : "");
        put_bins(bytes, divergence, r);
    }
    mv_bytes_text(bytes, "], \"outside\": ");
    put_bins(bytes, divergence, divergence->n_rows);
    mv_bytes_text(bytes, "}");
}
