/* gemm_own.c - a GEMM that packs weights as it goes, so that nothing permanent is repacked.
 *
 * k is cut into blocks of BLOCK_K. For each block, a group of panels of W (in the second-level
 * cache) meets x some rows at a time (in the same cache): a panel stays in the first level while
 * those rows pass. Packing W costs about 1 / m of the products, and so this is for many rows.
 */
#include "backends/blas/gemm.h"

#include <string.h>

enum { BLOCK_K = 256, SHORT_K = 512, BLOCK_ROWS = 96, PANELS_IN_GROUP = 8 };

/* A block is also how many products are summed one after the other, which is where a sum loses its
 * last bits: where k is short, so are the blocks. A multiple of 2, for pairs. */
static size_t block_of(size_t k)
{
    return k > SHORT_K ? BLOCK_K : (k / 8 + 8) / 8 * 8;
}

static const mv_panels *panels_of(const mv_gemm *g)
{
    return g->kernels->panels[g->bf16];
}

static const char *refuse_never(const mv_openblas *blas, bool bf16)
{
    (void)blas, (void)bf16;
    return NULL;
}

static size_t n_blocks(const mv_gemm *g, size_t k)
{
    (void)g;
    return (k + block_of(k) - 1) / block_of(k);
}

static size_t rounded_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

/* Blocks are laid out one after the other, each as if it were of full width. */
static size_t x_room(const mv_gemm *g, size_t k)
{
    return rounded_up(MV_GEMM_MAX_ROWS, panels_of(g)->mr) * n_blocks(g, k) * block_of(k);
}

/* A group of panels, and the sums of all rows with it. */
static size_t worker_room(const mv_gemm *g, size_t n, size_t k)
{
    (void)n, (void)k;
    return PANELS_IN_GROUP * panels_of(g)->nr * (BLOCK_K + MV_GEMM_MAX_ROWS);
}

static size_t slab(const mv_gemm *g, size_t n, size_t k)
{
    (void)n, (void)k;
    return PANELS_IN_GROUP * panels_of(g)->nr;
}

static float *x_block(const mv_gemm *g, size_t m, size_t k, size_t block)
{
    return g->x + block * rounded_up(m, panels_of(g)->mr) * block_of(k);
}

static size_t width_of(size_t k, size_t block)
{
    size_t rest = k - block * block_of(k);
    return rest < block_of(k) ? rest : block_of(k);
}

static void prepare(const mv_gemm *g, const float *x, size_t m, size_t k, size_t part)
{
    panels_of(g)->pack_x(x_block(g, m, k, part), x + part * block_of(k), k, m, width_of(k, part));
}

/* Rows from ... to - 1 of x with every panel of a group.   w: [n_panels][packed_k][nr]
 * sums: [n_panels][m][nr] */
static void multiply_rows(const mv_panels *p, float *sums, size_t m, const float *x, const float *w,
                          size_t width, size_t from, size_t to, size_t n, bool add)
{
    const size_t packed = p->packed_k(width);
    for (size_t j = 0; j < n; j += p->nr) {
        for (size_t t = from; t < to; t += p->mr)
            p->tile(sums + j * m + t * p->nr, p->nr, x + t * packed, w + j * packed, width,
                    to - t < p->mr ? to - t : p->mr, n - j < p->nr ? n - j : p->nr, add);
    }
}

/* sums to y [m, n] */
static void store(float *y, size_t y_stride, const float *sums, size_t m, size_t n, size_t nr)
{
    for (size_t t = 0; t < m; t++) {
        for (size_t j = 0; j < n; j += nr)
            memcpy(y + t * y_stride + j, sums + j * m + t * nr,
                   (n - j < nr ? n - j : nr) * sizeof *y);
    }
}

static void multiply(const mv_gemm *g, float *y, size_t y_stride, const float *x, size_t m,
                     const mv_tensor *w, size_t from, size_t to, uint32_t worker)
{
    const mv_panels *p = panels_of(g);
    const size_t k = w->shape[1], size = w->dtype == MV_DTYPE_F32 ? 4 : 2;
    float *group = g->scratch + worker * g->scratch_stride;
    float *sums = group + PANELS_IN_GROUP * p->nr * BLOCK_K;
    (void)x; /* packed already */
    for (size_t block = 0; block < n_blocks(g, k); block++) {
        const size_t width = width_of(k, block), packed = p->packed_k(width);
        const char *rows = (const char *)w->data + (from * k + block * block_of(k)) * size;
        for (size_t j = 0; j < to - from; j += p->nr)
            p->pack_w(group + j * packed, rows + j * k * size, w->dtype, k,
                      to - from - j < p->nr ? to - from - j : p->nr, width);
        for (size_t t = 0; t < m; t += BLOCK_ROWS)
            multiply_rows(p, sums, m, x_block(g, m, k, block), group, width, t,
                          m - t < BLOCK_ROWS ? m : t + BLOCK_ROWS, to - from, block > 0);
    }
    store(y + from, y_stride, sums, m, to - from, p->nr);
}

const mv_gemm_provider mv_gemm_own = {
    .name = "own",
    .summary = "packs weights on the fly, for the ISA in use",
    .refuse = refuse_never,
    .x_room = x_room,
    .worker_room = worker_room,
    .n_parts = n_blocks,
    .prepare = prepare,
    .slab = slab,
    .multiply = multiply,
};

/* The same with the kernels of every CPU: the engine sets those when this one is chosen. */
const mv_gemm_provider mv_gemm_generic = {
    .name = "generic",
    .summary = "the same, in plain C vectors",
    .refuse = refuse_never,
    .x_room = x_room,
    .worker_room = worker_room,
    .n_parts = n_blocks,
    .prepare = prepare,
    .slab = slab,
    .multiply = multiply,
};
