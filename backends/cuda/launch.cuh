/* launch.cuh - starts a kernel: on the device's queue, or in the emulator. Included by .cu files.
 */
#ifndef MV_CUDA_LAUNCH_CUH
#define MV_CUDA_LAUNCH_CUH

#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/device.h"
#include "backends/cuda/gpu.cuh"

#ifdef __CUDACC__

#include "backends/cuda/cuda_queue.cuh"

template <typename... P, typename... A>
static void mv_launch(mv_device *d, const char *name, const mv_shape &shape, void (*kernel)(P...),
                      A... args)
{
    cudaLaunchAttribute overlap = {};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(shape.grid[0], shape.grid[1], shape.grid[2]);
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = mv_cuda_stream(d);
    config.attrs = &overlap;
    config.numAttrs = mv_cuda_pdl(d) ? 1 : 0;
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaError_t status = cudaSuccess;
    if (shape.shared_bytes > 48 * 1024)
        status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)shape.shared_bytes);
    if (status == cudaSuccess)
        status = cudaLaunchKernelEx(&config, kernel, P(args)...);
    mv_cuda_note(d, status, name);
}

#else

template <typename... P, typename... A>
static void mv_launch(mv_device *d, const char *name, const mv_shape &shape, void (*kernel)(P...),
                      A... args)
{
    mv_emu_submit(d, name, shape, [=] { kernel(P(args)...); });
}

#endif

static inline uint32_t mv_threads_of(const mv_device *d)
{
    return mv_device_get_facts(d)->threads;
}

/* Blocks of `threads` for n items of work, one a thread. */
static inline mv_shape mv_flat_shape(const mv_device *d, uint64_t n, uint32_t n_rows)
{
    const uint32_t threads = mv_threads_of(d);
    return mv_shape{{n_rows, (uint32_t)((n + threads - 1) / threads), 1}, threads, 0, true};
}

#endif
