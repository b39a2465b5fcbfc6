/* greedy.h - text that an engine writes by itself: the largest logit goes back in as a token. */
#ifndef MV_SUITES_GREEDY_H
#define MV_SUITES_GREEDY_H

#include "suites/run.h"

/* Prompts, and what is written behind them. Start with n_new and play.window set. */
typedef struct mv_greedy {
    uint32_t n;                    /* sequences */
    size_t prompts[MV_MAX_PARTS];  /* their lengths */
    int32_t *tokens[MV_MAX_PARTS]; /* [prompts + n_new] */
    size_t n_new;                  /* tokens to write, of which the last is not fed */
    mv_play play;                  /* tracks of prompts + n_new - 1 */
} mv_greedy;

void mv_greedy_free(mv_greedy *text);

/* The next sequence: a prompt of n tokens, copied. */
MV_MUST_CHECK mv_code mv_greedy_add(mv_run *run, mv_greedy *text, const int32_t *prompt, size_t n,
                                    mv_error *error);

/* Opens an engine and follows the schedule, asking for the last row of every part of every call;
 * from the end of a prompt on each row gives the next token, and is kept in the play. */
MV_MUST_CHECK mv_code mv_greedy_write(mv_run *run, const mv_schedule *schedule, mv_greedy *text,
                                      mv_error *error);

/* ---- which tokens may be either ---- */

/* Steps whose two best the oracle puts nearer than the noise, and choices that are not its own. */
typedef struct mv_near_ties {
    size_t n_steps, n_near, n_flipped;
    size_t position; /* of the first */
    int32_t ids[2];
} mv_near_ties;

/* Every choice of one sequence against the oracle's; adds to *found. A choice further behind than
 * the noise fails the case. The noise is 4 x the row error of the reference x the limit for a row:
 * what an honest engine's choice may turn on. */
MV_MUST_CHECK mv_code mv_greedy_judge(mv_run *run, mv_case_result *result, const mv_greedy *text,
                                      uint32_t sequence, mv_near_ties *found, mv_error *error);

/* Two texts of the same prompts: where they part, the two tokens must be a near-tie. */
MV_MUST_CHECK mv_code mv_greedy_judge_same(mv_run *run, mv_case_result *result,
                                           const mv_greedy *text, const mv_greedy *alone,
                                           mv_error *error);

#endif
