/* bench_engine.h - one engine, opened for one shape, and the passes over it that are timed.
 *
 * A pass of prefill brings `prompt` tokens in calls of `chunk`; a pass of decode brings `generate`
 * tokens one by one. All tokens are laid out before; between two calls stand a few loads and one
 * reading of the clock.
 */
#ifndef MV_HARNESS_BENCH_ENGINE_H
#define MV_HARNESS_BENCH_ENGINE_H

#include "harness/bench_check.h"
#include "harness/bench_results.h"
#include "harness/clock.h"

typedef struct mv_bench_subject {
    const mv_backend *backend;
    const mv_model_view *model;
    mv_compute compute;
    const mv_option *options; /* --backend-option */
    size_t n_options;
    uint64_t seed;
} mv_bench_subject;

typedef struct mv_bench_engine mv_bench_engine;

/* Everything that a timed pass needs is taken here. check_length: of the truth that it will be
 * checked with, 0 for none. The subject's pointers are borrowed until close. */
MV_MUST_CHECK mv_code mv_bench_engine_open(mv_bench_engine **engine,
                                           const mv_bench_subject *subject, mv_bench_phase phase,
                                           const mv_bench_shape *shape, size_t check_length,
                                           mv_error *error);
void mv_bench_engine_close(mv_bench_engine **engine);

/* See mv_bench_check(). */
MV_MUST_CHECK mv_code mv_bench_engine_check(mv_bench_engine *engine, const mv_bench_truth *truth,
                                            bool *passed, char *text, size_t text_size,
                                            mv_error *error);

/* Not timed: every sequence at position `depth`, by a real prefill or, after the first time, by
 * truncate() where the engine has it. */
MV_MUST_CHECK mv_code mv_bench_engine_prepare(mv_bench_engine *engine, mv_error *error);

/* What one pass took. */
typedef struct mv_bench_pass {
    mv_lapse lapse;       /* from before the first call to after the last */
    const int64_t *calls; /* [n_calls] ns of each; borrowed until the next pass */
    size_t n_calls;
    int64_t choose_ns; /* to find the largest of the last logits, as greedy sampling does */
    uint64_t hash;     /* of the last logits */
    bool is_finite;    /* all of them */
} mv_bench_pass;

MV_MUST_CHECK mv_code mv_bench_engine_pass(mv_bench_engine *engine, mv_bench_pass *pass,
                                           mv_error *error);

/* When the call that is being made, or was made last, began: mv_clock_wall_ns(). For a tap, which
 * sees the call from inside. */
int64_t mv_bench_engine_call_began_ns(const mv_bench_engine *engine);

/* Borrowed. */
mv_engine *mv_bench_engine_get(mv_bench_engine *engine);

#endif
