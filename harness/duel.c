/* duel.c - groups, rounds and verdicts. The arithmetic of the verdicts is gate.c's. */
#include "harness/duel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/duel_child.h"
#include "harness/duel_state.h"
#include "harness/synthetic.h"

enum { N_ROUNDS = 4 };

#define LEAST_TIMED_NS 1e6 /* a request is as many passes as this takes */
#define MAX_PASSES 1000

/* ---- chance ---- */

static uint64_t draw(mv_duel_state *s)
{
    return mv_synthetic_bits(s->duel->seed, 0x6475656cu, s->n_drawn++);
}

static void shuffle(mv_duel_state *s, int *order, int n)
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
static void draw_cores(mv_duel_state *s, cpu_set_t *cores)
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
static mv_code time_arm(mv_duel_state *s, const mv_duel_child *child, size_t item, const char *name,
                        double *decides, double *wall, mv_error *error)
{
    mv_duel_metric *it = &s->items[item];
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

static mv_code start_arms(mv_duel_state *s, mv_duel_child *children, int n_arms,
                          const char *const *names, mv_error *error)
{
    mv_duel_reply *reply = malloc(sizeof *reply);
    int order[MV_DUEL_MAX_ARMS];
    cpu_set_t cores;
    mv_code code = reply != NULL ? MV_OK : mv_fail(error, MV_ERR_MEMORY, "no memory for a reply");
    draw_cores(s, &cores);
    shuffle(s, order, n_arms);
    for (int i = 0; i < n_arms && code == MV_OK; i++)
        code = mv_duel_child_start(&children[order[i]], s->duel,
                                   s->paths[order[i] == MV_DUEL_CANDIDATE], &cores, draw(s), error);
    char engine[sizeof reply->engine] = "";
    for (int i = 0; i < n_arms && code == MV_OK; i++) {
        code = mv_duel_child_hear(&children[i], reply, names[i], error);
        if (i == MV_DUEL_BASE)
            memcpy(engine, reply->engine, sizeof engine);
        for (size_t m = 0; m < s->duel->n_items && code == MV_OK && i <= MV_DUEL_CANDIDATE; m++) {
            s->items[m].work[i] = reply->work[m];
            s->items[m].has_work = (i == MV_DUEL_BASE || s->items[m].has_work) && reply->has_work &&
                                   memcmp(engine, reply->engine, sizeof engine) == 0;
        }
    }
    free(reply);
    return code;
}

/* log(arm / base) of each round, by both clocks. */
typedef struct rounds {
    double decides[MV_DUEL_MAX_ARMS][N_ROUNDS], wall[MV_DUEL_MAX_ARMS][N_ROUNDS];
} rounds;

static mv_code run_rounds(mv_duel_state *s, const mv_duel_child *children, int n_arms,
                          const char *const *names, size_t item, rounds *r, mv_error *error)
{
    mv_code code = MV_OK;
    for (int round = -1; round < N_ROUNDS && code == MV_OK; round++) { /* the first is discarded */
        double decides[MV_DUEL_MAX_ARMS], wall[MV_DUEL_MAX_ARMS];
        int order[MV_DUEL_MAX_ARMS];
        shuffle(s, order, n_arms);
        for (int i = 0; i < n_arms && code == MV_OK; i++)
            code = time_arm(s, &children[order[i]], item, names[order[i]], &decides[order[i]],
                            &wall[order[i]], error);
        for (int i = 1; i < n_arms && code == MV_OK && round >= 0; i++) {
            r->decides[i][round] = log(decides[i] / decides[MV_DUEL_BASE]);
            r->wall[i][round] = log(wall[i] / wall[MV_DUEL_BASE]);
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

static bool is_wanted(const mv_duel_state *s, size_t item, bool confirming)
{
    return s->metrics[item].state == (confirming ? MV_GATE_SUSPECT : MV_GATE_OPEN);
}

static mv_code run_group(mv_duel_state *s, bool confirming, mv_error *error)
{
    const char *const names[MV_DUEL_MAX_ARMS] = {s->duel->base, s->duel->candidate, s->duel->base};
    const int n_arms = confirming ? 3 : 2;
    mv_duel_child children[MV_DUEL_MAX_ARMS] = {{0, -1}, {0, -1}, {0, -1}};
    mv_code code = start_arms(s, children, n_arms, names, error);
    for (size_t i = 0; i < s->duel->n_items && code == MV_OK; i++) {
        mv_duel_metric *it = &s->items[i];
        rounds r;
        if (!is_wanted(s, i, confirming))
            continue;
        code = run_rounds(s, children, n_arms, names, i, &r, error);
        if (code == MV_OK && confirming) {
            code = median_of(&it->fresh[it->n_confirm], r.decides[MV_DUEL_CANDIDATE], error);
            if (code == MV_OK)
                code = median_of(&it->control[it->n_confirm], r.decides[MV_DUEL_CONTROL], error);
            it->n_confirm++;
        } else if (code == MV_OK) {
            code = median_of(&it->groups[s->n_groups], r.decides[MV_DUEL_CANDIDATE], error);
            if (code == MV_OK)
                code = median_of(&it->wall_groups[s->n_groups], r.wall[MV_DUEL_CANDIDATE], error);
        }
    }
    for (int i = 0; i < n_arms; i++)
        mv_duel_child_stop(&children[i]);
    return code;
}

/* ---- until decided ---- */

static bool any_in(const mv_duel_state *s, mv_gate_state state)
{
    for (size_t i = 0; i < s->duel->n_items; i++)
        if (s->metrics[i].state == state)
            return true;
    return false;
}

static bool is_late(mv_duel_state *s)
{
    const double elapsed_s = (double)(mv_clock_wall_ns() - s->start_ns) * 1e-9;
    s->out_of_time = s->out_of_time || elapsed_s > s->duel->max_time_s;
    return s->out_of_time;
}

static mv_code run_looks(mv_duel_state *s, mv_error *error)
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

static mv_code run_confirmation(mv_duel_state *s, mv_error *error)
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
        mv_duel_metric *it = &s->items[i];
        if (s->metrics[i].state == MV_GATE_SUSPECT && it->n_confirm == MV_GATE_CONFIRM_GROUPS)
            code = mv_gate_confirm(&it->confirmed, &it->confirm_shift, it->fresh, it->control,
                                   it->n_confirm, &s->duel->rule, error);
    }
    return code;
}

mv_code mv_duel_run(const mv_duel *duel, mv_bench_comparison *comparisons, size_t *n_comparisons,
                    mv_error *error)
{
    if (duel->n_items == 0 || duel->n_items > MV_GATE_MAX_METRICS)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "%zu shapes to compare, expected 1 to %d; shorten the lists", duel->n_items,
                       MV_GATE_MAX_METRICS);
    mv_duel_state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory to compare two backends");
    s->duel = duel;
    s->start_ns = mv_clock_wall_ns();
    for (size_t i = 0; i < duel->n_items; i++)
        s->metrics[i] = (mv_gate_metric){.groups = s->items[i].groups, .state = MV_GATE_OPEN};
    mv_code code = mv_duel_find_arms(s, error);
    if (code == MV_OK)
        code = run_looks(s, error);
    if (code == MV_OK)
        code = run_confirmation(s, error);
    if (code == MV_OK) {
        *n_comparisons = 0;
        for (size_t i = 0; i < duel->n_items; i++)
            mv_duel_time_row(s, i, &comparisons[(*n_comparisons)++]);
        for (size_t i = 0; i < duel->n_items; i++)
            if (s->items[i].has_work)
                mv_duel_work_row(s, i, &comparisons[(*n_comparisons)++]);
    }
    mv_duel_leave_arms(s);
    free(s);
    return code;
}
