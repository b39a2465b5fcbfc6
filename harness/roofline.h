/* roofline.h - how much work a call of the model needs, and how long the hardware must take for it.
 *
 * Multiply-add = 2 operations. Weights are read once a call, whatever the batch; a key and value is
 * read once a call for each sequence, and written once. Norms, rotations and softmax are left out:
 * below 1 % at the sizes of 7B. Needed is what the asked-for logits depend on: in the last layer,
 * keys and values of all tokens, and the rest only for the rows whose logits are asked for. With
 * P = parameters in the layers' matrices, P_l in the last layer's without wk and wv, P_h in the
 * output's, rows = rows of logits:
 *   operations = 2 (P - P_l) tokens + 2 P_l rows + 2 P_h rows + 4 n_heads head_dim pairs
 *   bytes      = P b - P_l b [rows = 0] + P_h b [rows > 0] + k (keys read + keys written),
 *                k = 2 n_kv_heads head_dim b_kv; both over the layers
 *   pairs      = sum over layers and new tokens of min(position + 1, W); in the last layer over the
 *                tokens of the rows
 *   time       = sum over layers, attention and output of max(operations / peak, bytes / bandwidth)
 */
#ifndef MV_HARNESS_ROOFLINE_H
#define MV_HARNESS_ROOFLINE_H

#include "harness/bench_results.h"

/* Needed work of one or more calls. Doubles: exact up to 2^53. */
typedef struct mv_cost {
    double n_tokens, n_rows;           /* of input, of logits; over the batch */
    double linear_flops, linear_bytes; /* the layers' matrices */
    double attention_flops, attention_bytes;
    double output_flops, output_bytes;
    double pairs;          /* (query, key), over layers and query heads */
    double least_s;        /* no machine with these ceilings is faster; NAN without ceilings */
    double least_memory_s; /* the part of it in which memory is the limit */
} mv_cost;

/* Sum of min(position + 1, window) for n tokens from position start on. */
double mv_visible_pairs(int64_t start, int64_t n, int64_t window);

/* Bytes of cache for one token: kv_size is 4 for float32, 2 for bfloat16, 8 for float64. */
double mv_kv_bytes_per_token(const mv_params *params, mv_compute compute);

/* Adds one call: n new tokens at position start for each of `batch` sequences; n_rows of logits in
 * all, the same number of last ones of each sequence. ceilings may be NULL. Zero-initialise *cost
 * before the first. */
void mv_cost_add_call(mv_cost *cost, const mv_model_view *model, mv_compute compute, int64_t start,
                      int64_t n, int64_t window, int64_t batch, int64_t n_rows,
                      const mv_ceilings *ceilings);

/* All calls of one pass over a shape. */
mv_cost mv_cost_of_shape(const mv_model_view *model, mv_compute compute, mv_bench_phase phase,
                         const mv_bench_shape *shape, const mv_ceilings *ceilings);

/* Multiply-adds in the layers' matrices of an engine that takes all rows through the last layer. */
double mv_linear_of_all_rows(const mv_model_view *model, const mv_bench_shape *shape,
                             mv_bench_phase phase);

/* Read bandwidth for a working set: that of the next larger one that was measured, and beyond the
 * largest, that of the largest. NAN if nothing was measured. */
double mv_read_bandwidth(const mv_ceilings *ceilings, double working_set_bytes);
double mv_peak_flops(const mv_ceilings *ceilings, mv_compute compute);

#endif
