/* seams_ring.c - the rolling buffer: slots, what is kept, lengths, resets. Part of mutant.c. */

static size_t cache_slots(const mv_engine *e)
{
    const size_t correct = correct_cache_slots(e);
    const bool rolls = e->p.sliding_window > 0 && e->p.sliding_window < e->max_positions;
    switch (planted(e)) {
    case FAULT_window_plus_1: /* so that the key is there to be seen */
    case FAULT_window_plus_1_one_layer:
        return rolls ? correct + 1 : correct;
    case FAULT_window_off:
    case FAULT_window_off_one_layer:
    case FAULT_window_off_whole_prompt:
    case FAULT_window_off_later_chunks:
    case FAULT_window_off_decode:
    case FAULT_window_alternates:
    case FAULT_window_1_means_none:
    case FAULT_window_starts_late:
        return e->max_positions;
    case FAULT_ring_one_slot_short:
        return rolls && correct > 1 ? correct - 1 : correct;
    case FAULT_ring_two_slots_short:
        return !rolls ? correct : correct > 2 ? correct - 2 : 1;
    default:
        return correct;
    }
}

/* cache_is_static: a call begins with what the call before it left, of whatever engine, as long as
 * they are of one size. Keys, then values. */
static real static_cache[2 << 16];
static size_t static_cache_size; /* of the keys; 0 = none yet */

/* 0: it does not fit. */
static size_t n_cached_keys(const mv_engine *e)
{
    const size_t n =
        (size_t)e->p.n_layers * e->max_sequences * e->n_slots * e->p.n_kv_heads * e->p.head_dim;
    return n <= sizeof static_cache / sizeof *static_cache / 2 ? n : 0;
}

static void find_static_cache(const mv_engine *e)
{
    const size_t n = n_cached_keys(e);
    if (planted(e) != FAULT_cache_is_static || n == 0 || n != static_cache_size)
        return;
    memcpy(e->cache_k, static_cache, n * sizeof *e->cache_k);
    memcpy(e->cache_v, static_cache + n, n * sizeof *e->cache_v);
}

static void leave_static_cache(const mv_engine *e)
{
    const size_t n = n_cached_keys(e);
    if (planted(e) != FAULT_cache_is_static)
        return;
    static_cache_size = n;
    memcpy(static_cache, e->cache_k, n * sizeof *e->cache_k);
    memcpy(static_cache + n, e->cache_v, n * sizeof *e->cache_v);
}

static size_t slot_to_read(const mv_engine *e, uint32_t layer, const span *s, uint64_t position)
{
    const size_t n = e->n_slots, correct = correct_cache_slot(e, layer, s, position);
    const bool is_full = s->start >= n, is_chunk = path_of(s) == PATH_CHUNK;
    switch (planted(e)) {
    case FAULT_ring_reads_previous_slot:
        return (correct + n - 1) % n;
    case FAULT_ring_reads_previous_slot_one_layer:
        return is_hit(e, layer) ? (correct + n - 1) % n : correct;
    case FAULT_ring_rotated_when_not_full:
        return is_full ? correct : (position + s->start) % n;
    case FAULT_ring_not_unrotated: /* slot order taken for order in time */
        return is_full && is_chunk ? (position - (s->start - n)) % n : correct;
    case FAULT_ring_unrotated_backwards:
        return is_full && is_chunk ? (position - (s->start - n) + n - s->start % n) % n : correct;
    default:
        return correct;
    }
}

static size_t slot_to_write(const mv_engine *e, uint32_t layer, const span *s, uint64_t position)
{
    const size_t n = e->n_slots, correct = correct_cache_slot(e, layer, s, position);
    switch (planted(e)) {
    case FAULT_ring_slot_from_chunk:
        return (position - s->start) % n;
    case FAULT_ring_length_reaches_w:
        return s->start + s->n == n ? (position + 1) % n : correct;
    case FAULT_ring_evicts_newest:
        return position >= n ? n - 1 : correct;
    default:
        return correct;
    }
}

static size_t cache_slot(const mv_engine *e, uint32_t layer, const span *s, uint64_t position)
{
    const size_t n = e->n_slots;
    switch (planted(e)) { /* on both sides */
    case FAULT_ring_backwards:
        return n - 1 - position % n;
    case FAULT_ring_starts_at_1:
        return (position + 1) % n;
    case FAULT_ring_needs_power_of_two:
        return position & (n - 1);
    default:
        return position < s->start ? slot_to_read(e, layer, s, position)
                                   : slot_to_write(e, layer, s, position);
    }
}

static bool is_cached(const mv_engine *e, uint32_t layer, const span *s, uint64_t token)
{
    const bool correct = correct_is_cached(e, layer, s, token);
    switch (planted(e)) {
    case FAULT_ring_keeps_first_of_chunk:
        return token < e->n_slots;
    case FAULT_ring_drops_last_of_chunk:
        return correct && (s->n == 1 || token + 1 < s->n);
    case FAULT_last_layer_not_cached_without_logits:
        return correct && (plan_of(e)->asked != MV_LOGITS_NONE || layer + 1 != e->p.n_layers);
    case FAULT_ring_ignores_chunk_of_w:
        return correct && s->n != e->p.sliding_window;
    case FAULT_seventeenth_sequence_lost:
        return correct && s->sequence < 16;
    case FAULT_seventeenth_decode_lost:
        return correct && (s->n > 1 || s->row < 16);
    default:
        return correct;
    }
}

static uint32_t cache_sequence(const mv_engine *e, uint32_t layer, const span *s)
{
    const uint32_t correct = correct_cache_sequence(e, layer, s);
    switch (planted(e)) {
    case FAULT_sequence_offset_missing:
        return 0;
    case FAULT_sequences_share_a_layer:
        return is_hit(e, layer) ? correct / 2 * 2 : correct;
    case FAULT_ninth_sequence_in_slots_of_first:
        return correct % 8;
    default:
        return correct;
    }
}

static real cached_value(const mv_engine *e, uint32_t layer, const real *row, size_t i)
{
    const real value = correct_cached_value(e, layer, row, i);
    const size_t n_keys = (size_t)e->max_batch_tokens * e->p.n_kv_heads * e->p.head_dim;
    const uintptr_t offset = ((uintptr_t)row - (uintptr_t)e->k) / sizeof(real); /* if in e->k */
    uint32_t bits;
    float f = (float)value;
    switch (planted(e)) {
    case FAULT_cache_bf16:
        return rounded(value, 8);
    case FAULT_cache_f16:
        return rounded(value, 11);
    case FAULT_cache_fp8:
        return rounded(value, 4);
    case FAULT_cache_bf16_read_as_f16:
        memcpy(&bits, &f, sizeof bits);
        return (real)float_from_f16((uint16_t)(bits >> 16));
    case FAULT_cache_keeps_unrotated_keys:
        return offset < n_keys ? plan_of(e)->unrotated[offset + i] : value;
    default:
        return value;
    }
}

static void forget(mv_engine *e, uint32_t sequence)
{
    const uint64_t n_seen = e->n_seen[sequence];
    if (n_seen > plan_of(e)->n_before[sequence])
        plan_of(e)->n_before[sequence] = n_seen;
    correct_forget(e, sequence);
    if (planted(e) == FAULT_reset_keeps_length)
        e->n_seen[sequence] = n_seen;
    for (uint32_t i = 0; i < e->max_sequences && planted(e) == FAULT_reset_of_all_sequences; i++)
        correct_forget(e, i);
}

static mv_code truncate(mv_engine *e, uint32_t sequence, uint32_t n_positions, mv_error *error)
{
    const mv_code correct = correct_truncate(e, sequence, n_positions, error);
    if (sequence >= e->max_sequences || n_positions > e->n_seen[sequence])
        return correct;
    switch (planted(e)) {
    case FAULT_truncate_one_less:
        if (correct == MV_OK && n_positions > 0)
            e->n_seen[sequence] = n_positions - 1;
        return correct;
    case FAULT_truncate_never_refuses:
        e->n_seen[sequence] = n_positions;
        return MV_OK;
    default:
        return correct;
    }
}

static uint64_t advance(const mv_engine *e, const span *s)
{
    const uint64_t correct = correct_advance(e, s);
    const uint64_t W = e->p.sliding_window;
    if (s->row + s->n == s->n_call) /* the call ends */
        leave_static_cache(e);
    switch (planted(e)) {
    case FAULT_length_loses_a_token:
        return s->n > 1 ? correct - 1 : correct;
    case FAULT_length_grows_by_w_at_most:
        return W > 0 && s->n > W ? s->start + W : correct;
    default:
        return correct;
    }
}

/* How many slots are read by an engine that reads more than it has: the whole ring, or what the
 * sequence had before its reset. Decode only: row_at() needs positions that the call has not. */
static uint64_t slots_read(const mv_engine *e, const span *s)
{
    const uint64_t before = plan_of(e)->n_before[s->sequence];
    if (s->n > 1)
        return 1;
    return planted(e) == FAULT_ring_read_when_not_full || before > e->n_slots ? e->n_slots
                                                                              : max_of(before, 1);
}

static const real *row_at(const mv_engine *e, const real *fresh, real *cache, uint32_t layer,
                          const span *s, uint64_t position)
{
    const size_t width = (size_t)e->p.n_kv_heads * e->p.head_dim; /* K*E */
    if (position >= s->start + s->n) /* a slot that nothing was written to, see slots_read() */
        return cache_row(e, cache, layer, s, position % e->n_slots);
    if (planted(e) == FAULT_last_query_before_its_chunk_is_cached && is_short(e, layer, s) &&
        position + 1 < s->start + s->n)
        return cache_row(e, cache, layer, s, position % e->n_slots);
    if (planted(e) == FAULT_batch_sees_neighbour && position == s->start && s->row > 0)
        return fresh + (s->row - 1) * width;
    return correct_row_at(e, fresh, cache, layer, s, position);
}
