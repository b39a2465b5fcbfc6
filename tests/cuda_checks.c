#include "tests/cuda_checks.h"

#include "tests/cuda_checks_list.h"

const cuda_check cuda_checks[] = {
    {"norm", cuda_check_norm},
    {"append", cuda_check_append},
    {"swiglu", cuda_check_swiglu},
    {"moves", cuda_check_moves},
    {"gemv", cuda_check_gemv},
    {"attend_few", cuda_check_attend_few},
    {"attend_many", cuda_check_attend_many},
    {"not_finite", cuda_check_not_finite},
};
const size_t n_cuda_checks = sizeof cuda_checks / sizeof cuda_checks[0];
