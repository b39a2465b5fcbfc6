#include "harness/zip_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a source of libzip ---- */

static zip_int64_t give_bytes(mv_zip_map *map, void *to, zip_uint64_t size)
{
    const uint64_t left = map->at < map->size ? map->size - map->at : 0;
    const uint64_t n = size < left ? size : left;
    if (n > 0)
        memcpy(to, map->bytes + map->at, (size_t)n);
    map->last_at = map->at;
    map->last_n = n;
    map->n_reads++;
    map->at += n;
    return (zip_int64_t)n;
}

static zip_int64_t give_stat(const mv_zip_map *map, zip_stat_t *status)
{
    zip_stat_init(status);
    status->size = map->size;
    status->valid = ZIP_STAT_SIZE;
    return sizeof *status;
}

static zip_int64_t serve(void *state, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    mv_zip_map *map = state;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        map->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return give_bytes(map, data, size);
    case ZIP_SOURCE_STAT:
        return give_stat(map, data);
    case ZIP_SOURCE_SEEK: {
        const zip_int64_t to =
            zip_source_seek_compute_offset(map->at, map->size, data, size, &map->error);
        if (to < 0)
            return -1;
        map->at = (uint64_t)to;
        return 0;
    }
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)map->at;
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&map->error, data, size);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    default:
        return 0;
    }
}

/* ---- opening ---- */

static mv_code map_file(mv_zip_map *map, mv_error *error)
{
    struct stat status;
    mv_code code = MV_OK;
    const int fd = open(map->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", map->path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        code = mv_fail(error, MV_ERR_IO, "%s: expected a regular file", map->path);
    else
        map->size = (uint64_t)status.st_size;
    if (code == MV_OK && map->size > 0) {
        void *bytes = mmap(NULL, (size_t)map->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            code =
                mv_fail(error, MV_ERR_IO, "%s: cannot be mapped: %s", map->path, strerror(errno));
        else
            map->bytes = bytes;
    }
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static mv_code fail_open(const mv_zip_map *map, zip_error_t *reason, mv_error *error)
{
    const int what = zip_error_code_zip(reason);
    if (what == ZIP_ER_NOZIP)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: not a complete ZIP archive (%llu bytes): truncated, or saved in the "
                       "format before torch 1.6; fetch it again, or load it in torch and save it "
                       "again",
                       map->path, (unsigned long long)map->size);
    if (what == ZIP_ER_EXISTS) /* newer versions of libzip may leave it to list_entries() */
        return mv_fail(error, MV_ERR_FORMAT, "%s: two ZIP entries have the same name", map->path);
    return mv_fail(error, what == ZIP_ER_MEMORY ? MV_ERR_MEMORY : MV_ERR_FORMAT,
                   "%s: broken ZIP archive: %s", map->path, zip_error_strerror(reason));
}

mv_code mv_zip_map_open(mv_zip_map *map, const char *path, mv_error *error)
{
    zip_error_t reason;
    *map = (mv_zip_map){.path = path};
    zip_error_init(&map->error);
    zip_error_init(&reason);
    mv_code code = map_file(map, error);
    if (code != MV_OK)
        return code;
    zip_source_t *source = zip_source_function_create(serve, map, &reason);
    if (source != NULL)
        map->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &reason);
    if (map->zip == NULL) {
        code = fail_open(map, &reason, error);
        zip_source_free(source);
        if (map->bytes != NULL)
            (void)munmap(map->bytes, (size_t)map->size);
        map->bytes = NULL;
    }
    zip_error_fini(&reason);
    return code;
}

void mv_zip_map_close(mv_zip_map *map)
{
    zip_discard(map->zip);
    map->zip = NULL;
}

/* ---- entries ---- */

/* One byte is asked for. Only if that was one read of one byte do we know where the entry begins:
 * a version of libzip that reads ahead costs a copy, and is not misunderstood. */
const unsigned char *mv_zip_map_find(mv_zip_map *map, zip_uint64_t index, uint64_t size)
{
    unsigned char first = 0;
    zip_file_t *file = size > 0 ? zip_fopen_index(map->zip, index, 0) : NULL;
    if (file == NULL)
        return NULL;
    map->n_reads = 0;
    const bool read = zip_fread(file, &first, 1) == 1;
    const bool known = read && map->n_reads == 1 && map->last_n == 1 && map->last_at <= map->size &&
                       size <= map->size - map->last_at && map->bytes[map->last_at] == first;
    (void)zip_fclose(file);
    return known ? map->bytes + map->last_at : NULL;
}
