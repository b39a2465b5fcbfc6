/* golden_check.c - does a golden hold together? Hashes say that nobody changed it; this says that
 * it was right to begin with: what is kept twice must be the same twice.
 */
#include <math.h>
#include <string.h>

#include "golden/golden_private.h"
#include "harness/quote.h"

typedef struct checker {
    const mv_golden *golden;
    const char *path;
    mv_code refusal;
    mv_error *error;
    size_t number; /* of the case */
    const mv_golden_case *one;
} checker;

MV_PRINTF(3, 4)
static mv_code refuse(const checker *c, const char *name, const char *format, ...)
{
    char object[96], what[256];
    va_list args;
    golden_case_path(object, sizeof object, c->number, name);
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return mv_fail(c->error, c->refusal, "%.160s: %s: %s", c->path, object, what);
}

static mv_code check_weights(const mv_golden *golden, const char *path, mv_code refusal,
                             mv_error *error)
{
    for (size_t i = 0; i < golden->n_weights; i++) {
        const mv_golden_weight *weight = &golden->weights[i];
        mv_weight known;
        mv_weight_describe(&known, &golden->params, i);
        if (strcmp(weight->name, known.name) != 0)
            return mv_fail(error, refusal, "%.160s: /model/weights: row %zu is '%s', expected '%s'",
                           path, i, mv_plain(weight->name).text, known.name);
        if (weight->shape[0] != known.shape[0] || weight->shape[1] != known.shape[1])
            return mv_fail(error, refusal,
                           "%.160s: /model/weights: %s is [%llu, %llu], expected [%llu, %llu]",
                           path, weight->name, (unsigned long long)weight->shape[0],
                           (unsigned long long)weight->shape[1], (unsigned long long)known.shape[0],
                           (unsigned long long)known.shape[1]);
        if (strspn(weight->sha256, "0123456789abcdef") != 64)
            return mv_fail(error, refusal, "%.160s: /model/weights: %s has no sha256", path,
                           weight->name);
    }
    return MV_OK;
}

static mv_code check_positions(const checker *c)
{
    const mv_golden_case *one = c->one;
    mv_range needed;
    for (size_t i = 0; i < one->n_positions; i++) {
        const int64_t before = i > 0 ? one->positions[i - 1] : -1;
        if (one->positions[i] <= before || one->positions[i] >= (int64_t)one->n_tokens)
            return refuse(c, "logits/positions",
                          "position %lld behind %lld; expected rising, below %zu",
                          (long long)one->positions[i], (long long)before, one->n_tokens);
    }
    mv_golden_needed_positions(&needed, (int64_t)one->n_tokens, one->window, one->chunk);
    for (size_t i = 0; i < needed.n; i++) {
        bool found = false;
        for (size_t j = 0; j < one->n_positions && !found; j++)
            found = one->positions[j] == needed.values[i];
        if (!found)
            return refuse(
                c, "logits/positions",
                "position %lld is missing (both sides of the window %lld and of the chunk "
                "%lld, and both ends, must be kept)",
                (long long)needed.values[i], (long long)one->window, (long long)one->chunk);
    }
    return MV_OK;
}

static mv_code check_numbers(const checker *c)
{
    const mv_golden_case *one = c->one;
    const size_t V = c->golden->params.vocab_size;
    if (one->n_tokens == 0 || one->n_tokens > INT32_MAX)
        return refuse(c, "tokens", "%zu tokens", one->n_tokens);
    if (one->n_positions == 0)
        return refuse(c, "logits/positions", "empty");
    if (one->window < 0 || one->window > INT32_MAX || one->chunk < 0 || one->chunk > INT32_MAX)
        return refuse(c, "", "window %lld, chunk %lld: out of range", (long long)one->window,
                      (long long)one->chunk);
    for (size_t i = 0; i < one->n_tokens; i++) {
        if (one->tokens[i] < 0 || (size_t)one->tokens[i] >= V)
            return refuse(c, "tokens", "token %zu is %d; the vocabulary has %zu", i, one->tokens[i],
                          V);
        for (size_t j = 0; j < MV_SKETCH_SIZE; j++) {
            if (!isfinite(one->sketch[i * MV_SKETCH_SIZE + j]))
                return refuse(c, "logits/sketch", "row %zu is not finite", i);
        }
    }
    for (size_t i = 0; i < one->n_positions * V; i++) {
        if (!isfinite(one->oracle[i]))
            return refuse(c, "logits/oracle", "row %zu is not finite", i / V);
    }
    return MV_OK;
}

static mv_code check_tops(const checker *c)
{
    const mv_golden_case *one = c->one;
    const size_t k = one->n_top, V = c->golden->params.vocab_size;
    for (size_t i = 0; i < one->n_tokens; i++) {
        const int32_t *ids = one->top_ids + i * k;
        const double *values = one->top_values + i * k;
        for (size_t j = 0; j < k; j++) {
            if (ids[j] < 0 || (size_t)ids[j] >= V)
                return refuse(c, "logits/top_ids", "row %zu: id %d; the vocabulary has %zu", i,
                              ids[j], V);
            if (!isfinite(values[j]))
                return refuse(c, "logits/top_values", "row %zu is not finite", i);
            if (j > 0 && (!(values[j] <= values[j - 1]) ||
                          (values[j] == values[j - 1] && ids[j] <= ids[j - 1])))
                return refuse(c, "logits/top_values", "row %zu is not falling", i);
        }
        /* Between the largest logit and all of them as large as it. */
        if (!(one->lse[i] >= values[0] - 1e-9 && one->lse[i] <= values[0] + log((double)V) + 1e-9))
            return refuse(c, "logits/lse", "row %zu: %.9g does not fit a largest logit of %.9g", i,
                          one->lse[i], values[0]);
    }
    return MV_OK;
}

/* The rows that are kept whole must give the summaries that are kept of them. */
static mv_code check_row(const checker *c, const mv_sketch *sketch, size_t row)
{
    const mv_golden_case *one = c->one;
    const size_t k = one->n_top, at = (size_t)one->positions[row];
    const double *logits = one->oracle + row * sketch->vocab_size;
    mv_row_summary summary;
    double scale = 0;
    mv_row_summarise(&summary, sketch, logits);
    for (size_t v = 0; v < sketch->vocab_size; v++)
        scale += fabs(logits[v]);
    for (size_t j = 0; j < MV_SKETCH_SIZE; j++) {
        const double kept = (double)one->sketch[at * MV_SKETCH_SIZE + j];
        if (!(fabs(kept - summary.sketch[j]) <= 1e-7 * fabs(kept) + 1e-12 * scale))
            return refuse(c, "logits/sketch",
                          "position %zu: %.9g, and the row in logits/oracle gives %.9g", at, kept,
                          summary.sketch[j]);
    }
    for (size_t j = 0; j < k; j++) {
        if (one->top_ids[at * k + j] != summary.top_ids[j])
            return refuse(c, "logits/top_ids",
                          "position %zu: %d, and the row in logits/oracle gives %d", at,
                          one->top_ids[at * k + j], summary.top_ids[j]);
        if (one->top_values[at * k + j] != summary.top_values[j])
            return refuse(c, "logits/top_values",
                          "position %zu: %.17g, and the row in logits/oracle gives %.17g", at,
                          one->top_values[at * k + j], summary.top_values[j]);
    }
    if (!(fabs(one->lse[at] - summary.lse) <= 1e-12 * (fabs(summary.lse) + 1)))
        return refuse(c, "logits/lse",
                      "position %zu: %.17g, and the row in logits/oracle gives %.17g", at,
                      one->lse[at], summary.lse);
    return MV_OK;
}

static mv_code check_case(const checker *c)
{
    mv_sketch sketch = {0};
    mv_code code = check_numbers(c);
    if (code == MV_OK)
        code = check_positions(c);
    if (code == MV_OK)
        code = check_tops(c);
    if (code == MV_OK)
        code = mv_sketch_make(&sketch, c->golden->params.vocab_size, (uint64_t)c->one->sketch_seed,
                              c->error);
    for (size_t i = 0; i < c->one->n_positions && code == MV_OK; i++)
        code = check_row(c, &sketch, i);
    mv_sketch_free(&sketch);
    return code;
}

mv_code golden_check_contents(const mv_golden *golden, const char *path, mv_code refusal,
                              mv_error *error)
{
    mv_code code = check_weights(golden, path, refusal, error);
    if (code == MV_OK && golden->n_cases == 0)
        code = mv_fail(error, refusal,
                       "%.160s: /cases: empty; a golden without a case shows nothing", path);
    for (size_t i = 0; i < golden->n_cases && code == MV_OK; i++) {
        const checker c = {golden, path, refusal, error, i, &golden->cases[i]};
        code = check_case(&c);
    }
    return code;
}
