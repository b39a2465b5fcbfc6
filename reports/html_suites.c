/* html_suites.c - the suites: how many cases, and how much of the limit they use. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 60, MAX_DOTS = 120 };

typedef struct margin_row {
    mv_point points[MAX_DOTS];
    bool is_bad[MAX_DOTS];
    size_t n_points;
} margin_row;

/* Of the tightest limit: 1 is the limit itself. */
static double share_of(const mv_case_result *one)
{
    return one->headroom > 0 && isfinite(one->headroom) ? 1 / one->headroom : NAN;
}

/* Dots that would lie on each other become one: a page has thousands of cases, and few pixels. */
static void add_dot(margin_row *row, const mv_case_result *one)
{
    double share = share_of(one);
    bool is_bad = mv_needs_person(one);
    if (isnan(share)) {
        return;
    }
    for (size_t i = 0; i < row->n_points; i++) {
        mv_point *point = &row->points[i];
        if (row->is_bad[i] == is_bad && fabs(log(point->x / share)) < 0.01) {
            point->y += 1; /* how many */
            return;
        }
    }
    if (row->n_points == MAX_DOTS) {
        return;
    }
    mv_point *point = &row->points[row->n_points];
    row->is_bad[row->n_points++] = is_bad;
    *point = (mv_point){.x = share, .y = 1, .low = NAN, .high = NAN};
    (void)snprintf(point->tip, sizeof point->tip, "%s: %s of the limit", one->name,
                   mv_short_number(share, true).text);
}

static void finish_dots(margin_row *row)
{
    for (size_t i = 0; i < row->n_points; i++) {
        size_t used = strlen(row->points[i].tip);
        if (row->points[i].y > 1.5) {
            (void)snprintf(row->points[i].tip + used, sizeof row->points[i].tip - used,
                           ", and %.0f more like it", row->points[i].y - 1);
        }
    }
}

static void put_finding(mv_bytes *bytes, const mv_verify_results *results)
{
    const mv_case_result *nearest = NULL;
    size_t n_over = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        double share = share_of(one);
        n_over += share > 1 ? 1 : 0;
        if (!isnan(share) && (nearest == NULL || share > share_of(nearest))) {
            nearest = one;
        }
    }
    if (nearest == NULL) {
        return;
    }
    double share = share_of(nearest);
    if (n_over > 0) {
        mv_bytes_print(bytes, "%zu case%s over the limit, the farthest by %s times (", n_over,
                       n_over == 1 ? " is" : "s are", mv_short_number(share, true).text);
    } else {
        mv_bytes_print(bytes, "The case nearest to its limit uses %.0f %% of it (", share * 100);
    }
    mv_html_put(bytes, nearest->suite);
    mv_bytes_text(bytes, " / ");
    mv_html_put(bytes, nearest->name);
    mv_bytes_text(bytes, ").");
}

static void put_margins(mv_html *html, const mv_verify_results *results)
{
    mv_chart_row *rows = calloc(MAX_ROWS, sizeof *rows);
    margin_row *dots = calloc(MAX_ROWS, sizeof *dots);
    mv_bytes finding = {0};
    size_t n = 0;
    if (rows == NULL || dots == NULL) {
        html->body.failed = true;
        goto done;
    }
    for (size_t i = 0; i < results->n_cases && n < MAX_ROWS; i++) {
        const mv_case_result *first = &results->cases[i];
        if (!mv_group_begins_at(results, i)) {
            continue;
        }
        size_t n_cases = 0;
        dots[n].n_points = 0;
        for (size_t k = i; k < results->n_cases; k++) {
            if (mv_group_has(first, &results->cases[k])) {
                add_dot(&dots[n], &results->cases[k]);
                n_cases += isnan(share_of(&results->cases[k])) ? 0 : 1;
            }
        }
        if (dots[n].n_points == 0) {
            continue;
        }
        finish_dots(&dots[n]);
        (void)snprintf(rows[n].label, sizeof rows[n].label, "%.31s, %.48s %s", first->suite,
                       first->backend, mv_compute_word(first->compute));
        (void)snprintf(rows[n].note, sizeof rows[n].note, "%zu case%s", n_cases,
                       n_cases == 1 ? "" : "s");
        rows[n].points = dots[n].points;
        rows[n].n_points = dots[n].n_points;
        rows[n].is_bad = dots[n].is_bad;
        n++;
    }
    if (n > 0) {
        const mv_guide limit = {1, "limit"};
        const mv_rows chart = {"share of the limit that each case uses",
                               "measured / limit (the tightest one of the case)",
                               true,
                               rows,
                               n,
                               &limit,
                               1};
        put_finding(&finding, results);
        mv_html_rows(html, &chart, &finding);
    }
done:
    mv_bytes_free(&finding);
    free(rows);
    free(dots);
}

static bool has_skip(const mv_verify_results *results)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        if (results->cases[i].verdict == MV_VERDICT_SKIP) {
            return true;
        }
    }
    return false;
}

static void put_row(mv_bytes *bytes, const mv_verify_results *results, size_t at, bool with_skips)
{
    const mv_case_result *first = &results->cases[at];
    mv_group group = mv_group_summarise(results, at);
    mv_bytes_text(bytes, "<tr><th scope=\"row\">");
    mv_html_put(bytes, first->suite);
    mv_bytes_text(bytes, "</th>");
    mv_html_cell(bytes, first->backend);
    mv_html_cell(bytes, mv_compute_word(first->compute));
    mv_bytes_text(bytes, "<td>");
    mv_html_verdict(bytes, group.verdict);
    mv_bytes_print(bytes, "</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td>", group.n_cases,
                   group.n_by_verdict[MV_VERDICT_PASS]);
    for (size_t r = 0; r < 3; r++) {
        mv_html_cell_number(bytes, group.ratios[r], group.has_ratio[r]);
    }
    mv_html_cell_number(bytes, group.headroom, group.has_headroom);
    mv_html_cell_number(bytes, (double)group.elapsed_ns / 1e9, true);
    if (with_skips) {
        mv_html_cell(bytes, group.skip != NULL ? mv_case_reason(group.skip) : "");
    }
    mv_bytes_text(bytes, "</tr>\n");
}

void mv_html_verify_suites(mv_html *html, const mv_verify_results *results)
{
    if (results->n_cases == 0) {
        return;
    }
    mv_html_section(html, "suites", "Suites");
    const bool with_skips = has_skip(results);
    mv_html_table(
        &html->body, "suites",
        with_skips ? "suite|backend|compute|verdict|#cases|#passed|#R rmse|#R row|#R max|#headroom|"
                     "#seconds|skipped because"
                   : "suite|backend|compute|verdict|#cases|#passed|#R rmse|#R row|#R max|#headroom|"
                     "#seconds");
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_group_begins_at(results, i)) {
            put_row(&html->body, results, i, with_skips);
        }
    }
    mv_html_table_end(&html->body);
    put_margins(html, results);
    mv_html_section_end(html);
}
