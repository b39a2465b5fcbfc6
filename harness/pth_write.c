#include "harness/pth_write.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "harness/tensor_file.h"

enum { ALIGNMENT = 64, LOCAL_HEADER = 30, EXTRA_HEADER = 4, MAX_NAME = 320, PIECE = 8 << 20 };
enum { EXTRA_ID = 0x4246 }; /* "FB", which is what torch calls its padding */

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

/* ---- a tensor as a source of libzip ---- */

typedef struct pth_writer {
    const char *path;
    zip_t *zip;
    char archive[256];
    uint64_t at; /* where the next local header will be */
    const mv_write_watch *watch;
    bool stopped;
} pth_writer;

typedef struct source {
    pth_writer *writer;
    const mv_out_tensor *tensor;
    uint64_t at;
    zip_error_t error;
} source;

static zip_int64_t give_stat(const source *s, void *data)
{
    zip_stat_t *stat = data;
    zip_stat_init(stat);
    stat->size = stat->comp_size = s->tensor->from->size_bytes;
    stat->comp_method = ZIP_CM_STORE;
    stat->mtime = 315532800; /* 1980, the first that a ZIP can say: same weights, same file */
    stat->valid = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_MTIME;
    return sizeof *stat;
}

static zip_int64_t give_bytes(source *s, void *data, zip_uint64_t size)
{
    const uint64_t left = s->tensor->from->size_bytes - s->at;
    uint64_t n = size < left ? size : left;
    n = n < PIECE ? n : PIECE;
    mv_out_tensor_read(s->tensor, s->at, data, (size_t)n);
    s->at += n;
    if (mv_write_watch_tell(s->writer->watch, n, s->writer->path, NULL) == MV_OK)
        return (zip_int64_t)n;
    s->writer->stopped = true;
    zip_error_set(&s->error, ZIP_ER_CANCELLED, 0);
    return -1;
}

static zip_int64_t serve(void *state, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    source *s = state;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        s->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return give_bytes(s, data, size);
    case ZIP_SOURCE_STAT:
        return give_stat(s, data);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&s->error, data, size);
    case ZIP_SOURCE_FREE:
        free(s);
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
    default:
        return 0;
    }
}

/* ---- the container ---- */

static mv_code fail_zip(const pth_writer *w, mv_error *error)
{
    if (w->stopped)
        return mv_fail(error, MV_ERR_IO, "%s: stopped before it was complete", w->path);
    return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", w->path, zip_strerror(w->zip));
}

/* Takes over the source, in any case. Padding in the local header puts the data at a multiple of
 * 64, if libzip writes what we expect; if not, only the alignment is lost. */
static mv_code add_entry(pth_writer *w, const char *name, zip_source_t *from, uint64_t size,
                         mv_error *error)
{
    static const zip_uint8_t zeros[ALIGNMENT];
    char full[MAX_NAME];
    const int length = snprintf(full, sizeof full, "%s/%s", w->archive, name);
    if (from == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for an entry", w->path);
    const zip_int64_t index = zip_file_add(w->zip, full, from, 0);
    if (index < 0) {
        zip_source_free(from);
        return fail_zip(w, error);
    }
    const uint64_t header = LOCAL_HEADER + (uint64_t)length + EXTRA_HEADER;
    const uint64_t padding = (ALIGNMENT - (w->at + header) % ALIGNMENT) % ALIGNMENT;
    if (zip_set_file_compression(w->zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_mtime(w->zip, (zip_uint64_t)index, 315532800, 0) != 0 ||
        zip_file_extra_field_set(w->zip, (zip_uint64_t)index, EXTRA_ID, ZIP_EXTRA_FIELD_NEW, zeros,
                                 (zip_uint16_t)padding, ZIP_FL_LOCAL) != 0)
        return fail_zip(w, error);
    w->at += header + padding + size;
    return MV_OK;
}

static mv_code add_tensor(pth_writer *w, const mv_out_tensor *tensor, size_t key, mv_error *error)
{
    char name[40];
    source *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for an entry", w->path);
    *s = (source){.writer = w, .tensor = tensor};
    zip_error_init(&s->error);
    zip_source_t *from = zip_source_function(w->zip, serve, s);
    if (from == NULL)
        free(s);
    (void)snprintf(name, sizeof name, "data/%zu", key);
    return add_entry(w, name, from, tensor->from->size_bytes, error);
}

static mv_code add_bytes(pth_writer *w, const char *name, const void *bytes, size_t size,
                         mv_error *error)
{
    return add_entry(w, name, zip_source_buffer(w->zip, bytes, size, 0), size, error);
}

/* The file's name without its folder and its last extension. */
static void name_archive(pth_writer *w)
{
    const char *slash = strrchr(w->path, '/');
    (void)snprintf(w->archive, sizeof w->archive, "%s", slash != NULL ? slash + 1 : w->path);
    char *dot = strrchr(w->archive, '.');
    if (dot != NULL && dot != w->archive)
        *dot = '\0';
}

mv_code mv_pth_write(const char *path, const mv_out_tensor *tensors, size_t n_tensors,
                     const mv_write_watch *watch, mv_error *error)
{
    pth_writer w = {.path = path, .watch = watch};
    char *pickle = NULL;
    size_t size = 0;
    int zip_code = 0;
    name_archive(&w);
    mv_code code = make_pickle(&pickle, &size, tensors, n_tensors, path, error);
    if (code != MV_OK)
        return code;
    w.zip = zip_open(path, ZIP_CREATE | ZIP_EXCL, &zip_code);
    if (w.zip == NULL) {
        zip_error_t reason;
        zip_error_init_with_code(&reason, zip_code);
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", path,
                       zip_error_strerror(&reason));
        zip_error_fini(&reason);
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
    if (code == MV_OK && zip_close(w.zip) != 0) /* all the writing is here */
        code = fail_zip(&w, error);
    else if (code == MV_OK)
        w.zip = NULL;
    if (w.zip != NULL)
        zip_discard(w.zip);
    free(pickle);
    return code;
}
