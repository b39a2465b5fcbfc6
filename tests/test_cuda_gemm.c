/* How the cuda backend chooses among cuBLASLt's algorithms, with a cuBLASLt and a CUDA runtime that
 * are made up: how long a product takes is written down here. What a choice is worth on a GPU is
 * seen by tools/gpu_check.sh. */
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/gemm_lt.h"
#include "tests/fake_cublaslt.h"
#include "tests/test_main.h"

static fake_lt *fake;
static mv_error error;
static float operands[64]; /* x, w and y of all products: nobody multiplies */

/* ---- the part of the CUDA runtime that is called ---- */

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    *memory = malloc(bytes > 4096 ? 4096 : bytes);
    return *memory != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *memory)
{
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream)
{
    (void)to, (void)byte, (void)bytes, (void)stream;
    return cudaSuccess;
}

static float event_ms[2];
static int n_events;

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = (cudaEvent_t)(void *)&event_ms[n_events++ % 2];
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    (void)stream;
    *(float *)(void *)event = fake->clock_ms;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = *(float *)(void *)to - *(float *)(void *)from;
    return cudaSuccess;
}

/* ---- */

static mv_lt *open_lt(uint32_t tune)
{
    char name[96];
    mv_lt *lt = NULL;
    ck_assert_msg(mv_lt_open(&lt, tune, name, sizeof name, &error) == MV_OK, "%s", error.message);
    ck_assert_str_eq(name, "cuBLASLt 13.0.2");
    if (fake == NULL) {
        void *library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_NOLOAD);
        ck_assert_ptr_nonnull(library);
        fake = dlsym(library, "fake_lt_state");
        ck_assert_ptr_nonnull(fake);
    }
    return lt;
}

/* n_rows tells the shapes of a test from those of another: what was timed is kept. */
static int multiply(mv_lt *lt, size_t n_rows, bool add)
{
    const mv_gemm g = {.dtype = MV_DTYPE_F32,
                       .y_f32 = true,
                       .add = add,
                       .x = operands,
                       .w = operands,
                       .y = operands,
                       .ldx = 8,
                       .ldw = 8,
                       .ldy = 8,
                       .n_rows = n_rows,
                       .n_out = 8,
                       .n_in = 8};
    fake->watched = operands;
    fake->n_watched = 0;
    const char *fault = mv_lt_multiply(lt, &g, NULL);
    ck_assert_msg(fault == NULL, "%s", fault);
    ck_assert_int_eq(fake->n_watched, 1); /* timed on a y of its own, which may be added to */
    return fake->last;
}

static void takes(int n, const float *ms)
{
    memset(fake->n_products, 0, sizeof fake->n_products);
    memcpy(fake->takes_ms, ms, (size_t)n * sizeof *ms);
    fake->n_algorithms = n;
    fake->n_asked = 0;
}

START_TEST(without_tuning_the_first_choice_is_taken_and_nothing_is_timed)
{
    mv_lt *lt = open_lt(0);
    char text[128];
    takes(3, (const float[]){3, 2, 1});
    ck_assert_int_eq(multiply(lt, 1, false), 0);
    ck_assert_int_eq(multiply(lt, 1, false), 0);
    ck_assert_int_eq(fake->n_asked, 1);
    ck_assert_int_eq(fake->n_products[0], 2);
    ck_assert_int_eq(fake->n_products[1] + fake->n_products[2], 0);
    mv_lt_tell(lt, text, sizeof text);
    ck_assert_str_eq(text, "first choice");
    mv_lt_close(lt);
}
END_TEST

START_TEST(the_fastest_of_those_that_were_asked_for_is_taken)
{
    mv_lt *lt = open_lt(3);
    char text[128];
    takes(4, (const float[]){3, 1, 2, 0.5f}); /* the last is not among the three */
    ck_assert_int_eq(multiply(lt, 2, false), 1);
    ck_assert_int_eq(fake->n_products[3], 0);
    const int n = fake->n_products[0];
    ck_assert_int_eq(multiply(lt, 2, false), 1);
    ck_assert_int_eq(fake->n_products[0], n); /* timed once */
    mv_lt_tell(lt, text, sizeof text);
    ck_assert_str_eq(text, "fastest of 3: 1 shapes, 1.000 ms for one of each, first choices 3.000");
    mv_lt_close(lt);
}
END_TEST

START_TEST(one_that_is_faster_by_less_than_noise_does_not_replace_the_first)
{
    mv_lt *lt = open_lt(2);
    takes(2, (const float[]){1, 0.995f});
    ck_assert_int_eq(multiply(lt, 3, false), 0);
    takes(2, (const float[]){1, 0.98f});
    ck_assert_int_eq(multiply(lt, 4, false), 1);
    mv_lt_close(lt);
}
END_TEST

START_TEST(one_that_fails_is_never_taken)
{
    mv_lt *lt = open_lt(8);
    takes(3, (const float[]){-1, 2, 1.5f});
    ck_assert_int_eq(multiply(lt, 5, false), 2);
    ck_assert_int_eq(fake->n_products[0], 1); /* and not tried again */
    takes(2, (const float[]){4, -1});
    ck_assert_int_eq(multiply(lt, 6, false), 0);
    mv_lt_close(lt);
}
END_TEST

/* Two engines of one process must give the same bits. */
START_TEST(another_engine_takes_what_the_first_has_timed)
{
    mv_lt *one = open_lt(2);
    takes(2, (const float[]){2, 1});
    ck_assert_int_eq(multiply(one, 7, true), 1);
    mv_lt_close(one);
    mv_lt *two = open_lt(2);
    takes(2, (const float[]){1, 2}); /* it would choose otherwise */
    ck_assert_int_eq(multiply(two, 7, true), 1);
    ck_assert_int_eq(fake->n_asked, 0);
    ck_assert_int_eq(multiply(two, 7, false), 0); /* a shape of its own */
    mv_lt_close(two);
}
END_TEST

START_TEST(says_that_there_is_no_algorithm)
{
    mv_lt *lt = open_lt(2);
    const mv_gemm g = {.dtype = MV_DTYPE_F32, .n_rows = 9, .ldy = 8};
    takes(0, NULL);
    ck_assert_str_eq(mv_lt_multiply(lt, &g, NULL), "cuBLASLt has no algorithm for a product");
    mv_lt_close(lt);
}
END_TEST

static Suite *cuda_gemm_suite(void)
{
    Suite *suite = suite_create("cuda_gemm");
    TCase *tcase = tcase_create("algorithms");
    tcase_add_test(tcase, without_tuning_the_first_choice_is_taken_and_nothing_is_timed);
    tcase_add_test(tcase, the_fastest_of_those_that_were_asked_for_is_taken);
    tcase_add_test(tcase, one_that_is_faster_by_less_than_noise_does_not_replace_the_first);
    tcase_add_test(tcase, one_that_fails_is_never_taken);
    tcase_add_test(tcase, another_engine_takes_what_the_first_has_timed);
    tcase_add_test(tcase, says_that_there_is_no_algorithm);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(cuda_gemm_suite)
