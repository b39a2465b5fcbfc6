/* The loader: what it finds, and what it refuses in which words. */
#include "harness/backend.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test_main.h"

#define PLUGINS MV_BUILD_ROOT "/tests/plugins"

static char folder[] = "/tmp/test_backend_XXXXXX"; /* made anew for each case */

static void make_folder(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", PLUGINS, 1), 0);
}

static void remove_folder(void)
{
    char command[sizeof folder + 16];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void refuses(const char *name_or_path, mv_code expected, const char *fragment)
{
    const mv_backend *table = NULL;
    char path[64] = "untouched";
    mv_error error = {MV_OK, ""};
    mv_code code = mv_backend_load(&table, name_or_path, path, sizeof path, &error);
    ck_assert_msg(strstr(error.message, fragment) != NULL, "expected '%s' in: %s", fragment,
                  error.message);
    ck_assert_msg(strchr(error.message, '\n') == NULL, "more than a line: %s", error.message);
    ck_assert_int_eq(code, expected);
    ck_assert_int_eq(error.code, expected);
    ck_assert_ptr_null(table);
    ck_assert_str_eq(path, "untouched");
}

static const mv_backend *loads(const char *name_or_path, char *path, size_t path_size)
{
    const mv_backend *table = NULL;
    mv_error error = {MV_OK, ""};
    ck_assert_msg(mv_backend_load(&table, name_or_path, path, path_size, &error) == MV_OK, "%s",
                  error.message);
    ck_assert_ptr_nonnull(table);
    return table;
}

/* ---- refusals ---- */

static const struct {
    const char *name;
    mv_code code;
    const char *fragment; /* after the path */
} refused[] = {
    {"major", MV_ERR_FORMAT, ": expected backend ABI 1.x (this program has 1.0), found 2.0"},
    {"no_symbol", MV_ERR_FORMAT, ": expected the symbol mv_backend_get, found none"},
    {"no_table", MV_ERR_FORMAT, ": expected a table from mv_backend_get(), found NULL"},
    {"short", MV_ERR_FORMAT,
     ": expected a table of at least 136 bytes (ABI 1.0), found struct_size 128"},
    {"entry", MV_ERR_FORMAT, ": expected the required entry 'reset' in its table, found NULL"},
    {"version", MV_ERR_FORMAT, ": expected the required entry 'version' in its table, found NULL"},
    {"name", MV_ERR_FORMAT, ": expected a name in its table, found an empty one"},
    {"undefined", MV_ERR_FORMAT, ": undefined symbol: a_function_that_nobody_has"},
    {"unavailable", MV_ERR_UNAVAILABLE, ": cannot run here: no flux capacitor in this machine"},
    {"silent", MV_ERR_UNAVAILABLE, ": cannot run here: its probe() gave no reason"},
};

START_TEST(refuses_a_library_that_is_no_usable_backend)
{
    char path[512];
    (void)snprintf(path, sizeof path, PLUGINS "/mistral_%s.so", refused[_i].name);
    refuses(path, refused[_i].code, refused[_i].fragment);
    refuses(path, refused[_i].code, path);
    refuses(refused[_i].name, refused[_i].code, path); /* by name: the message has the path, too */
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    refuses(in_folder("none.so"), MV_ERR_ARGUMENT,
            "/none.so: expected a backend (.so), found no such file");
    refuses(in_folder("."), MV_ERR_FORMAT, "/.: expected an ELF shared object, found a folder");
    ck_assert_int_eq(mkfifo(in_folder("pipe.so"), 0600), 0);
    refuses(in_folder("pipe.so"), MV_ERR_FORMAT, "found a device, pipe or socket");
    refuses("", MV_ERR_ARGUMENT, "expected the name or path of a backend, found nothing");
    refuses(NULL, MV_ERR_ARGUMENT, "expected the name or path of a backend, found nothing");
}
END_TEST

/* A good library with one thing changed: n_bytes at an offset, or its size. */
static const struct {
    size_t offset, n_bytes;
    const char *bytes;
    size_t size; /* WHOLE: as it was */
    const char *fragment;
} damaged[] = {
#define WHOLE SIZE_MAX
#define FIELD(name) offsetof(Elf64_Ehdr, name)
    {0, 0, "", 0, "found an empty file"},
    {0, 4, "#!/b", WHOLE, "begins with the bytes 23 21 2f 62"},
    {0, 0, "", 40, "header of 64 bytes, found a file of 40 bytes"},
    {EI_CLASS, 1, "\1", WHOLE, "expected a 64-bit ELF file, found a 32-bit one"},
    {EI_CLASS, 1, "\7", WHOLE, "expected a 64-bit ELF file, found a damaged one"},
    {EI_DATA, 1, "\2", WHOLE, "a little-endian ELF file, found a big-endian one"},
    {FIELD(e_machine), 2, "\26\0", WHOLE, "found one for s390"},
    {FIELD(e_machine), 2, "\xEE\xEE", WHOLE, "found one for machine 61166"},
    {FIELD(e_type), 2, "\1\0", WHOLE, "found an object file (.o)"},
    {FIELD(e_type), 2, "\2\0", WHOLE, "found a program"},
    {0, 0, "", 2000, "truncated: expected at least"},
    {FIELD(e_phnum), 2, "\0\0", WHOLE, "found 0 entries of 56 bytes"},
    {FIELD(e_phoff) + 3, 4, "\xFF\xFF\xFF\x7F", WHOLE, "truncated: expected at least"},
    {FIELD(e_phoff), 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", WHOLE, "offsets beyond 64 bits"},
};

START_TEST(refuses_a_damaged_library_before_dlopen_sees_it)
{
    static unsigned char bytes[1 << 22];
    FILE *file = fopen(PLUGINS "/mistral_later.so", "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_gt(size, 4000);
    memcpy(bytes + damaged[_i].offset, damaged[_i].bytes, damaged[_i].n_bytes);
    if (damaged[_i].size != WHOLE)
        size = damaged[_i].size;
    write_file(in_folder("mistral_damaged.so"), bytes, size);
    refuses(in_folder("mistral_damaged.so"), MV_ERR_FORMAT, damaged[_i].fragment);
    refuses(in_folder("mistral_damaged.so"), MV_ERR_FORMAT, in_folder("mistral_damaged.so"));
}
END_TEST

START_TEST(loads_the_library_that_the_damaged_ones_were_made_from)
{
    (void)loads(PLUGINS "/mistral_later.so", NULL, 0);
}
END_TEST

/* ---- the search ---- */

START_TEST(finds_a_backend_of_the_build_by_its_name)
{
    char path[512];
    ck_assert_int_eq(unsetenv("MISTRAL_BACKEND_DIR"), 0);
    const mv_backend *table = loads("null", path, sizeof path);
    ck_assert_str_eq(table->name, "null");
    ck_assert_str_eq(path, MV_BUILD_ROOT "/backends/null/mistral_null.so");
}
END_TEST

START_TEST(the_environment_comes_before_the_build)
{
    char list[512], path[512];
    ck_assert_int_eq(symlink(PLUGINS "/mistral_later.so", in_folder("mistral_null.so")), 0);
    (void)snprintf(list, sizeof list, "/nowhere::%s/:" PLUGINS, folder);
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", list, 1), 0);
    ck_assert_str_eq(loads("null", path, sizeof path)->name, "broken");
    ck_assert_str_eq(path, in_folder("mistral_null.so"));
    (void)loads("later", path, sizeof path);
    ck_assert_str_eq(path, PLUGINS "/mistral_later.so");
}
END_TEST

START_TEST(finds_where_a_backend_is_without_loading_it)
{
    char path[4096], small[4];
    mv_error error;
    ck_assert_int_eq(mv_backend_find(path, sizeof path, "undefined", &error), MV_OK);
    ck_assert_ptr_nonnull(strstr(path, "/mistral_undefined.so")); /* dlopen() would refuse it */
    ck_assert_int_eq(mv_backend_find(path, sizeof path, "./not there.so", &error), MV_OK);
    ck_assert_str_eq(path, "./not there.so");
    ck_assert_int_eq(mv_backend_find(small, sizeof small, "./long", &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(mv_backend_find(path, sizeof path, "undefimed", &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "undefined"));
    ck_assert_int_eq(mv_backend_find(path, sizeof path, "", &error), MV_ERR_ARGUMENT);
}
END_TEST

START_TEST(never_looks_in_the_current_folder)
{
    ck_assert_int_eq(symlink(PLUGINS "/mistral_later.so", in_folder("mistral_here.so")), 0);
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", ":", 1), 0);
    refuses("here", MV_ERR_ARGUMENT, "unknown backend 'here'");
    refuses("mistral_here.so", MV_ERR_ARGUMENT, "a path with a '/'");
    (void)loads("./mistral_here.so", NULL, 0);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(an_unknown_name_gets_the_nearest_or_the_folders)
{
    refuses("unavailible", MV_ERR_ARGUMENT, "did you mean 'unavailable'?");
    refuses("qqqqqqqqqqqq", MV_ERR_ARGUMENT, "searched " PLUGINS ", ");
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", "/nowhere", 1), 0);
    refuses("qqqqqqqqqqqq", MV_ERR_ARGUMENT, "searched /nowhere (not there), ");
}
END_TEST

static const mv_backend_candidate *listed(const mv_backend_candidate *candidates, size_t n,
                                          const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(candidates[i].path, path) == 0)
            return &candidates[i];
    ck_abort_msg("not listed: %s", path);
    return NULL;
}

START_TEST(the_list_says_why_each_cannot_be_used)
{
    mv_backend_candidate *candidates = NULL;
    size_t n = 0;
    char list[512], path[512];
    mv_error error = {MV_OK, ""};
    ck_assert_int_eq(symlink("/nowhere/at/all", in_folder("mistral_dangling.so")), 0);
    ck_assert_int_eq(mkdir(in_folder("nested"), 0700), 0);
    ck_assert_int_eq(symlink(PLUGINS "/mistral_later.so", in_folder("nested/mistral_nested.so")),
                     0);
    ck_assert_int_eq(symlink(PLUGINS "/mistral_later.so", in_folder("mistral_null.so")), 0);
    write_file(in_folder("mistral_.so"), "x", 1); /* has no name */
    write_file(in_folder("notes.so"), "x", 1);    /* is not called like a backend */
    (void)snprintf(list, sizeof list, "%s:" PLUGINS, folder);
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", list, 1), 0);
    ck_assert_msg(mv_backend_list(&candidates, &n, &error) == MV_OK, "%s", error.message);

    ck_assert_uint_ge(n, 3 + sizeof refused / sizeof refused[0]);
    ck_assert_str_eq(candidates[0].name, "dangling"); /* the order of the search, then the name */
    ck_assert_str_eq(candidates[0].reason, "expected a backend (.so), found no such file");
    ck_assert_str_eq(candidates[1].name, "nested");
    ck_assert_str_eq(candidates[1].reason, "");
    ck_assert_str_eq(candidates[1].summary, "for the tests of the loader");
    ck_assert_str_eq(candidates[2].name, "null");
    ck_assert_str_eq(candidates[2].reason, "");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(path, sizeof path, PLUGINS "/mistral_%s.so", refused[i].name);
        const mv_backend_candidate *one = listed(candidates, n, path);
        ck_assert_str_eq(one->name, refused[i].name);
        ck_assert_msg(strstr(one->reason, refused[i].fragment + 2) != NULL, "%s", one->reason);
        ck_assert_ptr_null(strstr(one->reason, path)); /* it stands beside it */
    }
    const mv_backend_candidate *hidden =
        listed(candidates, n, MV_BUILD_ROOT "/backends/null/mistral_null.so");
    ck_assert_ptr_nonnull(strstr(hidden->reason, "hidden by "));
    ck_assert_ptr_nonnull(strstr(hidden->reason, in_folder("mistral_null.so")));
    free(candidates);
}
END_TEST

/* ---- tables ---- */

START_TEST(takes_a_later_minor_and_gives_the_same_table_each_time)
{
    const mv_backend *table = loads("later", NULL, 0);
    ck_assert_uint_eq(table->abi_minor, 7);
    ck_assert_ptr_null((void *)(uintptr_t)table->self_test);
    ck_assert_ptr_eq(table, loads(PLUGINS "/mistral_later.so", NULL, 0));
}
END_TEST

START_TEST(answers_what_a_backend_claims)
{
    const mv_backend *table = loads("later", NULL, 0);
    ck_assert_uint_eq(mv_backend_claims(table), MV_CLAIM_REPEATABLE | MV_CLAIM_CHUNK_INVARIANT);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_BF16), 1);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_F32), 0);
    ck_assert_int_eq(mv_backend_has_compute(table, (mv_compute)77), 0);
    ck_assert_uint_eq(mv_backend_claims(NULL), 0);
    ck_assert_int_eq(mv_backend_has_compute(NULL, MV_COMPUTE_F32), 0);
}
END_TEST

START_TEST(names_compute_types_and_reads_them_back)
{
    for (int i = MV_COMPUTE_F32; i <= MV_COMPUTE_F64; i++) {
        mv_compute compute = (mv_compute)99;
        ck_assert_int_eq(mv_compute_parse(&compute, mv_compute_name((mv_compute)i), NULL), MV_OK);
        ck_assert_int_eq((int)compute, i);
    }
    mv_compute compute = (mv_compute)99;
    mv_error error = {MV_OK, ""};
    ck_assert_int_eq(mv_compute_parse(&compute, "fp32", &error), MV_ERR_ARGUMENT);
    ck_assert_str_eq(error.message, "unknown compute type 'fp32': expected f64, f32 or bf16");
    ck_assert_int_eq((int)compute, 99);
    ck_assert_str_eq(mv_compute_name((mv_compute)99), "unknown");
}
END_TEST

static Suite *backend_suite(void)
{
    Suite *suite = suite_create("backend");
    TCase *cases = tcase_create("loader");
    tcase_add_checked_fixture(cases, make_folder, remove_folder);
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, refuses_a_library_that_is_no_usable_backend, 0,
                        sizeof refused / sizeof refused[0]);
    tcase_add_test(cases, refuses_what_is_no_file);
    tcase_add_loop_test(cases, refuses_a_damaged_library_before_dlopen_sees_it, 0,
                        sizeof damaged / sizeof damaged[0]);
    tcase_add_test(cases, loads_the_library_that_the_damaged_ones_were_made_from);
    tcase_add_test(cases, finds_a_backend_of_the_build_by_its_name);
    tcase_add_test(cases, the_environment_comes_before_the_build);
    tcase_add_test(cases, finds_where_a_backend_is_without_loading_it);
    tcase_add_test(cases, never_looks_in_the_current_folder);
    tcase_add_test(cases, an_unknown_name_gets_the_nearest_or_the_folders);
    tcase_add_test(cases, the_list_says_why_each_cannot_be_used);
    tcase_add_test(cases, takes_a_later_minor_and_gives_the_same_table_each_time);
    tcase_add_test(cases, answers_what_a_backend_claims);
    tcase_add_test(cases, names_compute_types_and_reads_them_back);
    suite_add_tcase(suite, cases);
    return suite;
}

MV_TEST_MAIN(backend_suite)
