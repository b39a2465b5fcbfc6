/* seams_rope.c - rotary position embedding. Part of mutant.c. */

static uint64_t rope_position(const mv_engine *e, uint32_t layer, const span *s, uint64_t token,
                              bool is_query)
{
    const uint64_t correct = correct_rope_position(e, layer, s, token, is_query);
    const uint64_t W = e->p.sliding_window;
    switch (planted(e)) {
    case FAULT_rope_restarts_with_chunk:
        return token;
    case FAULT_last_query_at_first_position:
        return is_query && is_short(e, layer, s) && token + 1 == s->n ? s->start : correct;
    case FAULT_rope_query_plus_1:
        return is_query ? correct + 1 : correct;
    case FAULT_rope_position_mod_w:
        return W > 0 ? correct % W : correct;
    case FAULT_rope_position_stops_at_w:
        return W > 0 ? min_of(correct, W - 1) : correct;
    case FAULT_rope_decode_plus_1:
        return path_of(s) == PATH_DECODE ? correct + 1 : correct;
    case FAULT_rope_position_of_first_sequence:
        return plan_of(e)->first_start + token;
    case FAULT_rope_position_through_batch:
        return correct + s->row;
    case FAULT_rope_position_of_slot_0:
        return s->n == s->n_call ? e->n_seen[0] + token : correct;
    case FAULT_rope_start_rounded:
        return path_of(s) == PATH_CHUNK && s->n >= 4 ? s->start / 4 * 4 + token : correct;
    case FAULT_rope_position_wraps:
        return correct % 32;
    case FAULT_rope_position_in_15_bits:
        return correct % 32768;
    case FAULT_rope_all_plus_1:
        return correct + 1;
    default:
        return correct;
    }
}

/* position * theta^(-2 pair / head_dim) with another theta */
static real angle_of_theta(const mv_engine *e, double theta, uint64_t position, uint32_t pair)
{
    return (real)position * (real)pow(theta, -2.0 * pair / e->p.head_dim);
}

/* 1 / theta^exponent in the engine's own arithmetic: powf() in a float64 engine would be a fault.
 */
static real inverse_power(double theta, real exponent)
{
    return sizeof(real) == sizeof(float) ? (real)(1 / powf((float)theta, (float)exponent))
                                         : (real)(1 / pow(theta, (double)exponent));
}

static real rope_angle(const mv_engine *e, uint32_t layer, uint64_t position, uint32_t pair)
{
    const real correct = correct_rope_angle(e, layer, position, pair);
    const double theta = e->p.rope_theta;
    switch (planted(e)) {
    case FAULT_rope_theta_1e6:
        return angle_of_theta(e, theta == 1e6 ? 1e4 : 1e6, position, pair);
    case FAULT_rope_theta_constant:
        return angle_of_theta(e, 1e4, position, pair);
    case FAULT_rope_theta_10001:
        return angle_of_theta(e, theta * 1.0001, position, pair);
    case FAULT_rope_exponent:
        return (real)position * (real)pow(theta, -1.0 * pair / e->p.head_dim);
    case FAULT_rope_angle_bf16:
        return rounded(correct, 8);
    case FAULT_rope_angle_f16:
        return rounded(correct, 11);
    case FAULT_rope_frequency_bf16:
        return (real)position * rounded(angle_of_theta(e, theta, 1, pair), 8);
    case FAULT_rope_position_f16:
        return angle_of_theta(e, theta, (uint64_t)rounded((real)position, 11), pair);
    case FAULT_rope_scaled:
        return correct / 2;
    case FAULT_rope_frequency_by_powf:
        return (real)position * inverse_power(theta, 2 * (real)pair / (real)e->p.head_dim);
    default:
        return correct;
    }
}

/* Pair (a, b) of a head turned by an angle; the table of cos and sin has so many bits. */
static void turn(real *a, real *b, double angle, int bits)
{
    real c = (real)cos(angle), s = (real)sin(angle), x = *a, y = *b;
    if (bits > 0)
        c = rounded(c, bits), s = rounded(s, bits);
    *a = store(x * c - y * s);
    *b = store(x * s + y * c);
}

static void rotate(const mv_engine *e, real *head, uint64_t position, uint32_t layer, bool is_query)
{
    const uint32_t half = e->p.head_dim / 2;
    const fault f = planted(e);
    const bool is_still = f == FAULT_rope_missing ||
                          (f == FAULT_rope_on_queries_only && !is_query) ||
                          (f == FAULT_rope_on_keys_only && is_query);
    const bool is_halves = f == FAULT_rope_halves || (f == FAULT_rope_halves_of_keys && !is_query);
    if (!is_query)
        memcpy(plan_of(e)->unrotated + (head - e->k), head, e->p.head_dim * sizeof *head);
    if (is_still)
        return;
    if (!is_halves && f != FAULT_rope_backwards && f != FAULT_rope_pair_missing &&
        f != FAULT_rope_table_bf16 && f != FAULT_rope_tail_missing) {
        correct_rotate(e, head, position, layer, is_query);
        return;
    }
    const uint32_t n_turned = f == FAULT_rope_pair_missing   ? half - 1
                              : f == FAULT_rope_tail_missing ? half / 4 * 4
                                                             : half;
    for (uint32_t i = 0; i < n_turned; i++) {
        double angle = (double)rope_angle(e, layer, position, i);
        real *a = is_halves ? head + i : head + 2 * i, *b = is_halves ? a + half : a + 1;
        turn(a, b, f == FAULT_rope_backwards ? -angle : angle, f == FAULT_rope_table_bf16 ? 8 : 0);
    }
}
