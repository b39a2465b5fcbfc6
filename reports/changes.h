/* changes.h - what is not as it was in an older run, for the page and for Markdown. */
#ifndef MV_REPORTS_CHANGES_H
#define MV_REPORTS_CHANGES_H

#include "reports/parts.h"

/* before or after is NULL where the case was not run. */
typedef struct mv_case_change {
    const mv_case_result *before, *after;
} mv_case_change;

typedef struct mv_case_changes {
    size_t n_changed; /* cases of both runs with another verdict, or R by more than a fifth */
    size_t n_new, n_gone;
    size_t n_broken, n_mended; /* of n_changed: no longer hold, hold again */
} mv_case_changes;

/* In the order of the new run: what changed, and new cases that need a person; then those that are
 * gone. on_change may be NULL. */
mv_case_changes mv_case_changes_find(const mv_verify_results *results, const mv_verify_results *old,
                                     void (*on_change)(void *cookie, const mv_case_change *change),
                                     void *cookie);

/* Whether that fact of the machine or the build differs, and could explain something. NULL: absent.
 */
bool mv_fact_differs(const char *key, const char *now, const char *before);

#endif
