/* suites.c - the list of suites, in the order in which `--suite all` runs them. */
#include <string.h>

#include "suites/suite.h"

const mv_suite *const mv_suites[] = {
    &mv_suite_chunking,          &mv_suite_window,   &mv_suite_ring,
    &mv_suite_decode_vs_prefill, &mv_suite_batching, &mv_suite_determinism,
};
const size_t mv_n_suites = sizeof mv_suites / sizeof mv_suites[0];

const mv_suite *mv_suite_find(const char *name)
{
    for (size_t i = 0; i < mv_n_suites; i++) {
        if (strcmp(mv_suites[i]->name, name) == 0)
            return mv_suites[i];
    }
    return NULL;
}
