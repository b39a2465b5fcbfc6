/* tolerance.h - which ratio is still honest arithmetic. One table, each row with its origin. */
#ifndef MV_HARNESS_TOLERANCE_H
#define MV_HARNESS_TOLERANCE_H

#include "harness/compare.h"

typedef struct mv_tolerance {
    mv_compute compute;
    double r_rmse, r_row, r_maxabs;
    const char *origin; /* where the numbers come from */
} mv_tolerance;

const mv_tolerance *mv_tolerance_get(mv_compute compute);

/* How much room is left: the least of limit / observed over the three ratios (so < 1 is a
 * failure). NAN if any of them is NAN, which also fails. *decides, if decides is not NULL,
 * receives the name of the ratio that decides. */
double mv_tolerance_headroom(const mv_tolerance *tolerance, const mv_metrics *metrics,
                             const char **decides);

#endif
