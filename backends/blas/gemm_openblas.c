/* gemm_openblas.c - OpenBLAS as a provider: each worker calls it, single-threaded, on its slab.
 *
 * OpenBLAS packs x again for every call, so slabs are wide: that costs about 16 / slab of the
 * products. Its own threads would wait for each other in a spin; ours do not.
 */
#include "backends/blas/gemm.h"

#include <string.h>

enum { LEAST_SLAB = 256, MOST_SLAB = 1024, PARTS = 16, SHORT_K = 512 };

/* An eighth of the outputs: some to share out on eight threads. */
static size_t slab(const mv_gemm *g, size_t n, size_t k)
{
    size_t eighth = (n / 8 + 63) / 64 * 64;
    (void)g, (void)k;
    return eighth < LEAST_SLAB ? LEAST_SLAB : eighth > MOST_SLAB ? MOST_SLAB : eighth;
}

static size_t worker_room(const mv_gemm *g, size_t n, size_t k)
{
    size_t most = slab(g, n, k);
    return (most < n ? most : n) * k;
}

static size_t x_room(const mv_gemm *g, size_t k)
{
    return g->bf16 ? MV_GEMM_MAX_ROWS * k : 0;
}

static size_t n_parts(const mv_gemm *g, size_t k)
{
    (void)k;
    return g->bf16 ? PARTS : 0;
}

/* ---- sgemm ---- */

static const char *refuse_sgemm(const mv_openblas *blas, bool bf16)
{
    (void)bf16;
    return blas == NULL ? "OpenBLAS is not loaded" : NULL;
}

static void prepare_rounded(const mv_gemm *g, const float *x, size_t m, size_t k, size_t part)
{
    size_t from = m * part / PARTS * k, to = m * (part + 1) / PARTS * k;
    g->kernels->round_bf16(g->x + from, x + from, to - from);
}

/* The slab's weights in float32: in place if that is what they are. */
static const float *weights(const mv_gemm *g, const mv_tensor *w, size_t from, size_t to,
                            uint32_t worker)
{
    const size_t k = w->shape[1], size = w->dtype == MV_DTYPE_F32 ? 4 : 2;
    const void *rows = (const char *)w->data + from * k * size;
    float *room = g->scratch + worker * g->scratch_stride;
    bool round = g->bf16 && w->dtype != MV_DTYPE_BF16;
    if (w->dtype == MV_DTYPE_F32 && !round)
        return rows;
    g->kernels->to_f32(room, rows, w->dtype, (to - from) * k);
    if (round)
        g->kernels->round_bf16(room, room, (to - from) * k);
    return room;
}

/* OpenBLAS sums up to some 300 products one after the other, which is where a sum loses its last
 * bits. That is nothing beside k = 4096; where k is short, it is called for pieces of it. */
static void multiply_sgemm(const mv_gemm *g, float *y, size_t y_stride, const float *x, size_t m,
                           const mv_tensor *w, size_t from, size_t to, uint32_t worker)
{
    const size_t k = w->shape[1], step = k > SHORT_K ? k : (k / 8 + 8) / 8 * 8;
    const float *a = g->bf16 ? g->x : x, *b = weights(g, w, from, to, worker);
    for (size_t i = 0; i < k; i += step) {
        size_t n = k - i < step ? k - i : step;
        g->blas->sgemm(MV_CBLAS_ROW_MAJOR, MV_CBLAS_NO_TRANS, MV_CBLAS_TRANS, (int)m,
                       (int)(to - from), (int)n, 1, a + i, (int)k, b + i, (int)k, i > 0 ? 1 : 0,
                       y + from, (int)y_stride);
    }
}

const mv_gemm_provider mv_gemm_sgemm = {
    .name = "sgemm",
    .summary = "OpenBLAS in float32, weights converted slab by slab",
    .refuse = refuse_sgemm,
    .x_room = x_room,
    .worker_room = worker_room,
    .n_parts = n_parts,
    .prepare = prepare_rounded,
    .slab = slab,
    .multiply = multiply_sgemm,
};

/* ---- sbgemm ---- */

/* On other cores it is emulated in plain C, at a fiftieth of the speed (docs/SPEED.md). */
static const char *refuse_sbgemm(const mv_openblas *blas, bool bf16)
{
    if (!bf16)
        return "it multiplies bfloat16, and the compute type is f32";
    if (blas == NULL || blas->sbgemm == NULL)
        return "the OpenBLAS found was built without cblas_sbgemm";
    if (mv_isa_of_blas_core(blas->core) < MV_ISA_AVX512BF16 || mv_isa_best() < MV_ISA_AVX512BF16)
        return "OpenBLAS has cblas_sbgemm, but emulates it on this core";
    return NULL;
}

static void prepare_bf16(const mv_gemm *g, const float *x, size_t m, size_t k, size_t part)
{
    size_t from = m * part / PARTS * k, to = m * (part + 1) / PARTS * k;
    g->kernels->to_bf16((uint16_t *)(void *)g->x + from, x + from, to - from);
}

/* In place if they are bfloat16; else converted, a row at a time through the end of the room. */
static const uint16_t *bf16_weights(const mv_gemm *g, const mv_tensor *w, size_t from, size_t to,
                                    uint32_t worker)
{
    const size_t k = w->shape[1], size = w->dtype == MV_DTYPE_F32 ? 4 : 2;
    const char *rows = (const char *)w->data + from * k * size;
    float *room = g->scratch + worker * g->scratch_stride;
    if (w->dtype == MV_DTYPE_BF16)
        return (const uint16_t *)(const void *)rows;
    for (size_t r = 0; r < to - from; r++) {
        float *row = room + ((to - from + 1) / 2) * k; /* beyond the converted ones */
        g->kernels->to_f32(row, rows + r * k * size, w->dtype, k);
        g->kernels->to_bf16((uint16_t *)(void *)room + r * k, row, k);
    }
    return (const uint16_t *)(void *)room;
}

/* Half of it for the slab in bfloat16, and a row. */
static size_t sbgemm_room(const mv_gemm *g, size_t n, size_t k)
{
    return worker_room(g, n, k) + 2 * k;
}

static void multiply_sbgemm(const mv_gemm *g, float *y, size_t y_stride, const float *x, size_t m,
                            const mv_tensor *w, size_t from, size_t to, uint32_t worker)
{
    const int k = (int)w->shape[1];
    (void)x;
    g->blas->sbgemm(MV_CBLAS_ROW_MAJOR, MV_CBLAS_NO_TRANS, MV_CBLAS_TRANS, (int)m, (int)(to - from),
                    k, 1, (const uint16_t *)(void *)g->x, k, bf16_weights(g, w, from, to, worker),
                    k, 0, y + from, (int)y_stride);
}

const mv_gemm_provider mv_gemm_sbgemm = {
    .name = "sbgemm",
    .summary = "OpenBLAS in bfloat16, weights in place",
    .refuse = refuse_sbgemm,
    .x_room = x_room,
    .worker_room = sbgemm_room,
    .n_parts = n_parts,
    .prepare = prepare_bf16,
    .slab = slab,
    .multiply = multiply_sbgemm,
};
