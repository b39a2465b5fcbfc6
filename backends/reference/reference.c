/* reference.c - Mistral 7B's forward pass, written to be read like the paper.
 *
 * One file, plain C, no dependency but the C library: embedding, RMSNorm, rotary position
 * embedding, grouped-query attention through a sliding window over a rolling buffer, SwiGLU,
 * logits. It takes any number of tokens at once, for any mix of sequences, so that "prefill",
 * "chunked prefill" and "decode" are the same code: a call brings n_tokens more of a sequence.
 *
 * The same source is compiled for three kinds of arithmetic:
 *     default             float64: the oracle
 *     MV_REFERENCE_F32    float32
 *     MV_REFERENCE_BF16   values rounded to bfloat16 wherever a bfloat16 engine stores one, sums
 *                         in float32
 *
 * Shapes, with the sizes of Mistral-7B v0.1:
 *     T  new tokens in this call, all sequences together      D   dim         4096
 *     H  n_heads 32     K  n_kv_heads 8     E  head_dim 128   F   hidden_dim 14336
 *     V  vocab_size 32000                                     W   sliding_window 4096
 * A comment [T, H*E] beside an array is its shape, row-major, one row a token.
 *
 * Sources: Jiang et al., "Mistral 7B", arXiv 2310.06825; mistral-src at commit 147c4e6
 * (2023-10-19): mistral/model.py, cache.py, rope.py. README.md beside this file says where those
 * disagree.
 *
 * SEAM(name) marks the small decisions where engines go wrong. It is nothing but the name; the
 * mutant backend compiles this file with another definition to plant one bug at a time.
 */
#include "backends/mistral_backend.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ */
/* 1. Arithmetic                                                                              */
/* ------------------------------------------------------------------------------------------ */

#if defined(MV_REFERENCE_F32) || defined(MV_REFERENCE_BF16)
typedef float real;
#define TAP_DTYPE MV_TAP_F32
#define real_exp expf
#define real_sqrt sqrtf
#else
typedef double real;
#define TAP_DTYPE MV_TAP_F64
#define real_exp exp
#define real_sqrt sqrt
#endif

/* What becomes of a value that an engine writes to memory. bfloat16 is the upper half of a
 * float32, rounded to nearest, ties to even. */
static inline real store(real value)
{
#if defined(MV_REFERENCE_BF16)
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { /* NaN stays NaN */
        bits |= 0x00400000u;
    } else {
        bits += 0x7fffu + ((bits >> 16) & 1u);
    }
    bits &= 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
#endif
    return value;
}

static float float_from_bf16(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = (half >> 10) & 31u;
    uint32_t fraction = half & 0x3ffu, bits;
    float value;
    if (exponent == 0) { /* zero, or fraction * 2^-24 */
        value = ldexpf((float)fraction, -24);
        return sign != 0 ? -value : value;
    }
    bits = sign | ((exponent == 31 ? 255u : exponent + 112u) << 23) | (fraction << 13);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Row `row` of a weight [n_out, n_in], in this file's arithmetic.   out [n_in] */
static void weight_row(real *out, const mv_tensor *weight, size_t row, size_t n_in)
{
    const char *data = weight->data;
    if (weight->dtype == MV_DTYPE_F32) {
        const float *in = (const float *)(const void *)data + row * n_in;
        for (size_t i = 0; i < n_in; i++)
            out[i] = store((real)in[i]);
    } else if (weight->dtype == MV_DTYPE_BF16) {
        const uint16_t *in = (const uint16_t *)(const void *)data + row * n_in;
        for (size_t i = 0; i < n_in; i++)
            out[i] = (real)float_from_bf16(in[i]);
    } else {
        const uint16_t *in = (const uint16_t *)(const void *)data + row * n_in;
        for (size_t i = 0; i < n_in; i++)
            out[i] = store((real)float_from_f16(in[i]));
    }
}

/* Sums run in LANES interleaved partial sums, added up in order at the end: the same bits on every
 * machine and for every number of threads, and still fast. */
#define LANES 8
typedef real lanes
    __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)), may_alias));
#define LOAD(from) (*(const lanes *)(const void *)(from))

static inline real sum_lanes(const lanes *value)
{
    real sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += (*value)[i];
    return sum;
}

/* sum a[i] b[i] */
static inline real dot(const real *a, const real *b, size_t n)
{
    lanes sums = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sums += LOAD(a + i) * LOAD(b + i);
    real sum = sum_lanes(&sums);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Four dots with one b: out[j] = sum a[j][i] b[i], each with exactly the bits of dot(). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx2", "default")))
#endif
static void
dot4(real out[4], const real *a, size_t stride, const real *b, size_t n)
{
    lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes x = LOAD(b + i);
        s0 += LOAD(a + i) * x;
        s1 += LOAD(a + stride + i) * x;
        s2 += LOAD(a + 2 * stride + i) * x;
        s3 += LOAD(a + 3 * stride + i) * x;
    }
    out[0] = sum_lanes(&s0), out[1] = sum_lanes(&s1);
    out[2] = sum_lanes(&s2), out[3] = sum_lanes(&s3);
    for (; i < n; i++) {
        for (size_t j = 0; j < 4; j++)
            out[j] += a[j * stride + i] * b[i];
    }
}

/* ------------------------------------------------------------------------------------------ */
/* 2. The engine                                                                              */
/* ------------------------------------------------------------------------------------------ */

struct mv_engine {
    mv_params p;
    const mv_model_view *model;
    uint32_t n_threads, max_sequences, max_positions, max_batch_tokens;
    size_t n_slots; /* of the rolling buffer: W, or max_positions if that is less or W is 0 */
    real poison;    /* what unused slots hold */

    uint64_t *n_seen;    /* [max_sequences] tokens of each sequence so far */
    uint64_t *n_written; /* [max_sequences] one more than the last position in the buffer */
    real *cache_k;       /* [n_layers, max_sequences, n_slots, K*E], rotated */
    real *cache_v;       /* [n_layers, max_sequences, n_slots, K*E] */

    real *x;              /* [T, D] the residual stream */
    real *normed;         /* [T, D] */
    real *q;              /* [T, H*E] */
    real *k, *v;          /* [T, K*E] of the new tokens */
    real *heads;          /* [T, H*E] what the heads found */
    real *gate, *up;      /* [T, F] */
    real *update;         /* [T, D] what a half-layer adds to the residual stream */
    real *logits;         /* [LOGIT_ROWS, V] */
    real *weight_rows;    /* [n_threads, 4, max(D, F, H*E)] */
    real *scores;         /* [n_threads, keys a query may see] */
    size_t weight_stride; /* max(D, F, H*E) */
    size_t scores_stride;

    mv_tap_fn tap;
    void *tap_cookie;
    mv_work work;
    uint64_t scratch_bytes;
    void *seams; /* what other definitions of the seams keep; NULL here */
};

#define LOGIT_ROWS 32

/* The new tokens of one sequence in this call. */
typedef struct span {
    uint32_t sequence;
    uint64_t start;  /* position of the first: how many the sequence had before */
    uint64_t n;      /* how many are new */
    size_t row;      /* of the first in the arrays [T, ...] */
    uint64_t n_call; /* T: new tokens of all sequences */
} span;

/* ---- the seams, each defined where it is used ---- */

static uint64_t oldest_key(const mv_engine *e, uint32_t layer, const span *s, uint64_t query);
static uint64_t newest_key(const mv_engine *e, uint32_t layer, const span *s, uint64_t query);
static size_t cache_slots(const mv_engine *e);
static size_t cache_slot(const mv_engine *e, uint32_t layer, const span *s, uint64_t position);
static bool is_cached(const mv_engine *e, uint32_t layer, const span *s, uint64_t token);
static uint32_t cache_sequence(const mv_engine *e, uint32_t layer, const span *s);
static uint64_t rope_position(const mv_engine *e, uint32_t layer, const span *s, uint64_t token,
                              bool is_query);
static real rope_angle(const mv_engine *e, uint32_t layer, uint64_t position, uint32_t pair);
static void rotate(const mv_engine *e, real *head, uint64_t position, uint32_t layer,
                   bool is_query);
static uint32_t kv_head_of(const mv_engine *e, uint32_t layer, uint32_t head);
static real attention_scale(const mv_engine *e, uint32_t layer);
static real score_of(const mv_engine *e, uint32_t layer, const real *q, const real *k);
static real probability(const mv_engine *e, real score, real max_score);
static const real *row_at(const mv_engine *e, const real *fresh, real *cache, uint32_t layer,
                          const span *s, uint64_t position);
static void attend(const mv_engine *e, uint32_t layer, const span *s, uint64_t token, uint32_t head,
                   real *scores);
static void rms_norm(const mv_engine *e, real *out, const real *x, const mv_tensor *weight,
                     size_t n_rows, uint32_t layer);
static void linear(mv_engine *e, real *y, const real *x, const mv_tensor *weight, size_t n_rows);
static real silu(const mv_engine *e, uint32_t layer, real x);
static real swiglu(const mv_engine *e, uint32_t layer, real gate, real up);
static real add_residual(const mv_engine *e, uint32_t layer, real x, real update);
static real cached_value(const mv_engine *e, uint32_t layer, const real *row, size_t i);
static int32_t input_token(const mv_engine *e, const span *s, const int32_t *tokens, uint64_t i);
static void finish_logits(const mv_engine *e, const span *s, uint64_t first, size_t n_rows,
                          real *logits);
static mv_code read_options(mv_engine *e, const mv_engine_options *options, mv_error *error);
static void forget(mv_engine *e, uint32_t sequence);
static uint64_t advance(const mv_engine *e, const span *s);
static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error);
static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error);

#ifndef SEAM
#define SEAM(name) name
#endif

/* ------------------------------------------------------------------------------------------ */
/* 3. Parts                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/* work(arg, from, to, worker) for pieces of 0 ... n, on the engine's threads. */
typedef struct piece {
    void (*work)(void *arg, size_t from, size_t to, uint32_t worker);
    void *arg;
    size_t from, to;
    uint32_t worker;
} piece;

static void *run_piece(void *arg)
{
    const piece *p = arg;
    p->work(p->arg, p->from, p->to, p->worker);
    return NULL;
}

#define MAX_THREADS 64
#define MIN_PARALLEL_OPERATIONS 2000000.0 /* below this a thread costs more than it brings */

static void in_parallel(uint32_t n_threads, size_t n, double operations,
                        void (*work)(void *, size_t, size_t, uint32_t), void *arg)
{
    pthread_t threads[MAX_THREADS];
    piece pieces[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    if (operations < MIN_PARALLEL_OPERATIONS)
        n_threads = 1;
    for (uint32_t i = 0; i < n_threads; i++) {
        size_t from = n * i / n_threads, to = n * (i + 1) / n_threads;
        pieces[i] = (piece){work, arg, from, to, i};
        if (i > 0)
            started[i] = pthread_create(&threads[i], NULL, run_piece, &pieces[i]) == 0;
    }
    run_piece(&pieces[0]);
    for (uint32_t i = 1; i < n_threads; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            run_piece(&pieces[i]);
    }
}

/* y = x W^T:   y [n_rows, n_out]   x [n_rows, n_in]   weight [n_out, n_in]
 * Rounding: products and sums in real, then one store. */
typedef struct linear_job {
    const mv_engine *e;
    real *y;
    const real *x;
    const mv_tensor *weight;
    size_t n_rows, n_in, n_out;
} linear_job;

static void linear_outputs(void *arg, size_t from, size_t to, uint32_t worker)
{
    const linear_job *job = arg;
    const size_t n_in = job->n_in, stride = job->e->weight_stride;
    real *rows = job->e->weight_rows + 4 * stride * worker; /* [4, stride] */
    for (size_t out = from; out < to; out += 4) {
        size_t n = to - out < 4 ? to - out : 4;
        for (size_t j = 0; j < 4; j++)
            weight_row(rows + j * stride, job->weight, out + (j < n ? j : 0), n_in);
        for (size_t t = 0; t < job->n_rows; t++) {
            real sums[4];
            dot4(sums, rows, stride, job->x + t * n_in, n_in);
            for (size_t j = 0; j < n; j++)
                job->y[t * job->n_out + out + j] = store(sums[j]);
        }
    }
}

static void SEAM(linear)(mv_engine *e, real *y, const real *x, const mv_tensor *weight,
                         size_t n_rows)
{
    linear_job job = {e, y, x, weight, n_rows, weight->shape[1], weight->shape[0]};
    double operations = (double)n_rows * (double)job.n_in * (double)job.n_out;
    in_parallel(e->n_threads, job.n_out, operations, linear_outputs, &job);
    e->work.calls++;
    e->work.weight_bytes += weight->size_bytes;
}

static void linear_counted(mv_engine *e, real *y, const real *x, const mv_tensor *weight,
                           size_t n_rows)
{
    linear(e, y, x, weight, n_rows);
    e->work.linear_multiply_adds += n_rows * weight->shape[0] * weight->shape[1];
}

/* out = x / sqrt(mean(x^2) + eps) * weight, row by row.   out, x [n_rows, D]   weight [D]
 * Rounding: the normalised row is stored before the weight multiplies it, as in model.py. */
static void SEAM(rms_norm)(const mv_engine *e, real *out, const real *x, const mv_tensor *weight,
                           size_t n_rows, uint32_t layer)
{
    const size_t dim = e->p.dim;
    real *scale = e->weight_rows; /* [D] */
    (void)layer;
    weight_row(scale, weight, 0, dim);
    for (size_t t = 0; t < n_rows; t++) {
        const real *row = x + t * dim;
        real mean = dot(row, row, dim) / (real)dim;
        real factor = 1 / real_sqrt(mean + (real)e->p.norm_eps);
        for (size_t i = 0; i < dim; i++)
            out[t * dim + i] = store(store(row[i] * factor) * scale[i]);
    }
}

/* ---- rotary position embedding ---- */

/* The angle of pair i at a position: position * theta^(-2i/E). In float32 the frequency and the
 * product are each rounded, as rope.py does. */
static real SEAM(rope_angle)(const mv_engine *e, uint32_t layer, uint64_t position, uint32_t pair)
{
    real frequency = (real)pow(e->p.rope_theta, -2.0 * pair / e->p.head_dim);
    (void)layer;
    return (real)position * frequency;
}

/* Turns each pair (2i, 2i+1) of a head by its angle.   head [E] */
static void SEAM(rotate)(const mv_engine *e, real *head, uint64_t position, uint32_t layer,
                         bool is_query)
{
    (void)is_query;
    for (uint32_t i = 0; i < e->p.head_dim / 2; i++) {
        double angle = (double)rope_angle(e, layer, position, i);
        real c = (real)cos(angle), s = (real)sin(angle);
        real a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = store(a * c - b * s);
        head[2 * i + 1] = store(a * s + b * c);
    }
}

/* Positions count from the start of the sequence, whatever the chunk and the window. */
static uint64_t SEAM(rope_position)(const mv_engine *e, uint32_t layer, const span *s,
                                    uint64_t token, bool is_query)
{
    (void)e, (void)layer, (void)is_query;
    return s->start + token;
}

/* Rotates the new queries and keys of one sequence. */
static void rotate_new(mv_engine *e, uint32_t layer, const span *s)
{
    const size_t head_dim = e->p.head_dim;
    for (uint64_t t = 0; t < s->n; t++) {
        real *q = e->q + (s->row + t) * e->p.n_heads * head_dim;
        real *k = e->k + (s->row + t) * e->p.n_kv_heads * head_dim;
        for (uint32_t h = 0; h < e->p.n_heads; h++)
            rotate(e, q + h * head_dim, rope_position(e, layer, s, t, true), layer, true);
        for (uint32_t h = 0; h < e->p.n_kv_heads; h++)
            rotate(e, k + h * head_dim, rope_position(e, layer, s, t, false), layer, false);
    }
}

/* ---- the rolling buffer ---- */

/* How many keys are kept: no more than the window shows, no more than there can be. */
static size_t SEAM(cache_slots)(const mv_engine *e)
{
    bool rolls = e->p.sliding_window > 0 && e->p.sliding_window < e->max_positions;
    return rolls ? e->p.sliding_window : e->max_positions;
}

/* Where a position is kept: slot = position mod W. */
static size_t SEAM(cache_slot)(const mv_engine *e, uint32_t layer, const span *s, uint64_t position)
{
    (void)layer, (void)s;
    return position % e->n_slots;
}

/* Whether new token number `token` of this call is kept: the last n_slots are. */
static bool SEAM(is_cached)(const mv_engine *e, uint32_t layer, const span *s, uint64_t token)
{
    (void)layer;
    return token + e->n_slots >= s->n;
}

/* Whose part of the cache is used. */
static uint32_t SEAM(cache_sequence)(const mv_engine *e, uint32_t layer, const span *s)
{
    (void)e, (void)layer;
    return s->sequence;
}

static real *cache_row(const mv_engine *e, real *cache, uint32_t layer, const span *s, size_t slot)
{
    size_t sequence = (size_t)layer * e->max_sequences + cache_sequence(e, layer, s);
    return cache + (sequence * e->n_slots + slot) * e->p.n_kv_heads * e->p.head_dim;
}

/* What the cache keeps of element i of a new key or value.   row [K*E] */
static real SEAM(cached_value)(const mv_engine *e, uint32_t layer, const real *row, size_t i)
{
    (void)e, (void)layer;
    return row[i];
}

/* Writes the new keys and values of one sequence, after everybody has read the old ones. */
static void update_cache(mv_engine *e, uint32_t layer, const span *s)
{
    const size_t width = (size_t)e->p.n_kv_heads * e->p.head_dim; /* K*E */
    for (uint64_t t = 0; t < s->n; t++) {
        if (!is_cached(e, layer, s, t))
            continue;
        size_t slot = cache_slot(e, layer, s, s->start + t), row = s->row + t;
        real *k = cache_row(e, e->cache_k, layer, s, slot);
        real *v = cache_row(e, e->cache_v, layer, s, slot);
        for (size_t i = 0; i < width; i++) {
            k[i] = cached_value(e, layer, e->k + row * width, i);
            v[i] = cached_value(e, layer, e->v + row * width, i);
        }
        e->work.kv_cache_bytes += 2 * width * sizeof(real);
    }
}

/* ---- attention ---- */

/* The query at position i sees the keys i-W+1 ... i: W of them, itself included. */
static uint64_t SEAM(oldest_key)(const mv_engine *e, uint32_t layer, const span *s, uint64_t query)
{
    uint64_t window = e->p.sliding_window;
    (void)layer, (void)s;
    return window > 0 && query + 1 > window ? query + 1 - window : 0;
}

static uint64_t SEAM(newest_key)(const mv_engine *e, uint32_t layer, const span *s, uint64_t query)
{
    (void)e, (void)layer, (void)s;
    return query;
}

/* Grouped queries: H / K neighbouring query heads share one key/value head. */
static uint32_t SEAM(kv_head_of)(const mv_engine *e, uint32_t layer, uint32_t head)
{
    (void)layer;
    return head / (e->p.n_heads / e->p.n_kv_heads);
}

static real SEAM(attention_scale)(const mv_engine *e, uint32_t layer)
{
    (void)layer;
    return 1 / real_sqrt((real)e->p.head_dim);
}

/* q [E]   k [E] */
static real SEAM(score_of)(const mv_engine *e, uint32_t layer, const real *q, const real *k)
{
    return dot(q, k, e->p.head_dim) * attention_scale(e, layer);
}

/* Not yet divided by the sum of all. */
static real SEAM(probability)(const mv_engine *e, real score, real max_score)
{
    (void)e;
    return real_exp(score - max_score);
}

/* The key (or value) at a position: a new one, or one from before in the rolling buffer. */
static const real *SEAM(row_at)(const mv_engine *e, const real *fresh, real *cache, uint32_t layer,
                                const span *s, uint64_t position)
{
    const size_t width = (size_t)e->p.n_kv_heads * e->p.head_dim; /* K*E */
    if (position >= s->start)
        return fresh + (s->row + (position - s->start)) * width;
    return cache_row(e, cache, layer, s, cache_slot(e, layer, s, position));
}

/* One query of one head:  out [E] = softmax(q K^T / sqrt(E)) V   over the keys it may see.
 * Rounding: scores, exp and sums in real; a probability is stored before it multiplies a value. */
static void SEAM(attend)(const mv_engine *e, uint32_t layer, const span *s, uint64_t token,
                         uint32_t head, real *scores)
{
    const size_t head_dim = e->p.head_dim, n_heads = e->p.n_heads;
    const uint64_t query = s->start + token;
    const uint64_t from = oldest_key(e, layer, s, query), to = newest_key(e, layer, s, query);
    const size_t kv_offset = kv_head_of(e, layer, head) * head_dim;
    const real *q = e->q + ((s->row + token) * n_heads + head) * head_dim; /* [E] */
    real *out = e->heads + ((s->row + token) * n_heads + head) * head_dim; /* [E] */

    real max_score = -INFINITY;
    for (uint64_t key = from; key <= to; key++) {
        const real *k = row_at(e, e->k, e->cache_k, layer, s, key) + kv_offset;
        real score = score_of(e, layer, q, k);
        scores[key - from] = score;
        if (score > max_score)
            max_score = score;
    }
    real sum = 0;
    memset(out, 0, head_dim * sizeof *out);
    for (uint64_t key = from; key <= to; key++) {
        const real *v = row_at(e, e->v, e->cache_v, layer, s, key) + kv_offset;
        real p = probability(e, scores[key - from], max_score);
        sum += p;
        for (size_t i = 0; i < head_dim; i++)
            out[i] += store(p) * v[i];
    }
    for (size_t i = 0; i < head_dim; i++)
        out[i] = store(out[i] / sum);
}

typedef struct attention_job {
    const mv_engine *e;
    uint32_t layer;
    const span *s;
} attention_job;

/* Work item i is head i % H of new token i / H. */
static void attend_items(void *arg, size_t from, size_t to, uint32_t worker)
{
    const attention_job *job = arg;
    const uint32_t n_heads = job->e->p.n_heads;
    real *scores = job->e->scores + worker * job->e->scores_stride;
    for (size_t i = from; i < to; i++)
        attend(job->e, job->layer, job->s, i / n_heads, (uint32_t)(i % n_heads), scores);
}

static void count_attention(mv_engine *e, const span *s)
{
    uint64_t window = e->p.sliding_window, pairs = 0, cached = 0;
    for (uint64_t i = s->start; i < s->start + s->n; i++) {
        uint64_t from = window > 0 && i + 1 > window ? i + 1 - window : 0;
        pairs += i - from + 1;
        cached += from < s->start ? s->start - from : 0;
    }
    e->work.attention_pairs += pairs * e->p.n_heads;
    e->work.attention_multiply_adds += 2 * pairs * e->p.n_heads * e->p.head_dim;
    e->work.kv_cache_bytes += 2 * cached * e->p.n_heads * e->p.head_dim * sizeof(real);
}

/* Reads e->q, e->k, e->v and the cache; writes e->heads and the cache. */
static void attention(mv_engine *e, uint32_t layer, const span *s)
{
    attention_job job = {e, layer, s};
    uint64_t keys = s->start + s->n < e->scores_stride ? s->start + s->n : e->scores_stride;
    double operations = 2.0 * (double)s->n * (double)keys * e->p.n_heads * e->p.head_dim;
    in_parallel(e->n_threads, s->n * e->p.n_heads, operations, attend_items, &job);
    update_cache(e, layer, s);
    count_attention(e, s);
}

/* ---- feed forward ---- */

static real SEAM(silu)(const mv_engine *e, uint32_t layer, real x)
{
    (void)e, (void)layer;
    return x / (1 + real_exp(-x));
}

static real SEAM(swiglu)(const mv_engine *e, uint32_t layer, real gate, real up)
{
    (void)e, (void)layer;
    return store(gate * up);
}

static real SEAM(add_residual)(const mv_engine *e, uint32_t layer, real x, real update)
{
    (void)e, (void)layer;
    return store(x + update);
}

/* ------------------------------------------------------------------------------------------ */
/* 4. The forward pass                                                                        */
/* ------------------------------------------------------------------------------------------ */

/* Shows, and lets replace, the rows [n, n_cols] of one tensor, sequence by sequence. */
static void tap(mv_engine *e, const char *name, int32_t layer, const span *spans, uint32_t n_spans,
                real *data, size_t n_cols)
{
    if (e->tap == NULL)
        return;
    for (uint32_t i = 0; i < n_spans; i++) {
        const span *s = &spans[i];
        mv_tap view = {sizeof view, name,   layer,     s->sequence,           s->start,
                       s->n,        n_cols, TAP_DTYPE, data + s->row * n_cols};
        (void)e->tap(e->tap_cookie, &view); /* a replacement is already in place */
    }
}

/* x += Attention(RMSNorm(x)) */
static void attention_half(mv_engine *e, uint32_t l, const span *spans, uint32_t n_spans, size_t T)
{
    const mv_layer *w = mv_layer_at(e->model, l);
    const size_t dim = e->p.dim, q_width = (size_t)e->p.n_heads * e->p.head_dim;
    const size_t kv_width = (size_t)e->p.n_kv_heads * e->p.head_dim;
    const int32_t layer = (int32_t)l;

    rms_norm(e, e->normed, e->x, &w->attention_norm, T, l); /* [T, D] */
    tap(e, "attention_norm", layer, spans, n_spans, e->normed, dim);
    linear_counted(e, e->q, e->normed, &w->wq, T); /* [T, H*E] */
    linear_counted(e, e->k, e->normed, &w->wk, T); /* [T, K*E] */
    linear_counted(e, e->v, e->normed, &w->wv, T); /* [T, K*E] */
    for (uint32_t i = 0; i < n_spans; i++)
        rotate_new(e, l, &spans[i]);
    tap(e, "q", layer, spans, n_spans, e->q, q_width);
    tap(e, "k", layer, spans, n_spans, e->k, kv_width);
    tap(e, "v", layer, spans, n_spans, e->v, kv_width);
    for (uint32_t i = 0; i < n_spans; i++)
        attention(e, l, &spans[i]); /* e->heads [T, H*E] */
    tap(e, "attention", layer, spans, n_spans, e->heads, q_width);
    linear_counted(e, e->update, e->heads, &w->wo, T); /* [T, D] */
    tap(e, "attention_out", layer, spans, n_spans, e->update, dim);
    for (size_t i = 0; i < T * dim; i++)
        e->x[i] = add_residual(e, l, e->x[i], e->update[i]);
    tap(e, "attention_residual", layer, spans, n_spans, e->x, dim);
}

/* x += W2 (silu(W1 RMSNorm(x)) * W3 RMSNorm(x)) */
static void feed_forward_half(mv_engine *e, uint32_t l, const span *spans, uint32_t n_spans,
                              size_t T)
{
    const mv_layer *w = mv_layer_at(e->model, l);
    const size_t dim = e->p.dim, hidden_dim = e->p.hidden_dim;
    const int32_t layer = (int32_t)l;

    rms_norm(e, e->normed, e->x, &w->ffn_norm, T, l); /* [T, D] */
    tap(e, "ffn_norm", layer, spans, n_spans, e->normed, dim);
    linear_counted(e, e->gate, e->normed, &w->w1, T); /* [T, F] */
    linear_counted(e, e->up, e->normed, &w->w3, T);   /* [T, F] */
    for (size_t i = 0; i < T * hidden_dim; i++)
        e->gate[i] = store(silu(e, l, e->gate[i]));
    tap(e, "gate", layer, spans, n_spans, e->gate, hidden_dim);
    tap(e, "up", layer, spans, n_spans, e->up, hidden_dim);
    for (size_t i = 0; i < T * hidden_dim; i++)
        e->gate[i] = swiglu(e, l, e->gate[i], e->up[i]);
    linear_counted(e, e->update, e->gate, &w->w2, T); /* [T, D] */
    tap(e, "ffn_out", layer, spans, n_spans, e->update, dim);
    for (size_t i = 0; i < T * dim; i++)
        e->x[i] = add_residual(e, l, e->x[i], e->update[i]);
    tap(e, "layer_out", layer, spans, n_spans, e->x, dim);
}

/* Which of the sequence's own tokens row i is made of. */
static int32_t SEAM(input_token)(const mv_engine *e, const span *s, const int32_t *tokens,
                                 uint64_t i)
{
    (void)e, (void)s;
    return tokens[i];
}

/* The last chance to touch rows first ... first + n_rows - 1 of a span.   logits [n_rows, V] */
static void SEAM(finish_logits)(const mv_engine *e, const span *s, uint64_t first, size_t n_rows,
                                real *logits)
{
    (void)e, (void)s, (void)first, (void)n_rows, (void)logits;
}

/* logits = Output RMSNorm(x), for rows `from` ... of one sequence; float32 at the very end. */
static float *logits_of(mv_engine *e, const span *s, uint64_t from, float *out)
{
    const size_t dim = e->p.dim, vocab_size = e->p.vocab_size;
    for (uint64_t first = from; first < s->n; first += LOGIT_ROWS) {
        size_t n_rows = s->n - first < LOGIT_ROWS ? (size_t)(s->n - first) : LOGIT_ROWS;
        span block = {s->sequence, s->start + first, n_rows, 0, s->n_call};
        linear(e, e->logits, e->normed + (s->row + first) * dim, &e->model->output, n_rows);
        e->work.output_multiply_adds += n_rows * dim * vocab_size;
        finish_logits(e, s, first, n_rows, e->logits);
        tap(e, "logits", -1, &block, 1, e->logits, vocab_size);
        for (size_t i = 0; i < n_rows * vocab_size; i++)
            *out++ = (float)e->logits[i];
    }
    return out;
}

/* tokens [T], span after span */
static void forward_spans(mv_engine *e, const span *spans, uint32_t n_spans, const int32_t *tokens,
                          size_t T, mv_logits which, float *logits)
{
    const size_t dim = e->p.dim;
    for (uint32_t i = 0; i < n_spans; i++) {
        for (uint64_t t = 0; t < spans[i].n; t++) {
            int32_t token = input_token(e, &spans[i], tokens + spans[i].row, t);
            weight_row(e->x + (spans[i].row + t) * dim, &e->model->tok_embeddings, (size_t)token,
                       dim);
        }
    }
    tap(e, "embedding", -1, spans, n_spans, e->x, dim); /* [T, D] */
    for (uint32_t l = 0; l < e->p.n_layers; l++) {
        attention_half(e, l, spans, n_spans, T);
        feed_forward_half(e, l, spans, n_spans, T);
    }
    rms_norm(e, e->normed, e->x, &e->model->norm, T, e->p.n_layers); /* [T, D] */
    tap(e, "norm", -1, spans, n_spans, e->normed, dim);
    for (uint32_t i = 0; i < n_spans && which != MV_LOGITS_NONE; i++)
        logits = logits_of(e, &spans[i], which == MV_LOGITS_LAST ? spans[i].n - 1 : 0, logits);
}

/* ------------------------------------------------------------------------------------------ */
/* 5. The backend                                                                             */
/* ------------------------------------------------------------------------------------------ */

static mv_code probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

static void caps(mv_caps *out)
{
    out->claims = MV_CLAIM_REPEATABLE | MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT |
                  MV_CLAIM_THREAD_INVARIANT;
#if defined(MV_REFERENCE_F32)
    out->computes = 1u << MV_COMPUTE_F32;
#elif defined(MV_REFERENCE_BF16)
    out->computes = 1u << MV_COMPUTE_BF16;
#else
    out->computes = 1u << MV_COMPUTE_F64;
#endif
}

static void close_engine(mv_engine *e)
{
    if (e == NULL)
        return;
    free(e->n_seen);
    free(e->n_written);
    free(e->cache_k);
    free(e->cache_v);
    free(e->x);
    free(e->normed);
    free(e->q);
    free(e->k);
    free(e->v);
    free(e->heads);
    free(e->gate);
    free(e->up);
    free(e->update);
    free(e->logits);
    free(e->weight_rows);
    free(e->scores);
    free(e->seams);
    free(e);
}

/* Zeroed room for a * b values; counts it. NULL too if the product overflows. */
static real *take(mv_engine *e, size_t a, size_t b)
{
    size_t n;
    if (__builtin_mul_overflow(a, b, &n))
        return NULL;
    e->scratch_bytes += n * sizeof(real);
    return calloc(n > 0 ? n : 1, sizeof(real));
}

static mv_code SEAM(read_options)(mv_engine *e, const mv_engine_options *options, mv_error *error)
{
    for (size_t i = 0; i < options->n_options; i++) {
        const mv_option *o = &options->options[i];
        char *end = NULL;
        if (strcmp(o->key, "poison") != 0)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "reference: unknown option '%s'; known: poison=VALUE", o->key);
        e->poison = (real)strtod(o->value, &end);
        if (end == o->value || *end != '\0')
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "reference: option poison: expected a number, found '%s'", o->value);
    }
    return MV_OK;
}

/* Cache slots that nothing may read hold the poison. */
static void SEAM(forget)(mv_engine *e, uint32_t sequence)
{
    e->n_seen[sequence] = e->n_written[sequence] = 0;
    if (e->poison == 0)
        return;
    const size_t n = e->n_slots * e->p.n_kv_heads * e->p.head_dim;
    for (uint32_t l = 0; l < e->p.n_layers; l++) {
        size_t from = ((size_t)l * e->max_sequences + sequence) * n;
        for (size_t i = from; i < from + n; i++)
            e->cache_k[i] = e->cache_v[i] = e->poison;
    }
}

/* How long the sequence is after this call. */
static uint64_t SEAM(advance)(const mv_engine *e, const span *s)
{
    (void)e;
    return s->start + s->n;
}

static mv_code take_memory(mv_engine *e, mv_error *error)
{
    const mv_params *p = &e->p;
    const size_t T = e->max_batch_tokens, q_width = (size_t)p->n_heads * p->head_dim;
    const size_t kv_width = (size_t)p->n_kv_heads * p->head_dim;
    const size_t n_cached = (size_t)p->n_layers * e->max_sequences;
    size_t n_keys, widest = p->dim > p->hidden_dim ? p->dim : p->hidden_dim;
    if (q_width > widest)
        widest = q_width;
    e->weight_stride = (widest + LANES) / LANES * LANES;
    e->n_slots = cache_slots(e);
    e->scores_stride = e->max_positions + 1; /* one more, for a window that is one too wide */
    if (__builtin_mul_overflow(e->n_slots, kv_width, &n_keys))
        n_keys = SIZE_MAX;

    e->n_seen = calloc(e->max_sequences, sizeof *e->n_seen);
    e->n_written = calloc(e->max_sequences, sizeof *e->n_written);
    e->cache_k = take(e, n_cached, n_keys);
    e->cache_v = take(e, n_cached, n_keys);
    e->scratch_bytes = 0; /* the cache is counted apart */
    e->x = take(e, T, p->dim);
    e->normed = take(e, T, p->dim);
    e->q = take(e, T, q_width);
    e->k = take(e, T, kv_width);
    e->v = take(e, T, kv_width);
    e->heads = take(e, T, q_width);
    e->gate = take(e, T, p->hidden_dim);
    e->up = take(e, T, p->hidden_dim);
    e->update = take(e, T, p->dim);
    e->logits = take(e, T < LOGIT_ROWS ? T : LOGIT_ROWS, p->vocab_size);
    e->weight_rows = take(e, 4 * (size_t)e->n_threads, e->weight_stride);
    e->scores = take(e, e->n_threads, e->scores_stride);
    if (e->n_seen == NULL || e->n_written == NULL || e->cache_k == NULL || e->cache_v == NULL ||
        e->x == NULL || e->normed == NULL || e->q == NULL || e->k == NULL || e->v == NULL ||
        e->heads == NULL || e->gate == NULL || e->up == NULL || e->update == NULL ||
        e->logits == NULL || e->weight_rows == NULL || e->scores == NULL)
        return mv_fail(error, MV_ERR_MEMORY,
                       "reference: no memory for %u sequences of %u positions in a cache of %zu "
                       "slots and %u tokens a call",
                       e->max_sequences, e->max_positions, e->n_slots, e->max_batch_tokens);
    return MV_OK;
}

static mv_code open_engine(mv_engine **engine, const mv_model_view *model,
                           const mv_engine_options *options, mv_error *error)
{
    if (options->max_sequences == 0 || options->max_positions == 0 ||
        options->max_batch_tokens == 0)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "reference: max_sequences, max_positions and max_batch_tokens must be at "
                       "least 1, found %u, %u and %u",
                       options->max_sequences, options->max_positions, options->max_batch_tokens);
    mv_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "reference: no memory for an engine");
    e->model = model;
    e->p = model->params;
    e->n_threads = options->n_threads > 0 ? options->n_threads : 1;
    if (e->n_threads > MAX_THREADS)
        e->n_threads = MAX_THREADS;
    e->max_sequences = options->max_sequences;
    e->max_positions = options->max_positions;
    e->max_batch_tokens = options->max_batch_tokens;
    e->work.struct_size = sizeof e->work;

    mv_code code = read_options(e, options, error);
    if (code == MV_OK)
        code = take_memory(e, error);
    if (code != MV_OK) {
        close_engine(e);
        return code;
    }
    for (uint32_t i = 0; i < e->max_sequences; i++)
        forget(e, i);
    *engine = e;
    return MV_OK;
}

static mv_code check_sequence(const mv_engine *e, uint32_t sequence, mv_error *error)
{
    if (sequence < e->max_sequences)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT, "reference: sequence %u, expected less than %u",
                   sequence, e->max_sequences);
}

static mv_code reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    mv_code code = check_sequence(e, sequence, error);
    if (code == MV_OK)
        forget(e, sequence);
    return code;
}

/* A position can be forgotten while all that its successor must see is still in the buffer. What
 * was written there later, and forgotten since, has overwritten what was there before. */
static mv_code SEAM(truncate)(mv_engine *e, uint32_t sequence, uint32_t n_positions,
                              mv_error *error)
{
    mv_code code = check_sequence(e, sequence, error);
    if (code != MV_OK)
        return code;
    uint64_t n_seen = e->n_seen[sequence], window = e->p.sliding_window;
    uint64_t n_written = e->n_written[sequence];
    uint64_t oldest = n_written > e->n_slots ? n_written - e->n_slots : 0;
    uint64_t needed = window > 0 && n_positions + 1u > window ? n_positions + 1u - window : 0;
    if (n_positions > n_seen)
        return mv_fail(error, MV_ERR_ARGUMENT, "reference: truncate to %u, but there are %llu",
                       n_positions, (unsigned long long)n_seen);
    if (needed < oldest && n_positions < n_seen)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "reference: truncate to %u: position %llu has left the rolling buffer",
                       n_positions, (unsigned long long)needed);
    e->n_seen[sequence] = n_positions;
    return MV_OK;
}

static mv_code check_tokens(const mv_engine *e, const int32_t *tokens, size_t n, mv_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= e->p.vocab_size)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "reference: token %zu of the batch is %d, expected 0 ... %u", i,
                           tokens[i], e->p.vocab_size - 1);
    }
    return MV_OK;
}

#define MAX_SPANS 256

/* The batch as spans. Checks everything, so that the arithmetic need not. */
static mv_code make_spans(const mv_engine *e, const mv_batch *batch, span *spans, size_t *T,
                          mv_error *error)
{
    size_t row = 0;
    if (batch->n_sequences == 0 || batch->n_sequences > MAX_SPANS)
        return mv_fail(error, MV_ERR_ARGUMENT, "reference: %u sequences in a batch, expected 1-%u",
                       batch->n_sequences, MAX_SPANS);
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        uint32_t sequence = batch->sequences[i], n = batch->n_tokens[i];
        mv_code code = check_sequence(e, sequence, error);
        if (code != MV_OK)
            return code;
        for (uint32_t j = 0; j < i; j++) {
            if (batch->sequences[j] == sequence)
                return mv_fail(error, MV_ERR_ARGUMENT,
                               "reference: sequence %u appears twice in a batch", sequence);
        }
        if (n == 0 || e->n_seen[sequence] + n > e->max_positions)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "reference: %u new tokens for sequence %u, which has %llu of at most "
                           "%u positions",
                           n, sequence, (unsigned long long)e->n_seen[sequence], e->max_positions);
        spans[i] = (span){sequence, e->n_seen[sequence], n, row, 0};
        row += n;
    }
    if (row > e->max_batch_tokens)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "reference: %zu tokens in a batch, expected at most %u", row,
                       e->max_batch_tokens);
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        spans[i].n_call = row;
    *T = row;
    return check_tokens(e, batch->tokens, row, error);
}

static mv_code SEAM(forward)(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                             mv_error *error)
{
    span spans[MAX_SPANS];
    size_t T = 0;
    mv_code code = make_spans(e, batch, spans, &T, error);
    if (code != MV_OK)
        return code;
    forward_spans(e, spans, batch->n_sequences, batch->tokens, T, which, logits);
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        uint32_t sequence = spans[i].sequence;
        e->n_seen[sequence] = advance(e, &spans[i]);
        if (e->n_written[sequence] < e->n_seen[sequence])
            e->n_written[sequence] = e->n_seen[sequence];
    }
    return MV_OK;
}

static mv_code set_tap(mv_engine *e, mv_tap_fn fn, void *cookie, mv_error *error)
{
    (void)error;
    e->tap = fn;
    e->tap_cookie = cookie;
    return MV_OK;
}

static void memory(const mv_engine *e, mv_memory *out)
{
    out->weights_bytes = 0; /* the lent view is used in place */
    out->kv_cache_bytes = 2ull * e->p.n_layers * e->max_sequences * e->n_slots * e->p.n_kv_heads *
                          e->p.head_dim * sizeof(real);
    out->scratch_bytes = e->scratch_bytes;
}

static void work(mv_engine *e, mv_work *out, int clear)
{
    *out = e->work;
    if (clear != 0)
        e->work = (mv_work){.struct_size = sizeof e->work};
}

static void describe(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%u", e->n_threads);
    emit(cookie, "threads", text);
    (void)snprintf(text, sizeof text, "%zu", e->n_slots);
    emit(cookie, "cache_slots", text);
}

static const mv_backend table = {
    .abi_major = MV_BACKEND_ABI_MAJOR,
    .abi_minor = MV_BACKEND_ABI_MINOR,
    .struct_size = sizeof(mv_backend),
    .name = "reference",
    .summary = "plain C in the order of the paper, in float64, float32 or emulated bfloat16",
    .version = "1",
    .probe = probe,
    .caps = caps,
    .open = open_engine,
    .close = close_engine,
    .reset = reset,
    .forward = forward,
    .truncate = truncate,
    .set_tap = set_tap,
    .memory = memory,
    .work = work,
    .describe = describe,
};

#if defined(MV_REFERENCE_PART) /* one arithmetic of several: reference_backend.c chooses */
const mv_backend *MV_REFERENCE_PART(void);
const mv_backend *MV_REFERENCE_PART(void)
#else
const mv_backend *mv_backend_get(void)
#endif
{
    return &table;
}
