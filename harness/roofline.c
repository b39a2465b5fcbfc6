#include "harness/roofline.h"

#include <math.h>

double mv_visible_pairs(int64_t start, int64_t n, int64_t window)
{
    double pairs = 0;
    int64_t growing = n; /* tokens that still see everything before them */
    if (window > 0)
        growing = start >= window ? 0 : window - start < n ? window - start : n;
    pairs += (double)growing * (double)start + (double)growing * (double)(growing + 1) / 2;
    return pairs + (double)(n - growing) * (double)window;
}

double mv_kv_bytes_per_token(const mv_params *params, mv_compute compute)
{
    double size = compute == MV_COMPUTE_BF16 ? 2 : compute == MV_COMPUTE_F64 ? 8 : 4;
    return 2.0 * params->n_layers * params->n_kv_heads * params->head_dim * size;
}

double mv_read_bandwidth(const mv_ceilings *ceilings, double working_set_bytes)
{
    if (ceilings == NULL || ceilings->n_reads == 0)
        return NAN;
    for (size_t i = 0; i < ceilings->n_reads; i++)
        if ((double)ceilings->reads[i].working_set_bytes >= working_set_bytes)
            return ceilings->reads[i].read_bytes_per_s;
    return ceilings->reads[ceilings->n_reads - 1].read_bytes_per_s;
}

/* An engine may use bf16 instructions for bf16, or widen to float32; half the lanes fit doubles. */
double mv_peak_flops(const mv_ceilings *ceilings, mv_compute compute)
{
    if (ceilings == NULL || ceilings->threads == 0)
        return NAN;
    if (compute == MV_COMPUTE_F64)
        return ceilings->flops_per_s / 2;
    if (compute == MV_COMPUTE_BF16 && ceilings->bf16_flops_per_s > ceilings->flops_per_s)
        return ceilings->bf16_flops_per_s;
    return ceilings->flops_per_s;
}

/* Matrices: of all layers, and of the last one those that only rows with logits need. */
typedef struct matrices {
    double parameters, bytes;
    double last_parameters, last_bytes;
} matrices;

static matrices matrices_of(const mv_model_view *model)
{
    const mv_params *p = &model->params;
    const double dim = p->dim, q = (double)p->n_heads * p->head_dim;
    const double kv = (double)p->n_kv_heads * p->head_dim;
    matrices m = {.last_parameters = 2 * dim * q + 3 * dim * p->hidden_dim};
    m.parameters = p->n_layers * (m.last_parameters + 2 * dim * kv);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        const mv_layer *layer = mv_layer_at(model, l);
        m.last_bytes = (double)(layer->wq.size_bytes + layer->wo.size_bytes + layer->w1.size_bytes +
                                layer->w2.size_bytes + layer->w3.size_bytes);
        m.bytes += m.last_bytes + (double)(layer->wk.size_bytes + layer->wv.size_bytes);
    }
    return m;
}

/* Positions that any of n queries from position start on sees. */
static double keys_seen(int64_t start, int64_t n, int64_t window)
{
    const int64_t past = window > 0 && start > window - 1 ? window - 1 : start;
    return n > 0 ? (double)(past + n) : 0;
}

static void add_time(mv_cost *cost, double flops, double bytes, double peak, double bandwidth)
{
    double compute_s = flops / peak, memory_s = bytes / bandwidth;
    cost->least_s += fmax(compute_s, memory_s) + 0 * (compute_s + memory_s); /* NAN stays */
    cost->least_memory_s += memory_s > compute_s ? memory_s : 0;
}

void mv_cost_add_call(mv_cost *cost, const mv_model_view *model, mv_compute compute, int64_t start,
                      int64_t n, int64_t window, int64_t batch, int64_t n_rows,
                      const mv_ceilings *ceilings)
{
    const mv_params *p = &model->params;
    const matrices m = matrices_of(model);
    const double n_sequences = (double)batch, n_new = (double)n, upper = p->n_layers - 1.0;
    const int64_t n_last = n_rows / batch; /* queries of the last layer, of each sequence */
    const int64_t last_start = start + n - n_last;

    const double linear_flops = 2 * (m.parameters - m.last_parameters) * n_new * n_sequences +
                                2 * m.last_parameters * (double)n_rows;
    const double linear_bytes = m.bytes - (n_rows > 0 ? 0 : m.last_bytes);
    const double pairs =
        p->n_heads * n_sequences *
        (upper * mv_visible_pairs(start, n, window) + mv_visible_pairs(last_start, n_last, window));
    const double attention_flops = 4 * p->head_dim * pairs;
    const double keys_read =
        (upper * keys_seen(start, n, window) + keys_seen(last_start, n_last, window)) / p->n_layers;
    const double attention_bytes =
        mv_kv_bytes_per_token(p, compute) * n_sequences * (keys_read + n_new);
    const double output_flops = 2 * (double)p->dim * p->vocab_size * (double)n_rows;
    const double output_bytes = n_rows > 0 ? (double)model->output.size_bytes : 0;

    const double peak = mv_peak_flops(ceilings, compute);
    const double bandwidth =
        mv_read_bandwidth(ceilings, linear_bytes + attention_bytes + output_bytes);
    add_time(cost, linear_flops, linear_bytes, peak, bandwidth);
    add_time(cost, attention_flops, attention_bytes, peak, bandwidth);
    add_time(cost, output_flops, output_bytes, peak, bandwidth);

    cost->n_tokens += n_new * n_sequences;
    cost->n_rows += (double)n_rows;
    cost->linear_flops += linear_flops;
    cost->linear_bytes += linear_bytes;
    cost->attention_flops += attention_flops;
    cost->attention_bytes += attention_bytes;
    cost->output_flops += output_flops;
    cost->output_bytes += output_bytes;
    cost->pairs += pairs;
}

/* all_rows: as if every row of logits were asked for. */
static mv_cost cost_of_shape(const mv_model_view *model, mv_compute compute, mv_bench_phase phase,
                             const mv_bench_shape *shape, const mv_ceilings *ceilings,
                             bool all_rows)
{
    mv_cost cost = {0};
    const bool is_prefill = phase == MV_BENCH_PREFILL;
    const int64_t total = is_prefill ? shape->prompt : shape->generate;
    const int64_t step = !is_prefill ? 1 : shape->chunk > 0 ? shape->chunk : total;
    for (int64_t done = 0; done < total; done += step) {
        int64_t n = total - done < step ? total - done : step;
        bool has_logits = !is_prefill || done + n == total;
        int64_t n_rows = all_rows ? n * shape->batch : has_logits ? shape->batch : 0;
        mv_cost_add_call(&cost, model, compute, shape->depth + done, n, shape->window, shape->batch,
                         n_rows, ceilings);
    }
    return cost;
}

mv_cost mv_cost_of_shape(const mv_model_view *model, mv_compute compute, mv_bench_phase phase,
                         const mv_bench_shape *shape, const mv_ceilings *ceilings)
{
    return cost_of_shape(model, compute, phase, shape, ceilings, false);
}

double mv_linear_of_all_rows(const mv_model_view *model, const mv_bench_shape *shape,
                             mv_bench_phase phase)
{
    return cost_of_shape(model, MV_COMPUTE_F32, phase, shape, NULL, true).linear_flops / 2;
}
