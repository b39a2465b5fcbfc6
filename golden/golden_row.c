/* golden_row.c - what is kept of a row of logits where the row itself is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden.h"
#include "harness/parallel.h"
#include "harness/row_math.h"
#include "harness/synthetic.h"

/* ---- the sketch ----
 *
 * Number 16 g + j of the sketch (g < 4, j < 16) is the sum over columns v of
 * s_g(v) (-1)^popcount(j & b_g(v)) x_v, where 4 bits b_g and a sign s_g come from byte g of a hash
 * of v. So every logit has weight +1 or -1 in each of the 64 numbers, and it costs 4 additions
 * instead of 64: first 16 sums a group, then a Walsh-Hadamard transform of each group. Four groups,
 * so that two columns share their place in all of them once in a million.
 */

enum { GROUPS = 4, BUCKETS = 16, SIGN = 16 };

/* The stream is the FNV-1a hash of "sketch", as tensors' streams are of their names. */
#define SKETCH_STREAM 0x49a8bb6aaccd2549u

mv_code mv_sketch_make(mv_sketch *sketch, size_t vocab_size, uint64_t seed, mv_error *error)
{
    sketch->codes = calloc(vocab_size + 1, sizeof *sketch->codes);
    sketch->vocab_size = vocab_size;
    if (sketch->codes == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a sketch of %zu logits", vocab_size);
    for (size_t v = 0; v < vocab_size; v++) {
        const uint64_t bits = mv_synthetic_bits(seed, SKETCH_STREAM, v);
        for (size_t g = 0; g < GROUPS; g++)
            sketch->codes[v][g] = (uint8_t)((bits >> (8 * g)) & (BUCKETS - 1 + SIGN));
    }
    return MV_OK;
}

void mv_sketch_free(mv_sketch *sketch)
{
    free(sketch->codes);
    *sketch = (mv_sketch){0};
}

/* In place: out[j] = sum over b of (-1)^popcount(j & b) in[b]. */
static void transform(double x[BUCKETS])
{
    for (size_t half = 1; half < BUCKETS; half *= 2) {
        for (size_t i = 0; i < BUCKETS; i++) {
            if ((i & half) != 0)
                continue;
            const double a = x[i], b = x[i + half];
            x[i] = a + b;
            x[i + half] = a - b;
        }
    }
}

/* places: 16 sums, and behind SIGN what counts negative. */
static void finish_group(double out[BUCKETS], const double places[2 * BUCKETS])
{
    for (size_t b = 0; b < BUCKETS; b++)
        out[b] = places[b] - places[b + SIGN];
    transform(out);
}

/* ---- the largest ---- */

/* Rising columns: an equal value goes behind. */
static size_t insert_top(mv_row_summary *s, size_t n_top, size_t most_top, double value, int32_t id)
{
    size_t at = n_top < most_top ? n_top++ : most_top - 1;
    for (; at > 0 && s->top_values[at - 1] < value; at--) {
        s->top_values[at] = s->top_values[at - 1];
        s->top_ids[at] = s->top_ids[at - 1];
    }
    s->top_values[at] = value;
    s->top_ids[at] = id;
    return n_top;
}

static size_t most_top(const mv_sketch *sketch)
{
    return sketch->vocab_size < MV_GOLDEN_TOP ? sketch->vocab_size : MV_GOLDEN_TOP;
}

/* ---- a row of the oracle: to be recorded, so with libm's exp() and in the order of the columns
 * ---- */

void mv_row_summarise(mv_row_summary *summary, const mv_sketch *sketch, const double *row)
{
    const size_t n = sketch->vocab_size, most = most_top(sketch);
    double places[GROUPS][2 * BUCKETS] = {{0}}, sum = 0;
    size_t n_top = 0;
    memset(summary, 0, sizeof *summary);
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < GROUPS; g++)
            places[g][sketch->codes[i][g]] += row[i];
        if (n_top < most || row[i] > summary->top_values[most - 1])
            n_top = insert_top(summary, n_top, most, row[i], (int32_t)i);
    }
    for (size_t i = 0; i < n; i++)
        sum += exp(row[i] - summary->top_values[0]);
    summary->lse = summary->top_values[0] + log(sum);
    for (size_t g = 0; g < GROUPS; g++)
        finish_group(summary->sketch + g * BUCKETS, places[g]);
}

/* ---- rows of an engine: to be compared, and so to be fast ---- */

static bool is_finite_row(const float *x, size_t n)
{
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t j = 0; j < 8; j++)
            sums[j] += x[i + j] * 0;
    }
    for (; i < n; i++)
        sums[0] += x[i] * 0;
    for (size_t j = 1; j < 8; j++)
        sums[0] += sums[j];
    return sums[0] == 0; /* NaN, from a NaN or an infinity, is not 0 */
}

static void find_top(mv_row_summary *s, const mv_sketch *sketch, const float *row)
{
    const size_t n = sketch->vocab_size, most = most_top(sketch);
    size_t n_top = 0;
    for (size_t i = 0; i < most; i++)
        n_top = insert_top(s, n_top, most, (double)row[i], (int32_t)i);
    for (size_t i = most; i < n; i++) {
        i = mv_row_next_above(row, i, n, (float)s->top_values[most - 1]);
        if (i < n)
            n_top = insert_top(s, n_top, most, (double)row[i], (int32_t)i);
    }
}

static void be_nan(mv_row_summary *summary)
{
    for (size_t i = 0; i < MV_SKETCH_SIZE; i++)
        summary->sketch[i] = NAN;
    summary->lse = NAN;
}

typedef struct summarising {
    mv_row_summary *summaries;
    const mv_sketch *sketch;
    const float *rows;
} summarising;

static void summarise(void *cookie, uint64_t from, uint64_t to)
{
    const summarising *w = cookie;
    const mv_sketch *sketch = w->sketch;
    const size_t n = sketch->vocab_size;
    for (size_t first = from; first < to; first += MV_ROWS_AT_ONCE) {
        const size_t n_here = to - first < MV_ROWS_AT_ONCE ? to - first : (size_t)MV_ROWS_AT_ONCE;
        const float *four[MV_ROWS_AT_ONCE];
        mv_places places = {{{0}}};
        for (size_t r = 0; r < MV_ROWS_AT_ONCE; r++) /* one that is not there is the last again */
            four[r] = w->rows + (first + (r < n_here ? r : n_here - 1)) * n;
        mv_row_scatter(four, n, (const uint8_t(*)[4])sketch->codes, places);
        for (size_t r = 0; r < n_here; r++) {
            mv_row_summary *s = &w->summaries[first + r];
            memset(s, 0, sizeof *s);
            find_top(s, sketch, four[r]);
            if (!is_finite_row(four[r], n)) {
                be_nan(s);
                continue;
            }
            for (size_t g = 0; g < GROUPS; g++) {
                double own[2 * BUCKETS];
                for (size_t b = 0; b < 2 * BUCKETS; b++)
                    own[b] = places[g][b][r];
                finish_group(s->sketch + g * BUCKETS, own);
            }
            s->lse = s->top_values[0] + log(mv_row_exp_sum(four[r], n, s->top_values[0]));
        }
    }
}

void mv_rows_summarise(mv_row_summary *summaries, const mv_sketch *sketch, const float *rows,
                       size_t n_rows)
{
    summarising w = {summaries, sketch, rows};
    mv_parallel(n_rows, sketch->vocab_size, summarise, &w);
}
