#include "harness/safetensors_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/tensor_file.h"

enum { LENGTH_SIZE = 8, PIECE = 8 << 20 };

/* Everything, or an error: write() may take less than it was given, and says "disk full" only when
 * it can take nothing at all. */
static mv_code write_all(int fd, const void *bytes, uint64_t size, const char *path,
                         mv_error *error)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t n = write(fd, at, size < PIECE ? (size_t)size : PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", path,
                           n < 0 ? strerror(errno) : "the system took no more");
        at += n;
        size -= (uint64_t)n;
    }
    return MV_OK;
}

static const char *dtype_word(mv_dtype dtype)
{
    return dtype == MV_DTYPE_F32 ? "F32" : dtype == MV_DTYPE_F16 ? "F16" : "BF16";
}

/* The names are ours (weights.c): nothing in them needs escaping. */
static void print_header(FILE *out, const mv_out_tensor *tensors, size_t n_tensors)
{
    uint64_t at = 0;
    fprintf(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n_tensors; i++) {
        const mv_tensor *t = tensors[i].from;
        fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", tensors[i].name,
                dtype_word(t->dtype), (unsigned long long)t->shape[0]);
        if (t->n_dims == 2)
            fprintf(out, ",%llu", (unsigned long long)t->shape[1]);
        fprintf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                (unsigned long long)(at + t->size_bytes));
        at += t->size_bytes;
    }
    fputc('}', out);
    while (ftell(out) % 8 != 0)
        fputc(' ', out);
}

static mv_code write_header(int fd, const mv_out_tensor *tensors, size_t n_tensors,
                            const char *path, mv_error *error)
{
    unsigned char length[LENGTH_SIZE];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL)
        print_header(out, tensors, n_tensors);
    if (out == NULL || fclose(out) != 0) {
        free(text);
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for its header", path);
    }
    for (int i = 0; i < LENGTH_SIZE; i++)
        length[i] = (unsigned char)((uint64_t)size >> (8 * i));
    mv_code code = write_all(fd, length, sizeof length, path, error);
    if (code == MV_OK)
        code = write_all(fd, text, size, path, error);
    free(text);
    return code;
}

/* piece: PIECE bytes, for rows that are put into another order. */
static mv_code write_tensor(int fd, const mv_out_tensor *tensor, char *piece,
                            const mv_write_watch *watch, const char *path, mv_error *error)
{
    const uint64_t size = tensor->from->size_bytes;
    mv_code code = MV_OK;
    for (uint64_t at = 0; at < size && code == MV_OK;) {
        const size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        const char *bytes = (const char *)tensor->from->data + at;
        if (tensor->n_halved_heads > 0) {
            mv_out_tensor_read(tensor, at, piece, n);
            bytes = piece;
        }
        code = write_all(fd, bytes, n, path, error);
        if (code == MV_OK)
            code = mv_write_watch_tell(watch, n, path, error);
        at += n;
    }
    return code;
}

mv_code mv_safetensors_write(const char *path, const mv_out_tensor *tensors, size_t n_tensors,
                             const mv_write_watch *watch, mv_error *error)
{
    char *piece = malloc(PIECE);
    if (piece == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a piece of %d bytes", path, PIECE);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        free(piece);
        return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
    }
    mv_code code = write_header(fd, tensors, n_tensors, path, error);
    for (size_t i = 0; i < n_tensors && code == MV_OK; i++)
        code = write_tensor(fd, &tensors[i], piece, watch, path, error);
    if (close(fd) != 0 && code == MV_OK) /* where a network's file system says "disk full" */
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    free(piece);
    return code;
}
