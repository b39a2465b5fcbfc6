#include "harness/zip_write.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "harness/crc32.h"
#include "tests/test_main.h"

static char folder[] = "/tmp/mv-test-XXXXXX", path[64];

static void make_folder(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.zip", folder);
}

static void remove_folder(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

/* ---- the checksum ---- */

static unsigned char noise[5000];

static void make_noise(void)
{
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1664525U + 1013904223U;
        noise[i] = (unsigned char)(state >> 24);
    }
}

/* Bit by bit, from the definition. */
static uint32_t slow_crc32(const unsigned char *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size * 8; i++) {
        const uint32_t bit = (crc ^ (uint32_t)(bytes[i / 8] >> (i % 8))) & 1;
        crc = (crc >> 1) ^ (bit != 0 ? 0xedb88320U : 0);
    }
    return ~crc;
}

START_TEST(gives_the_check_value_of_the_catalogues)
{
    ck_assert_uint_eq(mv_crc32(0, "123456789", 9), 0xcbf43926);
    ck_assert_uint_eq(mv_crc32_portable(0, "123456789", 9), 0xcbf43926);
    ck_assert_uint_eq(mv_crc32(0, "", 0), 0);
}
END_TEST

START_TEST(gives_the_remainder_at_every_length_and_alignment)
{
    make_noise();
    for (size_t size = 0; size < 700; size++) {
        const unsigned char *at = noise + size % 67;
        const uint32_t expected = slow_crc32(at, size);
        ck_assert_msg(mv_crc32(0, at, size) == expected, "%zu bytes", size);
        ck_assert_msg(mv_crc32_narrow(0, at, size) == expected, "%zu bytes, narrow", size);
        ck_assert_msg(mv_crc32_portable(0, at, size) == expected, "%zu bytes, portable", size);
    }
    ck_assert_uint_eq(mv_crc32(0, noise, sizeof noise), slow_crc32(noise, sizeof noise));
}
END_TEST

START_TEST(goes_on_where_it_was)
{
    make_noise();
    const uint32_t whole = mv_crc32(0, noise, sizeof noise);
    for (size_t cut = 0; cut <= sizeof noise; cut += 1 + cut / 7) {
        const unsigned char *rest = noise + cut;
        const size_t size = sizeof noise - cut;
        ck_assert_uint_eq(mv_crc32(mv_crc32(0, noise, cut), rest, size), whole);
        ck_assert_uint_eq(mv_crc32_narrow(mv_crc32_narrow(0, noise, cut), rest, size), whole);
    }
}
END_TEST

/* ---- the container; libzip is the judge ---- */

static void check_entry(zip_t *zip, const char *name, const void *bytes, size_t size)
{
    char found[64];
    zip_file_t *file = zip_fopen(zip, name, 0);
    ck_assert_msg(file != NULL, "%s: %s", name, zip_strerror(zip));
    ck_assert_int_eq(zip_fread(file, found, sizeof found), (int)size);
    ck_assert_mem_eq(found, bytes, size);
    ck_assert_int_eq(zip_fread(file, found, 1), 0); /* the checksum is compared at the end */
    ck_assert_int_eq(zip_fclose(file), 0);
}

static zip_t *open_judge(void)
{
    int reason = 0;
    zip_t *zip = zip_open(path, ZIP_CHECKCONS | ZIP_RDONLY, &reason);
    ck_assert_msg(zip != NULL, "libzip refuses it: %d", reason);
    return zip;
}

START_TEST(writes_what_libzip_reads)
{
    mv_zip_writer writer;
    mv_error error;
    make_folder();
    ck_assert_int_eq(mv_zip_create(&writer, path, &error), MV_OK);
    ck_assert_int_eq(mv_zip_add(&writer, "x/one", "first", 5, &error), MV_OK);
    ck_assert_int_eq(mv_zip_add(&writer, "x/empty", "", 0, &error), MV_OK);
    ck_assert_int_eq(mv_zip_begin(&writer, "x/parts", 6, &error), MV_OK);
    ck_assert_int_eq(mv_out_file_write(&writer.file, "abc", 3, &error), MV_OK);
    ck_assert_int_eq(mv_out_file_write(&writer.file, "def", 3, &error), MV_OK);
    ck_assert_int_eq(mv_zip_end(&writer, mv_crc32(0, "abcdef", 6), &error), MV_OK);
    for (size_t i = 0; i < writer.n_entries; i++)
        ck_assert_uint_eq(writer.entries[i].data_at % MV_ZIP_ALIGNMENT, 0);
    ck_assert_int_eq(mv_zip_finish(&writer, &error), MV_OK);
    mv_zip_discard(&writer);
    zip_t *zip = open_judge();
    ck_assert_int_eq(zip_get_num_entries(zip, 0), 3);
    check_entry(zip, "x/one", "first", 5);
    check_entry(zip, "x/empty", "", 0);
    check_entry(zip, "x/parts", "abcdef", 6);
    zip_discard(zip);
    remove_folder();
}
END_TEST

/* A hole in the file stands in for the gigabytes before. _i: in MiB. */
START_TEST(goes_beyond_four_gigabytes)
{
    mv_zip_writer writer;
    mv_error error;
    make_folder();
    ck_assert_int_eq(mv_zip_create(&writer, path, &error), MV_OK);
    ck_assert_int_eq(mv_zip_add(&writer, "near", "first", 5, &error), MV_OK);
    writer.file.at = (uint64_t)_i << 20;
    mv_code code = mv_zip_add(&writer, "far", "second", 6, &error);
    if (code == MV_OK)
        code = mv_zip_finish(&writer, &error);
    mv_zip_discard(&writer);
    if (code == MV_OK) { /* a file system without holes, or with a limit, is not our business */
        zip_t *zip = open_judge();
        check_entry(zip, "near", "first", 5);
        check_entry(zip, "far", "second", 6);
        zip_discard(zip);
    } else {
        ck_assert_ptr_nonnull(strstr(error.message, "cannot be written"));
    }
    remove_folder();
}
END_TEST

/* No data is written: the entry of 5 GB is a hole, too, and its checksum is not asked for. */
START_TEST(says_the_size_of_an_entry_beyond_four_gigabytes)
{
    const uint64_t size = 5000000000;
    mv_zip_writer writer;
    mv_error error;
    zip_stat_t status;
    make_folder();
    ck_assert_int_eq(mv_zip_create(&writer, path, &error), MV_OK);
    ck_assert_int_eq(mv_zip_begin(&writer, "large", size, &error), MV_OK);
    writer.file.at += size;
    mv_code code = mv_zip_end(&writer, 7, &error);
    if (code == MV_OK)
        code = mv_zip_add(&writer, "behind", "x", 1, &error);
    if (code == MV_OK)
        code = mv_zip_finish(&writer, &error);
    mv_zip_discard(&writer);
    if (code == MV_OK) {
        zip_t *zip = open_judge();
        ck_assert_int_eq(zip_stat(zip, "large", 0, &status), 0);
        ck_assert_uint_eq(status.size, size);
        ck_assert_uint_eq(status.comp_size, size);
        check_entry(zip, "behind", "x", 1);
        zip_discard(zip);
    }
    remove_folder();
}
END_TEST

START_TEST(leaves_no_file_that_is_not_finished)
{
    mv_zip_writer writer;
    mv_error error;
    struct stat status;
    make_folder();
    ck_assert_int_eq(mv_zip_create(&writer, path, &error), MV_OK);
    ck_assert_int_eq(mv_zip_add(&writer, "one", "first", 5, &error), MV_OK);
    mv_zip_discard(&writer);
    mv_zip_discard(&writer);
    ck_assert_int_ne(stat(path, &status), 0);
    (void)snprintf(path, sizeof path, "%s/no/where", folder);
    ck_assert_int_eq(mv_zip_create(&writer, path, &error), MV_ERR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "cannot be created: No such file"));
    remove_folder();
}
END_TEST

/* Larger than what is mapped at a time, and by no round number. */
START_TEST(gives_a_large_tensor_the_checksum_of_its_bytes)
{
    enum { SIZE = (17 << 20) + 4 };
    unsigned char *bytes = malloc(SIZE), *found = malloc(SIZE);
    ck_assert(bytes != NULL && found != NULL);
    for (uint32_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 2654435761U >> 24);
    const mv_tensor tensor = {
        .data = bytes, .shape = {SIZE / 4, 1}, .size_bytes = SIZE, .n_dims = 1};
    const mv_out_tensor out = {.name = "large", .from = &tensor};
    mv_out_file file;
    mv_error error;
    make_folder();
    for (int cores = 0; cores < 2; cores++) {
        uint32_t crc = 1;
        ck_assert_int_eq(mv_out_file_create(&file, path, &error), MV_OK);
        file.has_cores = cores > 0;
        ck_assert_int_eq(mv_out_file_write_tensor(&file, &out, &crc, NULL, &error), MV_OK);
        ck_assert_uint_eq(file.at, SIZE);
        ck_assert_int_eq(mv_out_file_close(&file, &error), MV_OK);
        ck_assert_uint_eq(crc, mv_crc32_portable(0, bytes, SIZE));
        FILE *in = fopen(path, "rb");
        ck_assert(in != NULL && fread(found, 1, SIZE, in) == SIZE);
        (void)fclose(in);
        ck_assert_mem_eq(found, bytes, SIZE);
        ck_assert_int_eq(unlink(path), 0);
    }
    free(bytes);
    free(found);
    remove_folder();
}
END_TEST

static Suite *zip_write_suite(void)
{
    Suite *suite = suite_create("zip_write");
    TCase *crc = tcase_create("crc32");
    tcase_add_test(crc, gives_the_check_value_of_the_catalogues);
    tcase_add_test(crc, gives_the_remainder_at_every_length_and_alignment);
    tcase_add_test(crc, goes_on_where_it_was);
    suite_add_tcase(suite, crc);
    TCase *zip = tcase_create("zip");
    tcase_add_test(zip, writes_what_libzip_reads);
    tcase_add_loop_test(zip, goes_beyond_four_gigabytes, 4095, 4097);
    tcase_add_test(zip, says_the_size_of_an_entry_beyond_four_gigabytes);
    tcase_add_test(zip, leaves_no_file_that_is_not_finished);
    tcase_add_test(zip, gives_a_large_tensor_the_checksum_of_its_bytes);
    suite_add_tcase(suite, zip);
    return suite;
}

MV_TEST_MAIN(zip_write_suite)
