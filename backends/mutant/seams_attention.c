/* seams_attention.c - heads, scores, softmax, sums of values. Part of mutant.c. */

/* head >> log2(group): right where a group is a power of two. */
static uint32_t by_shift(const mv_engine *e, uint32_t head)
{
    for (uint32_t group = e->p.n_heads / e->p.n_kv_heads; group > 1; group /= 2)
        head /= 2;
    return head % e->p.n_kv_heads;
}

static uint32_t kv_head_of(const mv_engine *e, uint32_t layer, uint32_t head)
{
    const uint32_t correct = correct_kv_head_of(e, layer, head), n = e->p.n_kv_heads;
    switch (planted(e)) {
    case FAULT_gqa_tiled:
        return head % n;
    case FAULT_gqa_tiled_one_layer:
        return is_hit(e, layer) ? head % n : correct;
    case FAULT_gqa_shifted:
        return (correct + 1) % n;
    case FAULT_gqa_first_head_only:
        return 0;
    case FAULT_gqa_by_shift:
        return by_shift(e, head);
    default:
        return correct;
    }
}

static real attention_scale(const mv_engine *e, uint32_t layer)
{
    const real correct = correct_attention_scale(e, layer);
    switch (planted(e)) {
    case FAULT_scale_missing:
        return 1;
    case FAULT_scale_by_head_dim:
        return 1 / (real)e->p.head_dim;
    case FAULT_scale_by_dim:
        return 1 / real_sqrt((real)e->p.dim);
    case FAULT_scale_by_layer:
        return correct / (real)(layer + 1);
    case FAULT_scale_of_head_dim_128:
        return e->p.head_dim == 128 ? correct * (real)1.01 : correct;
    case FAULT_scale_off_1_percent:
        return correct * (real)1.01;
    case FAULT_scale_off_1_permille:
        return correct * (real)1.001;
    default:
        return correct;
    }
}

static real score_of(const mv_engine *e, uint32_t layer, const real *q, const real *k)
{
    const real correct = correct_score_of(e, layer, q, k), cap = 30;
    switch (planted(e)) {
    case FAULT_scores_softcapped:
        return cap * (real)tanh((double)(correct / cap));
    case FAULT_score_tail_dropped:
        return dot(q, k, e->p.head_dim / 8 * 8) * attention_scale(e, layer);
    case FAULT_scores_bf16:
        return rounded(correct, 8);
    case FAULT_scores_f16:
        return rounded(correct, 11);
    default:
        return correct;
    }
}

static real probability(const mv_engine *e, real score, real max_score)
{
    const real log2_e = (real)1.4426950408889634074;
    switch (planted(e)) {
    case FAULT_probabilities_bf16:
        return rounded(correct_probability(e, score, max_score), 8);
    case FAULT_exp_f16:
        return rounded(correct_probability(e, rounded(score - max_score, 11), 0), 11);
    case FAULT_exp_without_maximum:
        return real_exp(score);
    case FAULT_exp_as_exp2:
        return (real)exp2((double)((score - max_score) * log2_e));
    default:
        return correct_probability(e, score, max_score);
    }
}

/* ---- one query of one head ---- */

/* What attend() works on. */
typedef struct query_view {
    const mv_engine *e;
    uint32_t layer;
    const span *s;
    uint64_t from, to; /* keys */
    size_t kv_offset;
    const real *q; /* [E] */
    real *out;     /* [E] */
} query_view;

static query_view view_query(const mv_engine *e, uint32_t layer, const span *s, uint64_t token,
                             uint32_t head)
{
    const size_t head_dim = e->p.head_dim, row = (s->row + token) * e->p.n_heads + head;
    const uint64_t query = s->start + token;
    return (query_view){.e = e,
                        .layer = layer,
                        .s = s,
                        .from = oldest_key(e, layer, s, query),
                        .to = newest_key(e, layer, s, query),
                        .kv_offset = kv_head_of(e, layer, head) * head_dim,
                        .q = e->q + row * head_dim,
                        .out = e->heads + row * head_dim};
}

static real view_score(const query_view *v, uint64_t key)
{
    const real *k = row_at(v->e, v->e->k, v->e->cache_k, v->layer, v->s, key);
    return score_of(v->e, v->layer, v->q, k + v->kv_offset);
}

static void add_value(const query_view *v, uint64_t key, real p)
{
    const real *row = row_at(v->e, v->e->v, v->e->cache_v, v->layer, v->s, key) + v->kv_offset;
    for (size_t i = 0; i < v->e->p.head_dim; i++)
        v->out[i] += p * row[i];
}

/* In two passes, as the reference does. */
static void attend_twice(const query_view *v, uint64_t query, real *scores)
{
    const fault f = planted(v->e);
    const uint64_t n = v->to - v->from + 1;
    real max_score = -INFINITY, sum = 0;
    for (uint64_t j = 0; j < n; j++) {
        scores[j] = view_score(v, v->from + j);
        if (f == FAULT_mask_too_weak && v->from + j > query)
            scores[j] -= 8;
        max_score = scores[j] > max_score ? scores[j] : max_score;
    }
    for (uint64_t j = 1; j < n && f == FAULT_equal_scores_lost; j++)
        scores[j] = scores[j] == scores[0] ? -INFINITY : scores[j];
    if (f == FAULT_softmax_plus_one) /* a key of zeros that everybody sees */
        sum = real_exp(-max_score);
    memset(v->out, 0, v->e->p.head_dim * sizeof *v->out);
    for (uint64_t j = 0; j < n; j++) {
        const uint64_t at = f == FAULT_keys_reversed ? n - 1 - j : j;
        const real p = probability(v->e, scores[at], max_score);
        sum += p;
        add_value(v, v->from + at, f == FAULT_probabilities_unrounded ? p : store(p));
    }
    for (size_t i = 0; i < v->e->p.head_dim; i++)
        v->out[i] = store(v->out[i] / sum);
}

/* Keys of a tile: as few as show a bug on few keys, or as many as engines have where it shows on
 * any two tiles alike. */
static uint64_t key_tile(fault f)
{
    const bool needs_many = f == FAULT_softmax_max_of_first_tile ||
                            f == FAULT_softmax_max_of_each_tile ||
                            f == FAULT_softmax_max_of_masked_keys;
    return needs_many ? 256 : 4;
}

/* The largest score that a row has seen after a tile, the first of which begins at key 0; the
 * tile's scores are in scores[first] ... */
static real running_maximum(const query_view *v, real before, uint64_t first, uint64_t end,
                            const real *scores)
{
    const fault f = planted(v->e);
    real max_score = f == FAULT_softmax_max_of_each_tile ? -INFINITY : before;
    if (f == FAULT_softmax_max_of_first_tile && first > 0)
        return before;
    for (uint64_t j = first; j < end; j++)
        max_score = scores[j] > max_score ? scores[j] : max_score;
    /* the rest of the tile, which is there, though not for this query */
    const uint64_t n_there = v->s->start + v->s->n - v->from;
    end = f == FAULT_softmax_max_of_masked_keys ? min_of(first + key_tile(f), n_there) : end;
    for (uint64_t j = v->to - v->from + 1; j < end; j++) {
        const real score = view_score(v, v->from + j);
        max_score = score > max_score ? score : max_score;
    }
    return max_score;
}

/* In one pass over tiles of keys, with a running maximum, as FlashAttention does (Milakov and
 * Gimelshein 2018). */
static void attend_online(const query_view *v, real *scores)
{
    const size_t head_dim = v->e->p.head_dim;
    const fault f = planted(v->e);
    const uint64_t tile = key_tile(f);
    uint64_t n = v->to - v->from + 1;
    real max_score = f == FAULT_softmax_max_starts_at_zero ? 0 : -INFINITY, sum = 0;
    if (f == FAULT_key_tile_dropped && n > tile)
        n -= n % tile;
    memset(v->out, 0, head_dim * sizeof *v->out);
    for (uint64_t first = 0; first < n; first += tile) {
        const uint64_t end = min_of(first + tile, n);
        const real before = max_score;
        for (uint64_t j = first; j < end; j++)
            scores[j] = view_score(v, v->from + j);
        max_score = running_maximum(v, before, first, end, scores);
        const real factor = first > 0 ? real_exp(before - max_score) : 1;
        sum *= f != FAULT_softmax_sum_not_rescaled ? factor : 1;
        for (size_t i = 0; i < head_dim && f != FAULT_rescale_missing; i++)
            v->out[i] *= factor;
        for (uint64_t j = first; j < end; j++) {
            const real p = probability(v->e, scores[j], max_score);
            sum += p;
            add_value(v, v->from + j, store(p));
        }
    }
    for (size_t i = 0; i < head_dim; i++)
        v->out[i] = store(v->out[i] / sum);
}

/* A mask that multiplies: every key of the call and every slot goes in, most with weight 0. */
static void add_masked(const query_view *v)
{
    const size_t width = (size_t)v->e->p.n_kv_heads * v->e->p.head_dim; /* K*E */
    for (uint64_t key = v->s->start; key < v->s->start + v->s->n; key++) {
        if (key < v->from || key > v->to)
            add_value(v, key, 0);
    }
    const real *slots = cache_row(v->e, v->e->cache_v, v->layer, v->s, 0);
    for (size_t slot = 0; slot < v->e->n_slots; slot++) {
        for (size_t i = 0; i < v->e->p.head_dim; i++)
            v->out[i] += 0 * slots[slot * width + v->kv_offset + i];
    }
}

static void attend(const mv_engine *e, uint32_t layer, const span *s, uint64_t token, uint32_t head,
                   real *scores)
{
    query_view v;
    switch (planted(e)) {
    case FAULT_mask_multiplies:
        v = view_query(e, layer, s, token, head);
        correct_attend(e, layer, s, token, head, scores);
        add_masked(&v);
        return;
    case FAULT_mask_too_weak:
        v = view_query(e, layer, s, token, head);
        v.to = s->start + s->n - 1;
        attend_twice(&v, s->start + token, scores);
        return;
    case FAULT_value_tail_dropped:
        v = view_query(e, layer, s, token, head);
        correct_attend(e, layer, s, token, head, scores);
        memset(v.out + e->p.head_dim / 8 * 8, 0, e->p.head_dim % 8 * sizeof *v.out);
        return;
    case FAULT_odd_head_skipped: /* heads two by two */
        v = view_query(e, layer, s, token, head);
        correct_attend(e, layer, s, token, head, scores);
        if (head == e->p.n_heads / 2 * 2)
            memset(v.out, 0, e->p.head_dim * sizeof *v.out);
        return;
    case FAULT_equal_scores_lost:
    case FAULT_softmax_plus_one:
    case FAULT_keys_reversed:
    case FAULT_probabilities_unrounded:
        v = view_query(e, layer, s, token, head);
        attend_twice(&v, s->start + token, scores);
        return;
    case FAULT_key_tile_dropped:
    case FAULT_rescale_missing:
    case FAULT_softmax_max_of_each_tile:
    case FAULT_softmax_max_of_first_tile:
    case FAULT_softmax_max_of_masked_keys:
    case FAULT_softmax_max_starts_at_zero:
    case FAULT_softmax_online:
    case FAULT_softmax_sum_not_rescaled:
        v = view_query(e, layer, s, token, head);
        attend_online(&v, scores);
        return;
    default:
        correct_attend(e, layer, s, token, head, scores);
    }
}
