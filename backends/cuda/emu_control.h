/* emu_control.h - for tests: how the emulator goes about its work. */
#ifndef MV_CUDA_EMU_CONTROL_H
#define MV_CUDA_EMU_CONTROL_H

#include "backends/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of all kernels from now on. seed: the order of blocks, warps and lanes; 0 is that of their
 * numbers. greedy: a warp runs until it is at a barrier, before another does. late_copies: an
 * asynchronous copy arrives when it is waited for, not when it is asked for. */
void mv_emu_set_schedule(uint64_t seed, bool greedy, bool late_copies);

/* What mv_device_get_facts() says from now on: kernels take their shapes from it. */
void mv_emu_set_size(mv_device *device, uint32_t n_blocks, uint32_t threads);

#ifdef __cplusplus
}
#endif

#endif
