/* bench.h - one row of results: an engine in one shape, checked, warmed up, timed, doubted.
 *
 *   mv_bench bench = {.subject = {...}, .reference = reference, .min_time_s = 0.5, ...};
 *   code = mv_bench_measure(&bench, MV_BENCH_DECODE, &shape, &run, &error);
 *   ...
 *   mv_bench_free(&bench);
 *
 * Prefill and decode are timed apart, never by subtraction. Samples are taken until the 95 %
 * interval of the median is narrow and min_time_s is over, or max_time_s is.
 */
#ifndef MV_HARNESS_BENCH_H
#define MV_HARNESS_BENCH_H

#include "harness/bench_engine.h"

enum { MV_BENCH_MAX_TRUTHS = 16 };

typedef struct mv_bench {
    mv_bench_subject subject;
    const char *backend_name;    /* as the user named it */
    const char *build_id;        /* see mv_bench_build_id() */
    const mv_backend *reference; /* whose logits are the truth */
    const mv_ceilings *ceilings; /* with the shape's threads; NULL: no limit is known */
    double min_time_s, max_time_s;
    double precision;   /* stop when the interval is within +- this part of the median: 0.01 */
    int64_t min_warmup; /* passes before the first sample, at least */
    bool no_check;      /* times what was not checked; the row says so */
    bool profile;       /* also where the time goes, in extra passes after the samples */
    void (*on_pass)(void *cookie, mv_bench_phase phase, size_t n_done, double share_done);
    void *cookie;

    mv_bench_truth truths[MV_BENCH_MAX_TRUTHS]; /* own; made when first needed */
    size_t n_truths;
} mv_bench;

void mv_bench_free(mv_bench *bench); /* the truths */

/* The truth for a shape: made by the reference, or found. Borrowed from bench. */
MV_MUST_CHECK mv_code mv_bench_get_truth(mv_bench *bench, mv_bench_phase phase,
                                         const mv_bench_shape *shape, const mv_bench_truth **truth,
                                         mv_error *error);

/* Fills *run, whose arrays are then yours (or mv_bench_results_add()'s). A row whose logits do not
 * hold is not timed, unless no_check: it comes back without samples, checked false. On failure
 * *run holds nothing to free. */
MV_MUST_CHECK mv_code mv_bench_measure(mv_bench *bench, mv_bench_phase phase,
                                       const mv_bench_shape *shape, mv_bench_run *run,
                                       mv_error *error);

/* "VERSION sha256:..." of the backend's file; just the version if the file cannot be read. backend
 * NULL: one that is not loaded here; no version then, and "unknown" for a file that cannot be read.
 */
void mv_bench_build_id(char *text, size_t size, const mv_backend *backend, const char *path);

#endif
