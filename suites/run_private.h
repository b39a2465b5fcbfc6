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
 * tokens and weights, no logits. */
typedef struct mv_last_play {
    bool is_set;
    bool had_other_weights; /* which may be gone: a replay on the run's own would say nothing */
    mv_play play;
    mv_schedule schedule;
} mv_last_play;

/* What one planted bug or harmless change does to the logits of this model. */
typedef struct mv_effect {
    char mutant[64];
    mv_metrics metrics;
    double size; /* observed / limit, of the ratio that is nearest to its limit; above 1 fails */
    int64_t window, n_positions, n_beyond_window;
} mv_effect;

/* Cases of a suite that are localised: each takes several passes, and most have one cause. */
enum { MV_MAX_LOCALIZED = 3 };

struct mv_run {
    mv_run_options options;
    uint32_t n_threads;
    int64_t length;

    mv_prompt *prompts; /* [n_prompts] */
    size_t n_prompts;
    mv_truth **truths; /* [n_truths] */
    size_t n_truths;
    mv_effect *effects; /* [n_effects] */
    size_t n_effects;

    const mv_suite *suite; /* the one that runs now */
    mv_verify_results *results;
    size_t n_cases_seen;    /* of all suites, for the shards */
    int64_t least_window;   /* of this suite's cases that ran; 0 = none */
    bool has_beyond_window; /* this suite compared a position beyond one */
    bool has_failed;        /* a case of this suite */
    bool has_run;           /* a case of this suite was compared */
    mv_last_play last;
    size_t n_localized;        /* failed cases of this suite, also those beyond MV_MAX_LOCALIZED */
    mv_divergence *divergence; /* of the case that was localised last, or NULL */
    int64_t case_start_ns;
    char engine[MV_ENGINE_FACTS]; /* how the engine under test that was opened last describes itself
                                   */
    mv_code recall_code;          /* a known case could not be recorded */
    mv_error recall_error;
};

void mv_truth_free(mv_truth *truth);

/* The errors of a track's rows against the oracle; rows without a truth stay empty, and are never
 * asked for. profile: any, is filled anew. */
MV_MUST_CHECK mv_code mv_truth_measure(const mv_truth *truth, const mv_track *track,
                                       size_t vocab_size, mv_error_profile *profile,
                                       mv_error *error);

/* The case that says what a suite did not cover: wanted in every shard, and by no filter. */
void mv_case_begin_coverage(mv_run *run, mv_case_result *result);

#endif
