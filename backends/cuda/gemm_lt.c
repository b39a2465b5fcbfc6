/* gemm_lt.c - see gemm_lt.h. Sums in float32, no split of k that is joined in another type or
 * order: cuBLASLt promises equal bits for equal calls with a workspace of one's own. */
#include "backends/cuda/gemm_lt.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_BYTES = 32 << 20, SHAPES_MOST = 256 };

/* The functions of the library, by name. */
#define FUNCTIONS(F)                                                                               \
    F(cublasLtCreate)                                                                              \
    F(cublasLtDestroy)                                                                             \
    F(cublasLtGetVersion)                                                                          \
    F(cublasLtMatmul)                                                                              \
    F(cublasLtMatmulAlgoGetHeuristic)                                                              \
    F(cublasLtMatmulDescCreate)                                                                    \
    F(cublasLtMatmulDescDestroy)                                                                   \
    F(cublasLtMatmulDescSetAttribute)                                                              \
    F(cublasLtMatmulPreferenceCreate)                                                              \
    F(cublasLtMatmulPreferenceDestroy)                                                             \
    F(cublasLtMatmulPreferenceSetAttribute)                                                        \
    F(cublasLtMatrixLayoutCreate)                                                                  \
    F(cublasLtMatrixLayoutDestroy)

/* The algorithm of a shape. */
typedef struct shape {
    mv_gemm gemm; /* pointers NULL */
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
} shape;

struct mv_lt {
    void *library;
#define DECLARE(f) __typeof__(&f) f;
    FUNCTIONS(DECLARE)
    cublasLtHandle_t handle;
    void *workspace;
    shape shapes[SHAPES_MOST];
    size_t n_shapes;
};

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
    FUNCTIONS(FIND)
    return found;
}

mv_code mv_lt_open(mv_lt **out, char *name, size_t name_size, mv_error *error)
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
        cudaMalloc(&lt->workspace, WORKSPACE_BYTES) != cudaSuccess) {
        mv_lt_close(lt);
        return mv_fail(error, MV_ERR_MEMORY, "cuda: no room for cuBLASLt and its %d MiB",
                       WORKSPACE_BYTES >> 20);
    }
    const size_t version = lt->cublasLtGetVersion();
    (void)snprintf(name, name_size, "cuBLASLt %zu.%zu.%zu", version / 10000, version / 100 % 100,
                   version % 100);
    *out = lt;
    return MV_OK;
}

static void free_shape(const mv_lt *lt, const shape *s)
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
static bool describe_shape(const mv_lt *lt, shape *s)
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

static bool choose_algorithm(const mv_lt *lt, shape *s)
{
    const size_t room = WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    const uint32_t alignment = 16; /* of a row of y, or of a row that logits begin at */
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t best;
    int n = 0;
    memset(&best, 0, sizeof best);
    if (lt->cublasLtMatmulPreferenceCreate(&wish) != CUBLAS_STATUS_SUCCESS)
        return false;
    const struct {
        cublasLtMatmulPreferenceAttributes_t what;
        const void *value;
        size_t size;
    } wishes[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, sizeof room},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment, sizeof alignment},
    };
    bool good = true;
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        good = good &&
               lt->cublasLtMatmulPreferenceSetAttribute(wish, wishes[i].what, wishes[i].value,
                                                        wishes[i].size) == CUBLAS_STATUS_SUCCESS;
    good = good && lt->cublasLtMatmulAlgoGetHeuristic(lt->handle, s->how, s->w, s->x, s->y, s->y,
                                                      wish, 1, &best, &n) == CUBLAS_STATUS_SUCCESS;
    (void)lt->cublasLtMatmulPreferenceDestroy(wish);
    s->algorithm = best.algo;
    return good && n == 1;
}

static bool is_same(const mv_gemm *a, const mv_gemm *b)
{
    return a->dtype == b->dtype && a->y_f32 == b->y_f32 && a->add == b->add && a->ldx == b->ldx &&
           a->ldw == b->ldw && a->ldy == b->ldy && a->n_rows == b->n_rows && a->n_out == b->n_out &&
           a->n_in == b->n_in;
}

/* A call for a shape that is not kept makes room by forgetting all of them. */
static const shape *shape_of(mv_lt *lt, const mv_gemm *gemm)
{
    for (size_t i = 0; i < lt->n_shapes; i++) {
        if (is_same(&lt->shapes[i].gemm, gemm))
            return &lt->shapes[i];
    }
    if (lt->n_shapes == SHAPES_MOST) {
        for (size_t i = 0; i < lt->n_shapes; i++)
            free_shape(lt, &lt->shapes[i]);
        lt->n_shapes = 0;
    }
    shape *s = &lt->shapes[lt->n_shapes];
    memset(s, 0, sizeof *s);
    s->gemm = *gemm;
    if (!describe_shape(lt, s) || !choose_algorithm(lt, s)) {
        free_shape(lt, s);
        return NULL;
    }
    lt->n_shapes++;
    return s;
}

const char *mv_lt_multiply(mv_lt *lt, const mv_gemm *g, void *stream)
{
    const float one = 1, added = g->add ? 1 : 0;
    const shape *s = shape_of(lt, g);
    if (s == NULL)
        return "cuBLASLt has no algorithm for a product";
    const cublasStatus_t status = lt->cublasLtMatmul(
        lt->handle, s->how, &one, g->w, s->w, g->x, s->x, &added, g->y, s->y, g->y, s->y,
        &s->algorithm, lt->workspace, WORKSPACE_BYTES, (cudaStream_t)stream);
    return status == CUBLAS_STATUS_SUCCESS ? NULL : "cublasLtMatmul failed";
}
