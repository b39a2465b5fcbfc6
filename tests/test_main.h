/* test_main.h - the main() of every unit test: runs one suite and speaks TAP.
 *
 *   static Suite *params_suite(void) { ... }
 *   MV_TEST_MAIN(params_suite)
 *
 * CK_FORK=no runs the cases in one process, for gdb.
 */
#ifndef MV_TESTS_TEST_MAIN_H
#define MV_TESTS_TEST_MAIN_H

#include <check.h>
#include <stdlib.h>

#define MV_TEST_MAIN(make_suite)                                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        SRunner *runner = srunner_create(make_suite());                                            \
        srunner_set_tap(runner, "-");                                                              \
        srunner_run_all(runner, CK_SILENT);                                                        \
        int n_failed = srunner_ntests_failed(runner);                                              \
        srunner_free(runner);                                                                      \
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                        \
    }

#endif
