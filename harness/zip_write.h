/* zip_write.h - a ZIP of stored entries whose data begins at multiples of 64, as torch.save's does.
 *
 * Ours and not libzip's: that one moves 8 KiB at a time through zlib's checksum, which is half the
 * speed of the disk's cache. Beyond 4 GiB, ZIP64. The same entries give the same bytes: the time is
 * 1980-01-01, the first that a ZIP can say.
 *
 * begin, write what it holds with mv_out_file_* and take its checksum along, end; ...; finish.
 */
#ifndef MV_HARNESS_ZIP_WRITE_H
#define MV_HARNESS_ZIP_WRITE_H

#include "harness/out_file.h"

enum { MV_ZIP_ALIGNMENT = 64 };

typedef struct mv_zip_entry {
    char *name;
    uint64_t header_at, data_at, size;
    uint32_t crc;
} mv_zip_entry;

typedef struct mv_zip_writer {
    mv_out_file file;
    mv_zip_entry *entries; /* [n_entries] */
    size_t n_entries, capacity;
} mv_zip_writer;

/* path must not exist, and is borrowed. */
MV_MUST_CHECK mv_code mv_zip_create(mv_zip_writer *zip, const char *path, mv_error *error);

/* name: ASCII, at most 1000 characters. size: of all that will be written. */
MV_MUST_CHECK mv_code mv_zip_begin(mv_zip_writer *zip, const char *name, uint64_t size,
                                   mv_error *error);
MV_MUST_CHECK mv_code mv_zip_end(mv_zip_writer *zip, uint32_t crc, mv_error *error);

/* The three for what is in memory. */
MV_MUST_CHECK mv_code mv_zip_add(mv_zip_writer *zip, const char *name, const void *bytes,
                                 size_t size, mv_error *error);

/* The directory. Whatever it returns, mv_zip_discard() follows. */
MV_MUST_CHECK mv_code mv_zip_finish(mv_zip_writer *zip, mv_error *error);

/* Frees; removes the file, if it was not finished. */
void mv_zip_discard(mv_zip_writer *zip);

#endif
