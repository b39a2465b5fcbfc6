/* duel.c - groups, rounds and verdicts. The arithmetic of the verdicts is gate.c's. */
#include "harness/duel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/duel_child.h"
#include "harness/synthetic.h"

enum { BASE, CANDIDATE, CONTROL, MAX_ARMS, N_ROUNDS = 4 };

#define LEAST_TIMED_NS 4e6 /* a request is as many passes as this takes */
#define MAX_PASSES 1000

typedef struct item_state {
    int32_t n_passes;                       /* of a request; 0 = not known yet */
    double groups[MV_GATE_MAX_GROUPS];      /* log ratios by the clock that decides */
    double wall_groups[MV_GATE_MAX_GROUPS]; /* by the wall, clean or not */
    double fresh[MV_GATE_CONFIRM_GROUPS], control[MV_GATE_CONFIRM_GROUPS];
    size_t n_confirm;
    size_t n_asked, n_clean; /* requests with at least one clean repeat */
    bool has_work;           /* both arms are builds of one engine, and count */
    mv_work work[2];
    bool confirmed;
    mv_estimate confirm_shift;
} item_state;

typedef struct duel_state {
    const mv_duel *duel;
    item_state items[MV_GATE_MAX_METRICS];
    mv_gate_metric metrics[MV_GATE_MAX_METRICS];
    size_t n_groups;
    uint64_t n_drawn;
    int64_t start_ns;
    bool out_of_time;
} duel_state;

/* ---- chance ---- */

static uint64_t draw(duel_state *s)
{
    return mv_synthetic_bits(s->duel->seed, 0x6475656cu, s->n_drawn++);
}

static void shuffle(duel_state *s, int *order, int n)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(draw(s) % (uint64_t)(i + 1)), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

/* As many of the cores that this process may use as the largest item has threads. */
static void draw_cores(duel_state *s, cpu_set_t *cores)
{
    cpu_set_t usable;
    int64_t n_wanted = 1;
    for (size_t i = 0; i < s->duel->n_items; i++)
        if (s->duel->items[i].shape.threads > n_wanted)
            n_wanted = s->duel->items[i].shape.threads;
    CPU_ZERO(&usable);
    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        for (size_t i = 0; i < CPU_SETSIZE; i++)
            CPU_SET(i, &usable);
    int64_t n_left = CPU_COUNT(&usable);
    CPU_ZERO(cores);
    for (size_t i = 0; i < CPU_SETSIZE && n_wanted > 0; i++) {
        if (!CPU_ISSET(i, &usable))
            continue;
        if ((int64_t)(draw(s) % (uint64_t)n_left) < n_wanted) {
            CPU_SET(i, cores);
            n_wanted--;
        }
        n_left--;
    }
}

/* ---- one group ---- */

/* One request to one arm: the time of a pass by the clock that decides, and by the wall. */
static mv_code time_arm(duel_state *s, const mv_duel_child *child, size_t item, const char *name,
                        double *decides, double *wall, mv_error *error)
{
    item_state *it = &s->items[item];
    mv_duel_reply *reply = malloc(sizeof *reply);
    if (reply == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a child's reply");
    const int32_t n_passes = it->n_passes > 0 ? it->n_passes : 1;
    mv_code code = mv_duel_child_ask(child, (int32_t)item, n_passes, error);
    if (code == MV_OK)
        code = mv_duel_child_hear(child, reply, name, error);
    if (code == MV_OK) {
        it->n_asked++;
        it->n_clean += reply->clean_wall_ns > 0 ? 1 : 0;
        *wall = reply->clean_wall_ns > 0 ? reply->clean_wall_ns : reply->wall_ns;
        *decides = s->duel->clock == MV_DUEL_CPU ? reply->cpu_ns : *wall;
        if (!(*decides > 0) || !(*wall > 0))
            code = mv_fail(error, MV_ERR_BACKEND, "%s: a pass took no time at all", name);
        if (it->n_passes == 0)
            it->n_passes =
                (int32_t)fmin(fmax(ceil(LEAST_TIMED_NS / reply->wall_ns), 1), MAX_PASSES);
    }
    free(reply);
    return code;
}

static mv_code start_arms(duel_state *s, mv_duel_child *children, int n_arms,
                          const char *const *names, mv_error *error)
{
    mv_duel_reply *reply = malloc(sizeof *reply);
    int order[MAX_ARMS];
    cpu_set_t cores;
    mv_code code = reply != NULL ? MV_OK : mv_fail(error, MV_ERR_MEMORY, "no memory for a reply");
    draw_cores(s, &cores);
    shuffle(s, order, n_arms);
    for (int i = 0; i < n_arms && code == MV_OK; i++)
        code = mv_duel_child_start(&children[order[i]], s->duel, names[order[i]], &cores, draw(s),
                                   error);
    char engine[sizeof reply->engine] = "";
    for (int i = 0; i < n_arms && code == MV_OK; i++) {
        code = mv_duel_child_hear(&children[i], reply, names[i], error);
        if (i == BASE)
            memcpy(engine, reply->engine, sizeof engine);
        for (size_t m = 0; m < s->duel->n_items && code == MV_OK && i <= CANDIDATE; m++) {
            s->items[m].work[i] = reply->work[m];
            s->items[m].has_work = (i == BASE || s->items[m].has_work) && reply->has_work &&
                                   memcmp(engine, reply->engine, sizeof engine) == 0;
        }
    }
    free(reply);
    return code;
}

/* log(arm / base) of each round, by both clocks. */
typedef struct rounds {
    double decides[MAX_ARMS][N_ROUNDS], wall[MAX_ARMS][N_ROUNDS];
} rounds;

static mv_code run_rounds(duel_state *s, const mv_duel_child *children, int n_arms,
                          const char *const *names, size_t item, rounds *r, mv_error *error)
{
    mv_code code = MV_OK;
    for (int round = -1; round < N_ROUNDS && code == MV_OK; round++) { /* the first is discarded */
        double decides[MAX_ARMS], wall[MAX_ARMS];
        int order[MAX_ARMS];
        shuffle(s, order, n_arms);
        for (int i = 0; i < n_arms && code == MV_OK; i++)
            code = time_arm(s, &children[order[i]], item, names[order[i]], &decides[order[i]],
                            &wall[order[i]], error);
        for (int i = 1; i < n_arms && code == MV_OK && round >= 0; i++) {
            r->decides[i][round] = log(decides[i] / decides[BASE]);
            r->wall[i][round] = log(wall[i] / wall[BASE]);
        }
    }
    return code;
}

static mv_code median_of(double *out, const double *rounds_of_arm, mv_error *error)
{
    mv_estimate median;
    mv_code code = mv_median_estimate(&median, rounds_of_arm, N_ROUNDS, N_ROUNDS, 0.95, error);
    if (code == MV_OK)
        *out = median.value;
    return code;
}

static bool is_wanted(const duel_state *s, size_t item, bool confirming)
{
    return s->metrics[item].state == (confirming ? MV_GATE_SUSPECT : MV_GATE_OPEN);
}

static mv_code run_group(duel_state *s, bool confirming, mv_error *error)
{
    const char *const names[MAX_ARMS] = {s->duel->base, s->duel->candidate, s->duel->base};
    const int n_arms = confirming ? 3 : 2;
    mv_duel_child children[MAX_ARMS] = {{0, -1}, {0, -1}, {0, -1}};
    mv_code code = start_arms(s, children, n_arms, names, error);
    for (size_t i = 0; i < s->duel->n_items && code == MV_OK; i++) {
        item_state *it = &s->items[i];
        rounds r;
        if (!is_wanted(s, i, confirming))
            continue;
        code = run_rounds(s, children, n_arms, names, i, &r, error);
        if (code == MV_OK && confirming) {
            code = median_of(&it->fresh[it->n_confirm], r.decides[CANDIDATE], error);
            if (code == MV_OK)
                code = median_of(&it->control[it->n_confirm], r.decides[CONTROL], error);
            it->n_confirm++;
        } else if (code == MV_OK) {
            code = median_of(&it->groups[s->n_groups], r.decides[CANDIDATE], error);
            if (code == MV_OK)
                code = median_of(&it->wall_groups[s->n_groups], r.wall[CANDIDATE], error);
        }
    }
    for (int i = 0; i < n_arms; i++)
        mv_duel_child_stop(&children[i]);
    return code;
}

/* ---- until decided ---- */

static bool any_in(const duel_state *s, mv_gate_state state)
{
    for (size_t i = 0; i < s->duel->n_items; i++)
        if (s->metrics[i].state == state)
            return true;
    return false;
}

static bool is_late(duel_state *s)
{
    const double elapsed_s = (double)(mv_clock_wall_ns() - s->start_ns) * 1e-9;
    s->out_of_time = s->out_of_time || elapsed_s > s->duel->max_time_s;
    return s->out_of_time;
}

static mv_code run_looks(duel_state *s, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t look; any_in(s, MV_GATE_OPEN) && (look = mv_gate_next_look(s->n_groups)) != 0;) {
        while (s->n_groups < look && code == MV_OK && !is_late(s)) {
            code = run_group(s, false, error);
            s->n_groups += code == MV_OK ? 1 : 0;
            if (code == MV_OK && s->duel->on_group != NULL)
                s->duel->on_group(s->duel->cookie, s->n_groups, false);
        }
        if (code != MV_OK || s->out_of_time)
            return code;
        code = mv_gate_look(s->metrics, s->duel->n_items, s->n_groups, &s->duel->rule, error);
        if (code != MV_OK)
            return code;
    }
    return code;
}

static mv_code run_confirmation(duel_state *s, mv_error *error)
{
    mv_code code = MV_OK;
    if (!any_in(s, MV_GATE_SUSPECT))
        return MV_OK;
    for (size_t n = 0; n < MV_GATE_CONFIRM_GROUPS && code == MV_OK && !is_late(s); n++) {
        code = run_group(s, true, error);
        if (code == MV_OK && s->duel->on_group != NULL)
            s->duel->on_group(s->duel->cookie, s->n_groups + n + 1, true);
    }
    for (size_t i = 0; i < s->duel->n_items && code == MV_OK; i++) {
        item_state *it = &s->items[i];
        if (s->metrics[i].state == MV_GATE_SUSPECT && it->n_confirm == MV_GATE_CONFIRM_GROUPS)
            code = mv_gate_confirm(&it->confirmed, &it->confirm_shift, it->fresh, it->control,
                                   it->n_confirm, &s->duel->rule, error);
    }
    return code;
}

/* ---- rows ---- */

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

static void decide_suspect(const item_state *it, mv_bench_comparison *row)
{
    if (it->n_confirm < MV_GATE_CONFIRM_GROUPS) {
        (void)snprintf(row->reason, sizeof row->reason,
                       "looks slower, but the time ran out before it was confirmed");
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

/* Processor time does not see an engine that waits. */
static void distrust_waiting(const duel_state *s, size_t item, mv_bench_comparison *row)
{
    mv_estimate wall;
    if (s->duel->clock != MV_DUEL_CPU || row->verdict == MV_BENCH_SLOWER || s->n_groups == 0 ||
        mv_hodges_lehmann(&wall, s->items[item].wall_groups, s->n_groups, 0.95, NULL) != MV_OK ||
        !(wall.low > s->duel->rule.most))
        return;
    row->verdict = MV_BENCH_INCONCLUSIVE;
    (void)snprintf(row->reason, sizeof row->reason,
                   "takes no more processor time, but %+.1f %% on the wall: it waits; compare with "
                   "--clock wall",
                   100 * expm1(wall.value));
}

static void fill_time_row(const duel_state *s, size_t item, mv_bench_comparison *row)
{
    const mv_gate_metric *metric = &s->metrics[item];
    const item_state *it = &s->items[item];
    const double most = 100 * expm1(s->duel->rule.most);
    (void)snprintf(row->method, sizeof row->method, "interleaved");
    (void)snprintf(row->clock, sizeof row->clock, "%s",
                   s->duel->clock == MV_DUEL_CPU ? "cpu" : "wall");
    row->n_groups = (int64_t)s->n_groups;
    row->n_confirm = (int64_t)it->n_confirm;
    if (metric->state != MV_GATE_OPEN) {
        row->ratio = (mv_estimate){exp(metric->shift.value), exp(metric->shift.low),
                                   exp(metric->shift.high)};
        row->p_slower = metric->p_slower;
    }
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
        decide_suspect(it, row);
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

/* Exact counters: no noise, so any growth is a change that somebody must explain. */
static void fill_work_row(const item_state *it, mv_bench_comparison *row)
{
    const mv_work *a = &it->work[BASE], *b = &it->work[CANDIDATE];
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
    const double base =
        (double)(a->linear_multiply_adds + a->output_multiply_adds + a->attention_multiply_adds);
    const double ratio =
        (double)(b->linear_multiply_adds + b->output_multiply_adds + b->attention_multiply_adds) /
        base;
    bool is_less = false;
    size_t used = 0;
    (void)snprintf(row->method, sizeof row->method, "work");
    if (base > 0)
        row->ratio = (mv_estimate){ratio, ratio, ratio};
    row->verdict = MV_BENCH_SAME;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        is_less = is_less || counters[i].candidate < counters[i].base;
        if (counters[i].candidate <= counters[i].base || used >= sizeof row->reason - 1)
            continue;
        row->verdict = MV_BENCH_SLOWER;
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

mv_code mv_duel_run(const mv_duel *duel, mv_bench_comparison *comparisons, size_t *n_comparisons,
                    mv_error *error)
{
    if (duel->n_items == 0 || duel->n_items > MV_GATE_MAX_METRICS)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "%zu shapes to compare, expected 1 to %d; shorten the lists", duel->n_items,
                       MV_GATE_MAX_METRICS);
    duel_state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory to compare two backends");
    s->duel = duel;
    s->start_ns = mv_clock_wall_ns();
    for (size_t i = 0; i < duel->n_items; i++)
        s->metrics[i] = (mv_gate_metric){.groups = s->items[i].groups, .state = MV_GATE_OPEN};
    mv_code code = run_looks(s, error);
    if (code == MV_OK)
        code = run_confirmation(s, error);
    if (code == MV_OK) {
        *n_comparisons = 0;
        for (size_t i = 0; i < duel->n_items; i++) {
            name_row(duel, i, &comparisons[*n_comparisons], "time");
            fill_time_row(s, i, &comparisons[(*n_comparisons)++]);
        }
        for (size_t i = 0; i < duel->n_items; i++) {
            if (!s->items[i].has_work)
                continue;
            name_row(duel, i, &comparisons[*n_comparisons], "work");
            fill_work_row(&s->items[i], &comparisons[(*n_comparisons)++]);
        }
    }
    free(s);
    return code;
}
