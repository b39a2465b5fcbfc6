#include "harness/bench_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/synthetic.h"
#include "harness/tolerance.h"

#define MAX_CHECK_TOKENS 512
#define CHECK_MULTIPLY_ADDS 6e9 /* about three seconds of the float64 reference on two cores */
#define BOS 1

size_t mv_bench_check_length(const mv_model_view *model, int64_t wanted)
{
    const mv_params *p = &model->params;
    double q = (double)p->n_heads * p->head_dim, kv = (double)p->n_kv_heads * p->head_dim;
    double token = p->n_layers * p->dim * (2 * q + 2 * kv + 3.0 * p->hidden_dim) +
                   (double)p->dim * p->vocab_size;
    double affordable = CHECK_MULTIPLY_ADDS / token;
    double n = fmin(fmin(affordable, MAX_CHECK_TOKENS), (double)wanted);
    return n > 4 ? (size_t)n : 4;
}

/* ---- calls ---- */

/* Feeds n tokens from `first` on to each of n_sequences; rows [n_sequences, n, vocab_size]. */
static mv_code feed(const mv_backend *backend, mv_engine *engine, const int32_t *tokens, size_t n,
                    uint32_t n_sequences, int32_t *scratch_tokens, uint32_t *scratch, float *rows,
                    mv_error *error)
{
    uint32_t *sequences = scratch, *counts = scratch + n_sequences;
    for (uint32_t s = 0; s < n_sequences; s++) {
        sequences[s] = s;
        counts[s] = (uint32_t)n;
        memcpy(scratch_tokens + s * n, tokens, n * sizeof *tokens);
    }
    mv_batch batch = {sizeof batch, n_sequences, sequences, counts, scratch_tokens};
    return backend->forward(engine, &batch, MV_LOGITS_ALL, rows, error);
}

static mv_code reset_all(const mv_backend *backend, mv_engine *engine, uint32_t n_sequences,
                         mv_error *error)
{
    mv_code code = MV_OK;
    for (uint32_t s = 0; s < n_sequences && code == MV_OK; s++)
        code = backend->reset(engine, s, error);
    return code;
}

static void *room(size_t a, size_t b, size_t c)
{
    size_t size;
    if (__builtin_mul_overflow(a, b, &size) || __builtin_mul_overflow(size, c, &size))
        return NULL;
    return malloc(size > 0 ? size : 1);
}

/* ---- the truth ---- */

/* Takes the oracle's float64 rows, before they are rounded to float32. */
static mv_tap_action keep_logits(void *cookie, const mv_tap *tap)
{
    mv_bench_truth *truth = cookie;
    const size_t n_cols = truth->reference.n_cols;
    if (strcmp(tap->name, "logits") == 0 && tap->dtype == MV_TAP_F64 && tap->n_cols == n_cols &&
        tap->first_position + tap->n_rows <= truth->n)
        memcpy(truth->oracle + tap->first_position * n_cols, tap->data,
               tap->n_rows * n_cols * sizeof(double));
    return MV_TAP_KEEP;
}

/* One run of the reference over all the tokens at once. rows [n, vocab_size]. */
static mv_code ask_reference(mv_bench_truth *truth, const mv_backend *reference,
                             const mv_model_view *model, mv_compute compute, uint32_t n_threads,
                             float *rows, mv_error *error)
{
    const mv_engine_options options = {
        .struct_size = sizeof options,
        .compute = compute,
        .n_threads = n_threads,
        .max_sequences = 1,
        .max_positions = (uint32_t)truth->n,
        .max_batch_tokens = (uint32_t)truth->n,
    };
    mv_engine *engine = NULL;
    int32_t *scratch_tokens = room(truth->n, sizeof *scratch_tokens, 1);
    uint32_t scratch[2];
    if (scratch_tokens == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for the reference's tokens");
    mv_code code = reference->open(&engine, model, &options, error);
    if (code == MV_OK) {
        if (compute == MV_COMPUTE_F64 && reference->set_tap != NULL)
            code = reference->set_tap(engine, keep_logits, truth, error);
        if (code == MV_OK)
            code = feed(reference, engine, truth->tokens, truth->n, 1, scratch_tokens, scratch,
                        rows, error);
        reference->close(engine);
    }
    free(scratch_tokens);
    return code;
}

mv_code mv_bench_truth_make(mv_bench_truth *truth, const mv_backend *reference,
                            const mv_model_view *model, mv_compute compute, int64_t window,
                            size_t n, uint64_t seed, uint32_t n_threads, mv_error *error)
{
    const size_t vocab_size = model->params.vocab_size;
    mv_model_view view = *model;
    float *rows = room(n, vocab_size, sizeof *rows);
    mv_code code = MV_OK;
    view.params.sliding_window = (uint32_t)window;
    *truth = (mv_bench_truth){.compute = compute, .window = window, .n = n};
    mv_error_profile_init(&truth->reference, vocab_size);
    truth->tokens = room(n, sizeof *truth->tokens, 1);
    truth->oracle = room(n, vocab_size, sizeof *truth->oracle);
    if (rows == NULL || truth->tokens == NULL || truth->oracle == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for %zu rows of logits to compare with", n);
        goto done;
    }
    mv_synthetic_tokens(truth->tokens, n, model->params.vocab_size, seed);
    truth->tokens[0] = vocab_size > BOS ? BOS : 0;
    for (size_t i = 0; i < n * vocab_size; i++)
        truth->oracle[i] = NAN; /* what no tap fills, no engine passes */
    code = ask_reference(truth, reference, &view, MV_COMPUTE_F64, n_threads, rows, error);
    if (code == MV_OK && compute != MV_COMPUTE_F64)
        code = ask_reference(truth, reference, &view, compute, n_threads, rows, error);
    if (code == MV_OK)
        code = mv_error_profile_add(&truth->reference, truth->oracle, rows, n, false, error);
done:
    free(rows);
    if (code != MV_OK)
        mv_bench_truth_free(truth);
    return code;
}

void mv_bench_truth_free(mv_bench_truth *truth)
{
    free(truth->tokens);
    free(truth->oracle);
    mv_error_profile_free(&truth->reference);
    *truth = (mv_bench_truth){.n = 0};
}

/* ---- the check ---- */

/* Adds the rows of one call, sequence by sequence, and the reference's rows beside them. */
static mv_code add_rows(mv_error_profile *test, mv_error_profile *reference,
                        const mv_bench_truth *truth, const float *rows, size_t first, size_t n,
                        uint32_t n_sequences, mv_error *error)
{
    const size_t vocab_size = truth->reference.n_cols;
    mv_code code = MV_OK;
    for (uint32_t s = 0; s < n_sequences && code == MV_OK; s++) {
        code = mv_error_profile_add(test, truth->oracle + first * vocab_size,
                                    rows + s * n * vocab_size, n, false, error);
        if (code == MV_OK)
            code = mv_error_profile_append(reference, &truth->reference, first, n, error);
    }
    return code;
}

static void judge(bool *passed, char *text, size_t text_size, const mv_bench_truth *truth,
                  uint32_t n_sequences, const mv_metrics *metrics)
{
    const char *decides = "no ratio";
    const double headroom =
        mv_tolerance_headroom(mv_tolerance_get(truth->compute), metrics, &decides);
    const bool crosses = truth->window > 0 && (int64_t)truth->n > truth->window;
    *passed = headroom >= 1.0;
    if (*passed)
        (void)snprintf(text, text_size,
                       "%zu positions x %u sequences against the float64 reference, %s the window: "
                       "headroom %.2f (%s)",
                       truth->n, n_sequences, crosses ? "beyond" : "within", headroom, decides);
    else if (isnan(headroom))
        (void)snprintf(text, text_size, "the logits are not finite, or cannot be compared");
    else
        (void)snprintf(text, text_size,
                       "the logits are %.3g times as far from the float64 reference as allowed "
                       "(%s)",
                       1 / headroom, decides);
}

mv_code mv_bench_check(bool *passed, char *text, size_t text_size, const mv_bench_truth *truth,
                       const mv_backend *backend, mv_engine *engine, const mv_model_view *model,
                       uint32_t n_sequences, int64_t chunk, mv_error *error)
{
    const size_t vocab_size = model->params.vocab_size;
    const size_t n_whole = truth->n - 2; /* the last two are decoded */
    const size_t step = chunk > 0 && (size_t)chunk < n_whole ? (size_t)chunk : n_whole;
    float *rows = room(n_sequences, step * vocab_size, sizeof *rows);
    int32_t *scratch_tokens = room(n_sequences, step, sizeof *scratch_tokens);
    uint32_t *scratch = room(n_sequences, 2, sizeof *scratch);
    mv_error_profile test, reference;
    mv_metrics metrics;
    mv_error_profile_init(&test, vocab_size);
    mv_error_profile_init(&reference, vocab_size);
    mv_code code = MV_OK;
    if (rows == NULL || scratch_tokens == NULL || scratch == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory to check the logits of %u sequences",
                       n_sequences);
    if (code == MV_OK)
        code = reset_all(backend, engine, n_sequences, error);
    for (size_t at = 0; at < truth->n && code == MV_OK;) {
        size_t n = at >= n_whole ? 1 : n_whole - at < step ? n_whole - at : step;
        for (size_t i = 0; i < n_sequences * n * vocab_size; i++)
            rows[i] = NAN; /* what an engine does not write must not pass */
        code = feed(backend, engine, truth->tokens + at, n, n_sequences, scratch_tokens, scratch,
                    rows, error);
        if (code == MV_OK)
            code = add_rows(&test, &reference, truth, rows, at, n, n_sequences, error);
        at += n;
    }
    if (code == MV_OK)
        code = mv_metrics_from_profiles(&metrics, &reference, &test, error);
    if (code == MV_OK)
        judge(passed, text, text_size, truth, n_sequences, &metrics);
    if (code == MV_OK)
        code = reset_all(backend, engine, n_sequences, error);
    free(rows);
    free(scratch_tokens);
    free(scratch);
    mv_error_profile_free(&test);
    mv_error_profile_free(&reference);
    return code;
}
