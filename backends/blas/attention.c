/* attention.c - softmax(q K^T / sqrt(E)) V over the keys that a query may see, and no others.
 *
 * An item of work is a block of queries of one sequence with all query heads of one key/value head:
 * each key is read once for all of them. Softmax is online: a row keeps its highest score so far,
 * the sum of exponentials below it, and its weighed values, and rescales them when a higher comes.
 *
 * The keys that every query of the block sees go through the GEMM's tiles, packed piece by piece.
 * Those at the two ends, which only some see, go query by query over exactly its own range: nothing
 * is computed to be masked, so no query touches a key outside its window, not even with weight 0.
 */
#include "backends/blas/engine.h"

#include <math.h>
#include <string.h>

enum {
    MOST_ROWS = 128, /* (query, head) rows in a block, unless one query has more */
    PIECE = 64,      /* keys at a time */
    LEAST_ROWS = 12, /* below this, packing keys costs more than it saves */
    LEAST_KEYS = 16
};

typedef struct attention_job {
    mv_engine *e;
    uint32_t layer, n_spans;
    uint64_t queries_in_block;
} attention_job;

/* A block in work. Rows are query-major: row = query * group + head. */
typedef struct block {
    mv_engine *e;
    uint32_t layer, kv_head;
    const mv_span *span;
    uint64_t first, n; /* queries: positions first ... first + n - 1 */
    size_t group;      /* query heads of this key/value head */
    uint32_t worker;
    float *q;             /* [rows, E] */
    float *out;           /* [rows, E] */
    float *highest, *sum; /* [rows] */
    float *scores;        /* [rows, PIECE] */
    float *prepared;      /* [group, E] queries as gemv() wants them */
    float *packed_q;      /* of rows, E */
    float *packed_p;      /* of rows, PIECE */
    float *packed_kv;     /* of PIECE keys, or of E values */
} block;

static size_t group_of(const mv_engine *e)
{
    return e->p.n_heads / e->p.n_kv_heads;
}

static uint64_t queries_in_block(const mv_engine *e)
{
    size_t group = group_of(e);
    return group < MOST_ROWS ? MOST_ROWS / group : 1;
}

static size_t rounded_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

/* Hands out room; with e->attention NULL, only counts it. */
static float *take(float *base, size_t *used, size_t n)
{
    float *room = base != NULL ? base + *used : NULL;
    *used += rounded_up(n, 16);
    return room;
}

static size_t lay_out(block *b, const mv_engine *e, float *base)
{
    const size_t group = group_of(e), rows = queries_in_block(e) * group, head_dim = e->p.head_dim;
    const mv_panels *p = e->kernels->panels[0];
    const size_t padded = rounded_up(rows, p->mr);
    const size_t keys = rounded_up(PIECE, p->nr) * head_dim;
    const size_t values = rounded_up(head_dim, p->nr) * PIECE;
    size_t used = 0;
    b->q = take(base, &used, rows * head_dim);
    b->out = take(base, &used, rows * head_dim);
    b->highest = take(base, &used, rows);
    b->sum = take(base, &used, rows);
    b->scores = take(base, &used, rows * PIECE);
    b->prepared = take(base, &used, group * head_dim);
    b->packed_q = take(base, &used, padded * head_dim);
    b->packed_p = take(base, &used, padded * PIECE);
    b->packed_kv = take(base, &used, keys > values ? keys : values);
    return used;
}

size_t mv_attention_room(const mv_engine *e)
{
    block unused;
    return lay_out(&unused, e, NULL);
}

/* The query at position i sees i-W+1 ... i. */
static uint64_t oldest_key(const mv_engine *e, uint64_t query)
{
    uint64_t window = e->p.sliding_window;
    return window > 0 && query + 1 > window ? query + 1 - window : 0;
}

/* Scores q k become exponentials below the highest so far; what was there before is rescaled. */
static void soften(block *b, size_t row, float *scores, size_t n)
{
    const mv_kernels *kernels = b->e->kernels;
    kernels->scale(scores, 1 / sqrtf((float)b->e->p.head_dim), n);
    float before = b->highest[row], most = kernels->max(scores, n);
    float highest = most > before ? most : before;
    float factor = before == highest ? 1 : expf(before - highest);
    b->highest[row] = highest;
    b->sum[row] = b->sum[row] * factor + kernels->exp_sum(scores, highest, n);
    if (factor != 1)
        kernels->scale(b->out + row * b->e->p.head_dim, factor, b->e->p.head_dim);
}

static void count(block *b, const mv_keys *keys, size_t n_rows)
{
    mv_count *counts = &b->e->counts[b->worker];
    counts->pairs += keys->n * n_rows;
    if (keys->cached)
        counts->cache_bytes += 2 * keys->n * b->e->p.head_dim * b->e->kv_size;
}

/* One query (its `group` rows) and the keys from ... to - 1. */
static void attend_query(block *b, uint64_t query, uint64_t from, uint64_t to)
{
    const mv_engine *e = b->e;
    const size_t head_dim = e->p.head_dim, row = (query - b->first) * b->group;
    if (from >= to)
        return;
    for (size_t g = 0; g < b->group; g++)
        e->kernels->prepare_x(b->prepared + g * head_dim, b->q + (row + g) * head_dim, head_dim,
                              e->kv_dtype, false);
    while (from < to) {
        uint64_t end = to - from < PIECE ? to : from + PIECE;
        mv_keys keys = mv_cache_keys(e, b->layer, b->span, b->kv_head, from, end);
        float *scores = b->scores + row * PIECE;
        e->kernels->gemv(scores, PIECE, b->prepared, head_dim, b->group, keys.k, e->kv_dtype,
                         keys.stride, keys.n, head_dim, false);
        for (size_t g = 0; g < b->group; g++)
            soften(b, row + g, scores + g * PIECE, keys.n);
        e->kernels->weigh(b->out + row * head_dim, head_dim, scores, PIECE, b->group, keys.v,
                          e->kv_dtype, keys.stride, keys.n, head_dim);
        count(b, &keys, b->group);
        from += keys.n;
    }
}

/* c [rows, n] = or += x (packed, [rows, k]) times packed panels of n. */
static void multiply_panels(const mv_panels *p, float *c, size_t c_stride, const float *x,
                            const float *w, size_t rows, size_t n, size_t k, bool add)
{
    for (size_t t = 0; t < rows; t += p->mr) {
        for (size_t j = 0; j < n; j += p->nr)
            p->tile(c + t * c_stride + j, c_stride, x + t * k, w + j * k, k,
                    rows - t < p->mr ? rows - t : p->mr, n - j < p->nr ? n - j : p->nr, add);
    }
}

/* Values as panels [E / nr][n keys][nr]: they need no transposing. */
static void pack_values(block *b, const mv_keys *keys, const mv_panels *p)
{
    const mv_engine *e = b->e;
    const size_t head_dim = e->p.head_dim;
    for (size_t j = 0; j < head_dim; j += p->nr) {
        size_t n = head_dim - j < p->nr ? head_dim - j : p->nr;
        for (size_t r = 0; r < keys->n; r++) {
            float *to = b->packed_kv + j * keys->n + r * p->nr;
            e->kernels->to_f32(to, keys->v + (r * keys->stride + j) * e->kv_size, e->kv_dtype, n);
            for (size_t i = n; i < p->nr; i++)
                to[i] = 0;
        }
    }
}

/* All queries of the block and the keys from ... to - 1, which all of them see. */
static void attend_block(block *b, uint64_t from, uint64_t to)
{
    const mv_engine *e = b->e;
    const mv_panels *p = e->kernels->panels[0];
    const size_t head_dim = e->p.head_dim, rows = b->n * b->group;
    p->pack_x(b->packed_q, b->q, head_dim, rows, head_dim);
    while (from < to) {
        uint64_t end = to - from < PIECE ? to : from + PIECE;
        mv_keys keys = mv_cache_keys(e, b->layer, b->span, b->kv_head, from, end);
        for (size_t j = 0; j < keys.n; j += p->nr)
            p->pack_w(b->packed_kv + j * head_dim, keys.k + j * keys.stride * e->kv_size,
                      e->kv_dtype, keys.stride, keys.n - j < p->nr ? keys.n - j : p->nr, head_dim);
        multiply_panels(p, b->scores, PIECE, b->packed_q, b->packed_kv, rows, keys.n, head_dim,
                        false);
        for (size_t row = 0; row < rows; row++)
            soften(b, row, b->scores + row * PIECE, keys.n);
        p->pack_x(b->packed_p, b->scores, PIECE, rows, keys.n);
        pack_values(b, &keys, p);
        multiply_panels(p, b->out, head_dim, b->packed_p, b->packed_kv, rows, head_dim, keys.n,
                        true);
        count(b, &keys, rows);
        from += keys.n;
    }
}

/* Where query `query` of the block, head `head` of its group, lies in q and heads. */
static size_t row_at(const block *b, uint64_t query, size_t head)
{
    size_t token = b->span->row + (query - b->span->start);
    return (token * b->e->p.n_heads + b->kv_head * b->group + head) * b->e->p.head_dim;
}

static void start(block *b)
{
    const size_t head_dim = b->e->p.head_dim;
    for (size_t row = 0; row < b->n * b->group; row++) {
        const float *from = b->e->q + row_at(b, b->first + row / b->group, row % b->group);
        memcpy(b->q + row * head_dim, from, head_dim * sizeof *from);
        b->highest[row] = -INFINITY;
        b->sum[row] = 0;
    }
    memset(b->out, 0, b->n * b->group * head_dim * sizeof *b->out);
}

static void finish(block *b)
{
    const size_t head_dim = b->e->p.head_dim;
    for (size_t row = 0; row < b->n * b->group; row++) {
        float *to = b->e->heads + row_at(b, b->first + row / b->group, row % b->group);
        for (size_t i = 0; i < head_dim; i++)
            to[i] = b->out[row * head_dim + i] / b->sum[row];
    }
}

static void attend(block *b)
{
    const uint64_t last = b->first + b->n - 1;
    uint64_t from = oldest_key(b->e, last), to = b->first + 1; /* what all of them see */
    bool together = b->n * b->group >= LEAST_ROWS && from + LEAST_KEYS <= to;
    start(b);
    if (together)
        attend_block(b, from, to);
    for (uint64_t query = b->first; query <= last; query++) {
        attend_query(b, query, oldest_key(b->e, query), together ? from : query + 1);
        if (together)
            attend_query(b, query, to, query + 1);
    }
    finish(b);
}

/* Item i is a block of some span, and one of its key/value heads. */
static void attend_item(void *arg, size_t item, uint32_t worker)
{
    const attention_job *job = arg;
    mv_engine *e = job->e;
    const uint64_t size = job->queries_in_block;
    block b = {.e = e, .layer = job->layer, .group = group_of(e), .worker = worker};
    const mv_span *span = e->spans;
    b.kv_head = (uint32_t)(item % e->p.n_kv_heads);
    item /= e->p.n_kv_heads;
    while (item >= (span->n + size - 1) / size)
        item -= (span->n + size - 1) / size, span++;
    b.span = span;
    b.first = span->start + item * size;
    b.n = span->n - item * size < size ? span->n - item * size : size;
    (void)lay_out(&b, e, e->attention + worker * e->attention_stride);
    attend(&b);
}

void mv_attention(mv_engine *e, uint32_t layer, uint32_t n_spans)
{
    attention_job job = {e, layer, n_spans, queries_in_block(e)};
    size_t n_items = 0;
    double pairs = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        const mv_span *s = &e->spans[i];
        uint64_t seen = s->start + s->n;
        n_items += (s->n + job.queries_in_block - 1) / job.queries_in_block * e->p.n_kv_heads;
        pairs += (double)s->n * (double)(seen < e->n_slots ? seen : e->n_slots);
    }
    if (pairs * e->p.n_heads * e->p.head_dim > 50e3) {
        mv_pool_run(e->pool, n_items, attend_item, &job);
    } else {
        for (size_t i = 0; i < n_items; i++)
            attend_item(&job, i, 0);
    }
    for (uint32_t i = 0; i < e->n_threads; i++) {
        e->work.attention_pairs += e->counts[i].pairs;
        e->work.attention_multiply_adds += 2 * e->counts[i].pairs * e->p.head_dim;
        e->work.kv_cache_bytes += e->counts[i].cache_bytes;
        e->counts[i] = (mv_count){0};
    }
    e->work.calls++;
}
