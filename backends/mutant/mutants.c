/* mutants.c - the list as a table, and names that are nearly right. */
#include "backends/mutant/mutant.h"

#include <string.h>

/* Suites, for mutants.def. */
#define EVERY_SUITE "chunking,window,ring,decode_vs_prefill,batching,determinism"

const mutant mutants[N_FAULTS] = {
    {"none", MUTANT_EQUIVALENT, "", "the reference, bit for bit"},
#define MUTANT(name, kind, expected, imitates) {#name, MUTANT_##kind, expected, imitates},
#include "backends/mutant/mutants.def"
#undef MUTANT
};

uint64_t mutant_n_calls;

void mutant_count_calls_of(fault f)
{
    static fault last;
    if (f != last)
        mutant_n_calls = 0;
    last = f;
}

const char *mutant_kind_name(mutant_kind kind)
{
    static const char *const names[] = {"bug", "claim", "benign", "equivalent"};
    return names[kind];
}

enum { MAX_NAME = 48 };

/* Letters to insert, delete or replace (Levenshtein). Of longer names the beginning counts. */
static size_t distance(const char *a, const char *b)
{
    size_t n_a = strnlen(a, MAX_NAME), n_b = strnlen(b, MAX_NAME), row[MAX_NAME + 1];
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n_b];
}

/* The three nearest, best first. */
static void find_nearest(const char *name, const char *nearest[3])
{
    size_t best[3] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    for (size_t i = 0; i < N_FAULTS; i++) {
        size_t d = distance(name, mutants[i].name), at = 3;
        while (at > 0 && d < best[at - 1])
            at--;
        for (size_t j = 2; j > at; j--)
            best[j] = best[j - 1], nearest[j] = nearest[j - 1];
        if (at < 3)
            best[at] = d, nearest[at] = mutants[i].name;
    }
}

mv_code mutant_find(fault *found, const char *name, mv_error *error)
{
    const char *nearest[3] = {"", "", ""};
    for (int i = 0; i < N_FAULTS; i++) {
        if (strcmp(mutants[i].name, name) == 0) {
            *found = (fault)i;
            return MV_OK;
        }
    }
    find_nearest(name, nearest);
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "mutant: none of the %d mutants is named '%.64s'; the nearest are %s, %s, %s",
                   N_FAULTS, name, nearest[0], nearest[1], nearest[2]);
}
