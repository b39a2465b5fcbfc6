#include "harness/model_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/release.h"
#include "harness/tensor_file.h"
#include "harness/tokenizer.h"
#include "harness/weights.h"

#define F16_MOST 65504.0 /* 65520 and above round to infinity; between them, to this */

/* ---- numbers ---- */

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double from_f16(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double sign = half >> 15 != 0 ? -1.0 : 1.0;
    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25));
}

static double element(const mv_tensor *tensor, uint64_t index, uint32_t *bits)
{
    const char *at = (const char *)tensor->data + index * mv_dtype_size(tensor->dtype);
    uint16_t half;
    if (tensor->dtype == MV_DTYPE_F32) {
        memcpy(bits, at, sizeof *bits);
        return (double)from_bits(*bits);
    }
    memcpy(&half, at, sizeof half);
    *bits = half;
    return tensor->dtype == MV_DTYPE_BF16 ? (double)from_bits((uint32_t)half << 16)
                                          : from_f16(half);
}

void mv_weight_stats_take(mv_weight_stats *stats, const mv_tensor *tensor)
{
    mv_weight_stats s = {.n_elements = tensor->size_bytes / mv_dtype_size(tensor->dtype),
                         .hash = 0xcbf29ce484222325u};
    double sum = 0.0;
    uint32_t first = 0;
    s.constant = s.n_elements > 1;
    for (uint64_t i = 0; i < s.n_elements; i++) {
        uint32_t bits;
        const double value = element(tensor, i, &bits), size = fabs(value);
        s.hash = (s.hash ^ bits) * 0x100000001b3u; /* FNV-1a over elements: found again by memcmp */
        first = i == 0 ? bits : first;
        s.constant = s.constant && bits == first;
        if (!(size <= 3.5e38)) {
            s.first_bad = s.n_nan + s.n_infinite == 0 ? i : s.first_bad;
            s.n_nan += isnan(value) ? 1 : 0;
            s.n_infinite += isnan(value) ? 0 : 1;
            continue;
        }
        s.n_zero += size == 0.0;
        s.n_beyond_f16 += size > F16_MOST + 15.0;
        s.max_abs = size > s.max_abs ? size : s.max_abs;
        sum += size * size;
    }
    const uint64_t n_finite = s.n_elements - s.n_nan - s.n_infinite;
    s.rms = n_finite > 0 ? sqrt(sum / (double)n_finite) : 0.0;
    *stats = s;
}

/* ---- findings ---- */

MV_PRINTF(4, 5)
static mv_code find(mv_findings *findings, mv_finding_kind kind, mv_error *error,
                    const char *format, ...)
{
    if (findings->n == findings->capacity) {
        const size_t capacity = findings->capacity * 2 + 16;
        mv_finding *list = realloc(findings->list, capacity * sizeof *list);
        if (list == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu findings", capacity);
        findings->list = list;
        findings->capacity = capacity;
    }
    mv_finding *one = &findings->list[findings->n++];
    va_list args;
    one->kind = kind;
    findings->n_errors += kind == MV_FINDING_ERROR;
    findings->n_warnings += kind == MV_FINDING_WARNING;
    va_start(args, format);
    (void)vsnprintf(one->text, sizeof one->text, format, args);
    va_end(args);
    return MV_OK;
}

void mv_findings_free(mv_findings *findings)
{
    free(findings->list);
    memset(findings, 0, sizeof *findings);
}

static mv_code judge_values(mv_findings *f, const mv_tensor *t, const mv_weight_stats *s,
                            mv_error *error)
{
    const unsigned long long n = s->n_elements;
    mv_code code = MV_OK;
    if (s->n_nan + s->n_infinite > 0)
        code = find(f, MV_FINDING_ERROR, error,
                    "%s: expected finite numbers, found %llu NaN and %llu infinite among %llu; the "
                    "first at [%llu, %llu]",
                    t->name, (unsigned long long)s->n_nan, (unsigned long long)s->n_infinite, n,
                    (unsigned long long)(s->first_bad / t->shape[1]),
                    (unsigned long long)(s->first_bad % t->shape[1]));
    else if (s->n_zero == n)
        code = find(f, MV_FINDING_ERROR, error,
                    "%s: all %llu numbers are 0: never written, or lost", t->name, n);
    else if (s->constant)
        code = find(f, t->n_dims == 1 ? MV_FINDING_NOTE : MV_FINDING_WARNING, error,
                    "%s: all %llu numbers are %.6g: initialised, and not trained", t->name, n,
                    s->max_abs);
    else if (t->n_dims == 2 && s->n_zero * 2 > n)
        code = find(f, MV_FINDING_WARNING, error,
                    "%s: %.0f %% of %llu numbers are exactly 0: pruned, or a hole in a download",
                    t->name, 100.0 * (double)s->n_zero / (double)n, n);
    if (code == MV_OK && s->n_beyond_f16 > 0)
        code = find(f, MV_FINDING_WARNING, error,
                    "%s: %llu numbers are beyond 65504, the largest of float16: engines that load "
                    "as float16 get infinity; the largest is %.6g",
                    t->name, (unsigned long long)s->n_beyond_f16, s->max_abs);
    else if (code == MV_OK && s->max_abs > 1000.0)
        code = find(f, MV_FINDING_WARNING, error,
                    "%s: the largest number is %.6g; expected at most some hundreds: corrupt, or "
                    "bytes of another dtype",
                    t->name, s->max_abs);
    return code;
}

/* ---- the same bytes twice ---- */

typedef struct digest {
    uint64_t hash;
    const mv_tensor *tensor;
    size_t index;
} digest;

static int compare_digests(const void *a, const void *b)
{
    const digest *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash > y->hash ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static mv_code judge_pair(mv_findings *f, const mv_model_view *view, const mv_tensor *a,
                          const mv_tensor *b, mv_error *error)
{
    const bool tied = a == &view->tok_embeddings && b == &view->output;
    if (a->data == b->data)
        return find(f, tied ? MV_FINDING_NOTE : MV_FINDING_ERROR, error,
                    "%s and %s are one storage%s", a->name, b->name,
                    tied ? ": the output is tied to the embedding" : "; expected two");
    if (tied)
        return find(f, MV_FINDING_NOTE, error, "%s and %s have the same numbers: tied, written out",
                    a->name, b->name);
    return find(f, a->n_dims == 1 ? MV_FINDING_WARNING : MV_FINDING_ERROR, error,
                "%s and %s have the same numbers: one was written over the other", a->name,
                b->name);
}

/* Norms that are all ones repeat rightly, and were noted already. */
static mv_code judge_repeats(mv_findings *f, const mv_model_view *view, digest *digests, size_t n,
                             mv_error *error)
{
    mv_code code = MV_OK;
    qsort(digests, n, sizeof *digests, compare_digests);
    for (size_t i = 1; i < n && code == MV_OK; i++) {
        const mv_tensor *a = digests[i - 1].tensor, *b = digests[i].tensor;
        if (digests[i].hash == digests[i - 1].hash && a->dtype == b->dtype &&
            a->size_bytes == b->size_bytes && memcmp(a->data, b->data, a->size_bytes) == 0)
            code = judge_pair(f, view, a, b, error);
    }
    return code;
}

static mv_code check_weights(mv_findings *f, const mv_model_view *view, const mv_write_watch *watch,
                             mv_error *error)
{
    const size_t n = mv_weight_count(&view->params);
    uint64_t sizes[3] = {0};
    size_t n_digests = 0;
    mv_code code = MV_OK;
    digest *digests = calloc(n, sizeof *digests);
    if (digests == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu tensors", n);
    for (size_t i = 0; i < n && code == MV_OK; i++) {
        const mv_tensor *tensor = mv_weight_at(view, i);
        mv_weight_stats stats;
        mv_weight_stats_take(&stats, tensor);
        sizes[tensor->dtype]++;
        if (!stats.constant)
            digests[n_digests++] = (digest){stats.hash, tensor, i};
        code = judge_values(f, tensor, &stats, error);
        if (code == MV_OK)
            code = mv_write_watch_tell(watch, tensor->size_bytes, "check", error);
    }
    if (code == MV_OK)
        code = judge_repeats(f, view, digests, n_digests, error);
    if (code == MV_OK && sizes[0] < n && sizes[1] < n && sizes[2] < n)
        code = find(
            f, MV_FINDING_NOTE, error, "tensors of several dtypes: %llu f32, %llu f16, %llu bf16",
            (unsigned long long)sizes[MV_DTYPE_F32], (unsigned long long)sizes[MV_DTYPE_F16],
            (unsigned long long)sizes[MV_DTYPE_BF16]);
    free(digests);
    return code;
}

/* ---- beside the weights ---- */

static mv_code check_tokenizer(mv_findings *f, const mv_model *model, mv_error *error)
{
    const char *path = mv_model_get_tokenizer(model);
    mv_tokenizer *tokenizer = NULL;
    mv_error reason = {0};
    if (path == NULL)
        return find(f, MV_FINDING_NOTE, error, "there is no tokenizer.model: no text in or out");
    mv_code code = mv_tokenizer_open(&tokenizer, path, &reason);
    if (code == MV_OK)
        code = mv_tokenizer_check(tokenizer, mv_model_get_view(model)->params.vocab_size, &reason);
    if (code != MV_OK)
        code = find(f, MV_FINDING_ERROR, error, "%.290s", reason.message);
    else if (mv_tokenizer_bos(tokenizer) != 1 || mv_tokenizer_eos(tokenizer) != 2)
        code = find(f, MV_FINDING_WARNING, error,
                    "%.200s: expected <s> to be 1 and </s> 2, found %d and %d", path,
                    mv_tokenizer_bos(tokenizer), mv_tokenizer_eos(tokenizer));
    mv_tokenizer_close(&tokenizer);
    return code;
}

static mv_code check_release(mv_findings *f, const mv_params *p, mv_error *error)
{
    const char *expected = NULL;
    if (!mv_release_is_mixed(p, &expected))
        return MV_OK;
    return find(f, MV_FINDING_WARNING, error,
                "the shapes are a released Mistral-7B's: expected %s, found window %u, theta %.6g, "
                "eps %.3g",
                expected, p->sliding_window, p->rope_theta, p->norm_eps);
}

mv_code mv_model_check(const mv_model *model, mv_findings *findings, const mv_write_watch *watch,
                       mv_error *error)
{
    const mv_model_view *view = mv_model_get_view(model);
    memset(findings, 0, sizeof *findings);
    mv_code code = check_weights(findings, view, watch, error);
    if (code == MV_OK)
        code = check_tokenizer(findings, model, error);
    if (code == MV_OK)
        code = check_release(findings, &view->params, error);
    return code;
}
