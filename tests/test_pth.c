/* The .pth reader: the ZIP around the pickle, and the numbers. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/pickle.h"
#include "harness/tensor_file.h"
#include "tests/make_pth.h"
#include "tests/test_main.h"

static char folder[] = "/tmp/mv_test_pth_XXXXXX";
static char path[sizeof folder + 16];

static void setup(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/x.pth", folder);
}

static void teardown(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

/* Tensors of 1 and of 2 dimensions: name, storage class, key, elements of the storage, offset,
 * shape, stride. Macros, because clang-format 14 cannot align nested braces. */
#define FLAT(label, class, id, n, first, rows, step)                                               \
    {                                                                                              \
        .name = (label), .storage = (class), .key = (id), .numel = (n), .offset = (first),         \
        .n_dims = 1, .shape = {rows}, .stride = {                                                  \
            step                                                                                   \
        }                                                                                          \
    }
#define MATRIX(label, class, id, n, first, rows, cols, row_step, col_step)                         \
    {                                                                                              \
        .name = (label), .storage = (class), .key = (id), .numel = (n), .offset = (first),         \
        .n_dims = 2, .shape = {rows, cols}, .stride = {                                            \
            row_step,                                                                              \
            col_step                                                                               \
        }                                                                                          \
    }

/* What a test writes and then spoils: two storages. */
enum { N_ELEMENTS = 24 };
static float floats[N_ELEMENTS];
static uint16_t halves[N_ELEMENTS];

static const make_pth_tensor tensors[] = {
    MATRIX("whole", "Float", "0", 24, 0, 4, 6, 6, 1),
    FLAT("part", "Float", "0", 24, 5, 3, 1),
    MATRIX("transposed", "Float", "0", 24, 0, 6, 4, 1, 6),
    FLAT("column", "Float", "0", 24, 2, 4, 6),
    MATRIX("half", "BFloat16", "1", 24, 0, 24, 1, 1, 7), /* 7 is never used */
    FLAT("half_flat", "BFloat16", "1", 24, 0, 24, 1),
    MATRIX("half_strided", "BFloat16", "1", 24, 1, 2, 3, 12, 2),
};
enum { N_TENSORS = sizeof tensors / sizeof tensors[0], N_ENTRIES = 5 };

/* entries[0 ... 4]: data.pkl, byteorder, data/0, data/1, version. pickle: free() its data. */
static void make_parts(make_pth_entry entries[N_ENTRIES], make_pth_bytes *pickle)
{
    for (int i = 0; i < N_ELEMENTS; i++) {
        floats[i] = (float)i * 0.5F;
        halves[i] = (uint16_t)(0x4000 + i);
    }
    *pickle = (make_pth_bytes){0};
    make_pth_state_dict(pickle, tensors, N_TENSORS);
    entries[0] = (make_pth_entry){"x/data.pkl", pickle->data, pickle->size, false, false};
    entries[1] = (make_pth_entry){"x/byteorder", "little", 6, false, false};
    entries[2] = (make_pth_entry){"x/data/0", floats, sizeof floats, false, false};
    entries[3] = (make_pth_entry){"x/data/1", halves, sizeof halves, false, false};
    entries[4] = (make_pth_entry){"x/version", "3\n", 2, false, false};
}

static void write_good(void)
{
    make_pth_entry entries[N_ENTRIES];
    make_pth_bytes pickle;
    make_parts(entries, &pickle);
    make_pth_zip(path, entries, N_ENTRIES);
    free(pickle.data);
}

static mv_tensor_file *open_good(const char *file_path)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    mv_code code = mv_pth_open(&file, file_path, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_ptr_nonnull(file);
    return file;
}

static void expect_refusal(const char *fragment, mv_code expected)
{
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    mv_code code = mv_pth_open(&file, path, &error);
    ck_assert_msg(code == expected, "expected code %d for \"%s\", found %d: %s", expected, fragment,
                  code, error.message);
    ck_assert_ptr_null(file);
    ck_assert_msg(strstr(error.message, fragment) != NULL, "expected \"%s\", found \"%s\"",
                  fragment, error.message);
    ck_assert_msg(strncmp(error.message, path, strlen(path)) == 0, "no path: %s", error.message);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}

static const mv_tensor *find(const mv_tensor_file *file, const char *name, uint64_t rows,
                             uint64_t cols, uint32_t n_dims, mv_dtype dtype)
{
    const mv_tensor *tensor = mv_tensor_file_find(file, name);
    ck_assert_msg(tensor != NULL, "no tensor %s", name);
    ck_assert_uint_eq(tensor->shape[0], rows);
    ck_assert_uint_eq(tensor->shape[1], cols);
    ck_assert_uint_eq(tensor->n_dims, n_dims);
    ck_assert_int_eq((int)tensor->dtype, (int)dtype);
    ck_assert_uint_eq(tensor->size_bytes, rows * cols * mv_dtype_size(dtype));
    return tensor;
}

START_TEST(reads_every_tensor_where_its_strides_say)
{
    write_good();
    mv_tensor_file *file = open_good(path);
    ck_assert_uint_eq(file->n_tensors, N_TENSORS);
    ck_assert(!file->mapped); /* a transposed view is copied */
    for (size_t i = 1; i < file->n_tensors; i++)
        ck_assert_int_lt(strcmp(file->tensors[i - 1].name, file->tensors[i].name), 0);

    const float *whole = find(file, "whole", 4, 6, 2, MV_DTYPE_F32)->data;
    const float *part = find(file, "part", 3, 1, 1, MV_DTYPE_F32)->data;
    const float *transposed = find(file, "transposed", 6, 4, 2, MV_DTYPE_F32)->data;
    const float *column = find(file, "column", 4, 1, 1, MV_DTYPE_F32)->data;
    const uint16_t *half = find(file, "half", 24, 1, 2, MV_DTYPE_BF16)->data;
    const uint16_t *strided = find(file, "half_strided", 2, 3, 2, MV_DTYPE_BF16)->data;
    ck_assert_mem_eq(whole, floats, sizeof floats);
    ck_assert_mem_eq(part, floats + 5, 3 * sizeof *floats);
    ck_assert_mem_eq(half, halves, sizeof halves);
    for (int row = 0; row < 4; row++) {
        ck_assert_float_eq(column[row], floats[6 * row + 2]);
        for (int col = 0; col < 6; col++)
            ck_assert_float_eq(transposed[col * 4 + row], floats[row * 6 + col]);
    }
    for (int row = 0; row < 2; row++)
        for (int col = 0; col < 3; col++)
            ck_assert_uint_eq(strided[row * 3 + col], halves[1 + 12 * row + 2 * col]);
    mv_tensor_file_close(&file);
    ck_assert_ptr_null(file);
}
END_TEST

START_TEST(keeps_shared_storages_shared_and_aligned)
{
    write_good();
    mv_tensor_file *file = open_good(path);
    const mv_tensor *whole = mv_tensor_file_find(file, "whole");
    const mv_tensor *part = mv_tensor_file_find(file, "part");
    const mv_tensor *half = mv_tensor_file_find(file, "half");
    ck_assert_ptr_eq(part->data, (const float *)whole->data + 5);
    ck_assert_ptr_eq(mv_tensor_file_find(file, "half_flat")->data, half->data);
    ck_assert_uint_eq((uintptr_t)whole->data % sizeof(float), 0);
    ck_assert_uint_eq((uintptr_t)half->data % sizeof(uint16_t), 0);
    mv_tensor_file_close(&file);
}
END_TEST

/* torch 1.13 writes no byteorder; PREFIX may have folders; other entries are nobody's business. */
START_TEST(reads_an_archive_without_byteorder_under_any_prefix)
{
    make_pth_entry entries[N_ENTRIES];
    make_pth_bytes pickle;
    make_parts(entries, &pickle);
    entries[0].name = "a b/c.00/data.pkl";
    entries[1] = (make_pth_entry){"a b/c.00/unknown", "compressed, and not read", 24, true, false};
    entries[2].name = "a b/c.00/data/0";
    entries[3].name = "a b/c.00/data/1";
    make_pth_zip(path, entries, N_ENTRIES);
    free(pickle.data);
    mv_tensor_file *file = open_good(path);
    ck_assert_uint_eq(file->n_tensors, N_TENSORS);
    mv_tensor_file_close(&file);
}
END_TEST

/* tests/data/README.md says how it was made. */
START_TEST(reads_what_torch_saved)
{
    mv_tensor_file *file = open_good(MV_TEST_DATA "/torch_save_small.pth");
    ck_assert_uint_eq(file->n_tensors, 6);
    const float *plain = find(file, "plain", 3, 5, 2, MV_DTYPE_F32)->data;
    const float *view = find(file, "transposed", 5, 3, 2, MV_DTYPE_F32)->data;
    const float *shared = find(file, "shared", 4, 1, 1, MV_DTYPE_F32)->data;
    const uint16_t *bf16 = find(file, "bf16", 2, 4, 2, MV_DTYPE_BF16)->data;
    const uint16_t *f16 = find(file, "f16", 8, 1, 1, MV_DTYPE_F16)->data;
    const float *row = find(file, "n\xc3\xa9.row", 1, 7, 2, MV_DTYPE_F32)->data;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 5; j++) {
            ck_assert_float_eq(plain[5 * i + j], (float)(5 * i + j) / 8.0F - 1.0F);
            ck_assert_float_eq(view[3 * j + i], plain[5 * i + j]);
        }
    ck_assert_ptr_eq(shared, plain + 4);
    for (int i = 0; i < 8; i++) {
        /* -(i + 1), exactly: 1 sign, 8 or 5 exponent, 7 or 10 fraction bits */
        unsigned n = (unsigned)i + 1;
        unsigned exponent = n >= 8 ? 3 : n >= 4 ? 2 : n >= 2 ? 1 : 0;
        unsigned fraction = n - (1U << exponent);
        ck_assert_uint_eq(bf16[i], 0x8000U | (127 + exponent) << 7 | fraction << (7 - exponent));
        ck_assert_uint_eq(f16[i], 0x8000U | (15 + exponent) << 10 | fraction << (10 - exponent));
    }
    for (int i = 0; i < 7; i++)
        ck_assert_float_eq(row[i], (float)(i * i));
    mv_tensor_file_close(&file);
}
END_TEST

/* ---- refusals; each row changes one entry of a good file, or appends one ---- */

typedef struct zip_refusal {
    int entry;        /* N_ENTRIES: one more */
    const char *name; /* what it becomes */
    const void *data;
    size_t size;
    enum { STORED, DEFLATED, ENCRYPTED } how;
    const char *fragment;
    mv_code code;
} zip_refusal;

#define CHANGED(entry, name, data, size, how, fragment, code)                                      \
    {                                                                                              \
        entry, name, data, size, how, fragment, code                                               \
    }
#define BAD(entry, name, data, size, fragment)                                                     \
    CHANGED(entry, name, data, size, STORED, fragment, MV_ERR_FORMAT)
#define OTHER(entry, name, data, size, how, fragment)                                              \
    CHANGED(entry, name, data, size, how, fragment, MV_ERR_UNSUPPORTED)

static const char empty_dict[] = {'\x80', '\x02', '}', '.'};
static const char system_call[] = "\x80\x02"
                                  "cos\nsystem\n";
static const char zeros[4 * sizeof floats];

static const zip_refusal zip_refusals[] = {
    BAD(0, "x/data.pk_", empty_dict, 4, "no ZIP entry ends in /data.pkl"),
    BAD(0, "data.pkl", empty_dict, 4, "no ZIP entry ends in /data.pkl"),
    BAD(0, "x/data.pkl", "", 0, "data.pkl has 0 bytes"),
    BAD(0, "x/data.pkl", empty_dict, 4, "the dict is empty"),
    BAD(0, "x/data.pkl", system_call, 13, "asks for \"system\" of module \"os\""),
    OTHER(0, "x/data.pkl", zeros, 99, DEFLATED, "\"x/data.pkl\" is compressed (method 8)"),
    OTHER(0, "x/data.pkl", zeros, 99, ENCRYPTED, "\"x/data.pkl\" is encrypted"),
    OTHER(1, "x/byteorder", "big", 3, STORED, "byte order \"big\", expected \"little\""),
    OTHER(1, "x/byteorder", "", 0, STORED, "byte order \"\""),
    OTHER(1, "x/byteorder", "little\n", 7, STORED, "byte order \"little\\x0a\""),
    BAD(1, "x/byteorder", zeros, 16, "has 16 bytes (16 in the archive), expected at most 15"),
    BAD(2, "x/data/2", floats, sizeof floats, "no ZIP entry data/ for storage \"0\""),
    BAD(2, "y/data/0", floats, sizeof floats, "no ZIP entry data/ for storage \"0\""),
    BAD(2, "x/data/0", zeros, sizeof floats - 1, "has 95 bytes (95 in the archive), expected 96"),
    BAD(2, "x/data/0", zeros, sizeof floats + 1, "has 97 bytes (97 in the archive), expected 96"),
    BAD(2, "x/data/0", "", 0, "has 0 bytes (0 in the archive), expected 96"),
    OTHER(2, "x/data/0", zeros, sizeof floats, DEFLATED, "\"x/data/0\" is compressed"),
    OTHER(3, "x/data/1", halves, sizeof halves, ENCRYPTED, "\"x/data/1\" is encrypted"),
    BAD(5, "y/data.pkl", empty_dict, 4, "end in /data.pkl: \"x/data.pkl\" and \"y/data.pkl\""),
};

START_TEST(refuses_an_archive_with_one_entry_changed)
{
    const zip_refusal *row = &zip_refusals[_i];
    make_pth_entry entries[N_ENTRIES + 1];
    make_pth_bytes pickle;
    make_parts(entries, &pickle);
    entries[row->entry] = (make_pth_entry){.name = row->name,
                                           .data = row->data,
                                           .size = row->size,
                                           .deflated = row->how == DEFLATED,
                                           .encrypted = row->how == ENCRYPTED};
    make_pth_zip(path, entries, row->entry == N_ENTRIES ? N_ENTRIES + 1 : N_ENTRIES);
    free(pickle.data);
    expect_refusal(row->fragment, row->code);
}
END_TEST

START_TEST(refuses_two_entries_of_one_name)
{
    make_pth_entry entries[N_ENTRIES + 1];
    make_pth_bytes pickle;
    make_parts(entries, &pickle);
    entries[N_ENTRIES] = (make_pth_entry){"x/data/Z", zeros, sizeof floats, false, false};
    make_pth_zip(path, entries, N_ENTRIES + 1);
    free(pickle.data);
    ck_assert_uint_eq(make_pth_replace(path, "x/data/Z", "x/data/0", 8, 0), 2);
    expect_refusal("two ZIP entries", MV_ERR_FORMAT);
}
END_TEST

START_TEST(refuses_a_local_header_that_disagrees_with_the_directory)
{
    write_good();
    ck_assert_uint_eq(make_pth_replace(path, "x/data/0", "x/data/7", 8, 1), 1);
    expect_refusal("broken ZIP archive", MV_ERR_FORMAT);
}
END_TEST

START_TEST(refuses_numbers_that_do_not_fit_their_checksum)
{
    write_good();
    ck_assert_uint_eq(make_pth_replace(path, &floats[7], &floats[8], sizeof *floats, 1), 1);
    expect_refusal("\"x/data/0\": CRC error at byte 96 of 96: the data was changed", MV_ERR_FORMAT);
}
END_TEST

START_TEST(refuses_a_file_cut_anywhere)
{
    write_good();
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size >= 0; size -= 1 + size / 200) {
        ck_assert_int_eq(truncate(path, size), 0);
        expect_refusal("ZIP archive", MV_ERR_FORMAT);
    }
}
END_TEST

static void write_bytes(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(refuses_a_pickle_alone_as_older_than_the_zip_format)
{
    write_bytes("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", 15);
    expect_refusal("saved in the format before torch 1.6", MV_ERR_FORMAT);
}
END_TEST

START_TEST(refuses_an_archive_of_nothing)
{
    static const char end_of_directory[22] = "PK\005\006";
    write_bytes(end_of_directory, sizeof end_of_directory);
    expect_refusal("a ZIP archive of 0 entries, expected 1 to", MV_ERR_FORMAT);
}
END_TEST

START_TEST(refuses_what_is_no_regular_file)
{
    expect_refusal("cannot be opened: No such file", MV_ERR_IO);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_refusal("expected a regular file", MV_ERR_IO);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* and does not wait for a writer */
    expect_refusal("expected a regular file", MV_ERR_IO);
}
END_TEST

/* ---- tensors that are fine one by one ---- */

static void write_tensors(const make_pth_tensor *list, size_t n, const void *data, size_t size)
{
    make_pth_bytes pickle = {0};
    make_pth_state_dict(&pickle, list, n);
    const make_pth_entry entries[] = {{"x/data.pkl", pickle.data, pickle.size, false, false},
                                      {"x/data/0", data, size, false, false}};
    make_pth_zip(path, entries, 2);
    free(pickle.data);
}

START_TEST(refuses_one_storage_under_two_dtypes_or_lengths)
{
    make_pth_tensor pair[] = {
        FLAT("a", "Float", "0", 24, 0, 1, 1),
        FLAT("b", "Float", "0", 23, 0, 1, 1),
    };
    write_tensors(pair, 2, floats, sizeof floats);
    expect_refusal("tensors \"a\" and \"b\" share storage \"0\" but not", MV_ERR_FORMAT);
    pair[1].storage = "Half";
    pair[1].numel = 24;
    write_tensors(pair, 2, floats, sizeof floats);
    expect_refusal("tensors \"a\" and \"b\" share storage \"0\" but not", MV_ERR_FORMAT);
    pair[1].storage = "Float";
    write_tensors(pair, 2, floats, sizeof floats);
    mv_tensor_file *file = open_good(path);
    mv_tensor_file_close(&file);
}
END_TEST

START_TEST(refuses_a_storage_larger_than_memory_can_be)
{
    make_pth_tensor tensor = FLAT("a", "Float", "0", 0, 0, 1, 1);
    tensor.numel = UINT64_MAX / 4 + 1; /* times 4: 0, if it wrapped */
    write_tensors(&tensor, 1, floats, 0);
    expect_refusal("fits in no memory", MV_ERR_FORMAT);
    tensor.numel = UINT64_MAX / 16;
    write_tensors(&tensor, 1, floats, sizeof floats);
    expect_refusal("has 96 bytes (96 in the archive), expected 4611686018427387900", MV_ERR_FORMAT);
}
END_TEST

/* A small file must not ask for much memory: 64 transposed views of one storage. */
START_TEST(refuses_more_copies_of_views_than_the_file_has_bytes)
{
    enum { N = 64, SIDE = 200 };
    static float square[SIDE * SIDE];
    static char names[N][4];
    make_pth_tensor views[N];
    for (int i = 0; i < N; i++) {
        names[i][0] = 't';
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        views[i] =
            (make_pth_tensor)MATRIX(names[i], "Float", "0", SIDE * SIDE, 0, SIDE, SIDE, 1, SIDE);
    }
    write_tensors(views, 1, square, sizeof square);
    mv_tensor_file *file = open_good(path);
    mv_tensor_file_close(&file);
    write_tensors(views, N, square, sizeof square);
    expect_refusal("tensor \"t01\": contiguous copies of the strided views", MV_ERR_UNSUPPORTED);
}
END_TEST

static Suite *pth_suite(void)
{
    Suite *suite = suite_create("pth");
    TCase *reads = tcase_create("reads");
    tcase_add_checked_fixture(reads, setup, teardown);
    tcase_add_test(reads, reads_every_tensor_where_its_strides_say);
    tcase_add_test(reads, keeps_shared_storages_shared_and_aligned);
    tcase_add_test(reads, reads_an_archive_without_byteorder_under_any_prefix);
    tcase_add_test(reads, reads_what_torch_saved);
    suite_add_tcase(suite, reads);
    TCase *refuses = tcase_create("refuses");
    tcase_add_checked_fixture(refuses, setup, teardown);
    tcase_add_loop_test(refuses, refuses_an_archive_with_one_entry_changed, 0,
                        (int)(sizeof zip_refusals / sizeof zip_refusals[0]));
    tcase_add_test(refuses, refuses_two_entries_of_one_name);
    tcase_add_test(refuses, refuses_a_local_header_that_disagrees_with_the_directory);
    tcase_add_test(refuses, refuses_numbers_that_do_not_fit_their_checksum);
    tcase_add_test(refuses, refuses_a_file_cut_anywhere);
    tcase_add_test(refuses, refuses_a_pickle_alone_as_older_than_the_zip_format);
    tcase_add_test(refuses, refuses_an_archive_of_nothing);
    tcase_add_test(refuses, refuses_what_is_no_regular_file);
    tcase_add_test(refuses, refuses_one_storage_under_two_dtypes_or_lengths);
    tcase_add_test(refuses, refuses_a_storage_larger_than_memory_can_be);
    tcase_add_test(refuses, refuses_more_copies_of_views_than_the_file_has_bytes);
    suite_add_tcase(suite, refuses);
    return suite;
}

MV_TEST_MAIN(pth_suite)
