/* mistral_bench.c - time prefill and decode: options, wiring, exit code. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/baseline.h"
#include "harness/bench.h"
#include "harness/bench_doubts.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/probe.h"
#include "harness/synthetic.h"
#include "tools/bench_follow.h"
#include "tools/bench_options.h"
#include "tools/engine_guard.h"
#include "tools/version.h"

#define own mv_bench_given

/* ---- one backend over the plan ---- */

enum { MAX_CEILINGS = 16 };

typedef struct session {
    const mv_cli *cli;
    mv_bench_plan plan;
    mv_ceilings ceilings[MAX_CEILINGS]; /* one for each number of threads */
    size_t n_ceilings;
    mv_bench bench;
    mv_bench_results results;
    size_t n_items, n_done; /* over all backends */
    size_t order[MV_BENCH_MAX_ITEMS];
    mv_bench_results old; /* --baseline */
    int64_t start_ns;
} session;

static mv_code get_ceilings(session *s, int64_t n_threads, const mv_ceilings **ceilings,
                            mv_error *error)
{
    for (size_t i = 0; i < s->n_ceilings; i++) {
        if (s->ceilings[i].threads == n_threads) {
            *ceilings = &s->ceilings[i];
            return MV_OK;
        }
    }
    mv_ceilings *made = &s->ceilings[s->n_ceilings < MAX_CEILINGS ? s->n_ceilings++ : 0];
    mv_log_progress("measuring what %lld threads could do at most", (long long)n_threads);
    mv_code code = mv_probe_ceilings(made, n_threads, error);
    if (code == MV_OK && n_threads >= s->results.ceilings.threads)
        s->results.ceilings = *made;
    *ceilings = made;
    return code;
}

static void show_pass(void *cookie, mv_bench_phase phase, size_t n_passes, double share_done)
{
    const session *s = cookie;
    const double elapsed_s = (double)(mv_clock_wall_ns() - s->start_ns) * 1e-9;
    const double done = (double)s->n_done + fmin(share_done, 1);
    if (s->cli->quiet != 0 || !isatty(STDERR_FILENO) || !(done > 0))
        return;
    mv_log_progress("%zu/%zu %s, pass %zu, at most %.0f s left", s->n_done + 1, s->n_items,
                    mv_bench_phase_name(phase), n_passes,
                    elapsed_s / done * ((double)s->n_items - done));
}

/* What is measured last is not always the slowest machine's: one order for each backend. */
static void draw_order(session *s)
{
    const uint64_t chance = (uint64_t)mv_clock_wall_ns();
    for (size_t i = 0; i < s->plan.n_items; i++)
        s->order[i] = i;
    for (size_t i = s->plan.n_items - 1; i > 0 && strcmp(own.order, "random") == 0; i--) {
        const size_t j = mv_synthetic_bits(chance, 0x6f726465u, i) % (i + 1), kept = s->order[i];
        s->order[i] = s->order[j];
        s->order[j] = kept;
    }
}

static mv_code run_backend(session *s, const char *name, mv_error *error)
{
    char path[4096], build_id[96];
    mv_guard_set_place("the loading of backend %.120s", name);
    mv_code code = mv_backend_load(&s->bench.subject.backend, name, path, sizeof path, error);
    if (code != MV_OK)
        return code;
    if (!mv_backend_has_compute(s->bench.subject.backend, s->bench.subject.compute))
        return mv_fail(error, MV_ERR_UNAVAILABLE, "backend %s has no compute type %s", name,
                       mv_compute_name(s->bench.subject.compute));
    mv_bench_build_id(build_id, sizeof build_id, s->bench.subject.backend, path);
    if (own.profile != 0 && s->bench.subject.backend->set_tap == NULL)
        mv_log(MV_LOG_WARN, "backend %s has no taps: no time by op", name);
    s->bench.backend_name = name;
    s->bench.build_id = build_id;
    mv_bench_run *rows = calloc(s->plan.n_items, sizeof *rows); /* in the order of the plan */
    if (rows == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu rows", s->plan.n_items);
    draw_order(s);
    size_t n_measured = 0;
    for (; n_measured < s->plan.n_items && code == MV_OK; n_measured++, s->n_done++) {
        const size_t place = s->order[n_measured];
        const mv_bench_item *item = &s->plan.items[place];
        code = get_ceilings(s, item->shape.threads, &s->bench.ceilings, error);
        show_pass(s, item->phase, 0, 0.01);
        mv_guard_set_place("%s of backend %.120s", mv_bench_phase_name(item->phase), name);
        if (code == MV_OK)
            code = mv_bench_measure(&s->bench, item->phase, &item->shape, &rows[place], error);
    }
    const size_t first = s->results.n_runs;
    for (size_t i = 0; i < s->plan.n_items; i++) {
        if (code == MV_OK)
            code = mv_bench_results_add(&s->results, &rows[i], error);
        else /* those that were measured; the others hold nothing */
            free(rows[i].samples_ns), free(rows[i].chunk_ns);
    }
    free(rows);
    if (first < s->results.n_runs)
        mv_doubts_read_memory(s->results.runs + first, s->results.n_runs - first,
                              s->bench.ceilings);
    mv_log_progress("%s", "");
    return code;
}

/* ---- the model ---- */

static bool is_slow(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "reference") == 0)
            return true;
    return false;
}

/* With no --backend: the fastest that everybody can have. */
static const char *default_backend(void)
{
    const mv_backend *table;
    return mv_backend_load(&table, "blas", NULL, 0, NULL) == MV_OK ? "blas" : "reference";
}

static mv_code open_model(session *s, mv_model **model, bool slow, mv_error *error)
{
    static mv_bench_defaults defaults; /* the lists point into it */
    const mv_ceilings *ceilings = NULL;
    const char *spec = s->cli->model;
    mv_bench_default_model(&defaults, slow);
    if (own.vs.candidate != NULL)
        mv_bench_vs_defaults(&defaults);
    if (spec == NULL)
        spec = defaults.model;
    mv_code code = mv_model_open(model, spec, error);
    if (code == MV_OK && own.vs.candidate == NULL)
        code = get_ceilings(s, mv_machine_n_cores(), &ceilings, error);
    if (code != MV_OK)
        return code;
    const mv_model_view *view = mv_model_get_view(*model);
    if (own.vs.candidate == NULL)
        mv_bench_default_lengths(&defaults, &view->params, mv_model_size_bytes(view), ceilings,
                                 slow);
    else if (own.lists.threads == NULL)
        own.lists.threads = "1"; /* the quietest comparison: processor time of one thread */
    if (own.lists.prompt == NULL)
        own.lists.prompt = defaults.prompt;
    if (own.lists.generate == NULL)
        own.lists.generate = defaults.generate;
    if (s->cli->model == NULL)
        mv_log(MV_LOG_WARN, "no model given: %s (%s), prompt %s, generate %s", spec,
               own.vs.candidate == NULL
                   ? "of the 32 layers of 7B, what fits the memory and a minute"
                   : "the ratios of 7B, small enough for a quick comparison",
               own.lists.prompt, own.lists.generate);
    s->bench.subject.model = view;
    s->results.params = view->params;
    s->results.model_bytes = (int64_t)mv_model_size_bytes(view);
    (void)snprintf(s->results.model_spec, sizeof s->results.model_spec, "%s", spec);
    return MV_OK;
}

static mv_exit exit_of(const mv_bench_results *results)
{
    for (size_t i = 0; i < results->n_runs; i++)
        if (!results->runs[i].checked)
            return MV_EXIT_FAILED;
    for (size_t i = 0; i < results->n_runs && own.strict != 0; i++)
        if (mv_bench_run_has_warning(&results->runs[i], "unexplained_work"))
            return MV_EXIT_FAILED;
    for (size_t i = 0; i < results->n_comparisons; i++)
        if (mv_bench_vs_fails(&own.vs, &results->comparisons[i]))
            return MV_EXIT_FAILED;
    size_t n_measured = 0;
    for (size_t i = 0; i < results->n_claims; i++) {
        if (results->claims[i].was_measured && !results->claims[i].holds)
            return MV_EXIT_FAILED;
        n_measured += results->claims[i].was_measured ? 1 : 0;
    }
    return results->n_runs + results->n_comparisons + n_measured > 0 ? MV_EXIT_OK : MV_EXIT_VACUOUS;
}

static mv_code bench_all(session *s, mv_model **model, mv_error *error)
{
    const mv_cli *cli = s->cli;
    const char *fallback[1] = {NULL};
    const char *const *names = cli->n_backends > 0 ? cli->backends : fallback;
    const size_t n = cli->n_backends > 0 ? cli->n_backends : 1;
    mv_code code = mv_compute_parse(&s->bench.subject.compute, own.compute, error);
    if (code == MV_OK)
        code = mv_backend_load(&s->bench.reference, "reference", NULL, 0, error);
    if (code != MV_OK)
        return code;
    own.vs.strict = own.strict != 0;
    own.vs.shows_progress = cli->quiet == 0 && isatty(STDERR_FILENO);
    own.vs.max_time_s = 20 * own.max_time_s;
    if (own.vs.candidate != NULL && n != 1)
        return mv_fail(error, MV_ERR_ARGUMENT, "--vs compares with one --backend, found %zu", n);
    if (cli->n_backends == 0) {
        /* Before a comparison, no plugin is loaded here: see duel.h. */
        fallback[0] = own.vs.candidate != NULL ? "reference" : default_backend();
        mv_log(MV_LOG_WARN, "no backend given: %s", fallback[0]);
    }
    mv_guard_set_place("the measuring of the claims on backend %.120s", names[0]);
    if (own.claims != 0)
        return n == 1 ? mv_bench_run_claims(cli, names[0], s->bench.subject.compute, &s->results,
                                            error)
                      : mv_fail(error, MV_ERR_ARGUMENT,
                                "--claims measures one --backend, found %zu", n);
    if (own.record != NULL)
        code = mv_bench_record(own.record, NULL, names[0], own.vs.candidate, error);
    /* One that cannot run here says so before a model is made for it. */
    const mv_backend *tried;
    mv_guard_set_place("the loading of backend %.120s", names[0]);
    if (code == MV_OK && own.vs.candidate == NULL && n == 1)
        code = mv_backend_load(&tried, names[0], NULL, 0, error);
    if (code == MV_OK)
        code = open_model(s, model, is_slow(names, n), error);
    if (code == MV_OK)
        code = mv_bench_plan_make(&s->plan, &own.lists, &s->results.params, error);
    s->n_items = s->plan.n_items * n;
    own.vs.base = names[0];
    if (code == MV_OK && own.vs.candidate != NULL)
        return mv_bench_vs_run(&own.vs, &s->bench, &s->plan, &s->results, error);
    if (code == MV_OK && own.baseline != NULL)
        code = mv_bench_baseline_open(&s->old, own.baseline, &s->results, &s->bench, &s->plan,
                                      names, n, error);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        code = run_backend(s, names[i], error);
    if (code == MV_OK && own.baseline != NULL)
        code = mv_baseline_compare(&s->results, &s->old, own.baseline,
                                   isnan(own.vs.gate_percent) ? 10 : own.vs.gate_percent, error);
    if (code == MV_OK && (cli->n_outputs > 0 || cli->format != NULL))
        code = mv_model_hash(*model, s->results.weights_sha256, error);
    return code;
}

int main(int argc, const char **argv)
{
    static session s; /* the plan is large */
    mv_cli cli;
    mv_error error = {0};
    mv_model *model = NULL;
    mv_cli_read(&cli, argc, argv, "mistral-bench", mv_bench_rows, mv_bench_help);
    mv_guard_start("mistral-bench");
    mv_guard_hide_stdout();
    s.cli = &cli;
    s.start_ns = mv_clock_wall_ns();
    s.bench = (mv_bench){
        .subject = {.options = cli.options, .n_options = cli.n_options, .seed = cli.seed},
        .min_time_s = own.min_time_s,
        .max_time_s = own.max_time_s,
        .precision = own.precision_percent / 100,
        .min_warmup = own.warmup,
        .no_check = own.no_check != 0,
        .profile = own.profile != 0,
        .on_pass = show_pass,
        .cookie = &s,
    };
    mv_bench_results_init(&s.results);
    mv_bench_results_init(&s.old);
    mv_environment_collect(&s.results.environment);
    mv_environment_set(&s.results.environment, "order", own.order);
    (void)snprintf(s.results.tool_version, sizeof s.results.tool_version, "%s", MV_VERSION);
    (void)snprintf(s.results.tool_commit, sizeof s.results.tool_commit, "%s", MV_COMMIT);

    mv_code code = mv_cli_check_bench_outputs(&cli, &error);
    if (code == MV_OK)
        code = mv_bench_options_check(&cli, &error);
    if (code == MV_OK)
        code = bench_all(&s, &model, &error);
    s.results.elapsed_ns = mv_clock_wall_ns() - s.start_ns;
    if (code == MV_OK)
        code = mv_cli_write_bench(&cli, &s.results, &error);
    if (code == MV_OK && own.record != NULL)
        code = mv_bench_record(own.record, &s.results, own.vs.base, own.vs.candidate, &error);
    mv_exit exit_code = code != MV_OK ? mv_cli_fail(&error) : exit_of(&s.results);
    mv_bench_free(&s.bench);
    mv_bench_results_free(&s.results);
    mv_bench_results_free(&s.old);
    mv_model_close(&model);
    mv_guard_stop();
    return (int)exit_code;
}
