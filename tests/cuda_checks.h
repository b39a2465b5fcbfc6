/* cuda_checks.h - the kernels of the cuda backend in its emulator, against sums in double. */
#ifndef MV_TESTS_CUDA_CHECKS_H
#define MV_TESTS_CUDA_CHECKS_H

#include <stdbool.h>
#include <stddef.h>

/* One kernel over its cases, each under all schedules and two block sizes. False: `why`. */
typedef struct cuda_check {
    const char *name;
    bool (*run)(char *why, size_t why_size);
} cuda_check;

extern const cuda_check cuda_checks[];
extern const size_t n_cuda_checks;

#endif
