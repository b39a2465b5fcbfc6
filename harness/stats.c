/* stats.c - order statistics and ranks. Everything in double; n is small. */
#include "harness/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static mv_code check_values(const double *values, size_t n, mv_error *error)
{
    if (n == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "statistics of no values at all");
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "value %zu of %zu is %g; statistics need finite numbers", i, n,
                           values[i]);
    return MV_OK;
}

static mv_code take(void *array, size_t n, size_t size, mv_error *error)
{
    void *taken = NULL;
    size_t size_bytes;
    if (!__builtin_mul_overflow(n + 1, size, &size_bytes))
        taken = malloc(size_bytes);
    if (taken == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for statistics of %zu values", n);
    memcpy(array, &taken, sizeof taken);
    return MV_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

mv_code mv_sorted_copy(double **sorted, const double *values, size_t n, mv_error *error)
{
    double *copy = NULL;
    mv_code code = check_values(values, n, error);
    if (code == MV_OK)
        code = take(&copy, n, sizeof *copy, error);
    if (code != MV_OK)
        return code;
    memcpy(copy, values, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_value);
    *sorted = copy;
    return MV_OK;
}

double mv_percentile(const double *sorted, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t below = at > 0 ? (size_t)at : 0;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

double mv_median_in_place(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return mv_percentile(values, n, 0.5);
}

/* ---- the median ---- */

/* Largest k with 2 P(B(n, 1/2) < k) <= 1 - confidence: the k-th smallest and the k-th largest of n
 * values hold the median. 0 if there is none. */
static size_t median_rank(size_t n, double confidence)
{
    double probability = exp(-(double)n * log(2.0)), below = 0; /* P(B = k), P(B < k + 1) */
    size_t k = 0;
    for (; k < n; k++) {
        below += probability;
        if (!(2 * below <= 1 - confidence))
            break;
        probability *= (double)(n - k) / (double)(k + 1);
    }
    return k;
}

/* For n beyond this 2^-n is no longer a normal double; the binomial is normal there. */
#define MANY_VALUES 1000

/* Upper quantile of the standard normal distribution, by bisection of erfc(). */
static double normal_quantile(double tail)
{
    double low = 0, high = 40;
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high);
        if (0.5 * erfc(middle / sqrt(2.0)) > tail)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* median_rank() of n_effective values, as a fraction of them. */
static double median_fraction(double n_effective, double confidence)
{
    if (n_effective < MANY_VALUES) {
        size_t n = (size_t)n_effective;
        return n > 0 ? (double)median_rank(n, confidence) / (double)n : 0;
    }
    double z = normal_quantile((1 - confidence) / 2);
    return 0.5 - (0.5 * z * sqrt(n_effective) + 0.5) / n_effective;
}

mv_code mv_median_estimate(mv_estimate *median, const double *values, size_t n, double n_effective,
                           double confidence, mv_error *error)
{
    double *sorted = NULL;
    mv_code code = mv_sorted_copy(&sorted, values, n, error);
    if (code != MV_OK)
        return code;
    if (!(n_effective <= (double)n))
        n_effective = (double)n;
    double fraction = median_fraction(n_effective, confidence);
    size_t k = (size_t)floor(fraction * (double)n + 1e-9);
    median->value = mv_percentile(sorted, n, 0.5);
    median->low = fraction > 0 && k > 0 ? sorted[k - 1] : -INFINITY;
    median->high = fraction > 0 && k > 0 ? sorted[n - k] : INFINITY;
    free(sorted);
    return MV_OK;
}

mv_code mv_median_deviation(double *deviation, const double *values, size_t n, mv_error *error)
{
    double *sorted = NULL;
    mv_code code = mv_sorted_copy(&sorted, values, n, error);
    if (code != MV_OK)
        return code;
    double median = mv_percentile(sorted, n, 0.5);
    for (size_t i = 0; i < n; i++)
        sorted[i] = fabs(sorted[i] - median);
    qsort(sorted, n, sizeof *sorted, by_value);
    *deviation = 1.4826022185056018 * mv_percentile(sorted, n, 0.5); /* 1 / quantile(3/4) */
    free(sorted);
    return MV_OK;
}

/* ---- ranks ---- */

typedef struct ranked {
    double value;
    size_t index;
} ranked;

static int by_ranked_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Twice the mean rank of each value, an integer: 2, 4, ... without ties. order: scratch [n]. */
static void double_ranks(size_t *ranks, ranked *order, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){values[i], i};
    qsort(order, n, sizeof *order, by_ranked_value);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && !(order[to].value > order[from].value); to++) {
        }
        for (size_t i = from; i < to; i++)
            ranks[order[i].index] = from + 1 + to;
    }
}

mv_code mv_effective_count(double *n_effective, const double *values, size_t n, mv_error *error)
{
    size_t *ranks = NULL;
    ranked *order = NULL;
    double mean = (double)(n + 1), variance = 0, covariance = 0;
    mv_code code = check_values(values, n, error);
    if (code == MV_OK)
        code = take(&ranks, n, sizeof *ranks, error);
    if (code == MV_OK)
        code = take(&order, n, sizeof *order, error);
    if (code != MV_OK)
        goto done;
    double_ranks(ranks, order, values, n);
    for (size_t i = 0; i < n; i++) {
        double here = (double)ranks[i] - mean;
        variance += here * here;
        if (i + 1 < n)
            covariance += here * ((double)ranks[i + 1] - mean);
    }
    double r = variance > 0 ? covariance / variance : 0;
    *n_effective = r > 0 ? fmax((double)n * (1 - r) / (1 + r), 1) : (double)n;
done:
    free(ranks);
    free(order);
    return code;
}

/* ---- signed ranks ---- */

/* chance[s] = P(sum of the chosen doubled ranks = s), each rank chosen with chance 1/2, s from 0 to
 * the sum of all. One rank at a time; exact but for rounding. */
static void rank_sum_chances(double *chance, const size_t *ranks, size_t n)
{
    size_t total = 0;
    chance[0] = 1;
    for (size_t i = 0; i < n; i++) {
        size_t rank = ranks[i];
        for (size_t s = total + 1; s <= total + rank; s++)
            chance[s] = 0;
        total += rank;
        for (size_t s = total + 1; s-- > 0;)
            chance[s] = 0.5 * (chance[s] + (s >= rank ? chance[s - rank] : 0));
    }
}

/* P(sum >= w), the sum of ranks[i] / 2 over those chosen. */
static double exact_tail(const double *chance, size_t total, double doubled_w)
{
    double tail = 0;
    for (size_t s = total + 1; s-- > 0 && (double)s >= doubled_w;)
        tail += chance[s];
    return fmin(tail, 1);
}

/* With continuity correction: half a step of 1 (ranks), which is 1 in doubled ranks. */
static double normal_tail(const size_t *ranks, size_t n, double doubled_w)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++) {
        mean += 0.5 * (double)ranks[i];
        variance += 0.25 * (double)ranks[i] * (double)ranks[i];
    }
    return 0.5 * erfc((doubled_w - 1 - mean) / sqrt(2 * variance));
}

/* P(sum >= w) and P(sum <= w). */
static mv_code tails(double *above, double *below, const size_t *ranks, size_t n, double doubled_w,
                     mv_error *error)
{
    size_t total = 0;
    double *chance = NULL;
    for (size_t i = 0; i < n; i++)
        total += ranks[i];
    if (n > MV_EXACT_RANKS) {
        *above = normal_tail(ranks, n, doubled_w);
        *below = normal_tail(ranks, n, (double)total - doubled_w);
        return MV_OK;
    }
    mv_code code = take(&chance, total + 1, sizeof *chance, error);
    if (code != MV_OK)
        return code;
    rank_sum_chances(chance, ranks, n);
    *above = exact_tail(chance, total, doubled_w);
    *below = exact_tail(chance, total, (double)total - doubled_w); /* symmetric */
    free(chance);
    return MV_OK;
}

double mv_signed_rank_tail(size_t n, double w)
{
    size_t *ranks = NULL;
    double above = NAN, below;
    if (take(&ranks, n, sizeof *ranks, NULL) != MV_OK)
        return NAN;
    for (size_t i = 0; i < n; i++)
        ranks[i] = 2 * (i + 1);
    if (tails(&above, &below, ranks, n, 2 * w, NULL) != MV_OK)
        above = NAN;
    free(ranks);
    return above;
}

mv_code mv_signed_rank(double *above, double *below, const double *differences, size_t n,
                       mv_error *error)
{
    double *sizes = NULL;
    size_t *ranks = NULL, n_kept = 0;
    ranked *order = NULL;
    double doubled_w = 0;
    mv_code code = check_values(differences, n, error);
    if (code == MV_OK)
        code = take(&sizes, n, sizeof *sizes, error);
    if (code == MV_OK)
        code = take(&ranks, n, sizeof *ranks, error);
    if (code == MV_OK)
        code = take(&order, n, sizeof *order, error);
    if (code != MV_OK)
        goto done;
    for (size_t i = 0; i < n; i++)
        if (fabs(differences[i]) > 0)
            sizes[n_kept++] = fabs(differences[i]);
    double_ranks(ranks, order, sizes, n_kept);
    for (size_t i = 0, kept = 0; i < n; i++) {
        if (!(fabs(differences[i]) > 0))
            continue;
        doubled_w += differences[i] > 0 ? (double)ranks[kept] : 0;
        kept++;
    }
    code = tails(above, below, ranks, n_kept, doubled_w, error);
done:
    free(sizes);
    free(ranks);
    free(order);
    return code;
}

/* How many means of two to leave out at each end: the largest c with P(W <= c - 1) <= tail. */
static mv_code count_outside(size_t *c, size_t n, double tail, mv_error *error)
{
    const size_t n_means = n * (n + 1) / 2;
    size_t *ranks = NULL;
    double *chance = NULL, below = 0;
    if (n > MV_EXACT_RANKS) {
        double mean = (double)n_means / 2;
        double deviation = sqrt((double)n_means * (2 * (double)n + 1) / 12);
        double edge = floor(mean - 0.5 - normal_quantile(tail) * deviation);
        *c = edge > 0 ? (size_t)edge : 0;
        return MV_OK;
    }
    mv_code code = take(&ranks, n, sizeof *ranks, error);
    if (code == MV_OK)
        code = take(&chance, n_means + 1, sizeof *chance, error);
    if (code != MV_OK)
        goto done;
    for (size_t i = 0; i < n; i++)
        ranks[i] = i + 1; /* no ties: no need to double */
    rank_sum_chances(chance, ranks, n);
    for (*c = 0; *c < n_means; (*c)++) {
        below += chance[*c];
        if (!(below <= tail))
            break;
    }
done:
    free(ranks);
    free(chance);
    return code;
}

mv_code mv_hodges_lehmann(mv_estimate *shift, const double *differences, size_t n,
                          double confidence, mv_error *error)
{
    const size_t n_means = n * (n + 1) / 2;
    double *means = NULL;
    size_t c = 0, at = 0;
    mv_code code = check_values(differences, n, error);
    if (code == MV_OK && n > 4096)
        code = mv_fail(error, MV_ERR_ARGUMENT, "%zu differences, expected at most 4096", n);
    if (code == MV_OK)
        code = count_outside(&c, n, (1 - confidence) / 2, error);
    if (code == MV_OK)
        code = take(&means, n_means, sizeof *means, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            means[at++] = 0.5 * differences[i] + 0.5 * differences[j];
    qsort(means, n_means, sizeof *means, by_value);
    shift->value = mv_percentile(means, n_means, 0.5);
    shift->low = c > 0 ? means[c - 1] : -INFINITY;
    shift->high = c > 0 ? means[n_means - c] : INFINITY;
    free(means);
    return MV_OK;
}

mv_code mv_holm(double *adjusted, const double *p, size_t n, mv_error *error)
{
    ranked *order = NULL;
    double largest = 0;
    mv_code code = check_values(p, n, error);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        if (p[i] < 0 || p[i] > 1)
            code = mv_fail(error, MV_ERR_ARGUMENT, "p value %zu is %g, expected 0 to 1", i, p[i]);
    if (code == MV_OK)
        code = take(&order, n, sizeof *order, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){p[i], i};
    qsort(order, n, sizeof *order, by_ranked_value);
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fmin(1, (double)(n - i) * order[i].value));
        adjusted[order[i].index] = largest;
    }
    free(order);
    return MV_OK;
}
