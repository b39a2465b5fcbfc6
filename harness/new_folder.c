#include "harness/new_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_empty(const char *name)
{
    size_t n = 0;
    DIR *entries = opendir(name);
    if (entries == NULL)
        return false;
    while (readdir(entries) != NULL)
        n++;
    (void)closedir(entries);
    return n <= 2; /* "." and ".." */
}

static mv_code check_free(const char *name, mv_error *error)
{
    struct stat status;
    if (lstat(name, &status) != 0)
        return errno == ENOENT ? MV_OK : mv_fail(error, MV_ERR_IO, "%s: %s", name, strerror(errno));
    if (S_ISDIR(status.st_mode) && is_empty(name))
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "%s: is there already; expected the name of a new folder, or of an empty one",
                   name);
}

/* As mkdir() would make it, not closed to everybody else as mkdtemp() does. */
static mv_code make(mv_new_folder *folder, mv_error *error)
{
    const mode_t mask = umask(0);
    (void)umask(mask);
    if (mkdtemp(folder->path) == NULL) /* its name is no longer defined */
        return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", folder->final,
                       strerror(errno));
    (void)chmod(folder->path, 0777 & ~mask);
    return MV_OK;
}

static void forget(mv_new_folder *folder)
{
    free(folder->path);
    free(folder->final);
    *folder = (mv_new_folder){NULL, NULL};
}

mv_code mv_new_folder_begin(mv_new_folder *folder, const char *name, mv_error *error)
{
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/') /* "DIR/" would be filled inside itself */
        length--;
    *folder = (mv_new_folder){NULL, NULL};
    if (length == 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "expected the name of a folder, found an empty one");
    folder->final = strndup(name, length);
    if (folder->final == NULL || asprintf(&folder->path, "%s.partial-XXXXXX", folder->final) < 0) {
        folder->path = NULL;
        forget(folder);
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a path", name);
    }
    mv_code code = check_free(folder->final, error);
    if (code == MV_OK)
        code = make(folder, error);
    if (code != MV_OK)
        forget(folder);
    return code;
}

/* rename() takes the place of an empty folder, and of nothing else. */
mv_code mv_new_folder_commit(mv_new_folder *folder, mv_error *error)
{
    if (rename(folder->path, folder->final) != 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be renamed to %s: %s", folder->path,
                       folder->final, strerror(errno));
    forget(folder);
    return MV_OK;
}

void mv_new_folder_discard(mv_new_folder *folder)
{
    DIR *entries = folder->path != NULL ? opendir(folder->path) : NULL;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        (void)unlinkat(dirfd(entries), entry->d_name, 0); /* "." and ".." refuse */
    if (entries != NULL)
        (void)closedir(entries);
    if (folder->path != NULL)
        (void)rmdir(folder->path);
    forget(folder);
}

mv_code mv_new_folder_copy(const char *from, const char *to, mv_error *error)
{
    char bytes[1 << 14];
    size_t n = 0;
    mv_code code = MV_OK;
    FILE *in = fopen(from, "rbe");
    if (in == NULL)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", from, strerror(errno));
    FILE *out = fopen(to, "wbxe");
    if (out == NULL) {
        (void)fclose(in);
        return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", to, strerror(errno));
    }
    while (code == MV_OK && (n = fread(bytes, 1, sizeof bytes, in)) > 0) {
        if (fwrite(bytes, 1, n, out) != n)
            code = mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", to, strerror(errno));
    }
    if (code == MV_OK && ferror(in) != 0)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be read: %s", from, strerror(errno));
    (void)fclose(in);
    if (fclose(out) != 0 && code == MV_OK)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", to, strerror(errno));
    return code;
}
