/* test_models.h - real files that some tests use when they are there, and skip when not. */
#ifndef MV_TESTS_TEST_MODELS_H
#define MV_TESTS_TEST_MODELS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* path: of name in the folder $MISTRAL_TEST_MODELS, or ../shared/models beside the source root.
 * False, with the reason on stderr, if it is not there: the test then returns. */
static inline bool test_model_path(char *path, size_t path_size, const char *name)
{
    const char *folder = getenv("MISTRAL_TEST_MODELS");
    if (folder == NULL)
        folder = MV_SOURCE_ROOT "/../shared/models";
    int length = snprintf(path, path_size, "%s/%s", folder, name);
    if (length > 0 && (size_t)length < path_size && access(path, R_OK) == 0)
        return true;
    fprintf(stderr, "skipped: %s is not there (set MISTRAL_TEST_MODELS to a folder with it)\n",
            path);
    return false;
}

#endif
