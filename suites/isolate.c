/* isolate.c - children, their pipes, and what is said of one that died. */
#include "suites/isolate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"

enum { MAX_JOBS = 64 };

typedef enum what { CASE_BEGINS, CASE_ENDS, CHILD_ENDS } what;

/* One message: whole structs, between two processes of one program. The profile of a failed case
 * follows where has_divergence says so. */
typedef struct message {
    what what;
    bool has_divergence;
    mv_code code; /* CHILD_ENDS */
    mv_error error;
    mv_case_result result;
} message;

struct mv_isolate_sink {
    int fd;
};

typedef struct child {
    pid_t pid; /* 0: has ended */
    int fd;
    message message; /* as far as it has come in */
    size_t n_read;
    mv_divergence *divergence; /* what follows the message; NULL until the first one comes */
    bool in_case, has_ended;
    mv_case_result current;
    int64_t since_ns; /* the current case began */
} child;

/* ---- in the child ---- */

static void send_bytes(const mv_isolate_sink *sink, const void *bytes, size_t size)
{
    const char *at = bytes;
    for (size_t left = size; left > 0;) {
        ssize_t n = write(sink->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(1); /* nobody listens */
        at += n;
        left -= (size_t)n;
    }
}

void mv_isolate_begin(mv_isolate_sink *sink, const mv_case_result *result)
{
    message begin = {.what = CASE_BEGINS, .result = *result};
    send_bytes(sink, &begin, sizeof begin);
}

void mv_isolate_end(mv_isolate_sink *sink, const mv_case_result *result)
{
    message end = {.what = CASE_ENDS, .result = *result};
    end.has_divergence = result->divergence != NULL;
    send_bytes(sink, &end, sizeof end);
    if (end.has_divergence)
        send_bytes(sink, result->divergence, sizeof *result->divergence);
}

static void be_child(const mv_isolate *isolate, uint32_t job, int fd)
{
    mv_isolate_sink sink = {fd};
    message end = {.what = CHILD_ENDS};
    end.code = isolate->work(isolate->cookie, job, &sink, &end.error);
    send_bytes(&sink, &end, sizeof end);
    _exit(0);
}

/* ---- in the parent ---- */

static mv_code start(const mv_isolate *isolate, uint32_t job, child *c, mv_error *error)
{
    int ends[2];
    *c = (child){.fd = -1, .divergence = c->divergence};
    if (pipe(ends) != 0)
        return mv_fail(error, MV_ERR_IO, "--isolate: no pipe: %s", strerror(errno));
    c->pid = fork();
    if (c->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* who is interrupted leaves nobody behind */
        (void)close(ends[0]);
        be_child(isolate, job, ends[1]);
    }
    (void)close(ends[1]);
    c->fd = ends[0];
    if (c->pid > 0)
        return MV_OK;
    c->pid = 0;
    return mv_fail(error, MV_ERR_MEMORY, "--isolate: no process: %s", strerror(errno));
}

/* What a whole suite lacks, every child says; once is enough. */
static bool is_repeated(const mv_verify_results *results, const mv_case_result *result)
{
    for (size_t i = 0; result->order % 2 == 0 && i < results->n_cases; i++) {
        if (strcmp(results->cases[i].suite, result->suite) == 0 &&
            strcmp(results->cases[i].name, result->name) == 0 &&
            strcmp(results->cases[i].backend, result->backend) == 0)
            return true;
    }
    return false;
}

static mv_code take_result(const mv_isolate *isolate, const mv_case_result *result,
                           mv_verify_results *results, mv_error *error)
{
    if (is_repeated(results, result))
        return MV_OK;
    mv_code code = mv_verify_results_add(results, result, error);
    if (code == MV_OK && isolate->on_case != NULL)
        isolate->on_case(isolate->cookie, result);
    return code;
}

static mv_code take_message(const mv_isolate *isolate, child *c, mv_verify_results *results,
                            mv_error *error)
{
    message *m = &c->message;
    m->result.divergence = m->has_divergence ? c->divergence : NULL; /* it was the child's */
    switch (m->what) {
    case CASE_BEGINS:
        c->in_case = true;
        c->current = m->result;
        c->since_ns = mv_clock_wall_ns();
        return MV_OK;
    case CASE_ENDS:
        c->in_case = false;
        return take_result(isolate, &m->result, results, error);
    case CHILD_ENDS:
        break;
    }
    c->has_ended = true;
    if (m->code != MV_OK)
        *error = m->error;
    return m->code;
}

/* The case in which a child died; then a new child for the rest. */
static mv_code take_death(const mv_isolate *isolate, uint32_t job, child *c, const char *how,
                          mv_verify_results *results, mv_error *error)
{
    if (!c->in_case)
        return mv_fail(error, MV_ERR_BACKEND, "backend %s: its process %s outside of any case",
                       isolate->backend_name, how);
    mv_case_result *result = &c->current;
    result->verdict = MV_VERDICT_ERROR;
    result->elapsed_ns = mv_clock_wall_ns() - c->since_ns;
    (void)snprintf(result->reason, sizeof result->reason, "the backend's process %s", how);
    mv_code code = take_result(isolate, result, results, error);
    return code == MV_OK ? start(isolate, job, c, error) : code;
}

static void describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(text, size, "died of signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
}

/* The pipe is closed: a child that said so has ended well. */
static mv_code take_end(const mv_isolate *isolate, uint32_t job, child *c,
                        mv_verify_results *results, mv_error *error)
{
    int status = 0;
    char how[96];
    (void)close(c->fd);
    c->fd = -1;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
    if (c->has_ended)
        return MV_OK;
    describe_end(status, how, sizeof how);
    return take_death(isolate, job, c, how, results, error);
}

static mv_code read_child(const mv_isolate *isolate, uint32_t job, child *c,
                          mv_verify_results *results, mv_error *error)
{
    const size_t head = sizeof c->message;
    const bool in_head = c->n_read < head;
    if (!in_head && c->divergence == NULL) {
        c->divergence = malloc(sizeof *c->divergence);
        if (c->divergence == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "no memory for the profile of a failed case");
    }
    char *at = in_head ? (char *)&c->message + c->n_read : (char *)c->divergence + c->n_read - head;
    const size_t size = head + (in_head ? 0 : sizeof *c->divergence);
    ssize_t n = read(c->fd, at, size - c->n_read);
    if (n < 0 && errno == EINTR)
        return MV_OK;
    if (n <= 0)
        return take_end(isolate, job, c, results, error);
    c->n_read += (size_t)n;
    if (c->n_read < size || (in_head && c->message.has_divergence))
        return MV_OK;
    c->n_read = 0;
    return take_message(isolate, c, results, error);
}

static mv_code end_if_late(const mv_isolate *isolate, uint32_t job, child *c,
                           mv_verify_results *results, mv_error *error)
{
    char how[96];
    const double elapsed_s = (double)(mv_clock_wall_ns() - c->since_ns) * 1e-9;
    if (c->pid == 0 || !c->in_case || isolate->timeout_s <= 0 || elapsed_s < isolate->timeout_s)
        return MV_OK;
    (void)kill(c->pid, SIGKILL);
    (void)close(c->fd);
    c->fd = -1;
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
    (void)snprintf(how, sizeof how, "took longer than %g s and was ended", isolate->timeout_s);
    return take_death(isolate, job, c, how, results, error);
}

static int by_order(const void *a, const void *b)
{
    const uint64_t x = ((const mv_case_result *)a)->order, y = ((const mv_case_result *)b)->order;
    return (x > y) - (x < y);
}

/* Waits for something from any child: false when none is left. */
static bool wait_for_any(child *children, uint32_t n, struct pollfd *fds)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        fds[i] = (struct pollfd){.fd = children[i].fd, .events = POLLIN};
        any = any || children[i].pid > 0;
    }
    if (any && poll(fds, n, 100) < 0) {
        for (uint32_t i = 0; i < n; i++)
            fds[i].revents = 0; /* interrupted */
    }
    return any;
}

mv_code mv_isolate_run(const mv_isolate *isolate, mv_verify_results *results, mv_error *error)
{
    static child children[MAX_JOBS];
    struct pollfd fds[MAX_JOBS];
    const uint32_t n = isolate->n_jobs < MAX_JOBS ? isolate->n_jobs : MAX_JOBS;
    const size_t first = results->n_cases;
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < n; i++)
        children[i] = (child){.fd = -1};
    for (uint32_t i = 0; i < n && code == MV_OK; i++)
        code = start(isolate, i, &children[i], error);
    while (code == MV_OK && wait_for_any(children, n, fds)) {
        for (uint32_t i = 0; i < n && code == MV_OK; i++) {
            child *c = &children[i];
            code = fds[i].revents != 0 ? read_child(isolate, i, c, results, error)
                                       : end_if_late(isolate, i, c, results, error);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (children[i].pid > 0) {
            (void)kill(children[i].pid, SIGKILL);
            (void)waitpid(children[i].pid, NULL, 0);
        }
        if (children[i].fd >= 0)
            (void)close(children[i].fd);
        free(children[i].divergence);
    }
    if (results->n_cases > first)
        qsort(results->cases + first, results->n_cases - first, sizeof *results->cases, by_order);
    return code;
}
