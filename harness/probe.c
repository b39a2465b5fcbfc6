/* probe.c - loops that a compiler must not take apart: their results are used. */
#include "harness/probe.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MAX_THREADS 256
#define TRIAL_NS 8000000 /* long against a thread's start, short against a time slice */
#define N_TRIALS 3
#define HUGE_PAGE ((size_t)2 << 20)

/* ---- arithmetic ---- */

/* Each loop does n rounds of 12 independent multiply-adds: enough to hide a latency of 4 cycles on
 * two or three units. x = x * a + b stays near b / (1 - a). */
#define N_CHAINS 12

static float fma_portable(uint64_t n)
{
    float x[N_CHAINS] = {0};
    for (uint64_t i = 0; i < n; i++)
        for (int j = 0; j < N_CHAINS; j++)
            x[j] = x[j] * 0.999f + 0.5f;
    for (int j = 1; j < N_CHAINS; j++)
        x[0] += x[j];
    return x[0];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static float fma_256(uint64_t n)
{
    __m256 x[N_CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.5f);
    for (int j = 0; j < N_CHAINS; j++)
        x[j] = _mm256_set1_ps((float)j);
    for (uint64_t i = 0; i < n; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < N_CHAINS; j++)
            x[j] = _mm256_fmadd_ps(x[j], a, b);
    }
#pragma GCC unroll 12
    for (int j = 1; j < N_CHAINS; j++)
        x[0] = _mm256_add_ps(x[0], x[j]);
    return _mm256_cvtss_f32(x[0]);
}

__attribute__((target("avx512f"))) static float fma_512(uint64_t n)
{
    __m512 x[N_CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.5f);
    for (int j = 0; j < N_CHAINS; j++)
        x[j] = _mm512_set1_ps((float)j);
    for (uint64_t i = 0; i < n; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < N_CHAINS; j++)
            x[j] = _mm512_fmadd_ps(x[j], a, b);
    }
#pragma GCC unroll 12
    for (int j = 1; j < N_CHAINS; j++)
        x[0] = _mm512_add_ps(x[0], x[j]);
    return _mm512_cvtss_f32(x[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static float dot_bf16_512(uint64_t n)
{
    __m512 x[N_CHAINS];
    __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
    for (int j = 0; j < N_CHAINS; j++)
        x[j] = _mm512_set1_ps((float)j);
    for (uint64_t i = 0; i < n; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < N_CHAINS; j++)
            x[j] = _mm512_dpbf16_ps(x[j], a, a);
    }
#pragma GCC unroll 12
    for (int j = 1; j < N_CHAINS; j++)
        x[0] = _mm512_add_ps(x[0], x[j]);
    return _mm512_cvtss_f32(x[0]);
}
#endif

typedef struct arithmetic {
    float (*loop)(uint64_t n);
    double flops_a_round;
    const char *name;
} arithmetic;

static arithmetic widest_fma(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (arithmetic){fma_512, 2.0 * 16 * N_CHAINS, "512-bit FMA"};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (arithmetic){fma_256, 2.0 * 8 * N_CHAINS, "256-bit FMA"};
#endif
    return (arithmetic){fma_portable, 2.0 * N_CHAINS, "compiled multiply-adds"};
}

static arithmetic widest_bf16(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"))
        return (arithmetic){dot_bf16_512, 4.0 * 16 * N_CHAINS, "512-bit bf16 dot"};
#endif
    return (arithmetic){NULL, 0, ""};
}

/* ---- reads ---- */

/* Vectors of 32 bytes: wider ones read no faster from anything but the first cache. */
typedef uint64_t words __attribute__((vector_size(32), aligned(32), may_alias));

#if defined(__x86_64__)
#define WITH_AVX2 __attribute__((target("avx2")))
#else
#define WITH_AVX2
#endif

/* Four streams, for the prefetchers; two sums each, for the latency of an addition. */
#define SUM_STREAMS                                                                                \
    const words *from = data;                                                                      \
    const size_t n = size / sizeof *from / 4;                                                      \
    words s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, t0 = {0}, t1 = {0}, t2 = {0}, t3 = {0};          \
    for (size_t i = 0; i < n; i += 2) {                                                            \
        s0 += from[i], t0 += from[i + 1];                                                          \
        s1 += from[n + i], t1 += from[n + i + 1];                                                  \
        s2 += from[2 * n + i], t2 += from[2 * n + i + 1];                                          \
        s3 += from[3 * n + i], t3 += from[3 * n + i + 1];                                          \
    }                                                                                              \
    s0 += s1 + s2 + s3 + t0 + t1 + t2 + t3;                                                        \
    return s0[0] + s0[1] + s0[2] + s0[3];

static uint64_t sum_words(const void *data, size_t size){SUM_STREAMS}

WITH_AVX2 static uint64_t sum_words_256(const void *data, size_t size)
{
    SUM_STREAMS
}

static uint64_t (*widest_sum(void))(const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return sum_words_256;
#endif
    (void)sum_words_256;
    return sum_words;
}

/* ---- trials ---- */

enum { WAIT, GO, ABANDON };

/* One thread's part of a trial: repeats its piece of work until the time is over. */
typedef struct worker {
    const arithmetic *work; /* or, if NULL, reads: */
    uint64_t (*sum)(const void *data, size_t size);
    const char *data;
    size_t size;
    atomic_int *signal; /* NULL: go at once */
    double rate;        /* flops or bytes a second */
    uint64_t sink;
} worker;

static double repeat(worker *w)
{
    const uint64_t n_rounds = 4096;
    const double amount =
        w->work != NULL ? (double)n_rounds * w->work->flops_a_round : (double)(w->size / 256 * 256);
    const int64_t start_ns = mv_clock_wall_ns();
    int64_t elapsed_ns = 0;
    double done = 0;
    while (elapsed_ns < TRIAL_NS) {
        for (int i = 0; i < 4; i++) { /* a small working set must not be timed clock and all */
            if (w->work != NULL)
                w->sink += (uint64_t)w->work->loop(n_rounds);
            else
                w->sink += w->sum(w->data, w->size);
            done += amount;
            if (w->size > (size_t)1 << 20)
                break;
        }
        elapsed_ns = mv_clock_wall_ns() - start_ns;
    }
    return done / ((double)elapsed_ns * 1e-9);
}

static void *run_worker(void *arg)
{
    worker *w = arg;
    int signal = w->signal != NULL ? WAIT : GO;
    while (signal == WAIT) {
        (void)sched_yield();
        signal = atomic_load(w->signal);
    }
    if (signal == GO)
        w->rate = repeat(w);
    return NULL;
}

/* Sum of the rates of n threads that work at the same time. NAN if they cannot all be started: the
 * probe then says "not known" and not "slow". */
static double one_trial(worker *workers, size_t n)
{
    pthread_t threads[MAX_THREADS];
    atomic_int signal = WAIT;
    size_t n_started = 1;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        workers[i].signal = &signal;
    while (n_started < n &&
           pthread_create(&threads[n_started], NULL, run_worker, &workers[n_started]) == 0)
        n_started++;
    atomic_store(&signal, n_started == n ? GO : ABANDON);
    if (n_started == n)
        (void)run_worker(&workers[0]);
    for (size_t i = 1; i < n_started; i++)
        (void)pthread_join(threads[i], NULL);
    for (size_t i = 0; i < n; i++)
        sum += workers[i].rate;
    return n_started == n ? sum : NAN;
}

/* The largest of some trials. */
static double best_rate(int64_t n_threads, const arithmetic *work, const char *data, size_t size)
{
    worker workers[MAX_THREADS];
    double best = NAN;
    const size_t n = n_threads > MAX_THREADS ? MAX_THREADS : (size_t)n_threads;
    const size_t part = size / n / 256 * 256;
    for (int trial = 0; trial < N_TRIALS; trial++) {
        for (size_t i = 0; i < n; i++)
            workers[i] = (worker){.work = work,
                                  .sum = widest_sum(),
                                  .data = data != NULL ? data + i * part : NULL,
                                  .size = part};
        best = fmax(one_trial(workers, n), best); /* fmax() passes over a NAN */
    }
    return best;
}

/* Touched memory in huge pages where there are any. Yours: free(). NULL with *error. */
static char *take_pages(size_t size, mv_error *error)
{
    const size_t most = (size + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    char *data = aligned_alloc(HUGE_PAGE, most);
    if (data == NULL) {
        (void)mv_fail(error, MV_ERR_MEMORY, "no memory to measure the read bandwidth: %zu bytes",
                      most);
        return NULL;
    }
    (void)madvise(data, most, MADV_HUGEPAGE);
    memset(data, 0x5a, most);
    return data;
}

static mv_code probe_reads(mv_ceilings *ceilings, mv_error *error)
{
    static const size_t mebibytes_4[] = {1, 4, 16, 64, 256, 1024}; /* quarters of a MiB */
    const uint64_t available = mv_machine_memory_available_bytes();
    size_t n = sizeof mebibytes_4 / sizeof *mebibytes_4;
    while (n > 1 && ((uint64_t)mebibytes_4[n - 1] << 18) > available / 8)
        n--;
    char *data = take_pages((size_t)(mebibytes_4[n - 1] << 18), error);
    if (data == NULL)
        return MV_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        size_t size = mebibytes_4[i] << 18;
        double rate = best_rate(ceilings->threads, NULL, data, size);
        if (rate > 0)
            ceilings->reads[ceilings->n_reads++] = (mv_read_point){(int64_t)size, rate};
    }
    free(data);
    return MV_OK;
}

mv_code mv_probe_ceilings(mv_ceilings *ceilings, int64_t n_threads, mv_error *error)
{
    mv_ceilings found = {.threads = n_threads, .flops_per_s = NAN, .bf16_flops_per_s = NAN};
    const arithmetic fma = widest_fma(), bf16 = widest_bf16();
    if (n_threads < 1)
        return mv_fail(error, MV_ERR_ARGUMENT, "ceilings of %lld threads, expected at least 1",
                       (long long)n_threads);
    found.flops_per_s = best_rate(n_threads, &fma, NULL, 0);
    if (bf16.loop != NULL)
        found.bf16_flops_per_s = best_rate(n_threads, &bf16, NULL, 0);
    mv_code code = probe_reads(&found, error);
    if (code != MV_OK)
        return code;
    (void)snprintf(found.how, sizeof found.how,
                   "measured: %s%s%s, streaming reads; %lld thread%s, best of %d", fma.name,
                   bf16.loop != NULL ? ", " : "", bf16.name, (long long)n_threads,
                   n_threads == 1 ? "" : "s", N_TRIALS);
    *ceilings = found;
    return MV_OK;
}

mv_code mv_probe_memory(double *read_bytes_per_s, const mv_ceilings *ceilings, mv_error *error)
{
    if (ceilings->n_reads == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "no read bandwidth was measured before");
    const size_t size = (size_t)ceilings->reads[ceilings->n_reads - 1].working_set_bytes;
    char *data = take_pages(size, error);
    if (data == NULL)
        return MV_ERR_MEMORY;
    *read_bytes_per_s = best_rate(ceilings->threads, NULL, data, size);
    free(data);
    return MV_OK;
}
