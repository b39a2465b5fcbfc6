#include "tests/make_pth.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

void make_pth_put(make_pth_bytes *bytes, const void *data, size_t size)
{
    if (bytes->capacity - bytes->size < size) {
        bytes->capacity = 2 * bytes->capacity + size;
        bytes->data = realloc(bytes->data, bytes->capacity);
        ck_assert_ptr_nonnull(bytes->data);
    }
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void make_pth_ops(make_pth_bytes *bytes, const char *ops)
{
    make_pth_put(bytes, ops, strlen(ops));
}

static void put_little_endian(make_pth_bytes *bytes, uint64_t integer, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        uint8_t byte = (uint8_t)(integer >> (8 * i));
        make_pth_put(bytes, &byte, 1);
    }
}

void make_pth_text(make_pth_bytes *bytes, const char *text)
{
    make_pth_ops(bytes, "X");
    put_little_endian(bytes, strlen(text), 4);
    make_pth_put(bytes, text, strlen(text));
}

void make_pth_integer(make_pth_bytes *bytes, uint64_t integer)
{
    if (integer < 256) {
        make_pth_ops(bytes, "K");
        put_little_endian(bytes, integer, 1);
    } else {
        make_pth_ops(bytes, "\x8a\x08");
        put_little_endian(bytes, integer, 8);
    }
}

void make_pth_global(make_pth_bytes *bytes, const char *module, const char *name)
{
    make_pth_ops(bytes, "c");
    make_pth_ops(bytes, module);
    make_pth_ops(bytes, "\n");
    make_pth_ops(bytes, name);
    make_pth_ops(bytes, "\n");
}

static void put_tuple(make_pth_bytes *bytes, const uint64_t *items, uint32_t n_items)
{
    make_pth_ops(bytes, "(");
    for (uint32_t i = 0; i < n_items; i++)
        make_pth_integer(bytes, items[i]);
    make_pth_ops(bytes, "t");
}

void make_pth_put_tensor(make_pth_bytes *bytes, const make_pth_tensor *tensor)
{
    char storage[64];
    (void)snprintf(storage, sizeof storage, "%sStorage", tensor->storage);
    make_pth_global(bytes, "torch._utils", "_rebuild_tensor_v2");
    make_pth_ops(bytes, "((");
    make_pth_text(bytes, "storage");
    make_pth_global(bytes, "torch", storage);
    make_pth_text(bytes, tensor->key);
    make_pth_text(bytes, "cpu");
    make_pth_integer(bytes, tensor->numel);
    make_pth_ops(bytes, "tQ");
    make_pth_integer(bytes, tensor->offset);
    put_tuple(bytes, tensor->shape, tensor->n_dims);
    put_tuple(bytes, tensor->stride, tensor->n_dims);
    make_pth_ops(bytes, "\x89"); /* requires_grad = False */
    make_pth_global(bytes, "collections", "OrderedDict");
    make_pth_ops(bytes, ")RtR");
}

void make_pth_state_dict(make_pth_bytes *bytes, const make_pth_tensor *tensors, size_t n_tensors)
{
    make_pth_ops(bytes, "\x80\x02");
    make_pth_global(bytes, "collections", "OrderedDict");
    make_pth_ops(bytes, ")R(");
    for (size_t i = 0; i < n_tensors; i++) {
        make_pth_text(bytes, tensors[i].name);
        make_pth_put_tensor(bytes, &tensors[i]);
    }
    make_pth_ops(bytes, "u.");
}

void make_pth_zip(const char *path, const make_pth_entry *entries, size_t n_entries)
{
    int zip_code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &zip_code);
    ck_assert_msg(zip != NULL, "%s: zip_open: %d", path, zip_code);
    for (size_t i = 0; i < n_entries; i++) {
        const make_pth_entry *entry = &entries[i];
        zip_source_t *source = zip_source_buffer(zip, entry->data, entry->size, 0);
        zip_int64_t index = zip_file_add(zip, entry->name, source, ZIP_FL_ENC_UTF_8);
        ck_assert_msg(index >= 0, "%s: %s: %s", path, entry->name, zip_strerror(zip));
        int method = entry->deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
        ck_assert_int_eq(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
        if (entry->encrypted)
            ck_assert_int_eq(
                zip_file_set_encryption(zip, (zip_uint64_t)index, ZIP_EM_TRAD_PKWARE, "secret"), 0);
    }
    ck_assert_msg(zip_close(zip) == 0, "%s: %s", path, zip_strerror(zip));
}

size_t make_pth_replace(const char *path, const void *from, const void *to, size_t size,
                        size_t n_times)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(bytes, 1, sizeof bytes, file), n_found = 0;
    ck_assert_uint_lt(n, sizeof bytes);
    for (size_t at = 0; at + size <= n && (n_times == 0 || n_found < n_times); at++)
        if (memcmp(bytes + at, from, size) == 0) {
            memcpy(bytes + at, to, size);
            n_found++;
        }
    rewind(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
    return n_found;
}

void make_pth_truncate(const char *path, size_t n_bytes_less)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_ge(size, (long)n_bytes_less);
    ck_assert_int_eq(truncate(path, size - (long)n_bytes_less), 0);
}
