/* blas_speed.c - the parts of the blas backend against their limits, on one thread; not a test.
 *
 * usage: blas_speed [ROWS]      (default 512)
 * Prints, for the shapes of Mistral-7B: GF/s of OpenBLAS alone on float32 weights, and of each
 * provider on bfloat16 weights; GB/s of weights in decode, and of a loop that only reads them.
 * Times are the thread's own CPU time, alternating, the best of REPEATS: what others take is not
 * counted, but the caches and the memory that they use are. Results go to docs/SPEED.md with date
 * and machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/blas/gemm.h"

enum { REPEATS = 5, MOST_N = 14336, MOST_K = 14336, MOST_WEIGHTS = 14336 * 4096 };

static const size_t shapes[][2] = {{4096, 4096}, {1024, 4096}, {14336, 4096}, {4096, 14336}};

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct work {
    mv_gemm gemm;
    float *x, *y, *w32;
    uint16_t *w16;
    size_t m, n, k;
} work;

static void alone(work *w)
{
    w->gemm.blas->sgemm(MV_CBLAS_ROW_MAJOR, MV_CBLAS_NO_TRANS, MV_CBLAS_TRANS, (int)w->m, (int)w->n,
                        (int)w->k, 1, w->x, (int)w->k, w->w32, (int)w->k, 0, w->y, (int)w->n);
}

static void provider(work *w)
{
    const mv_gemm *g = &w->gemm;
    const mv_tensor t = {"w", w->w16, {w->n, w->k}, 2 * w->n * w->k, 2, MV_DTYPE_BF16};
    for (size_t i = 0; i < g->provider->n_parts(g, w->k); i++)
        g->provider->prepare(g, w->x, w->m, w->k, i);
    size_t slab = g->provider->slab(g, w->n, w->k);
    for (size_t j = 0; j < w->n; j += slab)
        g->provider->multiply(g, w->y, w->n, w->x, w->m, &t, j, w->n - j < slab ? w->n : j + slab,
                              0);
}

static void decode(work *w)
{
    w->gemm.kernels->prepare_x(w->y + w->n * w->m, w->x, w->k, MV_DTYPE_BF16, false);
    w->gemm.kernels->gemv(w->y, w->n, w->y + w->n * w->m, w->k, w->m, w->w16, MV_DTYPE_BF16, w->k,
                          w->n, w->k, false);
}

static volatile uint64_t sink;

static void only_read(work *w)
{
    typedef uint64_t quad __attribute__((vector_size(32), aligned(32), may_alias));
    const quad *from = (const quad *)(const void *)w->w16;
    quad sums[4] = {0};
    for (size_t i = 0; i + 4 <= w->n * w->k * 2 / sizeof *from; i += 4) {
        for (size_t j = 0; j < 4; j++)
            sums[j] += from[i + j];
    }
    quad all = sums[0] + sums[1] + sums[2] + sums[3];
    sink = all[0] + all[1] + all[2] + all[3];
}

static double seconds(void (*run)(work *), work *w)
{
    double start = now();
    run(w);
    return now() - start;
}

static void keep_least(double *least, double value)
{
    if (*least == 0 || value < *least)
        *least = value;
}

static void compare_prefill(work *w)
{
    double blas = 0, sgemm = 0, own = 0, own_bf16 = 0, work_done;
    for (int i = 0; i < REPEATS; i++) {
        keep_least(&blas, seconds(alone, w));
        w->gemm.provider = &mv_gemm_sgemm;
        keep_least(&sgemm, seconds(provider, w));
        w->gemm.provider = &mv_gemm_own;
        keep_least(&own, seconds(provider, w));
        w->gemm.bf16 = true;
        keep_least(&own_bf16, seconds(provider, w));
        w->gemm.bf16 = false;
    }
    work_done = 2e-9 * (double)w->m * (double)w->n * (double)w->k;
    printf("prefill %4zu x %5zu x %5zu: OpenBLAS alone %5.1f GF/s, sgemm %5.1f (%3.0f %%), own f32 "
           "%5.1f, own bf16 %5.1f\n",
           w->m, w->n, w->k, work_done / blas, work_done / sgemm, 100 * blas / sgemm,
           work_done / own, work_done / own_bf16);
}

static void compare_decode(work *w)
{
    static const size_t rows[] = {1, 2, 4, 8, 16};
    double read = 0, taken[5] = {0}, bytes = 2e-9 * (double)w->n * (double)w->k;
    for (int i = 0; i < REPEATS; i++) {
        keep_least(&read, seconds(only_read, w));
        for (size_t j = 0; j < 5; j++) {
            w->m = rows[j];
            keep_least(&taken[j], seconds(decode, w));
        }
    }
    printf("decode  %5zu x %5zu: reading %4.1f GB/s;", w->n, w->k, bytes / read);
    for (size_t j = 0; j < 5; j++)
        printf(" %zu rows %4.1f (%3.0f %%)", rows[j], bytes / taken[j], 100 * read / taken[j]);
    printf("\n");
}

int main(int argc, char **argv)
{
    mv_error error;
    work w = {.gemm = {.kernels = mv_kernels_get(mv_isa_best())}};
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 512;
    if (rows == 0 || rows > MV_GEMM_MAX_ROWS || mv_openblas_get(&w.gemm.blas, &error) != MV_OK) {
        (void)fprintf(stderr, "usage: blas_speed [ROWS], 1 ... %d, and OpenBLAS\n",
                      MV_GEMM_MAX_ROWS);
        return 2;
    }
    w.x = calloc((size_t)MV_GEMM_MAX_ROWS * MOST_K, sizeof(float));
    w.y = calloc((size_t)MV_GEMM_MAX_ROWS * MOST_N * 2, sizeof(float));
    w.w32 = calloc(MOST_WEIGHTS, sizeof(float));
    w.w16 = aligned_alloc(64, (size_t)MOST_WEIGHTS * 2);
    w.gemm.x = calloc((size_t)MV_GEMM_MAX_ROWS * (MOST_K + 256), sizeof(float));
    w.gemm.scratch = calloc((size_t)1024 * MOST_K, sizeof(float));
    if (!w.x || !w.y || !w.w32 || !w.w16 || !w.gemm.x || !w.gemm.scratch)
        return 1;
    for (size_t i = 0; i < (size_t)MV_GEMM_MAX_ROWS * MOST_K; i++)
        w.x[i] = (float)(i % 97) - 48;
    for (size_t i = 0; i < MOST_WEIGHTS; i++) {
        w.w32[i] = (float)(i % 31) - 15;
        w.w16[i] = (uint16_t)(0x3c00 + i % 512);
    }
    printf("isa %s, OpenBLAS core %s\n", w.gemm.kernels->isa, w.gemm.blas->core);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        w.n = shapes[i][0], w.k = shapes[i][1], w.m = rows;
        compare_prefill(&w);
        compare_decode(&w);
    }
    free(w.x), free(w.y), free(w.w32), free(w.w16), free(w.gemm.x), free(w.gemm.scratch);
    return 0;
}
