/* compare.h - how far are these logits from those?
 *
 * The measure is a ratio. o is the float64 oracle, r the reference in the arithmetic under test, t
 * the engine under test, all [n_rows, n_cols]:
 *   r_rmse   = RMSE(t - o) / RMSE(r - o)
 *   r_row    = max over rows of rmse_row(t - o) / max(rmse_row(r - o), median row error of r / 2)
 *   r_maxabs = max |t - o| / max |r - o|
 * 1 means: as far from the truth as an honest implementation. Why these three: docs/NUMERICS.md.
 *
 * All sums are in double. Rows may be added in several calls, so that nobody needs to hold all the
 * logits at once; but r_row needs the row errors of r, kept here as 8 bytes a row.
 */
#ifndef MV_HARNESS_COMPARE_H
#define MV_HARNESS_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/mistral_backend.h"

/* What cannot be known is NAN, never 0. */
typedef struct mv_metrics {
    double r_rmse, r_row, r_maxabs;
    double max_abs;           /* max |t - o| */
    double nmse;              /* sum (t-o)^2 / sum o^2 */
    double kl_mean, kl_max;   /* KL(softmax(o) || softmax(t)) a row, in nats */
    double top1_agreement;    /* 0 ... 1; a row where o's first two are nearer than 4 x its error
                                 counts */
    int64_t effective_window; /* inferred; -1 = not asked, 0 = unlimited */
} mv_metrics;

void mv_metrics_clear(mv_metrics *metrics); /* all NAN, effective_window -1 */

/* The worst single logit. */
typedef struct mv_worst {
    int64_t position; /* row, -1 if nothing was compared */
    int64_t token_id; /* column */
    double expected, actual;
} mv_worst;

/* One row of logits against the oracle's. */
typedef struct mv_row_error {
    double square;         /* sum over columns of (t-o)^2 */
    double oracle_square;  /* sum of o^2 */
    double max_abs;        /* max |t - o| */
    double oracle_max_abs; /* max |o| */
    double gap;            /* oracle's largest logit minus its logit of t's first column; INFINITY
                              if t has a non-finite one */
    double kl;             /* nats; NAN if not asked for */
    uint64_t n_non_finite; /* left out of the sums */
} mv_row_error;

/* Errors of a set of rows. Fill with mv_error_profile_add(). */
typedef struct mv_error_profile {
    mv_row_error *rows; /* [n_rows] */
    size_t n_rows, n_cols, capacity;
    mv_worst worst; /* a non-finite one, if there is any */
} mv_error_profile;

void mv_error_profile_init(mv_error_profile *profile, size_t n_cols);
void mv_error_profile_free(mv_error_profile *profile);

/* Adds n_rows rows: oracle [n_rows, n_cols] double, test [n_rows, n_cols] float. Non-finite values
 * in test are counted and left out of the sums; in the oracle they are MV_ERR_FORMAT. with_kl costs
 * two exps an element. */
MV_MUST_CHECK mv_code mv_error_profile_add(mv_error_profile *profile, const double *oracle,
                                           const float *test, size_t n_rows, bool with_kl,
                                           mv_error *error);

/* A row about which nothing is known, to keep the numbering. */
MV_MUST_CHECK mv_code mv_error_profile_add_empty(mv_error_profile *profile, mv_error *error);

/* Appends n_rows of from's rows, but not its worst. Both have the same number of columns. */
MV_MUST_CHECK mv_code mv_error_profile_append(mv_error_profile *profile,
                                              const mv_error_profile *from, size_t first,
                                              size_t n_rows, mv_error *error);

/* test's profile against the reference's: same number of rows and columns, else
 * MV_ERR_ARGUMENT. The denominators never fall below float32's own rounding of the oracle. */
MV_MUST_CHECK mv_code mv_metrics_from_profiles(mv_metrics *metrics,
                                               const mv_error_profile *reference,
                                               const mv_error_profile *test, mv_error *error);

/* First row whose error exceeds limit x max(reference row error, median / 2); -1 if none. */
int64_t mv_first_bad_row(const mv_error_profile *reference, const mv_error_profile *test,
                         double limit);

/* Bit for bit, NaN included. Returns -1 if equal, else the flat index of the first difference. */
int64_t mv_first_different(const float *a, const float *b, size_t n);

#endif
