#include "reports/changes.h"

#include <math.h>
#include <string.h>

static bool is_same_case(const mv_case_result *a, const mv_case_result *b)
{
    return a->compute == b->compute && a->seed == b->seed && a->length == b->length &&
           a->window == b->window && a->chunk == b->chunk && strcmp(a->suite, b->suite) == 0 &&
           strcmp(a->name, b->name) == 0 && strcmp(a->backend, b->backend) == 0 &&
           strcmp(a->schedule, b->schedule) == 0;
}

static const mv_case_result *find(const mv_verify_results *in, const mv_case_result *one, size_t at)
{
    for (size_t i = 0; i < in->n_cases; i++) { /* most often in the same place */
        const mv_case_result *other = &in->cases[(at + i) % in->n_cases];
        if (is_same_case(other, one)) {
            return other;
        }
    }
    return NULL;
}

/* A fifth is far more than another machine's rounding makes of a ratio to the same rounding. */
static bool is_changed(const mv_case_result *before, const mv_case_result *after)
{
    double a = before->metrics.r_rmse, b = after->metrics.r_rmse;
    if (before->verdict != after->verdict || isnan(a) != isnan(b)) {
        return true;
    }
    return !isnan(a) && fabs(a - b) > 0.2 * fmax(fabs(a), fabs(b));
}

mv_case_changes mv_case_changes_find(const mv_verify_results *results, const mv_verify_results *old,
                                     void (*on_change)(void *cookie, const mv_case_change *change),
                                     void *cookie)
{
    mv_case_changes found = {0};
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i], *before = find(old, one, i);
        const bool now = mv_needs_person(one), then = before != NULL && mv_needs_person(before);
        found.n_new += before == NULL ? 1 : 0;
        found.n_broken += before != NULL && !then && now ? 1 : 0;
        found.n_mended += before != NULL && then && !now ? 1 : 0;
        if (before == NULL ? now : is_changed(before, one)) {
            found.n_changed += before != NULL ? 1 : 0;
            if (on_change != NULL) {
                on_change(cookie, &(mv_case_change){before, one});
            }
        }
    }
    for (size_t i = 0; i < old->n_cases; i++) {
        if (find(results, &old->cases[i], i) == NULL) {
            found.n_gone++;
            if (on_change != NULL) {
                on_change(cookie, &(mv_case_change){&old->cases[i], NULL});
            }
        }
    }
    return found;
}

bool mv_fact_differs(const char *key, const char *now, const char *before)
{
    /* Facts that differ between any two runs and explain nothing. */
    const bool is_momentary = strcmp(key, "date_utc") == 0 || strcmp(key, "load_average") == 0;
    return !is_momentary && strcmp(now != NULL ? now : "", before != NULL ? before : "") != 0;
}
