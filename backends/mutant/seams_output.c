/* seams_output.c - tokens in, logits out. Part of mutant.c. */

static int32_t input_token(const mv_engine *e, const span *s, const int32_t *tokens, uint64_t i)
{
    const int32_t correct = correct_input_token(e, s, tokens, i);
    const int32_t vocab_size = (int32_t)e->p.vocab_size;
    if (s->row == 0 && i == 0) { /* the call begins */
        plan_of(e)->n_calls++;
        plan_of(e)->first_start = s->start;
        plan_of(e)->n_sequences = s->n < s->n_call ? 2 : 1;
        find_static_cache(e);
    }
    switch (planted(e)) {
    case FAULT_tokens_shifted:
        return tokens[i > 0 ? i - 1 : 0];
    case FAULT_token_ids_in_a_byte:
        return correct & 0xff;
    case FAULT_embedding_tile_shifted: /* the last eighth of the table, by one row */
        return correct >= vocab_size - vocab_size / 8 && correct + 1 < vocab_size ? correct + 1
                                                                                  : correct;
    case FAULT_embedding_row_off:
        return correct == vocab_size / 3 ? correct + 1 : correct;
    case FAULT_embedding_last_row_missing:
        return correct == vocab_size - 1 ? correct - 1 : correct;
    case FAULT_embedding_rows_swapped:
        return correct / 2 == vocab_size / 10 ? (correct ^ 1) : correct;
    case FAULT_embedding_id_0_is_padding:
        return correct == 0 ? 1 : correct;
    case FAULT_first_token_forced:
        return s->start == 0 && i == 0 ? (correct == 1 ? 2 : 1) : correct;
    case FAULT_chunk_starts_one_late:
        return path_of(s) == PATH_CHUNK && i == 0 ? tokens[1] : correct;
    default:
        return correct;
    }
}

/* The logits of row `row` of the arrays [T, ...], whatever was asked for.   out [V] */
static void logits_of_row(const mv_engine *e, size_t row, real *out)
{
    linear_job job = {
        e, out, e->normed + row * e->p.dim, &e->model->output, 1, e->p.dim, e->p.vocab_size};
    linear_outputs(&job, 0, job.n_out, 0);
}

static void swap_rows(real *a, real *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const real value = a[i];
        a[i] = b[i], b[i] = value;
    }
}

/* Each row becomes the one before it, over calls too. */
static void shift_rows(const mv_engine *e, real *logits, size_t n_rows)
{
    const size_t V = e->p.vocab_size;
    for (size_t i = 0; i < n_rows; i++)
        swap_rows(logits + i * V, plan_of(e)->last_row, V);
}

static void swap_best_two(real *row, size_t n)
{
    size_t best = 0, second = 1;
    for (size_t i = 1; i < n; i++) {
        if (row[i] > row[best])
            second = best, best = i;
        else if (i == 1 || row[i] > row[second])
            second = i;
    }
    swap_rows(row + best, row + second, 1);
}

static void to_log_probabilities(real *row, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i]);
    for (size_t i = 0; i < n; i++)
        row[i] -= (real)log(sum);
}

/* One value, whatever row and column it stands in. */
static real other_logit(const mv_engine *e, real value)
{
    const real cap = 30;
    switch (planted(e)) {
    case FAULT_logits_shifted_by_constant:
        return value + (real)0.01;
    case FAULT_logits_off_1_permille:
        return value * (real)1.001;
    case FAULT_logits_softcapped:
        return cap * (real)tanh((double)(value / cap));
    case FAULT_logits_f16:
        return rounded(value, 11);
    case FAULT_logits_bf16:
        return rounded(value, 8);
    case FAULT_depends_on_call_count:
        return value * (1 + (real)1e-4 * (real)(plan_of(e)->n_calls % 3));
    default:
        return value;
    }
}

/* Bugs that are nearly none, at positions that only a long prompt reaches. */
static void spoil_late_row(const mv_engine *e, uint64_t position, real *row)
{
    const size_t V = e->p.vocab_size;
    size_t best = 0;
    for (size_t v = 1; v < V; v++)
        best = row[v] > row[best] ? v : best;
    if (planted(e) == FAULT_late_logit_nearly_right)
        row[V / 2] += position == 100 ? (real)7e-5 : 0;
    if (planted(e) == FAULT_late_best_nearly_right)
        row[best] += position == 50 ? (real)1.5e-4 : 0;
    for (size_t v = 0; v < V && planted(e) == FAULT_late_rows_shifted_slightly; v++)
        row[v] += position >= 40 && position < 100 ? (real)7e-6 : 0;
    for (size_t v = 0; v < V && position == 50 && planted(e) == FAULT_late_tail_nearly_right; v++)
        row[v] += row[v] >= 0 ? 0 : v % 2 == 0 ? (real)1.5e-4 : -(real)1.5e-4;
}

/* One row.   row [V] */
static void spoil_row(const mv_engine *e, const span *s, uint64_t i, size_t n_rows, real *row)
{
    const size_t V = e->p.vocab_size;
    const uint64_t position = s->start + i;
    switch (planted(e)) {
    case FAULT_one_logit_wrong:
        row[V / 2] += position == 11 ? (real)0.05 : 0;
        return;
    case FAULT_one_logit_nearly_right:
        row[V / 2] += position == 11 ? (real)7e-5 : 0;
        return;
    case FAULT_first_row_nearly_right:
        for (size_t v = 0; v < V && position == 0; v++)
            row[v] *= (real)(1 + 4.5e-6);
        return;
    case FAULT_late_logit_nearly_right:
    case FAULT_late_best_nearly_right:
    case FAULT_late_tail_nearly_right:
    case FAULT_late_rows_shifted_slightly:
        spoil_late_row(e, position, row);
        return;
    case FAULT_one_logit_nan:
        row[V / 2] = position == 11 ? (real)NAN : row[V / 2];
        return;
    case FAULT_last_logit_missing:
        row[V - 1] = 0;
        return;
    case FAULT_logits_tile_missing:
        memset(row + V - V % 16, 0, V % 16 * sizeof *row);
        return;
    case FAULT_two_tokens_swapped:
        swap_rows(row + 3, row + 4, 1);
        return;
    case FAULT_logits_are_log_probabilities:
        to_log_probabilities(row, V);
        return;
    case FAULT_batch_rows_reversed:
        if (s->n < s->n_call)
            logits_of_row(e, (size_t)(s->n_call - 1 - (s->row + i)), row);
        return;
    case FAULT_output_row_twice:
        row[V / 4] = row[V / 4 + 1];
        return;
    case FAULT_token_suppressed:
        row[V / 6] = -10000;
        return;
    case FAULT_decode_best_two_swapped:
        if (path_of(s) == PATH_DECODE)
            swap_best_two(row, V);
        return;
    case FAULT_decode_rows_turned: /* where each sequence brings one token */
        if (path_of(s) == PATH_DECODE)
            logits_of_row(e, (size_t)((s->row + 1) % s->n_call), row);
        return;
    case FAULT_last_row_is_first_of_block:
        if (n_rows == 1 && i + 1 == s->n)
            logits_of_row(e, s->row + (size_t)(i / LOGIT_ROWS * LOGIT_ROWS), row);
        return;
    case FAULT_last_rows_of_last_sequence: /* one row where all would give another number: LAST */
        if (n_rows == 1 && s->n % LOGIT_ROWS != 1)
            logits_of_row(e, (size_t)s->n_call - 1, row);
        return;
    default:
        return;
    }
}

static void finish_logits(const mv_engine *e, const span *s, uint64_t first, size_t n_rows,
                          real *logits)
{
    const size_t V = e->p.vocab_size;
    correct_finish_logits(e, s, first, n_rows, logits);
    if (planted(e) == FAULT_none)
        return;
    if (planted(e) == FAULT_rows_swapped && n_rows > 1)
        swap_rows(logits, logits + V, V);
    if (planted(e) == FAULT_rows_shifted)
        shift_rows(e, logits, n_rows);
    for (size_t i = 0; i < n_rows; i++)
        spoil_row(e, s, first + i, n_rows, logits + i * V);
    for (size_t i = 0; i < n_rows * V; i++)
        logits[i] = other_logit(e, logits[i]);
}
