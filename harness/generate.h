/* generate.h - text from an engine: prompts of different lengths in one batch, each giving what it
 * gives alone.
 *
 * Prompt i is sequence i of the engine. Prompts are prefilled in chunks, all of them in the same
 * calls as long as they have tokens left; then one token a call for every prompt that goes on. A
 * prompt that is finished takes no further part. The last token is not fed to the engine: a
 * conversation that goes on begins its next prompt with it.
 */
#ifndef MV_HARNESS_GENERATE_H
#define MV_HARNESS_GENERATE_H

#include <stdbool.h>

#include "harness/sampler.h"

typedef struct mv_prompt_in {
    const int32_t *tokens; /* [n_tokens] n_tokens >= 1 */
    size_t n_tokens;
    size_t n_seen;   /* tokens that the sequence holds already; 0: it is reset */
    uint64_t stream; /* of the draws: prompts of the same text and stream give the same */
} mv_prompt_in;

typedef struct mv_generate_options {
    uint32_t max_tokens; /* 0: only the prompt */
    uint32_t chunk;      /* most new tokens of one prompt in one call, >= 1 */
    mv_sampler_options sampler;
    int32_t eos; /* ends an answer, and is its last token; -1: nothing does */
    bool prompt_log_probs;
    /* Called for every token as it comes; false ends that prompt's answer. May be NULL. */
    bool (*on_token)(void *cookie, size_t prompt, int32_t token, double log_prob);
    /* Called before every call of the engine; false ends all. May be NULL. */
    bool (*go_on)(void *cookie);
    void *cookie;
} mv_generate_options;

typedef struct mv_generated {
    int32_t *tokens;   /* [n_tokens] the answer */
    double *log_probs; /* [n_tokens] untempered, also where the sampler has a temperature */
    size_t n_tokens;
    double *prompt_log_probs; /* [n_prompt_log_probs] of prompt tokens 1 ... ; NULL if not wanted */
    size_t n_prompt_log_probs;
    size_t n_seen; /* tokens that the sequence holds now */
    bool stopped;  /* by on_token or go_on */
} mv_generated;

/* The engine must be open for n_prompts sequences, for the positions of the longest prompt and its
 * answer, and for chunk * n_prompts tokens in a call. generated: [n_prompts], zeroed here; yours,
 * mv_generated_free(), also after a failure. MV_ERR_ARGUMENT: an empty prompt, a token outside the
 * vocabulary, a bad temperature. Else what the engine says; it then needs a reset. */
MV_MUST_CHECK mv_code mv_generate(const mv_backend *backend, mv_engine *engine, uint32_t vocab_size,
                                  const mv_prompt_in *prompts, size_t n_prompts,
                                  const mv_generate_options *options, mv_generated *generated,
                                  mv_error *error);
void mv_generated_free(mv_generated *generated, size_t n_prompts);

#endif
