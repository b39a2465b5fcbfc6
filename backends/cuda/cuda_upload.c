/* cuda_upload.c - weights to the device. A thread fills a room with rows, converted and padded, and
 * sends it while it fills the next; several threads do so at once, for one copying thread is slower
 * than the bus. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "backends/cuda/cuda_engine.h"

enum { ROOM_BYTES = 8 << 20, THREADS_MOST = 8, PARTS_MOST = 3 };

/* One matrix of the device: tensors one below the other, or two of them row by row in turn. */
typedef struct matrix {
    char *to;
    size_t ld;
    const mv_tensor *parts[PARTS_MOST];
    size_t n_parts;
    bool in_turn;
} matrix;

/* ---- numbers ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t bf16_of(float value) /* to nearest, ties to even; NaN stays NaN */
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static float float_of_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31u;
    const uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) /* zero, or fraction * 2^-24 */
        return float_of(bits_of((float)fraction * 0x1p-24f) | sign);
    return float_of(sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13);
}

static float element(const mv_tensor *w, size_t i)
{
    if (w->dtype == MV_DTYPE_F32)
        return ((const float *)w->data)[i];
    const uint16_t half = ((const uint16_t *)w->data)[i];
    return w->dtype == MV_DTYPE_F16 ? float_of_f16(half) : float_of((uint32_t)half << 16);
}

/* Row `row` of w, as the device wants it: `ld` elements, zeros after the last. */
static void convert_row(char *to, mv_dtype dtype, const mv_tensor *w, size_t row, size_t ld)
{
    const size_t n = w->shape[1], at = row * n, size = dtype == MV_DTYPE_F32 ? 4 : 2;
    memset(to + n * size, 0, (ld - n) * size);
    if (w->dtype == dtype) {
        memcpy(to, (const char *)w->data + at * size, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const float value = element(w, at + i);
        const uint16_t half = bf16_of(value);
        if (dtype == MV_DTYPE_F32)
            memcpy(to + i * size, &value, sizeof value);
        else
            memcpy(to + i * size, &half, sizeof half);
    }
}

/* ---- matrices ---- */

static size_t rows_of(const matrix *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_parts; i++)
        n += m->parts[i]->shape[0];
    return n;
}

/* Where row `row` of a matrix comes from. */
static const mv_tensor *source_of(const matrix *m, size_t *row)
{
    size_t part = 0;
    if (m->in_turn) {
        part = *row % 2;
        *row /= 2;
        return m->parts[part];
    }
    while (*row >= m->parts[part]->shape[0])
        *row -= m->parts[part++]->shape[0];
    return m->parts[part];
}

/* Number `i` of all matrices; false if there are no more. */
static bool matrix_at(matrix *m, const mv_engine *e, const mv_model_view *model, size_t i)
{
    const size_t n = 4 * (size_t)e->p.n_layers;
    if (i >= n) {
        const mv_tensor *w = i == n ? &model->tok_embeddings : &model->output;
        *m = (matrix){i == n ? e->embedding : e->output, e->dims.ld_dim, {w}, 1, false};
        return i == n || (i == n + 1 && e->output != e->embedding);
    }
    const mv_layer *l = mv_layer_at(model, (uint32_t)(i / 4));
    const mv_layer_weights *w = &e->layers[i / 4];
    const matrix four[] = {
        {w->qkv, e->dims.ld_dim, {&l->wq, &l->wk, &l->wv}, 3, false},
        {w->o, e->dims.ld_heads, {&l->wo}, 1, false},
        {w->gate_up, e->dims.ld_dim, {&l->w1, &l->w3}, 2, true},
        {w->down, e->dims.ld_ff, {&l->w2}, 1, false},
    };
    *m = four[i % 4];
    return true;
}

/* ---- threads ---- */

typedef struct upload {
    mv_engine *e;
    const mv_model_view *model;
    size_t room_bytes;
    atomic_size_t next; /* matrix that nobody has taken: its blocks go through one thread */
} upload;

typedef struct uploader {
    upload *all;
    mv_error error;
    mv_code code;
} uploader;

static void send_matrix(const upload *all, mv_lane *lane, const matrix *m)
{
    const size_t row_bytes = m->ld * all->e->size, n_rows = rows_of(m);
    const size_t step = all->room_bytes / row_bytes;
    for (size_t first = 0; first < n_rows; first += step) {
        const size_t n = n_rows - first < step ? n_rows - first : step;
        char *room = mv_lane_room(lane);
        for (size_t i = 0; i < n; i++) {
            size_t row = first + i;
            const mv_tensor *w = source_of(m, &row);
            convert_row(room + i * row_bytes, all->e->dtype, w, row, m->ld);
        }
        mv_lane_send(lane, m->to + first * row_bytes, n * row_bytes);
    }
}

static void *run_uploader(void *arg)
{
    uploader *u = arg;
    mv_lane *lane = NULL;
    matrix m;
    u->code = mv_lane_open(&lane, u->all->e->device, u->all->room_bytes, &u->error);
    while (u->code == MV_OK &&
           matrix_at(&m, u->all->e, u->all->model, atomic_fetch_add(&u->all->next, 1)))
        send_matrix(u->all, lane, &m);
    if (u->code == MV_OK)
        u->code = mv_lane_close(lane, &u->error);
    return NULL;
}

/* ---- what is small ---- */

static void send_norms(mv_engine *e, const mv_model_view *model, mv_lane *lane)
{
    const size_t dim = e->p.dim;
    for (uint32_t i = 0; i <= 2 * e->p.n_layers; i++) {
        const mv_layer *layer = i < 2 * e->p.n_layers ? mv_layer_at(model, i / 2) : NULL;
        const mv_tensor *w = layer == NULL ? &model->norm
                             : i % 2 == 0  ? &layer->attention_norm
                                           : &layer->ffn_norm;
        float *room = mv_lane_room(lane);
        for (size_t j = 0; j < dim; j++) {
            const float value = element(w, j);
            room[j] = e->dtype == MV_DTYPE_F32 ? value : float_of((uint32_t)bf16_of(value) << 16);
        }
        mv_lane_send(lane, e->norms + i * dim, dim * sizeof *room);
    }
}

/* Cosine and sine of position * theta^(-2i/E), in double before they are rounded: a position of
 * 32767 times a frequency rounded to float32 would be off by 2e-3. */
static void send_turns(mv_engine *e, size_t room_bytes, mv_lane *lane)
{
    const size_t head_dim = e->p.head_dim, step = room_bytes / (head_dim * sizeof(float));
    for (size_t first = 0; first < e->max_positions; first += step) {
        const size_t n = e->max_positions - first < step ? e->max_positions - first : step;
        float *room = mv_lane_room(lane);
        for (size_t i = 0; i < head_dim; i += 2) {
            const double frequency = pow(e->p.rope_theta, -(double)i / (double)head_dim);
            for (size_t t = 0; t < n; t++) {
                const double angle = (double)(first + t) * frequency;
                room[t * head_dim + i] = (float)cos(angle);
                room[t * head_dim + i + 1] = (float)sin(angle);
            }
        }
        mv_lane_send(lane, e->turns + first * head_dim, n * head_dim * sizeof *room);
    }
}

static mv_code send_small(mv_engine *e, const mv_model_view *model, size_t room_bytes,
                          mv_error *error)
{
    mv_lane *lane = NULL;
    mv_code code = mv_lane_open(&lane, e->device, room_bytes, error);
    if (code != MV_OK)
        return code;
    send_norms(e, model, lane);
    send_turns(e, room_bytes, lane);
    return mv_lane_close(lane, error);
}

mv_code mv_upload_weights(mv_engine *e, const mv_model_view *model, uint32_t n_threads,
                          mv_error *error)
{
    const mv_dims *s = &e->dims;
    size_t longest = s->ld_dim > s->ld_ff ? s->ld_dim : s->ld_ff;
    longest = longest > s->ld_heads ? longest : s->ld_heads;
    longest = longest > s->head_dim ? longest : s->head_dim;
    upload all = {e, model, mv_round_up(longest * sizeof(float), ROOM_BYTES), 0};
    uploader one[THREADS_MOST];
    pthread_t threads[THREADS_MOST];
    bool started[THREADS_MOST] = {false};
    uint32_t n =
        n_threads > 0 && n_threads < e->facts->copy_lanes ? n_threads : e->facts->copy_lanes;
    n = n < 1 ? 1 : n > THREADS_MOST ? THREADS_MOST : n;
    mv_code code = send_small(e, model, all.room_bytes, error);
    if (code != MV_OK)
        return code;
    for (uint32_t i = 0; i < n; i++) {
        one[i] = (uploader){.all = &all};
        started[i] = i > 0 && pthread_create(&threads[i], NULL, run_uploader, &one[i]) == 0;
    }
    (void)run_uploader(&one[0]);
    for (uint32_t i = 0; i < n; i++) {
        if (started[i])
            (void)pthread_join(threads[i], NULL);
        if (code == MV_OK && one[i].code != MV_OK)
            code = mv_fail(error, one[i].code, "%s", one[i].error.message);
    }
    return code;
}
