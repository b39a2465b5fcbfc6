/* mistral_verify.c - run suites of claims against backends: options, wiring, exit code. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/clock.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/nearest.h"
#include "harness/range.h"
#include "harness/tokenizer.h"
#include "suites/run.h"
#include "suites/self_test.h"
#include "tools/cli.h"
#include "tools/engine_guard.h"
#include "tools/text_tokens.h"
#include "tools/verify_list.h"
#include "tools/verify_run.h"
#include "tools/version.h"

enum { NOT_GIVEN = INT_MIN };

static struct own_options {
    const char *suites, *chunks, *windows, *text, *compute, *filter, *shard, *golden;
    const char *resume;
    int length, strict, self_test, localize, n_jobs, isolate, max_failures;
    double timeout_s;
} own = {.compute = "f32", .length = NOT_GIVEN, .timeout_s = 600, .max_failures = NOT_GIVEN};

static const struct poptOption own_rows[] = {
    {"suite", 's', POPT_ARG_STRING, &own.suites, 0, "suites to run (default: all)",
     "NAME[,NAME...]|all"},
    {"chunk", 'c', POPT_ARG_STRING, &own.chunks, 0,
     "chunk sizes to try: 1,7,W-1,64..512*2; 0 is the whole prompt", "LIST"},
    {"window", 'w', POPT_ARG_STRING, &own.windows, 0, "windows to try; 0 is none", "LIST"},
    {"length", 'n', POPT_ARG_INT, &own.length, 0, "tokens of the prompt, T", "N"},
    {"text", 0, POPT_ARG_STRING, &own.text, 0, "real text for the prompt, or @FILE", "TEXT|@FILE"},
    {"golden", 0, POPT_ARG_STRING, &own.golden, 0, "recorded logits (default: the shipped ones)",
     "FILE"},
    {"compute", 0, POPT_ARG_STRING, &own.compute, 0, "arithmetic under test (default: f32)",
     "f64|f32|bf16"},
    {"filter", 0, POPT_ARG_STRING, &own.filter, 0, "only cases whose suite/case matches", "GLOB"},
    {"shard", 0, POPT_ARG_STRING, &own.shard, 0, "only part I of N of the cases", "I/N"},
    {"self-test", 0, POPT_ARG_NONE, &own.self_test, 0, "plant bugs: does each suite see its own?",
     NULL},
    {"isolate", 0, POPT_ARG_NONE, &own.isolate, 0,
     "cases in processes of their own: a crash is a verdict", NULL},
    {"timeout", 0, POPT_ARG_DOUBLE, &own.timeout_s, 0,
     "longest time for one case with --isolate (default: 600; 0: none)", "SECONDS"},
    {"jobs", 'j', POPT_ARG_INT, &own.n_jobs, 0,
     "processes side by side, isolated (default: 1; of a self-test: all cores)", "N"},
    {"resume", 0, POPT_ARG_STRING, &own.resume, 0,
     "keep finished cases in FILE (JSON), and skip those that it has", "FILE"},
    {"localize", 0, POPT_ARG_NONE, &own.localize, 0, "name the first wrong layer and operation",
     NULL},
    {"maxfail", 0, POPT_ARG_INT, &own.max_failures, 0,
     "skip the rest after N failures (with --jobs: of each process)", "N"},
    {"strict", 0, POPT_ARG_NONE, &own.strict, 0, "little headroom fails", NULL},
    POPT_TABLEEND};

static const char help_end[] =
    "[MODEL]\n\n"
    "Runs suites of claims against backends and compares with a float64 oracle.\n"
    "  mistral-verify --suite chunking\n"
    "  mistral-verify --suite all --backend ./my_engine.so --model DIR --output r.xml --format "
    "junit";

/* ---- choosing ---- */

typedef struct choice {
    const mv_suite *suites[64];
    size_t n_suites;
} choice;

static mv_code choose_suites(choice *chosen, const char *names, mv_error *error)
{
    const char *known[64];
    char copy[1024];
    for (size_t i = 0; i < mv_n_suites; i++)
        known[i] = mv_suites[i]->name;
    if (names == NULL || strcmp(names, "all") == 0) {
        memcpy(chosen->suites, mv_suites, mv_n_suites * sizeof *chosen->suites);
        chosen->n_suites = mv_n_suites;
        return MV_OK;
    }
    (void)snprintf(copy, sizeof copy, "%s", names);
    chosen->n_suites = 0;
    for (char *name = strtok(copy, ","); name != NULL; name = strtok(NULL, ",")) {
        for (char *at = name; *at != '\0'; at++)
            *at = *at == '-' ? '_' : *at;
        const mv_suite *suite = mv_suite_find(name);
        const char *near = mv_nearest(name, known, mv_n_suites);
        if (suite == NULL)
            return mv_fail(error, MV_ERR_ARGUMENT, "--suite: no suite '%s'%s%s%s", name,
                           near != NULL ? "; did you mean " : "; see --list",
                           near != NULL ? near : "", near != NULL ? "?" : "");
        if (chosen->n_suites < 64)
            chosen->suites[chosen->n_suites++] = suite;
    }
    if (chosen->n_suites == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--suite: expected a name, found '%s'", names);
    return MV_OK;
}

static mv_code read_shard(mv_run_options *options, mv_error *error)
{
    char part_text[24];
    uint64_t part, n;
    options->n_shards = 1;
    if (own.shard == NULL)
        return MV_OK;
    const size_t size = strcspn(own.shard, "/");
    (void)snprintf(part_text, sizeof part_text, "%.*s", (int)size, own.shard);
    if (size >= sizeof part_text || own.shard[size] == '\0' ||
        !mv_range_parse_whole(&part, part_text) ||
        !mv_range_parse_whole(&n, own.shard + size + 1) || part < 1 || part > n || n > UINT32_MAX)
        return mv_fail(error, MV_ERR_ARGUMENT, "--shard: expected I/N with 1 <= I <= N, found '%s'",
                       own.shard);
    options->shard = (uint32_t)(part - 1);
    options->n_shards = (uint32_t)n;
    return MV_OK;
}

/* ---- running ---- */

static void show_mutant(void *cookie, size_t n_done, size_t n_total, const char *name)
{
    const int64_t *start_ns = cookie;
    double elapsed_s = (double)(mv_clock_wall_ns() - *start_ns) * 1e-9;
    mv_guard_set_progress(n_done, n_total, 0);
    mv_guard_set_place("the self-test, near %.60s", name);
    if (!isatty(STDERR_FILENO) || n_done == 0)
        return;
    mv_log_progress("%zu/%zu %s  about %.0f s left", n_done, n_total, name,
                    elapsed_s / (double)n_done * (double)(n_total - n_done));
}

static mv_code self_test(mv_run_options *options, const choice *chosen, mv_verify_results *results,
                         mv_error *error)
{
    int64_t start_ns = mv_clock_wall_ns();
    options->backend_name = "mutant";
    mv_code code = mv_backend_load(&options->backend, "mutant", NULL, 0, error);
    if (code == MV_OK)
        code = mv_self_test(options, chosen->suites, chosen->n_suites, results, show_mutant,
                            &start_ns, error);
    mv_log_progress("%s", "");
    return code;
}

static mv_code describe_model(const mv_model *model, mv_verify_results *results, mv_error *error)
{
    (void)snprintf(results->model_spec, sizeof results->model_spec, "%s", mv_model_get_spec(model));
    results->params = mv_model_get_view(model)->params;
    return mv_model_hash(model, results->weights_sha256, error);
}

static mv_code verify(const mv_cli *cli, mv_model *model, mv_run_options *options,
                      const choice *chosen, mv_verify_results *results, mv_error *error)
{
    const mv_verify_plan plan = {.cli = cli,
                                 .options = options,
                                 .suites = chosen->suites,
                                 .n_suites = chosen->n_suites,
                                 .isolate = own.isolate != 0 || own.n_jobs > 1,
                                 .n_jobs = own.n_jobs > 1 ? (uint32_t)own.n_jobs : 1,
                                 .timeout_s = own.timeout_s,
                                 .resume = own.resume,
                                 .max_failures =
                                     own.max_failures > 0 ? (uint32_t)own.max_failures : 0};
    if (cli->n_threads == 0 && plan.n_jobs > 1 && own.self_test == 0)
        options->n_threads = 1 + (uint32_t)(mv_machine_n_cores() - 1) / plan.n_jobs;
    mv_code code = mv_backend_load(&options->reference, "reference", NULL, 0, error);
    mv_error no_mutants;
    if (code == MV_OK && mv_backend_load(&options->mutant, "mutant", NULL, 0, &no_mutants) != MV_OK)
        options->mutant = NULL; /* the suite `condition` says so */
    mv_environment_collect(&results->environment);
    (void)snprintf(results->tool_version, sizeof results->tool_version, "%s", MV_VERSION);
    (void)snprintf(results->tool_commit, sizeof results->tool_commit, "%s", MV_COMMIT);
    const bool writes_file = cli->n_outputs > 0 || cli->format != NULL || own.resume != NULL;
    if (code == MV_OK && writes_file && cli->list == 0)
        code = describe_model(model, results, error);
    (void)snprintf(results->model_spec, sizeof results->model_spec, "%s", mv_model_get_spec(model));
    results->params = mv_model_get_view(model)->params;
    if (code == MV_OK && own.self_test != 0)
        return self_test(options, chosen, results, error);
    return code == MV_OK ? mv_verify_run(&plan, results, error) : code;
}

/* Options that make no sense, alone or together. */
static mv_code check_options(mv_error *error)
{
    if (own.length < 1 && own.length != NOT_GIVEN)
        return mv_fail(error, MV_ERR_ARGUMENT, "--length: expected at least 1, found %d",
                       own.length);
    if (own.n_jobs < 0 || own.n_jobs > 64)
        return mv_fail(error, MV_ERR_ARGUMENT, "--jobs: expected 1 to 64, found %d", own.n_jobs);
    if (!(own.timeout_s >= 0))
        return mv_fail(error, MV_ERR_ARGUMENT, "--timeout: expected seconds, 0 or more, found %g",
                       own.timeout_s);
    if (own.max_failures < 1 && own.max_failures != NOT_GIVEN)
        return mv_fail(error, MV_ERR_ARGUMENT, "--maxfail: expected at least 1, found %d",
                       own.max_failures);
    if (own.self_test != 0 && own.max_failures != NOT_GIVEN)
        return mv_fail(error, MV_ERR_ARGUMENT, "--maxfail: a self-test runs all its bugs");
    if (own.self_test != 0 && own.resume != NULL)
        return mv_fail(error, MV_ERR_ARGUMENT, "--resume: a self-test cannot be resumed");
    return MV_OK;
}

static mv_exit exit_of(const mv_verify_results *results)
{
    switch (mv_verify_results_summarise(results).verdict) {
    case MV_VERDICT_PASS:
        return MV_EXIT_OK;
    case MV_VERDICT_FAIL:
        return MV_EXIT_FAILED;
    case MV_VERDICT_ERROR:
        return MV_EXIT_BACKEND;
    case MV_VERDICT_SKIP:
        return MV_EXIT_UNAVAILABLE;
    case MV_VERDICT_VACUOUS:
        break;
    }
    return MV_EXIT_VACUOUS;
}

int main(int argc, const char **argv)
{
    const int64_t start_ns = mv_clock_wall_ns();
    mv_cli cli;
    mv_error error = {0};
    choice chosen;
    mv_model *model = NULL;
    int32_t *tokens = NULL;
    mv_verify_results results;
    mv_exit exit_code;
    mv_cli_read(&cli, argc, argv, "mistral-verify", own_rows, help_end);
    const char *spec = cli.model != NULL ? cli.model : "synthetic:probe";
    mv_run_options options = {.model_spec = spec,
                              .options = cli.options,
                              .n_options = cli.n_options,
                              .n_threads = (uint32_t)cli.n_threads,
                              .n_threads_given = (uint32_t)cli.n_threads,
                              .n_jobs = own.n_jobs > 0 ? (uint32_t)own.n_jobs : 0,
                              .windows = own.windows,
                              .chunks = own.chunks,
                              .length = own.length != NOT_GIVEN ? own.length : 0,
                              .seed = cli.seed,
                              .filter = own.filter,
                              .strict = own.strict != 0,
                              .localize = own.localize != 0};
    mv_verify_results_init(&results);
    mv_guard_start("mistral-verify");
    mv_guard_catch_interrupt(own.resume != NULL
                                 ? "; what was finished is kept in the file of --resume"
                                 : "; no results were written (--resume FILE keeps them)");
    if (cli.list == 0)
        mv_guard_hide_stdout();

    mv_code code = mv_cli_check_outputs(&cli, &error);
    if (code == MV_OK && cli.list != 0 && own.suites == NULL) {
        code = mv_verify_list(&error);
        goto done;
    }
    if (code == MV_OK)
        code = choose_suites(&chosen, own.suites, &error);
    if (code == MV_OK)
        code = mv_compute_parse(&options.compute, own.compute, &error);
    if (code == MV_OK)
        code = read_shard(&options, &error);
    if (code == MV_OK)
        code = check_options(&error);
    if (code == MV_OK)
        code = mv_model_open(&model, spec, &error);
    if (code == MV_OK) {
        options.model = mv_model_get_view(model);
        options.text_option = own.text;
        options.golden = own.golden;
        options.tokenizer = mv_model_get_tokenizer(model);
        code = mv_text_tokens(model, own.text, &tokens, &options.n_tokens, &error);
        options.tokens = tokens;
    }
    if (code == MV_OK)
        code = verify(&cli, model, &options, &chosen, &results, &error);
    results.elapsed_ns = mv_clock_wall_ns() - start_ns;
    if (code == MV_OK && cli.list == 0 && own.filter != NULL && results.n_cases == 0 &&
        own.self_test == 0)
        mv_log(MV_LOG_ERROR,
               "--filter '%s': no case%s has such a name; --list --suite %s names them", own.filter,
               own.shard != NULL ? " of this shard" : "", own.suites != NULL ? own.suites : "all");
    mv_guard_begin_save();
    if (code == MV_OK && cli.list == 0)
        code = mv_cli_write_verify(&cli, &results, &error);
    mv_guard_end_save();
done:
    if (code == MV_OK && cli.list != 0 && (fflush(stdout) != 0 || ferror(stdout)))
        code = mv_fail(&error, MV_ERR_IO, "cannot write to stdout: %s", strerror(errno));
    exit_code = code != MV_OK   ? mv_cli_fail(&error)
                : cli.list != 0 ? MV_EXIT_OK
                                : exit_of(&results);
    mv_verify_results_free(&results);
    mv_model_close(&model);
    free(tokens);
    mv_guard_stop();
    return (int)exit_code;
}
