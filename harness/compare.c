/* compare.c - sums of squares in double, row by row. */
#include "harness/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/row_math.h"

void mv_metrics_clear(mv_metrics *metrics)
{
    *metrics = (mv_metrics){.r_rmse = NAN,
                            .r_row = NAN,
                            .r_maxabs = NAN,
                            .max_abs = NAN,
                            .nmse = NAN,
                            .kl_mean = NAN,
                            .kl_max = NAN,
                            .top1_agreement = NAN,
                            .effective_window = -1};
}

void mv_error_profile_init(mv_error_profile *profile, size_t n_cols)
{
    *profile = (mv_error_profile){.n_cols = n_cols, .worst = {.position = -1, .token_id = -1}};
}

void mv_error_profile_free(mv_error_profile *profile)
{
    free(profile->rows);
    mv_error_profile_init(profile, profile->n_cols);
}

static mv_code reserve(mv_error_profile *profile, size_t n_rows, mv_error *error)
{
    const size_t needed = profile->n_rows + n_rows;
    if (needed <= profile->capacity)
        return MV_OK;
    const size_t capacity = needed > 2 * profile->capacity ? needed : 2 * profile->capacity;
    mv_row_error *rows = realloc(profile->rows, capacity * sizeof *rows);
    if (rows == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for the errors of %zu rows", capacity);
    profile->rows = rows;
    profile->capacity = capacity;
    return MV_OK;
}

/* KL(softmax(o) || softmax(t)) in nats, both shifted by their largest logit. */
static double row_kl(const double *o, const float *t, size_t n, double max_o, double max_t)
{
    const mv_row_kl sums = mv_row_kl_sums(o, t, n, max_o, max_t);
    return sums.weighted / sums.sum_o - log(sums.sum_o) + log(sums.sum_t);
}

/* A row with something that is not finite. *worst: the column with the largest error, or the last
 * that is not finite. */
static mv_row_error measure_odd_row(const double *o, const float *t, size_t n, size_t *worst)
{
    mv_row_error e = {.kl = NAN};
    size_t first_o = 0, first_t = 0;
    *worst = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(t[i])) {
            e.n_non_finite++;
            *worst = i;
            continue;
        }
        double d = fabs((double)t[i] - o[i]), size = fabs(o[i]);
        e.square += d * d;
        e.oracle_square += size * size;
        if (size > e.oracle_max_abs)
            e.oracle_max_abs = size;
        if (d > e.max_abs) {
            e.max_abs = d;
            if (e.n_non_finite == 0)
                *worst = i;
        }
        if (o[i] > o[first_o])
            first_o = i;
        if (!(t[i] <= t[first_t]))
            first_t = i;
    }
    /* Nobody can say which token such a row ranks first. */
    e.gap = e.n_non_finite > 0 ? INFINITY : o[first_o] - o[first_t];
    return e;
}

/* *worst: the column with the largest error. */
static mv_row_error measure_row(const mv_row_sums *sums, const double *o, const float *t, size_t n,
                                bool with_kl, size_t *worst)
{
    const mv_row_sums s = *sums;
    if (!s.finite)
        return measure_odd_row(o, t, n, worst);
    *worst = s.worst;
    return (mv_row_error){
        .square = s.square,
        .oracle_square = s.o_square,
        .oracle_max_abs = s.o_max_abs,
        .max_abs = s.max_abs,
        .gap = o[s.first_o] - o[s.first_t],
        .kl = with_kl ? row_kl(o, t, n, o[s.first_o], (double)t[s.first_t]) : NAN,
    };
}

/* A value that is not finite is worse than any that is. */
static void take_worst(mv_error_profile *profile, size_t column, const double *o, const float *t)
{
    mv_worst *worst = &profile->worst;
    double distance = fabs((double)t[column] - o[column]);
    double before = fabs(worst->actual - worst->expected);
    if (worst->position >= 0 && (!isfinite(before) || distance <= before))
        return;
    *worst = (mv_worst){(int64_t)profile->n_rows, (int64_t)column, o[column], (double)t[column]};
}

static bool is_finite_row(const double *row, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += row[i] * 0;
    return sum == 0;
}

mv_code mv_error_profile_add(mv_error_profile *profile, const double *oracle, const float *test,
                             size_t n_rows, bool with_kl, mv_error *error)
{
    mv_code code = reserve(profile, n_rows, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < n_rows; i++) {
        const double *o = oracle + i * profile->n_cols;
        const float *t = test + i * profile->n_cols;
        size_t worst;
        const mv_row_sums sums = mv_row_compare(o, t, profile->n_cols);
        if (!sums.finite && !is_finite_row(o, profile->n_cols))
            return mv_fail(error, MV_ERR_FORMAT,
                           "the oracle's logits of row %zu are not finite: the model cannot show "
                           "anything",
                           profile->n_rows);
        const mv_row_error e = measure_row(&sums, o, t, profile->n_cols, with_kl, &worst);
        take_worst(profile, worst, o, t);
        profile->rows[profile->n_rows++] = e;
    }
    return MV_OK;
}

mv_code mv_error_profile_add_empty(mv_error_profile *profile, mv_error *error)
{
    mv_code code = reserve(profile, 1, error);
    if (code == MV_OK)
        profile->rows[profile->n_rows++] = (mv_row_error){.kl = NAN};
    return code;
}

mv_code mv_error_profile_append(mv_error_profile *profile, const mv_error_profile *from,
                                size_t first, size_t n_rows, mv_error *error)
{
    if (profile->n_cols != from->n_cols || first > from->n_rows || n_rows > from->n_rows - first)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "rows %zu to %zu of a profile [%zu, %zu] cannot be joined to one of %zu "
                       "columns",
                       first, first + n_rows, from->n_rows, from->n_cols, profile->n_cols);
    mv_code code = reserve(profile, n_rows, error);
    if (code != MV_OK)
        return code;
    if (n_rows > 0)
        memcpy(profile->rows + profile->n_rows, from->rows + first, n_rows * sizeof *profile->rows);
    profile->n_rows += n_rows;
    return MV_OK;
}

/* ---- ratios ---- */

typedef struct totals {
    double square, oracle_square, max_abs, oracle_max_abs, kl_sum, kl_max;
    uint64_t n_non_finite;
} totals;

static totals sum_rows(const mv_error_profile *profile)
{
    totals t = {0};
    for (size_t i = 0; i < profile->n_rows; i++) {
        const mv_row_error *row = &profile->rows[i];
        t.square += row->square;
        t.oracle_square += row->oracle_square;
        t.max_abs = fmax(t.max_abs, row->max_abs);
        t.oracle_max_abs = fmax(t.oracle_max_abs, row->oracle_max_abs);
        t.kl_sum += row->kl;
        if (isnan(row->kl) || row->kl > t.kl_max) /* a NAN stays */
            t.kl_max = row->kl;
        t.n_non_finite += row->n_non_finite;
    }
    return t;
}

/* float32 cannot say where a number is more finely than half of its last bit, 2^-24 of it; the
 * root mean square of an error that is uniform in that range is 1 / sqrt(3) of it. */
#define HALF_ULP 0x1p-24

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the squared row errors. NAN if there is no memory. */
static double median_square(const mv_error_profile *profile)
{
    double *sorted = malloc((profile->n_rows + 1) * sizeof *sorted);
    if (sorted == NULL)
        return NAN;
    for (size_t i = 0; i < profile->n_rows; i++)
        sorted[i] = profile->rows[i].square;
    qsort(sorted, profile->n_rows, sizeof *sorted, by_value);
    double median = profile->n_rows > 0 ? sorted[profile->n_rows / 2] : NAN;
    free(sorted);
    return median;
}

/* What the reference's errors are worth as a yardstick. */
typedef struct yardstick {
    double square, max_abs;
    double median_row_square, floor_row_square;
} yardstick;

static yardstick make_yardstick(const mv_error_profile *reference)
{
    const totals t = sum_rows(reference);
    const double floor = t.oracle_square * HALF_ULP * HALF_ULP / 3.0;
    return (yardstick){.square = fmax(t.square, floor),
                       .max_abs = fmax(t.max_abs, t.oracle_max_abs * HALF_ULP / sqrt(3.0)),
                       .median_row_square = median_square(reference),
                       .floor_row_square = floor / (double)reference->n_rows};
}

/* A lucky row of the reference is no yardstick: it counts as at least half of the median row. */
static double row_ratio(const yardstick *y, const mv_row_error *reference, const mv_row_error *test)
{
    double square = fmax(fmax(reference->square, y->median_row_square / 4.0), y->floor_row_square);
    return test->n_non_finite > 0 ? NAN : sqrt(test->square / square);
}

static double top1_agreement(const mv_error_profile *reference, const mv_error_profile *test)
{
    size_t n_agree = 0;
    for (size_t i = 0; i < test->n_rows; i++) {
        double noise = sqrt(reference->rows[i].square / (double)reference->n_cols);
        if (test->rows[i].gap <= 4.0 * noise)
            n_agree++;
    }
    return (double)n_agree / (double)test->n_rows;
}

mv_code mv_metrics_from_profiles(mv_metrics *metrics, const mv_error_profile *reference,
                                 const mv_error_profile *test, mv_error *error)
{
    if (reference->n_rows != test->n_rows || reference->n_cols != test->n_cols)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "compared logits [%zu, %zu] with a reference of [%zu, %zu]", test->n_rows,
                       test->n_cols, reference->n_rows, reference->n_cols);
    mv_metrics_clear(metrics);
    if (test->n_rows == 0 || test->n_cols == 0)
        return MV_OK; /* nothing is known, which fails every bound */

    const yardstick y = make_yardstick(reference);
    const totals t = sum_rows(test);
    metrics->nmse = t.n_non_finite > 0    ? INFINITY
                    : t.oracle_square > 0 ? t.square / t.oracle_square
                                          : NAN;
    metrics->max_abs = t.n_non_finite > 0 ? INFINITY : t.max_abs;
    metrics->kl_mean = t.kl_sum / (double)test->n_rows;
    metrics->kl_max = t.kl_max;
    metrics->top1_agreement = top1_agreement(reference, test);
    if (t.n_non_finite > 0 || sum_rows(reference).n_non_finite > 0 || isnan(y.median_row_square))
        return MV_OK;

    metrics->r_rmse = sqrt(t.square / y.square);
    metrics->r_maxabs = t.max_abs / y.max_abs;
    metrics->r_row = 0;
    for (size_t i = 0; i < test->n_rows; i++)
        metrics->r_row = fmax(metrics->r_row, row_ratio(&y, &reference->rows[i], &test->rows[i]));
    return MV_OK;
}

int64_t mv_first_bad_row(const mv_error_profile *reference, const mv_error_profile *test,
                         double limit)
{
    if (reference->n_rows != test->n_rows || test->n_rows == 0)
        return -1;
    const yardstick y = make_yardstick(reference);
    for (size_t i = 0; i < test->n_rows; i++) {
        if (!(row_ratio(&y, &reference->rows[i], &test->rows[i]) <= limit))
            return (int64_t)i;
    }
    return -1;
}

int64_t mv_first_different(const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            return (int64_t)i;
    }
    return -1;
}
