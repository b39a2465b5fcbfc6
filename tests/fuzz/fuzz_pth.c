/* A whole .pth: ZIP, pickle and numbers. CRCs stop most mutations of a payload, not of the rest. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_tensor_file(mv_pth_open, data, size);
    return 0;
}
