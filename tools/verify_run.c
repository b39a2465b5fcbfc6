/* verify_run.c - where the cases run, what is known of them already, and how far they are. */
#include "tools/verify_run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/log.h"
#include "harness/results_read.h"
#include "suites/isolate.h"
#include "tools/engine_guard.h"

typedef struct session {
    const mv_verify_plan *plan;
    const char *backend_name;
    mv_verify_results *results;
    mv_verify_results resumed; /* of --resume: what an earlier run has finished */
    mv_isolate_sink *sink;     /* in a child: where cases go */
    size_t n_total, n_done;
    size_t
        n_failed; /* failures and errors; in a child of --isolate: its own, and those before it */
    double elapsed_s;
    mv_code save_code; /* the file of --resume could not be written */
    mv_error save_error;
} session;

/* ---- what is known already ---- */

#define ISOLATE " --isolate"

/* Without --isolate, which has no part in the outcome: a run may go on with it, or without. */
static size_t size_of_command(const char *line)
{
    const size_t size = strlen(line), end = sizeof ISOLATE - 1;
    return size >= end && strcmp(line + size - end, ISOLATE) == 0 ? size - end : size;
}

/* The command that reproduces a case has everything that its outcome depends on. */
static const mv_case_result *find(const mv_verify_results *results, const mv_case_result *wanted)
{
    const size_t size = size_of_command(wanted->reproduce);
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (size_of_command(one->reproduce) == size &&
            memcmp(one->reproduce, wanted->reproduce, size) == 0 &&
            strcmp(one->name, wanted->name) == 0)
            return one;
    }
    return NULL;
}

#define LEFT_OUT "--maxfail: "

/* Not finished: --resume runs it. */
static bool is_left_out(const mv_case_result *result)
{
    return result->verdict == MV_VERDICT_SKIP &&
           strncmp(result->reason, LEFT_OUT, sizeof LEFT_OUT - 1) == 0;
}

static mv_known leave_out(const session *s, mv_case_result *result)
{
    const uint32_t most = s->plan->max_failures;
    if (most == 0 || s->n_failed < most)
        return MV_NOT_KNOWN;
    result->verdict = MV_VERDICT_SKIP;
    (void)snprintf(result->reason, sizeof result->reason, LEFT_OUT "not run after %u failure%s",
                   most, most == 1 ? "" : "s");
    return MV_KNOWN;
}

static mv_known recall(void *cookie, mv_case_result *result)
{
    const session *s = cookie;
    if (s->sink != NULL && find(s->results, result) != NULL)
        return MV_KNOWN_ELSEWHERE;
    const mv_case_result *known = find(&s->resumed, result);
    if (known == NULL || is_left_out(known))
        return leave_out(s, result);
    *result = *known;
    return MV_KNOWN;
}

static mv_code ask_same(const char *path, const char *what, const char *found, const char *expected,
                        mv_error *error)
{
    if (strcmp(found, expected) == 0)
        return MV_OK;
    return mv_fail(
        error, MV_ERR_FORMAT,
        "%s: was begun with %s %.80s, and this is %.80s: name another file for --resume, "
        "or remove it",
        path, what, found, expected);
}

static mv_code read_resumed(session *s, mv_error *error)
{
    const char *path = s->plan->resume;
    const mv_verify_results *old = &s->resumed, *now = s->results;
    if (path == NULL || access(path, F_OK) != 0)
        return MV_OK;
    mv_code code = mv_verify_results_read(&s->resumed, path, error);
    if (code == MV_OK)
        code = ask_same(path, "model", old->model_spec, now->model_spec, error);
    if (code == MV_OK)
        code = ask_same(path, "weights of sha256", old->weights_sha256, now->weights_sha256, error);
    if (code == MV_OK)
        code = ask_same(path, "version", old->tool_version, now->tool_version, error);
    if (code == MV_OK)
        code = ask_same(path, "commit", old->tool_commit, now->tool_commit, error);
    return code;
}

static void save(session *s)
{
    const mv_report_style style = {0};
    mv_bytes bytes = {0};
    if (s->plan->resume == NULL || s->save_code != MV_OK)
        return;
    mv_report_find("json")->write_verify(&bytes, s->results, &style);
    mv_guard_begin_save();
    s->save_code = mv_report_save(&bytes, s->plan->resume, &s->save_error);
    mv_guard_end_save();
    mv_bytes_free(&bytes);
}

/* ---- progress ---- */

static void count_case(void *cookie, const mv_case_result *result)
{
    (void)result;
    ((session *)cookie)->n_total++;
}

static void print_case(void *cookie, const mv_case_result *result)
{
    (void)cookie;
    printf("%s/%s\n", result->suite, result->name);
}

static void count_failure(session *s, const mv_case_result *result)
{
    if (result->verdict == MV_VERDICT_FAIL || result->verdict == MV_VERDICT_ERROR)
        s->n_failed++;
}

static void note_case(void *cookie, const mv_case_result *result)
{
    (void)cookie;
    mv_guard_set_case("%.60s / %.120s", result->suite, result->name);
}

/* A case was added to the results. */
static void take_case(void *cookie, const mv_case_result *result)
{
    session *s = cookie;
    mv_guard_set_place("backend %.120s, between two cases", s->backend_name);
    s->n_done++;
    count_failure(s, result);
    mv_guard_set_progress(s->n_done, s->n_total, s->n_failed);
    s->elapsed_s += (double)result->elapsed_ns * 1e-9;
    save(s);
    if (s->plan->cli->quiet != 0 || !isatty(STDERR_FILENO))
        return;
    const size_t n_left = s->n_total > s->n_done ? s->n_total - s->n_done : 0; /* coverage: more */
    const double left = s->elapsed_s / (double)s->n_done * (double)n_left / (double)s->plan->n_jobs;
    mv_log_progress("%zu/%zu %s/%s  about %.0f s left", s->n_done, s->n_total, result->suite,
                    result->name, left);
}

/* ---- in this process ---- */

static mv_code run_suites(const mv_verify_plan *plan, const mv_run_options *options,
                          mv_verify_results *results, mv_error *error)
{
    mv_run *run = NULL;
    mv_code code = mv_run_open(&run, options, error);
    for (size_t i = 0; code == MV_OK && i < plan->n_suites; i++)
        code = mv_run_suite(run, plan->suites[i], results, error);
    mv_run_close(&run);
    return code;
}

static mv_code load(session *s, mv_run_options *options, mv_error *error)
{
    options->backend_name = s->backend_name;
    mv_guard_set_place("the loading of backend %.120s", s->backend_name);
    mv_code code = mv_backend_load(&options->backend, s->backend_name, NULL, 0, error);
    if (code != MV_OK || mv_backend_has_compute(options->backend, options->compute))
        return code;
    return mv_fail(error, MV_ERR_UNAVAILABLE, "backend %s has no compute type %s", s->backend_name,
                   mv_compute_name(options->compute));
}

/* Names the cases, runs none: for --list, and for the time that is left. */
static mv_code list_cases(session *s, const mv_run_options *options, mv_error *error)
{
    mv_run_options listing = *options;
    listing.list_only = true;
    listing.on_case = s->plan->cli->list != 0 ? print_case : count_case;
    listing.cookie = s;
    return run_suites(s->plan, &listing, s->results, error);
}

static mv_code run_here(session *s, mv_error *error)
{
    mv_run_options options = *s->plan->options;
    mv_code code = load(s, &options, error);
    if (code == MV_OK)
        code = list_cases(s, &options, error);
    if (code != MV_OK || s->plan->cli->list != 0)
        return code;
    options.on_begin = note_case;
    options.on_case = take_case;
    options.recall = recall;
    options.cookie = s;
    return run_suites(s->plan, &options, s->results, error);
}

/* ---- in others ---- */

/* Left out where it finds no room: the command without it says as much of the case. */
static mv_case_result isolated(const mv_case_result *result)
{
    mv_case_result told = *result;
    const size_t size = strlen(told.reproduce);
    const bool is_command = told.reproduce[0] == 'm';
    if (is_command && size_of_command(told.reproduce) == size &&
        size + sizeof ISOLATE <= sizeof told.reproduce)
        memcpy(told.reproduce + size, ISOLATE, sizeof ISOLATE);
    return told;
}

static void say_begin(void *cookie, const mv_case_result *result)
{
    const mv_case_result told = isolated(result);
    mv_isolate_begin(((session *)cookie)->sink, &told);
}

static void say_end(void *cookie, const mv_case_result *result)
{
    const mv_case_result told = isolated(result);
    count_failure(cookie, result);
    mv_isolate_end(((session *)cookie)->sink, &told);
}

/* The engine is loaded in the child alone: not even its start can hurt the others. */
static mv_code work(void *cookie, uint32_t job, mv_isolate_sink *sink, mv_error *error)
{
    session *s = cookie;
    mv_run_options options = *s->plan->options;
    mv_verify_results own;
    s->sink = sink;
    options.shard += options.n_shards * job;
    options.n_shards *= s->plan->n_jobs;
    options.on_begin = say_begin;
    options.on_case = say_end;
    options.recall = recall;
    options.cookie = s;
    mv_verify_results_init(&own);
    mv_code code = load(s, &options, error);
    if (code == MV_OK)
        code = run_suites(s->plan, &options, &own, error);
    mv_verify_results_free(&own);
    return code;
}

/* The cases are counted on the reference: the engine under test is not loaded here. */
static mv_code run_isolated(session *s, mv_error *error)
{
    const mv_isolate isolate = {.backend_name = s->backend_name,
                                .n_jobs = s->plan->n_jobs,
                                .timeout_s = s->plan->timeout_s,
                                .work = work,
                                .on_case = take_case,
                                .cookie = s};
    mv_run_options counted = *s->plan->options;
    counted.backend_name = s->backend_name;
    counted.backend = counted.reference;
    mv_code code = list_cases(s, &counted, error);
    return code == MV_OK ? mv_isolate_run(&isolate, s->results, error) : code;
}

/* ---- all backends ---- */

/* One of several backends cannot run here: what the others showed still counts. */
static mv_code add_skip(session *s, const char *reason, mv_error *error)
{
    mv_case_result result;
    mv_case_result_clear(&result);
    (void)snprintf(result.suite, sizeof result.suite, "backend");
    (void)snprintf(result.name, sizeof result.name, "can run here");
    (void)snprintf(result.backend, sizeof result.backend, "%s", s->backend_name);
    (void)snprintf(result.reason, sizeof result.reason, "%.380s", reason);
    result.compute = s->plan->options->compute;
    result.seed = s->plan->options->seed;
    result.verdict = MV_VERDICT_SKIP;
    return mv_verify_results_add(s->results, &result, error);
}

mv_code mv_verify_run(const mv_verify_plan *plan, mv_verify_results *results, mv_error *error)
{
    static const char *const reference[] = {"reference"};
    const mv_cli *cli = plan->cli;
    const char *const *names = cli->n_backends > 0 ? cli->backends : reference;
    const size_t n = cli->n_backends > 0 ? cli->n_backends : 1;
    session s = {.plan = plan, .results = results};
    mv_verify_results_init(&s.resumed);
    mv_code code = read_resumed(&s, error);
    for (size_t i = 0; code == MV_OK && i < n; i++) {
        s.backend_name = names[i];
        code = plan->isolate && cli->list == 0 ? run_isolated(&s, error) : run_here(&s, error);
        mv_log_progress("%s", "");
        if (code == MV_ERR_UNAVAILABLE && n > 1 && cli->list == 0)
            code = add_skip(&s, error->message, error);
    }
    if (code == MV_OK)
        save(&s);
    if (code == MV_OK && s.save_code != MV_OK) {
        *error = s.save_error;
        code = s.save_code;
    }
    mv_verify_results_free(&s.resumed);
    return code;
}
