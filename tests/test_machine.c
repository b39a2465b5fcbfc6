/* Facts about the machine: found where the kernel has them, absent where it does not. */
#include "harness/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/cgroup.h"
#include "harness/engine_facts.h"
#include "tests/test_main.h"

/* ---- the list ---- */

START_TEST(keeps_the_order_and_replaces_a_fact_in_its_place)
{
    static mv_environment environment;
    ck_assert_ptr_null(mv_environment_get(&environment, "first"));
    mv_environment_set(&environment, "first", "1");
    mv_environment_set(&environment, "second", "2");
    mv_environment_set(&environment, "first", "one");
    mv_environment_set(&environment, "third", ""); /* not known: absent */
    ck_assert_uint_eq(environment.n_facts, 2);
    ck_assert_str_eq(environment.facts[0].key, "first");
    ck_assert_str_eq(environment.facts[0].value, "one");
    ck_assert_str_eq(mv_environment_get(&environment, "second"), "2");
    ck_assert_ptr_null(mv_environment_get(&environment, "third"));
}
END_TEST

static void describe(const mv_engine *engine, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char long_value[171];
    (void)engine;
    memset(long_value, 'x', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    emit(cookie, "list.of", "something");
    emit(cookie, "gemm", "own");
    emit(cookie, "isa", "avx2");
    emit(cookie, "device", long_value);
    emit(cookie, "no_room_for", "this one");
    emit(cookie, "n", "1");
}

START_TEST(keeps_what_an_engine_says_of_itself_whole_fact_by_fact)
{
    char text[MV_ENGINE_FACTS];
    mv_backend backend = {.describe = NULL};
    mv_engine_facts(text, &backend, NULL);
    ck_assert_str_eq(text, "");
    backend.describe = describe;
    mv_engine_facts(text, &backend, NULL);
    ck_assert_msg(strncmp(text, "gemm own, isa avx2, device xxx", 30) == 0, "%s", text);
    ck_assert_msg(strcmp(text + strlen(text) - 6, "x, n 1") == 0, "%s", text);
}
END_TEST

START_TEST(keeps_the_first_of_an_engine_and_the_end_of_a_long_name)
{
    static mv_environment environment;
    mv_engine_facts_keep(&environment, "blas", MV_COMPUTE_BF16, "");
    ck_assert_uint_eq(environment.n_facts, 0);
    mv_engine_facts_keep(&environment, "blas", MV_COMPUTE_BF16, "isa avx2");
    mv_engine_facts_keep(&environment, "blas", MV_COMPUTE_BF16, "isa generic");
    mv_engine_facts_keep(&environment, "/a/very/long/path/to/the/folder/of/some/build/mine.so",
                         MV_COMPUTE_F32, "mine");
    ck_assert_str_eq(mv_environment_get(&environment, "engine blas bf16"), "isa avx2");
    ck_assert_uint_eq(environment.n_facts, 2);
    ck_assert_str_eq(environment.facts[1].key, "engine /to/the/folder/of/some/build/mine.so f32");
}
END_TEST

START_TEST(drops_the_fact_that_has_no_room_and_still_replaces)
{
    static mv_environment environment;
    char key[16];
    for (int i = 0; i < 70; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        mv_environment_set(&environment, key, "x");
    }
    ck_assert_uint_eq(environment.n_facts, 64);
    ck_assert_ptr_null(mv_environment_get(&environment, "key64"));
    mv_environment_set(&environment, "key63", "y");
    ck_assert_str_eq(mv_environment_get(&environment, "key63"), "y");
}
END_TEST

START_TEST(cuts_a_long_value_between_two_characters)
{
    static mv_environment environment;
    char value[400] = "";
    for (int i = 0; i < 150; i++)
        strcat(value, "é"); /* two bytes: the 207th is the first half of one */
    mv_environment_set(&environment, "long", value);
    ck_assert_uint_eq(strlen(mv_environment_get(&environment, "long")), 206);
    memset(value, 'k', 100);
    value[100] = '\0';
    mv_environment_set(&environment, value, "1");
    mv_environment_set(&environment, value, "2"); /* the same key, cut the same way */
    ck_assert_uint_eq(environment.n_facts, 2);
    ck_assert_uint_eq(strlen(environment.facts[1].key), 47);
}
END_TEST

/* ---- this machine ---- */

START_TEST(collects_what_somebody_needs_to_believe_a_number)
{
    static const char *const keys[] = {
        "date_utc",       "os",           "kernel",         "libc",        "cores", "compiler",
        "threads_online", "memory_bytes", "compiler_flags", "load_average"};
    static mv_environment environment;
    mv_environment_collect(&environment);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        ck_assert_msg(mv_environment_get(&environment, keys[i]) != NULL, "%s is absent", keys[i]);
    for (size_t i = 0; i < environment.n_facts; i++) {
        ck_assert_str_ne(environment.facts[i].value, "");
        ck_assert_ptr_null(strpbrk(environment.facts[i].value, "\n\t"));
    }
    ck_assert_ptr_null(strchr(mv_environment_get(&environment, "os"), '"'));
    ck_assert_uint_gt(strtoull(mv_environment_get(&environment, "memory_bytes"), NULL, 10),
                      UINT64_C(1) << 26);
    ck_assert_ptr_nonnull(strstr(mv_environment_get(&environment, "libc"), "glibc 2."));
}
END_TEST

START_TEST(does_not_tell_whose_machine_it_is)
{
    static mv_environment environment;
    char name[256] = "";
    ck_assert_int_eq(gethostname(name, sizeof name - 1), 0);
    mv_environment_collect(&environment);
    ck_assert_ptr_null(mv_environment_get(&environment, "hostname"));
    for (size_t i = 0; strlen(name) > 3 && i < environment.n_facts; i++)
        ck_assert_str_ne(environment.facts[i].value, name);
}
END_TEST

static const char *date_with_epoch(mv_environment *environment, const char *epoch)
{
    ck_assert_int_eq(setenv("SOURCE_DATE_EPOCH", epoch, 1), 0);
    mv_environment_collect(environment);
    return mv_environment_get(environment, "date_utc");
}

START_TEST(the_date_can_be_given_so_that_a_report_is_reproducible)
{
    static mv_environment environment;
    ck_assert_str_eq(date_with_epoch(&environment, "0"), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(date_with_epoch(&environment, "1700000000"), "2023-11-14T22:13:20Z");
    /* Not a number: the date of today, not a part of what was given. */
    ck_assert_str_gt(date_with_epoch(&environment, "17x"), "2023-11-15");
    ck_assert_str_gt(date_with_epoch(&environment, ""), "2023-11-15");
    ck_assert_str_gt(date_with_epoch(&environment, "99999999999999999999"), "2023-11-15");
}
END_TEST

START_TEST(counts_only_the_cores_that_it_may_use)
{
    cpu_set_t one;
    int n = mv_machine_n_cores();
    ck_assert_int_ge(n, 1);
    ck_assert_int_le(n, (int)sysconf(_SC_NPROCESSORS_CONF));
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(mv_machine_n_cores(), 1);
}
END_TEST

START_TEST(the_peak_grows_with_what_is_touched)
{
    const size_t size = 64u << 20;
    uint64_t before = mv_machine_peak_rss_bytes();
    ck_assert_uint_gt(before, 1 << 18);
    volatile char *memory = malloc(size);
    ck_assert_ptr_nonnull((const void *)memory);
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = 1;
    ck_assert_uint_ge(mv_machine_peak_rss_bytes(), before + size / 2);
    free((void *)memory);
    ck_assert_uint_gt(mv_machine_memory_available_bytes(), 0);
}
END_TEST

/* ---- limits of a container, in a folder that looks like one ---- */

static char root[] = "/tmp/test_machine_XXXXXX";

static void make_root(void)
{
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
    char command[sizeof root + 16];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void put(const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(no_cgroup_is_no_limit)
{
    mv_cgroup cgroup;
    mv_cgroup_read(&cgroup, root);
    ck_assert_double_eq(cgroup.cpus, 0);
    ck_assert_uint_eq(cgroup.memory_bytes, UINT64_MAX);
    ck_assert_uint_eq(cgroup.memory_available_bytes, UINT64_MAX);
}
END_TEST

START_TEST(version_2_takes_the_tightest_of_all_levels)
{
    mv_cgroup cgroup;
    put("/proc/self/cgroup", "0::/batch/job\n");
    put("/sys/fs/cgroup/batch/job/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/batch/job/memory.max", "8000000\n");
    put("/sys/fs/cgroup/batch/job/memory.current", "3000000\n");
    put("/sys/fs/cgroup/batch/job/memory.stat", "anon 5\ninactive_file 1000000\nfile 7\n");
    put("/sys/fs/cgroup/batch/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/batch/memory.max", "max\n");
    mv_cgroup_read(&cgroup, root);
    ck_assert_double_eq(cgroup.cpus, 1.5);
    ck_assert_uint_eq(cgroup.memory_bytes, 8000000);
    ck_assert_uint_eq(cgroup.memory_available_bytes, 6000000); /* page cache can go */

    put("/sys/fs/cgroup/batch/memory.max", "5000000\n");
    put("/sys/fs/cgroup/batch/memory.current", "5500000\n");
    mv_cgroup_read(&cgroup, root);
    ck_assert_uint_eq(cgroup.memory_bytes, 5000000);
    ck_assert_uint_eq(cgroup.memory_available_bytes, 0);
}
END_TEST

START_TEST(version_1_is_found_at_the_mount_point_when_the_path_is_the_hosts)
{
    mv_cgroup cgroup;
    put("/proc/self/cgroup",
        "5:cpuset:/x\n4:memory:/docker/abc\n1:cpuacct,cpu:/docker/abc\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4000000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1500000\n");
    put("/sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 500000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    mv_cgroup_read(&cgroup, root);
    ck_assert_double_eq(cgroup.cpus, 3);
    ck_assert_uint_eq(cgroup.memory_bytes, 4000000);
    ck_assert_uint_eq(cgroup.memory_available_bytes, 3000000);

    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    mv_cgroup_read(&cgroup, root);
    ck_assert_double_eq(cgroup.cpus, 0);
    ck_assert_uint_eq(cgroup.memory_bytes, UINT64_MAX);
}
END_TEST

START_TEST(nonsense_in_the_files_is_no_limit)
{
    mv_cgroup cgroup;
    put("/proc/self/cgroup", "\nnonsense\n0:\n::::\n0::/a\n");
    put("/sys/fs/cgroup/a/cpu.max", "x y\n");
    put("/sys/fs/cgroup/a/memory.max", "-1\n");
    put("/sys/fs/cgroup/memory.max", "");
    put("/sys/fs/cgroup/cpu.max", "0 0\n");
    mv_cgroup_read(&cgroup, root);
    ck_assert_double_eq(cgroup.cpus, 0);
    ck_assert_uint_eq(cgroup.memory_bytes, UINT64_MAX);
}
END_TEST

static Suite *machine_suite(void)
{
    Suite *suite = suite_create("machine");
    TCase *facts = tcase_create("facts");
    tcase_add_test(facts, keeps_the_order_and_replaces_a_fact_in_its_place);
    tcase_add_test(facts, drops_the_fact_that_has_no_room_and_still_replaces);
    tcase_add_test(facts, keeps_what_an_engine_says_of_itself_whole_fact_by_fact);
    tcase_add_test(facts, keeps_the_first_of_an_engine_and_the_end_of_a_long_name);
    tcase_add_test(facts, cuts_a_long_value_between_two_characters);
    tcase_add_test(facts, collects_what_somebody_needs_to_believe_a_number);
    tcase_add_test(facts, does_not_tell_whose_machine_it_is);
    tcase_add_test(facts, the_date_can_be_given_so_that_a_report_is_reproducible);
    tcase_add_test(facts, counts_only_the_cores_that_it_may_use);
    tcase_add_test(facts, the_peak_grows_with_what_is_touched);
    suite_add_tcase(suite, facts);
    TCase *limits = tcase_create("limits");
    tcase_add_checked_fixture(limits, make_root, remove_root);
    tcase_add_test(limits, no_cgroup_is_no_limit);
    tcase_add_test(limits, version_2_takes_the_tightest_of_all_levels);
    tcase_add_test(limits, version_1_is_found_at_the_mount_point_when_the_path_is_the_hosts);
    tcase_add_test(limits, nonsense_in_the_files_is_no_limit);
    suite_add_tcase(suite, limits);
    return suite;
}

MV_TEST_MAIN(machine_suite)
