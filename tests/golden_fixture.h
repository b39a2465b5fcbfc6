/* golden_fixture.h - a small golden, and files that somebody changed with HDF5's own means. */
#ifndef MV_TESTS_GOLDEN_FIXTURE_H
#define MV_TESTS_GOLDEN_FIXTURE_H

#include <hdf5.h>

#include "golden/golden_private.h"
#include "harness/model.h"

#define FIXTURE_MODEL                                                                              \
    "synthetic:probe,dim=16,n_layers=2,head_dim=4,hidden_dim=20,n_heads=4,n_kv_heads=2,"           \
    "vocab_size=67"

enum { FIXTURE_TOKENS = 30 };

/* The reference; the tests' backends folder is set. */
const mv_backend *fixture_reference(void);

/* The model is yours: mv_model_close(). */
mv_model *fixture_model(const char *spec);

/* Two cases, of windows 8 and 0, in calls of 7. Yours: mv_golden_close(). */
mv_golden *fixture_golden(const mv_model *model);

/* The bytes of a file: yours, free(). */
unsigned char *fixture_read(const char *path, size_t *size);
void fixture_write(const char *path, const void *bytes, size_t size);

/* ---- what every test of a file starts from: a checked fixture ---- */

typedef struct mv_golden_fixture {
    char *folder, path[512], other[512]; /* path: the golden, written; other: nothing yet */
    mv_model *model;
    mv_golden *golden;
} mv_golden_fixture;

extern mv_golden_fixture fixture;
void fixture_set_up(void);
void fixture_tear_down(void);

/* The file at `at` must be refused, with code and both texts in the message. */
void fixture_refused(const char *at, mv_code code, const char *what, const char *more);
mv_golden *fixture_accepted(const char *at);

/* ---- changing a file as its author could: values, then the index, then the seal ---- */

hid_t fixture_open(const char *path);
void fixture_close(const char *path, hid_t file); /* seals it again */

void fixture_set_text(hid_t file, const char *group, const char *key, const char *text);
void fixture_set_int(hid_t file, const char *group, const char *key, int64_t value);

/* One element of a dataset, as its type lies in memory. */
void fixture_set_value(hid_t file, const char *path, size_t row, size_t column, const void *value);

/* What /index says of path becomes what the bytes are; merkle_root follows. */
void fixture_vouch(hid_t file, const char *path, const void *bytes, size_t size);
void fixture_vouch_dataset(hid_t file, const char *path);

#endif
