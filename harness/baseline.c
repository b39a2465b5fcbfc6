#include "harness/baseline.h"

#include <math.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/synthetic.h"
#include "harness/work.h"

/* ---- what must be the same in both files ---- */

/* Of a machine and a build: those that change times by themselves. */
static const char *const machine_keys[] = {
    "cpu_model",   "isa",        "cores",    "threads_online", "memory_bytes",
    "cgroup_cpus", "hypervisor", "governor", "build_type",     "sanitizers",
};

static mv_code differ(const char *path, const char *field, const char *old, const char *now,
                      mv_error *error)
{
    return mv_fail(error, MV_ERR_FORMAT,
                   "%.200s: %s differs: '%.100s' there, '%.100s' here; times of the two cannot be "
                   "compared",
                   path, field, old != NULL ? old : "(not known)",
                   now != NULL ? now : "(not known)");
}

static mv_code check_number(const char *path, const char *field, double old, double now,
                            mv_error *error)
{
    char texts[2][32];
    (void)snprintf(texts[0], sizeof texts[0], "%.12g", old);
    (void)snprintf(texts[1], sizeof texts[1], "%.12g", now);
    return old == now ? MV_OK : differ(path, field, texts[0], texts[1], error);
}

static mv_code check_params(const mv_params *old, const char *path, const mv_params *now,
                            mv_error *error)
{
    const struct {
        const char *name;
        double old, now;
    } fields[] = {
        {"dim", old->dim, now->dim},
        {"n_layers", old->n_layers, now->n_layers},
        {"head_dim", old->head_dim, now->head_dim},
        {"hidden_dim", old->hidden_dim, now->hidden_dim},
        {"n_heads", old->n_heads, now->n_heads},
        {"n_kv_heads", old->n_kv_heads, now->n_kv_heads},
        {"vocab_size", old->vocab_size, now->vocab_size},
        {"sliding_window", old->sliding_window, now->sliding_window},
    };
    mv_code code = MV_OK;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && code == MV_OK; i++)
        code = check_number(path, fields[i].name, fields[i].old, fields[i].now, error);
    return code;
}

mv_code mv_baseline_check(const mv_bench_results *old, const char *path,
                          const mv_bench_results *now, mv_error *error)
{
    if (old->n_runs == 0)
        return mv_fail(
            error, MV_ERR_FORMAT,
            "%s: expected rows of times, found none; make it with mistral-bench --output", path);
    mv_code code = check_params(&old->params, path, &now->params, error);
    /* The folder of a checkpoint may have moved; a made-up model is its spec. */
    if (code == MV_OK &&
        (mv_synthetic_is_spec(old->model_spec) || mv_synthetic_is_spec(now->model_spec)) &&
        strcmp(old->model_spec, now->model_spec) != 0)
        code = differ(path, "model", old->model_spec, now->model_spec, error);
    for (size_t i = 0; i < sizeof machine_keys / sizeof *machine_keys && code == MV_OK; i++) {
        const char *a = mv_environment_get(&old->environment, machine_keys[i]);
        const char *b = mv_environment_get(&now->environment, machine_keys[i]);
        if ((a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0))
            code = differ(path, machine_keys[i], a, b, error);
    }
    return code;
}

/* ---- rows ---- */

static bool has_one_backend(const mv_bench_results *results)
{
    for (size_t i = 1; i < results->n_runs; i++)
        if (strcmp(results->runs[i].backend, results->runs[0].backend) != 0)
            return false;
    return true;
}

/* How many of the fields agree, in this order, before the first that does not; its name and values.
 * NULL: all agree. */
static const char *first_difference(const mv_bench_run *old, const mv_bench_run *wanted,
                                    bool by_name, size_t *n_equal, char values[2][128])
{
    const mv_bench_shape *a = &old->shape, *b = &wanted->shape;
    const struct {
        const char *name;
        uint64_t old, wanted;
    } fields[] = {
        {"prompt", (uint64_t)a->prompt, (uint64_t)b->prompt},
        {"generate", (uint64_t)a->generate, (uint64_t)b->generate},
        {"depth", (uint64_t)a->depth, (uint64_t)b->depth},
        {"chunk", (uint64_t)a->chunk, (uint64_t)b->chunk},
        {"window", (uint64_t)a->window, (uint64_t)b->window},
        {"batch", (uint64_t)a->batch, (uint64_t)b->batch},
        {"threads", (uint64_t)a->threads, (uint64_t)b->threads},
        {"seed", old->seed, wanted->seed},
    };
    *n_equal = 0;
    (void)snprintf(values[0], sizeof values[0], "%s", old->backend);
    (void)snprintf(values[1], sizeof values[1], "%s", wanted->backend);
    if (by_name && strcmp(old->backend, wanted->backend) != 0)
        return "backend";
    (void)snprintf(values[0], sizeof values[0], "%s", mv_bench_phase_name(old->phase));
    (void)snprintf(values[1], sizeof values[1], "%s", mv_bench_phase_name(wanted->phase));
    *n_equal = 1;
    if (old->phase != wanted->phase)
        return "phase";
    (void)snprintf(values[0], sizeof values[0], "%s", mv_compute_name(old->compute));
    (void)snprintf(values[1], sizeof values[1], "%s", mv_compute_name(wanted->compute));
    *n_equal = 2;
    if (old->compute != wanted->compute)
        return "compute";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        *n_equal = 3 + i;
        (void)snprintf(values[0], sizeof values[0], "%llu", (unsigned long long)fields[i].old);
        (void)snprintf(values[1], sizeof values[1], "%llu", (unsigned long long)fields[i].wanted);
        if (fields[i].old != fields[i].wanted)
            return fields[i].name;
    }
    return NULL;
}

mv_code mv_baseline_find(const mv_bench_run **row, const mv_bench_results *old, const char *path,
                         const mv_bench_run *wanted, mv_error *error)
{
    const bool by_name = !has_one_backend(old);
    const char *field = "runs";
    char values[2][128] = {"no row", ""};
    size_t most_equal = 0;
    for (size_t i = 0; i < old->n_runs; i++) {
        char these[2][128];
        size_t n_equal;
        const char *other = first_difference(&old->runs[i], wanted, by_name, &n_equal, these);
        if (other == NULL && !(old->runs[i].checked && old->runs[i].tokens_per_s.value > 0))
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: runs[%zu]: expected times of checked logits, found a row that was "
                           "not checked: nothing to compare with",
                           path, i);
        if (other == NULL) {
            *row = &old->runs[i];
            return MV_OK;
        }
        if (i == 0 || n_equal > most_equal) {
            field = other;
            most_equal = n_equal;
            memcpy(values, these, sizeof values);
        }
    }
    return differ(path, field, values[0], values[1], error);
}

/* ---- verdicts ---- */

static void name_row(mv_bench_comparison *row, const mv_bench_run *now, const mv_bench_run *old,
                     const char *what)
{
    const mv_bench_shape *p = &now->shape;
    memset(row, 0, sizeof *row);
    (void)snprintf(row->key, sizeof row->key,
                   "%s prompt=%lld generate=%lld depth=%lld chunk=%lld window=%lld batch=%lld "
                   "threads=%lld %s",
                   mv_bench_phase_name(now->phase), (long long)p->prompt, (long long)p->generate,
                   (long long)p->depth, (long long)p->chunk, (long long)p->window,
                   (long long)p->batch, (long long)p->threads, what);
    (void)snprintf(row->base, sizeof row->base, "%.95s", old->backend);
    (void)snprintf(row->candidate, sizeof row->candidate, "%.95s", now->backend);
    row->ratio = (mv_estimate){NAN, NAN, NAN};
    row->p_slower = row->gate_percent = NAN;
    row->n_groups = row->n_confirm = -1;
}

/* What makes a row of another day incomparable, whatever its interval says. */
static const char *find_disturbance(const mv_bench_run *run)
{
    static const char *const codes[] = {"foreign_load", "steal", "memory_mode", "not_steady"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (mv_bench_run_has_warning(run, codes[i]))
            return codes[i];
    return NULL;
}

static void compare_times(mv_bench_comparison *row, const mv_bench_run *now,
                          const mv_bench_run *old, double percent)
{
    static const char weaker[] = "against another day's file, which is weaker than --vs";
    const double most = 1 + percent / 100;
    const mv_estimate *a = &old->tokens_per_s, *b = &now->tokens_per_s;
    (void)snprintf(row->method, sizeof row->method, "baseline");
    (void)snprintf(row->clock, sizeof row->clock, "wall");
    row->gate_percent = percent;
    /* A row of too few samples has no interval: any rate from 0 up. */
    row->ratio = (mv_estimate){a->value / b->value, a->low > 0 ? a->low / b->high : 0,
                               b->low > 0 ? a->high / b->low : INFINITY};
    row->verdict = row->ratio.low > most        ? MV_BENCH_SLOWER
                   : row->ratio.high < 1 / most ? MV_BENCH_FASTER
                   : row->ratio.high < most     ? MV_BENCH_SAME
                                                : MV_BENCH_INCONCLUSIVE;
    const char *now_disturbed = find_disturbance(now), *old_disturbed = find_disturbance(old);
    if (row->verdict == MV_BENCH_SLOWER && (now_disturbed != NULL || old_disturbed != NULL)) {
        row->verdict = MV_BENCH_INCONCLUSIVE;
        (void)snprintf(row->reason, sizeof row->reason,
                       "looks slower, but the machine was disturbed %s (%s); compare builds with "
                       "--vs",
                       now_disturbed != NULL ? "now" : "then",
                       now_disturbed != NULL ? now_disturbed : old_disturbed);
        return;
    }
    switch (row->verdict) {
    case MV_BENCH_SLOWER:
        (void)snprintf(row->reason, sizeof row->reason, "more than %.1f %% slower, %s", percent,
                       weaker);
        break;
    case MV_BENCH_FASTER:
        (void)snprintf(row->reason, sizeof row->reason, "more than %.1f %% faster, %s", percent,
                       weaker);
        break;
    case MV_BENCH_SAME:
        (void)snprintf(row->reason, sizeof row->reason, "less than %.1f %% slower, %s", percent,
                       weaker);
        break;
    case MV_BENCH_INCONCLUSIVE:
        (void)snprintf(row->reason, sizeof row->reason,
                       "the intervals of the two days leave %.1f %% open; compare builds with --vs",
                       percent);
        break;
    }
}

mv_code mv_baseline_compare(mv_bench_results *now, const mv_bench_results *old, const char *path,
                            double percent, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < now->n_runs && code == MV_OK; i++) {
        const mv_bench_run *run = &now->runs[i], *row = NULL;
        mv_bench_comparison one;
        code = mv_baseline_find(&row, old, path, run, error);
        if (code != MV_OK || !run->checked)
            continue;
        name_row(&one, run, row, "time");
        compare_times(&one, run, row, percent);
        code = mv_bench_results_add_comparison(now, &one, error);
        /* Two engines count alike only where they do the same. */
        const bool one_engine =
            strcmp(run->backend, row->backend) == 0 ||
            (strchr(run->backend, '/') != NULL && strchr(row->backend, '/') != NULL);
        if (code == MV_OK && run->has_work && row->has_work && one_engine) {
            name_row(&one, run, row, "work");
            mv_work_compare(&one, &row->work, &run->work);
            code = mv_bench_results_add_comparison(now, &one, error);
        }
    }
    return code;
}
