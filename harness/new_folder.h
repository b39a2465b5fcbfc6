/* new_folder.h - a folder that appears complete, or not at all. Private to convert.c.
 *
 * It is filled under another name beside its place ("DIR.partial-XXXXXX"), then renamed. It holds
 * files only.
 */
#ifndef MV_HARNESS_NEW_FOLDER_H
#define MV_HARNESS_NEW_FOLDER_H

#include "backends/mistral_backend.h"

typedef struct mv_new_folder {
    char *path;  /* where to write; NULL when there is none */
    char *final; /* what it becomes */
} mv_new_folder;

/* MV_ERR_ARGUMENT: name is taken by anything but an empty folder. MV_ERR_IO. On failure there is
 * nothing to discard. */
MV_MUST_CHECK mv_code mv_new_folder_begin(mv_new_folder *folder, const char *name, mv_error *error);
MV_MUST_CHECK mv_code mv_new_folder_commit(mv_new_folder *folder, mv_error *error);

/* Removes what was not committed; frees. Twice is fine. */
void mv_new_folder_discard(mv_new_folder *folder);

/* to must not exist. */
MV_MUST_CHECK mv_code mv_new_folder_copy(const char *from, const char *to, mv_error *error);

#endif
