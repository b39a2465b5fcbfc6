#include "harness/bench_engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/synthetic.h"

#define MAX_FILL 512 /* tokens of one sequence in a call that only fills the cache */
#define BOS 1

struct mv_bench_engine {
    mv_bench_subject subject;
    mv_bench_phase phase;
    mv_bench_shape shape;
    mv_model_view view; /* the model with the shape's window */
    mv_engine *engine;
    bool is_filled; /* the cache holds the prefix, perhaps with more behind it */

    size_t n_calls;   /* of a pass */
    size_t total;     /* tokens of one sequence in a pass */
    size_t step;      /* tokens of one sequence in a call, but for the last */
    size_t fill_step; /* the same while filling */
    int32_t *prefix;  /* calls of [batch, n] tokens, one after the other: depth tokens a sequence */
    int32_t *tokens;  /* the same for a pass */
    uint32_t *sequences, *counts; /* [batch] */
    float *logits;                /* [batch, vocab_size] */
    int64_t *calls;               /* [n_calls] */
    int64_t began_ns;             /* the last call */
};

/* ---- layout ---- */

static bool take(void *array, size_t a, size_t b, size_t size)
{
    size_t n;
    void *taken = NULL;
    if (!__builtin_mul_overflow(a, b, &n) && !__builtin_mul_overflow(n, size, &n))
        taken = calloc(n > 0 ? n : 1, 1);
    memcpy(array, &taken, sizeof taken);
    return taken != NULL;
}

/* Tokens from..from+n of every sequence's stream, in calls of `step`. Each sequence has a stream of
 * its own, the same in every run with that seed. */
static bool lay_out(int32_t *out, const mv_bench_engine *e, size_t from, size_t n, size_t step)
{
    const size_t batch = (size_t)e->shape.batch;
    const uint32_t vocab_size = e->view.params.vocab_size;
    int32_t *stream = NULL;
    if (!take(&stream, from + n, 1, sizeof *stream))
        return false;
    for (size_t s = 0; s < batch; s++) {
        mv_synthetic_tokens(stream, from + n, vocab_size, e->subject.seed * 1000003u + s);
        if (from + n > 0 && vocab_size > BOS)
            stream[0] = BOS;
        for (size_t at = 0; at < n; at += step) {
            size_t length = n - at < step ? n - at : step;
            memcpy(out + at * batch + s * length, stream + from + at, length * sizeof *stream);
        }
    }
    free(stream);
    return true;
}

static mv_code prepare_arrays(mv_bench_engine *e, mv_error *error)
{
    const size_t batch = (size_t)e->shape.batch, depth = (size_t)e->shape.depth;
    const bool is_prefill = e->phase == MV_BENCH_PREFILL;
    e->total = (size_t)(is_prefill ? e->shape.prompt : e->shape.generate);
    e->step = !is_prefill ? 1 : e->shape.chunk > 0 ? (size_t)e->shape.chunk : e->total;
    if (e->step > e->total)
        e->step = e->total;
    e->n_calls = (e->total + e->step - 1) / e->step;
    e->fill_step = e->shape.chunk > 0 ? (size_t)e->shape.chunk : MAX_FILL;
    if (e->fill_step > MAX_FILL)
        e->fill_step = MAX_FILL;
    if (!take(&e->prefix, depth, batch, sizeof *e->prefix) ||
        !take(&e->tokens, e->total, batch, sizeof *e->tokens) ||
        !take(&e->sequences, batch, 1, sizeof *e->sequences) ||
        !take(&e->counts, batch, 1, sizeof *e->counts) ||
        !take(&e->logits, batch, e->view.params.vocab_size, sizeof *e->logits) ||
        !take(&e->calls, e->n_calls, 1, sizeof *e->calls) ||
        !lay_out(e->prefix, e, 0, depth, e->fill_step) ||
        !lay_out(e->tokens, e, depth, e->total, e->step))
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu sequences of %zu tokens", batch,
                       depth + e->total);
    for (size_t s = 0; s < batch; s++)
        e->sequences[s] = (uint32_t)s;
    return MV_OK;
}

static mv_code check_shape(const mv_bench_shape *shape, mv_bench_phase phase, mv_error *error)
{
    const int64_t n = phase == MV_BENCH_PREFILL ? shape->prompt : shape->generate;
    if (n < 1 || shape->depth < 0 || shape->chunk < 0 || shape->window < 0 || shape->batch < 1 ||
        shape->threads < 1 || n + shape->depth > INT32_MAX || shape->batch > 65536 ||
        shape->threads > INT32_MAX || shape->window > UINT32_MAX)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "%s of %lld tokens at depth %lld for %lld sequences with %lld threads cannot "
            "be measured",
            mv_bench_phase_name(phase), (long long)n, (long long)shape->depth,
            (long long)shape->batch, (long long)shape->threads);
    return MV_OK;
}

static mv_code open_engine(mv_bench_engine *e, size_t check_length, mv_error *error)
{
    const size_t batch = (size_t)e->shape.batch;
    size_t positions = (size_t)e->shape.depth + e->total, most = e->step, most_tokens;
    if (e->shape.depth > 0 && e->fill_step > most)
        most = e->fill_step;
    if (check_length > positions)
        positions = check_length;
    /* The check runs in calls of the shape's chunk, or in one. */
    size_t check_step = e->shape.chunk > 0 ? (size_t)e->shape.chunk : check_length;
    if (check_step > check_length)
        check_step = check_length;
    if (check_step > most)
        most = check_step;
    if (__builtin_mul_overflow(most, batch, &most_tokens) || most_tokens > INT32_MAX)
        return mv_fail(error, MV_ERR_ARGUMENT, "%zu tokens for each of %zu sequences in one call",
                       most, batch);
    const mv_engine_options options = {
        .struct_size = sizeof options,
        .compute = e->subject.compute,
        .n_threads = (uint32_t)e->shape.threads,
        .max_sequences = (uint32_t)batch,
        .max_positions = (uint32_t)positions,
        .max_batch_tokens = (uint32_t)most_tokens,
        .options = e->subject.options,
        .n_options = e->subject.n_options,
    };
    return mv_backend_open(e->subject.backend, &e->engine, &e->view, &options, error);
}

mv_code mv_bench_engine_open(mv_bench_engine **engine, const mv_bench_subject *subject,
                             mv_bench_phase phase, const mv_bench_shape *shape, size_t check_length,
                             mv_error *error)
{
    mv_code code = check_shape(shape, phase, error);
    if (code != MV_OK)
        return code;
    mv_bench_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory to time an engine");
    e->subject = *subject;
    e->phase = phase;
    e->shape = *shape;
    e->view = *subject->model;
    e->view.params.sliding_window = (uint32_t)shape->window;
    code = prepare_arrays(e, error);
    if (code == MV_OK)
        code = open_engine(e, check_length, error);
    if (code != MV_OK) {
        mv_bench_engine_close(&e);
        return code;
    }
    *engine = e;
    return MV_OK;
}

void mv_bench_engine_close(mv_bench_engine **engine)
{
    mv_bench_engine *e = engine != NULL ? *engine : NULL;
    if (e == NULL)
        return;
    if (e->engine != NULL)
        e->subject.backend->close(e->engine);
    free(e->prefix);
    free(e->tokens);
    free(e->sequences);
    free(e->counts);
    free(e->logits);
    free(e->calls);
    free(e);
    *engine = NULL;
}

mv_engine *mv_bench_engine_get(mv_bench_engine *engine)
{
    return engine->engine;
}

int64_t mv_bench_engine_call_began_ns(const mv_bench_engine *engine)
{
    return engine->began_ns;
}

mv_code mv_bench_engine_check(mv_bench_engine *e, const mv_bench_truth *truth, bool *passed,
                              char *text, size_t text_size, mv_error *error)
{
    e->is_filled = false;
    return mv_bench_check(passed, text, text_size, truth, e->subject.backend, e->engine, &e->view,
                          (uint32_t)e->shape.batch, e->shape.chunk, error);
}

/* ---- passes ---- */

static mv_code call(mv_bench_engine *e, const int32_t *tokens, size_t n, mv_logits which,
                    mv_error *error)
{
    for (size_t s = 0; s < (size_t)e->shape.batch; s++)
        e->counts[s] = (uint32_t)n;
    const mv_batch batch = {sizeof batch, (uint32_t)e->shape.batch, e->sequences, e->counts,
                            tokens};
    return e->subject.backend->forward(e->engine, &batch, which, e->logits, error);
}

static mv_code truncate_all(mv_bench_engine *e)
{
    mv_code code = e->subject.backend->truncate != NULL ? MV_OK : MV_ERR_UNSUPPORTED;
    for (uint32_t s = 0; s < (uint32_t)e->shape.batch && code == MV_OK; s++)
        code = e->subject.backend->truncate(e->engine, s, (uint32_t)e->shape.depth, NULL);
    return code;
}

mv_code mv_bench_engine_prepare(mv_bench_engine *e, mv_error *error)
{
    const size_t depth = (size_t)e->shape.depth, batch = (size_t)e->shape.batch;
    mv_code code = MV_OK;
    if (e->is_filled && depth > 0 && truncate_all(e) == MV_OK)
        return MV_OK;
    for (uint32_t s = 0; s < batch && code == MV_OK; s++)
        code = e->subject.backend->reset(e->engine, s, error);
    for (size_t at = 0; at < depth && code == MV_OK; at += e->fill_step) {
        size_t n = depth - at < e->fill_step ? depth - at : e->fill_step;
        code = call(e, e->prefix + at * batch, n, MV_LOGITS_NONE, error);
    }
    e->is_filled = code == MV_OK;
    return code;
}

/* FNV-1a over the bytes. */
static uint64_t hash_bytes(const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* The largest of each row, as greedy sampling looks for it. */
static float choose(const mv_bench_engine *e)
{
    const size_t vocab_size = e->view.params.vocab_size;
    float sum = 0;
    for (size_t s = 0; s < (size_t)e->shape.batch; s++) {
        const float *row = e->logits + s * vocab_size;
        float largest = row[0];
        for (size_t i = 1; i < vocab_size; i++)
            largest = row[i] > largest ? row[i] : largest;
        sum += largest;
    }
    return sum;
}

static bool all_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

mv_code mv_bench_engine_pass(mv_bench_engine *e, mv_bench_pass *pass, mv_error *error)
{
    const size_t batch = (size_t)e->shape.batch;
    const size_t n_logits = batch * e->view.params.vocab_size;
    mv_code code = MV_OK;
    mv_tick start, end;
    for (size_t i = 0; i < n_logits; i++)
        e->logits[i] = NAN; /* the work must be done in this pass, not in the one before */
    mv_tick_read(&start);
    int64_t last_ns = start.wall_ns;
    for (size_t i = 0, at = 0; i < e->n_calls && code == MV_OK; i++, at += e->step) {
        const bool is_last = i + 1 == e->n_calls;
        const size_t n = is_last ? e->total - at : e->step;
        const bool has_logits = is_last || e->phase == MV_BENCH_DECODE;
        e->began_ns = last_ns;
        code =
            call(e, e->tokens + at * batch, n, has_logits ? MV_LOGITS_LAST : MV_LOGITS_NONE, error);
        int64_t now_ns = mv_clock_wall_ns();
        e->calls[i] = now_ns - last_ns;
        last_ns = now_ns;
    }
    mv_tick_read(&end);
    if (code != MV_OK)
        return code;
    volatile float chosen = choose(e); /* the compiler must not leave the search out */
    pass->choose_ns = mv_clock_wall_ns() - end.wall_ns;
    pass->lapse = mv_tick_between(&start, &end);
    pass->lapse.wall_ns = last_ns - start.wall_ns; /* without the other clocks */
    pass->calls = e->calls;
    pass->n_calls = e->n_calls;
    pass->is_finite = all_finite(e->logits, n_logits);
    pass->hash = hash_bytes(e->logits, n_logits * sizeof *e->logits);
    (void)chosen;
    return MV_OK;
}
