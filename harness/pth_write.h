/* pth_write.h - writes a state dict as torch.save does: a ZIP of stored entries, with a pickle of
 * protocol 2 that says what they are.
 *
 * ARCHIVE/data.pkl is a plain dict; tensor i lies in ARCHIVE/data/i. Every entry's data begins at
 * a multiple of 64, so that torch.load(mmap=True) can use it where it lies. torch.load accepts the
 * file, with weights_only too.
 */
#ifndef MV_HARNESS_PTH_WRITE_H
#define MV_HARNESS_PTH_WRITE_H

#include "harness/out_tensor.h"

/* path must not exist; its stem is the ARCHIVE ("consolidated.00"). MV_ERR_IO: says what the
 * system said. On failure nothing of the file stays. About as fast as cp. Not flushed to disk. */
MV_MUST_CHECK mv_code mv_pth_write(const char *path, const mv_out_tensor *tensors, size_t n_tensors,
                                   const mv_write_watch *watch, mv_error *error);

#endif
