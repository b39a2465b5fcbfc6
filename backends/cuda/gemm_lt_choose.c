/* gemm_lt_choose.c - which of cublasLt's algorithms a shape gets: its first choice, or the fastest
 * of some that were timed on this GPU with the operands at hand.
 *
 * What was timed is kept for the whole process and never timed again: engines that are opened one
 * after the other must give the same bits. Another process may come to another choice, for two
 * algorithms that are equally fast; that is why timing has to be asked for.
 */
#include <pthread.h>
#include <string.h>

#include "backends/cuda/gemm_lt_private.h"

enum { ROUNDS = 5 };

static struct {
    pthread_mutex_t lock;
    struct {
        mv_gemm gemm;
        cublasLtMatmulAlgo_t algorithm;
        float first_ms, best_ms; /* of the library's first choice; of the one that was kept */
    } shapes[MV_LT_SHAPES];
    size_t n;
} timed = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What the library proposes, its first choice first. */
static int propose(const mv_lt *lt, const mv_lt_shape *s, cublasLtMatmulHeuristicResult_t *found,
                   int most)
{
    const size_t room = MV_LT_WORKSPACE;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    const uint32_t alignment = 16; /* of a row of y, or of a row that logits begin at */
    cublasLtMatmulPreference_t wish = NULL;
    int n = 0;
    if (lt->cublasLtMatmulPreferenceCreate(&wish) != CUBLAS_STATUS_SUCCESS)
        return 0;
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
    good =
        good && lt->cublasLtMatmulAlgoGetHeuristic(lt->handle, s->how, s->w, s->x, s->y, s->y, wish,
                                                   most, found, &n) == CUBLAS_STATUS_SUCCESS;
    (void)lt->cublasLtMatmulPreferenceDestroy(wish);
    return good ? n : 0;
}

/* Milliseconds of one product, or less than 0. */
static float time_one(const mv_lt *lt, const mv_lt_shape *s, const mv_gemm *g, void *y,
                      const cublasLtMatmulAlgo_t *algorithm, const cudaEvent_t *events,
                      cudaStream_t stream)
{
    const float one = 1, added = g->add ? 1 : 0;
    float ms = -1;
    if (cudaEventRecord(events[0], stream) != cudaSuccess ||
        lt->cublasLtMatmul(lt->handle, s->how, &one, g->w, s->w, g->x, s->x, &added, y, s->y, y,
                           s->y, algorithm, lt->workspace, MV_LT_WORKSPACE,
                           stream) != CUBLAS_STATUS_SUCCESS ||
        cudaEventRecord(events[1], stream) != cudaSuccess ||
        cudaEventSynchronize(events[1]) != cudaSuccess ||
        cudaEventElapsedTime(&ms, events[0], events[1]) != cudaSuccess)
        return -1;
    return ms;
}

/* In turns, so that a GPU that becomes slower is slower for all; the first round warms up. An
 * algorithm that fails is out. best: milliseconds, 0 where there are none. */
static void time_all(const mv_lt *lt, const mv_lt_shape *s, const mv_gemm *g, void *y,
                     const cublasLtMatmulHeuristicResult_t *found, int n, float *best,
                     cudaStream_t stream)
{
    cudaEvent_t events[2] = {NULL, NULL};
    bool out[MV_LT_CHOICES] = {false};
    if (cudaEventCreate(&events[0]) == cudaSuccess && cudaEventCreate(&events[1]) == cudaSuccess) {
        for (int i = 0; i < (ROUNDS + 1) * n; i++) {
            const int c = i % n;
            const float ms = out[c] ? -1 : time_one(lt, s, g, y, &found[c].algo, events, stream);
            out[c] = !(ms >= 0);
            if (i >= n && (i < 2 * n || ms < best[c]))
                best[c] = ms;
        }
    }
    for (int c = 0; c < n; c++)
        best[c] = out[c] ? 0 : best[c];
    for (int i = 0; i < 2; i++) {
        if (events[i] != NULL)
            (void)cudaEventDestroy(events[i]);
    }
}

/* The fastest, into s and into what is kept. An earlier one must be beaten by 1 %: that much is
 * noise, and the library's order has its reasons. */
static void choose_timed(const mv_lt *lt, mv_lt_shape *s, const mv_gemm *g,
                         const cublasLtMatmulHeuristicResult_t *found, int n, void *stream)
{
    const size_t bytes = g->n_rows * g->ldy * (g->y_f32 || g->dtype == MV_DTYPE_F32 ? 4 : 2);
    float ms[MV_LT_CHOICES] = {0};
    void *y = NULL; /* not the caller's, which may be added to */
    int best = 0;
    if (n > 1 && cudaMalloc(&y, bytes) == cudaSuccess) {
        (void)cudaMemsetAsync(y, 0, bytes, (cudaStream_t)stream);
        time_all(lt, s, g, y, found, n, ms, (cudaStream_t)stream);
        (void)cudaFree(y);
    }
    for (int c = 1; c < n; c++) {
        if (ms[c] > 0 && (!(ms[best] > 0) || ms[c] < 0.99f * ms[best]))
            best = c;
    }
    s->algorithm = found[best].algo;
    if (timed.n == MV_LT_SHAPES)
        return;
    timed.shapes[timed.n].gemm = s->gemm;
    timed.shapes[timed.n].algorithm = s->algorithm;
    timed.shapes[timed.n].first_ms = ms[0];
    timed.shapes[timed.n].best_ms = ms[best];
    timed.n++;
}

bool mv_lt_choose(const mv_lt *lt, mv_lt_shape *s, const mv_gemm *gemm, void *stream)
{
    cublasLtMatmulHeuristicResult_t found[MV_LT_CHOICES];
    bool kept = false;
    memset(found, 0, sizeof found);
    if (lt->tune == 0) {
        const int n = propose(lt, s, found, 1);
        s->algorithm = found[0].algo;
        return n > 0;
    }
    (void)pthread_mutex_lock(&timed.lock);
    for (size_t i = 0; i < timed.n && !kept; i++) {
        kept = mv_gemm_is_like(&timed.shapes[i].gemm, &s->gemm);
        if (kept)
            s->algorithm = timed.shapes[i].algorithm;
    }
    const int n = kept ? 1 : propose(lt, s, found, (int)lt->tune);
    if (!kept && n > 0)
        choose_timed(lt, s, gemm, found, n, stream);
    (void)pthread_mutex_unlock(&timed.lock);
    return n > 0;
}

void mv_lt_tell(const mv_lt *lt, char *text, size_t size)
{
    double first = 0, best = 0;
    if (lt->tune == 0) {
        (void)snprintf(text, size, "first choice");
        return;
    }
    (void)pthread_mutex_lock(&timed.lock);
    for (size_t i = 0; i < timed.n; i++) {
        first += (double)timed.shapes[i].first_ms;
        best += (double)timed.shapes[i].best_ms;
    }
    (void)snprintf(text, size,
                   "fastest of %u: %zu shapes, %.3f ms for one of each, first choices %.3f",
                   lt->tune, timed.n, best, first);
    (void)pthread_mutex_unlock(&timed.lock);
}
