/* seams_linear.c - matrix products: sums in other orders and precisions, the wrong weights. Part of
 * mutant.c.
 */

/* ---- sum w[i] x[i], in many ways ---- */

typedef real (*sum_fn)(const real *w, const real *x, size_t n);

static real sum_from(const real *w, const real *x, size_t from, size_t to)
{
    real sum = 0;
    for (size_t i = from; i < to; i++)
        sum += w[i] * x[i];
    return sum;
}

static real sum_split(const real *w, const real *x, size_t n, size_t parts)
{
    real sum = 0;
    for (size_t i = 0; i < parts; i++)
        sum += sum_from(w, x, n * i / parts, n * (i + 1) / parts);
    return sum;
}

static real sum_split_4(const real *w, const real *x, size_t n)
{
    return sum_split(w, x, n, 4);
}

static real sum_split_16(const real *w, const real *x, size_t n)
{
    return sum_split(w, x, n, 16);
}

static real sum_reversed(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = n; i-- > 0;)
        sum += w[i] * x[i];
    return sum;
}

static size_t common_divisor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

/* Every index once, in steps that share no factor with n. */
static real sum_strided(const real *w, const real *x, size_t n, size_t stride)
{
    real sum = 0;
    while (common_divisor(n, stride) != 1)
        stride++;
    for (size_t i = 0, at = n / 3; i < n; i++, at = (at + stride) % n)
        sum += w[at] * x[at];
    return sum;
}

static real sum_permuted_a(const real *w, const real *x, size_t n)
{
    return sum_strided(w, x, n, 5);
}

static real sum_permuted_b(const real *w, const real *x, size_t n)
{
    return sum_strided(w, x, n, 37);
}

static real sum_permuted_c(const real *w, const real *x, size_t n)
{
    return sum_strided(w, x, n, n / 2 + 1);
}

static real sum_pairwise(const real *w, const real *x, size_t n)
{
    if (n <= 4)
        return sum_from(w, x, 0, n);
    return sum_pairwise(w, x, n / 2) + sum_pairwise(w + n / 2, x + n / 2, n - n / 2);
}

static real sum_fused(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sizeof(real) == sizeof(float) ? (real)fmaf((float)w[i], (float)x[i], (float)sum)
                                            : (real)fma((double)w[i], (double)x[i], (double)sum);
    return sum;
}

static real sum_in_double(const real *w, const real *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)x[i];
    return (real)sum;
}

static real sum_in_f16(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = rounded(sum + w[i] * x[i], 11);
    return sum;
}

static real sum_in_bf16(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = rounded(sum + w[i] * x[i], 8);
    return sum;
}

static real sum_of_tf32(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += rounded(w[i], 11) * rounded(x[i], 11);
    return sum;
}

static real sum_in_22_bits(const real *w, const real *x, size_t n)
{
    real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = rounded(sum + w[i] * x[i], 22);
    return sum;
}

static real sum_without_last(const real *w, const real *x, size_t n)
{
    return dot(w, x, n - 1);
}

/* A vector loop of 4 and nothing behind it. */
static real sum_of_whole_vectors(const real *w, const real *x, size_t n)
{
    return dot(w, x, n / 4 * 4);
}

/* The loop rounded up: what lies behind a row, here its own beginning, goes in, too. */
static real sum_rounded_up(const real *w, const real *x, size_t n)
{
    real sum = dot(w, x, n);
    for (size_t i = 0; i < (4 - n % 4) % 4; i++)
        sum += w[i % n] * x[i % n];
    return sum;
}

/* ---- products with them ---- */

/* Weights as 8-bit integers, one scale a row. */
static void quantise(real *row, size_t n)
{
    real largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = row[i] > largest ? row[i] : -row[i] > largest ? -row[i] : largest;
    for (size_t i = 0; i < n && largest > 0; i++)
        row[i] = (real)nearbyint((double)(row[i] / largest * 127)) / 127 * largest;
}

/* bfloat16 by cutting the lower half off. */
static real truncated(real value)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits &= 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return (real)f;
}

static void multiply(const mv_engine *e, real *y, const real *x, const mv_tensor *weight,
                     size_t n_rows, sum_fn sum)
{
    const size_t n_out = weight->shape[0], n_in = weight->shape[1];
    const fault f = planted(e);
    const bool is_logits = weight == &e->model->output;
    real *row = e->weight_rows; /* [n_in] */
    for (size_t out = 0; out < n_out; out++) {
        weight_row(row, weight, out, n_in);
        if (f == FAULT_weights_int8)
            quantise(row, n_in);
        for (size_t t = 0; t < n_rows; t++) {
            real value = sum(row, x + t * n_in, n_in);
            if (f == FAULT_store_truncates)
                value = truncated(value);
            else if (f != FAULT_logits_unrounded || !is_logits)
                value = store(value);
            y[t * n_out + out] = value;
        }
    }
}

/* In two ways, by what should make no difference: the rows of a product, the threads, ... */
static sum_fn sum_by_whim(const mv_engine *e, size_t n_rows)
{
    const plan *p = plan_of(e);
    const bool splits = p->fault == FAULT_sums_change_with_calls        ? p->n_calls % 5 == 1
                        : p->fault == FAULT_sums_change_one_call_in_20  ? mutant_n_calls % 20 == 13
                        : p->fault == FAULT_sums_change_one_call_in_100 ? mutant_n_calls % 100 == 13
                        : p->fault == FAULT_sums_differ_by_rows         ? n_rows == 1
                        : p->fault == FAULT_sums_differ_by_sequences    ? p->n_sequences > 1
                                                                        : e->n_threads > 2;
    return splits ? sum_split_4 : dot;
}

static sum_fn other_sum(const mv_engine *e, const mv_tensor *weight, size_t n_rows)
{
    const plan *p = plan_of(e);
    const bool in_hit_layer = p->at_layer < e->p.n_layers && is_hit(e, p->at_layer);
    switch (p->fault) {
    case FAULT_sums_split_4:
        return sum_split_4;
    case FAULT_sums_split_16:
        return sum_split_16;
    case FAULT_sums_reversed:
        return sum_reversed;
    case FAULT_sums_permuted_a:
        return sum_permuted_a;
    case FAULT_sums_permuted_b:
        return sum_permuted_b;
    case FAULT_sums_permuted_c:
        return sum_permuted_c;
    case FAULT_sums_pairwise:
        return sum_pairwise;
    case FAULT_sums_fused:
        return sum_fused;
    case FAULT_sums_in_double:
        return sum_in_double;
    case FAULT_sums_in_f16:
        return sum_in_f16;
    case FAULT_sums_in_bf16:
        return sum_in_bf16;
    case FAULT_sums_in_22_bits:
        return sum_in_22_bits;
    case FAULT_products_tf32:
        return sum_of_tf32;
    case FAULT_product_tail_dropped:
        return sum_of_whole_vectors;
    case FAULT_product_reads_padding:
        return sum_rounded_up;
    case FAULT_last_column_dropped:
        return sum_without_last;
    case FAULT_sums_change_with_calls:
    case FAULT_sums_change_one_call_in_20:
    case FAULT_sums_change_one_call_in_100:
    case FAULT_sums_differ_by_rows:
    case FAULT_sums_differ_by_sequences:
    case FAULT_sums_differ_by_threads:
        return sum_by_whim(e, n_rows);
    case FAULT_last_column_dropped_one_layer:
        return in_hit_layer && weight == &mv_layer_at(e->model, p->at_layer)->w2 ? sum_without_last
                                                                                 : NULL;
    case FAULT_weights_int8:
    case FAULT_store_truncates:
    case FAULT_logits_unrounded:
        return dot;
    default:
        return NULL;
    }
}

/* ---- the wrong weights ---- */

static const mv_tensor *other_weight(const mv_engine *e, const mv_tensor *weight)
{
    const plan *p = plan_of(e);
    if (weight == &e->model->output)
        return p->fault == FAULT_output_tied ? &e->model->tok_embeddings : weight;
    const bool is_hit_here = is_hit(e, p->at_layer), has_next = p->at_layer + 1 < e->p.n_layers;
    const mv_layer *own = mv_layer_at(e->model, p->at_layer);
    const mv_layer *next = has_next ? mv_layer_at(e->model, p->at_layer + 1) : own;
    const size_t offset = (size_t)((const char *)weight - (const char *)own);
    switch (p->fault) {
    case FAULT_gate_up_swapped_one_layer:
        if (!is_hit_here)
            return weight;
        return weight == &own->w1 ? &own->w3 : weight == &own->w3 ? &own->w1 : weight;
    case FAULT_gate_up_swapped:
        return weight == &own->w1 ? &own->w3 : weight == &own->w3 ? &own->w1 : weight;
    case FAULT_key_value_swapped:
        return weight == &own->wk ? &own->wv : weight == &own->wv ? &own->wk : weight;
    case FAULT_weights_of_next_layer:
        return is_hit_here ? (const void *)((const char *)next + offset) : weight;
    default:
        return weight;
    }
}

/* One weight of one matrix with the highest bit of its fraction flipped: w' - w is half of the
 * power of two below w. */
static void flip_weight_bit(const mv_engine *e, real *y, const real *x, const mv_tensor *weight,
                            size_t n_rows)
{
    const size_t n_out = weight->shape[0], n_in = weight->shape[1];
    const size_t out = n_out / 2, in = n_in / 3;
    int exponent;
    real *row = e->weight_rows;
    weight_row(row, weight, out, n_in);
    double fraction = frexp((double)row[in], &exponent);
    double change = ldexp(fabs(fraction) >= 0.75 ? -0.25 : 0.25, exponent);
    for (size_t t = 0; t < n_rows; t++)
        y[t * n_out + out] += (real)(fraction < 0 ? -change : change) * x[t * n_in + in];
}

/* Outputs, or rows, behind the last whole tile. */
static void lose_edges(const mv_engine *e, real *y, const mv_tensor *weight, size_t n_rows)
{
    const size_t n_out = weight->shape[0];
    const bool is_logits = weight == &e->model->output;
    if (planted(e) == FAULT_last_outputs_dropped && !is_logits) {
        for (size_t t = 0; t < n_rows; t++)
            memset(y + t * n_out + n_out / 4 * 4, 0, n_out % 4 * sizeof *y);
    }
    if (planted(e) == FAULT_single_last_row_lost && n_rows > 1 && n_rows % 32 == 1)
        memcpy(y + (n_rows - 1) * n_out, y + (n_rows - 2) * n_out, n_out * sizeof *y);
}

static void linear(mv_engine *e, real *y, const real *x, const mv_tensor *weight, size_t n_rows)
{
    const bool is_logits = weight == &e->model->output;
    const sum_fn sum = other_sum(e, weight, n_rows);
    const mv_tensor *w = other_weight(e, weight);
    if (sum != NULL)
        multiply(e, y, x, w, n_rows, sum);
    else
        correct_linear(e, y, x, w, n_rows);
    if (planted(e) == FAULT_weight_bit_flipped && !is_logits && is_hit(e, plan_of(e)->at_layer) &&
        weight == &mv_layer_at(e->model, plan_of(e)->at_layer)->wv)
        flip_weight_bit(e, y, x, weight, n_rows);
    lose_edges(e, y, weight, n_rows);
    const size_t n_out = weight->shape[0], n_threads = e->n_threads;
    if (planted(e) == FAULT_thread_edge_lost && is_logits && n_threads > 1) {
        for (size_t t = 0; t < n_rows; t++)
            y[t * n_out + n_out / n_threads] = 0;
    }
}
