/* run_private.h - the inside of mv_run, for the files that make it up. */
#ifndef MV_SUITES_RUN_PRIVATE_H
#define MV_SUITES_RUN_PRIVATE_H

#include "suites/run.h"

typedef struct mv_prompt {
    uint32_t which;
    size_t n;
    int32_t *tokens; /* [n] */
} mv_prompt;

/* The calls of a case that were played last on the engine under test: for --localize. Borrowed
 * tokens, no logits. */
typedef struct mv_last_play {
    bool is_set;
    mv_play play;
    mv_schedule schedule;
} mv_last_play;

struct mv_run {
    mv_run_options options;
    uint32_t n_threads;
    int64_t length;

    mv_prompt *prompts; /* [n_prompts] */
    size_t n_prompts;
    mv_truth **truths; /* [n_truths] */
    size_t n_truths;

    const mv_suite *suite; /* the one that runs now */
    mv_verify_results *results;
    size_t n_cases_seen;    /* of all suites, for the shards */
    int64_t least_window;   /* of this suite's cases that ran; 0 = none */
    bool has_beyond_window; /* this suite compared a position beyond one */
    bool has_failed;        /* a case of this suite */
    mv_last_play last;
    size_t n_localized; /* cases of this suite */
    int64_t case_start_ns;
};

void mv_truth_free(mv_truth *truth);

/* The case that says what a suite did not cover: wanted in every shard, and by no filter. */
void mv_case_begin_coverage(mv_run *run, mv_case_result *result);

#endif
