#include "harness/tensor_file.h"

#include <stdlib.h>
#include <string.h>

static int compare_name(const void *key, const void *element)
{
    return strcmp(key, ((const mv_tensor *)element)->name);
}

const mv_tensor *mv_tensor_file_find(const mv_tensor_file *file, const char *name)
{
    return bsearch(name, file->tensors, file->n_tensors, sizeof *file->tensors, compare_name);
}

/* The state goes first: it owns what the tensors point to. The arrays and the struct are ours. */
void mv_tensor_file_close(mv_tensor_file **file)
{
    if (file == NULL || *file == NULL) {
        return;
    }
    if ((*file)->release != NULL) {
        (*file)->release((*file)->state);
    }
    free((*file)->tensors);
    free((*file)->sums);
    free(*file);
    *file = NULL;
}

size_t mv_dtype_size(mv_dtype dtype)
{
    return dtype == MV_DTYPE_F32 ? 4 : 2;
}

const char *mv_dtype_name(mv_dtype dtype)
{
    static const char *const names[] = {
        [MV_DTYPE_F32] = "f32", [MV_DTYPE_F16] = "f16", [MV_DTYPE_BF16] = "bf16"};
    return (size_t)dtype < sizeof names / sizeof *names ? names[dtype] : "unknown";
}
