/* duel_rows.c - what the groups of a duel say, in words. */
#include <math.h>
#include <string.h>

#include "harness/duel_state.h"
#include "harness/work.h"

/* Relinked with its code 16 or 32 bytes further, the reference was measured 8 to 11 % slower in
 * decode (docs/BENCHMARKING.md): a loop that crossed a line of the cache. */
#define FREE_LAYOUT log(1.15)

static void name_row(const mv_duel *duel, size_t item, mv_bench_comparison *row, const char *what)
{
    const mv_bench_shape *p = &duel->items[item].shape;
    memset(row, 0, sizeof *row);
    (void)snprintf(row->key, sizeof row->key,
                   "%s prompt=%lld generate=%lld depth=%lld chunk=%lld window=%lld batch=%lld "
                   "threads=%lld %s",
                   mv_bench_phase_name(duel->items[item].phase), (long long)p->prompt,
                   (long long)p->generate, (long long)p->depth, (long long)p->chunk,
                   (long long)p->window, (long long)p->batch, (long long)p->threads, what);
    (void)snprintf(row->base, sizeof row->base, "%s", duel->base);
    (void)snprintf(row->candidate, sizeof row->candidate, "%s", duel->candidate);
    row->ratio = (mv_estimate){NAN, NAN, NAN};
    row->p_slower = NAN;
    row->gate_percent = NAN;
    row->n_groups = row->n_confirm = -1;
    row->verdict = MV_BENCH_INCONCLUSIVE;
}

static void decide_suspect(const mv_duel_state *s, const mv_duel_metric *it,
                           mv_bench_comparison *row)
{
    if (it->n_confirm < MV_GATE_CONFIRM_GROUPS) {
        (void)snprintf(row->reason, sizeof row->reason,
                       "looks slower, but the time ran out before it was confirmed");
    } else if (it->confirmed && s->layout_is_free && it->confirm_shift.value < FREE_LAYOUT) {
        (void)snprintf(
            row->reason, sizeof row->reason,
            "%+.2f %%, and again in %zu fresh groups; but up to 15 %% may come from where "
            "the linker put the code: build both with -falign-functions=64",
            100 * expm1(it->confirm_shift.value), it->n_confirm);
    } else if (it->confirmed) {
        row->verdict = MV_BENCH_SLOWER;
        (void)snprintf(row->reason, sizeof row->reason,
                       "slower, and again in %zu fresh groups: %+.2f %%", it->n_confirm,
                       100 * expm1(it->confirm_shift.value));
    } else {
        row->verdict = MV_BENCH_SAME;
        (void)snprintf(row->reason, sizeof row->reason,
                       "cleared: looked slower, but not in %zu fresh groups (%+.2f %%) beside a "
                       "second copy of the base",
                       it->n_confirm, 100 * expm1(it->confirm_shift.value));
    }
}

/* Processor time does not see an engine that waits. Where it says something itself, or nothing that
 * can be trusted, the reason stays as it is. */
static void distrust_waiting(const mv_duel_state *s, size_t item, mv_bench_comparison *row)
{
    mv_estimate wall;
    const bool is_fine = row->verdict == MV_BENCH_SAME || row->verdict == MV_BENCH_FASTER;
    if (s->duel->clock != MV_DUEL_CPU || !is_fine || s->n_groups == 0 ||
        mv_hodges_lehmann(&wall, s->items[item].wall_groups, s->n_groups, 0.95, NULL) != MV_OK ||
        !(wall.low > s->duel->rule.most))
        return;
    row->verdict = MV_BENCH_INCONCLUSIVE;
    (void)snprintf(row->reason, sizeof row->reason,
                   "takes no more processor time, but %+.1f %% on the wall: it waits; compare with "
                   "--clock wall",
                   100 * expm1(wall.value));
}

void mv_duel_time_row(const mv_duel_state *s, size_t item, mv_bench_comparison *row)
{
    const mv_gate_metric *metric = &s->metrics[item];
    const mv_duel_metric *it = &s->items[item];
    const double most = 100 * expm1(s->duel->rule.most);
    mv_estimate shift = metric->shift;
    name_row(s->duel, item, row, "time");
    (void)snprintf(row->method, sizeof row->method, "interleaved");
    (void)snprintf(row->clock, sizeof row->clock, "%s",
                   s->duel->clock == MV_DUEL_CPU ? "cpu" : "wall");
    row->n_groups = (int64_t)s->n_groups;
    row->n_confirm = (int64_t)it->n_confirm;
    if (metric->state != MV_GATE_OPEN)
        row->p_slower = metric->p_slower;
    if (metric->state != MV_GATE_OPEN ||
        (s->n_groups > 0 &&
         mv_hodges_lehmann(&shift, it->groups, s->n_groups, 0.95, NULL) == MV_OK))
        row->ratio = (mv_estimate){exp(shift.value), exp(shift.low), exp(shift.high)};
    switch (metric->state) {
    case MV_GATE_SAME:
        row->verdict = MV_BENCH_SAME;
        (void)snprintf(row->reason, sizeof row->reason, "shown to be less than %.1f %% slower",
                       most);
        break;
    case MV_GATE_FASTER:
        row->verdict = MV_BENCH_FASTER;
        (void)snprintf(row->reason, sizeof row->reason, "faster in a one-sided test, p %.2g",
                       metric->p_faster);
        break;
    case MV_GATE_SUSPECT:
        decide_suspect(s, it, row);
        break;
    case MV_GATE_OPEN:
        (void)snprintf(row->reason, sizeof row->reason, "the time ran out after %zu groups",
                       s->n_groups);
        break;
    case MV_GATE_UNDECIDED:
        (void)snprintf(row->reason, sizeof row->reason,
                       "too much noise: %zu groups show neither a regression nor less than %.1f %%",
                       s->n_groups, most);
        break;
    }
    if (s->duel->clock == MV_DUEL_WALL && it->n_clean * 2 < it->n_asked) {
        row->verdict = MV_BENCH_INCONCLUSIVE;
        (void)snprintf(row->reason, sizeof row->reason,
                       "only %zu of %zu timings were not interrupted by others", it->n_clean,
                       it->n_asked);
    }
    distrust_waiting(s, item, row);
}

void mv_duel_work_row(const mv_duel_state *s, size_t item, mv_bench_comparison *row)
{
    const mv_duel_item *it = &s->duel->items[item];
    const mv_work *work = s->items[item].work;
    char text[160];
    name_row(s->duel, item, row, "work");
    mv_work_compare(row, &work[MV_DUEL_BASE], &work[MV_DUEL_CANDIDATE]);
    if (row->verdict != MV_BENCH_SLOWER &&
        !mv_work_is_explained(text, sizeof text, &work[MV_DUEL_CANDIDATE], s->duel->subject.model,
                              s->duel->subject.compute, it->phase, &it->shape)) {
        const size_t used = strlen(row->reason);
        (void)snprintf(row->reason + used, sizeof row->reason - used, "; both: %s", text);
    }
}
