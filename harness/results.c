#include "harness/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mv_verdict_name(mv_verdict verdict)
{
    switch (verdict) {
    case MV_VERDICT_PASS:
        return "pass";
    case MV_VERDICT_FAIL:
        return "fail";
    case MV_VERDICT_ERROR:
        return "error";
    case MV_VERDICT_VACUOUS:
        return "vacuous";
    case MV_VERDICT_SKIP:
        return "skip";
    }
    return "error"; /* not one of ours: never a pass */
}

void mv_case_result_clear(mv_case_result *result)
{
    memset(result, 0, sizeof *result);
    result->window = -1;
    result->chunk = -1;
    result->length = -1;
    result->verdict = MV_VERDICT_VACUOUS;
    mv_metrics_clear(&result->metrics);
    mv_metrics_clear(&result->limits);
    result->headroom = NAN;
    result->worst = (mv_worst){-1, -1, NAN, NAN};
    result->divergence_layer = -1;
    result->divergence_position = -1;
    result->elapsed_ns = -1;
}

void mv_verify_results_init(mv_verify_results *results)
{
    memset(results, 0, sizeof *results);
}

void mv_verify_results_free(mv_verify_results *results)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        free(results->cases[i].divergence);
    }
    free(results->cases);
    free(results->mutants);
    mv_verify_results_init(results);
}

/* Room for one more item. The old array stays valid on failure, so that what has been measured so
 * far can still be reported. */
static mv_code grow(void **items, size_t *capacity, size_t n_items, size_t item_size,
                    const char *what, mv_error *error)
{
    if (n_items < *capacity) {
        return MV_OK;
    }
    size_t wanted = 16;
    size_t size = 0;
    if (__builtin_add_overflow(wanted, n_items, &wanted) ||
        __builtin_add_overflow(wanted, n_items / 2, &wanted) ||
        __builtin_mul_overflow(wanted, item_size, &size)) {
        return mv_fail(error, MV_ERR_MEMORY, "too many %s to keep: %zu", what, n_items);
    }
    void *grown = realloc(*items, size);
    if (grown == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "cannot keep %zu %s: %zu bytes are not to be had",
                       n_items + 1, what, size);
    }
    *items = grown;
    *capacity = wanted;
    return MV_OK;
}

mv_code mv_verify_results_add(mv_verify_results *results, const mv_case_result *one,
                              mv_error *error)
{
    void *items = results->cases;
    mv_code code = grow(&items, &results->cases_capacity, results->n_cases, sizeof *results->cases,
                        "case results", error);
    results->cases = items;
    mv_divergence *divergence = NULL;
    if (code == MV_OK && one->divergence != NULL) {
        divergence = malloc(sizeof *divergence);
        if (divergence == NULL) {
            return mv_fail(error, MV_ERR_MEMORY, "no memory for the profile of a failed case");
        }
        *divergence = *one->divergence;
    }
    if (code == MV_OK) {
        results->cases[results->n_cases] = *one;
        results->cases[results->n_cases++].divergence = divergence;
        mv_engine_facts_keep(&results->environment, one->backend, one->compute, one->engine);
    }
    return code;
}

mv_code mv_verify_results_add_mutant(mv_verify_results *results, const mv_mutant_result *one,
                                     mv_error *error)
{
    void *items = results->mutants;
    mv_code code = grow(&items, &results->mutants_capacity, results->n_mutants,
                        sizeof *results->mutants, "mutant results", error);
    results->mutants = items;
    if (code == MV_OK) {
        results->mutants[results->n_mutants++] = *one;
    }
    return code;
}

static void count_cases(mv_summary *summary, const mv_verify_results *results)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        switch (results->cases[i].verdict) {
        case MV_VERDICT_PASS:
            summary->n_passed++;
            break;
        case MV_VERDICT_FAIL:
            summary->n_failed++;
            break;
        case MV_VERDICT_VACUOUS:
            summary->n_vacuous++;
            break;
        case MV_VERDICT_SKIP:
            summary->n_skipped++;
            break;
        case MV_VERDICT_ERROR:
        default:
            summary->n_errors++;
            break;
        }
    }
}

/* Is name one of the words of list, which are parted by ','? */
static bool has_word(const char *list, const char *name, size_t size)
{
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n == size && strncmp(at, name, size) == 0) {
            return true;
        }
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return false;
}

bool mv_mutant_is_killed(const mv_mutant_result *mutant)
{
    if (mutant->equivalent || mutant->killed_by[0] == '\0') {
        return mutant->killed_by[0] != '\0';
    }
    for (const char *at = mutant->expected_suites; *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (!has_word(mutant->killed_by, at, n)) {
            return false;
        }
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return true;
}

/* Returns how many mutants behaved against their promise: a bug that survived, or a harmless
 * change that somebody called a bug. */
static size_t count_mutants(mv_summary *summary, const mv_verify_results *results)
{
    size_t n_wrong = 0;
    for (size_t i = 0; i < results->n_mutants; i++) {
        const mv_mutant_result *mutant = &results->mutants[i];
        bool killed = mv_mutant_is_killed(mutant);
        if (mutant->equivalent) {
            n_wrong += killed ? 1 : 0;
            continue;
        }
        summary->n_mutants_total++;
        summary->n_mutants_killed += killed ? 1 : 0;
        n_wrong += killed ? 0 : 1;
    }
    return n_wrong;
}

mv_summary mv_verify_results_summarise(const mv_verify_results *results)
{
    mv_summary summary;
    memset(&summary, 0, sizeof summary);
    count_cases(&summary, results);
    size_t n_wrong = count_mutants(&summary, results) + results->false_alarms;

    if (summary.n_errors > 0) {
        summary.verdict = MV_VERDICT_ERROR;
    } else if (summary.n_failed > 0 || n_wrong > 0) {
        summary.verdict = MV_VERDICT_FAIL;
    } else if (summary.n_vacuous > 0) {
        summary.verdict = MV_VERDICT_VACUOUS;
    } else if (summary.n_passed > 0 || summary.n_mutants_killed > 0) {
        summary.verdict = MV_VERDICT_PASS;
    } else if (summary.n_skipped > 0) {
        summary.verdict = MV_VERDICT_SKIP;
    } else {
        summary.verdict = MV_VERDICT_VACUOUS;
    }
    return summary;
}
