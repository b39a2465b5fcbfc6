/* claims_stage.h - an engine on a made-up model, and two of them in turn. Private to claims.c. */
#ifndef MV_HARNESS_CLAIMS_STAGE_H
#define MV_HARNESS_CLAIMS_STAGE_H

#include "harness/claims.h"
#include "harness/synthetic.h"

enum { MV_CLAIM_ROUNDS = 5, MV_CLAIM_LONG = 16384, MV_CLAIM_WINDOW = 4096 };

/* Processor time that the rounds of one contest may take. */
#define MV_CLAIM_CONTEST_S 8.0

typedef struct mv_claim_stage {
    const mv_claims *claims;
    mv_synthetic *model;
    mv_model_view view; /* the model's, but for the window */
    mv_engine *engine;
    int32_t *tokens; /* [n] */
    float *logits;   /* [n_rows, vocab_size] */
    size_t n;
} mv_claim_stage;

/* For n positions in calls of `chunk` tokens; mv_claim_close() in any case. */
MV_MUST_CHECK mv_code mv_claim_open(mv_claim_stage *s, const mv_claims *claims, const char *spec,
                                    size_t n, size_t chunk, uint32_t window, mv_error *error);
void mv_claim_close(mv_claim_stage *s);

/* All tokens from position 0 on. With MV_LOGITS_ALL the rows go one behind the other, else the last
 * call's go to the first. */
MV_MUST_CHECK mv_code mv_claim_prefill(mv_claim_stage *s, size_t chunk, mv_logits which,
                                       mv_error *error);

/* A prefill of n tokens in one call without a window, and with the quarter of n that 4096 is of
 * 16384: counted, and timed in turn. */
typedef struct mv_claim_contest {
    bool has_work;
    double pairs[2], products[2]; /* of a prefill without a window, and with one */
    double ratio;                 /* median over the rounds of time without / time with */
    double rounds_s;              /* processor time of all rounds */
} mv_claim_contest;

MV_MUST_CHECK mv_code mv_claim_hold_contest(mv_claim_contest *c, const mv_claims *claims,
                                            const char *spec, size_t n, mv_error *error);

#endif
