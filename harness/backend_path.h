/* backend_path.h - the folders where backends are looked for, and the files found there. */
#ifndef MV_HARNESS_BACKEND_PATH_H
#define MV_HARNESS_BACKEND_PATH_H

#include "harness/backend.h"

#define MV_BACKEND_PATH_MAX 32

typedef struct mv_backend_path {
    char folders[MV_BACKEND_PATH_MAX][512]; /* in the order of the search */
    size_t n_folders;
    mv_backend_candidate *files; /* [n_files] with path and name; a name may come twice */
    size_t n_files, capacity;
} mv_backend_path;

/* Every mistral_NAME.so and NAME/mistral_NAME.so of $MISTRAL_BACKEND_DIR (not when setuid), of
 * backends/ beside the folder of the running program (the build), and of the installation. Opens
 * none of them. A folder that cannot be read has no files. Yours: free with
 * mv_backend_path_free(), on failure too. */
MV_MUST_CHECK mv_code mv_backend_path_scan(mv_backend_path *path, mv_error *error);
void mv_backend_path_free(mv_backend_path *path);

/* The first file of that name, borrowed from path. MV_ERR_ARGUMENT: there is none; names the
 * nearest, or where it was looked for. */
MV_MUST_CHECK mv_code mv_backend_path_find(const mv_backend_candidate **file,
                                           const mv_backend_path *path, const char *name,
                                           mv_error *error);

#endif
