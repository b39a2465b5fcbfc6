/* results_read.h - results from their own JSON: what reports/ wrote, back into the struct. */
#ifndef MV_HARNESS_RESULTS_READ_H
#define MV_HARNESS_RESULTS_READ_H

#include "harness/bench_results.h"
#include "harness/results.h"

/* A file larger than this is none of ours. */
#define MV_RESULTS_MAX_BYTES ((size_t)256 << 20)

/* Reads a file of schema mistral-verify/1. What is absent is "not known"; text that is too long for
 * its field is cut; keys that this version does not know are passed over. results must be
 * initialised and empty; it is filled on success (yours: mv_verify_results_free()), empty on
 * failure. MV_ERR_FORMAT: not JSON, another schema, a value of the wrong type or size (file, place,
 * expected, found), or a verdict that its own cases contradict. MV_ERR_IO: cannot be read. */
MV_MUST_CHECK mv_code mv_verify_results_read(mv_verify_results *results, const char *path,
                                             mv_error *error);

/* The same for mistral-bench/1. */
MV_MUST_CHECK mv_code mv_bench_results_read(mv_bench_results *results, const char *path,
                                            mv_error *error);

/* Either, by the schema that the file names. */
typedef struct mv_results_file {
    bool is_bench;
    mv_verify_results verify;
    mv_bench_results bench;
} mv_results_file;

/* Zero-initialise *file; mv_results_file_free() it in any case. */
MV_MUST_CHECK mv_code mv_results_file_read(mv_results_file *file, const char *path,
                                           mv_error *error);
void mv_results_file_free(mv_results_file *file);

#endif
