#include "harness/tiny.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MV_DATA_INSTALL_DIR
#error "MV_DATA_INSTALL_DIR: where meson install puts the models"
#endif

bool mv_tiny_is_spec(const char *spec)
{
    return strcmp(spec, "tiny") == 0;
}

/* The folder above the program's; /proc/self/exe is free of links, so that its last two parts may
 * be cut as text. "" if it cannot be known. */
static void find_root(char *root, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", root, size);
    root[length > 0 && (size_t)length < size ? length : 0] = '\0';
    for (int part = 0; part < 2; part++) {
        char *slash = strrchr(root, '/');
        if (slash != NULL)
            *slash = '\0';
    }
}

/* The path if the model is there; else NULL. */
static char *look_in(const char *root, const char *folder)
{
    char *path = NULL, *params = NULL;
    bool found = asprintf(&path, "%s%s", root, folder) >= 0 &&
                 asprintf(&params, "%s/params.json", path) >= 0 && access(params, R_OK) == 0;
    free(params);
    if (found)
        return path;
    free(path);
    return NULL;
}

mv_code mv_tiny_find(char **path, mv_error *error)
{
    char root[512];
    find_root(root, sizeof root);
    *path = look_in(root, "/models/tiny");
    if (*path == NULL)
        *path = look_in(root, "/share/mistral-verify/tiny");
    if (*path == NULL)
        *path = look_in("", MV_DATA_INSTALL_DIR "/tiny");
    if (*path != NULL)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "model tiny: not found in %s/models/tiny, %s/share/mistral-verify/tiny or "
                   "%s/tiny; name a MODEL: a folder with params.json and consolidated.safetensors "
                   "(or consolidated.00.pth), or with config.json and model.safetensors",
                   root, root, MV_DATA_INSTALL_DIR);
}
