/* cuda_checks_list.h - one function a kernel; see cuda_checks.h. */
#ifndef MV_TESTS_CUDA_CHECKS_LIST_H
#define MV_TESTS_CUDA_CHECKS_LIST_H

#include <stdbool.h>
#include <stddef.h>

bool cuda_check_norm(char *why, size_t why_size);
bool cuda_check_append(char *why, size_t why_size);
bool cuda_check_swiglu(char *why, size_t why_size);
bool cuda_check_moves(char *why, size_t why_size);
bool cuda_check_gemv(char *why, size_t why_size);
bool cuda_check_attend_few(char *why, size_t why_size);
bool cuda_check_attend_many(char *why, size_t why_size);
bool cuda_check_not_finite(char *why, size_t why_size);

#endif
