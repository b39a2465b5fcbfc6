/* results_read_parts.h - what results of both kinds have in common. */
#ifndef MV_HARNESS_RESULTS_READ_PARTS_H
#define MV_HARNESS_RESULTS_READ_PARTS_H

#include "harness/bench_results.h"
#include "harness/json_reader.h"
#include "harness/results.h"

/* A document that is open already; path is for messages. As the functions of results_read.h. */
MV_MUST_CHECK mv_code mv_verify_results_take(mv_verify_results *results, const json_t *root,
                                             const char *path, mv_error *error);
MV_MUST_CHECK mv_code mv_bench_results_take(mv_bench_results *results, const json_t *root,
                                            const char *path, mv_error *error);

MV_MUST_CHECK mv_code mv_read_schema(mv_reader *reader, const json_t *root, const char *schema);
void mv_read_tool(mv_reader *reader, const json_t *root, char version[32], char commit[48],
                  mv_environment *environment);
void mv_read_model(mv_reader *reader, const json_t *root, char *spec, size_t spec_size,
                   mv_params *params, char weights_sha256[65]);

/* "divergence_profile" of a case, if it is there. *divergence is yours: free(); NULL if absent or
 * refused. */
void mv_read_divergence(mv_reader *reader, const json_t *object, mv_divergence **divergence);

void mv_read_seed(mv_reader *reader, const json_t *object, uint64_t *seed);
mv_compute mv_read_compute(mv_reader *reader, const json_t *object);
int64_t mv_read_elapsed_ns(mv_reader *reader, const json_t *object); /* "elapsed_s" */

#endif
