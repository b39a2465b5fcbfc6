/* data.pkl, as it lies in a .pth. */
#include <string.h>

#include "harness/pickle.h"
#include "tests/fuzz/fuzz.h"

__extension__ typedef unsigned __int128 wide; /* another way than the reader's to not overflow */

static void check_tensor(const mv_pickle_tensor *tensor)
{
    wide last = tensor->storage_offset;
    FUZZ_CHECK(tensor->n_dims == 1 || tensor->n_dims == 2);
    for (int d = 0; d < 2; d++) {
        FUZZ_CHECK(tensor->shape[d] > 0);
        last += (wide)(tensor->shape[d] - 1) * tensor->stride[d];
    }
    FUZZ_CHECK(last < tensor->storage_numel);
    FUZZ_CHECK((wide)tensor->shape[0] * tensor->shape[1] <= tensor->storage_numel);
    FUZZ_CHECK(strlen(tensor->name) > 0 && strlen(tensor->name) <= MV_PICKLE_MAX_TEXT);
    FUZZ_CHECK(strlen(tensor->storage_key) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_pickle pickle;
    mv_error error = {0};
    mv_code code = mv_pickle_read(&pickle, data, size, "fuzz", &error);
    if (code != MV_OK) {
        fuzz_check_refusal(code, &error);
        FUZZ_CHECK(pickle.tensors == NULL && pickle.arena == NULL);
    } else {
        FUZZ_CHECK(pickle.n_tensors > 0 && pickle.n_tensors <= MV_PICKLE_MAX_ENTRIES);
        for (size_t i = 0; i < pickle.n_tensors; i++) {
            FUZZ_CHECK(i == 0 || strcmp(pickle.tensors[i - 1].name, pickle.tensors[i].name) < 0);
            check_tensor(&pickle.tensors[i]);
        }
    }
    mv_pickle_free(&pickle);
    return 0;
}
