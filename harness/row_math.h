/* row_math.h - sums over a row of logits, some numbers at a time: what comparing costs.
 *
 * In plain C with vectors of the compiler; AVX2 where the CPU has it. Sums are in double, in the
 * same order everywhere and without fused operations, so that every x86-64 gives the same bits.
 */
#ifndef MV_HARNESS_ROW_MATH_H
#define MV_HARNESS_ROW_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* exp() of the differences has a relative error below 4e-15; below -708 it counts as e^-708. */

/* Sum of exp(x[i] - shift); no x[i] above shift, all finite or -infinity. */
double mv_row_exp_sum(const float *x, size_t n, double shift);

typedef struct mv_row_kl {
    double sum_o, sum_t; /* of exp(o - max_o), exp(t - max_t) */
    double weighted;     /* of exp(o - max_o) ((o - max_o) - (t - max_t)) */
} mv_row_kl;

/* All finite. */
mv_row_kl mv_row_kl_sums(const double *o, const float *t, size_t n, double max_o, double max_t);

typedef struct mv_row_sums {
    bool finite;     /* all of o and t; else nothing below is known */
    double square;   /* sum of (t - o)^2 */
    double o_square; /* sum of o^2 */
    double max_abs, o_max_abs;
    size_t worst;            /* first column with |t - o| = max_abs */
    size_t first_o, first_t; /* first column with the largest of o, of t */
} mv_row_sums;

mv_row_sums mv_row_compare(const double *o, const float *t, size_t n);

/* Columns of MV_ROWS_AT_ONCE rows at once, each column to four places of each row:
 * places[g][codes[i][g]][r] += rows[r][i]. Codes are below MV_PLACES. */
enum { MV_ROWS_AT_ONCE = 4, MV_PLACES = 32 };
typedef double mv_places[4][MV_PLACES][MV_ROWS_AT_ONCE];
void mv_row_scatter(const float *const rows[MV_ROWS_AT_ONCE], size_t n, const uint8_t (*codes)[4],
                    mv_places places);

/* The first column at or after `from` with x[i] > least, or n. No NaN. */
size_t mv_row_next_above(const float *x, size_t from, size_t n, float least);

#endif
