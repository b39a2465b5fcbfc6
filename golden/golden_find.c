/* golden_find.c - the shipped goldens of a model. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden/golden_private.h"

#ifndef MV_GOLDEN_INSTALL_DIR
#error "MV_GOLDEN_INSTALL_DIR: where meson install puts the goldens"
#endif

typedef struct search {
    const mv_model_view *model;
    char **paths; /* [n_paths] yours */
    size_t n_paths;
    mv_error *error;
    mv_code code;
} search;

/* The model's tensors are hashed only if its params fit. Another model's golden is no error. */
static void try_file(search *s, const char *path)
{
    mv_golden *golden = NULL;
    const golden_param *row;
    mv_error mismatch;
    s->code = mv_golden_open(&golden, path, s->error);
    if (s->code != MV_OK)
        return;
    const bool fits = golden_same_params(&golden->params, &s->model->params, &row) &&
                      mv_golden_match(golden, path, s->model, &mismatch) == MV_OK;
    mv_golden_close(&golden);
    if (!fits)
        return;
    char **paths = realloc(s->paths, (s->n_paths + 1) * sizeof *paths);
    if (paths != NULL)
        s->paths = paths;
    char *copy = strdup(path);
    if (paths == NULL || copy == NULL) {
        free(copy);
        s->code = mv_fail(s->error, MV_ERR_MEMORY, "no memory for a list of goldens");
        return;
    }
    s->paths[s->n_paths++] = copy;
}

static int is_golden(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 3, ".h5") == 0;
}

/* true: the folder is there. */
static bool scan(search *s, const char *folder)
{
    struct dirent **entries = NULL;
    char path[4096];
    int n = scandir(folder, &entries, is_golden, alphasort);
    for (int i = 0; i < n; i++) {
        const int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (s->code == MV_OK && length > 0 && (size_t)length < sizeof path)
            try_file(s, path);
        free(entries[i]);
    }
    free(entries);
    return n >= 0;
}

/* The build's folder is found from the program's, as backends are. */
static bool scan_build(search *s)
{
    static const char data[] = "/golden/data";
    char folder[4096];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - sizeof data);
    if (length <= 0 || (size_t)length == sizeof folder - sizeof data)
        return false;
    folder[length] = '\0';
    for (int part = 0; part < 2; part++) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    memcpy(folder + strlen(folder), data, sizeof data);
    return scan(s, folder);
}

mv_code mv_golden_find(const mv_model_view *model, char ***paths, size_t *n_paths, mv_error *error)
{
    search s = {.model = model, .error = error};
    const char *list = getenv("MISTRAL_GOLDEN_DIR");
    if (list != NULL) {
        char folder[4096];
        while (*list != '\0') {
            const size_t length = strcspn(list, ":");
            if (length > 0 && length < sizeof folder) {
                memcpy(folder, list, length);
                folder[length] = '\0';
                (void)scan(&s, folder);
            }
            list += length + (list[length] == ':');
        }
    } else if (!scan_build(&s)) {
        (void)scan(&s, MV_GOLDEN_INSTALL_DIR);
    }
    if (s.code != MV_OK) {
        for (size_t i = 0; i < s.n_paths; i++)
            free(s.paths[i]);
        free(s.paths);
        return s.code;
    }
    *paths = s.paths;
    *n_paths = s.n_paths;
    return MV_OK;
}
