#include "harness/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/crc32.h"
#include "harness/machine.h"
#include "harness/page_in.h"

enum { PIECE = 512 << 10, MOST = 8 << 20, LEAST_FOR_THREAD = 1 << 20 };

mv_code mv_out_file_create(mv_out_file *file, const char *path, mv_error *error)
{
    *file = (mv_out_file){
        .fd = -1, .path = path, .piece = malloc(PIECE), .has_cores = mv_machine_n_cores() > 1};
    if (file->piece == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a piece of %d bytes", path, PIECE);
    file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd >= 0)
        return MV_OK;
    free(file->piece);
    file->piece = NULL;
    return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
}

/* write() may take less than it was given, and says "disk full" only when it can take nothing. */
mv_code mv_out_file_write(mv_out_file *file, const void *bytes, uint64_t size, mv_error *error)
{
    for (const char *at = bytes; size > 0;) {
        const ssize_t n = pwrite(file->fd, at, size < MOST ? (size_t)size : MOST, (off_t)file->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", file->path,
                           n < 0 ? strerror(errno) : "the system took no more");
        at += n;
        size -= (uint64_t)n;
        file->at += (uint64_t)n;
    }
    return MV_OK;
}

/* ---- a tensor ---- */

/* A tensor's checksum by another thread, while this one writes. It is several times as fast as the
 * writing, so nobody waits for it, even where all cores have other work. */
typedef struct tensor_sum {
    const mv_tensor *tensor;
    uint32_t crc;
    pthread_t thread;
    bool started;
} tensor_sum;

static void *take_sum(void *state)
{
    tensor_sum *s = state;
    s->crc = mv_crc32_mapped(s->tensor->data, s->tensor->size_bytes);
    return NULL;
}

/* Not of rows that are put into another order: this thread does that. */
static void start_sum(tensor_sum *s, const mv_out_file *file, const mv_out_tensor *tensor)
{
    *s = (tensor_sum){.tensor = tensor->from};
    s->started = file->has_cores && tensor->n_halved_heads == 0 &&
                 tensor->from->size_bytes >= LEAST_FOR_THREAD &&
                 pthread_create(&s->thread, NULL, take_sum, s) == 0;
}

/* n bytes from offset at on. */
static mv_code write_pieces(mv_out_file *file, const mv_out_tensor *tensor, uint64_t at, size_t n,
                            uint32_t *crc, const mv_write_watch *watch, mv_error *error)
{
    mv_code code = MV_OK;
    for (const uint64_t end = at + n; at < end && code == MV_OK;) {
        const size_t size = end - at < PIECE ? (size_t)(end - at) : PIECE;
        const char *bytes = (const char *)tensor->from->data + at;
        if (tensor->n_halved_heads > 0) {
            mv_out_tensor_read(tensor, at, file->piece, size);
            bytes = file->piece;
        }
        if (crc != NULL)
            *crc = mv_crc32(*crc, bytes, size);
        code = mv_out_file_write(file, bytes, size, error);
        if (code == MV_OK)
            code = mv_write_watch_tell(watch, size, file->path, error);
        at += size;
    }
    return code;
}

mv_code mv_out_file_write_tensor(mv_out_file *file, const mv_out_tensor *tensor, uint32_t *crc,
                                 const mv_write_watch *watch, mv_error *error)
{
    const uint64_t size = tensor->from->size_bytes;
    const bool compares = tensor->sum != NULL && tensor->n_halved_heads == 0;
    tensor_sum sum = {.started = false};
    uint32_t own = 0;
    mv_code code = MV_OK;
    if (crc == NULL && compares)
        crc = &own;
    if (crc != NULL) {
        *crc = 0;
        start_sum(&sum, file, tensor);
    }
    for (uint64_t at = 0; at < size && code == MV_OK; at += MV_PAGE_IN) {
        const size_t n = size - at < MV_PAGE_IN ? (size_t)(size - at) : MV_PAGE_IN;
        mv_page_in((const char *)tensor->from->data + at, n);
        code = write_pieces(file, tensor, at, n, sum.started ? NULL : crc, watch, error);
    }
    if (sum.started && pthread_join(sum.thread, NULL) == 0)
        *crc = sum.crc;
    return code == MV_OK && compares ? mv_tensor_sum_compare(tensor->sum, *crc, error) : code;
}

/* 0, or what close() said. */
static int release(mv_out_file *file)
{
    const int fd = file->fd;
    free(file->piece);
    file->piece = NULL;
    file->fd = -1;
    return fd >= 0 && close(fd) != 0 ? errno : 0;
}

mv_code mv_out_file_close(mv_out_file *file, mv_error *error)
{
    const int reason = release(file);
    if (reason == 0)
        return MV_OK;
    (void)unlink(file->path);
    return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", file->path, strerror(reason));
}

void mv_out_file_discard(mv_out_file *file)
{
    if (file->fd < 0)
        return;
    (void)release(file);
    (void)unlink(file->path);
}
