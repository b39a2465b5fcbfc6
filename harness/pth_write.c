#include "harness/pth_write.h"

#include <stdlib.h>
#include <string.h>

#include "harness/tensor_file.h"
#include "harness/zip_write.h"

enum { MAX_ARCHIVE = 255, MAX_NAME = MAX_ARCHIVE + 40 };

/* ---- the pickle ---- */

static void put(FILE *out, const void *bytes, size_t size)
{
    (void)fwrite(bytes, 1, size, out);
}

/* Opcodes, and texts that end in a newline. None of them is 0. */
static void put_ops(FILE *out, const char *ops)
{
    put(out, ops, strlen(ops));
}

static void put_u32(FILE *out, uint64_t value)
{
    for (int i = 0; i < 4; i++)
        fputc((int)(value >> (8 * i) & 0xff), out);
}

static void put_text(FILE *out, const char *text)
{
    fputc('X', out); /* BINUNICODE */
    put_u32(out, strlen(text));
    put(out, text, strlen(text));
}

/* BININT is signed; LONG1 takes what is larger, as two's complement. */
static void put_integer(FILE *out, uint64_t value)
{
    if (value <= INT32_MAX) {
        fputc('J', out);
        put_u32(out, value);
        return;
    }
    put_ops(out, "\x8a\x09"); /* nine bytes: the ninth keeps it positive */
    put_u32(out, value);
    put_u32(out, value >> 32);
    fputc(0, out);
}

static const char *storage_class(mv_dtype dtype)
{
    return dtype == MV_DTYPE_F32   ? "ctorch\nFloatStorage\n"
           : dtype == MV_DTYPE_F16 ? "ctorch\nHalfStorage\n"
                                   : "ctorch\nBFloat16Storage\n";
}

/* name, then _rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict()). */
static void put_tensor(FILE *out, const mv_out_tensor *tensor, size_t key)
{
    const mv_tensor *t = tensor->from;
    const uint64_t n_columns = t->n_dims == 2 ? t->shape[1] : 1;
    const char *global = storage_class(t->dtype), *tuple = t->n_dims == 2 ? "\x86" : "\x85";
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%zu", key);
    put_text(out, tensor->name);
    put_ops(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(out, "storage");
    put_ops(out, global);
    put_text(out, digits);
    put_text(out, "cpu");
    put_integer(out, t->shape[0] * n_columns);
    put_ops(out, "tQ"); /* TUPLE, BINPERSID */
    put_integer(out, 0);
    put_integer(out, t->shape[0]);
    if (t->n_dims == 2)
        put_integer(out, n_columns);
    put_ops(out, tuple);
    if (t->n_dims == 2)
        put_integer(out, n_columns);
    put_integer(out, 1);
    put_ops(out, tuple);
    put_ops(out, "\x89"); /* requires_grad: False */
    put_ops(out, "ccollections\nOrderedDict\n)RtR");
}

/* *bytes: yours, free(). */
static mv_code make_pickle(char **bytes, size_t *size, const mv_out_tensor *tensors,
                           size_t n_tensors, const char *path, mv_error *error)
{
    *bytes = NULL;
    FILE *out = open_memstream(bytes, size);
    if (out != NULL) {
        put_ops(out, "\x80\x02}("); /* PROTO 2, EMPTY_DICT, MARK */
        for (size_t i = 0; i < n_tensors; i++)
            put_tensor(out, &tensors[i], i);
        put_ops(out, "u."); /* SETITEMS, STOP */
    }
    if (out == NULL || fclose(out) != 0) {
        free(*bytes);
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for its pickle", path);
    }
    return MV_OK;
}

/* ---- the container ---- */

typedef struct pth_writer {
    mv_zip_writer zip;
    const char *archive; /* the file's name without its folder and its last extension */
    int archive_length;
    const mv_write_watch *watch;
} pth_writer;

static void name_archive(pth_writer *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    w->archive = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(w->archive, '.');
    const size_t n =
        dot != NULL && dot != w->archive ? (size_t)(dot - w->archive) : strlen(w->archive);
    w->archive_length = n < MAX_ARCHIVE ? (int)n : MAX_ARCHIVE;
}

static void name_entry(char full[MAX_NAME], const pth_writer *w, const char *name)
{
    (void)snprintf(full, MAX_NAME, "%.*s/%s", w->archive_length, w->archive, name);
}

static mv_code add_bytes(pth_writer *w, const char *name, const void *bytes, size_t size,
                         mv_error *error)
{
    char full[MAX_NAME];
    name_entry(full, w, name);
    return mv_zip_add(&w->zip, full, bytes, size, error);
}

static mv_code add_tensor(pth_writer *w, const mv_out_tensor *tensor, size_t key, mv_error *error)
{
    char name[32], full[MAX_NAME];
    uint32_t crc = 0;
    (void)snprintf(name, sizeof name, "data/%zu", key);
    name_entry(full, w, name);
    mv_code code = mv_zip_begin(&w->zip, full, tensor->from->size_bytes, error);
    if (code == MV_OK)
        code = mv_out_file_write_tensor(&w->zip.file, tensor, &crc, w->watch, error);
    return code == MV_OK ? mv_zip_end(&w->zip, crc, error) : code;
}

mv_code mv_pth_write(const char *path, const mv_out_tensor *tensors, size_t n_tensors,
                     const mv_write_watch *watch, mv_error *error)
{
    pth_writer w = {.watch = watch};
    char *pickle = NULL;
    size_t size = 0;
    name_archive(&w, path);
    mv_code code = make_pickle(&pickle, &size, tensors, n_tensors, path, error);
    if (code == MV_OK)
        code = mv_zip_create(&w.zip, path, error);
    if (code != MV_OK) {
        free(pickle);
        return code;
    }
    code = add_bytes(&w, "data.pkl", pickle, size, error);
    if (code == MV_OK)
        code = add_bytes(&w, "byteorder", "little", 6, error);
    for (size_t i = 0; i < n_tensors && code == MV_OK; i++)
        code = add_tensor(&w, &tensors[i], i, error);
    if (code == MV_OK)
        code = add_bytes(&w, "version", "3\n", 2, error);
    if (code == MV_OK)
        code = mv_zip_finish(&w.zip, error);
    mv_zip_discard(&w.zip);
    free(pickle);
    return code;
}
