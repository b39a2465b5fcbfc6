/* suites.c - the list of suites, in the order in which `--suite all` runs them. */
#include <string.h>

#include "suites/suite.h"

const mv_suite *const mv_suites[] = {
    &mv_suite_golden,      &mv_suite_chunking,          &mv_suite_window,
    &mv_suite_ring,        &mv_suite_decode_vs_prefill, &mv_suite_batching,
    &mv_suite_determinism, &mv_suite_op_level,          &mv_suite_gqa_map,
    &mv_suite_degenerate,  &mv_suite_nonfinite,         &mv_suite_cache_ops,
    &mv_suite_canary,      &mv_suite_rope_long,         &mv_suite_alignment,
    &mv_suite_tiles,       &mv_suite_vocab_cover,       &mv_suite_generation,
    &mv_suite_fuzz,        &mv_suite_condition,

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
