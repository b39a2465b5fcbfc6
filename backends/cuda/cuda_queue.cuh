/* cuda_queue.cuh - what kernels' launches and lane_cuda.c need of device_cuda.c; C and C++. */
#ifndef MV_CUDA_QUEUE_CUH
#define MV_CUDA_QUEUE_CUH

#include <cuda_runtime_api.h>

#include "backends/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaStream_t mv_cuda_stream(const mv_device *device);
bool mv_cuda_pdl(const mv_device *device);
int mv_cuda_ordinal(const mv_device *device);

mv_code mv_cuda_fail_memory(cudaError_t status, const char *where, const char *what, size_t bytes,
                            mv_error *error);

/* Remembers the first failure, for mv_device_wait(). */
void mv_cuda_note(mv_device *device, cudaError_t status, const char *what);

#ifdef __cplusplus
}
#endif

#endif
