/* html_heat.c - chunk x window for each backend and arithmetic: where a ring or a mask is wrong,
 * the failures draw a shape (a row, a column, all chunks above W) that a list does not show. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 48, MAX_COLUMNS = 16 };

/* Axes are int64_t keys in ascending order; what is no number comes last. */
#define KEY_WHOLE (INT64_MAX - 1) /* chunk 0, window 0 */
#define KEY_MIXED INT64_MAX       /* a schedule of calls */

typedef struct heat_axis {
    int64_t keys[MAX_ROWS];
    size_t n, most;
    bool is_cut;
} heat_axis;

/* What falls into one cell. */
typedef struct heat_sum {
    size_t n, n_bad;
    const mv_case_result *worst; /* verdict first, then share of the limit */
    double share;                /* of worst, of its limit on R; NAN: no number */
} heat_sum;

typedef struct heat_map {
    heat_axis rows, columns;
    heat_sum cells[MAX_ROWS * MAX_COLUMNS];
    mv_heat_cell shown[MAX_ROWS * MAX_COLUMNS];
    mv_short row_labels[MAX_ROWS], column_labels[MAX_COLUMNS];
} heat_map;

static int64_t chunk_key(const mv_case_result *one)
{
    return one->schedule[0] != '\0' ? KEY_MIXED : one->chunk == 0 ? KEY_WHOLE : one->chunk;
}

static int64_t window_key(const mv_case_result *one)
{
    return one->window == 0 ? KEY_WHOLE : one->window;
}

static size_t axis_find(const heat_axis *axis, int64_t key)
{
    size_t at = 0;
    while (at < axis->n && axis->keys[at] < key) {
        at++;
    }
    return at;
}

static void axis_add(heat_axis *axis, int64_t key)
{
    size_t at = axis_find(axis, key);
    if (at < axis->n && axis->keys[at] == key) {
        return;
    }
    if (axis->n == axis->most) {
        axis->is_cut = true;
        return;
    }
    memmove(&axis->keys[at + 1], &axis->keys[at], (axis->n - at) * sizeof *axis->keys);
    axis->keys[at] = key;
    axis->n++;
}

/* An R without a limit is of a planted bug (suite condition), not of the engine. */
static bool is_of(const mv_case_result *first, const mv_case_result *one)
{
    return first->compute == one->compute && strcmp(first->backend, one->backend) == 0 &&
           one->chunk >= 0 && one->window >= 0 &&
           !(mv_metric_is_known(one, 0) && isnan(one->limits.r_rmse));
}

static int severity(const mv_case_result *one)
{
    static const int order[] = {[MV_VERDICT_PASS] = 1,
                                [MV_VERDICT_FAIL] = 3,
                                [MV_VERDICT_ERROR] = 4,
                                [MV_VERDICT_VACUOUS] = 2,
                                [MV_VERDICT_SKIP] = 0};
    return one->verdict <= MV_VERDICT_SKIP ? order[one->verdict] : 4;
}

static double share_of(const mv_case_result *one)
{
    double limit = isnan(one->limits.r_rmse) ? 3 : one->limits.r_rmse;
    return one->metrics.r_rmse / limit;
}

static void add_case(heat_sum *sum, const mv_case_result *one)
{
    double share = share_of(one);
    int more = sum->worst == NULL ? 1 : severity(one) - severity(sum->worst);
    sum->n++;
    sum->n_bad += severity(one) > 2 ? 1 : 0;
    if (more > 0 || (more == 0 && !isnan(share) && !(share <= sum->share))) {
        sum->worst = one;
        sum->share = share;
    }
}

static void fill(heat_map *map, const mv_verify_results *results, const mv_case_result *first)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        if (is_of(first, &results->cases[i])) {
            axis_add(&map->rows, chunk_key(&results->cases[i]));
            axis_add(&map->columns, window_key(&results->cases[i]));
        }
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        size_t r = axis_find(&map->rows, chunk_key(one));
        size_t c = axis_find(&map->columns, window_key(one));
        if (is_of(first, one) && r < map->rows.n && map->rows.keys[r] == chunk_key(one) &&
            c < map->columns.n && map->columns.keys[c] == window_key(one)) {
            add_case(&map->cells[r * map->columns.n + c], one);
        }
    }
}

/* ---- words ---- */

static mv_short key_label(int64_t key, bool is_window)
{
    mv_short label;
    if (key == KEY_MIXED) {
        return (mv_short){"mixed"};
    }
    if (key == KEY_WHOLE) {
        return is_window ? (mv_short){"none"} : (mv_short){"whole"};
    }
    (void)snprintf(label.text, sizeof label.text, "%" PRId64, key);
    return label;
}

static void show_cell(mv_heat_cell *cell, const heat_sum *sum, const char *chunk,
                      const char *window)
{
    if (sum->worst == NULL) {
        return;
    }
    mv_verdict verdict = sum->worst->verdict;
    bool has_number = mv_metric_is_known(sum->worst, 0) && severity(sum->worst) != 4;
    (void)snprintf(cell->text, sizeof cell->text, "%s",
                   has_number ? mv_short_number(sum->worst->metrics.r_rmse, true).text
                   : verdict == MV_VERDICT_PASS ? "ok"
                                                : mv_verdict_name(verdict));
    cell->is_bad = severity(sum->worst) > 2;
    cell->level = verdict == MV_VERDICT_VACUOUS ? 4
                  : !(sum->share > 0.25)        ? 0
                  : sum->share <= 0.5           ? 1
                  : sum->share <= 0.75          ? 2
                                                : 3;
    (void)snprintf(cell->tip, sizeof cell->tip,
                   "chunk %s, window %s: %zu case%s, %zu failed; worst: %s %s%s%s", chunk, window,
                   sum->n, sum->n == 1 ? "" : "s", sum->n_bad, sum->worst->suite,
                   mv_verdict_name(verdict), has_number ? ", R " : "",
                   has_number ? mv_short_number(sum->worst->metrics.r_rmse, true).text : "");
}

/* Do all failing cells lie in one row or one column, or all at or above W? */
static void put_shape(mv_bytes *bytes, const heat_map *map)
{
    size_t row = SIZE_MAX, column = SIZE_MAX;
    bool one_row = true, one_column = true, above = true, beside = false;
    for (size_t i = 0; i < map->rows.n * map->columns.n; i++) {
        size_t r = i / map->columns.n, c = i % map->columns.n;
        int64_t chunk = map->rows.keys[r], window = map->columns.keys[c];
        if (map->cells[i].n_bad == 0) {
            beside = beside || map->cells[i].n > 0;
            continue;
        }
        one_row = one_row && (row == SIZE_MAX || row == r);
        one_column = one_column && (column == SIZE_MAX || column == c);
        above = above && window < KEY_WHOLE && chunk > window;
        row = r;
        column = c;
    }
    if (!beside) {
        mv_bytes_text(bytes, ": every one of them");
    } else if (one_row && one_column) {
        mv_bytes_print(bytes, ": chunk %s, window %s", map->row_labels[row].text,
                       map->column_labels[column].text);
    } else if (one_row) {
        mv_bytes_print(bytes, ", all with chunk %s", map->row_labels[row].text);
    } else if (one_column) {
        mv_bytes_print(bytes, ", all with window %s", map->column_labels[column].text);
    } else if (above) {
        mv_bytes_text(bytes, ", all with a chunk above the window");
    }
}

static void put_finding(mv_bytes *bytes, const heat_map *map, const mv_case_result *first)
{
    size_t n = 0, n_bad = 0, at = SIZE_MAX;
    for (size_t i = 0; i < map->rows.n * map->columns.n; i++) {
        const heat_sum *sum = &map->cells[i];
        n += sum->n > 0 ? 1 : 0;
        n_bad += sum->n_bad > 0 ? 1 : 0;
        if (sum->n > 0 && !isnan(sum->share) &&
            (at == SIZE_MAX || sum->share > map->cells[at].share)) {
            at = i;
        }
    }
    mv_html_element(bytes, "strong", "", first->backend);
    mv_bytes_print(bytes, " in %s: ", mv_compute_word(first->compute));
    if (n_bad > 0) {
        mv_bytes_print(bytes, "%zu of %zu cells fail", n_bad, n);
        put_shape(bytes, map);
    } else {
        mv_bytes_print(bytes, "no failure in %zu cells", n);
    }
    if (at != SIZE_MAX) {
        mv_bytes_print(
            bytes, "; the largest error is %s times the reference's, with chunk %s and window %s",
            mv_short_number(map->cells[at].worst->metrics.r_rmse, true).text,
            map->row_labels[at / map->columns.n].text,
            map->column_labels[at % map->columns.n].text);
    }
    mv_bytes_text(bytes, map->rows.is_cut || map->columns.is_cut
                             ? ". The largest chunks or windows are left out here."
                             : ".");
}

static void put_map(mv_html *html, heat_map *map, const mv_verify_results *results,
                    const mv_case_result *first)
{
    char label[192];
    mv_bytes finding = {0};
    memset(map, 0, sizeof *map);
    map->rows.most = MAX_ROWS;
    map->columns.most = MAX_COLUMNS;
    fill(map, results, first);
    for (size_t r = 0; r < map->rows.n; r++) {
        map->row_labels[r] = key_label(map->rows.keys[r], false);
    }
    for (size_t c = 0; c < map->columns.n; c++) {
        map->column_labels[c] = key_label(map->columns.keys[c], true);
    }
    for (size_t i = 0; i < map->rows.n * map->columns.n; i++) {
        show_cell(&map->shown[i], &map->cells[i], map->row_labels[i / map->columns.n].text,
                  map->column_labels[i % map->columns.n].text);
    }
    put_finding(&finding, map, first);
    (void)snprintf(label, sizeof label, "R by chunk and window, %s in %s", first->backend,
                   mv_compute_word(first->compute));
    const mv_heat heat = {label,
                          "chunk",
                          "window (keys a query sees)",
                          map->row_labels,
                          map->column_labels,
                          map->rows.n,
                          map->columns.n,
                          map->shown};
    mv_html_heat(html, &heat, &finding);
    mv_bytes_free(&finding);
}

void mv_html_verify_heat(mv_html *html, const mv_verify_results *results)
{
    bool is_begun = false;
    heat_map *map = malloc(sizeof *map);
    if (map == NULL) {
        html->body.failed = true;
        return;
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        bool is_first = is_of(one, one);
        for (size_t k = 0; k < i && is_first; k++) {
            is_first = !is_of(one, &results->cases[k]);
        }
        if (!is_first) {
            continue;
        }
        if (!is_begun) {
            mv_html_section(html, "heat", "Chunk and window");
            mv_bytes_text(
                &html->body,
                "<p>Each number is R, the error against the float64 oracle as a multiple "
                "of the reference's own error; the worst of the cell's cases. Hatched: a "
                "case failed. <em>ok</em>: exact, with no R to show. <em>mixed</em>: calls "
                "of several sizes.</p>\n<div class=\"figures\">\n");
            is_begun = true;
        }
        put_map(html, map, results, one);
    }
    if (is_begun) {
        mv_bytes_text(&html->body, "</div>\n");
        mv_html_section_end(html);
    }
    free(map);
}
