/* gemm_lt.h - products through cuBLASLt, which is opened when the first engine is: it takes 0.1 s
 * and 200 MB, and probe() should not. */
#ifndef MV_CUDA_GEMM_LT_H
#define MV_CUDA_GEMM_LT_H

#include "backends/cuda/device.h"

typedef struct mv_lt mv_lt;

/* MV_ERR_UNAVAILABLE if the library is not there. tune: of how many algorithms the fastest is taken
 * for each shape, timed when the shape comes for the first time in this process (16 at most); 0:
 * the library's first choice. name: what it is, for describe(). */
MV_MUST_CHECK mv_code mv_lt_open(mv_lt **lt, uint32_t tune, char *name, size_t name_size,
                                 mv_error *error);
void mv_lt_close(mv_lt *lt); /* NULL is fine */

/* How algorithms were chosen so far, for describe(). */
void mv_lt_tell(const mv_lt *lt, char *text, size_t size);

/* Queued on a stream (cudaStream_t). NULL, or what went wrong. The algorithm for a shape is asked
 * of the library once and then kept: the same shape gives the same bits. */
const char *mv_lt_multiply(mv_lt *lt, const mv_gemm *gemm, void *stream);

#endif
