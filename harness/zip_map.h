/* zip_map.h - a ZIP that libzip reads from a mapping of ours. Private to pth.c.
 *
 * libzip decides where an entry lies, and checks the directory against the headers: no offset of a
 * stranger's is ours to trust. But it hands out copies only. As it reads through a source of ours,
 * we see where it reads, and can use the bytes where they are.
 */
#ifndef MV_HARNESS_ZIP_MAP_H
#define MV_HARNESS_ZIP_MAP_H

#include <zip.h>

#include "backends/mistral_backend.h"

typedef struct mv_zip_map {
    const char *path;     /* borrowed, for messages */
    unsigned char *bytes; /* NULL for an empty file */
    uint64_t size;
    zip_t *zip; /* NULL once closed: names of entries are libzip's */

    uint64_t at; /* of the next read, as libzip sees it */
    uint64_t last_at, last_n, n_reads;
    zip_error_t error;
} mv_zip_map;

/* map must stay where it is. Every directory entry is checked against its header. MV_ERR_IO: no
 * regular file, or unreadable. MV_ERR_FORMAT: not a complete ZIP, and why. On failure there is
 * nothing to close. */
MV_MUST_CHECK mv_code mv_zip_map_open(mv_zip_map *map, const char *path, mv_error *error);

/* Where the size stored bytes of an entry lie; NULL if they are not in one piece in the mapping,
 * or if libzip refuses to read them: then zip_fread() says why. */
const unsigned char *mv_zip_map_find(mv_zip_map *map, zip_uint64_t index, uint64_t size);

/* libzip's part only: the mapping stays. */
void mv_zip_map_close(mv_zip_map *map);

#endif
