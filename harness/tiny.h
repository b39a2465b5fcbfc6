/* tiny.h - where the small trained model is that comes with the program. Private to model.c. */
#ifndef MV_HARNESS_TINY_H
#define MV_HARNESS_TINY_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

/* spec is "tiny". A folder of that name is "./tiny". */
bool mv_tiny_is_spec(const char *spec);

/* *path: its folder, yours, free(). Looked for beside the program, as in the build
 * (../models/tiny) and as installed (../share/mistral-verify/tiny), then where meson install puts
 * it. MV_ERR_ARGUMENT: it is not there, and what else a MODEL may be. */
MV_MUST_CHECK mv_code mv_tiny_find(char **path, mv_error *error);

#endif
