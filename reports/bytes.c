#include "reports/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bytes that grow ---- */

static bool reserve(mv_bytes *bytes, size_t more)
{
    size_t needed = 0;
    if (bytes->failed || __builtin_add_overflow(bytes->size, more, &needed) ||
        __builtin_add_overflow(needed, 1, &needed)) {
        bytes->failed = true;
        return false;
    }
    if (needed <= bytes->capacity) {
        return true;
    }
    size_t capacity = bytes->capacity < 4096 ? 4096 : bytes->capacity;
    while (capacity < needed) {
        if (__builtin_mul_overflow(capacity, 2, &capacity)) {
            capacity = needed;
        }
    }
    char *data = realloc(bytes->data, capacity);
    if (data == NULL) {
        bytes->failed = true;
        return false;
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

void mv_bytes_append(mv_bytes *bytes, const char *text, size_t size)
{
    if (reserve(bytes, size)) {
        if (size > 0) {
            memcpy(bytes->data + bytes->size, text, size);
        }
        bytes->size += size;
        bytes->data[bytes->size] = '\0';
    }
}

void mv_bytes_print(mv_bytes *bytes, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        bytes->failed = true;
    } else if (reserve(bytes, (size_t)length)) {
        (void)vsnprintf(bytes->data + bytes->size, (size_t)length + 1, format, again);
        bytes->size += (size_t)length;
    }
    va_end(again);
}

void mv_bytes_free(mv_bytes *bytes)
{
    free(bytes->data);
    *bytes = (mv_bytes){NULL, 0, 0, false};
}

/* ---- bytes to a file ---- */

/* 0, or the errno. */
static int write_all(int fd, const mv_bytes *bytes)
{
    size_t done = 0;
    while (done < bytes->size) {
        ssize_t n = write(fd, bytes->data + done, bytes->size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            return EIO;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static mv_code save_to_stdout(const mv_bytes *bytes, mv_error *error)
{
    int failure = fflush(stdout) == 0 ? 0 : errno; /* what was printed before comes first */
    if (failure == 0) {
        failure = write_all(STDOUT_FILENO, bytes);
    }
    return failure == 0 ? MV_OK
                        : mv_fail(error, MV_ERR_IO, "cannot write the report to stdout: %s",
                                  strerror(failure));
}

/* A device or a pipe cannot be replaced by renaming: that would put a file in the place of
 * /dev/null. */
static mv_code save_in_place(const mv_bytes *bytes, const char *path, mv_error *error)
{
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return mv_fail(error, MV_ERR_IO, "cannot open '%s' to write the report: %s", path,
                       strerror(errno));
    }
    int failure = write_all(fd, bytes);
    if (close(fd) != 0 && failure == 0) {
        failure = errno;
    }
    return failure == 0 ? MV_OK
                        : mv_fail(error, MV_ERR_IO, "cannot write the report to '%s': %s", path,
                                  strerror(failure));
}

/* Creates a file of a new name in folder. The mode is 0666 less the umask, as for any new file:
 * mkstemp() would make a report that only its owner can read. Returns the descriptor, or -1. */
static int create_beside(const char *folder, char **name)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        if (asprintf(name, "%s.mv-report-%ld-%u.tmp", folder, (long)getpid(), attempt) < 0) {
            *name = NULL;
            errno = ENOMEM;
            return -1;
        }
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            return fd;
        }
        int failure = errno;
        free(*name);
        *name = NULL;
        errno = failure;
        if (failure != EEXIST) {
            return -1;
        }
    }
    return -1;
}

/* The name itself is on disk only when the folder is. */
static int sync_folder(const char *folder)
{
    int fd = open(folder[0] != '\0' ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == EACCES ? 0 : errno; /* a folder may be writable and not readable */
    }
    int failure = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return failure == EINVAL || failure == ENOTSUP ? 0 : failure; /* not every file system can */
}

/* old: the file that is there now, or NULL. */
static mv_code save_by_rename(const mv_bytes *bytes, const char *path, const struct stat *old,
                              mv_error *error)
{
    mv_code code = MV_OK;
    char *temporary = NULL;
    const char *slash = strrchr(path, '/');
    char *folder = strndup(path, slash != NULL ? (size_t)(slash - path) + 1 : 0);
    if (folder == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "out of memory while saving '%s'", path);
    }
    int fd = create_beside(folder, &temporary);
    if (fd < 0) {
        code = mv_fail(error, MV_ERR_IO, "cannot create the report '%s': no new file in '%s': %s",
                       path, folder[0] != '\0' ? folder : ".", strerror(errno));
        goto done;
    }
    int failure = write_all(fd, bytes);
    if (failure == 0 && old != NULL && fchmod(fd, old->st_mode & 0777) != 0) {
        failure = errno;
    }
    if (failure == 0 && fsync(fd) != 0) {
        failure = errno;
    }
    if (close(fd) != 0 && failure == 0) {
        failure = errno;
    }
    if (failure == 0 && rename(temporary, path) != 0) {
        failure = errno;
    }
    if (failure != 0) {
        unlink(temporary);
        code = mv_fail(error, MV_ERR_IO, "cannot write the report '%s' (%zu bytes): %s; %s", path,
                       bytes->size, strerror(failure),
                       old != NULL ? "the old file is as it was" : "nothing was left behind");
        goto done;
    }
    failure = sync_folder(folder);
    if (failure != 0) {
        code = mv_fail(error, MV_ERR_IO,
                       "the report '%s' is written, but its folder cannot be flushed to disk: %s",
                       path, strerror(failure));
    }
done:
    free(temporary);
    free(folder);
    return code;
}

mv_code mv_report_save(const mv_bytes *bytes, const char *path, mv_error *error)
{
    if (bytes->failed) {
        return mv_fail(error, MV_ERR_MEMORY, "out of memory while writing the report for '%s'",
                       path);
    }
    if (strcmp(path, "-") == 0) {
        return save_to_stdout(bytes, error);
    }
    struct stat old;
    if (stat(path, &old) != 0) {
        return save_by_rename(bytes, path, NULL, error);
    }
    if (S_ISDIR(old.st_mode)) {
        return mv_fail(error, MV_ERR_IO,
                       "cannot write the report to '%s': it is a folder; name a file in it", path);
    }
    if (!S_ISREG(old.st_mode)) {
        return save_in_place(bytes, path, error);
    }
    char *target = realpath(path, NULL); /* a link stays, and what it points to is replaced */
    if (target == NULL) {
        return mv_fail(error, MV_ERR_IO, "cannot resolve '%s' to write the report: %s", path,
                       strerror(errno));
    }
    mv_code code = save_by_rename(bytes, target, &old, error);
    free(target);
    return code;
}
