/* run.h - what a suite stands on: the engine under test, the prompt, the truth, the judgement.
 *
 *   mv_case_result result;
 *   if (!mv_case_begin(run, &result, "chunking", window, chunk, "chunk %d", chunk))
 *       return MV_OK;                                    // filtered out
 *   code = mv_play(run, window, &schedule, &play, error) // runs the engine
 *   mv_judge(run, &result, &play, ...)                   // compares with the truth
 *   return mv_case_end(run, &result, code, error)        // records it
 */
#ifndef MV_SUITES_RUN_H
#define MV_SUITES_RUN_H

#include "harness/backend.h"
#include "harness/compare.h"
#include "harness/tolerance.h"
#include "suites/suite.h"

/* ---- what to run ---- */

typedef enum mv_known {
    MV_NOT_KNOWN,
    MV_KNOWN,          /* take it from here */
    MV_KNOWN_ELSEWHERE /* somebody has recorded it: neither run nor record it */
} mv_known;

typedef struct mv_run_options {
    const mv_model_view *model;
    const char *model_spec;   /* for the reproduce line */
    const char *backend_name; /* as the user named it */
    const mv_backend *backend;
    const mv_backend *reference; /* the oracle and the yardstick */
    const mv_backend *mutant; /* bugs and harmless reorderings to plant: what the model at hand can
                                 show (condition.h); NULL = not asked */
    mv_compute compute;
    const mv_option *options; /* --backend-option */
    size_t n_options;
    uint32_t n_threads;       /* 0 = all cores */
    uint32_t n_threads_given; /* --threads, for the reproduce line; 0 = not given */
    uint32_t n_jobs;          /* processes of a self-test; 0 = all cores */
    const char *windows;      /* --window LIST, NULL = each suite's own */
    const char *chunks;       /* --chunk LIST, NULL = each suite's own */
    int64_t length;           /* --length, 0 = from the window */
    uint64_t seed;
    const int32_t *tokens; /* --text: n_tokens ids instead of random ones, or NULL */
    size_t n_tokens;
    const char *text_option;  /* for the reproduce line, or NULL */
    const char *golden;       /* --golden FILE, NULL = the shipped ones */
    const char *tokenizer;    /* the model's tokenizer.model, or NULL if it has none */
    const char *filter;       /* glob over "suite/case", or NULL */
    uint32_t shard, n_shards; /* this is part `shard` (from 0) of n_shards; 0 of 1 = all */
    bool strict;              /* little headroom fails */
    bool list_only;           /* name the cases, run none */
    bool localize;            /* name the first wrong layer and operation of failed cases */
    bool stop_at_failure;     /* a suite ends with its first case that fails */
    uint32_t claims;          /* mv_claim bits to hold the engine to, whatever it claims */
    void (*on_begin)(void *cookie, const mv_case_result *result); /* before each; may be NULL */
    void (*on_case)(void *cookie, const mv_case_result *result);  /* after each; may be NULL */
    /* Is the outcome of a case known from before? MV_KNOWN: it was written to *result, and is
     * recorded in place of a new run. May be NULL: none is. */
    mv_known (*recall)(void *cookie, mv_case_result *result);
    void *cookie;
} mv_run_options;

/* Yours: close with mv_run_close(). options, and what they point to, stay until then. */
MV_MUST_CHECK mv_code mv_run_open(mv_run **run, const mv_run_options *options, mv_error *error);
void mv_run_close(mv_run **run);

/* Runs one suite; its cases go to results. */
MV_MUST_CHECK mv_code mv_run_suite(mv_run *run, const mv_suite *suite, mv_verify_results *results,
                                   mv_error *error);

/* Puts another engine under test; what the oracle said stays. options: borrowed, as in open. */
void mv_run_set_engine(mv_run *run, const char *backend_name, const mv_backend *backend,
                       const mv_option *options, size_t n_options);

/* Which cases the suites run from here on: as options.filter. Borrowed until the next call. */
void mv_run_set_filter(mv_run *run, const char *filter);

/* What the engine is held to from here on: as options.claims. */
void mv_run_set_claims(mv_run *run, uint32_t claims);

/* Puts another model under the engine, of whatever sizes, until the next call; returns the one
 * before. Meanwhile a case brings its own tokens, and its plays their own model: prompts and truths
 * that the run keeps are those of its own. */
const mv_model_view *mv_run_set_model(mv_run *run, const mv_model_view *model);

/* ---- for suites ---- */

const mv_run_options *mv_run_get_options(const mv_run *run);
uint32_t mv_run_claims(const mv_run *run); /* mv_claim bits: the backend's, and options.claims */
int64_t mv_run_length(const mv_run *run);  /* T: tokens of the prompt */
bool mv_run_is_large(const mv_run *run);   /* a model for which each run takes seconds */

/* Tokens of prompt number `which`; 0 is the user's, or random from the seed; others are random. The
 * run's own, until it is closed; at least n of them. */
MV_MUST_CHECK mv_code mv_run_prompt(mv_run *run, uint32_t which, size_t n, const int32_t **tokens,
                                    mv_error *error);

/* The windows to try: the user's list, or the model's own, one that a prompt of T tokens passes
 * several times, and none (0). */
MV_MUST_CHECK mv_code mv_run_windows(const mv_run *run, mv_range *windows, mv_error *error);

/* One window for a single look: the model's own if the prompt passes it twice, else one that the
 * prompt passes several times. */
int64_t mv_run_main_window(const mv_run *run);

/* The nearest number to `near`, going by `step`, that shares no factor with the window; at least 1.
 */
int64_t mv_run_coprime(int64_t window, int64_t near, int64_t step);

/* The chunk sizes to try for a window: the user's list (0 is the whole prompt, T; W is the window,
 * for none the model's own or the one that mv_run_windows() would try), or around W, coprime to W
 * below and above it, beyond 2W, 1, T-1 and T. */
MV_MUST_CHECK mv_code mv_run_chunks(const mv_run *run, int64_t window, mv_range *chunks,
                                    mv_error *error);

/* ---- schedules ---- */

/* Sequences of a play: two full tiles of 16 and one. */
enum { MV_MAX_PARTS = 33, MV_MAX_STEPS = 4096 };

typedef enum mv_step_kind {
    MV_STEP_FORWARD,
    MV_STEP_RESET,   /* of parts[0].sequence */
    MV_STEP_TRUNCATE /* parts[0].sequence to parts[0].n_tokens */
} mv_step_kind;

typedef struct mv_part {
    uint32_t sequence, n_tokens;
} mv_part;

typedef struct mv_step {
    mv_step_kind kind;
    mv_logits which;
    /* Other tokens than the track's go in, and no rows come out: leaves stale slots. foreign_id:
     * this id again and again, or -1 for the track's ids plus one. */
    bool foreign;
    int32_t foreign_id;
    uint32_t n_parts;
    mv_part parts[MV_MAX_PARTS];
} mv_step;

typedef struct mv_schedule {
    mv_step *steps;
    size_t n_steps, capacity;
    bool failed; /* an allocation failed: mv_play() says so */
} mv_schedule;

void mv_schedule_free(mv_schedule *schedule);
mv_step *mv_schedule_add(mv_schedule *schedule, mv_step_kind kind); /* never NULL */
void mv_schedule_add_call(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens);
void mv_schedule_add_chunks(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens,
                            int64_t chunk);

/* Another prompt of n_tokens in chunks, then a reset. */
void mv_schedule_add_stale(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens,
                           int64_t chunk);

/* The same with one id throughout. */
void mv_schedule_add_poison(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens, int32_t id,
                            int64_t chunk);

/* "5,5,1", or "0:5+1:3,0:1" with several sequences; cut with "..." if too long. */
void mv_schedule_print(const mv_schedule *schedule, char *text, size_t size);

/* ---- playing ---- */

/* One sequence as an engine saw it. */
typedef struct mv_track {
    const int32_t *tokens; /* [n] borrowed */
    size_t n;
    float *logits; /* [n, vocab_size], position by position */
    bool *has_row; /* [n] whether the engine was asked for that row */
} mv_track;

typedef struct mv_play {
    mv_track tracks[MV_MAX_PARTS];
    uint32_t n_tracks;
    int64_t window;
    const mv_model_view *model; /* NULL: the run's. Changed weights are judged by their own truth */
    const mv_schedule *truth_schedule; /* NULL: the oracle gives every row of the whole prompt; else
                                          those of this schedule, for a play of one sequence */
    mv_model_view view;                /* what the engine is lent: alive as long as the play */
} mv_play;

void mv_play_free(mv_play *play);

/* Adds a sequence of n tokens; its number is the order of adding. tokens stay borrowed. */
MV_MUST_CHECK mv_code mv_play_add(mv_run *run, mv_play *play, const int32_t *tokens, size_t n,
                                  mv_error *error);

/* How an engine is opened for a play. Zero-initialise for the usual. */
typedef struct mv_engine_setup {
    const mv_backend *backend; /* NULL: the one under test */
    uint32_t n_threads;        /* 0: the run's */
    uint32_t extra_sequences;  /* beyond those of the play */
    int64_t most_positions;    /* 0: the longest track */
    bool other_compute;
    mv_compute compute;       /* used if other_compute */
    const mv_option *options; /* of another backend than the one under test; borrowed */
    size_t n_options;
} mv_engine_setup;

/* Floats of room before and behind the rows that an engine is asked to write: one that writes a
 * little too far is for canary to name, and not for the heap to end the run. */
enum { MV_ROW_MARGIN = 64 };

/* Opens an engine with the play's window, for its tracks. Yours: backend->close(). */
MV_MUST_CHECK mv_code mv_play_open(mv_run *run, mv_play *play, const mv_schedule *schedule,
                                   const mv_engine_setup *setup, mv_engine **engine,
                                   mv_error *error);

/* Plays the schedule on an open engine and keeps the rows. A token goes in at the position that its
 * sequence has reached; RESET starts it again from its first token. */
MV_MUST_CHECK mv_code mv_play_on(mv_run *run, const mv_engine_setup *setup, mv_engine *engine,
                                 const mv_schedule *schedule, mv_play *play, mv_error *error);

/* For --localize: what the engine under test was asked in this case, without the answers, under the
 * run's model. mv_play_on() does it, but for plays with a model of their own. The tokens stay
 * borrowed until the case ends. */
void mv_play_remember(mv_run *run, const mv_schedule *schedule, const mv_play *play);

/* Open, play, close. */
MV_MUST_CHECK mv_code mv_play_schedule(mv_run *run, const mv_engine_setup *setup,
                                       const mv_schedule *schedule, mv_play *play, mv_error *error);

/* Two engines under test, open at once, each with its own play: a step of the first, a step of the
 * second, and so on; who is done is closed, and the other goes on. Memory: that of two engines. */
MV_MUST_CHECK mv_code mv_play_side_by_side(mv_run *run, const mv_schedule schedules[2],
                                           mv_play *const plays[2], mv_error *error);

/* Most common: prompt 0, n tokens, in chunks of `chunk` (0 = whole). */
MV_MUST_CHECK mv_code mv_play_prompt(mv_run *run, const mv_engine_setup *setup, int64_t window,
                                     int64_t n, int64_t chunk, mv_play *play, mv_error *error);

/* ---- truth ---- */

enum { MV_N_HARMLESS = 8 };

/* The oracle's logits for one sequence under one window, and the reference's own error on them. */
typedef struct mv_truth {
    char name[160]; /* "suite/case/track" if it is a case's own, else "" */
    int64_t window;
    int32_t *tokens; /* [n] */
    size_t n;
    double *oracle;             /* [n, vocab_size] */
    bool *has_row;              /* [n] whether the oracle was asked for that row */
    mv_error_profile reference; /* [n] of the reference in the run's compute type */
    bool has_ensemble;          /* --strict: [n] each, of harmless variants of the reference */
    mv_error_profile ensemble[MV_N_HARMLESS];
} mv_truth;

/* The run's own until it is closed. Computed once for each window and sequence. */
MV_MUST_CHECK mv_code mv_truth_get(mv_run *run, int64_t window, const int32_t *tokens, size_t n,
                                   const mv_truth **truth, mv_error *error);

/* The truth for track number `track` of a play with its own model or schedule. Kept under the name
 * of the case: a case of one name always has the same weights. */
MV_MUST_CHECK mv_code mv_truth_get_own(mv_run *run, const mv_case_result *result,
                                       const mv_play *play, uint32_t track, const mv_truth **truth,
                                       mv_error *error);

/* ---- judging ---- */

/* False: not wanted, and recorded as such where that matters. name: printf. */
MV_PRINTF(5, 6)
bool mv_case_begin(mv_run *run, mv_case_result *result, int64_t window, int64_t chunk,
                   const char *name, ...);

/* Compares every row that the play has with the oracle, and fills metrics, limits, worst, coverage
 * and verdict. A result that already has a verdict of fail keeps it and its reason. */
MV_MUST_CHECK mv_code mv_judge(mv_run *run, mv_case_result *result, const mv_play *play,
                               mv_error *error);

/* Two plays of the same tracks must agree: bit for bit if the engine claims it (then a difference
 * is a failure with its reason), else nothing is asked here: both were judged by the truth. */
void mv_judge_same(mv_run *run, mv_case_result *result, const mv_play *play, const mv_play *other,
                   uint32_t claim, const char *claim_words);

MV_PRINTF(2, 3) void mv_case_fail(mv_case_result *result, const char *format, ...);

/* Records the case. An engine's error (code of `ran`) becomes the case's verdict: ERROR, or SKIP
 * for MV_ERR_UNAVAILABLE and MV_ERR_UNSUPPORTED. Returns what is not the engine's fault. */
MV_MUST_CHECK mv_code mv_case_end(mv_run *run, mv_case_result *result, mv_code ran,
                                  const mv_error *ran_error, mv_error *error);

/* The usual case from here on: plays the schedule on a new engine, judges all rows, ends the case.
 * The play stays the caller's. */
MV_MUST_CHECK mv_code mv_case_play(mv_run *run, mv_case_result *result, const mv_schedule *schedule,
                                   mv_play *play, mv_error *error);

#endif
