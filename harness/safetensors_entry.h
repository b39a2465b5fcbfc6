/* safetensors_entry.h - one tensor's entry in the JSON header. Private to safetensors.c. */
#ifndef MV_HARNESS_SAFETENSORS_ENTRY_H
#define MV_HARNESS_SAFETENSORS_ENTRY_H

#include <jansson.h>

#include "harness/tensor_file.h"

/* Checks the entry against itself and against the data_size bytes at data, which it does not
 * touch. Fills all of tensor; its name is borrowed from name. */
MV_MUST_CHECK mv_code mv_safetensors_read_entry(mv_tensor *tensor, const char *name,
                                                const json_t *entry, const char *data,
                                                uint64_t data_size, const char *path,
                                                mv_error *error);

#endif
