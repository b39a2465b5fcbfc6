/* cuda_many.c - more rows than a few: products through the library's GEMM, and between them kernels
 * that go over rows. With a tap, what is otherwise done in one step is done in two. */
#include "backends/cuda/cuda_engine.h"

static void multiply(mv_engine *e, void *y, size_t ldy, bool add, const void *x, size_t ld,
                     const void *weight, size_t n_out, size_t n_rows)
{
    const mv_gemm g = {.dtype = e->dtype,
                       .y_f32 = add || e->dtype == MV_DTYPE_F32,
                       .add = add,
                       .x = x,
                       .w = weight,
                       .y = y,
                       .ldx = ld,
                       .ldw = ld,
                       .ldy = ldy,
                       .n_rows = n_rows,
                       .n_out = n_out,
                       .n_in = ld};
    mv_device_gemm(e->device, &g);
}

/* x += in W^T for n rows, by way of `update` in float32 if somebody looks at it. */
static void multiply_add(mv_engine *e, const mv_piece *piece, const char *name, int32_t layer,
                         float *x, uint32_t n, const void *in, size_t ld, const void *weight)
{
    const size_t dim = e->p.dim;
    if (e->tap == NULL) {
        multiply(e, x, dim, true, in, ld, weight, dim, n);
        return;
    }
    mv_device_fill(e->device, e->tap_b, 0, n * dim * sizeof *e->tap_b);
    multiply(e, e->tap_b, dim, true, in, ld, weight, dim, n);
    (void)mv_tap_show(e, piece, name, layer, e->tap_b, 0, dim);
    mv_kernel_add(e->device, x, e->tap_b, n * dim);
}

static void show_qkv(mv_engine *e, const mv_piece *piece, int32_t layer, const mv_ring *ring)
{
    const size_t q = (size_t)e->p.n_heads * e->p.head_dim, kv = e->p.n_kv_heads * e->p.head_dim;
    char *at = e->qkv;
    (void)mv_tap_show(e, piece, "q", layer, at, e->dims.ld_qkv, q);
    bool changed = mv_tap_show(e, piece, "k", layer, at + q * e->size, e->dims.ld_qkv, kv);
    changed |= mv_tap_show(e, piece, "v", layer, at + (q + kv) * e->size, e->dims.ld_qkv, kv);
    if (changed) /* once more to the ring, as they are now */
        mv_kernel_append(e->device, e->dtype, &e->dims, e->qkv, ring, e->turns, e->rows,
                         piece->n_rows, false);
}

static void attention_half(mv_engine *e, const mv_piece *piece, uint32_t l)
{
    const mv_dims *s = &e->dims;
    const uint32_t n = piece->n_rows;
    const int32_t layer = (int32_t)l;
    const mv_ring ring = mv_ring_of(e, l);
    mv_kernel_norm(e->device, e->dtype, s, e->normed, e->x, e->norms + (size_t)2 * l * s->dim, NULL,
                   n);
    (void)mv_tap_show(e, piece, "attention_norm", layer, e->normed, s->ld_dim, s->dim);
    multiply(e, e->qkv, s->ld_qkv, false, e->normed, s->ld_dim, e->layers[l].qkv,
             (size_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim, n);
    mv_kernel_append(e->device, e->dtype, s, e->qkv, &ring, e->turns, e->rows, n, true);
    if (e->tap != NULL)
        show_qkv(e, piece, layer, &ring);
    if (piece->n_tiles > 0)
        mv_kernel_attend_many(e->device, e->dtype, s, e->heads, e->qkv, &ring, e->device_tiles,
                              piece->n_tiles);
    else
        mv_kernel_attend_few(e->device, e->dtype, s, e->heads, e->qkv, &ring, &e->splits, e->rows,
                             n);
    (void)mv_tap_show(e, piece, "attention", layer, e->heads, s->ld_heads,
                      (size_t)s->n_heads * s->head_dim);
    multiply_add(e, piece, "attention_out", layer, e->x, n, e->heads, s->ld_heads, e->layers[l].o);
    (void)mv_tap_show(e, piece, "attention_residual", layer, e->x, 0, s->dim);
}

/* As attention_half() without a tap, of the last layer: keys and values of all rows, for those who
 * come later; the rest for the n_last rows that logits are wanted of, which are then in x_last. */
static void last_attention(mv_engine *e, const mv_piece *piece, uint32_t l)
{
    const mv_dims *s = &e->dims;
    const uint32_t n = piece->n_last;
    const size_t q = (size_t)s->n_heads * s->head_dim;
    const float *norm = e->norms + (size_t)2 * l * s->dim;
    const mv_ring ring = mv_ring_of(e, l);
    char *weight = e->layers[l].qkv;
    mv_row *rows = e->rows + e->piece;
    mv_dims only_kv = *s, only_q = *s;
    only_kv.n_heads = 0;
    only_q.n_kv_heads = 0;
    mv_kernel_norm(e->device, e->dtype, s, e->normed, e->x, norm, NULL, piece->n_rows);
    multiply(e, e->qkv, s->ld_qkv, false, e->normed, s->ld_dim, weight + q * s->ld_dim * e->size,
             2 * (size_t)s->n_kv_heads * s->head_dim, piece->n_rows);
    mv_kernel_append(e->device, e->dtype, &only_kv, e->qkv, &ring, e->turns, e->rows, piece->n_rows,
                     true);
    if (n == 0)
        return;
    mv_device_upload(e->device, rows, e->host_rows + e->piece, n * sizeof *rows);
    mv_kernel_pick(e->device, s, e->x_last, e->x, e->device_index, n);
    mv_kernel_norm(e->device, e->dtype, s, e->normed, e->x_last, norm, NULL, n);
    multiply(e, e->qkv, s->ld_qkv, false, e->normed, s->ld_dim, weight, q, n);
    mv_kernel_append(e->device, e->dtype, &only_q, e->qkv, &ring, e->turns, rows, n, true);
    mv_kernel_attend_few(e->device, e->dtype, s, e->heads, e->qkv, &ring, &e->splits, rows, n);
    multiply_add(e, piece, "attention_out", (int32_t)l, e->x_last, n, e->heads, s->ld_heads,
                 e->layers[l].o);
}

static void feed_forward_half(mv_engine *e, const mv_piece *piece, uint32_t l, float *x, uint32_t n)
{
    const mv_dims *s = &e->dims;
    const int32_t layer = (int32_t)l;
    mv_kernel_norm(e->device, e->dtype, s, e->normed, x, e->norms + (size_t)(2 * l + 1) * s->dim,
                   NULL, n);
    (void)mv_tap_show(e, piece, "ffn_norm", layer, e->normed, s->ld_dim, s->dim);
    multiply(e, e->gate_up, 2 * (size_t)s->hidden_dim, false, e->normed, s->ld_dim,
             e->layers[l].gate_up, 2 * (size_t)s->hidden_dim, n);
    if (e->tap == NULL) {
        mv_kernel_swiglu(e->device, e->dtype, s, e->hidden, e->gate_up, n);
    } else {
        mv_kernel_split_gate(e->device, e->dtype, s, e->tap_a, e->tap_b, e->gate_up, n);
        (void)mv_tap_show(e, piece, "gate", layer, e->tap_a, 0, s->hidden_dim);
        (void)mv_tap_show(e, piece, "up", layer, e->tap_b, 0, s->hidden_dim);
        mv_kernel_join_gate(e->device, e->dtype, s, e->hidden, e->tap_a, e->tap_b, n);
    }
    multiply_add(e, piece, "ffn_out", layer, x, n, e->hidden, s->ld_ff, e->layers[l].down);
    (void)mv_tap_show(e, piece, "layer_out", layer, x, 0, s->dim);
}

/* logits = output x normed, for n rows of `normed` from `first` on, to the host. */
static void queue_logits(mv_engine *e, size_t first, size_t n, float *logits)
{
    const mv_dims *s = &e->dims;
    const mv_gemm g = {.dtype = e->dtype,
                       .y_f32 = true,
                       .x = (char *)e->normed + first * s->ld_dim * e->size,
                       .w = e->output,
                       .y = e->logits,
                       .ldx = s->ld_dim,
                       .ldw = s->ld_dim,
                       .ldy = s->vocab_size,
                       .n_rows = n,
                       .n_out = s->vocab_size,
                       .n_in = s->ld_dim};
    mv_device_gemm(e->device, &g);
    mv_device_download(e->device, logits, e->logits, n * s->vocab_size * sizeof *logits);
}

/* Norm and logits with a tap: all rows are normed, so that it sees them, and those that are asked
 * for go on one by one. */
static void show_output(mv_engine *e, const mv_piece *piece, const float *norm, float *logits)
{
    const mv_dims *s = &e->dims;
    mv_kernel_norm(e->device, e->dtype, s, e->normed, e->x, norm, NULL, piece->n_rows);
    (void)mv_tap_show(e, piece, "norm", -1, e->normed, s->ld_dim, s->dim);
    for (uint32_t i = 0; i < piece->n_logits; i++)
        queue_logits(e, e->index[i], 1, logits + (size_t)i * s->vocab_size);
}

static void queue_output(mv_engine *e, const mv_piece *piece, const float *norm, float *logits)
{
    const mv_dims *s = &e->dims;
    const bool picked = piece->n_last < piece->n_rows;
    for (uint32_t first = 0; first < piece->n_logits; first += MV_LOGIT_ROWS) {
        const uint32_t left = piece->n_logits - first;
        const uint32_t n = left < MV_LOGIT_ROWS ? left : MV_LOGIT_ROWS;
        mv_kernel_norm(e->device, e->dtype, s, e->normed,
                       picked ? e->x_last + (size_t)first * s->dim : e->x, norm,
                       picked ? NULL : e->device_index + first, n);
        queue_logits(e, 0, n, logits + (size_t)first * s->vocab_size);
    }
}

mv_code mv_many_rows(mv_engine *e, const mv_piece *piece, float *logits, mv_error *error)
{
    const mv_dims *s = &e->dims;
    const float *norm = e->norms + (size_t)2 * e->p.n_layers * s->dim;
    e->tap_error.code = MV_OK;
    for (uint32_t i = 0; i < piece->n_last && piece->n_last < piece->n_rows; i++)
        e->host_rows[e->piece + i] = e->host_rows[e->index[i]];
    mv_device_upload(e->device, e->rows, e->host_rows, piece->n_rows * sizeof *e->rows);
    mv_device_upload(e->device, e->device_index, e->index, piece->n_logits * sizeof *e->index);
    mv_device_upload(e->device, e->device_tiles, e->tiles, piece->n_tiles * sizeof *e->tiles);
    mv_kernel_embed(e->device, e->dtype, s, e->x, e->embedding, e->rows, piece->n_rows);
    (void)mv_tap_show(e, piece, "embedding", -1, e->x, 0, s->dim);
    for (uint32_t l = 0; l < e->p.n_layers; l++) {
        const bool all = piece->n_last == piece->n_rows || l + 1 < e->p.n_layers;
        if (all)
            attention_half(e, piece, l);
        else
            last_attention(e, piece, l);
        if (all || piece->n_last > 0)
            feed_forward_half(e, piece, l, all ? e->x : e->x_last,
                              all ? piece->n_rows : piece->n_last);
    }
    if (e->tap != NULL)
        show_output(e, piece, norm, logits);
    else
        queue_output(e, piece, norm, logits);
    mv_code code = mv_device_wait(e->device, error);
    if (code == MV_OK && e->tap_error.code != MV_OK)
        code = mv_fail(error, e->tap_error.code, "%s", e->tap_error.message);
    if (code == MV_OK && piece->n_logits > 0)
        mv_tap_show_logits(e, piece, logits);
    return code;
}
