/* golden_record.c - the reference in float64, row by row into a case. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_private.h"

/* What the tap fills. */
typedef struct recorder {
    mv_golden_case *one;
    mv_sketch sketch;
    size_t vocab_size, n_seen, n_kept;
    bool wrong; /* rows that were not expected */
} recorder;

static void keep_row(recorder *r, size_t position, const double *row)
{
    mv_golden_case *one = r->one;
    const size_t k = one->n_top;
    mv_row_summary summary;
    mv_row_summarise(&summary, &r->sketch, row);
    for (size_t j = 0; j < MV_SKETCH_SIZE; j++)
        one->sketch[position * MV_SKETCH_SIZE + j] = (float)summary.sketch[j];
    memcpy(one->top_ids + position * k, summary.top_ids, k * sizeof *one->top_ids);
    memcpy(one->top_values + position * k, summary.top_values, k * sizeof *one->top_values);
    one->lse[position] = summary.lse;
    if (r->n_kept < one->n_positions && one->positions[r->n_kept] == (int64_t)position)
        memcpy(one->oracle + r->n_kept++ * r->vocab_size, row, r->vocab_size * sizeof *row);
}

static mv_tap_action record(void *cookie, const mv_tap *tap)
{
    recorder *r = cookie;
    if (strcmp(tap->name, "logits") != 0)
        return MV_TAP_KEEP;
    if (tap->dtype != MV_TAP_F64 || tap->n_cols != r->vocab_size ||
        tap->first_position != r->n_seen || tap->n_rows > r->one->n_tokens - r->n_seen) {
        r->wrong = true;
        return MV_TAP_KEEP;
    }
    for (uint64_t i = 0; i < tap->n_rows; i++)
        keep_row(r, r->n_seen + i, (const double *)tap->data + i * tap->n_cols);
    r->n_seen += tap->n_rows;
    return MV_TAP_KEEP;
}

static mv_code run_engine(const mv_backend *reference, const mv_model_view *model,
                          const mv_golden_plan *plan, recorder *r, mv_error *error)
{
    const uint32_t chunk = (uint32_t)(plan->chunk > 0 && (size_t)plan->chunk < plan->n_tokens
                                          ? (size_t)plan->chunk
                                          : plan->n_tokens),
                   sequence = 0;
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = MV_COMPUTE_F64,
                                       .n_threads = plan->n_threads,
                                       .max_sequences = 1,
                                       .max_positions = (uint32_t)plan->n_tokens,
                                       .max_batch_tokens = chunk};
    mv_model_view view = *model;
    view.params.sliding_window = (uint32_t)plan->window;
    mv_engine *engine = NULL;
    float *logits = calloc(chunk, r->vocab_size * sizeof *logits);
    mv_code code = logits == NULL
                       ? mv_fail(error, MV_ERR_MEMORY, "no memory for %u rows of logits", chunk)
                       : reference->open(&engine, &view, &options, error);
    if (code == MV_OK)
        code = reference->set_tap(engine, record, r, error);
    for (size_t at = 0; at < plan->n_tokens && code == MV_OK; at += chunk) {
        const uint32_t left = (uint32_t)(plan->n_tokens - at), n = left < chunk ? left : chunk;
        const mv_batch batch = {sizeof batch, 1, &sequence, &n, plan->tokens + at};
        code = reference->forward(engine, &batch, MV_LOGITS_ALL, logits, error);
    }
    reference->close(engine);
    free(logits);
    if (code == MV_OK && (r->wrong || r->n_seen != plan->n_tokens))
        code = mv_fail(error, MV_ERR_BACKEND, "the oracle gave %zu rows of logits, expected %zu",
                       r->n_seen, plan->n_tokens);
    return code;
}

static mv_code take_memory(mv_golden_case *one, const mv_golden_plan *plan, size_t vocab_size,
                           mv_error *error)
{
    const size_t n = plan->n_tokens;
    size_t n_oracle = 0;
    one->tokens = malloc(n * sizeof *one->tokens);
    one->positions = malloc(one->n_positions * sizeof *one->positions);
    if (!__builtin_mul_overflow(one->n_positions, vocab_size, &n_oracle))
        one->oracle = calloc(n_oracle, sizeof *one->oracle);
    one->sketch = calloc(n, MV_SKETCH_SIZE * sizeof *one->sketch);
    one->top_ids = calloc(n, one->n_top * sizeof *one->top_ids);
    one->top_values = calloc(n, one->n_top * sizeof *one->top_values);
    one->lse = calloc(n, sizeof *one->lse);
    if (one->tokens == NULL || one->positions == NULL || one->oracle == NULL ||
        one->sketch == NULL || one->top_ids == NULL || one->top_values == NULL || one->lse == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a golden of %zu tokens", n);
    return MV_OK;
}

/* The needed positions and the wanted ones, rising. */
static void choose_positions(const mv_golden_plan *plan, mv_range *positions)
{
    const int64_t n = (int64_t)plan->n_tokens;
    mv_golden_needed_positions(positions, n, plan->window, plan->chunk);
    for (size_t i = 0; plan->positions != NULL && i < plan->positions->n; i++)
        mv_range_add(positions, plan->positions->values[i], 0, n - 1);
    golden_sort_positions(positions);
}

static mv_code check_plan(const mv_backend *reference, const mv_golden_plan *plan,
                          uint32_t vocab_size, mv_error *error)
{
    if (plan->n_tokens == 0 || plan->n_tokens > INT32_MAX || plan->window < 0 ||
        plan->window > INT32_MAX || plan->chunk < 0 || plan->chunk > INT32_MAX)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "case '%s': %zu tokens, window %lld, chunk %lld: out of range", plan->name,
                       plan->n_tokens, (long long)plan->window, (long long)plan->chunk);
    for (size_t i = 0; i < plan->n_tokens; i++) {
        if (plan->tokens[i] < 0 || (uint32_t)plan->tokens[i] >= vocab_size)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "case '%s': token %zu is %d; the vocabulary has %u", plan->name, i,
                           plan->tokens[i], vocab_size);
    }
    if (reference->set_tap == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "backend %s has no taps, and float64 logits come through one",
                       reference->name);
    return MV_OK;
}

mv_code mv_golden_record(mv_golden *golden, const mv_backend *reference, const mv_model_view *model,
                         const mv_golden_plan *plan, mv_error *error)
{
    const uint32_t vocab_size = model->params.vocab_size;
    mv_range positions;
    mv_code code = check_plan(reference, plan, vocab_size, error);
    if (code != MV_OK)
        return code;
    mv_golden_case *cases = realloc(golden->cases, (golden->n_cases + 1) * sizeof *cases);
    if (cases == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a case");
    golden->cases = cases;

    choose_positions(plan, &positions);
    mv_golden_case one = {.window = plan->window,
                          .chunk = plan->chunk,
                          .seed = plan->seed,
                          .sketch_seed = MV_SKETCH_SEED,
                          .n_tokens = plan->n_tokens,
                          .n_positions = positions.n,
                          .n_top = vocab_size < MV_GOLDEN_TOP ? vocab_size : MV_GOLDEN_TOP};
    recorder r = {.one = &one, .vocab_size = vocab_size};
    (void)snprintf(one.name, sizeof one.name, "%s", plan->name);
    code = take_memory(&one, plan, vocab_size, error);
    if (code == MV_OK) {
        memcpy(one.tokens, plan->tokens, plan->n_tokens * sizeof *one.tokens);
        memcpy(one.positions, positions.values, positions.n * sizeof *one.positions);
        code = mv_sketch_make(&r.sketch, vocab_size, MV_SKETCH_SEED, error);
    }
    if (code == MV_OK)
        code = run_engine(reference, model, plan, &r, error);
    mv_sketch_free(&r.sketch);
    if (code == MV_OK)
        golden->cases[golden->n_cases++] = one;
    else
        golden_case_free(&one);
    return code;
}
