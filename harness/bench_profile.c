#include "harness/bench_profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_PASSES = 3, MOST_PASSES = 9 };
#define ENOUGH_S 0.5

/* In the order of the forward pass. What engines often make in one step is one op: an engine that
 * multiplies q, k and v at once shows all three when the last is done. */
static const struct {
    const char *tensor, *op;
} tensors[] = {
    {"embedding", "embedding"},
    {"attention_norm", "attention_norm"},
    {"q", "q+k+v"},
    {"k", "q+k+v"},
    {"v", "q+k+v"},
    {"attention", "attention"},
    {"attention_out", "attention_out"},
    {"attention_residual", "attention_residual"},
    {"ffn_norm", "ffn_norm"},
    {"gate", "gate+up"},
    {"up", "gate+up"},
    {"ffn_out", "ffn_out"},
    {"layer_out", "layer_out"},
    {"norm", "norm"},
    {"logits", "logits"},
    {NULL, "other"}, /* a name that is not in the ABI */
};
enum { N_TENSORS = sizeof tensors / sizeof *tensors };

typedef struct watch {
    const mv_bench_engine *engine;
    bool is_on;
    int64_t began_ns, last_ns; /* of the call; of what was timed last in it */
    int64_t ns[N_TENSORS];     /* of one pass */
    int64_t untapped_ns;       /* after the last tensor of each call */
    size_t n_taps;
} watch;

/* A call has begun: what followed the last tensor of the one before belongs to no tensor. */
static void turn_to_call(watch *w, int64_t began_ns)
{
    if (w->n_taps > 0)
        w->untapped_ns += began_ns - w->last_ns;
    w->began_ns = w->last_ns = began_ns;
}

static mv_tap_action on_tap(void *cookie, const mv_tap *tap)
{
    watch *w = cookie;
    if (!w->is_on)
        return MV_TAP_KEEP;
    const int64_t now_ns = mv_clock_wall_ns();
    const int64_t began_ns = mv_bench_engine_call_began_ns(w->engine);
    size_t i = 0;
    while (i + 1 < N_TENSORS && strcmp(tensors[i].tensor, tap->name) != 0)
        i++;
    if (w->n_taps == 0 || began_ns != w->began_ns)
        turn_to_call(w, began_ns);
    w->ns[i] += now_ns - w->last_ns;
    w->n_taps++;
    w->last_ns = mv_clock_wall_ns();
    return MV_TAP_KEEP;
}

static mv_code one_pass(watch *w, mv_bench_engine *engine, mv_error *error)
{
    mv_bench_pass pass;
    mv_code code = mv_bench_engine_prepare(engine, error);
    if (code != MV_OK)
        return code;
    memset(w->ns, 0, sizeof w->ns);
    w->untapped_ns = 0;
    w->n_taps = 0;
    w->is_on = true;
    code = mv_bench_engine_pass(engine, &pass, error);
    w->is_on = false;
    if (code == MV_OK && w->n_taps > 0)
        w->untapped_ns += w->began_ns + pass.calls[pass.n_calls - 1] - w->last_ns;
    return code;
}

static void keep_op(mv_bench_profile *profile, const char *name, double ns)
{
    if (!(ns > 0))
        return;
    mv_bench_op *op = &profile->ops[profile->n_ops++];
    (void)snprintf(op->op, sizeof op->op, "%s", name);
    op->ns_median = llround(ns);
}

/* The total is the sum of the medians, so that the parts make up the whole. */
static void finish(mv_bench_run *run, double parts[N_TENSORS + 1][MOST_PASSES], size_t n,
                   size_t n_taps)
{
    mv_bench_profile *profile = &run->profile;
    const double timed_ns =
        run->phase == MV_BENCH_PREFILL
            ? 1e9 * (double)(run->shape.batch * run->shape.prompt) / run->tokens_per_s.value
            : 1e9 * (double)run->shape.batch / run->tokens_per_s.value;
    for (size_t i = 0, end; i < N_TENSORS; i = end) {
        double sums[MOST_PASSES] = {0};
        for (end = i; end < N_TENSORS && strcmp(tensors[end].op, tensors[i].op) == 0; end++)
            for (size_t p = 0; p < n; p++)
                sums[p] += parts[end][p];
        keep_op(profile, tensors[i].op, mv_median_in_place(sums, n));
    }
    profile->untapped_ns = llround(fmax(mv_median_in_place(parts[N_TENSORS], n), 0));
    profile->total_ns = profile->untapped_ns;
    for (size_t i = 0; i < profile->n_ops; i++)
        profile->total_ns += profile->ops[i].ns_median;
    for (size_t i = 0; i < profile->n_ops; i++)
        profile->ops[i].share = (double)profile->ops[i].ns_median / (double)profile->total_ns;
    profile->n_passes = (int64_t)n;
    profile->ratio_to_timed = (double)profile->total_ns / timed_ns;
    (void)snprintf(profile->how, sizeof profile->how,
                   "time between %zu inner tensors of a %s, seen by a tap in passes that are not "
                   "among the samples",
                   n_taps, run->phase == MV_BENCH_PREFILL ? "pass" : "token step");
}

mv_code mv_bench_profile_run(const mv_bench *bench, mv_bench_engine *engine, mv_bench_run *run,
                             mv_error *error)
{
    const mv_backend *backend = bench->subject.backend;
    const double calls = run->phase == MV_BENCH_DECODE ? (double)run->shape.generate : 1;
    double parts[N_TENSORS + 1][MOST_PASSES];
    watch w = {.engine = engine};
    mv_code code = MV_OK;
    size_t n = 0;
    if (backend->set_tap == NULL ||
        backend->set_tap(mv_bench_engine_get(engine), on_tap, &w, NULL) != MV_OK)
        return MV_OK;
    code = one_pass(&w, engine, error); /* the first of another path: not kept */
    const int64_t start_ns = mv_clock_wall_ns();
    while (code == MV_OK && w.n_taps > 0 && n < MOST_PASSES &&
           (n < LEAST_PASSES || (double)(mv_clock_wall_ns() - start_ns) * 1e-9 < ENOUGH_S)) {
        code = one_pass(&w, engine, error);
        for (size_t i = 0; i < N_TENSORS; i++)
            parts[i][n] = (double)w.ns[i] / calls;
        parts[N_TENSORS][n] = (double)w.untapped_ns / calls;
        n++;
    }
    (void)backend->set_tap(mv_bench_engine_get(engine), NULL, NULL, NULL);
    if (code == MV_OK && n > 0)
        finish(run, parts, n, (size_t)llround((double)w.n_taps / calls));
    return code;
}
