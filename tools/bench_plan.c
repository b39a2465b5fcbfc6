#include "tools/bench_plan.h"

#include <math.h>
#include <string.h>

#include "harness/range.h"

static mv_code parse(mv_range *range, const char *text, const char *option, int64_t window,
                     int64_t prompt, int64_t least, int64_t most, mv_error *error)
{
    const mv_symbol symbols[] = {{'W', window > 0 ? window : -1}, {'T', prompt > 0 ? prompt : -1}};
    return mv_range_parse(range, text, option, symbols, 2, least, most, error);
}

static mv_code add(mv_bench_plan *plan, mv_bench_phase phase, const mv_bench_shape *shape,
                   mv_error *error)
{
    if (plan->n_items == MV_BENCH_MAX_ITEMS)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "the lists make more than %d shapes; shorten --prompt, --chunk or another",
                       MV_BENCH_MAX_ITEMS);
    plan->items[plan->n_items++] = (mv_bench_item){phase, *shape};
    return MV_OK;
}

/* All prompts by chunk, and all generated lengths, for one depth, window, batch and threads. */
static mv_code add_phases(mv_bench_plan *plan, const mv_bench_lists *lists, const mv_range *prompts,
                          const mv_range *lengths, mv_bench_shape shape, mv_error *error)
{
    mv_range chunks;
    mv_code code = MV_OK;
    for (size_t i = 0; i < prompts->n && code == MV_OK; i++) {
        if (prompts->values[i] == 0)
            continue;
        shape.prompt = prompts->values[i];
        code = parse(&chunks, lists->chunk != NULL ? lists->chunk : "0", "--chunk", shape.window,
                     shape.prompt, 0, INT32_MAX, error);
        for (size_t j = 0; j < chunks.n && code == MV_OK; j++) {
            shape.chunk = chunks.values[j] >= shape.prompt ? 0 : chunks.values[j];
            code = add(plan, MV_BENCH_PREFILL, &shape, error);
        }
    }
    shape.prompt = shape.chunk = 0;
    for (size_t i = 0; i < lengths->n && code == MV_OK; i++) {
        shape.generate = lengths->values[i];
        if (shape.generate > 0)
            code = add(plan, MV_BENCH_DECODE, &shape, error);
    }
    return code;
}

mv_code mv_bench_plan_make(mv_bench_plan *plan, const mv_bench_lists *lists,
                           const mv_params *params, mv_error *error)
{
    mv_range prompts, lengths, depths, windows, batches, threads;
    const int64_t own = params->sliding_window;
    char cores[16], own_window[16];
    (void)snprintf(cores, sizeof cores, "%d", mv_machine_n_cores());
    (void)snprintf(own_window, sizeof own_window, "%lld", (long long)own);
    plan->n_items = 0;
    mv_code code = parse(&prompts, lists->prompt, "--prompt", own, -1, 0, INT32_MAX, error);
    if (code == MV_OK)
        code = parse(&lengths, lists->generate, "--generate", own, -1, 0, INT32_MAX, error);
    if (code == MV_OK)
        code = parse(&depths, lists->depth != NULL ? lists->depth : "0", "--depth", own, -1, 0,
                     INT32_MAX, error);
    if (code == MV_OK)
        code = parse(&windows, lists->window != NULL ? lists->window : own_window, "--window", own,
                     -1, 0, INT32_MAX, error);
    if (code == MV_OK)
        code = parse(&batches, lists->batch != NULL ? lists->batch : "1", "--batch", -1, -1, 1,
                     65536, error);
    if (code == MV_OK)
        code = parse(&threads, lists->threads != NULL ? lists->threads : cores, "--threads", -1, -1,
                     1, 4096, error);
    for (size_t t = 0; code == MV_OK && t < threads.n; t++)
        for (size_t w = 0; code == MV_OK && w < windows.n; w++)
            for (size_t b = 0; code == MV_OK && b < batches.n; b++)
                for (size_t d = 0; code == MV_OK && d < depths.n; d++)
                    code = add_phases(plan, lists, &prompts, &lengths,
                                      (mv_bench_shape){.depth = depths.values[d],
                                                       .window = windows.values[w],
                                                       .batch = batches.values[b],
                                                       .threads = threads.values[t]},
                                      error);
    if (code == MV_OK && plan->n_items == 0)
        code = mv_fail(error, MV_ERR_ARGUMENT,
                       "nothing to measure: --prompt and --generate are both 0");
    return code;
}

/* ---- defaults ---- */

#define LAYER_BYTES 436207616.0 /* of 7B, bfloat16 */
#define OUTER_BYTES 524304384.0 /* embeddings, output, norm */

void mv_bench_default_model(mv_bench_defaults *defaults, bool slow)
{
    /* An engine may keep a float32 copy: three times the bytes; half of what is free is enough. */
    const double room = 0.5 * (double)mv_machine_memory_available_bytes() / (slow ? 1 : 3);
    double n_layers = floor((room - OUTER_BYTES) / LAYER_BYTES);
    n_layers = fmin(fmax(n_layers, 1), slow ? 1 : 4);
    (void)snprintf(defaults->model, sizeof defaults->model, "synthetic:7b,n_layers=%d",
                   (int)n_layers);
}

void mv_bench_default_lengths(mv_bench_defaults *defaults, const mv_params *params,
                              uint64_t model_bytes, const mv_ceilings *ceilings, bool slow)
{
    const double parameters = (double)model_bytes / 2;
    const double share = slow ? 0.1 : 0.5; /* of the peak that is expected; a guess, no promise */
    double prompt_s_a_token = 2 * parameters / (ceilings->flops_per_s * share);
    double token_s = slow ? prompt_s_a_token
                          : (double)model_bytes /
                                (ceilings->reads[ceilings->n_reads - 1].read_bytes_per_s * share);
    int prompt = 512, generate = 32;
    (void)params;
    while (prompt > 16 && prompt * prompt_s_a_token > 1.5)
        prompt /= 2;
    while (generate > 4 && generate * token_s > 1.5)
        generate /= 2;
    (void)snprintf(defaults->prompt, sizeof defaults->prompt, "%d", prompt);
    (void)snprintf(defaults->generate, sizeof defaults->generate, "%d", generate);
}
