/* out_file.h - bytes and tensors at a place in a file that is being written. Private to
 * safetensors_write.c and zip_write.c. */
#ifndef MV_HARNESS_OUT_FILE_H
#define MV_HARNESS_OUT_FILE_H

#include "harness/out_tensor.h"

typedef struct mv_out_file {
    int fd;
    uint64_t at;      /* where the next byte goes */
    const char *path; /* borrowed, for messages */
    char *piece;      /* for rows that are put into another order */
    bool has_cores;   /* more than one */
} mv_out_file;

/* path must not exist, and is borrowed. MV_ERR_IO: what the system said. */
MV_MUST_CHECK mv_code mv_out_file_create(mv_out_file *file, const char *path, mv_error *error);

/* Everything, or an error. */
MV_MUST_CHECK mv_code mv_out_file_write(mv_out_file *file, const void *bytes, uint64_t size,
                                        mv_error *error);

/* *crc: receives the checksum (crc32.h), taken by a second thread where there is a core for it; or
 * NULL. The same checksum is compared with tensor->sum, where there is one (MV_ERR_FORMAT). As fast
 * as cp where the tensor lies as it is to be written: it goes from its mapping to the file. */
MV_MUST_CHECK mv_code mv_out_file_write_tensor(mv_out_file *file, const mv_out_tensor *tensor,
                                               uint32_t *crc, const mv_write_watch *watch,
                                               mv_error *error);

/* Closes and frees; the second call does nothing. MV_ERR_IO: a network's file system says "disk
 * full" as late as this; the file is removed. */
MV_MUST_CHECK mv_code mv_out_file_close(mv_out_file *file, mv_error *error);

/* Closes, and removes what was written. */
void mv_out_file_discard(mv_out_file *file);

#endif
