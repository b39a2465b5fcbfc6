/* mutant_list.h - what the backend under a self-test plants, as it describes it.
 *
 * describe() gives a fact for each: key "mutant.NAME", value "KIND|EXPECTED|IMITATES". EXPECTED is
 * a list with ',' of what must see it: SUITE, any case of it; or SUITE/GLOB, one of the cases that
 * --filter SUITE/GLOB leaves. So a bug can ask for one check among several that would see it.
 */
#ifndef MV_SUITES_MUTANT_LIST_H
#define MV_SUITES_MUTANT_LIST_H

#include "suites/run.h"

typedef enum mv_mutant_kind {
    MV_MUTANT_BUG,
    MV_MUTANT_CLAIM, /* a bug only in an engine that claims otherwise: held to every claim */
    MV_MUTANT_BENIGN,
    MV_MUTANT_EQUIVALENT
} mv_mutant_kind;

typedef struct mv_mutant {
    char name[64], expected[256], imitates[160];
    mv_mutant_kind kind;
} mv_mutant;

typedef struct mv_mutant_list {
    mv_mutant *mutants; /* [n] */
    size_t n;
    bool failed; /* no memory, or a line that makes no sense */
} mv_mutant_list;

/* Yours, error or not: free with mv_mutant_list_free(). MV_ERR_ARGUMENT: the backend plants none.
 */
MV_MUST_CHECK mv_code mv_mutant_list_get(mv_mutant_list *list, const mv_run_options *options,
                                         mv_error *error);
void mv_mutant_list_free(mv_mutant_list *list);

/* Walks over what of `expected` is about one suite: *at starts as mutant->expected. false: no more.
 * glob: for --filter, "SUITE/..."; "" = any case. */
bool mv_mutant_next_expected(const char **at, const char *suite, char glob[128]);

#endif
