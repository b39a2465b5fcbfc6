/* verify_list.c - what there is. */
#include "tools/verify_list.h"

#include <stdlib.h>

#include "harness/backend.h"
#include "reports/report.h"
#include "suites/suite.h"

mv_code mv_verify_list(mv_error *error)
{
    mv_backend_candidate *candidates;
    size_t n;
    printf("suites:\n");
    for (size_t i = 0; i < mv_n_suites; i++)
        printf("  %-20s %s\n", mv_suites[i]->name, mv_suites[i]->claim);
    printf("formats:\n");
    for (size_t i = 0; i < mv_n_reports; i++)
        printf("  %-20s %s\n", mv_reports[i].name, mv_reports[i].summary);
    mv_code code = mv_backend_list(&candidates, &n, error);
    if (code != MV_OK)
        return code;
    printf("backends:\n");
    for (size_t i = 0; i < n; i++) {
        const mv_backend_candidate *c = &candidates[i];
        if (c->reason[0] == '\0')
            printf("  %-20s %s\n", c->name, c->summary);
        else
            printf("  %-20s not usable: %s\n", c->name[0] != '\0' ? c->name : "?", c->reason);
        printf("  %-20s %s\n", "", c->path);
    }
    free(candidates);
    return MV_OK;
}
