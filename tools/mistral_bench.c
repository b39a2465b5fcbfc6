/* mistral_bench.c - time prefill and decode: options, wiring, exit code. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/bench.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/probe.h"
#include "tools/bench_plan.h"
#include "tools/bench_vs.h"
#include "tools/cli.h"
#include "tools/version.h"

static struct own_options {
    mv_bench_lists lists;
    const char *compute;
    double min_time_s, max_time_s, precision_percent;
    int warmup, no_check;
    mv_bench_vs vs;
    int strict;
} own = {.compute = "f32",
         .min_time_s = 0.5,
         .max_time_s = 10,
         .precision_percent = 1,
         .warmup = 1,
         .vs = {.gate_percent = NAN, .clock = "auto"}};

static const struct poptOption own_rows[] = {
    {"prompt", 'p', POPT_ARG_STRING, &own.lists.prompt, 0, "prompt lengths to prefill; 0 is none",
     "LIST"},
    {"generate", 'n', POPT_ARG_STRING, &own.lists.generate, 0,
     "tokens to decode one by one; 0 is none", "LIST"},
    {"depth", 'd', POPT_ARG_STRING, &own.lists.depth, 0, "tokens in the cache before (default: 0)",
     "LIST"},
    {"chunk", 'c', POPT_ARG_STRING, &own.lists.chunk, 0, "tokens of a call; 0 is the whole prompt",
     "LIST"},
    {"window", 'w', POPT_ARG_STRING, &own.lists.window, 0,
     "windows; 0 is none (default: the model's)", "LIST"},
    {"batch", 0, POPT_ARG_STRING, &own.lists.batch, 0, "sequences at once (default: 1)", "LIST"},
    {"threads", 't', POPT_ARG_STRING, &own.lists.threads, 0,
     "threads of the engine (default: all cores)", "LIST"},
    {"compute", 0, POPT_ARG_STRING, &own.compute, 0, "arithmetic (default: f32)", "f64|f32|bf16"},
    {"min-time", 0, POPT_ARG_DOUBLE, &own.min_time_s, 0, "sample for at least this (default: 0.5)",
     "S"},
    {"max-time", 0, POPT_ARG_DOUBLE, &own.max_time_s, 0, "and at most this, a row (default: 10)",
     "S"},
    {"precision", 0, POPT_ARG_DOUBLE, &own.precision_percent, 0,
     "stop when the median is known to +- this (default: 1)", "PERCENT"},
    {"warmup", 0, POPT_ARG_INT, &own.warmup, 0, "passes before the first sample, at least", "N"},
    {"no-check", 0, POPT_ARG_NONE, &own.no_check, 0, "time what was not checked; exit code 1",
     NULL},
    {"vs", 0, POPT_ARG_STRING, &own.vs.candidate, 0,
     "compare --backend with this build, interleaved", "NAME|PATH.so"},
    {"gate", 0, POPT_ARG_DOUBLE, &own.vs.gate_percent, 0,
     "how much slower is caught for certain (default: 4)", "PERCENT"},
    {"clock", 0, POPT_ARG_STRING, &own.vs.clock, 0,
     "auto is processor time for one thread, else the wall", "auto|cpu|wall"},
    {"strict", 0, POPT_ARG_NONE, &own.strict, 0, "inconclusive fails", NULL},
    POPT_TABLEEND};

static const char help_end[] =
    "[MODEL]\n\n"
    "Times prefill and decode after checking the logits, against what the hardware allows.\n"
    "  mistral-bench --prompt 512 --generate 32 --chunk 64..512*2 --backend reference,blas\n"
    "  mistral-bench synthetic:probe --window 0,W --depth 0,4W --format json --output r.json\n"
    "  mistral-bench --backend ./base.so --vs ./head.so --gate 5";

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

static mv_code run_backend(session *s, const char *name, mv_error *error)
{
    char path[4096], build_id[96];
    mv_code code = mv_backend_load(&s->bench.subject.backend, name, path, sizeof path, error);
    if (code != MV_OK)
        return code;
    if (!mv_backend_has_compute(s->bench.subject.backend, s->bench.subject.compute))
        return mv_fail(error, MV_ERR_UNAVAILABLE, "backend %s has no compute type %s", name,
                       mv_compute_name(s->bench.subject.compute));
    mv_bench_build_id(build_id, sizeof build_id, s->bench.subject.backend, path);
    s->bench.backend_name = name;
    s->bench.build_id = build_id;
    for (size_t i = 0; i < s->plan.n_items && code == MV_OK; i++, s->n_done++) {
        const mv_bench_item *item = &s->plan.items[i];
        mv_bench_run run;
        code = get_ceilings(s, item->shape.threads, &s->bench.ceilings, error);
        show_pass(s, item->phase, 0, 0.01);
        if (code == MV_OK)
            code = mv_bench_measure(&s->bench, item->phase, &item->shape, &run, error);
        if (code == MV_OK)
            code = mv_bench_results_add(&s->results, &run, error);
    }
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

static mv_code check_own(mv_error *error)
{
    if (!(own.min_time_s >= 0) || !(own.max_time_s > 0) || !(own.max_time_s >= own.min_time_s))
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--min-time %g, --max-time %g: expected 0 <= min <= max", own.min_time_s,
                       own.max_time_s);
    if (!(own.precision_percent > 0) || own.warmup < 0 || own.warmup > 20)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--precision %g, --warmup %d: expected above 0, and 0 to 20",
                       own.precision_percent, own.warmup);
    return mv_bench_vs_check(&own.vs, error);
}

static mv_exit exit_of(const mv_bench_results *results)
{
    for (size_t i = 0; i < results->n_runs; i++)
        if (!results->runs[i].checked)
            return MV_EXIT_FAILED;
    for (size_t i = 0; i < results->n_comparisons; i++)
        if (mv_bench_vs_fails(&own.vs, &results->comparisons[i]))
            return MV_EXIT_FAILED;
    return results->n_runs + results->n_comparisons > 0 ? MV_EXIT_OK : MV_EXIT_VACUOUS;
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
    code = open_model(s, model, is_slow(names, n), error);
    if (code == MV_OK)
        code = mv_bench_plan_make(&s->plan, &own.lists, &s->results.params, error);
    s->n_items = s->plan.n_items * n;
    own.vs.base = names[0];
    if (code == MV_OK && own.vs.candidate != NULL)
        return mv_bench_vs_run(&own.vs, &s->bench, &s->plan, &s->results, error);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        code = run_backend(s, names[i], error);
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
    mv_cli_read(&cli, argc, argv, "mistral-bench", own_rows, help_end);
    s.cli = &cli;
    s.start_ns = mv_clock_wall_ns();
    s.bench = (mv_bench){
        .subject = {.options = cli.options, .n_options = cli.n_options, .seed = cli.seed},
        .min_time_s = own.min_time_s,
        .max_time_s = own.max_time_s,
        .precision = own.precision_percent / 100,
        .min_warmup = own.warmup,
        .no_check = own.no_check != 0,
        .on_pass = show_pass,
        .cookie = &s,
    };
    mv_bench_results_init(&s.results);
    mv_environment_collect(&s.results.environment);
    (void)snprintf(s.results.tool_version, sizeof s.results.tool_version, "%s", MV_VERSION);
    (void)snprintf(s.results.tool_commit, sizeof s.results.tool_commit, "%s", MV_COMMIT);

    mv_code code = mv_cli_check_bench_outputs(&cli, &error);
    if (code == MV_OK)
        code = check_own(&error);
    if (code == MV_OK)
        code = bench_all(&s, &model, &error);
    s.results.elapsed_ns = mv_clock_wall_ns() - s.start_ns;
    if (code == MV_OK)
        code = mv_cli_write_bench(&cli, &s.results, &error);
    mv_exit exit_code = code != MV_OK ? mv_cli_fail(&error) : exit_of(&s.results);
    mv_bench_free(&s.bench);
    mv_bench_results_free(&s.results);
    mv_model_close(&model);
    return (int)exit_code;
}
