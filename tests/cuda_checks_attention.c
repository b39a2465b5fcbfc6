/* Attention by splits and by tiles, over rings that have wrapped, windows and groups of all kinds;
 * and what becomes of values that are not finite. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_checks_list.h"
#include "tests/cuda_stage.h"

/* Queries at positions `start` ... of sequence 1 of 2. */
typedef struct shape {
    uint32_t head_dim, n_heads, n_kv_heads, window, start, n, n_slots;
} shape;

static const shape shapes[] = {
    {16, 8, 2, 8, 0, 20, 64},       /* synthetic:probe, the first tokens */
    {16, 8, 2, 8, 61, 7, 64},       /* over the end of the ring */
    {128, 4, 1, 100, 200, 33, 192}, /* 7B's heads */
    {64, 2, 2, 0, 0, 70, 128},      /* no window, no groups */
    {32, 4, 4, 64, 60, 130, 256},   /* more queries than the window is wide */
    {16, 12, 2, 300, 900, 5, 384},  /* groups of 6; a window over three splits of 256 */
    {6, 2, 1, 5, 3, 9, 64},         /* no vectors, no tensor cores */
    {24, 2, 1, 7, 10, 18, 64},      /* vectors, and no tensor cores */
    {256, 2, 1, 7, 250, 18, 128},   {64, 4, 2, 1, 5, 3, 64}, /* a window of one */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct attention_case {
    cuda_stage s;
    mv_dims dims;
    uint32_t start, n, n_tiles;
    void *qkv, *heads;
    mv_ring ring;
    mv_row *rows;
    mv_tile *tiles;
    mv_splits splits;
} attention_case;

static size_t ring_at(const attention_case *c, uint32_t kv_head, uint32_t position)
{
    const size_t head = (size_t)c->dims.n_kv_heads + kv_head; /* of sequence 1 */
    return (head * c->dims.n_slots + position % c->dims.n_slots) * c->dims.head_dim;
}

static uint32_t oldest_of(const attention_case *c, uint32_t position)
{
    const uint32_t window = c->dims.window;
    return window > 0 && position + 1 > window ? position + 1 - window : 0;
}

/* Only what a query sees is in the ring. The rest is NaN, as all of a device's memory at first. */
static void fill_ring(attention_case *c)
{
    for (uint32_t h = 0; h < c->dims.n_kv_heads; h++) {
        for (uint32_t p = oldest_of(c, c->start); p < c->start + c->n; p++) {
            for (uint32_t i = 0; i < c->dims.head_dim; i++) {
                (void)cuda_put(&c->s, c->ring.k, ring_at(c, h, p) + i, 2 * cuda_random(&c->s));
                (void)cuda_put(&c->s, c->ring.v, ring_at(c, h, p) + i, cuda_random(&c->s));
            }
        }
    }
}

static void set_up(attention_case *c, const shape *w)
{
    cuda_stage *s = &c->s;
    const uint32_t width = (w->n_heads + 2 * w->n_kv_heads) * w->head_dim;
    const uint32_t q = w->n_heads * w->head_dim, tile = mv_attend_tile(s->dtype, w->head_dim);
    c->dims = (mv_dims){.n_heads = w->n_heads,
                        .n_kv_heads = w->n_kv_heads,
                        .head_dim = w->head_dim,
                        .window = w->window,
                        .n_slots = w->n_slots,
                        .ld_qkv = (width + 7) / 8 * 8,
                        .ld_heads = (q + 7) / 8 * 8,
                        .scale_log2 = (float)(1.4426950408889634 / sqrt((double)w->head_dim))};
    c->start = w->start;
    c->n = w->n;
    c->n_tiles = (w->n + tile - 1) / tile;
    c->qkv = cuda_array(s, (size_t)w->n * c->dims.ld_qkv);
    c->heads = cuda_array(s, (size_t)w->n * c->dims.ld_heads);
    const size_t n_ring = 2 * (size_t)w->n_kv_heads * w->n_slots * w->head_dim;
    c->ring = (mv_ring){cuda_array(s, n_ring), cuda_array(s, n_ring)};
    c->rows = (mv_row *)(void *)cuda_floats(s, (size_t)w->n * 4);
    c->tiles = (mv_tile *)(void *)cuda_floats(s, (size_t)c->n_tiles * 4);
    c->splits.n_splits = mv_splits_most(w->window, w->start + w->n);
    const size_t n_heads = (size_t)w->n * w->n_heads;
    c->splits.partial = cuda_floats(s, n_heads * c->splits.n_splits * (w->head_dim + 2));
    c->splits.counters = (uint32_t *)(void *)cuda_floats(s, n_heads);
    memset(c->splits.counters, 0, n_heads * sizeof *c->splits.counters);
    cuda_fill_rows(s, c->qkv, w->n, q, c->dims.ld_qkv);
    fill_ring(c);
    for (uint32_t r = 0; r < w->n; r++)
        c->rows[r] = (mv_row){0, 1, w->start + r, 0};
    for (uint32_t t = 0; t < c->n_tiles; t++)
        c->tiles[t] = (mv_tile){t * tile, w->n - t * tile < tile ? w->n - t * tile : tile, 1,
                                w->start + t * tile};
}

static void start_few(void *arg)
{
    attention_case *c = arg;
    mv_kernel_attend_few(c->s.device, c->s.dtype, &c->dims, c->heads, c->qkv, &c->ring, &c->splits,
                         c->rows, c->n);
}

static void start_many(void *arg)
{
    attention_case *c = arg;
    mv_kernel_attend_many(c->s.device, c->s.dtype, &c->dims, c->heads, c->qkv, &c->ring, c->tiles,
                          c->n_tiles);
}

/* out [E] = softmax(q K^T / sqrt(E)) V, in double. */
static void attend(const attention_case *c, uint32_t row, uint32_t head, double *out)
{
    const mv_dims *d = &c->dims;
    const uint32_t kv_head = head / (d->n_heads / d->n_kv_heads), query = c->start + row;
    double sum = 0;
    memset(out, 0, d->head_dim * sizeof *out);
    for (uint32_t key = oldest_of(c, query); key <= query; key++) {
        const size_t at = ring_at(c, kv_head, key);
        double score = 0;
        for (uint32_t i = 0; i < d->head_dim; i++)
            score += cuda_get(&c->s, c->qkv, (size_t)row * d->ld_qkv + head * d->head_dim + i) *
                     cuda_get(&c->s, c->ring.k, at + i);
        const double p = exp(score / sqrt((double)d->head_dim));
        sum += p;
        for (uint32_t i = 0; i < d->head_dim; i++)
            out[i] += p * cuda_get(&c->s, c->ring.v, at + i);
    }
    for (uint32_t i = 0; i < d->head_dim; i++)
        out[i] /= sum;
}

static bool compare(attention_case *c)
{
    const mv_dims *d = &c->dims;
    const size_t width = (size_t)d->n_heads * d->head_dim, n = c->n * width;
    double *expected = malloc(n * sizeof *expected), *found = malloc(n * sizeof *found);
    for (uint32_t r = 0; r < c->n; r++) {
        for (uint32_t h = 0; h < d->n_heads; h++)
            attend(c, r, h, expected + r * width + (size_t)h * d->head_dim);
        for (size_t i = 0; i < width; i++)
            found[r * width + i] = cuda_get(&c->s, c->heads, r * (size_t)d->ld_heads + i);
    }
    const bool good = cuda_close(&c->s, "attention", found, expected, n,
                                 c->s.dtype == MV_DTYPE_BF16 ? 8e-3 : 2e-6);
    free(expected);
    free(found);
    return good;
}

static bool check_shapes(void (*start)(void *), char *why, size_t why_size)
{
    bool good = true;
    for (int type = 0; type < 2; type++) {
        for (size_t i = 0; i < N_SHAPES && good; i++) {
            attention_case c = {.n = 0};
            good = cuda_stage_open(&c.s, type == 0 ? MV_DTYPE_F32 : MV_DTYPE_BF16, why, why_size);
            if (good) {
                set_up(&c, &shapes[i]);
                good = cuda_run_all(&c.s, NULL, start, &c, c.heads,
                                    (size_t)c.n * c.dims.ld_heads * (type == 0 ? 4 : 2)) &&
                       compare(&c);
            }
            cuda_stage_close(&c.s);
            if (!good) {
                const size_t used = strlen(why);
                (void)snprintf(why + used, why_size - used, " (shape %zu, %s)", i,
                               type == 0 ? "f32" : "bf16");
            }
        }
    }
    return good;
}

bool cuda_check_attend_few(char *why, size_t why_size)
{
    return check_shapes(start_few, why, why_size);
}

bool cuda_check_attend_many(char *why, size_t why_size)
{
    return check_shapes(start_many, why, why_size);
}

/* One value of key `bad` becomes NaN: the queries that see it give NaN, the others are as before.
 */
static bool is_contained(attention_case *c, void (*start)(void *), uint32_t bad)
{
    const size_t n = (size_t)c->n * c->dims.ld_heads;
    double *before = malloc(n * sizeof *before);
    bool good = true;
    start(c);
    for (size_t i = 0; i < n; i++)
        before[i] = cuda_get(&c->s, c->heads, i);
    const size_t at = ring_at(c, 0, bad) + 3;
    const double was = cuda_get(&c->s, c->ring.v, at);
    (void)cuda_put(&c->s, c->ring.v, at, (double)NAN);
    start(c);
    for (uint32_t r = 0; r < c->n && good; r++) {
        const size_t one = (size_t)r * c->dims.ld_heads + 3; /* of head 0 */
        const bool sees = bad <= c->start + r && bad >= oldest_of(c, c->start + r);
        const double now = cuda_get(&c->s, c->heads, one);
        good = sees ? isnan(now) : now == before[one];
        if (!good)
            (void)snprintf(c->s.why, c->s.why_size,
                           "NaN at key %u, query %u: %g, expected %s (%g before)", bad,
                           c->start + r, now, sees ? "NaN" : "no change", before[one]);
    }
    (void)cuda_put(&c->s, c->ring.v, at, was);
    free(before);
    return good;
}

bool cuda_check_not_finite(char *why, size_t why_size)
{
    static const shape one = {16, 4, 2, 40, 70, 90, 192};
    bool good = true;
    for (int type = 0; type < 2 && good; type++) {
        attention_case c = {.n = 0};
        good = cuda_stage_open(&c.s, type == 0 ? MV_DTYPE_F32 : MV_DTYPE_BF16, why, why_size);
        if (good)
            set_up(&c, &one);
        for (uint32_t bad = 31; bad < 160 && good; bad += 16)
            good = is_contained(&c, start_few, bad) && is_contained(&c, start_many, bad);
        cuda_stage_close(&c.s);
    }
    return good;
}
