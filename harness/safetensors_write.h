/* safetensors_write.h - writes one file of safetensors.
 *
 * The same tensors give the same bytes: the header lists them in the order given, compact, padded
 * with spaces to a multiple of 8, with {"format": "pt"} as the only metadata (Transformers asks for
 * it). Tensors that lie as they are to be written go from their mapping to the file.
 */
#ifndef MV_HARNESS_SAFETENSORS_WRITE_H
#define MV_HARNESS_SAFETENSORS_WRITE_H

#include "harness/out_tensor.h"

/* path must not exist. MV_ERR_IO: says what the system said ("No space left on device"). On
 * failure nothing of the file stays. Not flushed to disk. */
MV_MUST_CHECK mv_code mv_safetensors_write(const char *path, const mv_out_tensor *tensors,
                                           size_t n_tensors, const mv_write_watch *watch,
                                           mv_error *error);

#endif
