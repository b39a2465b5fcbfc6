/* gemm_lt.c - see gemm_lt.h. Sums in float32, no split of k that is joined in another type or
 * order: cuBLASLt promises equal bits for equal calls with a workspace of one's own. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/gemm_lt_private.h"

static void *open_library(void)
{
    static const char *const names[] = {"libcublasLt.so.13",
                                        MV_CUDA_ROOT "/lib64/libcublasLt.so.13",
                                        MV_CUDA_ROOT "/lib/libcublasLt.so.13"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static bool find_functions(mv_lt *lt)
{
    bool found = true;
#define FIND(f)                                                                                    \
    {                                                                                              \
        void *symbol = dlsym(lt->library, #f);                                                     \
        memcpy(&lt->f, &symbol, sizeof symbol);                                                    \
        found = found && symbol != NULL;                                                           \
    }
    MV_LT_FUNCTIONS(FIND)
    return found;
}

mv_code mv_lt_open(mv_lt **out, uint32_t tune, char *name, size_t name_size, mv_error *error)
{
    mv_lt *lt = calloc(1, sizeof *lt);
    if (lt == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "cuda: no memory for cuBLASLt's shapes");
    lt->library = open_library();
    if (lt->library == NULL || !find_functions(lt)) {
        mv_lt_close(lt);
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "cuda: libcublasLt.so.13 was not found (searched LD_LIBRARY_PATH and %s); "
                       "install cuBLAS 13",
                       MV_CUDA_ROOT);
    }
    if (lt->cublasLtCreate(&lt->handle) != CUBLAS_STATUS_SUCCESS ||
        cudaMalloc(&lt->workspace, MV_LT_WORKSPACE) != cudaSuccess) {
        mv_lt_close(lt);
        return mv_fail(error, MV_ERR_MEMORY, "cuda: no room for cuBLASLt and its %d MiB",
                       MV_LT_WORKSPACE >> 20);
    }
    lt->tune = tune < MV_LT_CHOICES ? tune : MV_LT_CHOICES;
    const size_t version = lt->cublasLtGetVersion();
    (void)snprintf(name, name_size, "cuBLASLt %zu.%zu.%zu", version / 10000, version / 100 % 100,
                   version % 100);
    *out = lt;
    return MV_OK;
}

static void free_shape(const mv_lt *lt, const mv_lt_shape *s)
{
    if (s->how != NULL)
        (void)lt->cublasLtMatmulDescDestroy(s->how);
    if (s->w != NULL)
        (void)lt->cublasLtMatrixLayoutDestroy(s->w);
    if (s->x != NULL)
        (void)lt->cublasLtMatrixLayoutDestroy(s->x);
    if (s->y != NULL)
        (void)lt->cublasLtMatrixLayoutDestroy(s->y);
}

/* The library stays: to unload it while its threads end is asking for trouble. */
void mv_lt_close(mv_lt *lt)
{
    if (lt == NULL)
        return;
    for (size_t i = 0; i < lt->n_shapes; i++)
        free_shape(lt, &lt->shapes[i]);
    if (lt->workspace != NULL)
        (void)cudaFree(lt->workspace);
    if (lt->handle != NULL)
        (void)lt->cublasLtDestroy(lt->handle);
    free(lt);
}

/* cuBLASLt counts by columns: y^T [n_out, n_rows] = w [n_in, n_out]^T x [n_in, n_rows]. */
static bool describe_shape(const mv_lt *lt, mv_lt_shape *s)
{
    const mv_gemm *g = &s->gemm;
    const cudaDataType_t in = g->dtype == MV_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cudaDataType_t out = g->y_f32 ? CUDA_R_32F : in;
    const cublasOperation_t turned = CUBLAS_OP_T;
    return lt->cublasLtMatmulDescCreate(&s->how, CUBLAS_COMPUTE_32F, CUDA_R_32F) ==
               CUBLAS_STATUS_SUCCESS &&
           lt->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_TRANSA, &turned,
                                              sizeof turned) == CUBLAS_STATUS_SUCCESS &&
           lt->cublasLtMatrixLayoutCreate(&s->w, in, g->n_in, g->n_out, (int64_t)g->ldw) ==
               CUBLAS_STATUS_SUCCESS &&
           lt->cublasLtMatrixLayoutCreate(&s->x, in, g->n_in, g->n_rows, (int64_t)g->ldx) ==
               CUBLAS_STATUS_SUCCESS &&
           lt->cublasLtMatrixLayoutCreate(&s->y, out, g->n_out, g->n_rows, (int64_t)g->ldy) ==
               CUBLAS_STATUS_SUCCESS;
}

/* A call for a shape that is not kept makes room by forgetting all of them. */
static const mv_lt_shape *shape_of(mv_lt *lt, const mv_gemm *gemm, void *stream)
{
    for (size_t i = 0; i < lt->n_shapes; i++) {
        if (mv_gemm_is_like(&lt->shapes[i].gemm, gemm))
            return &lt->shapes[i];
    }
    if (lt->n_shapes == MV_LT_SHAPES) {
        for (size_t i = 0; i < lt->n_shapes; i++)
            free_shape(lt, &lt->shapes[i]);
        lt->n_shapes = 0;
    }
    mv_lt_shape *s = &lt->shapes[lt->n_shapes];
    memset(s, 0, sizeof *s);
    s->gemm = *gemm;
    s->gemm.x = s->gemm.w = s->gemm.y = NULL;
    if (!describe_shape(lt, s) || !mv_lt_choose(lt, s, gemm, stream)) {
        free_shape(lt, s);
        return NULL;
    }
    lt->n_shapes++;
    return s;
}

const char *mv_lt_multiply(mv_lt *lt, const mv_gemm *g, void *stream)
{
    const float one = 1, added = g->add ? 1 : 0;
    const mv_lt_shape *s = shape_of(lt, g, stream);
    if (s == NULL)
        return "cuBLASLt has no algorithm for a product";
    const cublasStatus_t status = lt->cublasLtMatmul(
        lt->handle, s->how, &one, g->w, s->w, g->x, s->x, &added, g->y, s->y, g->y, s->y,
        &s->algorithm, lt->workspace, MV_LT_WORKSPACE, (cudaStream_t)stream);
    return status == CUBLAS_STATUS_SUCCESS ? NULL : "cublasLtMatmul failed";
}
