#include "harness/backend_path.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/nearest.h"

#ifndef MV_BACKEND_INSTALL_DIR
#error "MV_BACKEND_INSTALL_DIR: where meson install puts the backends"
#endif

#define FILE_PREFIX "mistral_"
#define FILE_SUFFIX ".so"

/* ---- folders ---- */

static void add_folder(mv_backend_path *path, const char *folder, size_t length)
{
    if (length == 0 || path->n_folders == MV_BACKEND_PATH_MAX || length >= sizeof path->folders[0])
        return;
    char *added = path->folders[path->n_folders];
    memcpy(added, folder, length);
    added[length] = '\0';
    while (length > 1 && added[length - 1] == '/')
        added[--length] = '\0';
    for (size_t i = 0; i < path->n_folders; i++)
        if (strcmp(path->folders[i], added) == 0)
            return;
    path->n_folders++;
}

/* /proc/self/exe is free of links, so that its last two parts may be cut as text. */
static void add_build_folder(mv_backend_path *path)
{
    static const char backends[] = "/backends";
    char folder[512];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - sizeof backends);
    if (length <= 0 || (size_t)length == sizeof folder - sizeof backends)
        return;
    folder[length] = '\0';
    for (int part = 0; part < 2; part++) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
    memcpy(folder + strlen(folder), backends, sizeof backends);
    add_folder(path, folder, strlen(folder));
}

static void find_folders(mv_backend_path *path)
{
    /* Not for a program with more rights than its user: the user must not choose its code. */
    const char *list = secure_getenv("MISTRAL_BACKEND_DIR");
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        add_folder(path, list, length); /* an empty part is nothing, not the current folder */
        list += length + (list[length] == ':');
    }
    add_build_folder(path);
    add_folder(path, MV_BACKEND_INSTALL_DIR, strlen(MV_BACKEND_INSTALL_DIR));
}

/* ---- files ---- */

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    return length > 0 && length < sizeof((mv_backend_candidate *)NULL)->name;
}

/* Adds FOLDER/mistral_NAME.so, or FOLDER/NAME/mistral_NAME.so (as in the build), if it is there.
 * lstat(): a link that leads nowhere is worth a message. */
static mv_code add_file(mv_backend_path *path, const char *folder, const char *name,
                        size_t name_length, bool nested, mv_error *error)
{
    mv_backend_candidate one = {.path = ""};
    struct stat info;
    memcpy(one.name, name, name_length);
    int length = snprintf(one.path, sizeof one.path, "%s/%s%s" FILE_PREFIX "%s" FILE_SUFFIX, folder,
                          nested ? one.name : "", nested ? "/" : "", one.name);
    if (length < 0 || (size_t)length >= sizeof one.path || lstat(one.path, &info) != 0)
        return MV_OK;
    if (path->n_files == path->capacity) {
        size_t capacity = path->capacity * 2 + 8;
        mv_backend_candidate *files = realloc(path->files, capacity * sizeof *files);
        if (files == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu backends", capacity);
        path->files = files;
        path->capacity = capacity;
    }
    path->files[path->n_files++] = one;
    return MV_OK;
}

/* The order of readdir() is anybody's. */
static int by_name(const void *a, const void *b)
{
    const mv_backend_candidate *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order != 0)
        return order;
    size_t left_length = strlen(left->path), right_length = strlen(right->path);
    return (left_length > right_length) - (left_length < right_length);
}

static mv_code scan_folder(mv_backend_path *path, const char *folder, mv_error *error)
{
    const size_t prefix = strlen(FILE_PREFIX), suffix = strlen(FILE_SUFFIX);
    mv_code code = MV_OK;
    size_t first = path->n_files;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return MV_OK;
    for (struct dirent *entry; code == MV_OK && (entry = readdir(handle)) != NULL;) {
        const char *name = entry->d_name;
        size_t length = strlen(name);
        if (length > prefix + suffix && memcmp(name, FILE_PREFIX, prefix) == 0 &&
            memcmp(name + length - suffix, FILE_SUFFIX, suffix) == 0 &&
            is_name(name + prefix, length - prefix - suffix))
            code = add_file(path, folder, name + prefix, length - prefix - suffix, false, error);
        else if (is_name(name, length))
            code = add_file(path, folder, name, length, true, error);
    }
    (void)closedir(handle);
    if (path->n_files > first)
        qsort(path->files + first, path->n_files - first, sizeof *path->files, by_name);
    return code;
}

mv_code mv_backend_path_scan(mv_backend_path *path, mv_error *error)
{
    mv_code code = MV_OK;
    memset(path, 0, sizeof *path);
    find_folders(path);
    for (size_t i = 0; code == MV_OK && i < path->n_folders; i++)
        code = scan_folder(path, path->folders[i], error);
    return code;
}

void mv_backend_path_free(mv_backend_path *path)
{
    free(path->files);
    memset(path, 0, sizeof *path);
}

/* ---- a name ---- */

static mv_code fail_unknown(const mv_backend_path *path, const char *name, mv_error *error)
{
    const char **names = calloc(path->n_files + 1, sizeof *names);
    if (names == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu names", path->n_files);
    for (size_t i = 0; i < path->n_files; i++)
        names[i] = path->files[i].name;
    const char *nearest = mv_nearest(name, names, path->n_files);
    free(names);
    if (nearest != NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "unknown backend '%s': did you mean '%s'? (--list shows them all)", name,
                       nearest);

    char searched[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < path->n_folders && used < sizeof searched; i++) {
        const bool is_open = access(path->folders[i], R_OK | X_OK) == 0;
        const bool is_there = is_open || errno != ENOENT;
        used += (size_t)snprintf(searched + used, sizeof searched - used, "%s%s%s%s%s",
                                 i > 0 ? ", " : "", path->folders[i],
                                 is_open    ? ""
                                 : is_there ? " (cannot be read: "
                                            : " (not there)",
                                 is_there && !is_open ? strerror(errno) : "",
                                 is_there && !is_open ? ")" : "");
    }
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "unknown backend '%s': expected " FILE_PREFIX "NAME" FILE_SUFFIX
                   " in $MISTRAL_BACKEND_DIR or the folders of the program, or a path with a '/'; "
                   "searched %s",
                   name, searched);
}

mv_code mv_backend_path_find(const mv_backend_candidate **file, const mv_backend_path *path,
                             const char *name, mv_error *error)
{
    for (size_t i = 0; i < path->n_files; i++)
        if (strcmp(path->files[i].name, name) == 0) {
            *file = &path->files[i];
            return MV_OK;
        }
    return fail_unknown(path, name, error);
}
