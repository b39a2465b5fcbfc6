#include "harness/tensor_file.h"

#include <string.h>

#include "tests/make_model.h"
#include "tests/test_main.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

/* A file of this header and data_size bytes 0, 1, 2 ...; length is what the first 8 bytes say. */
static mv_code open_made(mv_tensor_file **file, const char *header, uint64_t length,
                         size_t data_size, mv_error *error)
{
    char *folder = make_folder();
    size_t header_size = strlen(header);
    unsigned char *bytes = malloc(8 + header_size + data_size);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, header_size);
    for (size_t i = 0; i < data_size; i++) {
        bytes[8 + header_size + i] = (unsigned char)i;
    }
    char *path = make_file(folder, "the.safetensors", bytes, 8 + header_size + data_size);
    mv_code code = mv_safetensors_open(file, path, error);
    free(path);
    free(bytes);
    make_folder_remove(folder); /* the mapping stays */
    return code;
}

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]}"

static mv_tensor_file *open_good(const char *header, size_t data_size)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    mv_code code = open_made(&file, header, strlen(header), data_size, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return file;
}

START_TEST(maps_tensors_and_sorts_them_by_name)
{
    mv_tensor_file *file = open_good("{\"__metadata__\":{\"format\":\"pt\"}," B "," A "}     ", 20);
    ck_assert_uint_eq(file->n_tensors, 2);
    ck_assert_str_eq(file->tensors[0].name, "a");
    ck_assert_str_eq(file->tensors[1].name, "b");
    const mv_tensor *b = mv_tensor_file_find(file, "b");
    ck_assert_ptr_eq(b, &file->tensors[1]);
    ck_assert_int_eq(b->dtype, MV_DTYPE_BF16);
    ck_assert_uint_eq(b->n_dims, 2);
    ck_assert_uint_eq(b->shape[0], 2);
    ck_assert_uint_eq(b->shape[1], 3);
    ck_assert_uint_eq(b->size_bytes, 12);
    const unsigned char *bytes = b->data;
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(bytes[i], 8 + i);
    }
    ck_assert_uint_eq(file->tensors[0].n_dims, 1);
    ck_assert_uint_eq(file->tensors[0].shape[0], 2);
    ck_assert_uint_eq(file->tensors[0].shape[1], 1);
    ck_assert_ptr_null(mv_tensor_file_find(file, "c"));
    ck_assert_ptr_null(mv_tensor_file_find(file, ""));
    mv_tensor_file_close(&file);
    ck_assert_ptr_null(file);
    mv_tensor_file_close(&file);
    mv_tensor_file_close(NULL);
}
END_TEST

/* The same header with 0 to 7 more spaces: the data of each begins at another remainder. */
START_TEST(aligns_every_tensor_wherever_the_data_begins)
{
    char header[256];
    (void)snprintf(header, sizeof header, "{" B "," A "}%*s", _i, "");
    mv_tensor_file *file = open_good(header, 20);
    size_t begin = (8 + strlen(header)) % 8;
    ck_assert_int_eq(file->mapped, begin % 4 == 0);
    for (size_t i = 0; i < 2; i++) {
        const mv_tensor *t = &file->tensors[i];
        const unsigned char *bytes = t->data;
        ck_assert_uint_eq((uintptr_t)bytes % mv_dtype_size(t->dtype), 0);
        for (size_t k = 0; k < t->size_bytes; k++) {
            ck_assert_uint_eq(bytes[k], i * 8 + k);
        }
    }
    mv_tensor_file_close(&file);
}
END_TEST

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data_size;
    const char *fragment;
    mv_code code;
} bad_files[] = {
    {"{}", 0, "holds no tensors", MV_ERR_FORMAT},
    {"{\"__metadata__\":{}}", 0, "holds no tensors", MV_ERR_FORMAT},
    {"[]", 0, "not a JSON object", MV_ERR_FORMAT},
    {"{" A, 8, "not valid JSON", MV_ERR_FORMAT},
    {"{" A "}x", 8, "not valid JSON", MV_ERR_FORMAT},
    {"{" A "," A "}", 8, "duplicate", MV_ERR_FORMAT},
    {"{\"a\":1}", 8, "a: expected an object of dtype", MV_ERR_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "a: expected an object", MV_ERR_FORMAT},
    {"{\"\":{}}", 0, "tensor name \"\"", MV_ERR_FORMAT},
    {"{\"a\\nb\":{}}", 0, "tensor name \"a\\x0ab\"", MV_ERR_FORMAT},
    {ONE("\"F64\"", "[1]", "[0,8]"), 8, "expected F32, F16 or BF16, found \"F64\"",
     MV_ERR_UNSUPPORTED},
    {ONE("\"I32\"", "[2]", "[0,8]"), 8, "a: dtype: expected F32, F16 or BF16, found \"I32\"",
     MV_ERR_UNSUPPORTED},
    {ONE("\"F8_E4M3\"", "[8]", "[0,8]"), 8, "found \"F8_E4M3\"", MV_ERR_UNSUPPORTED},
    {ONE("3", "[2]", "[0,8]"), 8, "\"dtype\" is missing or no text", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[]", "[0,4]"), 4, "expected 1 or 2 dimensions, found 0", MV_ERR_UNSUPPORTED},
    {ONE("\"F32\"", "[1,1,2]", "[0,8]"), 8, "expected 1 or 2 dimensions, found 3",
     MV_ERR_UNSUPPORTED},
    {ONE("\"F32\"", "2", "[0,8]"), 8, "expected 1 or 2 dimensions", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[0]", "[0,0]"), 0, "shape[0]: expected an integer above 0", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[1,-2]", "[0,8]"), 8, "shape[1]: expected an integer above 0", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2.0]", "[0,8]"), 8, "shape[0]: expected an integer above 0", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[4294967296,4294967296]", "[0,8]"), 8, "more bytes than 64 bits",
     MV_ERR_FORMAT},
    {ONE("\"F32\"", "[4611686018427387904,1]", "[0,8]"), 8, "more bytes than 64 bits",
     MV_ERR_FORMAT},
    {ONE("\"F32\"", "[9223372036854775808]", "[0,8]"), 8, "not valid JSON", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[0]"), 8, "data_offsets: expected [begin, end]", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[8,0]"), 8, "data_offsets: expected [begin, end]", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[-8,0]"), 8, "data_offsets: expected [begin, end]", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[0,\"8\"]"), 8, "data_offsets: expected [begin, end]", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[0,8]"), 7, "ends at byte 8 of the data, but the file has only 7",
     MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[9223372036854775799,9223372036854775807]"), 8, "only 8",
     MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[0,4]"), 4, "expected 8 bytes for shape [2, 1] in f32, found 4",
     MV_ERR_FORMAT},
    {ONE("\"F16\"", "[2]", "[0,8]"), 8, "expected 4 bytes", MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[0,8]"), 9, "end at byte 8 of the data, but the file has 9",
     MV_ERR_FORMAT},
    {ONE("\"F32\"", "[2]", "[4,12]"), 12, "bytes 0 to 4 of the data, before a, belong to no tensor",
     MV_ERR_FORMAT},
    {"{" A ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
     "c begins at byte 4 of the data, inside a", MV_ERR_FORMAT},
    {"{" A ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "inside",
     MV_ERR_FORMAT},
};

START_TEST(refuses_bad_headers)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    mv_code code = open_made(&file, bad_files[_i].header, strlen(bad_files[_i].header),
                             bad_files[_i].data_size, &error);
    ck_assert_msg(code == bad_files[_i].code, "%s: code %d: %s", bad_files[_i].header, (int)code,
                  error.message);
    ck_assert_ptr_null(file);
    ck_assert_msg(strstr(error.message, bad_files[_i].fragment) != NULL, "expected '%s' in: %s",
                  bad_files[_i].fragment, error.message);
    ck_assert_ptr_nonnull(strstr(error.message, "the.safetensors: "));
}
END_TEST

START_TEST(refuses_a_header_longer_than_the_file)
{
    static const uint64_t lengths[] = {100, 1000000, 100000001, UINT64_MAX, UINT64_MAX - 7};
    for (int i = 0; i < N_OF(lengths); i++) {
        mv_tensor_file *file = NULL;
        mv_error error = {0};
        ck_assert_int_eq(open_made(&file, "{" A "}", lengths[i], 8, &error), MV_ERR_FORMAT);
        ck_assert_ptr_nonnull(strstr(error.message, "truncated, or not safetensors"));
    }
}
END_TEST

START_TEST(refuses_a_header_of_no_length)
{
    for (uint64_t length = 0; length < 2; length++) {
        mv_tensor_file *file = NULL;
        mv_error error = {0};
        ck_assert_int_eq(open_made(&file, "{" A "}", length, 8, &error), MV_ERR_FORMAT);
        ck_assert_ptr_nonnull(strstr(error.message, "expected a header of 2 to 16777216 bytes"));
    }
}
END_TEST

/* Valid JSON, and inside the file: 2 GB of memory, if it were read. */
START_TEST(refuses_a_header_larger_than_any_model_needs)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    ck_assert_int_eq(open_made(&file, "{" A "}", (16 << 20) + 1, 17 << 20, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "16777216 bytes, found 16777217: not safetensors"));
    ck_assert_int_eq(open_made(&file, "{" A "}", 16 << 20, 17 << 20, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "not valid JSON")); /* read, as zeros are behind */
}
END_TEST

/* Every prefix of a good file is bad, and none is read beyond its end (ASan, or the page). */
START_TEST(refuses_every_truncation)
{
    static const char header[] = "{" A "," B "}";
    char bytes[8 + sizeof header - 1 + 20] = {0};
    uint64_t length = sizeof header - 1;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    char *folder = make_folder();
    for (size_t size = 0; size < sizeof bytes; size++) {
        mv_tensor_file *file = NULL;
        mv_error error = {0};
        char *path = make_file(folder, "cut", bytes, size);
        ck_assert_int_eq(mv_safetensors_open(&file, path, &error), MV_ERR_FORMAT);
        ck_assert_msg(strstr(error.message, "truncated") != NULL, "%zu: %s", size, error.message);
        free(path);
    }
    make_folder_remove(folder);
}
END_TEST

START_TEST(says_why_a_file_cannot_be_opened)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    ck_assert_int_eq(mv_safetensors_open(&file, "/nowhere/a.safetensors", &error), MV_ERR_IO);
    ck_assert_str_eq(error.message,
                     "/nowhere/a.safetensors: cannot be opened: No such file or directory");
    ck_assert_int_eq(mv_safetensors_open(&file, "/tmp", &error), MV_ERR_IO);
    ck_assert_str_eq(error.message, "/tmp: expected a regular file");
    char *folder = make_folder();
    static const char text[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    char *path = make_file(folder, "pointer", text, sizeof text - 1);
    ck_assert_int_eq(mv_safetensors_open(&file, path, &error), MV_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "git lfs pull"));
    free(path);
    make_folder_remove(folder);
}
END_TEST

START_TEST(names_its_dtypes)
{
    ck_assert_str_eq(mv_dtype_name(MV_DTYPE_F32), "f32");
    ck_assert_str_eq(mv_dtype_name(MV_DTYPE_F16), "f16");
    ck_assert_str_eq(mv_dtype_name(MV_DTYPE_BF16), "bf16");
    ck_assert_uint_eq(mv_dtype_size(MV_DTYPE_F32), 4);
    ck_assert_uint_eq(mv_dtype_size(MV_DTYPE_F16), 2);
    ck_assert_uint_eq(mv_dtype_size(MV_DTYPE_BF16), 2);
}
END_TEST

static Suite *safetensors_suite(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    tcase_add_test(tests, maps_tensors_and_sorts_them_by_name);
    tcase_add_loop_test(tests, aligns_every_tensor_wherever_the_data_begins, 0, 8);
    tcase_add_loop_test(tests, refuses_bad_headers, 0, N_OF(bad_files));
    tcase_add_test(tests, refuses_a_header_longer_than_the_file);
    tcase_add_test(tests, refuses_a_header_of_no_length);
    tcase_add_test(tests, refuses_a_header_larger_than_any_model_needs);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_test(tests, says_why_a_file_cannot_be_opened);
    tcase_add_test(tests, names_its_dtypes);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(safetensors_suite)
