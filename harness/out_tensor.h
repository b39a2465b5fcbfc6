/* out_tensor.h - a tensor on its way into a file: another name, and perhaps another order of rows.
 *
 * The weights of a 7B are 14.5 GB, most of them in a mapping: nothing here copies more than the
 * piece that is being written.
 */
#ifndef MV_HARNESS_OUT_TENSOR_H
#define MV_HARNESS_OUT_TENSOR_H

#include <stdbool.h>

#include "harness/tensor_sum.h"

typedef struct mv_out_tensor {
    const char *name;        /* in the file; borrowed */
    const mv_tensor *from;   /* borrowed; from->name does not count */
    uint32_t n_halved_heads; /* > 0: the rows of so many heads, from (head_dim / 2, 2) as Mistral
                                has them to (2, head_dim / 2) as Hugging Face has them */
    mv_tensor_sum *sum; /* compared on the way, where rows keep their order; or NULL. borrowed */
} mv_out_tensor;

/* n bytes of what is to be written, from offset on; offset + n <= from->size_bytes. */
void mv_out_tensor_read(const mv_out_tensor *tensor, uint64_t offset, void *to, size_t n);

/* Told after every piece of at most 8 MiB. false stops the writing. */
typedef struct mv_write_watch {
    bool (*go_on)(void *cookie, uint64_t n_bytes_more); /* may be NULL */
    void *cookie;
} mv_write_watch;

/* MV_ERR_IO with path when the watch says stop; watch may be NULL. */
MV_MUST_CHECK mv_code mv_write_watch_tell(const mv_write_watch *watch, uint64_t n_bytes_more,
                                          const char *path, mv_error *error);

#endif
