/* emu_kernels.cpp - the kernels' text, compiled for the emulator. */
#include "backends/cuda/attend_few.cu"
#include "backends/cuda/attend_many.cu"
#include "backends/cuda/attend_mma.cu"
#include "backends/cuda/gemv.cu"
#include "backends/cuda/rows.cu"
