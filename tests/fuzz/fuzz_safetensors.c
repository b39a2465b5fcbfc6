/* A whole safetensors file. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_tensor_file(mv_safetensors_open, data, size);
    return 0;
}
