/* sampler.h - from a row of logits to a token, as the seed does it.
 *
 * Temperature 0: the largest logit, the lowest id among equals. Above 0: softmax of logits / T,
 * sorted descending, the smallest prefix whose mass first exceeds top_p (the token that crosses it
 * included, so the first always stays), renormalised, one drawn. Equal probabilities keep the order
 * of their ids.
 *
 * Draws come from mv_synthetic_bits(seed, stream, index): no state, so a token depends on its seed,
 * its stream and its position, and on no other sequence.
 */
#ifndef MV_HARNESS_SAMPLER_H
#define MV_HARNESS_SAMPLER_H

#include "backends/mistral_backend.h"

typedef struct mv_sampler mv_sampler;

typedef struct mv_sampler_options {
    double temperature; /* 0: greedy */
    double top_p;       /* 0 ... 1; the seed's is 0.8 */
    uint64_t seed;
} mv_sampler_options;

/* MV_ERR_ARGUMENT: a NaN, or out of range. Yours: close with mv_sampler_close(). */
MV_MUST_CHECK mv_code mv_sampler_open(mv_sampler **sampler, uint32_t vocab_size,
                                      const mv_sampler_options *options, mv_error *error);
void mv_sampler_close(mv_sampler **sampler);

/* *token: 0 ... vocab_size - 1. MV_ERR_BACKEND: a logit is NaN or +infinity, or all are -infinity;
 * -infinity alone is a token that is never drawn. */
MV_MUST_CHECK mv_code mv_sampler_pick(mv_sampler *sampler, const float *logits, uint64_t stream,
                                      uint64_t index, int32_t *token, mv_error *error);

/* log of softmax(logits)[token], temperature 1, in double. */
double mv_log_prob(const float *logits, uint32_t vocab_size, int32_t token);

#endif
