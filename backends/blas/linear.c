/* linear.c - y = x W^T: few rows through gemv(), many through the GEMM's provider. */
#include <string.h>

#include "backends/blas/engine.h"

/* A job's items are the slabs of the first product, then of the second ... */
typedef struct linear_job {
    mv_engine *e;
    const mv_product *products;
    size_t n_products;
    const float *x;
    size_t n_rows, row; /* rows row ... row + n_rows - 1 of x and y */
    bool few;
} linear_job;

/* About a megabyte of weights, which keeps a memory stream going; an eighth if that is less. */
static size_t slab_of(const linear_job *job, const mv_tensor *w)
{
    const size_t n = w->shape[0], k = w->shape[1];
    if (!job->few)
        return job->e->gemm.provider->slab(&job->e->gemm, n, k);
    size_t slab = (1u << 20) / (k * (w->dtype == MV_DTYPE_F32 ? 4 : 2) + 1) + 1;
    if (slab > n / 8 + 1)
        slab = n / 8 + 1;
    return (slab + 7) / 8 * 8;
}

static void few_rows(const linear_job *job, const mv_product *product, size_t from, size_t to)
{
    const mv_engine *e = job->e;
    const mv_tensor *w = product->weight;
    const size_t n = w->shape[0], k = w->shape[1], size = w->dtype == MV_DTYPE_F32 ? 4 : 2;
    e->kernels->gemv(product->y + job->row * n + from, n, e->few_rows, k, job->n_rows,
                     (const char *)w->data + from * k * size, w->dtype, k, to - from, k, e->bf16);
}

static void multiply_slab(void *arg, size_t item, uint32_t worker)
{
    const linear_job *job = arg;
    const mv_product *product = job->products;
    for (;; product++) {
        size_t slab = slab_of(job, product->weight), n = product->weight->shape[0];
        size_t n_slabs = (n + slab - 1) / slab;
        if (item >= n_slabs) {
            item -= n_slabs;
            continue;
        }
        size_t from = item * slab, to = n - from < slab ? n : from + slab;
        if (job->few)
            few_rows(job, product, from, to);
        else
            job->e->gemm.provider->multiply(&job->e->gemm, product->y + job->row * n, n,
                                            job->x + job->row * product->weight->shape[1],
                                            job->n_rows, product->weight, from, to, worker);
        return;
    }
}

static void prepare_part(void *arg, size_t item, uint32_t worker)
{
    const linear_job *job = arg;
    const size_t k = job->products[0].weight->shape[1];
    (void)worker;
    job->e->gemm.provider->prepare(&job->e->gemm, job->x + job->row * k, job->n_rows, k, item);
}

/* On this thread where it is not worth waking the others. */
static void run(mv_engine *e, size_t n_items, double operations, mv_pool_fn fn, linear_job *job)
{
    if (operations > 100e3) {
        mv_pool_run(e->pool, n_items, fn, job);
        return;
    }
    for (size_t i = 0; i < n_items; i++)
        fn(job, i, 0);
}

static void multiply_rows(linear_job *job)
{
    mv_engine *e = job->e;
    const mv_tensor *first = job->products[0].weight;
    const size_t k = first->shape[1];
    size_t n_slabs = 0;
    double outputs = 0;
    job->few = job->n_rows <= MV_GEMV_MAX_ROWS;
    for (size_t i = 0; i < job->n_products; i++) {
        const mv_tensor *w = job->products[i].weight;
        size_t slab = slab_of(job, w);
        n_slabs += (w->shape[0] + slab - 1) / slab;
        outputs += (double)w->shape[0];
        e->work.weight_bytes += w->size_bytes;
        e->work.calls++;
    }
    if (job->few) {
        for (size_t t = 0; t < job->n_rows; t++)
            e->kernels->prepare_x(e->few_rows + t * k, job->x + (job->row + t) * k, k, first->dtype,
                                  e->bf16);
    } else {
        run(e, e->gemm.provider->n_parts(&e->gemm, k), (double)(job->n_rows * k), prepare_part,
            job);
    }
    run(e, n_slabs, (double)job->n_rows * (double)k * outputs, multiply_slab, job);
}

/* x is prepared for one data type of weights: products of another type go alone. */
void mv_linear(mv_engine *e, const mv_product *products, size_t n_products, const float *x,
               size_t n_rows)
{
    for (size_t i = 0, n; i < n_products; i += n) {
        n = 1;
        while (i + n < n_products && products[i + n].weight->dtype == products[i].weight->dtype)
            n++;
        linear_job job = {.e = e, .products = products + i, .n_products = n, .x = x};
        for (job.row = 0; job.row < n_rows; job.row += job.n_rows) {
            size_t left = n_rows - job.row;
            job.n_rows = left < MV_GEMM_MAX_ROWS ? left : MV_GEMM_MAX_ROWS;
            multiply_rows(&job);
        }
    }
}
