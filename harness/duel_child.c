#include "harness/duel_child.h"

#include <alloca.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/stats.h"
#include "harness/synthetic.h"

#define SILENCE_MS 120000
#define WARM_UP_PASSES 2

/* ---- bytes ---- */

static bool write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t size, int timeout_ms)
{
    char *at = data;
    while (size > 0) {
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int ready = poll(&wanted, 1, timeout_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        ssize_t n = recv(fd, at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* ---- in the child ---- */

typedef struct arm {
    const mv_duel *duel;
    mv_bench_subject subject;
    mv_bench_engine *engines[MV_GATE_MAX_METRICS];
} arm;

static mv_code one_pass(mv_bench_engine *engine, mv_bench_pass *pass, mv_error *error)
{
    mv_code code = mv_bench_engine_prepare(engine, error);
    return code == MV_OK ? mv_bench_engine_pass(engine, pass, error) : code;
}

/* Opens, checks and warms up one item; its first pass is the one whose work is counted. */
static mv_code get_ready(arm *a, size_t item, mv_duel_reply *reply, mv_error *error)
{
    const mv_duel_item *it = &a->duel->items[item];
    const mv_backend *backend = a->subject.backend;
    bool passed = true;
    char text[200];
    mv_bench_pass pass;
    mv_code code = mv_bench_engine_open(&a->engines[item], &a->subject, it->phase, &it->shape,
                                        it->truth != NULL ? it->truth->n : 0, error);
    if (code == MV_OK && it->truth != NULL)
        code =
            mv_bench_engine_check(a->engines[item], it->truth, &passed, text, sizeof text, error);
    if (code == MV_OK && !passed)
        return mv_fail(error, MV_ERR_FORMAT, "%s, so nothing was timed", text);
    reply->has_work = backend->work != NULL;
    if (code == MV_OK)
        code = mv_bench_engine_prepare(a->engines[item], error);
    for (int i = 0; i < WARM_UP_PASSES && code == MV_OK; i++) {
        mv_work *work = &reply->work[item];
        *work = (mv_work){.struct_size = sizeof *work};
        if (reply->has_work)
            backend->work(mv_bench_engine_get(a->engines[item]), work, 1);
        code = mv_bench_engine_pass(a->engines[item], &pass, error);
        *work = (mv_work){.struct_size = sizeof *work};
        if (reply->has_work)
            backend->work(mv_bench_engine_get(a->engines[item]), work, 1);
        if (code == MV_OK)
            code = mv_bench_engine_prepare(a->engines[item], error);
    }
    return code;
}

static mv_code answer(arm *a, const mv_duel_request *request, mv_duel_reply *reply, mv_error *error)
{
    mv_bench_engine *engine = a->engines[request->item];
    const double n_threads = (double)a->duel->items[request->item].shape.threads;
    double cpu[MV_DUEL_REPEATS], wall[MV_DUEL_REPEATS], clean[MV_DUEL_REPEATS];
    size_t n_clean = 0;
    mv_estimate median;
    mv_code code = MV_OK;
    for (int i = 0; i < MV_DUEL_REPEATS && code == MV_OK; i++) {
        int64_t n_switches = 0;
        cpu[i] = wall[i] = 0;
        for (int32_t p = 0; p < request->n_passes && code == MV_OK; p++) {
            mv_bench_pass pass;
            code = one_pass(engine, &pass, error);
            if (code != MV_OK)
                break;
            cpu[i] += (double)pass.lapse.cpu_ns;
            wall[i] += (double)pass.lapse.wall_ns;
            n_switches += pass.lapse.involuntary_switches;
        }
        if (n_switches == 0 && (n_threads > 1 || cpu[i] > 0.98 * wall[i]))
            clean[n_clean++] = wall[i];
    }
    if (code == MV_OK)
        code = mv_median_estimate(&median, cpu, MV_DUEL_REPEATS, MV_DUEL_REPEATS, 0.95, error);
    reply->cpu_ns = median.value;
    if (code == MV_OK)
        code = mv_median_estimate(&median, wall, MV_DUEL_REPEATS, MV_DUEL_REPEATS, 0.95, error);
    reply->wall_ns = median.value;
    if (code == MV_OK && n_clean > 0) {
        code = mv_median_estimate(&median, clean, n_clean, (double)n_clean, 0.95, error);
        reply->clean_wall_ns = median.value;
    }
    return code;
}

static void serve(arm *a, int fd)
{
    static mv_duel_reply reply; /* zero, and too large for a stack that may be small */
    (void)snprintf(reply.engine, sizeof reply.engine, "%s", a->subject.backend->name);
    for (size_t i = 0; i < a->duel->n_items && reply.error.code == MV_OK; i++)
        reply.error.code = get_ready(a, i, &reply, &reply.error);
    mv_duel_request request;
    while (write_all(fd, &reply, sizeof reply) && reply.error.code == MV_OK &&
           read_all(fd, &request, sizeof request, -1) && request.item >= 0 &&
           (size_t)request.item < a->duel->n_items) {
        memset(&reply, 0, sizeof reply);
        reply.error.code = answer(a, &request, &reply, &reply.error);
    }
}

/* After fork() all children have the same layout, and a free block of the parent's heap would be
 * taken by the same array in each. So blocks of many sizes are taken at random, and every other one
 * is given back: what comes after lands somewhere else in each child. Mappings move by whole pages.
 */
static void scatter(uint64_t jitter)
{
    enum { N_BLOCKS = 96, SMALLEST_LOG2 = 4, N_LOG2 = 13 }; /* 16 bytes ... 128 KiB */
    void *blocks[N_BLOCKS];
    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        const uint64_t bits = mv_synthetic_bits(jitter, 0x73636174u, i);
        const size_t size = (size_t)1 << (SMALLEST_LOG2 + bits % N_LOG2);
        blocks[i] = malloc(size + (bits >> 8) % size);
    }
    for (uint64_t i = 0; i < N_BLOCKS; i++)
        if (mv_synthetic_bits(jitter, 0x66726565u, i) % 2 == 0)
            free(blocks[i]); /* the rest is left to the end of the child */
    void *pages =
        mmap(NULL, (jitter % 251 + 1) * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)pages;
}

static _Noreturn void be_child(const mv_duel *duel, const char *path, int fd,
                               const cpu_set_t *cores, uint64_t jitter)
{
    static mv_duel_reply refusal;
    arm a = {.duel = duel, .subject = duel->subject};
    volatile char *room = alloca(16 * (jitter / 64005 % 255 + 1)); /* moves the stack */
    room[0] = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    (void)sched_setaffinity(0, sizeof *cores, cores);
    scatter(jitter);
    refusal.error.code = mv_backend_load(&a.subject.backend, path, NULL, 0, &refusal.error);
    if (refusal.error.code == MV_OK)
        serve(&a, fd);
    else
        (void)write_all(fd, &refusal, sizeof refusal);
    for (size_t i = 0; i < duel->n_items; i++)
        mv_bench_engine_close(&a.engines[i]);
    _exit(0); /* the parent's buffers and exit handlers are not ours */
}

/* ---- in the parent ---- */

mv_code mv_duel_child_start(mv_duel_child *child, const mv_duel *duel, const char *path,
                            const cpu_set_t *cores, uint64_t jitter, mv_error *error)
{
    int fds[2];
    *child = (mv_duel_child){0, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return mv_fail(error, MV_ERR_IO, "cannot talk to a child process: %s", strerror(errno));
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        be_child(duel, path, fds[1], cores, jitter);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return mv_fail(error, MV_ERR_IO, "cannot start a child process: %s", strerror(errno));
    }
    *child = (mv_duel_child){pid, fds[0]};
    return MV_OK;
}

void mv_duel_child_stop(mv_duel_child *child)
{
    const mv_duel_request end = {.item = -1};
    int status;
    if (child->pid == 0)
        return;
    (void)write_all(child->fd, &end, sizeof end);
    (void)close(child->fd);
    for (int i = 0; i < 200; i++) { /* a second to close its engine in peace */
        pid_t done = waitpid(child->pid, &status, WNOHANG);
        if (done != 0) {
            child->pid = 0;
            return;
        }
        (void)usleep(i < 100 ? 100 : 10000);
    }
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, &status, 0);
    child->pid = 0;
}

mv_code mv_duel_child_ask(const mv_duel_child *child, int32_t item, int32_t n_passes,
                          mv_error *error)
{
    const mv_duel_request request = {item, n_passes};
    if (!write_all(child->fd, &request, sizeof request))
        return mv_fail(error, MV_ERR_BACKEND, "a child process does not listen any more");
    return MV_OK;
}

/* How it ended, in words; it may not have. */
static void say_end(const mv_duel_child *child, char *text, size_t size)
{
    siginfo_t info = {.si_pid = 0};
    (void)usleep(20000);
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
        (void)snprintf(text, size, "gave no answer in %d s", SILENCE_MS / 1000);
    else if (info.si_code == CLD_EXITED)
        (void)snprintf(text, size, "ended with exit code %d", info.si_status);
    else
        (void)snprintf(text, size, "crashed with signal %d (%s)", info.si_status,
                       strsignal(info.si_status));
}

mv_code mv_duel_child_hear(const mv_duel_child *child, mv_duel_reply *reply, const char *backend,
                           mv_error *error)
{
    char end[96];
    if (read_all(child->fd, reply, sizeof *reply, SILENCE_MS)) {
        if (reply->error.code == MV_OK)
            return MV_OK;
        reply->error.message[sizeof reply->error.message - 1] = '\0';
        return mv_fail(error, reply->error.code, "%.100s: %.390s", backend, reply->error.message);
    }
    say_end(child, end, sizeof end);
    return mv_fail(error, MV_ERR_BACKEND, "%.200s %s while it was timed", backend, end);
}
