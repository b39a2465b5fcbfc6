/* claims.h - the headline claims of Mistral 7B and its first repository, each predicted by
 * arithmetic and measured here, on one engine, with small made-up models whose ratios are those of
 * the real one.
 *
 *   attention_pairs   16k tokens with W = 4096 need 2.286 times fewer pairs of query and key
 *   attention_time    and the same kernel at least half the time
 *   cache_8k          the cache is 1/2 at 8k, cache_32k: 1/8 at 32k
 *   reach             a token reaches exactly n_layers (W - 1) positions on
 *   chunk_memory      chunked prefill bounds the memory of a prefill, and changes no result
 *   prefill_16k       end to end, 16k tokens are 1.15 times faster, not twice
 */
#ifndef MV_HARNESS_CLAIMS_H
#define MV_HARNESS_CLAIMS_H

#include "harness/bench_results.h"

enum { MV_N_CLAIMS = 7 };

typedef struct mv_claims {
    const mv_backend *backend;
    mv_compute compute;
    const mv_option *options;
    size_t n_options;
    uint64_t seed;
    void (*on_claim)(void *cookie, size_t n_done); /* or NULL */
    void *cookie;
} mv_claims;

/* Adds MV_N_CLAIMS rows. What a backend does not tell (bytes, pairs) makes a row that was not
 * measured and does not hold. Some ten seconds of processor time with the reference. Other codes
 * are those of the backend. */
MV_MUST_CHECK mv_code mv_claims_measure(const mv_claims *claims, mv_bench_results *results,
                                        mv_error *error);

#endif
