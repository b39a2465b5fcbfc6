/* history.h - how a program's speed moved from commit to commit: a file of lines, each the ratio of
 * one metric of one build to a pinned anchor build, measured in turn in one run (duel.h). Such
 * ratios can be compared across days and machines; times cannot.
 *
 * The file is JSON lines, only ever appended to. Change points in it are advice, not a verdict.
 */
#ifndef MV_HARNESS_HISTORY_H
#define MV_HARNESS_HISTORY_H

#include "harness/bench_results.h"

enum { MV_HISTORY_MAX_POINTS = 500 }; /* the last ones of a metric that are looked at */

/* The two builds of a run: mv_bench_build_id() of each. */
typedef struct mv_history_builds {
    const char *anchor, *candidate;
} mv_history_builds;

/* Reads the whole file first: MV_ERR_FORMAT for a line that is not one of ours (file and line are
 * named), for a last line that was cut off, and for another anchor than builds->anchor. A file that
 * is not there is an empty one. */
MV_MUST_CHECK mv_code mv_history_check(const char *path, const mv_history_builds *builds,
                                       mv_error *error);

/* Checks as above, then appends one line for each time row of results that has a ratio, all in one
 * write(2) under a lock, so that two runs at once leave whole lines. *n_added: how many. */
MV_MUST_CHECK mv_code mv_history_append(const char *path, const mv_bench_results *results,
                                        const mv_history_builds *builds, size_t *n_added,
                                        mv_error *error);

/* One line. */
typedef struct mv_history_point {
    char key[192], commit[48], date[32];
    double log_ratio, log_low, log_high; /* the interval's ends: NAN if the line has none */
} mv_history_point;

typedef struct mv_history {
    mv_history_point *points; /* [n], in the order of the file */
    size_t n, capacity;
    char anchor[96]; /* "" for an empty file */
    char *text;      /* [size]: the lines themselves, not terminated */
    size_t size;
} mv_history;

/* The refusals of mv_history_check(), but for the anchor. *h: yours, mv_history_free(); empty on
 * failure. */
MV_MUST_CHECK mv_code mv_history_read(mv_history *h, const char *path, mv_error *error);
void mv_history_free(mv_history *h);

/* Does the file begin as a history does? false if it cannot be read. */
bool mv_history_is_one(const char *path);

/* A step in a row of values. */
typedef struct mv_change {
    size_t at;            /* the first value after it */
    double before, after; /* medians of the values up to the steps beside it */
} mv_change;

/* Steps of log ratios, in order; at most max of them. The place is where a
 * rank-sum statistic is largest; it counts if fewer than 1 in 1000 shuffles of the values have as
 * large a one, at least 5 values lie on each side, and their medians differ by 2 %. Returns how
 * many. 0 for more than MV_HISTORY_MAX_POINTS values. */
size_t mv_history_changes(mv_change *changes, size_t max, const double *log_ratios, size_t n);

/* Calls say() for every change point of every metric in the file, in order. */
MV_MUST_CHECK mv_code mv_history_tell(const char *path, void (*say)(void *cookie, const char *text),
                                      void *cookie, mv_error *error);

#endif
