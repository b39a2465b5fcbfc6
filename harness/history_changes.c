/* history_changes.c - where a row of values steps from one level to another. */
#include <math.h>
#include <string.h>

#include "harness/history.h"
#include "harness/synthetic.h"

#define LEAST_SIDE 5 /* values */
#define LEAST_STEP 0.02
#define N_SHUFFLES 999

/* Ranks among n values, ties share theirs. n is at most MV_HISTORY_MAX_POINTS: n^2 is nothing. */
static void rank(double *ranks, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double below = 0, equal = 0;
        for (size_t j = 0; j < n; j++) {
            below += values[j] < values[i] ? 1 : 0;
            equal += values[j] == values[i] ? 1 : 0;
        }
        ranks[i] = below + (equal + 1) / 2;
    }
}

/* The largest |standardised rank sum| of what lies before a split, and where that is. */
static double largest(const double *ranks, size_t n, size_t *at)
{
    double sum = 0, most = 0;
    for (size_t k = 1; k + LEAST_SIDE <= n; k++) {
        sum += ranks[k - 1];
        if (k < LEAST_SIDE)
            continue;
        const double a = (double)k, b = (double)(n - k), m = (double)n + 1;
        const double z = fabs(sum - a * m / 2) / sqrt(a * b * m / 12);
        if (z > most) {
            most = z;
            *at = k;
        }
    }
    return most;
}

static double median(const double *values, size_t n)
{
    mv_estimate estimate;
    return mv_median_estimate(&estimate, values, n, (double)n, 0.95, NULL) == MV_OK ? estimate.value
                                                                                    : NAN;
}

/* Of values[from] ... values[to - 1]: is there a step, and where? */
static bool find_step(size_t *at, const double *values, size_t from, size_t to)
{
    double ranks[MV_HISTORY_MAX_POINTS];
    const size_t n = to - from;
    size_t split = 0, other;
    if (n < 2 * LEAST_SIDE)
        return false;
    rank(ranks, values + from, n);
    const double found = largest(ranks, n, &split);
    if (!(fabs(median(values + from, split) - median(values + from + split, n - split)) >=
          LEAST_STEP))
        return false;
    for (uint64_t s = 0; s < N_SHUFFLES; s++) { /* the same ones each time: no luck in an advice */
        for (size_t i = n - 1; i > 0; i--) {
            size_t j = mv_synthetic_bits(s, 0x73746570u, i) % (i + 1);
            double kept = ranks[i];
            ranks[i] = ranks[j];
            ranks[j] = kept;
        }
        if (largest(ranks, n, &other) >= found)
            return false;
    }
    *at = from + split;
    return true;
}

size_t mv_history_changes(mv_change *changes, size_t max, const double *log_ratios, size_t n)
{
    size_t starts[64] = {0}, n_parts = 1, n_changes = 0;
    if (n > MV_HISTORY_MAX_POINTS || max == 0)
        return 0;
    for (size_t part = 0; part < n_parts && n_changes < max && n_parts < 63;) {
        const size_t to = part + 1 < n_parts ? starts[part + 1] : n;
        size_t at;
        if (!find_step(&at, log_ratios, starts[part], to)) {
            part++;
            continue;
        }
        memmove(&starts[part + 2], &starts[part + 1], (n_parts - part - 1) * sizeof *starts);
        starts[part + 1] = at;
        n_parts++;
        n_changes++;
    }
    for (size_t i = 0; i < n_changes; i++) {
        const size_t from = starts[i], at = starts[i + 1];
        const size_t to = i + 2 < n_parts ? starts[i + 2] : n;
        changes[i] =
            (mv_change){at, median(log_ratios + from, at - from), median(log_ratios + at, to - at)};
    }
    return n_changes;
}
