/* pool.c - one 64-bit word holds the number of the job and the next item of it. An item is taken by
 * compare-and-swap on that word, so that a worker which slept through a job cannot take an item of
 * the next one under the old job's name. The job's other fields are written before the word is and
 * not touched until all items are done; a late reader sees a torn job, and its swap fails.
 */
#include "backends/blas/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_NS = 50 * 1000 }; /* about what a sleep and a wake cost together, twice */

typedef struct mv_worker {
    mv_pool *pool;
    pthread_t thread;
    uint32_t number;
    bool started;
} mv_worker;

struct mv_pool {
    _Alignas(64) _Atomic uint64_t ticket; /* job << 32 | next item */
    _Alignas(64) _Atomic uint32_t n_done; /* items of this job; a futex for the caller */
    _Alignas(64) _Atomic uint32_t job;    /* its number; a futex for workers */
    _Atomic uint32_t n_asleep, caller_asleep, closing;
    _Atomic(mv_pool_fn) fn;
    _Atomic(void *) arg;
    _Atomic uint32_t n_items;
    uint32_t n_threads;
    bool pinned;
    pid_t owner;
    mv_worker *workers;      /* [n_threads], of which 0 is not used */
    _Atomic int32_t *places; /* [n_threads] the CPU that each was last seen on; -1: none yet */
};

static void sleep_while(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until *word is no longer value, for a short time. False: it still is. */
static bool spin_while(_Atomic uint32_t *word, uint32_t value)
{
    for (int64_t end = now_ns() + SPIN_NS; now_ns() < end;) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return true;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    }
    return false;
}

/* Takes and does items of one job until there are none left. */
static void do_items(mv_pool *p, uint32_t job, uint32_t worker)
{
    for (;;) {
        uint64_t ticket = atomic_load(&p->ticket);
        uint32_t n_items = atomic_load(&p->n_items);
        mv_pool_fn fn = atomic_load(&p->fn);
        void *arg = atomic_load(&p->arg);
        if (ticket >> 32 != job || (uint32_t)ticket >= n_items)
            return;
        if (!atomic_compare_exchange_weak(&p->ticket, &ticket, ticket + 1))
            continue;
        fn(arg, (uint32_t)ticket, worker);
        if (atomic_fetch_add(&p->n_done, 1) + 1 == n_items && atomic_load(&p->caller_asleep) != 0)
            wake_all(&p->n_done);
    }
}

int32_t mv_pool_free_cpu(const cpu_set_t *allowed, const int32_t *taken, uint32_t n_taken)
{
    for (int32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        bool is_free = CPU_ISSET((size_t)cpu, allowed);
        for (uint32_t i = 0; i < n_taken && is_free; i++)
            is_free = taken[i] != cpu;
        if (is_free)
            return cpu;
    }
    return -1;
}

/* A worker that slept is woken on the CPU of who wakes it if the others look busy at that moment,
 * and may stay there: two threads then share one CPU for seconds, beside an idle one. So who finds
 * another there before him, in the order of their numbers, goes to a CPU where none of the others
 * is, and is free to be moved again. */
static void keep_apart(mv_pool *p, uint32_t worker)
{
    enum { MOST = 64 };
    int32_t taken[MOST], here = sched_getcpu();
    cpu_set_t allowed, one;
    bool shares = false;
    atomic_store_explicit(&p->places[worker], here, memory_order_relaxed);
    if (p->pinned || p->n_threads > MOST || worker == 0)
        return;
    for (uint32_t i = 0; i < p->n_threads; i++) {
        taken[i] = atomic_load_explicit(&p->places[i], memory_order_relaxed);
        shares = shares || (i < worker && taken[i] == here);
    }
    if (!shares || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    const int32_t cpu = mv_pool_free_cpu(&allowed, taken, p->n_threads);
    if (cpu < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
    atomic_store_explicit(&p->places[worker], sched_getcpu(), memory_order_relaxed);
}

static void *work(void *arg)
{
    const mv_worker *self = arg;
    mv_pool *p = self->pool;
    uint32_t seen = 0;
    for (;;) {
        if (!spin_while(&p->job, seen)) {
            atomic_fetch_add(&p->n_asleep, 1);
            sleep_while(&p->job, seen);
            atomic_fetch_sub(&p->n_asleep, 1);
        }
        if (atomic_load(&p->closing) != 0)
            return NULL;
        seen = atomic_load(&p->job);
        keep_apart(p, self->number);
        do_items(p, seen, self->number);
    }
}

void mv_pool_run(mv_pool *p, size_t n_items, mv_pool_fn fn, void *arg)
{
    if (n_items <= 1 || p->n_threads == 1 || p->owner != getpid()) {
        for (size_t i = 0; i < n_items; i++)
            fn(arg, i, 0);
        return;
    }
    uint32_t job = atomic_load(&p->job) + 1, n_done;
    /* First the old job's ticket goes, so that nobody takes an item while the fields change. */
    atomic_store(&p->ticket, (uint64_t)job << 32 | UINT32_MAX);
    atomic_store(&p->n_done, 0);
    atomic_store(&p->fn, fn);
    atomic_store(&p->arg, arg);
    atomic_store(&p->n_items, (uint32_t)n_items);
    atomic_store(&p->ticket, (uint64_t)job << 32);
    atomic_store(&p->job, job);
    keep_apart(p, 0);
    if (atomic_load(&p->n_asleep) != 0)
        wake_all(&p->job);
    do_items(p, job, 0);
    while ((n_done = atomic_load(&p->n_done)) != n_items) {
        if (spin_while(&p->n_done, n_done))
            continue;
        atomic_store(&p->caller_asleep, 1);
        sleep_while(&p->n_done, n_done);
        atomic_store(&p->caller_asleep, 0);
    }
}

/* The i-th CPU that this process may use, round and round. A failure leaves the thread unpinned. */
static void pin_to(pthread_t thread, uint32_t i)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) == 0)
        return;
    uint32_t wanted = i % (uint32_t)CPU_COUNT(&all);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || wanted-- != 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)pthread_setaffinity_np(thread, sizeof one, &one);
        return;
    }
}

mv_pool *mv_pool_open(uint32_t n_threads, bool pin)
{
    mv_pool *p = aligned_alloc(_Alignof(mv_pool), sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (mv_pool){.n_threads = n_threads, .pinned = pin, .owner = getpid()};
    p->workers = calloc(n_threads, sizeof *p->workers);
    p->places = calloc(n_threads, sizeof *p->places);
    bool ok = p->workers != NULL && p->places != NULL;
    for (uint32_t i = 0; ok && i < n_threads; i++)
        atomic_init(&p->places[i], -1);
    for (uint32_t i = 1; ok && i < n_threads; i++) {
        mv_worker *w = &p->workers[i];
        w->pool = p;
        w->number = i;
        w->started = ok = pthread_create(&w->thread, NULL, work, w) == 0;
        if (ok && pin)
            pin_to(w->thread, i);
    }
    if (ok)
        return p;
    mv_pool_close(p);
    return NULL;
}

void mv_pool_close(mv_pool *p)
{
    if (p == NULL)
        return;
    atomic_store(&p->closing, 1);
    atomic_fetch_add(&p->job, 1);
    wake_all(&p->job);
    for (uint32_t i = 1; p->workers != NULL && i < p->n_threads; i++) {
        if (p->workers[i].started && p->owner == getpid())
            (void)pthread_join(p->workers[i].thread, NULL);
    }
    free(p->places);
    free(p->workers);
    free(p);
}

uint32_t mv_pool_n_threads(const mv_pool *p)
{
    return p->n_threads;
}
