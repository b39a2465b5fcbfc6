#include "harness/work.h"

#include <math.h>
#include <string.h>

#include "harness/roofline.h"

static double multiply_adds(const mv_work *work)
{
    return (double)work->linear_multiply_adds + (double)work->output_multiply_adds +
           (double)work->attention_multiply_adds;
}

void mv_work_compare(mv_bench_comparison *row, const mv_work *a, const mv_work *b)
{
    const struct {
        const char *name;
        uint64_t base, candidate;
    } counters[] = {
        {"linear_multiply_adds", a->linear_multiply_adds, b->linear_multiply_adds},
        {"output_multiply_adds", a->output_multiply_adds, b->output_multiply_adds},
        {"attention_multiply_adds", a->attention_multiply_adds, b->attention_multiply_adds},
        {"attention_pairs", a->attention_pairs, b->attention_pairs},
        {"weight_bytes", a->weight_bytes, b->weight_bytes},
        {"kv_cache_bytes", a->kv_cache_bytes, b->kv_cache_bytes},
        {"calls", a->calls, b->calls},
        {"allocations", a->allocations, b->allocations},
    };
    const double base = multiply_adds(a), ratio = multiply_adds(b) / base;
    bool is_less = false;
    size_t used = 0;
    (void)snprintf(row->method, sizeof row->method, "work");
    if (base > 0)
        row->ratio = (mv_estimate){ratio, ratio, ratio};
    row->verdict = MV_BENCH_SAME;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        is_less = is_less || counters[i].candidate < counters[i].base;
        if (counters[i].candidate <= counters[i].base)
            continue;
        row->verdict = MV_BENCH_SLOWER;
        if (used < sizeof row->reason - 1)
            used += (size_t)snprintf(row->reason + used, sizeof row->reason - used,
                                     "%s%s grew from %llu to %llu", used > 0 ? ", " : "",
                                     counters[i].name, (unsigned long long)counters[i].base,
                                     (unsigned long long)counters[i].candidate);
    }
    if (row->verdict == MV_BENCH_SAME) {
        row->verdict = is_less ? MV_BENCH_FASTER : MV_BENCH_SAME;
        (void)snprintf(row->reason, sizeof row->reason,
                       is_less ? "no counter grew, and some are less"
                               : "every counter is the same");
    }
}

/* Pairs of the rectangles that hold what each call sees: n tokens by the keys that any of them
 * sees. */
static double rectangle_pairs(const mv_params *params, mv_bench_phase phase,
                              const mv_bench_shape *shape)
{
    const bool is_prefill = phase == MV_BENCH_PREFILL;
    const int64_t total = is_prefill ? shape->prompt : shape->generate;
    const int64_t step = !is_prefill ? 1 : shape->chunk > 0 ? shape->chunk : total;
    double pairs = 0;
    for (int64_t done = 0; done < total; done += step) {
        const int64_t n = total - done < step ? total - done : step;
        const int64_t all = shape->depth + done + n, seen = shape->window + n - 1;
        pairs += (double)n * (double)(shape->window > 0 && seen < all ? seen : all);
    }
    return pairs * (double)shape->batch * params->n_layers * params->n_heads;
}

bool mv_work_is_explained(char *text, size_t size, const mv_work *work, const mv_model_view *model,
                          mv_compute compute, mv_bench_phase phase, const mv_bench_shape *shape)
{
    const mv_cost cost = mv_cost_of_shape(model, compute, phase, shape, NULL);
    const double pairs = (double)work->attention_pairs;
    const double products = 2.0 * model->params.head_dim * pairs;
    const struct {
        const char *name;
        double found, least, most;
    } rows[] = {
        {"linear_multiply_adds", (double)work->linear_multiply_adds, cost.linear_flops / 2,
         mv_linear_of_all_rows(model, shape, phase)},
        {"output_multiply_adds", (double)work->output_multiply_adds, cost.output_flops / 2,
         cost.output_flops / 2},
        {"attention_pairs", pairs, cost.pairs, rectangle_pairs(&model->params, phase, shape)},
        {"attention_multiply_adds", (double)work->attention_multiply_adds, products, products},
        {"allocations", (double)work->allocations, 0, 0},
    };
    if (!(multiply_adds(work) > 0))
        return true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].found >= rows[i].least && rows[i].found <= rows[i].most)
            continue;
        if (rows[i].least < rows[i].most)
            (void)snprintf(text, size,
                           "%s of a pass: expected %.0f to %.0f by the formulas, found %.0f",
                           rows[i].name, rows[i].least, rows[i].most, rows[i].found);
        else
            (void)snprintf(text, size, "%s of a pass: expected %.0f by the formulas, found %.0f",
                           rows[i].name, rows[i].least, rows[i].found);
        return false;
    }
    return true;
}
