/* html_bench_changes.c - the same rows in an older file: what got slower, by how much, how sure. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DRAWN = 40 };

/* One row of both files. ratio: time now / time before. */
typedef struct changed_row {
    const mv_bench_run *now, *before;
    mv_estimate ratio;
} changed_row;

typedef struct change_list {
    changed_row *rows; /* [n] */
    size_t n, n_new, n_gone, n_slower, n_faster, n_no_longer_right;
} change_list;

static bool is_same_row(const mv_bench_run *a, const mv_bench_run *b)
{
    return a->phase == b->phase && a->compute == b->compute && a->seed == b->seed &&
           a->shape.prompt == b->shape.prompt && a->shape.generate == b->shape.generate &&
           a->shape.depth == b->shape.depth && a->shape.chunk == b->shape.chunk &&
           a->shape.window == b->shape.window && a->shape.batch == b->shape.batch &&
           a->shape.threads == b->shape.threads && strcmp(a->backend, b->backend) == 0;
}

static const mv_bench_run *find(const mv_bench_results *in, const mv_bench_run *one)
{
    for (size_t i = 0; i < in->n_runs; i++) {
        if (is_same_row(&in->runs[i], one)) {
            return &in->runs[i];
        }
    }
    return NULL;
}

/* From the ends of both intervals: wider than 95 %, for which two separate runs are no ground. */
static mv_estimate ratio_of(const mv_bench_run *now, const mv_bench_run *before)
{
    const mv_estimate *n = &now->tokens_per_s, *b = &before->tokens_per_s;
    if (!(n->low > 0 && b->low > 0 && isfinite(n->high) && isfinite(b->high))) {
        return (mv_estimate){b->value / n->value, NAN, NAN}; /* too few samples for an interval */
    }
    return (mv_estimate){b->value / n->value, b->low / n->high, b->high / n->low};
}

/* What is not known is not slower: it comes last. */
static int by_ratio(const void *a, const void *b)
{
    const double left = ((const changed_row *)a)->ratio.value;
    const double right = ((const changed_row *)b)->ratio.value;
    if (isnan(left) || isnan(right)) {
        return (isnan(left) ? 1 : 0) - (isnan(right) ? 1 : 0);
    }
    return (left < right) - (left > right);
}

static bool collect(change_list *list, const mv_bench_results *results, const mv_bench_results *old)
{
    memset(list, 0, sizeof *list);
    list->rows = calloc(results->n_runs + 1, sizeof *list->rows);
    if (list->rows == NULL) {
        return false;
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *now = &results->runs[i], *before = find(old, now);
        if (before == NULL) {
            list->n_new++;
            continue;
        }
        const mv_estimate ratio = ratio_of(now, before);
        list->n_slower += ratio.low > 1 ? 1 : 0;
        list->n_faster += ratio.high < 1 ? 1 : 0;
        list->n_no_longer_right += before->checked && !now->checked ? 1 : 0;
        list->rows[list->n++] = (changed_row){now, before, ratio};
    }
    for (size_t i = 0; i < old->n_runs; i++) {
        list->n_gone += find(results, &old->runs[i]) == NULL ? 1 : 0;
    }
    qsort(list->rows, list->n, sizeof *list->rows, by_ratio);
    return true;
}

/* ---- words ---- */

static void put_words(mv_bytes *body, const mv_bench_results *results, const mv_bench_results *old,
                      const change_list *list)
{
    mv_bytes_print(body,
                   "<p>%zu row%s in both files; %zu new, %zu gone. Two runs at two times: the "
                   "machine may have changed as much as the program. A verdict needs both builds "
                   "side by side, in one run: <code>--vs</code>.</p>\n",
                   list->n, list->n == 1 ? " is" : "s are", list->n_new, list->n_gone);
    if (list->n_no_longer_right > 0) {
        mv_bytes_print(body,
                       "<p><strong>%zu row%s right in the older run and %s not now.</strong></p>\n",
                       list->n_no_longer_right, list->n_no_longer_right == 1 ? " was" : "s were",
                       list->n_no_longer_right == 1 ? "is" : "are");
    }
    if (strcmp(results->weights_sha256, old->weights_sha256) != 0) {
        mv_bytes_text(body, "<p><strong>The two runs did not use the same weights.</strong></p>\n");
    }
}

static void put_finding(mv_bytes *finding, const change_list *list)
{
    mv_bytes_print(finding, "%zu row%s slower than before, %zu faster, %zu cannot be told apart.",
                   list->n_slower, list->n_slower == 1 ? " is" : "s are", list->n_faster,
                   list->n - list->n_slower - list->n_faster);
    if (list->n_slower > 0) {
        const changed_row *worst = list->rows;
        while (
            !(worst->ratio.low > 1)) { /* there is one; it may stand behind one without interval */
            worst++;
        }
        mv_bytes_print(finding, " The slowest takes %+.1f %% (%+.1f to %+.1f): ",
                       100 * (worst->ratio.value - 1), 100 * (worst->ratio.low - 1),
                       100 * (worst->ratio.high - 1));
        mv_html_put(finding, worst->now->backend);
        mv_bytes_print(finding, " %s, ", mv_bench_phase_name(worst->now->phase));
        mv_html_put(finding, mv_shape_words(worst->now).text);
        mv_bytes_text(finding, ".");
    }
}

/* ---- chart and table ---- */

static void put_forest(mv_html *html, const change_list *list)
{
    mv_chart_row *rows = calloc(MAX_DRAWN, sizeof *rows);
    mv_point *points = calloc(MAX_DRAWN, sizeof *points);
    mv_bytes finding = {0};
    size_t n = 0;
    html->body.failed = html->body.failed || rows == NULL || points == NULL;
    for (size_t i = 0; i < list->n && n < MAX_DRAWN && rows != NULL && points != NULL; i++) {
        const changed_row *row = &list->rows[i];
        if (!isfinite(row->ratio.value)) {
            continue;
        }
        (void)snprintf(rows[n].label, sizeof rows[n].label, "%.30s, %s, %.80s", row->now->backend,
                       mv_bench_phase_name(row->now->phase), mv_shape_words(row->now).text);
        (void)snprintf(rows[n].note, sizeof rows[n].note, "%+.1f %%", 100 * (row->ratio.value - 1));
        points[n] =
            (mv_point){.x = row->ratio.value, .low = row->ratio.low, .high = row->ratio.high};
        const size_t used =
            (size_t)snprintf(points[n].tip, sizeof points[n].tip, "%.127s: %+.2f %%", rows[n].label,
                             100 * (row->ratio.value - 1));
        if (isfinite(row->ratio.low)) {
            (void)snprintf(points[n].tip + used, sizeof points[n].tip - used,
                           " (interval: %+.2f to %+.2f)", 100 * (row->ratio.low - 1),
                           100 * (row->ratio.high - 1));
        }
        rows[n].points = &points[n];
        rows[n].n_points = 1;
        n++;
    }
    if (n > 0) {
        const mv_guide same = {1, "the same"};
        const mv_rows chart = {"time now by time before",
                               "time now / time before (above 1: slower)",
                               false,
                               rows,
                               n,
                               &same,
                               1};
        put_finding(&finding, list);
        mv_html_rows(html, &chart, &finding);
    }
    mv_bytes_free(&finding);
    free(rows);
    free(points);
}

static void put_percent(mv_bytes *body, double ratio)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%+.1f %%", 100 * (ratio - 1));
    mv_html_element(body, "td", "n", ratio > 0 && isfinite(ratio) ? text : "\xE2\x80\x93");
}

static void put_row(mv_bytes *body, const changed_row *row)
{
    const bool is_slower = row->ratio.low > 1, is_faster = row->ratio.high < 1;
    mv_bytes_text(body, "<tr><th scope=\"row\">");
    mv_html_put(body, row->now->backend);
    mv_bytes_text(body, "</th>");
    mv_html_cell(body, mv_compute_word(row->now->compute));
    mv_html_cell(body, mv_bench_phase_name(row->now->phase));
    mv_html_element(body, "td", "shape", mv_shape_words(row->now).text);
    mv_bytes_print(body,
                   "<td><span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span></td>",
                   is_slower   ? "slower"
                   : is_faster ? "faster"
                               : "same",
                   is_slower   ? "\xE2\x96\xB2"
                   : is_faster ? "\xE2\x96\xBC"
                               : "=",
                   is_slower   ? "slower"
                   : is_faster ? "faster"
                               : "cannot tell");
    put_percent(body, row->ratio.value);
    put_percent(body, row->ratio.low);
    put_percent(body, row->ratio.high);
    mv_html_cell_rate(body, row->before->tokens_per_s.value);
    mv_html_cell_rate(body, row->now->tokens_per_s.value);
    mv_html_cell(body, row->before->checked == row->now->checked ? ""
                       : row->now->checked                       ? "right now"
                                                                 : "no longer right");
    mv_bytes_text(body, "</tr>\n");
}

void mv_html_bench_changes(mv_html *html, const mv_bench_results *results,
                           const mv_bench_results *old)
{
    change_list list;
    if (!collect(&list, results, old)) {
        html->body.failed = true;
        return;
    }
    mv_html_section(html, "changes", "Since the older run");
    put_words(&html->body, results, old, &list);
    mv_html_environment_change(html, &results->environment, &old->environment);
    put_forest(html, &list);
    if (list.n > 0) {
        mv_html_table(&html->body, "rows of both runs",
                      "backend|compute|phase|shape|time|#change|#low|#high|#tokens/s before|"
                      "#tokens/s now|check");
        for (size_t i = 0; i < list.n; i++) {
            put_row(&html->body, &list.rows[i]);
        }
        mv_html_table_end(&html->body);
    }
    mv_html_section_end(html);
    free(list.rows);
}
