/* tensor_sum.h - checksums that a file has of its numbers, and that nobody has compared yet.
 *
 * A .pth has one for each storage. Comparing them reads every byte of the file; who reads every
 * byte anyhow (mv_convert) takes the checksum along, and compares as it goes.
 */
#ifndef MV_HARNESS_TENSOR_SUM_H
#define MV_HARNESS_TENSOR_SUM_H

#include <stdbool.h>

#include "harness/quote.h"
#include "harness/tensor_file.h"

struct mv_tensor_sum {
    const char *path; /* of the file; borrowed */
    mv_quoted entry;  /* the ZIP entry */
    const void *data; /* in the mapping */
    uint64_t size_bytes;
    uint32_t crc; /* as the file has it (crc32.h) */
    bool checked;
};

/* Puts them into the order of their data. */
void mv_tensor_sums_sort(mv_tensor_sum *sums, size_t n);

/* The one of just these bytes; NULL if there is none. Of sums in order. */
mv_tensor_sum *mv_tensor_sums_find(mv_tensor_sum *sums, size_t n, const void *data,
                                   uint64_t size_bytes);

/* crc: of all the bytes, as they are now. Equal: the sum counts as checked. MV_ERR_FORMAT: not. */
MV_MUST_CHECK mv_code mv_tensor_sum_compare(mv_tensor_sum *sum, uint32_t crc, mv_error *error);

/* Takes and compares all that are not checked: by a few threads, because one alone waits for
 * memory.
 */
MV_MUST_CHECK mv_code mv_tensor_sums_check(mv_tensor_sum *sums, size_t n, mv_error *error);

#endif
