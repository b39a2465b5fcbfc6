#include "tools/bench_vs.h"

#include <math.h>
#include <string.h>

#include "harness/duel.h"
#include "harness/log.h"

#define DEFAULT_GATE_PERCENT 4

void mv_bench_vs_defaults(mv_bench_defaults *defaults)
{
    /* The ratios of 7B: 4 query heads to a key head, hidden_dim 3.5 times dim. */
    (void)snprintf(
        defaults->model, sizeof defaults->model, "synthetic:7b,%s",
        "dim=256,n_layers=1,hidden_dim=896,n_heads=4,n_kv_heads=1,head_dim=64,vocab_size=2048");
    (void)snprintf(defaults->prompt, sizeof defaults->prompt, "8");
    (void)snprintf(defaults->generate, sizeof defaults->generate, "2");
}

mv_code mv_bench_vs_check(const mv_bench_vs *vs, mv_error *error)
{
    if (!isnan(vs->gate_percent) && !(vs->gate_percent >= 1 && vs->gate_percent <= 100))
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--gate %g: expected a percentage from 1 to 100; 1 %% is what the layout of "
                       "code alone may cost",
                       vs->gate_percent);
    if (strcmp(vs->clock, "auto") != 0 && strcmp(vs->clock, "cpu") != 0 &&
        strcmp(vs->clock, "wall") != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--clock: expected auto, cpu or wall, found '%s'",
                       vs->clock);
    return MV_OK;
}

static void show_group(void *cookie, size_t n_done, bool is_confirming)
{
    const mv_bench_vs *vs = cookie;
    if (vs->shows_progress)
        mv_log_progress("%s group %zu of %s", is_confirming ? "confirming," : "comparing,", n_done,
                        is_confirming ? "at most 96" : "16, 32 or 64");
}

mv_code mv_bench_vs_run(const mv_bench_vs *vs, mv_bench *bench, const mv_bench_plan *plan,
                        mv_bench_results *results, mv_error *error)
{
    mv_duel_item items[MV_GATE_MAX_METRICS];
    mv_bench_comparison rows[2 * MV_GATE_MAX_METRICS];
    const double percent = isnan(vs->gate_percent) ? DEFAULT_GATE_PERCENT : vs->gate_percent;
    size_t n_rows = 0;
    int64_t most_threads = 1;
    mv_bench_vs shown = *vs;
    mv_code code = MV_OK;
    if (plan->n_items > MV_GATE_MAX_METRICS)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--vs compares at most %d shapes at once, found %zu; shorten the lists",
                       MV_GATE_MAX_METRICS, plan->n_items);
    for (size_t i = 0; i < plan->n_items && code == MV_OK; i++) {
        items[i] = (mv_duel_item){.phase = plan->items[i].phase, .shape = plan->items[i].shape};
        most_threads = plan->items[i].shape.threads > most_threads ? plan->items[i].shape.threads
                                                                   : most_threads;
        if (!bench->no_check)
            code =
                mv_bench_get_truth(bench, items[i].phase, &items[i].shape, &items[i].truth, error);
    }
    if (code != MV_OK)
        return code;
    const bool by_cpu =
        strcmp(vs->clock, "auto") == 0 ? most_threads == 1 : strcmp(vs->clock, "cpu") == 0;
    const mv_duel duel = {
        .subject = bench->subject,
        .base = vs->base,
        .candidate = vs->candidate,
        .items = items,
        .n_items = plan->n_items,
        .clock = by_cpu ? MV_DUEL_CPU : MV_DUEL_WALL,
        .rule = mv_gate_rule_of(percent),
        .max_time_s = vs->max_time_s,
        .seed = (uint64_t)mv_clock_wall_ns(), /* chance, and not the same each time */
        .on_group = show_group,
        .cookie = &shown,
    };
    code = mv_duel_run(&duel, rows, &n_rows, error);
    mv_log_progress("%s", "");
    for (size_t i = 0; i < n_rows && code == MV_OK; i++) {
        rows[i].gate_percent = vs->gate_percent;
        code = mv_bench_results_add_comparison(results, &rows[i], error);
    }
    return code;
}

bool mv_bench_vs_fails(const mv_bench_vs *vs, const mv_bench_comparison *one)
{
    return one->verdict == MV_BENCH_SLOWER || (vs->strict && one->verdict == MV_BENCH_INCONCLUSIVE);
}
