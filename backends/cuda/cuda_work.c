/* cuda_work.c - counts what the kernels of a piece do, from its shapes. */
#include "backends/cuda/cuda_engine.h"

/* Keys that the query at a position sees. */
static uint64_t keys_of(const mv_engine *e, uint64_t position)
{
    const uint64_t window = e->p.sliding_window;
    return window > 0 && position + 1 > window ? window : position + 1;
}

/* Positions whose keys a tile's block reads. */
static uint64_t keys_of_tile(const mv_engine *e, const mv_tile *tile)
{
    return keys_of(e, tile->position) + tile->n - 1;
}

/* Pairs that are multiplied: those that are seen; on the tensor cores, whole tiles of 64 x 64. */
static uint64_t pairs_of_tile(const mv_engine *e, const mv_tile *tile)
{
    const uint64_t newest = (uint64_t)tile->position + tile->n - 1;
    const uint64_t oldest = newest + 1 - keys_of_tile(e, tile);
    uint64_t pairs = 0;
    if (mv_attend_tile(e->dtype, e->p.head_dim) == MV_TILE_MMA)
        return (newest / MV_KEY_TILE - oldest / MV_KEY_TILE + 1) * MV_KEY_TILE * MV_TILE_MMA;
    for (uint32_t i = 0; i < tile->n; i++)
        pairs += keys_of(e, (uint64_t)tile->position + i);
    return pairs;
}

/* Attention of n_layers that goes row by row, or by tiles. */
static void count_attention(mv_engine *e, const mv_row *rows, uint32_t n_rows, uint32_t n_tiles,
                            uint64_t n_layers)
{
    const uint64_t group = e->p.n_heads / e->p.n_kv_heads;
    const uint64_t blocks = e->p.n_kv_heads * ((group + MV_GROUP_MAX - 1) / MV_GROUP_MAX);
    uint64_t pairs = 0, read = 0;
    for (uint32_t i = 0; i < n_tiles; i++) {
        pairs += pairs_of_tile(e, &e->tiles[i]);
        read += keys_of_tile(e, &e->tiles[i]) * e->p.n_heads;
    }
    for (uint32_t i = 0; i < n_rows && n_tiles == 0; i++) {
        pairs += keys_of(e, rows[i].position);
        read += keys_of(e, rows[i].position) * blocks;
    }
    e->work.attention_pairs += pairs * e->p.n_heads * n_layers;
    e->work.attention_multiply_adds += 2 * pairs * e->p.n_heads * e->p.head_dim * n_layers;
    e->work.kv_cache_bytes += 2 * read * e->p.head_dim * e->size * n_layers;
}

uint64_t mv_work_weight_bytes(const mv_engine *e)
{
    const mv_dims *s = &e->dims;
    const uint64_t qkv = (uint64_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    const uint64_t a_layer =
        (qkv + 2ull * s->hidden_dim) * s->ld_dim + (uint64_t)s->dim * (s->ld_heads + s->ld_ff);
    return a_layer * e->p.n_layers * e->size;
}

void mv_work_count(mv_engine *e, const mv_piece *piece, bool few)
{
    const mv_params *p = &e->p;
    const uint64_t n = piece->n_rows, last = piece->n_last, L = p->n_layers, D = p->dim;
    const uint64_t full = last == n ? L : L - 1; /* layers that all rows go through */
    const uint64_t kv = 2ull * p->n_kv_heads * p->head_dim;
    const uint64_t qkv = (uint64_t)(p->n_heads + 2 * p->n_kv_heads) * p->head_dim;
    const uint64_t a_row = D * (qkv + (uint64_t)p->n_heads * p->head_dim + 3ull * p->hidden_dim);
    const uint64_t n_logits = few && piece->n_logits > 0 ? n : piece->n_logits;
    const uint64_t times = few ? 1 : (n_logits + MV_LOGIT_ROWS - 1) / MV_LOGIT_ROWS;
    e->work.linear_multiply_adds +=
        n * a_row * full + (L - full) * (n * D * kv + last * (a_row - D * kv));
    e->work.output_multiply_adds += n_logits * D * p->vocab_size;
    e->work.weight_bytes += mv_work_weight_bytes(e) / L * (last > 0 ? L : full) +
                            (last > 0 ? 0 : (L - full) * kv * e->dims.ld_dim * e->size);
    if (n_logits > 0)
        e->work.weight_bytes += times * p->vocab_size * e->dims.ld_dim * e->size;
    e->work.kv_cache_bytes += n * kv * e->size * L;
    e->work.calls += few ? 1 + 5 * L + (n_logits > 0)
                         : 1 + 9 * full + (L - full) * (last > 0 ? 13 : 3) + 2 * times;
    count_attention(e, e->host_rows, piece->n_rows, piece->n_tiles, full);
    if (full < L)
        count_attention(e, e->host_rows + e->piece, piece->n_last, 0, 1);
}
