#include "tests/test_main.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reports/parts.h"

static char folder[64];
static mv_bytes bytes;
static mv_error error;

static void set_up(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/mv-test-report-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    mv_bytes_text(&bytes, "new content\n");
}

static const char *in_folder(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static size_t count_files(void)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.' || strlen(entry->d_name) > 2 ? 1 : 0;
    }
    closedir(dir);
    return n;
}

static void tear_down(void)
{
    char command[128];
    mv_bytes_free(&bytes);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void put_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    ck_assert_int_eq(fclose(file), 0);
}

static const char *get_file(const char *path)
{
    static char content[65536];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    fclose(file);
    return content;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_mode;
}

/* ---- saving ---- */

START_TEST(a_new_file_has_the_usual_permissions_and_leaves_nothing_beside_it)
{
    umask(022);
    ck_assert_int_eq(mv_report_save(&bytes, in_folder("r.json"), &error), MV_OK);
    ck_assert_str_eq(get_file(in_folder("r.json")), "new content\n");
    ck_assert_uint_eq(mode_of(in_folder("r.json")) & 07777, 0644);
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(an_old_file_is_replaced_and_keeps_its_permissions)
{
    put_file(in_folder("r.json"), "old content, which is longer\n");
    chmod(in_folder("r.json"), 0640);
    ck_assert_int_eq(mv_report_save(&bytes, in_folder("r.json"), &error), MV_OK);
    ck_assert_str_eq(get_file(in_folder("r.json")), "new content\n");
    ck_assert_uint_eq(mode_of(in_folder("r.json")) & 07777, 0640);
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(a_link_stays_a_link)
{
    put_file(in_folder("target"), "old\n");
    ck_assert_int_eq(symlink("target", in_folder("link.json")), 0);
    ck_assert_int_eq(mv_report_save(&bytes, in_folder("link.json"), &error), MV_OK);
    ck_assert(S_ISLNK(mode_of(in_folder("link.json"))));
    ck_assert_str_eq(get_file(in_folder("target")), "new content\n");
}
END_TEST

START_TEST(a_device_is_written_and_not_replaced)
{
    ck_assert_int_eq(mv_report_save(&bytes, "/dev/null", &error), MV_OK);
    ck_assert(S_ISCHR(mode_of("/dev/null")));
}
END_TEST

START_TEST(a_name_without_a_folder_is_in_the_current_one)
{
    char before[4096];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_int_eq(chdir(folder), 0);
    mv_code code = mv_report_save(&bytes, "r.json", &error);
    ck_assert_int_eq(chdir(before), 0);
    ck_assert_int_eq(code, MV_OK);
    ck_assert_str_eq(get_file(in_folder("r.json")), "new content\n");
}
END_TEST

START_TEST(refuses_what_cannot_be_written_with_path_and_reason)
{
    static const struct {
        const char *path, *reason;
    } table[] = {
        {"file/r.json", "Not a directory"},
        {"absent/r.json", "No such file or directory"},
        {".", "is a folder"},
        {"absent/", "No such file or directory"},
    };
    put_file(in_folder("file"), "x");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *path = in_folder(table[i].path);
        ck_assert_int_eq(mv_report_save(&bytes, path, &error), MV_ERR_IO);
        ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
        ck_assert_msg(strstr(error.message, table[i].reason) != NULL, "%s", error.message);
    }
    ck_assert_int_eq(mv_report_save(&bytes, "/dev/full", &error), MV_ERR_IO);
    ck_assert_msg(strstr(error.message, "No space left") != NULL, "%s", error.message);
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(a_write_that_stops_half_way_leaves_the_old_file)
{
    const struct rlimit limit = {4096, RLIM_INFINITY};
    struct rlimit before;
    put_file(in_folder("r.json"), "old\n");
    while (bytes.size <= 8192) {
        mv_bytes_text(&bytes, "new content\n");
    }
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    mv_code code = mv_report_save(&bytes, in_folder("r.json"), &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(code, MV_ERR_IO);
    ck_assert_msg(strstr(error.message, "File too large; the old file is as it was") != NULL, "%s",
                  error.message);
    ck_assert_str_eq(get_file(in_folder("r.json")), "old\n");
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

static mv_code save_to_stdout_at(const char *path)
{
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    mv_code code = mv_report_save(&bytes, "-", &error);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    return code;
}

START_TEST(a_full_stdout_is_an_error)
{
    ck_assert_int_eq(save_to_stdout_at("/dev/full"), MV_ERR_IO);
    ck_assert_str_eq(error.message, "cannot write the report to stdout: No space left on device");
    ck_assert_int_eq(save_to_stdout_at(in_folder("out")), MV_OK);
    ck_assert_str_eq(get_file(in_folder("out")), "new content\n");
}
END_TEST

START_TEST(bytes_that_could_not_grow_are_not_saved)
{
    bytes.failed = true;
    ck_assert_int_eq(mv_report_save(&bytes, in_folder("r.json"), &error), MV_ERR_MEMORY);
    mv_bytes_text(&bytes, "more");
    ck_assert_uint_eq(bytes.size, strlen("new content\n"));
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

/* ---- pieces ---- */

START_TEST(doubles_read_back_as_the_same_bits)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {0.1, "0.1"},
        {1e-5, "1e-05"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {4.9406564584124654e-324, "4.94065645841247e-324"},
        {NAN, "nan"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mv_bytes_free(&bytes);
        mv_bytes_double(&bytes, table[i].value);
        ck_assert_str_eq(bytes.data, table[i].text);
    }
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        double value, back;
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &state, sizeof value);
        if (isfinite(value)) {
            mv_bytes_free(&bytes);
            mv_bytes_double(&bytes, value);
            back = strtod(bytes.data, NULL);
            ck_assert_msg(memcmp(&back, &value, sizeof value) == 0, "%s", bytes.data);
        }
    }
}
END_TEST

START_TEST(numbers_for_people_have_two_or_three_digits)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0"},           {1, "1.00"},     {9.994, "9.99"}, {9.996, "10.0"},
        {41.25, "41.2"},    {99.96, "100"},  {512.4, "512"},  {123456.0, "1.2e+05"},
        {0.04848, "0.048"}, {-1.5, "-1.50"}, {3e-9, "3e-09"}, {INFINITY, "inf"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ck_assert_str_eq(mv_short_number(table[i].value, true).text, table[i].text);
    }
    ck_assert_str_eq(mv_short_number(NAN, true).text, "nan");
    ck_assert_str_eq(mv_short_number(NAN, false).text, "-");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced_one_by_one)
{
    static const struct {
        const char *text;
        uint32_t codes[6];
    } table[] = {
        {"a\xc3\xa9", {'a', 0xE9}},
        {"\xe2\x82\xac", {0x20AC}},
        {"\xf0\x9f\x98\x80", {0x1F600}},
        {"\xf4\x8f\xbf\xbf", {0x10FFFF}},
        {"\xff", {0xFFFD}},
        {"\x80"
         "a",
         {0xFFFD, 'a'}},
        {"\xc0\xaf", {0xFFFD, 0xFFFD}},                         /* overlong '/' */
        {"\xe0\x9f\xbf", {0xFFFD, 0xFFFD, 0xFFFD}},             /* overlong */
        {"\xed\xa0\x80", {0xFFFD, 0xFFFD, 0xFFFD}},             /* a surrogate */
        {"\xf4\x90\x80\x80", {0xFFFD, 0xFFFD, 0xFFFD, 0xFFFD}}, /* above U+10FFFF */
        {"\xe2\x82", {0xFFFD, 0xFFFD}},                         /* cut */
        {"\xe2\x82"
         "a",
         {0xFFFD, 0xFFFD, 'a'}},
        {"\xf0\x9f", {0xFFFD, 0xFFFD}},
        {"\xc3", {0xFFFD}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *text = table[i].text;
        for (size_t k = 0; k < 6; k++) {
            uint32_t code = mv_utf8_next(&text);
            ck_assert_msg(code == table[i].codes[k], "row %zu, code point %zu: %x", i, k,
                          (unsigned)code);
            if (code != 0 && code != 0xFFFD) {
                mv_bytes_free(&bytes);
                mv_bytes_put(&bytes, code);
                const char *again = bytes.data;
                ck_assert_uint_eq(mv_utf8_next(&again), code);
            }
        }
        ck_assert_ptr_eq(text, table[i].text + strlen(table[i].text));
    }
}
END_TEST

START_TEST(formats_are_found_by_name_and_by_the_end_of_a_path)
{
    ck_assert_str_eq(mv_report_find("junit")->extension, ".xml");
    ck_assert_ptr_null(mv_report_find("xml"));
    ck_assert_ptr_null(mv_report_find(""));
    ck_assert_str_eq(mv_report_find_extension("out/results.JSON")->name, "json");
    ck_assert_str_eq(mv_report_find_extension("a.json.md")->name, "md");
    ck_assert_ptr_null(mv_report_find_extension("json"));
    ck_assert_ptr_null(mv_report_find_extension("-"));
    ck_assert_ptr_null(mv_report_find_extension(""));
    for (size_t i = 0; i < mv_n_reports; i++) {
        ck_assert_ptr_eq(mv_report_find(mv_reports[i].name), &mv_reports[i]);
        ck_assert_ptr_eq(mv_report_find_extension(mv_reports[i].extension), &mv_reports[i]);
    }
}
END_TEST

static Suite *report_bytes_suite(void)
{
    Suite *suite = suite_create("report_bytes");
    TCase *tcase = tcase_create("report_bytes");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_new_file_has_the_usual_permissions_and_leaves_nothing_beside_it);
    tcase_add_test(tcase, an_old_file_is_replaced_and_keeps_its_permissions);
    tcase_add_test(tcase, a_link_stays_a_link);
    tcase_add_test(tcase, a_device_is_written_and_not_replaced);
    tcase_add_test(tcase, a_name_without_a_folder_is_in_the_current_one);
    tcase_add_test(tcase, refuses_what_cannot_be_written_with_path_and_reason);
    tcase_add_test(tcase, a_write_that_stops_half_way_leaves_the_old_file);
    tcase_add_test(tcase, a_full_stdout_is_an_error);
    tcase_add_test(tcase, bytes_that_could_not_grow_are_not_saved);
    tcase_add_test(tcase, doubles_read_back_as_the_same_bits);
    tcase_add_test(tcase, numbers_for_people_have_two_or_three_digits);
    tcase_add_test(tcase, bytes_that_are_not_utf8_are_replaced_one_by_one);
    tcase_add_test(tcase, formats_are_found_by_name_and_by_the_end_of_a_path);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(report_bytes_suite)
