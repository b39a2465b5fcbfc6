/* The layout is that of PKWARE's APPNOTE: a header before each entry's data, and at the end a
 * directory of them all. Where a number does not fit its field, the field is full of ones and the
 * number is in the ZIP64 field of the same header. */
#include "harness/zip_write.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/crc32.h"

enum { LOCAL_HEADER = 30, EXTRA_HEADER = 4, LOCAL_ZIP64 = 20, MAX_NAME = 1000 };
enum { BUFFER = LOCAL_HEADER + MAX_NAME + LOCAL_ZIP64 + EXTRA_HEADER + MV_ZIP_ALIGNMENT };
enum { ID_ZIP64 = 1, ID_PADDING = 0x4246 }; /* "FB", which is what torch calls its padding */
enum { VERSION = 20, VERSION_ZIP64 = 45, DATE_1980 = 0x21 };
static const uint32_t full32 = 0xffffffff;

/* A header on its way. */
typedef struct record {
    unsigned char at[BUFFER];
    size_t n;
} record;

static void put(record *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        b->at[b->n++] = (unsigned char)(value >> (8 * i) & 0xff);
}

static void put_text(record *b, const char *text)
{
    const size_t n = strlen(text);
    memcpy(b->at + b->n, text, n);
    b->n += n;
}

static uint64_t fits32(uint64_t value)
{
    return value < full32 ? value : full32;
}

/* ---- entries ---- */

mv_code mv_zip_create(mv_zip_writer *zip, const char *path, mv_error *error)
{
    *zip = (mv_zip_writer){.n_entries = 0};
    return mv_out_file_create(&zip->file, path, error);
}

/* From the version on to the sizes: the same in both headers. */
static void put_common(record *b, const mv_zip_entry *entry, bool zip64)
{
    put(b, zip64 ? VERSION_ZIP64 : VERSION, 2);
    put(b, 0, 2); /* flags */
    put(b, 0, 2); /* stored */
    put(b, 0, 2); /* midnight */
    put(b, DATE_1980, 2);
    put(b, entry->crc, 4);
    put(b, fits32(entry->size), 4);
    put(b, fits32(entry->size), 4);
    put(b, strlen(entry->name), 2);
}

static void make_local_header(record *b, const mv_zip_entry *entry)
{
    const bool zip64 = entry->size >= full32;
    const size_t before = LOCAL_HEADER + strlen(entry->name) + (zip64 ? LOCAL_ZIP64 : 0);
    const size_t extra = (size_t)(entry->data_at - entry->header_at) - before;
    b->n = 0;
    put(b, 0x04034b50, 4);
    put_common(b, entry, zip64);
    put(b, extra + (zip64 ? LOCAL_ZIP64 : 0), 2);
    put_text(b, entry->name);
    if (zip64) {
        put(b, ID_ZIP64, 2);
        put(b, 16, 2);
        put(b, entry->size, 8);
        put(b, entry->size, 8);
    }
    put(b, ID_PADDING, 2);
    put(b, extra - EXTRA_HEADER, 2);
    memset(b->at + b->n, 0, extra - EXTRA_HEADER);
    b->n += extra - EXTRA_HEADER;
}

static mv_code grow(mv_zip_writer *zip, mv_error *error)
{
    const size_t capacity = zip->capacity * 2 + 64;
    mv_zip_entry *entries = zip->n_entries < zip->capacity
                                ? zip->entries
                                : realloc(zip->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu entries", zip->file.path,
                       capacity);
    zip->capacity = zip->n_entries < zip->capacity ? zip->capacity : capacity;
    zip->entries = entries;
    return MV_OK;
}

mv_code mv_zip_begin(mv_zip_writer *zip, const char *name, uint64_t size, mv_error *error)
{
    assert(strlen(name) <= MAX_NAME);
    mv_code code = grow(zip, error);
    char *copy = code == MV_OK ? strdup(name) : NULL;
    if (code == MV_OK && copy == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "%s: no memory for an entry", zip->file.path);
    if (code != MV_OK)
        return code;
    const uint64_t least = zip->file.at + LOCAL_HEADER + strlen(name) + EXTRA_HEADER +
                           (size >= full32 ? LOCAL_ZIP64 : 0);
    const uint64_t data_at = (least + MV_ZIP_ALIGNMENT - 1) / MV_ZIP_ALIGNMENT * MV_ZIP_ALIGNMENT;
    zip->entries[zip->n_entries++] =
        (mv_zip_entry){.name = copy, .header_at = zip->file.at, .data_at = data_at, .size = size};
    zip->file.at = data_at;
    return MV_OK;
}

/* The header goes before data that is there already: its checksum was not known earlier. */
mv_code mv_zip_end(mv_zip_writer *zip, uint32_t crc, mv_error *error)
{
    mv_zip_entry *entry = &zip->entries[zip->n_entries - 1];
    record header;
    assert(zip->file.at == entry->data_at + entry->size);
    entry->crc = crc;
    make_local_header(&header, entry);
    zip->file.at = entry->header_at;
    mv_code code = mv_out_file_write(&zip->file, header.at, header.n, error);
    zip->file.at = entry->data_at + entry->size;
    return code;
}

mv_code mv_zip_add(mv_zip_writer *zip, const char *name, const void *bytes, size_t size,
                   mv_error *error)
{
    mv_code code = mv_zip_begin(zip, name, size, error);
    if (code == MV_OK)
        code = mv_out_file_write(&zip->file, bytes, size, error);
    return code == MV_OK ? mv_zip_end(zip, mv_crc32(0, bytes, size), error) : code;
}

/* ---- the directory ---- */

static void make_directory_entry(record *b, const mv_zip_entry *entry)
{
    const bool large = entry->size >= full32, far = entry->header_at >= full32;
    const size_t extra = (large ? 16u : 0u) + (far ? 8u : 0u);
    b->n = 0;
    put(b, 0x02014b50, 4);
    put(b, extra > 0 ? VERSION_ZIP64 : VERSION, 2); /* made by */
    put_common(b, entry, extra > 0);
    put(b, extra > 0 ? extra + EXTRA_HEADER : 0, 2);
    put(b, 0, 2); /* no comment */
    put(b, 0, 2); /* the first disk */
    put(b, 0, 2); /* internal attributes */
    put(b, 0, 4); /* external attributes */
    put(b, fits32(entry->header_at), 4);
    put_text(b, entry->name);
    if (extra > 0) {
        put(b, ID_ZIP64, 2);
        put(b, extra, 2);
    }
    for (int i = 0; large && i < 2; i++)
        put(b, entry->size, 8);
    if (far)
        put(b, entry->header_at, 8);
}

/* begin, end: of the directory. */
static void make_end(record *b, uint64_t n_entries, uint64_t begin, uint64_t end)
{
    const bool zip64 = n_entries >= 0xffff || end >= full32;
    const uint64_t n16 = zip64 ? 0xffff : n_entries;
    b->n = 0;
    if (zip64) {
        put(b, 0x06064b50, 4);
        put(b, 44, 8); /* of the rest of this record */
        put(b, VERSION_ZIP64, 2);
        put(b, VERSION_ZIP64, 2);
        put(b, 0, 8); /* two disk numbers */
        put(b, n_entries, 8);
        put(b, n_entries, 8);
        put(b, end - begin, 8);
        put(b, begin, 8);
        put(b, 0x07064b50, 4);
        put(b, 0, 4);
        put(b, end, 8); /* where the record above begins */
        put(b, 1, 4);   /* disk in all */
    }
    put(b, 0x06054b50, 4);
    put(b, 0, 4); /* two disk numbers */
    put(b, n16, 2);
    put(b, n16, 2);
    put(b, zip64 ? full32 : end - begin, 4);
    put(b, zip64 ? full32 : begin, 4);
    put(b, 0, 2); /* no comment */
}

mv_code mv_zip_finish(mv_zip_writer *zip, mv_error *error)
{
    const uint64_t begin = zip->file.at;
    record header;
    mv_code code = MV_OK;
    for (size_t i = 0; i < zip->n_entries && code == MV_OK; i++) {
        make_directory_entry(&header, &zip->entries[i]);
        code = mv_out_file_write(&zip->file, header.at, header.n, error);
    }
    if (code == MV_OK) {
        make_end(&header, zip->n_entries, begin, zip->file.at);
        code = mv_out_file_write(&zip->file, header.at, header.n, error);
    }
    return code == MV_OK ? mv_out_file_close(&zip->file, error) : code;
}

void mv_zip_discard(mv_zip_writer *zip)
{
    mv_out_file_discard(&zip->file);
    for (size_t i = 0; i < zip->n_entries; i++)
        free(zip->entries[i].name);
    free(zip->entries);
    zip->entries = NULL;
    zip->n_entries = zip->capacity = 0;
}
