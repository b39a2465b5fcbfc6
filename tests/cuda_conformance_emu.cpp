/* cuda_conformance_emu.cpp - the same text for the emulator. */
#include "tests/cuda_conformance.cu"
