/* seams_window.c - which keys a query sees: windows and masks. Part of mutant.c. */

/* What an engine sees that believes in this window; 0 = all. */
static uint64_t oldest_under(uint64_t window, uint64_t query)
{
    return window > 0 && query + 1 > window ? query + 1 - window : 0;
}

/* Some engines take one of these for a window of none. */
enum { DEFAULT_WINDOW = 16, LOCAL_PERIOD = 2 };

/* The window that this layer and path believe in. */
static uint64_t believed_window(const mv_engine *e, uint32_t layer, const span *s, uint64_t query)
{
    const uint64_t W = e->p.sliding_window;
    const uint64_t wider = W > 0 ? W + 1 : 0, narrower = W > 1 ? W - 1 : W;
    const path how = path_of(s);
    switch (planted(e)) {
    case FAULT_window_plus_1:
        return wider;
    case FAULT_window_plus_1_one_layer:
        return is_hit(e, layer) ? wider : W;
    case FAULT_window_plus_1_whole_prompt:
        return how == PATH_WHOLE ? wider : W;
    case FAULT_window_plus_1_later_chunks:
        return how == PATH_CHUNK ? wider : W;
    case FAULT_window_plus_1_decode:
        return how == PATH_DECODE ? wider : W;
    case FAULT_window_minus_1:
        return narrower;
    case FAULT_window_minus_1_one_layer:
        return is_hit(e, layer) ? narrower : W;
    case FAULT_window_minus_1_whole_prompt:
        return how == PATH_WHOLE ? narrower : W;
    case FAULT_window_minus_1_later_chunks:
        return how == PATH_CHUNK ? narrower : W;
    case FAULT_window_minus_1_decode:
        return how == PATH_DECODE ? narrower : W;
    case FAULT_window_off:
        return 0;
    case FAULT_window_off_one_layer:
        return is_hit(e, layer) ? 0 : W;
    case FAULT_window_off_whole_prompt:
        return how == PATH_WHOLE ? 0 : W;
    case FAULT_window_off_later_chunks:
        return how == PATH_CHUNK ? 0 : W;
    case FAULT_window_off_decode:
        return how == PATH_DECODE ? 0 : W;
    case FAULT_window_alternates:
        return layer % LOCAL_PERIOD == 0 ? W : 0;
    case FAULT_window_where_none:
        return W == 0 ? DEFAULT_WINDOW : W;
    case FAULT_window_1_means_none:
        return W == 1 ? 0 : W;
    case FAULT_window_starts_late:
        return query == W ? 0 : W;
    default:
        return W;
    }
}

static uint64_t oldest_cached(const mv_engine *e, const span *s)
{
    const uint64_t W = e->p.sliding_window;
    return W > 0 && s->start > W && path_of(s) == PATH_CHUNK ? s->start - W : 0;
}

/* A mask of [n, cached + n] that begins in its top left corner: query t of a later chunk sees what
 * it would see if the cached keys were not there. */
static uint64_t top_left_query(const mv_engine *e, const span *s, uint64_t query)
{
    return path_of(s) == PATH_CHUNK ? oldest_cached(e, s) + (query - s->start) : query;
}

static uint64_t oldest_key(const mv_engine *e, uint32_t layer, const span *s, uint64_t query)
{
    const uint64_t W = e->p.sliding_window, correct = correct_oldest_key(e, layer, s, query);
    switch (planted(e)) {
    case FAULT_window_blocks:
        return W > 0 ? query / W * W : correct;
    case FAULT_mask_top_left:
        return max_of(oldest_under(W, top_left_query(e, s, query)), oldest_cached(e, s));
    case FAULT_first_key_dropped:
        return correct == 0 && query > 0 ? 1 : correct;
    case FAULT_chunk_forgets_cache:
        return path_of(s) == PATH_CHUNK ? max_of(correct, s->start) : correct;
    case FAULT_mask_of_later_tiles: /* of 128 queries */
        return query - s->start >= 128 && W > 0 && correct > 0 ? correct + 1 : correct;
    case FAULT_split_k_joint: /* the parts meet at 256 keys, and the first is cut short */
        return path_of(s) == PATH_DECODE && query + 1 - correct > 256 ? correct + 1 : correct;
    case FAULT_prefill_trims_first: /* to the W keys that the cache will hold */
        return W > 0 && s->n > W ? max_of(correct, min_of(query, s->start + s->n - W)) : correct;
    default:
        return oldest_under(believed_window(e, layer, s, query), query);
    }
}

static uint64_t newest_key(const mv_engine *e, uint32_t layer, const span *s, uint64_t query)
{
    const uint64_t correct = correct_newest_key(e, layer, s, query);
    const uint64_t last = s->start + s->n - 1;
    switch (planted(e)) {
    case FAULT_future_leak:
        return last;
    case FAULT_future_leak_one_layer:
        return is_hit(e, layer) ? min_of(query + 1, last) : correct;
    case FAULT_mask_top_left:
        return top_left_query(e, s, query);
    case FAULT_decode_before_store:
        return path_of(s) == PATH_DECODE ? query - 1 : correct;
    case FAULT_sink_only:
        return oldest_key(e, layer, s, query);
    case FAULT_ring_read_when_not_full:
    case FAULT_reset_reads_old:
        return max_of(query, slots_read(e, s) - 1);
    default:
        return correct;
    }
}
