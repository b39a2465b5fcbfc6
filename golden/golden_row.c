/* golden_row.c - what is kept of a row of logits where the row itself is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden.h"
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

/* ---- one row, in blocks that stay in the first cache ---- */

enum { BLOCK = 512 };

typedef struct row_state {
    double places[GROUPS][2 * BUCKETS]; /* behind SIGN: what counts negative */
    mv_row_summary *summary;
    size_t n_top, most_top;
} row_state;

static void add_to_sketch(row_state *state, const uint8_t (*codes)[4], const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < GROUPS; g++)
            state->places[g][codes[i][g]] += x[i];
    }
}

/* Rising columns: an equal value goes behind. */
static void insert_top(row_state *state, double value, int32_t id)
{
    mv_row_summary *s = state->summary;
    size_t at = state->n_top < state->most_top ? state->n_top++ : state->most_top - 1;
    for (; at > 0 && s->top_values[at - 1] < value; at--) {
        s->top_values[at] = s->top_values[at - 1];
        s->top_ids[at] = s->top_ids[at - 1];
    }
    s->top_values[at] = value;
    s->top_ids[at] = id;
}

static void add_to_top(row_state *state, const double *x, size_t n, size_t first)
{
    for (size_t i = 0; i < n; i++) {
        if (state->n_top < state->most_top ||
            x[i] > state->summary->top_values[state->most_top - 1])
            insert_top(state, x[i], (int32_t)(first + i));
    }
}

/* wide or narrow: the row; the other is NULL. */
static const double *block_of(const double *wide, const float *narrow, size_t at, size_t n,
                              double buffer[BLOCK])
{
    if (wide != NULL)
        return wide + at;
    for (size_t i = 0; i < n; i++)
        buffer[i] = (double)narrow[at + i];
    return buffer;
}

static void summarise(mv_row_summary *summary, const mv_sketch *sketch, const double *wide,
                      const float *narrow)
{
    const size_t n = sketch->vocab_size;
    row_state state = {.summary = summary, .most_top = n < MV_GOLDEN_TOP ? n : MV_GOLDEN_TOP};
    double buffer[BLOCK], sum = 0;
    memset(summary, 0, sizeof *summary);
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t size = n - at < BLOCK ? n - at : BLOCK;
        const double *x = block_of(wide, narrow, at, size, buffer);
        add_to_sketch(&state, (const uint8_t(*)[4])sketch->codes + at, x, size);
        add_to_top(&state, x, size, at);
    }
    const double most = summary->top_values[0];
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t size = n - at < BLOCK ? n - at : BLOCK;
        const double *x = block_of(wide, narrow, at, size, buffer);
        for (size_t i = 0; i < size; i++)
            sum += exp(x[i] - most);
    }
    summary->lse = most + log(sum);
    for (size_t g = 0; g < GROUPS; g++) {
        double *out = summary->sketch + g * BUCKETS;
        for (size_t b = 0; b < BUCKETS; b++)
            out[b] = state.places[g][b] - state.places[g][b + SIGN];
        transform(out);
    }
}

void mv_row_summarise(mv_row_summary *summary, const mv_sketch *sketch, const double *row)
{
    summarise(summary, sketch, row, NULL);
}

void mv_row_summarise_f32(mv_row_summary *summary, const mv_sketch *sketch, const float *row)
{
    summarise(summary, sketch, NULL, row);
}
