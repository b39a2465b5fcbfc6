/* backend.h - find, load and check a backend.
 *
 * NAME is looked for as mistral_NAME.so in $MISTRAL_BACKEND_DIR (a list with ':'), then in the
 * folder of the build or of the installation; never in the current folder. A name with a '/' is a
 * path. Loaded with RTLD_NOW | RTLD_LOCAL and never unloaded: a library that started threads or
 * a GPU context does not survive dlclose().
 */
#ifndef MV_HARNESS_BACKEND_H
#define MV_HARNESS_BACKEND_H

#include "backends/mistral_backend.h"

/* Everything is checked before probe() is called: an ELF file of this machine, the symbol, the
 * major version, the size, every required entry. Each refusal names the path, what was expected
 * and what was found. MV_ERR_ARGUMENT: no such name (the nearest is suggested).
 * MV_ERR_FORMAT: not a backend, or another ABI. MV_ERR_UNAVAILABLE: probe() said so.
 * *table: static storage, yours to read for ever; the optional entries of an older backend are
 * NULL. path may be NULL, or receives the file's path (up to path_size bytes). */
MV_MUST_CHECK mv_code mv_backend_load(const mv_backend **table, const char *name_or_path,
                                      char *path, size_t path_size, mv_error *error);

/* Where that backend is: a path as it is, a name as it is found. Loads nothing, and does not look
 * into the file. MV_ERR_ARGUMENT: no such name. */
MV_MUST_CHECK mv_code mv_backend_find(char *path, size_t path_size, const char *name_or_path,
                                      mv_error *error);

/* Every candidate in the search path, in order: the ones that can be used, and why the others
 * cannot. reason is "" for a usable one. */
typedef struct mv_backend_candidate {
    char path[512];
    char name[64];
    char summary[128];
    char reason[508];
} mv_backend_candidate;

/* *candidates: yours, free(). */
MV_MUST_CHECK mv_code mv_backend_list(mv_backend_candidate **candidates, size_t *n_candidates,
                                      mv_error *error);

/* backend->open(), asked to keep its word: MV_ERR_BACKEND if it says MV_OK and gives no engine.
 * *engine: NULL on failure. */
MV_MUST_CHECK mv_code mv_backend_open(const mv_backend *table, mv_engine **engine,
                                      const mv_model_view *model, const mv_engine_options *options,
                                      mv_error *error);

/* NULL-safe questions. */
uint32_t mv_backend_claims(const mv_backend *table);
int mv_backend_has_compute(const mv_backend *table, mv_compute compute);

const char *mv_compute_name(mv_compute compute); /* "f32", "bf16", "f64" */
MV_MUST_CHECK mv_code mv_compute_parse(mv_compute *compute, const char *name, mv_error *error);

#endif
