/* forward.c - the order of a forward pass. The work between the products goes row by row. */
#include "backends/blas/engine.h"

#include <math.h>
#include <string.h>

/* ---- rows, shared out ---- */

typedef struct rows_job {
    mv_engine *e;
    void (*one)(mv_engine *e, size_t row, const void *arg);
    const void *arg;
    size_t n_rows, step;
} rows_job;

static void some_rows(void *arg, size_t item, uint32_t worker)
{
    const rows_job *job = arg;
    size_t end = (item + 1) * job->step;
    (void)worker;
    for (size_t row = item * job->step; row < end && row < job->n_rows; row++)
        job->one(job->e, row, job->arg);
}

/* one() for each row; width: about how many values it touches. */
static void each_row(mv_engine *e, size_t n_rows, size_t width,
                     void (*one)(mv_engine *, size_t, const void *), const void *arg)
{
    rows_job job = {e, one, arg, n_rows, 64 * 1024 / (width + 1) + 1};
    mv_pool_run(e->pool, (n_rows + job.step - 1) / job.step, some_rows, &job);
}

/* ---- what happens to a row ---- */

static void embed(mv_engine *e, size_t row, const void *tokens)
{
    const mv_tensor *w = &e->model->tok_embeddings;
    const size_t dim = e->p.dim, token = (size_t)((const int32_t *)tokens)[row];
    const size_t size = w->dtype == MV_DTYPE_F32 ? 4 : 2;
    float *x = e->x + row * dim;
    e->kernels->to_f32(x, (const char *)w->data + token * dim * size, w->dtype, dim);
    if (e->bf16)
        e->kernels->round_bf16(x, x, dim);
}

/* normed = x / sqrt(mean(x^2) + eps) * weight */
static void norm(mv_engine *e, size_t row, const void *weight)
{
    const size_t dim = e->p.dim;
    const float *x = e->x + row * dim;
    float mean = e->kernels->sum_of_squares(x, dim) / (float)dim;
    float factor = 1 / sqrtf(mean + (float)e->p.norm_eps);
    e->kernels->multiply(e->normed + row * dim, x, weight, factor, dim);
}

static void add_update(mv_engine *e, size_t row, const void *unused)
{
    (void)unused;
    e->kernels->add(e->x + row * e->p.dim, e->update + row * e->p.dim, e->p.dim);
}

/* Pairs (2i, 2i+1) of each head by the angles of this row. */
static void turn(const mv_engine *e, float *heads, size_t n_heads, const float *turns)
{
    const size_t head_dim = e->p.head_dim;
    for (size_t h = 0; h < n_heads; h++, heads += head_dim) {
        for (size_t i = 0; i < head_dim; i += 2) {
            float a = heads[i], b = heads[i + 1], c = turns[i], s = turns[i + 1];
            heads[i] = a * c - b * s;
            heads[i + 1] = a * s + b * c;
        }
    }
}

static void turn_q(mv_engine *e, size_t row, const void *unused)
{
    (void)unused;
    turn(e, e->q + row * e->p.n_heads * e->p.head_dim, e->p.n_heads,
         e->turns + row * e->p.head_dim);
}

static void turn_k(mv_engine *e, size_t row, const void *unused)
{
    (void)unused;
    turn(e, e->k + row * e->p.n_kv_heads * e->p.head_dim, e->p.n_kv_heads,
         e->turns + row * e->p.head_dim);
}

static void turn_qk(mv_engine *e, size_t row, const void *unused)
{
    turn_q(e, row, unused);
    turn_k(e, row, unused);
}

static void silu(mv_engine *e, size_t row, const void *unused)
{
    (void)unused;
    e->kernels->silu(e->gate + row * e->p.hidden_dim, e->p.hidden_dim);
}

static void times_up(mv_engine *e, size_t row, const void *unused)
{
    float *gate = e->gate + row * e->p.hidden_dim;
    (void)unused;
    e->kernels->multiply(gate, gate, e->up + row * e->p.hidden_dim, 1, e->p.hidden_dim);
}

static void swiglu(mv_engine *e, size_t row, const void *unused)
{
    (void)unused;
    e->kernels->swiglu(e->gate + row * e->p.hidden_dim, e->up + row * e->p.hidden_dim,
                       e->p.hidden_dim);
}

/* Cosine and sine of position * theta^(-2i/E), in double before they are rounded: a position of
 * 32767 times a frequency rounded to float32 would be off by 2e-3. */
typedef struct turns_job {
    uint32_t n_spans;
} turns_job;

static void find_turns(mv_engine *e, size_t row, const void *arg)
{
    const turns_job *job = arg;
    const mv_span *s = e->spans;
    float *turns = e->turns + row * e->p.head_dim;
    while (s + 1 < e->spans + job->n_spans && row >= s[1].row)
        s++;
    for (uint32_t i = 0; i < e->p.head_dim; i += 2) {
        double frequency = pow(e->p.rope_theta, -(double)i / e->p.head_dim);
        double angle = (double)(s->start + (row - s->row)) * frequency;
        turns[i] = (float)cos(angle);
        turns[i + 1] = (float)sin(angle);
    }
}

/* ---- taps ---- */

/* Shows the rows first ... first + n_rows - 1 of the call, of which data is the first, sequence by
 * sequence. A replacement is already in place. */
static void tap(mv_engine *e, const char *name, int32_t layer, uint32_t n_spans, float *data,
                size_t n_cols, size_t first, size_t n_rows)
{
    for (uint32_t i = 0; i < n_spans && e->tap != NULL; i++) {
        const mv_span *s = &e->spans[i];
        size_t from = s->row > first ? s->row : first, to = s->row + s->n;
        if (to > first + n_rows)
            to = first + n_rows;
        if (from >= to)
            continue;
        mv_tap view = {.struct_size = sizeof view,
                       .name = name,
                       .layer = layer,
                       .sequence = s->sequence,
                       .first_position = s->start + (from - s->row),
                       .n_rows = to - from,
                       .n_cols = n_cols,
                       .dtype = MV_TAP_F32,
                       .data = data + (from - first) * n_cols};
        (void)e->tap(e->tap_cookie, &view);
    }
}

/* ---- the pass ---- */

static void linear(mv_engine *e, float *y, const mv_tensor *weight, const float *x, size_t n_rows)
{
    const mv_product one = {y, weight};
    mv_linear(e, &one, 1, x, n_rows);
    e->work.linear_multiply_adds += n_rows * weight->shape[0] * weight->shape[1];
}

/* x += Attention(RMSNorm(x)), from where heads are known */
static void leave_attention(mv_engine *e, uint32_t l, uint32_t n_spans, size_t T)
{
    const size_t dim = e->p.dim, q_width = (size_t)e->p.n_heads * e->p.head_dim;
    const int32_t layer = (int32_t)l;
    tap(e, "attention", layer, n_spans, e->heads, q_width, 0, T);
    linear(e, e->update, &mv_layer_at(e->model, l)->wo, e->heads, T);
    tap(e, "attention_out", layer, n_spans, e->update, dim, 0, T);
    each_row(e, T, dim, add_update, NULL);
    tap(e, "attention_residual", layer, n_spans, e->x, dim, 0, T);
}

static void attention_half(mv_engine *e, uint32_t l, uint32_t n_spans, size_t T)
{
    const mv_layer *w = mv_layer_at(e->model, l);
    const size_t dim = e->p.dim, q_width = (size_t)e->p.n_heads * e->p.head_dim;
    const size_t kv_width = (size_t)e->p.n_kv_heads * e->p.head_dim;
    const int32_t layer = (int32_t)l;
    const mv_product products[] = {{e->q, &w->wq}, {e->k, &w->wk}, {e->v, &w->wv}};
    each_row(e, T, dim, norm, e->scales + 2 * l * dim);
    tap(e, "attention_norm", layer, n_spans, e->normed, dim, 0, T);
    mv_linear(e, products, 3, e->normed, T);
    e->work.linear_multiply_adds += T * dim * (q_width + 2 * kv_width);
    each_row(e, T, q_width + kv_width, turn_qk, NULL);
    tap(e, "q", layer, n_spans, e->q, q_width, 0, T);
    tap(e, "k", layer, n_spans, e->k, kv_width, 0, T);
    tap(e, "v", layer, n_spans, e->v, kv_width, 0, T);
    mv_cache_take_new(e, T);
    mv_attention(e, l, n_spans);
    mv_cache_write(e, l, n_spans);
    leave_attention(e, l, n_spans, T);
}

/* update = W2 (silu(W1 normed) * W3 normed) for rows first ... first + n - 1. Hidden rows are the
 * widest there are: they exist for one block at a time. */
static void feed_forward_rows(mv_engine *e, uint32_t l, uint32_t n_spans, size_t first, size_t n)
{
    const mv_layer *w = mv_layer_at(e->model, l);
    const size_t dim = e->p.dim, hidden_dim = e->p.hidden_dim;
    const int32_t layer = (int32_t)l;
    const mv_product products[] = {{e->gate, &w->w1}, {e->up, &w->w3}};
    mv_linear(e, products, 2, e->normed + first * dim, n);
    e->work.linear_multiply_adds += 2 * n * dim * hidden_dim;
    if (e->tap != NULL) {
        each_row(e, n, hidden_dim, silu, NULL);
        tap(e, "gate", layer, n_spans, e->gate, hidden_dim, first, n);
        tap(e, "up", layer, n_spans, e->up, hidden_dim, first, n);
        each_row(e, n, hidden_dim, times_up, NULL);
    } else {
        each_row(e, n, hidden_dim, swiglu, NULL);
    }
    linear(e, e->update + first * dim, &w->w2, e->gate, n);
}

static void feed_forward_half(mv_engine *e, uint32_t l, uint32_t n_spans, size_t T)
{
    const size_t dim = e->p.dim;
    const int32_t layer = (int32_t)l;
    each_row(e, T, dim, norm, e->scales + (2 * l + 1) * dim);
    tap(e, "ffn_norm", layer, n_spans, e->normed, dim, 0, T);
    for (size_t first = 0; first < T; first += MV_GEMM_MAX_ROWS)
        feed_forward_rows(e, l, n_spans, first,
                          T - first < MV_GEMM_MAX_ROWS ? T - first : MV_GEMM_MAX_ROWS);
    tap(e, "ffn_out", layer, n_spans, e->update, dim, 0, T);
    each_row(e, T, dim, add_update, NULL);
    tap(e, "layer_out", layer, n_spans, e->x, dim, 0, T);
}

/* The last row of each sequence moves up to row i. */
static void keep_rows(const mv_engine *e, uint32_t n_spans, void *rows, size_t row_bytes)
{
    for (uint32_t i = 0; i < n_spans; i++) {
        const mv_span *s = &e->spans[i];
        memmove((char *)rows + i * row_bytes, (char *)rows + (s->row + s->n - 1) * row_bytes,
                row_bytes);
    }
}

/* After keep_rows() of all that is still needed: as if the call had brought only the last token of
 * each sequence, so that the rest is the same for all rows and for the last ones. */
static size_t keep_last_spans(mv_engine *e, uint32_t n_spans)
{
    for (uint32_t i = 0; i < n_spans; i++) {
        mv_span *s = &e->spans[i];
        *s = (mv_span){s->sequence, s->start + s->n - 1, 1, i};
    }
    return n_spans;
}

/* The last layer where nobody looks at the other rows: keys and values of all, for later calls, and
 * the rest for the last row of each sequence. What that row sees is in the cache once all are
 * written: the W newest. Returns how many rows are left. */
static size_t last_layer(mv_engine *e, uint32_t l, uint32_t n_spans, size_t T, bool only_cache)
{
    const mv_layer *w = mv_layer_at(e->model, l);
    const size_t dim = e->p.dim, head_dim = e->p.head_dim, kv_width = e->p.n_kv_heads * head_dim;
    const mv_product products[] = {{e->k, &w->wk}, {e->v, &w->wv}};
    each_row(e, T, dim, norm, e->scales + 2 * l * dim);
    mv_linear(e, products, 2, e->normed, T);
    e->work.linear_multiply_adds += 2 * T * dim * kv_width;
    each_row(e, T, kv_width, turn_k, NULL);
    mv_cache_take_new(e, T);
    mv_cache_write(e, l, n_spans);
    if (only_cache)
        return 0;
    keep_rows(e, n_spans, e->x, dim * sizeof *e->x);
    keep_rows(e, n_spans, e->normed, dim * sizeof *e->normed);
    keep_rows(e, n_spans, e->turns, head_dim * sizeof *e->turns);
    keep_rows(e, n_spans, e->new_k, kv_width * e->kv_size);
    keep_rows(e, n_spans, e->new_v, kv_width * e->kv_size);
    T = keep_last_spans(e, n_spans);
    linear(e, e->q, &w->wq, e->normed, T);
    each_row(e, T, e->p.n_heads * head_dim, turn_q, NULL);
    mv_attention(e, l, n_spans);
    leave_attention(e, l, n_spans, T);
    feed_forward_half(e, l, n_spans, T);
    return T;
}

void mv_forward(mv_engine *e, uint32_t n_spans, const int32_t *tokens, size_t n_rows,
                mv_logits which, float *logits)
{
    const size_t dim = e->p.dim, vocab_size = e->p.vocab_size;
    const uint32_t last = e->p.n_layers - 1;
    const turns_job turns = {n_spans};
    const mv_product output = {logits, &e->model->output};
    const bool few = which == MV_LOGITS_NONE || (which == MV_LOGITS_LAST && n_rows > n_spans);
    each_row(e, n_rows, dim, embed, tokens);
    tap(e, "embedding", -1, n_spans, e->x, dim, 0, n_rows);
    each_row(e, n_rows, 64 * e->p.head_dim, find_turns, &turns);
    for (uint32_t l = 0; l < last; l++) {
        attention_half(e, l, n_spans, n_rows);
        feed_forward_half(e, l, n_spans, n_rows);
    }
    if (few && e->tap == NULL) {
        n_rows = last_layer(e, last, n_spans, n_rows, which == MV_LOGITS_NONE);
    } else {
        attention_half(e, last, n_spans, n_rows);
        feed_forward_half(e, last, n_spans, n_rows);
    }
    if (n_rows == 0)
        return;
    each_row(e, n_rows, dim, norm, e->scales + 2 * (size_t)e->p.n_layers * dim);
    tap(e, "norm", -1, n_spans, e->normed, dim, 0, n_rows);
    if (which == MV_LOGITS_NONE)
        return;
    if (which == MV_LOGITS_LAST && n_rows > n_spans) { /* with a tap */
        keep_rows(e, n_spans, e->normed, dim * sizeof *e->normed);
        n_rows = keep_last_spans(e, n_spans);
    }
    mv_linear(e, &output, 1, e->normed, n_rows);
    e->work.output_multiply_adds += n_rows * dim * vocab_size;
    tap(e, "logits", -1, n_spans, logits, vocab_size, 0, n_rows);
}
