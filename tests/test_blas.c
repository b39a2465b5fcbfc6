/* The parts of the blas backend against double, with every set of kernels that runs here. Whole
 * forward passes are compared with the oracle by mistral-verify (tests/meson.build). */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/blas/gemm.h"
#include "tests/test_main.h"

extern const mv_kernels mv_kernels_wide; /* blas_wide.c */

static mv_error error;

/* ---- numbers ---- */

static uint32_t seed = 1;

static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed / 2147483648.0f;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float rounded(float value)
{
    uint32_t bits = bits_of(value);
    return from_bits((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

static float from_f16(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 0x3ff;
    float size = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                 : exponent == 0 ? ldexpf((float)fraction, -24)
                                 : ldexpf((float)(fraction + 1024), exponent - 25);
    return (half & 0x8000) != 0 ? -size : size;
}

/* The sets of kernels that this CPU can run; the last is sixteen lanes in plain vectors. */
static size_t usable(const mv_kernels *sets[MV_N_ISAS + 1])
{
    size_t n = 0;
    for (int i = 0; i <= (int)mv_isa_best(); i++)
        sets[n++] = mv_kernels_get((mv_isa)i);
    sets[n++] = &mv_kernels_wide;
    return n;
}

/* ---- a product ---- */

enum { MOST_M = 30, MOST_N = 150, MOST_K = 700 };

static float x_values[MOST_M * MOST_K], y_values[MOST_M * MOST_N], few[MOST_M * MOST_K];
static char w_bytes[MOST_N * MOST_K * 4 + 2];
static float w_exact[MOST_N * MOST_K]; /* what those bytes mean */

/* Random weights of a type, and x. 2-byte weights lie on an odd multiple of 2. */
static const void *make_product(mv_dtype dtype, size_t m, size_t n, size_t k)
{
    char *w = w_bytes + (dtype == MV_DTYPE_F32 ? 0 : 2);
    for (size_t i = 0; i < m * k; i++)
        x_values[i] = random_value();
    for (size_t i = 0; i < n * k; i++) {
        float value = random_value();
        uint16_t half = (uint16_t)(bits_of(value) >> 16);
        if (dtype == MV_DTYPE_F32) {
            memcpy(w + 4 * i, &value, 4);
        } else if (dtype == MV_DTYPE_BF16) {
            memcpy(w + 2 * i, &half, 2);
            value = from_bits((uint32_t)half << 16);
        } else {
            half &= 0xbbff; /* no infinity */
            memcpy(w + 2 * i, &half, 2);
            value = from_f16(half);
        }
        w_exact[i] = value;
    }
    return w;
}

static void check_product(const char *who, mv_dtype dtype, bool round, size_t m, size_t n, size_t k)
{
    for (size_t t = 0; t < m; t++) {
        for (size_t j = 0; j < n; j++) {
            double expected = 0, size = 0;
            for (size_t i = 0; i < k; i++) {
                float x = x_values[t * k + i], w = w_exact[j * k + i];
                double p = round ? (double)rounded(x) * (double)rounded(w) : (double)x * (double)w;
                expected += p;
                size += fabs(p);
            }
            double bound = (double)(k + 8) * 0x1p-24 * size, found = (double)y_values[t * n + j];
            ck_assert_msg(fabs(found - expected) <= bound,
                          "%s, dtype %d, round %d, %zu x %zu x %zu: row %zu, output %zu is %g, "
                          "expected %g within %g",
                          who, (int)dtype, round, m, n, k, t, j, found, expected, bound);
        }
    }
}

static const size_t shapes[][3] = {{1, 1, 1},    {1, 7, 33},     {2, 5, 64},    {3, 16, 31},
                                   {4, 33, 95},  {5, 2, 130},    {9, 37, 172},  {16, 40, 257},
                                   {25, 65, 63}, {30, 150, 515}, {13, 129, 700}};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

START_TEST(few_rows_are_the_product_for_all_sizes_and_types)
{
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (size_t s = 0; s < n_sets * N_SHAPES; s++) {
        const mv_kernels *kernels = sets[s / N_SHAPES];
        const size_t m = shapes[s % N_SHAPES][0], n = shapes[s % N_SHAPES][1];
        const size_t k = shapes[s % N_SHAPES][2];
        for (int dtype = 0; dtype < 3; dtype++) {
            for (int round = 0; round < 2; round++) {
                const void *w = make_product((mv_dtype)dtype, m, n, k);
                memset(y_values, 0xff, sizeof y_values);
                for (size_t t = 0; t < m; t++)
                    kernels->prepare_x(few + t * k, x_values + t * k, k, (mv_dtype)dtype, round);
                kernels->gemv(y_values, n, few, k, m, w, (mv_dtype)dtype, k, n, k, round);
                check_product(kernels->isa, (mv_dtype)dtype, round, m, n, k);
            }
        }
    }
}
END_TEST

START_TEST(an_output_of_few_rows_has_the_same_bits_however_outputs_are_cut)
{
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (size_t s = 0; s < n_sets; s++) {
        const size_t m = 5, n = 37, k = 172;
        const char *w = make_product(MV_DTYPE_BF16, m, n, k);
        float cut[MOST_M * MOST_N];
        for (size_t t = 0; t < m; t++)
            sets[s]->prepare_x(few + t * k, x_values + t * k, k, MV_DTYPE_BF16, false);
        sets[s]->gemv(y_values, n, few, k, m, w, MV_DTYPE_BF16, k, n, k, false);
        for (size_t j = 0; j < n; j += 3)
            sets[s]->gemv(cut + j, n, few, k, m, w + 2 * j * k, MV_DTYPE_BF16, k,
                          n - j < 3 ? n - j : 3, k, false);
        ck_assert_mem_eq(cut, y_values, m * n * sizeof *cut);
    }
}
END_TEST

/* A provider as the engine uses it: all parts, then all slabs. */
static void multiply(const mv_gemm_provider *provider, const mv_kernels *kernels, bool round,
                     mv_dtype dtype, const size_t shape[3])
{
    const size_t m = shape[0], n = shape[1], k = shape[2];
    const mv_openblas *blas = NULL;
    if (mv_openblas_get(&blas, &error) != MV_OK && provider == &mv_gemm_sgemm)
        return;
    mv_gemm gemm = {.provider = provider, .blas = blas, .kernels = kernels, .bf16 = round};
    gemm.x = calloc(provider->x_room(&gemm, k) + 1, sizeof(float));
    gemm.scratch = calloc(provider->worker_room(&gemm, n, k) + 1, sizeof(float));
    const mv_tensor w = {"weight", make_product(dtype, m, n, k),
                         {n, k},   n * k * (dtype == MV_DTYPE_F32 ? 4 : 2),
                         2,        dtype};
    memset(y_values, 0xff, sizeof y_values);
    for (size_t i = 0; i < provider->n_parts(&gemm, k); i++)
        provider->prepare(&gemm, x_values, m, k, i);
    size_t slab = provider->slab(&gemm, n, k);
    for (size_t j = 0; j < n; j += slab)
        provider->multiply(&gemm, y_values, n, x_values, m, &w, j, n - j < slab ? n : j + slab, 0);
    check_product(provider->name, dtype, round, m, n, k);
    free(gemm.x);
    free(gemm.scratch);
}

START_TEST(every_provider_gives_the_product_for_all_sizes_and_types)
{
    const mv_gemm_provider *const providers[] = {&mv_gemm_own, &mv_gemm_sgemm};
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (size_t p = 0; p < 2; p++) {
        for (size_t s = 0; s < n_sets * N_SHAPES; s++) {
            for (int dtype = 0; dtype < 3; dtype++) {
                for (int round = 0; round < 2; round++)
                    multiply(providers[p], sets[s / N_SHAPES], round, (mv_dtype)dtype,
                             shapes[s % N_SHAPES]);
            }
        }
    }
}
END_TEST

START_TEST(weighs_values_for_all_sizes_and_types)
{
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    /* o [m, k] += p [m, n] v [n, k] */
    const size_t m_of[] = {1, 3, 4, 6, 9}, n = 11, k = 173;
    for (size_t s = 0; s < n_sets; s++) {
        for (int i_case = 0; i_case < 3 * 5; i_case++) {
            const int dtype = i_case % 3;
            const size_t m = m_of[i_case / 3];
            const void *v = make_product((mv_dtype)dtype, m, n, k);
            for (size_t i = 0; i < m * k; i++)
                y_values[i] = 1;
            sets[s]->weigh(y_values, k, x_values, n, m, v, (mv_dtype)dtype, k, n, k);
            for (size_t i = 0; i < m * k; i++) {
                double expected = 1;
                for (size_t j = 0; j < n; j++)
                    expected += (double)x_values[i / k * n + j] * (double)w_exact[j * k + i % k];
                ck_assert_msg(fabs((double)y_values[i] - expected) <= 1e-4, "%s, dtype %d",
                              sets[s]->isa, dtype);
            }
        }
    }
}
END_TEST

/* ---- values ---- */

START_TEST(every_half_becomes_its_float_exactly)
{
    static uint16_t halves[65536];
    static float found[65536];
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (uint32_t i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    for (size_t s = 0; s < n_sets; s++) {
        sets[s]->to_f32(found, halves, MV_DTYPE_BF16, 65536);
        for (uint32_t i = 0; i < 65536; i++)
            ck_assert_uint_eq(bits_of(found[i]), i << 16);
        sets[s]->to_f32(found, halves, MV_DTYPE_F16, 65535); /* a tail, too */
        for (uint32_t i = 0; i < 65535; i++) {
            float expected = from_f16((uint16_t)i);
            if (isnan(expected))
                ck_assert_msg(isnan(found[i]), "%s: %#x", sets[s]->isa, i);
            else
                ck_assert_msg(bits_of(found[i]) == bits_of(expected), "%s: %#x", sets[s]->isa, i);
        }
    }
}
END_TEST

START_TEST(rounds_to_bfloat16_to_nearest_and_ties_to_even)
{
    static const uint32_t in[] = {0x3f800000, 0x3f808000, 0x3f808001, 0x3f818000, 0x3f807fff,
                                  0x80000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x00000001,
                                  0x7f800001, 0xffffffff, 0x00008001};
    static const uint32_t out[] = {0x3f80, 0x3f80, 0x3f81, 0x3f82, 0x3f80, 0x8000, 0x7f80,
                                   0x7f80, 0xff80, 0x0000, 0x7fc0, 0xffff, 0x0001};
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (size_t s = 0; s < n_sets; s++) {
        for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
            float values[33];
            uint16_t halves[33];
            for (size_t j = 0; j < 33; j++)
                values[j] = from_bits(in[i]);
            sets[s]->to_bf16(halves, values, 33);
            sets[s]->round_bf16(values, values, 33);
            for (size_t j = 0; j < 33; j += 32) { /* in a vector, and in the tail */
                ck_assert_msg(halves[j] == out[i], "%s: %#x is %#x", sets[s]->isa, in[i],
                              halves[j]);
                ck_assert_uint_eq(bits_of(values[j]), out[i] << 16);
            }
        }
    }
}
END_TEST

START_TEST(exponentials_are_good_to_three_units_and_keep_nan)
{
    const mv_kernels *sets[MV_N_ISAS + 1];
    size_t n_sets = usable(sets);
    for (size_t s = 0; s < n_sets; s++) {
        for (float from = -87; from < 87; from += 0.37f) {
            float values[16], gate[16];
            for (int j = 0; j < 16; j++)
                gate[j] = values[j] = from + (float)j * 0.021f;
            (void)sets[s]->exp_sum(values, 0, 16);
            sets[s]->silu(gate, 16);
            for (int j = 0; j < 16; j++) {
                double x = (double)(from + (float)j * 0.021f), e = exp(x);
                double silu = x / (1 + exp(-x));
                ck_assert_msg(fabs((double)values[j] - e) <= 2e-7 * e, "%s: exp(%g) is %g",
                              sets[s]->isa, x, (double)values[j]);
                ck_assert_msg(fabs((double)gate[j] - silu) <= 4e-7 * fabs(silu) + 1e-37,
                              "%s: silu(%g) is %g", sets[s]->isa, x, (double)gate[j]);
            }
        }
        float ends[16] = {-INFINITY, -1000, -88, NAN};
        ck_assert(isnan(sets[s]->exp_sum(ends, 0, 16)));
        ck_assert(ends[0] == 0 && ends[1] == 0 && ends[2] < 1e-37f && isnan(ends[3]));
    }
}
END_TEST

/* ---- the pool ---- */

enum { N_ITEMS = 1000 };
static _Atomic uint32_t times_done[N_ITEMS];

static void do_item(void *arg, size_t item, uint32_t worker)
{
    const uint32_t *n_threads = arg;
    ck_assert_uint_lt(worker, *n_threads);
    atomic_fetch_add(&times_done[item], 1);
}

static void run_jobs(mv_pool *pool, uint32_t n_threads, uint32_t n_jobs)
{
    memset((void *)times_done, 0, sizeof times_done);
    for (uint32_t j = 0; j < n_jobs; j++)
        mv_pool_run(pool, j % 2 == 0 ? N_ITEMS : 3, do_item, &n_threads);
    for (size_t i = 0; i < N_ITEMS; i++)
        ck_assert_uint_eq(times_done[i], i < 3 ? n_jobs : n_jobs / 2);
}

START_TEST(each_item_of_each_job_is_done_once)
{
    static const uint32_t sizes[] = {1, 2, 3, 8};
    for (size_t i = 0; i < 4; i++) {
        mv_pool *pool = mv_pool_open(sizes[i], i % 2 == 0);
        ck_assert_ptr_nonnull(pool);
        run_jobs(pool, sizes[i], 500);
        usleep(1000); /* the workers fall asleep */
        run_jobs(pool, sizes[i], 20);
        mv_pool_close(pool);
    }
}
END_TEST

static void wait_for_all(void *arg, size_t item, uint32_t worker)
{
    (void)item;
    (void)worker;
    _Atomic uint32_t *n_here = arg;
    atomic_fetch_add(n_here, 1);
    while (atomic_load(n_here) < 3)
        usleep(100);
}

START_TEST(a_forked_child_works_alone)
{
    mv_pool *pool = mv_pool_open(3, false);
    ck_assert_ptr_nonnull(pool);
    /* All threads have begun: one that is being made at the fork may hold a lock of the
     * sanitizer's, and nobody is left in the child to give it back. */
    _Atomic uint32_t n_here = 0;
    mv_pool_run(pool, 3, wait_for_all, &n_here);
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        run_jobs(pool, 3, 10);
        mv_pool_close(pool);
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run_jobs(pool, 3, 10);
    mv_pool_close(pool);
}
END_TEST

START_TEST(a_worker_finds_the_first_cpu_that_nobody_is_on)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    CPU_SET(1, &allowed);
    CPU_SET(3, &allowed);
    CPU_SET(700, &allowed);
    ck_assert_int_eq(mv_pool_free_cpu(&allowed, (const int32_t[]){-1, -1}, 2), 1);
    ck_assert_int_eq(mv_pool_free_cpu(&allowed, (const int32_t[]){1, 2}, 2), 3);
    ck_assert_int_eq(mv_pool_free_cpu(&allowed, (const int32_t[]){3, 1}, 2), 700);
    ck_assert_int_eq(mv_pool_free_cpu(&allowed, (const int32_t[]){3, 700, 1}, 3), -1);
    ck_assert_int_eq(mv_pool_free_cpu(&allowed, NULL, 0), 1);
}
END_TEST

static Suite *blas_suite(void)
{
    Suite *suite = suite_create("blas");
    TCase *products = tcase_create("products");
    tcase_set_timeout(products, 300);
    tcase_add_test(products, few_rows_are_the_product_for_all_sizes_and_types);
    tcase_add_test(products, an_output_of_few_rows_has_the_same_bits_however_outputs_are_cut);
    tcase_add_test(products, every_provider_gives_the_product_for_all_sizes_and_types);
    tcase_add_test(products, weighs_values_for_all_sizes_and_types);
    suite_add_tcase(suite, products);
    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 60);
    tcase_add_test(values, every_half_becomes_its_float_exactly);
    tcase_add_test(values, rounds_to_bfloat16_to_nearest_and_ties_to_even);
    tcase_add_test(values, exponentials_are_good_to_three_units_and_keep_nan);
    suite_add_tcase(suite, values);
    TCase *pool = tcase_create("pool");
    tcase_set_timeout(pool, 60);
    tcase_add_test(pool, each_item_of_each_job_is_done_once);
    tcase_add_test(pool, a_forked_child_works_alone);
    tcase_add_test(pool, a_worker_finds_the_first_cpu_that_nobody_is_on);
    suite_add_tcase(suite, pool);
    return suite;
}

MV_TEST_MAIN(blas_suite)
