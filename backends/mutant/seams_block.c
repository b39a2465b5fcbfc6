/* seams_block.c - norms, SwiGLU and the residual stream. Part of mutant.c. */

/* Row by row with another mean, eps or weight. */
static void norm_otherwise(const mv_engine *e, real *out, const real *x, const mv_tensor *weight,
                           size_t n_rows)
{
    const size_t dim = e->p.dim;
    const fault f = planted(e);
    const real divisor = f == FAULT_norm_divides_by_head_dim   ? (real)e->p.head_dim
                         : f == FAULT_norm_divides_by_one_less ? (real)(dim - 1)
                                                               : (real)dim;
    const real eps = f == FAULT_norm_eps_1e_3   ? (real)1e-3
                     : f == FAULT_norm_eps_1e_6 ? (real)1e-6
                     : f == FAULT_norm_eps_bf16 ? rounded((real)e->p.norm_eps, 8)
                                                : (real)e->p.norm_eps;
    const real largest_f16 = 65504;
    const size_t n_summed = f == FAULT_norm_tail_dropped ? dim / 8 * 8 : dim;
    real *scale = e->weight_rows; /* [D] */
    weight_row(scale, weight, 0, dim);
    for (size_t t = 0; t < n_rows; t++) {
        const real *row = x + (f == FAULT_norm_of_first_row ? 0 : t * dim);
        real sum = 0, center = 0;
        for (size_t i = 0; i < dim && f == FAULT_norm_subtracts_mean; i++)
            center += x[t * dim + i] / (real)dim;
        for (size_t i = 0; i < n_summed; i++) {
            const real square = (row[i] - center) * (row[i] - center);
            sum += f == FAULT_norm_squares_f16 && square > largest_f16 ? largest_f16 : square;
            sum = f == FAULT_norm_sums_in_bf16 ? rounded(sum, 8) : sum;
        }
        const real root = f == FAULT_norm_eps_outside ? real_sqrt(sum / divisor) + eps
                                                      : real_sqrt(sum / divisor + eps);
        for (size_t i = 0; i < dim; i++) {
            const real gain = f == FAULT_norm_weight_plus_1    ? scale[i] + 1
                              : f == FAULT_norm_weight_missing ? 1
                                                               : scale[i];
            const real normed = (x[t * dim + i] - center) / root;
            out[t * dim + i] =
                store((f == FAULT_norm_rounded_once ? normed : store(normed)) * gain);
        }
    }
}

static void copy_rows(const mv_engine *e, real *out, const real *x, size_t n_rows)
{
    memcpy(out, x, n_rows * e->p.dim * sizeof *out);
}

/* x = Norm(x + F(x)) instead of x + F(Norm(x)): each norm is applied to the stream itself, after
 * the half-layer that it belongs to, which is when the next half asks for its own. */
static void norm_after(const mv_engine *e, real *out, const mv_tensor *weight, size_t n_rows,
                       uint32_t layer)
{
    const bool is_first = layer == 0 && !plan_of(e)->in_feed_forward;
    if (!is_first) {
        const mv_layer *own =
            mv_layer_at(e->model, plan_of(e)->in_feed_forward ? layer : layer - 1);
        correct_rms_norm(e, e->x, e->x,
                         plan_of(e)->in_feed_forward ? &own->attention_norm : &own->ffn_norm,
                         n_rows, layer);
    }
    if (layer == e->p.n_layers)
        correct_rms_norm(e, out, e->x, weight, n_rows, layer);
    else
        copy_rows(e, out, e->x, n_rows);
}

static void scale_embeddings(const mv_engine *e, size_t n_rows, real by)
{
    for (size_t i = 0; i < n_rows * e->p.dim; i++)
        e->x[i] = store(e->x[i] * by);
}

static void rms_norm(const mv_engine *e, real *out, const real *x, const mv_tensor *weight,
                     size_t n_rows, uint32_t layer)
{
    const bool is_final = layer == e->p.n_layers;
    const mv_layer *w = is_final ? NULL : mv_layer_at(e->model, layer);
    plan *p = plan_of(e);
    p->at_layer = layer;
    p->in_feed_forward = w != NULL && weight == &w->ffn_norm;
    switch (p->fault) {
    case FAULT_norm_divides_by_head_dim:
    case FAULT_norm_divides_by_one_less:
    case FAULT_norm_eps_1e_3:
    case FAULT_norm_eps_1e_6:
    case FAULT_norm_eps_bf16:
    case FAULT_norm_eps_outside:
    case FAULT_norm_of_first_row:
    case FAULT_norm_squares_f16:
    case FAULT_norm_subtracts_mean:
    case FAULT_norm_sums_in_bf16:
    case FAULT_norm_tail_dropped:
    case FAULT_norm_weight_missing:
    case FAULT_norm_weight_plus_1:
    case FAULT_norm_rounded_once:
        norm_otherwise(e, out, x, weight, n_rows);
        return;
    case FAULT_norm_after:
        norm_after(e, out, weight, n_rows, layer);
        return;
    case FAULT_final_norm_missing:
        if (is_final) {
            copy_rows(e, out, x, n_rows);
            return;
        }
        break;
    case FAULT_norm_missing_one_layer:
        if (is_hit(e, layer)) {
            copy_rows(e, out, x, n_rows);
            return;
        }
        break;
    case FAULT_norm_weights_swapped:
        if (!is_final)
            weight = p->in_feed_forward ? &w->attention_norm : &w->ffn_norm;
        break;
    case FAULT_embedding_scaled:
        if (layer == 0 && !p->in_feed_forward)
            scale_embeddings(e, n_rows, real_sqrt((real)e->p.dim));
        break;
    default:
        break;
    }
    correct_rms_norm(e, out, x, weight, n_rows, layer);
}

/* ---- feed forward ---- */

static real silu(const mv_engine *e, uint32_t layer, real x)
{
    const real root = (real)0.79788456080286535588, cubic = (real)0.044715; /* sqrt(2 / pi) */
    switch (planted(e)) {
    case FAULT_gelu_for_silu:
        return x / 2 * (1 + (real)tanh((double)(root * (x + cubic * x * x * x))));
    case FAULT_quick_gelu_for_silu:
        return x / (1 + real_exp((real)-1.702 * x));
    case FAULT_silu_overflows:
        return x * real_exp(x) / (1 + real_exp(x));
    case FAULT_relu_for_silu:
        return x > 0 ? x : 0;
    case FAULT_silu_missing:
        return x;
    case FAULT_silu_missing_one_layer:
        return is_hit(e, layer) ? x : correct_silu(e, layer, x);
    default:
        return correct_silu(e, layer, x);
    }
}

static real swiglu(const mv_engine *e, uint32_t layer, real gate, real up)
{
    switch (planted(e)) {
    case FAULT_up_ignored_one_layer:
        return is_hit(e, layer) ? gate : correct_swiglu(e, layer, gate, up);
    default:
        return correct_swiglu(e, layer, gate, up);
    }
}

static real add_residual(const mv_engine *e, uint32_t layer, real x, real update)
{
    const bool in_feed_forward = plan_of(e)->in_feed_forward;
    const real correct = correct_add_residual(e, layer, x, update);
    switch (planted(e)) {
    case FAULT_residual_missing_attention:
        return is_hit(e, layer) && !in_feed_forward ? update : correct;
    case FAULT_residual_missing_feed_forward:
        return is_hit(e, layer) && in_feed_forward ? update : correct;
    case FAULT_layer_skipped:
        return is_hit(e, layer) ? x : correct;
    case FAULT_residual_bf16:
        return rounded(correct, 8);
    case FAULT_residual_unrounded:
        return x + update;
    default:
        return correct;
    }
}
