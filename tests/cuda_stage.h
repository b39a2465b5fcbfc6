/* cuda_stage.h - arrays for a kernel, and the same kernel under every schedule. */
#ifndef MV_TESTS_CUDA_STAGE_H
#define MV_TESTS_CUDA_STAGE_H

#include "backends/cuda/cuda_kernels.h"

/* An emulated device's memory is the host's: arrays are read and written in place. */
typedef struct cuda_stage {
    mv_device *device;
    mv_dtype dtype;
    uint64_t random;
    char *why; /* what went wrong, or "" */
    size_t why_size;
} cuda_stage;

bool cuda_stage_open(cuda_stage *stage, mv_dtype dtype, char *why, size_t why_size);
void cuda_stage_close(cuda_stage *stage);

/* Uniform in [-1, 1). */
double cuda_random(cuda_stage *stage);

/* n values of the stage's type (or float32), not set: NaN. */
void *cuda_array(cuda_stage *stage, size_t n);
float *cuda_floats(cuda_stage *stage, size_t n);

/* Element i, whatever the type. cuda_put() rounds, and gives what is kept. */
double cuda_get(const cuda_stage *stage, const void *array, size_t i);
double cuda_put(const cuda_stage *stage, void *array, size_t i, double value);
double cuda_rounded(const cuda_stage *stage, double value);

/* Random values: rows of n_cols, zeros up to ld. */
void cuda_fill_rows(cuda_stage *stage, void *array, size_t n_rows, size_t n_cols, size_t ld);
void cuda_fill_floats(cuda_stage *stage, float *array, size_t n);

/* Starts the kernel under each schedule, with blocks of 32 and of 128 threads. After each, `bytes`
 * of `out` must be as after the first of its block size. before(): sets what the kernel changes. */
bool cuda_run_all(cuda_stage *stage, void (*before)(void *arg), void (*start)(void *arg), void *arg,
                  const void *out, size_t bytes);

/* The distance between `out` and `expected` is at most `bound` times the size of `expected`. */
bool cuda_close(cuda_stage *stage, const char *what, const double *out, const double *expected,
                size_t n, double bound);

#endif
