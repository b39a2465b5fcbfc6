#include "tests/golden_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/synthetic.h"
#include "tests/make_model.h"

static mv_error error;

const mv_backend *fixture_reference(void)
{
    const mv_backend *backend = NULL;
    ck_assert_int_eq(setenv("MISTRAL_BACKEND_DIR", MV_BUILD_ROOT "/backends", 0), 0);
    mv_code code = mv_backend_load(&backend, "reference", NULL, 0, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return backend;
}

mv_model *fixture_model(const char *spec)
{
    mv_model *model = NULL;
    mv_code code = mv_model_open(&model, spec, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return model;
}

mv_golden *fixture_golden(const mv_model *model)
{
    const mv_model_view *view = mv_model_get_view(model);
    int32_t tokens[FIXTURE_TOKENS];
    mv_golden *golden = NULL;
    const mv_range extra = {.values = {20}, .n = 1};
    mv_synthetic_tokens(tokens, FIXTURE_TOKENS, view->params.vocab_size, 3);
    mv_code code = mv_golden_new(&golden, view, mv_model_get_spec(model), &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    mv_environment_set(&golden->provenance, "made_by", "a test");
    for (int i = 0; i < 2; i++) {
        const mv_golden_plan plan = {.name = i == 0 ? "window 8" : "window 0",
                                     .tokens = tokens,
                                     .n_tokens = FIXTURE_TOKENS,
                                     .window = i == 0 ? 8 : 0,
                                     .chunk = 7,
                                     .seed = 3,
                                     .positions = &extra,
                                     .n_threads = 1};
        code = mv_golden_record(golden, fixture_reference(), view, &plan, &error);
        ck_assert_msg(code == MV_OK, "%s", error.message);
    }
    return golden;
}

unsigned char *fixture_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    (void)fclose(file);
    return bytes;
}

void fixture_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_uint_eq(size > 0 ? fwrite(bytes, 1, size, file) : 0, size);
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- changing a file ---- */

hid_t fixture_open(const char *path)
{
    golden_quiet();
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, list);
    (void)H5Pclose(list);
    ck_assert_msg(file >= 0, "%s", path);
    return file;
}

void fixture_close(const char *path, hid_t file)
{
    ck_assert_int_ge(H5Fclose(file), 0);
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(golden_seal_write(fd, path, &error), MV_OK);
    ck_assert_int_eq(close(fd), 0);
}

static void set_attribute(hid_t file, const char *group, const char *key, hid_t type,
                          const void *value)
{
    hid_t object = H5Oopen(file, group, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    ck_assert_int_ge(object, 0);
    if (H5Aexists(object, key) > 0)
        ck_assert_int_ge(H5Adelete(object, key), 0);
    hid_t attribute = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(attribute, 0);
    ck_assert_int_ge(H5Awrite(attribute, type, value), 0);
    (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    (void)H5Oclose(object);
}

void fixture_set_text(hid_t file, const char *group, const char *key, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, strlen(text));
    (void)H5Tset_strpad(type, H5T_STR_NULLPAD);
    set_attribute(file, group, key, type, text);
    (void)H5Tclose(type);
}

void fixture_set_int(hid_t file, const char *group, const char *key, int64_t value)
{
    set_attribute(file, group, key, H5T_STD_I64LE, &value);
}

void fixture_set_value(hid_t file, const char *path, size_t row, size_t column, const void *value)
{
    hid_t set = H5Dopen2(file, path, H5P_DEFAULT);
    ck_assert_msg(set >= 0, "%s", path);
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    const hsize_t start[2] = {row, column}, count[2] = {1, 1};
    hid_t one = H5Screate_simple(1, count, NULL);
    ck_assert_int_ge(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL), 0);
    ck_assert_int_ge(H5Dwrite(set, type, one, space, H5P_DEFAULT, value), 0);
    (void)H5Sclose(one);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Dclose(set);
}

void fixture_vouch(hid_t file, const char *path, const void *bytes, size_t size)
{
    char hex[MV_SHA256_SIZE], root[MV_SHA256_SIZE];
    hid_t set = H5Dopen2(file, "/index", H5P_DEFAULT), type = H5Dget_type(set),
          space = H5Dget_space(set);
    hsize_t n;
    ck_assert_int_eq(H5Sget_simple_extent_dims(space, &n, NULL), 1);
    golden_entry *entries = calloc(n, sizeof *entries);
    ck_assert_ptr_nonnull(entries);
    ck_assert_int_ge(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries), 0);
    golden_sha256(hex, bytes, size);
    bool found = false;
    for (hsize_t i = 0; i < n; i++) {
        if (strcmp(entries[i].path, path) != 0)
            continue;
        memcpy(entries[i].sha256, hex, 64);
        entries[i].nbytes = size;
        found = true;
    }
    ck_assert_msg(found, "%s", path);
    ck_assert_int_ge(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries), 0);
    golden_sha256(root, entries, n * sizeof *entries);
    fixture_set_text(file, "/", "merkle_root", root);
    free(entries);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Dclose(set);
}

void fixture_vouch_dataset(hid_t file, const char *path)
{
    hid_t set = H5Dopen2(file, path, H5P_DEFAULT), type = H5Dget_type(set),
          space = H5Dget_space(set);
    const size_t size = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    void *bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_ge(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes), 0);
    fixture_vouch(file, path, bytes, size);
    free(bytes);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Dclose(set);
}

/* ---- what every test of a file starts from ---- */

mv_golden_fixture fixture;

void fixture_set_up(void)
{
    fixture.folder = make_folder();
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/golden.h5", fixture.folder);
    (void)snprintf(fixture.other, sizeof fixture.other, "%s/other.h5", fixture.folder);
    fixture.model = fixture_model(FIXTURE_MODEL);
    fixture.golden = fixture_golden(fixture.model);
    mv_code code = mv_golden_write(fixture.golden, fixture.path, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
}

void fixture_tear_down(void)
{
    mv_golden_close(&fixture.golden);
    mv_model_close(&fixture.model);
    make_folder_remove(fixture.folder);
}

void fixture_refused(const char *at, mv_code code, const char *what, const char *more)
{
    mv_golden *read = NULL;
    error.message[0] = '\0';
    ck_assert_msg(mv_golden_open(&read, at, &error) == code, "%s: expected a refusal (%s): '%s'",
                  at, what, error.message);
    ck_assert_ptr_null(read);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.message, at) == error.message, "no path: %s", error.message);
    ck_assert_msg(strstr(error.message, what) != NULL, "no '%s': %s", what, error.message);
    ck_assert_msg(strstr(error.message, more) != NULL, "no '%s': %s", more, error.message);
    ck_assert_msg(strchr(error.message, '\n') == NULL, "two lines: %s", error.message);
}

mv_golden *fixture_accepted(const char *at)
{
    mv_golden *read = NULL;
    mv_code code = mv_golden_open(&read, at, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return read;
}
