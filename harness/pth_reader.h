/* pth_reader.h - a .pth while it is read. Private to pth.c and pth_entries.c. */
#ifndef MV_HARNESS_PTH_READER_H
#define MV_HARNESS_PTH_READER_H

#include "harness/pickle.h"
#include "harness/tensor_sum.h"
#include "harness/zip_map.h"

#define PTH_CHANGED "the data was changed, or torch was told not to write checksums"

/* What the tensors of one file point into. */
typedef struct pth_state {
    mv_pickle pickle; /* the names */
    mv_zip_map map;
    void **blocks; /* storages that are not aligned, and contiguous copies of views */
    size_t n_blocks;
} pth_state;

typedef struct zip_entry {
    const char *name; /* libzip's */
    zip_uint64_t index;
} zip_entry;

/* While reading. */
typedef struct pth_reader {
    const char *path;
    zip_t *zip;         /* state->map's */
    zip_entry *entries; /* [n_entries] sorted by name */
    size_t n_entries;
    const char *pickle_name; /* PREFIX/data.pkl */
    int prefix_length;       /* of PREFIX/ */
    uint64_t file_size;
    uint64_t taken;      /* bytes of all the entries read so far */
    uint64_t copied;     /* bytes of contiguous copies */
    mv_tensor_sum *sums; /* [n_sums] of storages that stay in the mapping */
    size_t n_sums;
    pth_state *state;
    mv_error *error;
} pth_reader;

/* Sorted by name, so that duplicates meet: readers disagree about which of two wins. */
MV_MUST_CHECK mv_code pth_list_entries(pth_reader *r);

/* *entry is NULL if there is no PREFIX/folder+name. */
MV_MUST_CHECK mv_code pth_find_entry(const pth_reader *r, const zip_entry **entry,
                                     const char *folder, const char *name);

/* The entry of that very name; NULL if there is none. */
const zip_entry *pth_find_name(const pth_reader *r, const char *name);

/* Stored, in the clear, and as long as expected (any length up to max_size if expected is 0). */
MV_MUST_CHECK mv_code pth_check_entry(pth_reader *r, const zip_entry *entry, uint64_t expected,
                                      uint64_t max_size, uint64_t *size);

/* A copy, whose checksum libzip has compared. */
MV_MUST_CHECK mv_code pth_read_entry(const pth_reader *r, const zip_entry *entry, void *bytes,
                                     uint64_t size);

/* Adds a checksum that is to be compared: there is room for it in r->sums. */
MV_MUST_CHECK mv_code pth_add_sum(pth_reader *r, const zip_entry *entry, const void *bytes,
                                  uint64_t size);

#endif
