/* stats.h - statistics that assume nothing about the shape of noise.
 *
 * Every function rejects values that are not finite, with MV_ERR_ARGUMENT: a comparison with a NaN
 * in it has no answer. None changes the caller's array. n = 0 is MV_ERR_ARGUMENT, too.
 */
#ifndef MV_HARNESS_STATS_H
#define MV_HARNESS_STATS_H

#include "backends/mistral_backend.h"

/* low = -inf and high = +inf where there are too few values for an interval (6 for 95 %). */
typedef struct mv_estimate {
    double value, low, high;
} mv_estimate;

/* Percentile p in 0 ... 1, interpolated between neighbours (type 7 of Hyndman and Fan 1996, what R
 * and numpy do). sorted: rising. n >= 1. */
double mv_percentile(const double *sorted, size_t n, double p);

/* The median alone; puts the values, which are finite, in order. n >= 1. */
double mv_median_in_place(double *values, size_t n);

/* Sorted copy; yours: free(). */
MV_MUST_CHECK mv_code mv_sorted_copy(double **sorted, const double *values, size_t n,
                                     mv_error *error);

/* The median, between two order statistics that hold it with at least `confidence`. Independent
 * values are assumed; n_effective (<= n) says how many the n values are worth, see
 * mv_effective_count(). */
MV_MUST_CHECK mv_code mv_median_estimate(mv_estimate *median, const double *values, size_t n,
                                         double n_effective, double confidence, mv_error *error);

/* Median of |value - median|, times 1.4826: the standard deviation if the noise were normal. */
MV_MUST_CHECK mv_code mv_median_deviation(double *deviation, const double *values, size_t n,
                                          mv_error *error);

/* n (1 - r) / (1 + r), r the autocorrelation of the ranks at lag 1 where it is positive: what n
 * values in a row are worth when each resembles the one before. */
MV_MUST_CHECK mv_code mv_effective_count(double *n_effective, const double *values, size_t n,
                                         mv_error *error);

/* ---- paired differences ---- */

/* P(W+ >= w) under the hypothesis that each of n different ranks is positive or negative with equal
 * chance. Exact for n <= MV_EXACT_RANKS, normal with continuity correction beyond. */
enum { MV_EXACT_RANKS = 200 };
double mv_signed_rank_tail(size_t n, double w);

/* Wilcoxon's signed-rank test of "the differences are symmetric about 0": *above is the one-sided p
 * against "they tend to be above", *below against "below". Zeros are dropped; ties share their mean
 * rank, and the distribution is the exact one given those ranks (n <= MV_EXACT_RANKS), the normal
 * one with the variance of those ranks beyond. All zeros: both are 1. */
MV_MUST_CHECK mv_code mv_signed_rank(double *above, double *below, const double *differences,
                                     size_t n, mv_error *error);

/* Hodges and Lehmann: median of the n (n + 1) / 2 means of two; the interval holds what the
 * signed-rank test does not reject. n <= 4096. */
MV_MUST_CHECK mv_code mv_hodges_lehmann(mv_estimate *shift, const double *differences, size_t n,
                                        double confidence, mv_error *error);

/* Holm's step-down: adjusted[i] <= alpha says that hypothesis i is rejected with all n errors
 * together below alpha. p in 0 ... 1. adjusted may be p. */
MV_MUST_CHECK mv_code mv_holm(double *adjusted, const double *p, size_t n, mv_error *error);

#endif
