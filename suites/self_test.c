/* self_test.c - the kill matrix. */
#include "suites/self_test.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/mutant_list.h"

/* ---- running ---- */

static void append_name(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);
    (void)snprintf(list + n, size - n, "%s%s", n > 0 ? "," : "", name);
}

enum {
    EVERY_CLAIM = MV_CLAIM_REPEATABLE | MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT |
                  MV_CLAIM_THREAD_INVARIANT
};

/* What became of one mutant: plain bytes, so that it can go through a pipe. */
typedef struct record {
    size_t index;
    mv_mutant_result result;
    size_t n_benign, n_alarms;
    mv_case_result alarm; /* the first */
    char missed[128];     /* the first SUITE/GLOB whose cases all passed a bug that is theirs */
    mv_error error;
    mv_code code;
} record;

typedef struct self_test {
    const mv_run_options *options;
    const mv_suite *const *suites;
    size_t n_suites;
    mv_run *run;
    mv_mutant_list list;
} self_test;

/* The first case that failed, or NULL; *largest: of r_rmse over all cases that have one. */
static const mv_case_result *first_failure(const mv_verify_results *found, double *largest)
{
    const mv_case_result *first = NULL;
    for (size_t i = 0; i < found->n_cases; i++) {
        const mv_case_result *one = &found->cases[i];
        bool failed = one->verdict == MV_VERDICT_FAIL || one->verdict == MV_VERDICT_ERROR;
        if (failed && first == NULL)
            first = one;
        *largest = fmax(*largest, one->metrics.r_rmse);
    }
    return first;
}

/* A harmless change that a suite complains about: the case itself is the evidence. */
static void take_alarm(record *r, const mv_mutant *m, const mv_case_result *failure)
{
    if (r->n_alarms++ > 0)
        return;
    r->alarm = *failure;
    (void)snprintf(r->alarm.reason, sizeof r->alarm.reason,
                   "false alarm on the harmless '%s': %.240s", m->name, failure->reason);
}

/* *seen: a case of the suite failed, of those that glob leaves ("" = all). */
static mv_code run_suite(self_test *t, const mv_mutant *m, const mv_suite *suite, const char *glob,
                         record *r, bool *seen)
{
    mv_verify_results found;
    mv_verify_results_init(&found);
    mv_run_set_filter(t->run, glob[0] != '\0' ? glob : t->options->filter);
    mv_code code = mv_run_suite(t->run, suite, &found, &r->error);
    const mv_case_result *failure = code == MV_OK ? first_failure(&found, &r->result.r_rmse) : NULL;
    *seen = failure != NULL;
    if (m->kind == MV_MUTANT_BENIGN) {
        r->n_benign += code == MV_OK ? 1 : 0;
        if (failure != NULL)
            take_alarm(r, m, failure);
    }
    mv_verify_results_free(&found);
    return code;
}

/* A bug is killed by a suite if all that is expected of the suite sees it. */
static mv_code run_expected(self_test *t, const mv_mutant *m, const mv_suite *suite, record *r)
{
    char glob[128];
    const char *at = m->expected;
    mv_code code = MV_OK;
    bool killed = true, expected = false;
    while (code == MV_OK && mv_mutant_next_expected(&at, suite->name, glob)) {
        bool seen;
        code = run_suite(t, m, suite, glob, r, &seen);
        expected = true;
        killed = killed && seen;
        if (code == MV_OK && !seen && glob[0] != '\0' && r->missed[0] == '\0')
            memcpy(r->missed, glob, sizeof r->missed);
    }
    /* Who else sees a bug is worth minutes only to somebody who asks for the whole matrix. */
    const bool is_harmless = m->kind == MV_MUTANT_BENIGN || m->kind == MV_MUTANT_EQUIVALENT;
    if (!expected && (is_harmless || t->options->strict))
        code = run_suite(t, m, suite, "", r, &killed);
    else if (!expected)
        killed = false;
    if (expected)
        append_name(r->result.expected_suites, sizeof r->result.expected_suites, suite->name);
    if (killed)
        append_name(r->result.killed_by, sizeof r->result.killed_by, suite->name);
    return code;
}

static void run_mutant(self_test *t, size_t index, record *r)
{
    const mv_mutant *m = &t->list.mutants[index];
    const mv_option option = {"mutant", m->name};
    *r = (record){.index = index, .result.equivalent = m->kind == MV_MUTANT_EQUIVALENT};
    (void)snprintf(r->result.name, sizeof r->result.name, "%s", m->name);
    (void)snprintf(r->result.imitates, sizeof r->result.imitates, "%s", m->imitates);
    mv_run_set_engine(t->run, t->options->backend_name, t->options->backend, &option, 1);
    mv_run_set_claims(t->run, m->kind == MV_MUTANT_CLAIM ? EVERY_CLAIM : 0);
    for (size_t i = 0; i < t->n_suites && r->code == MV_OK; i++)
        r->code = run_expected(t, m, t->suites[i], r);
}

/* What was to see the bug and did not, as a case: the matrix has a column for a suite only. */
static mv_code add_missed(const record *r, mv_verify_results *results, mv_error *error)
{
    mv_case_result missed;
    const size_t n_suite = strcspn(r->missed, "/");
    mv_case_result_clear(&missed);
    (void)snprintf(missed.suite, sizeof missed.suite, "%.*s", (int)n_suite, r->missed);
    (void)snprintf(missed.name, sizeof missed.name, "%s", r->missed + n_suite + 1);
    missed.verdict = MV_VERDICT_FAIL;
    (void)snprintf(missed.reason, sizeof missed.reason,
                   "no case of --filter '%s' sees the planted bug '%s', which is there for them",
                   r->missed, r->result.name);
    return mv_verify_results_add(results, &missed, error);
}

static mv_code take_record(const self_test *t, const record *r, mv_verify_results *results,
                           mv_error *error)
{
    const mv_mutant_kind k = t->list.mutants[r->index].kind;
    mv_code code = r->code;
    if (code != MV_OK) {
        *error = r->error;
        return code;
    }
    results->benign_total += r->n_benign;
    results->false_alarms += r->n_alarms;
    if (r->n_alarms > 0)
        code = mv_verify_results_add(results, &r->alarm, error);
    if (code == MV_OK && r->missed[0] != '\0')
        code = add_missed(r, results, error);
    if (code != MV_OK || k == MV_MUTANT_BENIGN ||
        (k != MV_MUTANT_EQUIVALENT && r->result.expected_suites[0] == '\0'))
        return code;
    return mv_verify_results_add_mutant(results, &r->result, error);
}

/* ---- several at a time ---- */

/* A child takes every n_jobs-th mutant, and writes one record for each. */
static void be_child(self_test *t, uint32_t job, uint32_t n_jobs, int fd)
{
    record r;
    for (size_t i = job; i < t->list.n; i += n_jobs) {
        run_mutant(t, i, &r);
        const char *at = (const char *)&r;
        for (size_t left = sizeof r; left > 0;) {
            ssize_t n = write(fd, at, left);
            if (n <= 0)
                _exit(1);
            at += n;
            left -= (size_t)n;
        }
    }
    _exit(0);
}

/* 1: a whole record; 0: the end; -1: a child that died in the middle. */
static int read_record(int fd, record *r)
{
    char *at = (char *)r;
    for (size_t left = sizeof *r; left > 0;) {
        ssize_t n = read(fd, at, left);
        if (n <= 0)
            return left == sizeof *r && n == 0 ? 0 : -1;
        at += n;
        left -= (size_t)n;
    }
    return 1;
}

/* In the order of the list, whoever was first: record i comes from child i mod n_jobs. */
static mv_code collect(self_test *t, const int *fds, uint32_t n_jobs, mv_verify_results *results,
                       void (*on_mutant)(void *, size_t, size_t, const char *), void *cookie,
                       mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < t->list.n && code == MV_OK; i++) {
        record r;
        if (on_mutant != NULL)
            on_mutant(cookie, i, t->list.n, t->list.mutants[i].name);
        if (read_record(fds[i % n_jobs], &r) != 1 || r.index != i)
            return mv_fail(error, MV_ERR_BACKEND,
                           "--self-test: the process that ran mutant '%s' ended without a verdict",
                           t->list.mutants[i].name);
        code = take_record(t, &r, results, error);
    }
    return code;
}

static mv_code run_children(self_test *t, uint32_t n_jobs, mv_verify_results *results,
                            void (*on_mutant)(void *, size_t, size_t, const char *), void *cookie,
                            mv_error *error)
{
    enum { MAX_JOBS = 32 };
    int fds[MAX_JOBS], ends[2];
    pid_t pids[MAX_JOBS];
    uint32_t n = 0;
    mv_code code = MV_OK;
    n_jobs = n_jobs > MAX_JOBS ? MAX_JOBS : n_jobs;
    for (; n < n_jobs && code == MV_OK; n++) {
        if (pipe(ends) != 0) {
            code = mv_fail(error, MV_ERR_IO, "--self-test: no pipe: %s", strerror(errno));
            break;
        }
        pids[n] = fork();
        if (pids[n] == 0) {
            (void)close(ends[0]);
            be_child(t, n, n_jobs, ends[1]);
        }
        (void)close(ends[1]);
        fds[n] = ends[0];
        if (pids[n] < 0)
            code = mv_fail(error, MV_ERR_MEMORY, "--self-test: no process: %s", strerror(errno));
    }
    if (code == MV_OK)
        code = collect(t, fds, n_jobs, results, on_mutant, cookie, error);
    for (uint32_t i = 0; i < n; i++) {
        (void)close(fds[i]); /* a child that still writes ends with SIGPIPE */
        if (pids[i] > 0)
            (void)waitpid(pids[i], NULL, 0);
    }
    return code;
}

/* The unchanged reference: what the oracle says is then known to all children, and a suite that
 * fails it is broken. */
static mv_code run_control(self_test *t, mv_verify_results *results, mv_error *error)
{
    mv_code code = MV_OK;
    mv_run_set_engine(t->run, t->options->backend_name, t->options->backend, NULL, 0);
    for (size_t i = 0; i < t->n_suites && code == MV_OK; i++)
        code = mv_run_suite(t->run, t->suites[i], results, error);
    return code;
}

mv_code mv_self_test(const mv_run_options *options, const mv_suite *const *suites, size_t n_suites,
                     mv_verify_results *results,
                     void (*on_mutant)(void *, size_t, size_t, const char *), void *cookie,
                     mv_error *error)
{
    self_test t = {.options = options, .suites = suites, .n_suites = n_suites};
    mv_run_options quick = *options;
    quick.stop_at_failure = true;
    quick.strict = false;
    quick.localize = false;
    quick.list_only = false;
    quick.on_case = NULL;
    quick.n_threads = 2; /* a bug at the edge of a thread needs an edge */
    mv_code code = mv_mutant_list_get(&t.list, options, error);
    if (code == MV_OK)
        code = mv_run_open(&t.run, &quick, error);
    if (code == MV_OK)
        code = run_control(&t, results, error);
    if (code == MV_OK)
        code =
            run_children(&t, options->n_jobs > 0 ? options->n_jobs : (uint32_t)mv_machine_n_cores(),
                         results, on_mutant, cookie, error);
    mv_run_close(&t.run);
    mv_mutant_list_free(&t.list);
    return code;
}
