/* cache.c - the rolling buffer: position p is kept in slot p mod n_slots, the last n_slots of them.
 * One head's slots lie side by side, so that a decode step reads each head as one stream. */
#include "backends/blas/engine.h"

#include <string.h>

size_t mv_cache_slots(const mv_params *p, uint32_t max_positions)
{
    return p->sliding_window > 0 && p->sliding_window < max_positions ? p->sliding_window
                                                                      : max_positions;
}

/* Bytes from the start of cache_k or cache_v to a slot. */
static size_t slot_at(const mv_engine *e, uint32_t layer, uint32_t sequence, uint32_t kv_head,
                      size_t slot)
{
    size_t head = ((size_t)layer * e->max_sequences + sequence) * e->p.n_kv_heads + kv_head;
    return (head * e->n_slots + slot) * e->p.head_dim * e->kv_size;
}

mv_keys mv_cache_keys(const mv_engine *e, uint32_t layer, const mv_span *span, uint32_t kv_head,
                      uint64_t position, uint64_t end)
{
    const size_t head_dim = e->p.head_dim, width = e->p.n_kv_heads * head_dim;
    if (position >= span->start) {
        size_t at = ((span->row + (position - span->start)) * width + kv_head * head_dim);
        return (mv_keys){e->new_k + at * e->kv_size, e->new_v + at * e->kv_size, width,
                         end - position, false};
    }
    size_t slot = position % e->n_slots, n = e->n_slots - slot;
    if (end > span->start)
        end = span->start;
    if (n > end - position)
        n = end - position;
    size_t at = slot_at(e, layer, span->sequence, kv_head, slot);
    return (mv_keys){e->cache_k + at, e->cache_v + at, head_dim, n, true};
}

void mv_cache_take_new(mv_engine *e, size_t n_rows)
{
    const size_t n = n_rows * e->p.n_kv_heads * e->p.head_dim;
    if (e->kv_dtype == MV_DTYPE_BF16) {
        e->kernels->to_bf16((uint16_t *)(void *)e->new_k, e->k, n);
        e->kernels->to_bf16((uint16_t *)(void *)e->new_v, e->v, n);
    } else {
        memcpy(e->new_k, e->k, n * sizeof *e->k);
        memcpy(e->new_v, e->v, n * sizeof *e->v);
    }
}

void mv_cache_write(mv_engine *e, uint32_t layer, uint32_t n_spans)
{
    const size_t bytes = e->p.head_dim * e->kv_size; /* of one head */
    for (uint32_t i = 0; i < n_spans; i++) {
        const mv_span *s = &e->spans[i];
        uint64_t first = s->n > e->n_slots ? s->n - e->n_slots : 0;
        for (uint64_t t = first; t < s->n; t++) {
            for (uint32_t h = 0; h < e->p.n_kv_heads; h++) {
                size_t to = slot_at(e, layer, s->sequence, h, (s->start + t) % e->n_slots);
                size_t from = ((s->row + t) * e->p.n_kv_heads + h) * bytes;
                memcpy(e->cache_k + to, e->new_k + from, bytes);
                memcpy(e->cache_v + to, e->new_v + from, bytes);
            }
        }
        e->work.kv_cache_bytes += 2 * (s->n - first) * e->p.n_kv_heads * bytes;
    }
}
