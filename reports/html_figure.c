/* html_figure.c - a chart, the sentence that it proves, and the same numbers as a table for who
 * cannot see it. */
#include "reports/html_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mv_html_figure(mv_html *html, const mv_bytes *finding, const char *label)
{
    mv_bytes *body = &html->body;
    html->n_figures++;
    mv_bytes_text(body, "<figure>\n<figcaption>");
    if (finding->data != NULL) {
        mv_bytes_append(body, finding->data, finding->size);
    }
    body->failed = body->failed || finding->failed;
    mv_bytes_text(body, "</figcaption>\n<div class=\"plot\" tabindex=\"0\" role=\"group\" "
                        "aria-label=\"chart: ");
    mv_html_put(body, label);
    mv_bytes_text(body, "\">\n");
}

void mv_html_figure_data(mv_html *html)
{
    mv_bytes_text(&html->body, "</div>\n<details class=\"numbers\"><summary>The numbers of this "
                               "chart</summary>\n");
}

void mv_html_figure_end(mv_html *html)
{
    mv_bytes_text(&html->body, "</details>\n</figure>\n");
}

void mv_html_heat(mv_html *html, const mv_heat *heat, const mv_bytes *finding)
{
    mv_bytes *body = &html->body;
    mv_html_figure(html, finding, heat->label);
    mv_svg_heat(body, heat);
    mv_html_figure_data(html);
    mv_html_table_begin(body, heat->label);
    mv_html_heading(body, heat->row_name, false);
    for (size_t c = 0; c < heat->n_columns; c++) {
        mv_html_heading(body, heat->columns[c].text, true);
    }
    mv_html_table_body(body);
    for (size_t r = 0; r < heat->n_rows; r++) {
        mv_bytes_text(body, "<tr><th scope=\"row\">");
        mv_html_put(body, heat->rows[r].text);
        mv_bytes_text(body, "</th>");
        for (size_t c = 0; c < heat->n_columns; c++) {
            const mv_heat_cell *cell = &heat->cells[r * heat->n_columns + c];
            mv_html_element(body, "td", "n", cell->text);
        }
        mv_bytes_text(body, "</tr>\n");
    }
    mv_html_table_end(body);
    mv_html_figure_end(html);
}

/* Digits and no prefix, so that a column can be sorted. */
static void put_value(mv_bytes *bytes, double value, bool is_known)
{
    if (value >= 100 && value < 1e15) {
        mv_html_cell_rate(bytes, value);
    } else {
        mv_html_cell_number(bytes, value, is_known);
    }
}

/* ---- rows: what all labels say is said once ---- */

/* Is the part of `size` bytes one of the label's, between ", " and ", "? */
static char *find_part(char *label, const char *part, size_t size)
{
    for (char *at = label; *at != '\0';) {
        char *end = strstr(at, ", ");
        const size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
        if (length == size && memcmp(at, part, size) == 0) {
            return at;
        }
        at += length + (end != NULL ? 2 : 0);
    }
    return NULL;
}

static void remove_part(char *label, char *part, size_t size)
{
    if (part[size] != '\0') {
        memmove(part, part + size + 2, strlen(part + size + 2) + 1);
    } else if (part > label) {
        part[-2] = '\0';
    }
}

/* Takes out of the labels of rows[0 ... n) the parts that all have, and writes them to shared. */
static void share_parts(mv_chart_row *rows, size_t n, char *shared, size_t shared_size)
{
    char first[sizeof rows->label];
    size_t used = 0;
    memcpy(first, rows[0].label, sizeof first);
    shared[0] = '\0';
    for (char *at = first; n > 1 && at != NULL;) {
        char *end = strstr(at, ", ");
        const size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        bool is_shared = size > 0, is_alone = false; /* a label keeps one part at least */
        for (size_t r = 0; r < n && is_shared; r++) {
            is_shared = find_part(rows[r].label, at, size) != NULL;
            is_alone = is_alone || strlen(rows[r].label) == size;
        }
        if (is_shared && !is_alone && used + size + 3 < shared_size) {
            for (size_t r = 0; r < n; r++) {
                remove_part(rows[r].label, find_part(rows[r].label, at, size), size);
            }
            used += (size_t)snprintf(shared + used, shared_size - used, "%s%.*s",
                                     used > 0 ? ", " : "", (int)size, at);
        }
        at = end != NULL ? end + 2 : NULL;
    }
}

/* The chart, with shorter labels; the caption says what they lack. */
static void put_rows(mv_html *html, const mv_rows *rows, const mv_bytes *finding)
{
    mv_chart_row *copy = calloc(rows->n_rows + 1, sizeof *copy);
    char shared[sizeof copy->label];
    mv_bytes caption = {0};
    if (copy == NULL || rows->n_rows == 0) {
        html->body.failed = html->body.failed || copy == NULL;
        free(copy);
        return;
    }
    memcpy(copy, rows->rows, rows->n_rows * sizeof *copy);
    share_parts(copy, rows->n_rows, shared, sizeof shared);
    if (finding->data != NULL) {
        mv_bytes_append(&caption, finding->data, finding->size);
    }
    if (shared[0] != '\0') {
        mv_bytes_text(&caption, " ");
        mv_html_element(&caption, "span", "chip", shared);
    }
    mv_rows shorter = *rows;
    shorter.rows = copy;
    mv_html_figure(html, &caption, rows->label);
    mv_svg_rows(&html->body, &shorter);
    mv_bytes_free(&caption);
    free(copy);
}

static void put_point(mv_bytes *bytes, double value, const mv_point *point, bool has_interval)
{
    put_value(bytes, value, true);
    if (has_interval) {
        put_value(bytes, point->low, false);
        put_value(bytes, point->high, false);
    }
}

void mv_html_rows(mv_html *html, const mv_rows *rows, const mv_bytes *finding)
{
    mv_bytes *body = &html->body;
    bool has_interval = false;
    for (size_t r = 0; r < rows->n_rows; r++) {
        for (size_t p = 0; p < rows->rows[r].n_points; p++) {
            has_interval = has_interval || isfinite(rows->rows[r].points[p].low);
        }
    }
    put_rows(html, rows, finding);
    mv_html_figure_data(html);
    mv_html_table(body, rows->label,
                  has_interval ? "row|#value|#low|#high|what" : "row|#value|what");
    for (size_t r = 0; r < rows->n_rows; r++) {
        for (size_t p = 0; p < rows->rows[r].n_points; p++) {
            const mv_point *point = &rows->rows[r].points[p];
            mv_bytes_text(body, "<tr>");
            mv_html_cell(body, rows->rows[r].label);
            put_point(body, point->x, point, has_interval);
            mv_html_cell(body, point->tip);
            mv_bytes_text(body, "</tr>\n");
        }
    }
    mv_html_table_end(body);
    mv_html_figure_end(html);
}

void mv_html_plot(mv_html *html, const mv_plot *plot, const mv_bytes *finding)
{
    mv_bytes *body = &html->body;
    char headings[256];
    bool has_interval = false;
    for (size_t s = 0; s < plot->n_series; s++) {
        for (size_t p = 0; p < plot->series[s].n_points; p++) {
            has_interval = has_interval || isfinite(plot->series[s].points[p].low);
        }
    }
    (void)snprintf(headings, sizeof headings, "series|#%.60s|#%.60s%s", plot->x_name, plot->y_name,
                   has_interval ? "|#low|#high" : "");
    mv_html_figure(html, finding, plot->label);
    mv_svg_plot(body, plot);
    mv_html_figure_data(html);
    mv_html_table(body, plot->label, headings);
    for (size_t s = 0; s < plot->n_series; s++) {
        for (size_t p = 0; p < plot->series[s].n_points; p++) {
            const mv_point *point = &plot->series[s].points[p];
            mv_bytes_text(body, "<tr>");
            mv_html_cell(body, plot->series[s].name);
            mv_html_element(body, "td", "n", mv_si_number(point->x).text);
            put_point(body, point->y, point, has_interval);
            mv_bytes_text(body, "</tr>\n");
        }
    }
    mv_html_table_end(body);
    mv_html_figure_end(html);
}

void mv_html_bars(mv_html *html, const mv_bars *bars, const mv_bytes *finding)
{
    mv_bytes *body = &html->body;
    mv_html_figure(html, finding, bars->label);
    mv_svg_bars(body, bars);
    mv_html_figure_data(html);
    mv_html_table(body, bars->label, "bar|part|#value");
    for (size_t b = 0; b < bars->n_bars; b++) {
        for (size_t p = 0; p < bars->n_parts; p++) {
            mv_bytes_text(body, "<tr>");
            mv_html_cell(body, bars->bars[b].label);
            mv_html_cell(body, bars->part_names[p]);
            mv_html_cell_number(body, bars->bars[b].parts[p], true);
            mv_bytes_text(body, "</tr>\n");
        }
    }
    mv_html_table_end(body);
    mv_html_figure_end(html);
}
