/* Each kernel of the cuda backend, in its emulator: right, and the same bits whatever the order of
 * blocks, warps and lanes. tests/cuda_fault.c shows that these checks can fail. */
#include "tests/cuda_checks.h"
#include "tests/test_main.h"

START_TEST(a_kernel_is_right_under_every_schedule)
{
    char why[512] = "";
    const cuda_check *check = &cuda_checks[_i];
    ck_assert_msg(check->run(why, sizeof why), "%s: %s", check->name, why);
}
END_TEST

static Suite *cuda_kernels_suite(void)
{
    Suite *suite = suite_create("cuda_kernels");
    TCase *tcase = tcase_create("kernels");
    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, a_kernel_is_right_under_every_schedule, 0, (int)n_cuda_checks);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(cuda_kernels_suite)
