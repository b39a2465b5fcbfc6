/* markdown_changes.c - since an older run, as a comment on a pull request says it. */
#include "reports/changes.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS 50

typedef struct table {
    mv_bytes *bytes;
    size_t n;
} table;

static void put_side(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_text(bytes, " | ");
    mv_bytes_text(bytes, one == NULL ? "not run" : mv_needs_person(one) ? "**" : "");
    if (one != NULL) {
        mv_bytes_text(bytes, mv_verdict_name(one->verdict));
        mv_bytes_text(bytes, mv_needs_person(one) ? "**" : "");
    }
}

static void put_ratio(mv_bytes *bytes, const mv_case_result *one)
{
    const bool is_known = one != NULL && mv_metric_is_known(one, 0);
    mv_bytes_print(bytes, " | %s",
                   mv_short_number(is_known ? one->metrics.r_rmse : NAN, is_known).text);
}

static void put_change(void *cookie, const mv_case_change *change)
{
    table *t = cookie;
    const mv_case_result *one = change->after != NULL ? change->after : change->before;
    if (t->n++ == 0) {
        mv_bytes_text(t->bytes, "| suite | case | backend | compute | before | now | R before | R "
                                "now |\n|:--|:--|:--|:--|:--|:--|--:|--:|\n");
    }
    if (t->n > MAX_ROWS) {
        return;
    }
    mv_bytes_text(t->bytes, "| ");
    mv_markdown_text(t->bytes, one->suite);
    mv_bytes_text(t->bytes, " | ");
    mv_markdown_text(t->bytes, one->name);
    mv_bytes_text(t->bytes, " | ");
    mv_markdown_text(t->bytes, one->backend);
    mv_bytes_print(t->bytes, " | %s", mv_compute_word(one->compute));
    put_side(t->bytes, change->before);
    put_side(t->bytes, change->after);
    put_ratio(t->bytes, change->before);
    put_ratio(t->bytes, change->after);
    mv_bytes_text(t->bytes, " |\n");
}

static void put_facts(mv_bytes *bytes, const mv_environment *now, const mv_environment *old)
{
    size_t n = 0;
    for (int side = 0; side < 2; side++) {
        const mv_environment *one = side == 0 ? now : old, *other = side == 0 ? old : now;
        for (size_t i = 0; i < one->n_facts; i++) {
            const char *key = one->facts[i].key, *value = mv_environment_get(other, key);
            if (!mv_fact_differs(key, one->facts[i].value, value) || (side == 1 && value != NULL)) {
                continue;
            }
            mv_bytes_text(bytes, n++ == 0 ? "Of the machine and the build, these differ: " : ", ");
            mv_markdown_text(bytes, key);
        }
    }
    mv_bytes_text(bytes, n > 0 ? ".\n\n" : "");
}

void mv_markdown_write_changes(mv_bytes *bytes, const mv_verify_results *results,
                               const mv_verify_results *old)
{
    mv_bytes rows = {0};
    table t = {&rows, 0};
    const mv_case_changes found = mv_case_changes_find(results, old, put_change, &t);
    mv_bytes_print(
        bytes,
        "\n### Since the older run\n\n%s%zu no longer hold%s, %zu hold%s again%s; %zu of "
        "%zu cases changed (another verdict, or R by more than a fifth), %zu new, %zu "
        "gone.\n\n",
        found.n_broken > 0 ? "**" : "", found.n_broken, found.n_broken == 1 ? "s" : "",
        found.n_mended, found.n_mended == 1 ? "s" : "", found.n_broken > 0 ? "**" : "",
        found.n_changed, results->n_cases, found.n_new, found.n_gone);
    if (found.n_new == results->n_cases && old->n_cases > 0) {
        mv_bytes_text(bytes, "**No case is in both: another engine, grid or seed was run.**\n\n");
    }
    if (strcmp(results->weights_sha256, old->weights_sha256) != 0) {
        mv_bytes_text(bytes, "**The two runs did not use the same weights.**\n\n");
    }
    put_facts(bytes, &results->environment, &old->environment);
    mv_bytes_append(bytes, rows.data, rows.size);
    if (t.n > MAX_ROWS) {
        mv_bytes_print(bytes, "\n... and %zu more.\n", t.n - MAX_ROWS);
    }
    bytes->failed = bytes->failed || rows.failed;
    mv_bytes_free(&rows);
}
