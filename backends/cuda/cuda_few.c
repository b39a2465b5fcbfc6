/* cuda_few.c - up to 8 rows: five kernels a layer, each reading its weights once. Everything that
 * changes from call to call is in e->rows, so that a call of n rows is the same list of kernels
 * each time: recorded once as a graph for each n, and then started as a whole. */
#include "backends/cuda/cuda_engine.h"

#include <string.h>

static void queue_layer(mv_engine *e, uint32_t l, uint32_t n)
{
    const mv_dims *s = &e->dims;
    const mv_layer_weights *w = &e->layers[l];
    const mv_ring ring = mv_ring_of(e, l);
    mv_gemv g = {.kind = MV_GEMV_QKV,
                 .weight = w->qkv,
                 .ld = s->ld_dim,
                 .n_out = (s->n_heads + 2 * s->n_kv_heads) * s->head_dim,
                 .x = e->x,
                 .norm = e->norms + (size_t)2 * l * s->dim,
                 .out = e->qkv,
                 .ld_out = s->ld_qkv,
                 .ring = ring,
                 .turns = e->turns,
                 .rows = e->rows,
                 .n_rows = n};
    mv_kernel_gemv(e->device, e->dtype, s, &g);
    mv_kernel_attend_few(e->device, e->dtype, s, e->heads, e->qkv, &ring, &e->splits, e->rows, n);
    g.kind = MV_GEMV_ADD;
    g.weight = w->o;
    g.ld = s->ld_heads;
    g.n_out = s->dim;
    g.in = e->heads;
    mv_kernel_gemv(e->device, e->dtype, s, &g);
    g.kind = MV_GEMV_GATE_UP;
    g.weight = w->gate_up;
    g.ld = s->ld_dim;
    g.n_out = 2 * s->hidden_dim;
    g.norm = e->norms + (size_t)(2 * l + 1) * s->dim;
    g.out = e->hidden;
    g.ld_out = s->ld_ff;
    mv_kernel_gemv(e->device, e->dtype, s, &g);
    g.kind = MV_GEMV_ADD;
    g.weight = w->down;
    g.ld = s->ld_ff;
    g.n_out = s->dim;
    g.in = e->hidden;
    mv_kernel_gemv(e->device, e->dtype, s, &g);
}

static void queue_rows(mv_engine *e, uint32_t n, bool wants_logits)
{
    const mv_dims *s = &e->dims;
    mv_device_upload(e->device, e->rows, e->host_rows, n * sizeof *e->rows);
    mv_kernel_embed(e->device, e->dtype, s, e->x, e->embedding, e->rows, n);
    for (uint32_t l = 0; l < e->p.n_layers; l++)
        queue_layer(e, l, n);
    if (!wants_logits)
        return;
    const mv_gemv g = {.kind = MV_GEMV_LOGITS,
                       .weight = e->output,
                       .ld = s->ld_dim,
                       .n_out = s->vocab_size,
                       .x = e->x,
                       .norm = e->norms + (size_t)2 * e->p.n_layers * s->dim,
                       .out = e->logits,
                       .ld_out = s->vocab_size,
                       .n_rows = n};
    mv_kernel_gemv(e->device, e->dtype, s, &g);
    mv_device_download(e->device, e->host_logits, e->logits,
                       (size_t)n * s->vocab_size * sizeof *e->logits);
}

/* Where a kernel's code is brought to the device at its first start, that must not happen while a
 * graph is recorded: one piece goes the plain way first. Its rows are all token 0 at position 0 of
 * sequence 0, and nobody reads what they leave: each sequence begins by writing its position 0. */
mv_code mv_few_record(mv_engine *e, mv_error *error)
{
    const uint32_t most = e->piece < MV_FEW_ROWS ? e->piece : MV_FEW_ROWS;
    mv_code code = MV_OK;
    memset(e->host_rows, 0, most * sizeof *e->host_rows);
    for (uint32_t n = 1; n <= most && e->facts->loads_lazily; n++) {
        if (n == 1 || n == 2 || n == 3 || n == 5) /* a kernel is made for 1, 2, 4 and 8 rows */
            queue_rows(e, n, true);
    }
    code = mv_device_wait(e->device, error);
    for (uint32_t n = 1; n <= most && code == MV_OK; n++) {
        code = mv_device_graph_begin(e->device, error);
        if (code != MV_OK)
            return code;
        queue_rows(e, n, true);
        code = mv_device_graph_end(e->device, &e->graphs[n], error);
    }
    return code;
}

mv_code mv_few_rows(mv_engine *e, const mv_piece *piece, float *logits, mv_error *error)
{
    const size_t vocab_size = e->p.vocab_size;
    if (piece->n_logits > 0 && e->graphs[piece->n_rows] != NULL)
        mv_device_graph_run(e->device, e->graphs[piece->n_rows]);
    else
        queue_rows(e, piece->n_rows, piece->n_logits > 0);
    const mv_code code = mv_device_wait(e->device, error);
    for (uint32_t i = 0; i < piece->n_logits && code == MV_OK; i++)
        memcpy(logits + i * vocab_size, e->host_logits + e->index[i] * vocab_size,
               vocab_size * sizeof *logits);
    return code;
}
