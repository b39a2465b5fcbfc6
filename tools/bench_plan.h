/* bench_plan.h - from lists on the command line to shapes to measure. */
#ifndef MV_TOOLS_BENCH_PLAN_H
#define MV_TOOLS_BENCH_PLAN_H

#include "harness/bench_results.h"

typedef struct mv_bench_lists {
    const char *prompt, *generate, *depth, *chunk, *window, *batch,
        *threads; /* NULL: the default */
} mv_bench_lists;

typedef struct mv_bench_item {
    mv_bench_phase phase;
    mv_bench_shape shape;
} mv_bench_item;

enum { MV_BENCH_MAX_ITEMS = 1024 };

typedef struct mv_bench_plan {
    mv_bench_item items[MV_BENCH_MAX_ITEMS];
    size_t n_items;
} mv_bench_plan;

/* Every combination: threads, then window, batch and depth, then prompts by chunk, then generated
 * lengths (which have no chunk). A 0 among the prompts or lengths adds nothing. In lists, W is the
 * row's window (the model's in --window, --prompt and --depth) and T the row's prompt. */
MV_MUST_CHECK mv_code mv_bench_plan_make(mv_bench_plan *plan, const mv_bench_lists *lists,
                                         const mv_params *params, mv_error *error);

/* What mistral-bench does when it is not told: a model of the shapes of 7B, with few enough layers
 * for the memory and for a minute. Text is written into the arrays and pointed to. */
typedef struct mv_bench_defaults {
    char model[160], prompt[16], generate[16];
} mv_bench_defaults;

/* slow: no engine is faster than the reference. */
void mv_bench_default_model(mv_bench_defaults *defaults, bool slow);

/* Lengths of which one pass takes about a second or two at these ceilings. */
void mv_bench_default_lengths(mv_bench_defaults *defaults, const mv_params *params,
                              uint64_t model_bytes, const mv_ceilings *ceilings, bool slow);

#endif
