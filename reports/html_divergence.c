/* html_divergence.c - where it first goes wrong: layer and position, against the window. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 64, MAX_DOTS = 200, MAX_GUIDES = 6 };

typedef struct profile {
    mv_chart_row rows[MAX_LAYERS];
    mv_point points[MAX_LAYERS][MAX_DOTS];
    bool is_bad[MAX_DOTS];
    int64_t layers[MAX_LAYERS];
    size_t n_rows;
    mv_guide guides[MAX_GUIDES];
    size_t n_guides;
} profile;

static bool is_drawn(const mv_case_result *one)
{
    return one->divergence_layer >= 0 && one->divergence_position >= 0;
}

/* The row of a layer, in ascending order; or NULL if there are too many. */
static mv_chart_row *row_of(profile *made, int64_t layer)
{
    for (size_t i = 0; i < made->n_rows; i++) {
        if (made->layers[i] == layer) {
            return &made->rows[i];
        }
    }
    if (made->n_rows == MAX_LAYERS) {
        return NULL;
    }
    size_t at = made->n_rows++;
    made->layers[at] = layer;
    made->rows[at].points = made->points[at];
    made->rows[at].is_bad = made->is_bad;
    (void)snprintf(made->rows[at].label, sizeof made->rows[at].label, "layer %" PRId64, layer);
    return &made->rows[at];
}

static void add_dot(profile *made, const mv_case_result *one)
{
    mv_chart_row *row = row_of(made, one->divergence_layer);
    if (row == NULL || row->n_points == MAX_DOTS) {
        return;
    }
    size_t at = (size_t)(row - made->rows);
    mv_point *point = &made->points[at][row->n_points++];
    *point = (mv_point){.x = (double)one->divergence_position, .low = NAN, .high = NAN};
    (void)snprintf(point->tip, sizeof point->tip,
                   "%s / %s: layer %" PRId64 ", %s, position %" PRId64, one->suite, one->name,
                   one->divergence_layer, one->divergence_op, one->divergence_position);
    (void)snprintf(row->note, sizeof row->note, "%zu case%s", row->n_points,
                   row->n_points == 1 ? "" : "s");
}

static int by_layer(const void *a, const void *b)
{
    const mv_chart_row *left = a, *right = b;
    return atoi(left->label + 6) - atoi(right->label + 6);
}

static void add_guide(profile *made, const mv_case_result *one)
{
    for (size_t i = 0; i < made->n_guides; i++) {
        if (made->guides[i].value >= (double)one->window - 0.5 &&
            made->guides[i].value <= (double)one->window + 0.5) {
            return;
        }
    }
    if (one->window > 0 && made->n_guides < MAX_GUIDES) {
        mv_guide *guide = &made->guides[made->n_guides++];
        guide->value = (double)one->window;
        (void)snprintf(guide->label, sizeof guide->label, "W=%" PRId64, one->window);
    }
}

static void put_finding(mv_bytes *bytes, const mv_verify_results *results)
{
    const mv_case_result *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (!mv_divergence_is_known(one)) {
            continue;
        }
        n++;
        if (first == NULL || one->divergence_layer < first->divergence_layer ||
            (one->divergence_layer == first->divergence_layer &&
             one->divergence_position < first->divergence_position)) {
            first = one;
        }
    }
    if (first == NULL) {
        return;
    }
    mv_bytes_print(bytes, "The earliest error of %zu localised case%s is in ", n,
                   n == 1 ? "" : "s");
    mv_detail details[MV_MAX_DETAILS];
    size_t n_details = mv_case_details(first, details);
    for (size_t i = 0; i < n_details; i++) {
        if (strcmp(details[i].label, "first wrong") == 0) {
            mv_html_put(bytes, details[i].text);
        }
    }
    mv_bytes_text(bytes, ".");
}

static void put_table(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_html_table(bytes, "first divergences",
                  "suite|case|backend|compute|#window|#layer|op|#position");
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (mv_divergence_is_known(one)) {
            mv_bytes_text(bytes, "<tr>");
            mv_html_cell(bytes, one->suite);
            mv_html_cell(bytes, one->name);
            mv_html_cell(bytes, one->backend);
            mv_html_cell(bytes, mv_compute_word(one->compute));
            mv_html_cell_integer(bytes, one->window);
            mv_html_cell_integer(bytes, one->divergence_layer);
            mv_html_cell(bytes, one->divergence_op);
            mv_html_cell_integer(bytes, one->divergence_position);
            mv_bytes_text(bytes, "</tr>\n");
        }
    }
    mv_html_table_end(bytes);
}

void mv_html_verify_divergence(mv_html *html, const mv_verify_results *results)
{
    size_t n = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        n += mv_divergence_is_known(&results->cases[i]) ? 1 : 0;
    }
    if (n == 0) {
        return;
    }
    profile *made = calloc(1, sizeof *made);
    mv_bytes finding = {0};
    if (made == NULL) {
        html->body.failed = true;
        return;
    }
    memset(made->is_bad, true, sizeof made->is_bad);
    for (size_t i = 0; i < results->n_cases; i++) {
        if (is_drawn(&results->cases[i])) {
            add_dot(made, &results->cases[i]);
            add_guide(made, &results->cases[i]);
        }
    }
    qsort(made->rows, made->n_rows, sizeof *made->rows, by_layer);
    mv_html_section(html, "divergence", "Where it first goes wrong");
    put_finding(&finding, results);
    if (made->n_rows > 0) {
        const mv_rows chart = {"first wrong layer and position of each localised case",
                               "position in the sequence",
                               false,
                               made->rows,
                               made->n_rows,
                               made->guides,
                               made->n_guides};
        mv_html_figure(html, &finding, chart.label);
        mv_svg_rows(&html->body, &chart);
        mv_html_figure_data(html);
        put_table(&html->body, results);
        mv_html_figure_end(html);
    } else {
        mv_bytes_text(&html->body, "<p>");
        mv_bytes_append(&html->body, finding.data, finding.size);
        mv_bytes_text(&html->body, "</p>\n");
        put_table(&html->body, results);
    }
    mv_html_section_end(html);
    mv_bytes_free(&finding);
    free(made);
}
