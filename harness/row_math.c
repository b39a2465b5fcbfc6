/* row_math.c - the loops, written once in vectors of four doubles and compiled twice. */
#include "harness/row_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Every function with vectors in its signature is inlined: there is no ABI for them to change. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum { LANES = 4, BLOCK = 512 };
typedef double vec __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t ivec __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef float fvec __attribute__((vector_size(LANES * sizeof(float))));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const double *x)
{
    vec v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE vec load_f32(const float *x)
{
    fvec v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, vec);
}

INLINE vec all(double x)
{
    return (vec){x, x, x, x};
}

INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

INLINE double sum_of(vec v)
{
    return (v[0] + v[1]) + (v[2] + v[3]);
}

INLINE double max_of(vec v)
{
    double a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
}

/* exp(x) for -708 <= x <= 709: 2^k times the Taylor series of exp(r), |r| <= ln(2)/2. Adding 1.5 x
 * 2^52 rounds to an integer and leaves it in the lowest bits. */
INLINE vec vec_exp(vec x)
{
    const vec magic = all(0x1.8p52);
    x = choose(x < all(-708.0), all(-708.0), x);
    const vec t = x * all(0x1.71547652b82fep0) + magic;
    const vec k = t - magic;
    const vec r = (x - k * all(0x1.62e42fefa3800p-1)) - k * all(0x1.ef35793c76730p-45);
    vec p = all(1.0 / 479001600.0);
    p = p * r + all(1.0 / 39916800.0);
    p = p * r + all(1.0 / 3628800.0);
    p = p * r + all(1.0 / 362880.0);
    p = p * r + all(1.0 / 40320.0);
    p = p * r + all(1.0 / 5040.0);
    p = p * r + all(1.0 / 720.0);
    p = p * r + all(1.0 / 120.0);
    p = p * r + all(1.0 / 24.0);
    p = p * r + all(1.0 / 6.0);
    p = p * r + all(0.5);
    p = p * r + all(1.0);
    p = p * r + all(1.0);
    return (vec)((ivec)p + ((ivec)t << 52));
}

/* The last columns of a row, filled up with `rest`. */
INLINE vec load_rest(const double *x, size_t n, double rest)
{
    double full[LANES] = {rest, rest, rest, rest};
    memcpy(full, x, n * sizeof *x);
    return load(full);
}

INLINE vec load_rest_f32(const float *x, size_t n, float rest)
{
    float full[LANES] = {rest, rest, rest, rest};
    memcpy(full, x, n * sizeof *x);
    return load_f32(full);
}

INLINE double exp_sum(const float *x, size_t n, double shift)
{
    vec a = all(0), b = all(0);
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a += vec_exp(load_f32(x + i) - all(shift));
        b += vec_exp(load_f32(x + i + LANES) - all(shift));
    }
    for (; i < n; i += LANES)
        a += vec_exp(load_rest_f32(x + i, n - i < LANES ? n - i : LANES, -INFINITY) - all(shift));
    return sum_of(a + b);
}

INLINE mv_row_kl kl_sums(const double *o, const float *t, size_t n, double max_o, double max_t)
{
    vec sum_o = all(0), sum_t = all(0), weighted = all(0);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i;
        const vec d = left >= LANES ? load(o + i) : load_rest(o + i, left, max_o - 1e4);
        const vec f =
            left >= LANES ? load_f32(t + i) : load_rest_f32(t + i, left, (float)(max_t - 1e4));
        const vec p = vec_exp(d - all(max_o));
        sum_o += p;
        sum_t += vec_exp(f - all(max_t));
        weighted += p * ((d - all(max_o)) - (f - all(max_t)));
    }
    return (mv_row_kl){sum_of(sum_o), sum_of(sum_t), sum_of(weighted)};
}

/* The largest of three quantities in one block of columns. */
typedef struct most {
    double d, o, t;
} most;

typedef struct totals {
    vec square, o_square, check, size;
} totals;

INLINE most compare_block(const double *o, const float *t, size_t n, totals *sums)
{
    const ivec sign = (ivec)all(-0.0);
    vec most_d = all(-INFINITY), most_o = all(-INFINITY), most_t = all(-INFINITY);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i;
        const bool full = left >= LANES;
        /* at the end the first column of the rest stands in again; its errors do not count twice */
        const vec a = full ? load(o + i) : load_rest(o + i, left, o[i]);
        const vec b = full ? load_f32(t + i) : load_rest_f32(t + i, left, t[i]);
        const vec e = b - a;
        const vec counts = full ? all(1) : (vec){1, left > 1, left > 2, 0};
        const vec d = (vec)((ivec)e & ~sign), size = (vec)((ivec)a & ~sign);
        sums->square += counts * (e * e);
        sums->o_square += counts * (a * a);
        sums->check += e * all(0);
        sums->size = choose(size > sums->size, size, sums->size);
        most_d = choose(d > most_d, d, most_d);
        most_o = choose(a > most_o, a, most_o);
        most_t = choose(b > most_t, b, most_t);
    }
    return (most){max_of(most_d), max_of(most_o), max_of(most_t)};
}

static size_t find_d(const double *o, const float *t, size_t from, double d)
{
    while (fabs((double)t[from] - o[from]) != d)
        from++;
    return from;
}

static size_t find_o(const double *o, size_t from, double value)
{
    while (o[from] != value)
        from++;
    return from;
}

static size_t find_t(const float *t, size_t from, double value)
{
    while ((double)t[from] != value)
        from++;
    return from;
}

INLINE mv_row_sums compare(const double *o, const float *t, size_t n)
{
    mv_row_sums s = {.finite = true};
    most row = {-INFINITY, -INFINITY, -INFINITY};
    totals sums = {all(0), all(0), all(0), all(0)};
    size_t block_d = 0, block_o = 0, block_t = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const most here = compare_block(o + at, t + at, n - at < BLOCK ? n - at : BLOCK, &sums);
        block_d = here.d > row.d ? at : block_d;
        block_o = here.o > row.o ? at : block_o;
        block_t = here.t > row.t ? at : block_t;
        row.d = here.d > row.d ? here.d : row.d;
        row.o = here.o > row.o ? here.o : row.o;
        row.t = here.t > row.t ? here.t : row.t;
    }
    s.finite = n > 0 && sum_of(sums.check) == 0; /* else NaN: also for an infinity */
    if (!s.finite)
        return s;
    s.square = sum_of(sums.square);
    s.o_square = sum_of(sums.o_square);
    s.max_abs = row.d;
    s.o_max_abs = max_of(sums.size);
    s.worst = find_d(o, t, block_d, row.d);
    s.first_o = find_o(o, block_o, row.o);
    s.first_t = find_t(t, block_t, row.t);
    return s;
}

/* Four columns of four rows: rows in, columns out. The builtin is one that clang has too. */
INLINE void transpose(fvec r[LANES])
{
    const fvec a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    const fvec b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    const fvec c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    const fvec d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

INLINE void add_column(fvec column, const uint8_t code[4], mv_places places)
{
    const vec x = __builtin_convertvector(column, vec);
    for (size_t g = 0; g < 4; g++) {
        double *place = places[g][code[g] % MV_PLACES];
        const vec sum = load(place) + x;
        memcpy(place, &sum, sizeof sum);
    }
}

INLINE void scatter(const float *const rows[MV_ROWS_AT_ONCE], size_t n, const uint8_t (*codes)[4],
                    mv_places places)
{
    _Static_assert((int)LANES == (int)MV_ROWS_AT_ONCE, "a vector holds a column");
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        fvec columns[LANES];
        for (size_t r = 0; r < LANES; r++)
            memcpy(&columns[r], rows[r] + i, sizeof columns[r]);
        transpose(columns);
        for (size_t j = 0; j < LANES; j++)
            add_column(columns[j], codes[i + j], places);
    }
    for (; i < n; i++)
        add_column((fvec){rows[0][i], rows[1][i], rows[2][i], rows[3][i]}, codes[i], places);
}

INLINE size_t next_above(const float *x, size_t from, size_t n, float least)
{
    const fvec limit = {least, least, least, least};
    for (; from + 2 * LANES <= n; from += 2 * LANES) {
        fvec a, b;
        memcpy(&a, x + from, sizeof a);
        memcpy(&b, x + from + LANES, sizeof b);
        const ivec any = (ivec) __builtin_convertvector((a > limit) | (b > limit), ivec);
        if ((any[0] | any[1] | any[2] | any[3]) != 0)
            break;
    }
    while (from < n && !(x[from] > least))
        from++;
    return from;
}

/* ---- for this CPU ---- */

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
WIDE static double exp_sum_wide(const float *x, size_t n, double shift)
{
    return exp_sum(x, n, shift);
}
WIDE static mv_row_kl kl_sums_wide(const double *o, const float *t, size_t n, double max_o,
                                   double max_t)
{
    return kl_sums(o, t, n, max_o, max_t);
}
WIDE static mv_row_sums compare_wide(const double *o, const float *t, size_t n)
{
    return compare(o, t, n);
}
WIDE static void scatter_wide(const float *const rows[MV_ROWS_AT_ONCE], size_t n,
                              const uint8_t (*codes)[4], mv_places places)
{
    scatter(rows, n, codes, places);
}
#define IS_WIDE() __builtin_cpu_supports("avx2")
#else
#define scatter_wide scatter
#define exp_sum_wide exp_sum
#define kl_sums_wide kl_sums
#define compare_wide compare
#define IS_WIDE() 0
#endif

double mv_row_exp_sum(const float *x, size_t n, double shift)
{
    return IS_WIDE() ? exp_sum_wide(x, n, shift) : exp_sum(x, n, shift);
}

mv_row_kl mv_row_kl_sums(const double *o, const float *t, size_t n, double max_o, double max_t)
{
    return IS_WIDE() ? kl_sums_wide(o, t, n, max_o, max_t) : kl_sums(o, t, n, max_o, max_t);
}

mv_row_sums mv_row_compare(const double *o, const float *t, size_t n)
{
    return IS_WIDE() ? compare_wide(o, t, n) : compare(o, t, n);
}

void mv_row_scatter(const float *const rows[MV_ROWS_AT_ONCE], size_t n, const uint8_t (*codes)[4],
                    mv_places places)
{
    if (IS_WIDE())
        scatter_wide(rows, n, codes, places);
    else
        scatter(rows, n, codes, places);
}

size_t mv_row_next_above(const float *x, size_t from, size_t n, float least)
{
    return next_above(x, from, n, least);
}
