/* tensor_file.h - a file of named tensors, whatever its container.
 *
 * Both kinds are mapped: data points into the mapping, but for what is not aligned. The tensors
 * live until mv_tensor_file_close(). Names are unique; extents lie inside the file, and in
 * a safetensors file do not overlap (in a .pth two tensors may share one storage); size_bytes
 * equals the product of the shape and the element size.
 */
#ifndef MV_HARNESS_TENSOR_FILE_H
#define MV_HARNESS_TENSOR_FILE_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

typedef struct mv_tensor_sum mv_tensor_sum; /* tensor_sum.h */

typedef struct mv_tensor_file {
    mv_tensor *tensors; /* [n_tensors] sorted by name (strcmp); shape exactly as in the file */
    size_t n_tensors;
    bool mapped;         /* the data is the page cache's, not ours */
    mv_tensor_sum *sums; /* [n_sums] in the order of their data; compared, or to be */
    size_t n_sums;
    void *state;                  /* the container's own */
    void (*release)(void *state); /* called once by close */
} mv_tensor_file;

/* NULL if there is no tensor of that name. */
const mv_tensor *mv_tensor_file_find(const mv_tensor_file *file, const char *name);

/* Yours: close with mv_tensor_file_close(). MV_ERR_IO: cannot be read. MV_ERR_FORMAT: truncated,
 * header beyond the file, overlap, hole, unknown dtype, duplicate name ... Tensors of other than
 * 1 or 2 dimensions, or of integer dtypes, are refused with their name. */
MV_MUST_CHECK mv_code mv_safetensors_open(mv_tensor_file **file, const char *path, mv_error *error);

/* torch.save's ZIP of a pickled state dict. The pickle is interpreted by a whitelist that can
 * execute nothing; any other opcode or global is refused by name and offset. */
MV_MUST_CHECK mv_code mv_pth_open(mv_tensor_file **file, const char *path, mv_error *error);

/* The same, but the checksums of what stays in the mapping are the caller's to compare: sums. path
 * must live until then. */
MV_MUST_CHECK mv_code mv_pth_open_unchecked(mv_tensor_file **file, const char *path,
                                            mv_error *error);

/* Accepts a pointer to NULL, and leaves NULL. */
void mv_tensor_file_close(mv_tensor_file **file);

size_t mv_dtype_size(mv_dtype dtype);      /* bytes an element */
const char *mv_dtype_name(mv_dtype dtype); /* "f32", "f16", "bf16" */

#endif
