/* cuda_memory.c - everything an engine will ever need, on the device and on the host, taken when it
 * is opened. The ring begins full of NaN: a slot that nothing was written to is never read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_engine.h"

typedef enum part { WEIGHTS, CACHE, SCRATCH, HOST } part; /* what it is counted as, and where */

/* One array: where its address goes, and how much. */
typedef struct array {
    void *to; /* a pointer to any pointer */
    size_t n, width, size;
    part part;
    int fill; /* a byte, or -1: left as it is */
    const char *what;
} array;

enum { ARRAYS_MOST = 32, LEFT = -1, NAN_BYTE = 0xff };

typedef struct plan {
    array arrays[ARRAYS_MOST];
    size_t n;
    uint64_t bytes[4]; /* by part */
} plan;

static bool bytes_of(size_t *bytes, const array *a)
{
    return !__builtin_mul_overflow(a->n, a->width, bytes) &&
           !__builtin_mul_overflow(*bytes, a->size, bytes);
}

static mv_code add_array(plan *to, array one, mv_error *error)
{
    size_t bytes = 0;
    if (!bytes_of(&bytes, &one) ||
        __builtin_add_overflow(to->bytes[one.part], bytes, &to->bytes[one.part]))
        return mv_fail(error, MV_ERR_MEMORY,
                       "%s: %s: an array of %zu x %zu x %zu bytes is more than can be addressed",
                       mv_device_backend, one.what, one.n, one.width, one.size);
    to->arrays[to->n++] = one;
    return MV_OK;
}

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* The sizes that follow from the model and from what was announced. */
static void find_sizes(mv_engine *e)
{
    const mv_params *p = &e->p;
    const bool rolls = p->sliding_window > 0 && p->sliding_window < e->max_positions;
    const uint32_t q = p->n_heads * p->head_dim, kv = p->n_kv_heads * p->head_dim;
    e->piece = least(least(e->max_batch_tokens, e->chosen.piece),
                     (uint64_t)e->max_positions * e->max_sequences);
    const uint32_t once = least(e->piece, e->max_positions); /* of one sequence */
    const uint64_t keys = rolls ? (uint64_t)p->sliding_window + once : e->max_positions;
    e->n_slots = mv_round_up(keys < e->max_positions ? keys : e->max_positions, MV_KEY_TILE);
    e->split_rows = least(e->piece, MV_SPLIT_ROWS_MOST);
    e->splits.n_splits = mv_splits_most(p->sliding_window, e->max_positions);
    e->dims = (mv_dims){
        .dim = p->dim,
        .n_heads = p->n_heads,
        .n_kv_heads = p->n_kv_heads,
        .head_dim = p->head_dim,
        .hidden_dim = p->hidden_dim,
        .vocab_size = p->vocab_size,
        .window = p->sliding_window,
        .n_slots = (uint32_t)e->n_slots,
        .ld_dim = (uint32_t)mv_round_up(p->dim, 8),
        .ld_qkv = (uint32_t)mv_round_up(q + 2 * kv, 8),
        .ld_heads = (uint32_t)mv_round_up(q, 8),
        .ld_ff = (uint32_t)mv_round_up(p->hidden_dim, 8),
        .eps = (float)p->norm_eps,
        .scale_log2 = (float)(1.4426950408889634 / sqrt((double)p->head_dim)),
    };
}

static mv_code plan_weights(plan *to, mv_engine *e, const mv_model_view *model, mv_error *error)
{
    const mv_dims *s = &e->dims;
    const size_t L = e->p.n_layers, qkv = (size_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    const bool tied = model->output.data == model->tok_embeddings.data;
    const array some[] = {
        {&e->embedding, s->vocab_size, s->ld_dim, e->size, WEIGHTS, LEFT, "the embedding"},
        {&e->output, tied ? 0 : s->vocab_size, s->ld_dim, e->size, WEIGHTS, LEFT, "the output"},
        {&e->norms, 2 * L + 1, s->dim, sizeof(float), WEIGHTS, LEFT, "the norms"},
        /* Those of the layers are taken one by one; counted here. */
        {NULL, L * (qkv + 2 * (size_t)s->hidden_dim), s->ld_dim, e->size, WEIGHTS, LEFT, "layers"},
        {NULL, L * s->dim, (size_t)s->ld_heads + s->ld_ff, e->size, WEIGHTS, LEFT, "layers"}};
    mv_code code = MV_OK;
    for (size_t i = 0; i < sizeof some / sizeof some[0] && code == MV_OK; i++)
        code = add_array(to, some[i], error);
    return code;
}

static mv_code plan_rest(plan *to, mv_engine *e, mv_error *error)
{
    const mv_dims *s = &e->dims;
    const size_t T = e->piece, f = sizeof(float), z = e->size;
    const size_t logit_rows = T < MV_LOGIT_ROWS ? T : MV_LOGIT_ROWS;
    const size_t few = T < MV_FEW_ROWS ? T : MV_FEW_ROWS;
    const size_t n_tiles = T / mv_attend_tile(e->dtype, s->head_dim) + e->max_sequences;
    const size_t heads = (size_t)e->split_rows * s->n_heads;
    size_t n_heads, n_cached;
    if (__builtin_mul_overflow((size_t)e->p.n_layers * e->max_sequences, s->n_kv_heads, &n_heads) ||
        __builtin_mul_overflow(n_heads, e->n_slots, &n_cached))
        n_cached = SIZE_MAX;
    const array some[] = {
        {&e->ring_k, n_cached, s->head_dim, z, CACHE, NAN_BYTE, "the ring of keys"},
        {&e->ring_v, n_cached, s->head_dim, z, CACHE, NAN_BYTE, "the ring of values"},
        {&e->turns, e->max_positions, s->head_dim, f, SCRATCH, LEFT, "angles"},
        {&e->x, T, s->dim, f, SCRATCH, LEFT, "the residual stream"},
        {&e->x_last, e->split_rows, s->dim, f, SCRATCH, LEFT, "the last layer's rows"},
        {&e->normed, T, s->ld_dim, z, SCRATCH, 0, "normed rows"},
        {&e->qkv, T, s->ld_qkv, z, SCRATCH, 0, "queries, keys and values"},
        {&e->heads, T, s->ld_heads, z, SCRATCH, 0, "heads"},
        {&e->gate_up, T, 2 * (size_t)s->hidden_dim, z, SCRATCH, LEFT, "gate and up"},
        {&e->hidden, T, s->ld_ff, z, SCRATCH, 0, "hidden rows"},
        {&e->logits, logit_rows, s->vocab_size, f, SCRATCH, LEFT, "logits"},
        {&e->splits.partial, heads * e->splits.n_splits, s->head_dim + 2, f, SCRATCH, LEFT,
         "splits"},
        {&e->splits.counters, heads, 1, sizeof(uint32_t), SCRATCH, 0, "counters"},
        {&e->rows, T + e->split_rows, 1, sizeof(mv_row), SCRATCH, LEFT, "rows"},
        {&e->device_index, T, 1, sizeof(uint32_t), SCRATCH, LEFT, "an index"},
        {&e->device_tiles, n_tiles, 1, sizeof(mv_tile), SCRATCH, LEFT, "tiles"},
        {&e->host_rows, T + e->split_rows, 1, sizeof(mv_row), HOST, LEFT, "rows"},
        {&e->index, T, 1, sizeof(uint32_t), HOST, LEFT, "an index"},
        {&e->tiles, n_tiles, 1, sizeof(mv_tile), HOST, LEFT, "tiles"},
        {&e->host_logits, few, s->vocab_size, f, HOST, LEFT, "logits"}};
    mv_code code = MV_OK;
    for (size_t i = 0; i < sizeof some / sizeof some[0] && code == MV_OK; i++)
        code = add_array(to, some[i], error);
    return code;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

static mv_code check_room(const mv_engine *e, const plan *p, mv_error *error)
{
    const uint64_t free = mv_device_free_bytes(e->device);
    uint64_t needed = 0;
    if (!__builtin_add_overflow(p->bytes[WEIGHTS], p->bytes[CACHE], &needed) &&
        !__builtin_add_overflow(needed, p->bytes[SCRATCH], &needed) && needed <= free)
        return MV_OK;
    return mv_fail(error, MV_ERR_MEMORY,
                   "%s: weights take %.2f GiB of the device, the cache %.2f (%u sequences of %zu "
                   "positions), scratch %.2f (%u rows at a time); %.2f of its %.2f GiB are free; "
                   "announce fewer or shorter sequences, fewer tokens a call, or fewer layers",
                   mv_device_backend, gib(p->bytes[WEIGHTS]), gib(p->bytes[CACHE]),
                   e->max_sequences, e->n_slots, gib(p->bytes[SCRATCH]), e->piece, gib(free),
                   gib(e->facts->total_bytes));
}

static mv_code take_array(mv_engine *e, const array *a, mv_error *error)
{
    size_t bytes = 0;
    void *memory = NULL;
    if (a->to == NULL || !bytes_of(&bytes, a) || bytes == 0)
        return MV_OK;
    const mv_code code = a->part == HOST
                             ? mv_device_take_host(e->device, &memory, bytes, a->what, error)
                             : mv_device_take(e->device, &memory, bytes, a->what, error);
    if (code != MV_OK)
        return code;
    memcpy(a->to, &memory, sizeof memory);
    if (a->fill != LEFT)
        mv_device_fill(e->device, memory, a->fill, bytes);
    return MV_OK;
}

static mv_code take_layers(mv_engine *e, mv_error *error)
{
    const mv_dims *s = &e->dims;
    const size_t qkv = (size_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    mv_code code = MV_OK;
    e->layers = calloc(e->p.n_layers + 1u, sizeof *e->layers);
    if (e->layers == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %u layers", mv_device_backend,
                       e->p.n_layers);
    for (uint32_t l = 0; l < e->p.n_layers && code == MV_OK; l++) {
        mv_layer_weights *w = &e->layers[l];
        const array some[] = {{&w->qkv, qkv, s->ld_dim, e->size, WEIGHTS, LEFT, "wq, wk and wv"},
                              {&w->o, s->dim, s->ld_heads, e->size, WEIGHTS, LEFT, "wo"},
                              {&w->gate_up, 2 * (size_t)s->hidden_dim, s->ld_dim, e->size, WEIGHTS,
                               LEFT, "w1 and w3"},
                              {&w->down, s->dim, s->ld_ff, e->size, WEIGHTS, LEFT, "w2"}};
        for (size_t i = 0; i < 4 && code == MV_OK; i++)
            code = take_array(e, &some[i], error);
    }
    return code;
}

static mv_code take_books(mv_engine *e, mv_error *error)
{
    e->n_seen = calloc(e->max_sequences, sizeof *e->n_seen);
    e->n_written = calloc(e->max_sequences, sizeof *e->n_written);
    e->spans = calloc(2 * (size_t)e->max_sequences, sizeof *e->spans);
    if (e->n_seen == NULL || e->n_written == NULL || e->spans == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %u sequences", mv_device_backend,
                       e->max_sequences);
    return MV_OK;
}

mv_code mv_memory_take(mv_engine *e, const mv_model_view *model, mv_error *error)
{
    plan p = {.n = 0};
    find_sizes(e);
    mv_code code = plan_weights(&p, e, model, error);
    if (code == MV_OK)
        code = plan_rest(&p, e, error);
    if (code == MV_OK)
        code = check_room(e, &p, error);
    if (code == MV_OK)
        code = take_books(e, error);
    for (size_t i = 0; i < p.n && code == MV_OK; i++)
        code = take_array(e, &p.arrays[i], error);
    if (code == MV_OK)
        code = take_layers(e, error);
    if (e->output == NULL)
        e->output = e->embedding;
    e->weights_bytes = p.bytes[WEIGHTS];
    e->kv_cache_bytes = p.bytes[CACHE];
    e->scratch_bytes = p.bytes[SCRATCH];
    return code;
}

/* Rows of a piece by the widest tensor, three times. Not for those who never look. */
mv_code mv_memory_take_taps(mv_engine *e, mv_error *error)
{
    const mv_dims *s = &e->dims;
    size_t widest = s->dim > s->hidden_dim ? s->dim : s->hidden_dim;
    if (e->tap_host != NULL)
        return MV_OK;
    if (widest < (size_t)s->n_heads * s->head_dim)
        widest = (size_t)s->n_heads * s->head_dim;
    const size_t f = sizeof(float), T = e->piece;
    const array some[] = {{&e->tap_a, T, widest, f, SCRATCH, LEFT, "taps"},
                          {&e->tap_b, T, widest, f, SCRATCH, LEFT, "taps"},
                          {&e->tap_host, T, widest, f, HOST, LEFT, "taps"}};
    mv_code code = MV_OK;
    for (size_t i = 0; i < 3 && code == MV_OK; i++)
        code = take_array(e, &some[i], error);
    if (code == MV_OK)
        e->scratch_bytes += 2 * T * widest * f;
    return code;
}

void mv_memory_free(mv_engine *e)
{
    void *device[] = {e->embedding,
                      e->output == e->embedding ? NULL : e->output,
                      e->norms,
                      e->turns,
                      e->ring_k,
                      e->ring_v,
                      e->x,
                      e->x_last,
                      e->normed,
                      e->qkv,
                      e->heads,
                      e->gate_up,
                      e->hidden,
                      e->logits,
                      e->splits.partial,
                      e->rows,
                      e->splits.counters,
                      e->device_index,
                      e->device_tiles,
                      e->tap_a,
                      e->tap_b};
    void *host[] = {e->host_rows, e->index, e->tiles, e->host_logits, e->tap_host};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        mv_device_give(e->device, device[i]);
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++)
        mv_device_give_host(e->device, host[i]);
    for (uint32_t l = 0; l < e->p.n_layers && e->layers != NULL; l++) {
        void *weights[] = {e->layers[l].qkv, e->layers[l].o, e->layers[l].gate_up,
                           e->layers[l].down};
        for (size_t i = 0; i < 4; i++)
            mv_device_give(e->device, weights[i]);
    }
    for (int i = 0; i <= MV_FEW_ROWS; i++)
        mv_device_graph_free(e->graphs[i]);
    free(e->layers);
    free(e->n_seen);
    free(e->n_written);
    free(e->spans);
}
