/* release.h - which published Mistral a set of params looks like. */
#ifndef MV_HARNESS_RELEASE_H
#define MV_HARNESS_RELEASE_H

#include "backends/mistral_backend.h"

typedef struct mv_release {
    const char *name;        /* "Mistral-7B v0.1" */
    const char *also;        /* models of the same params, or "" */
    const char *description; /* what tells it from the others */
    mv_params params;
} mv_release;

/* NULL if it is none. */
const mv_release *mv_release_find(const mv_params *params);

/* The shapes of a release but not its window and theta together: the weights fit, and the text
 * makes no sense beyond some length. *expected: for the message, all that would be right. False if
 * the shapes are nobody's, or all is well. */
int mv_release_is_mixed(const mv_params *params, const char **expected);

#endif
