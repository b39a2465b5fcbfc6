/* text_grid.c - a suite that crosses chunks with windows, as the table that it is. Where a ring or
 * a mask is wrong, the failures draw a shape (a row, a column, all chunks above W) that a list of
 * names does not show. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_ROWS 24
#define MAX_COLUMNS 10

/* Both axes are int64_t keys in ascending order; what is no number comes last. */
#define KEY_WHOLE (INT64_MAX - 1) /* chunk 0, window 0 */
#define KEY_MIXED INT64_MAX       /* a schedule of calls */

typedef struct grid_axis {
    int64_t keys[MAX_ROWS];
    size_t n, most;
    bool is_full;
} grid_axis;

static int64_t chunk_key(const mv_case_result *one)
{
    return one->schedule[0] != '\0' ? KEY_MIXED : one->chunk == 0 ? KEY_WHOLE : one->chunk;
}

static int64_t window_key(const mv_case_result *one)
{
    return one->window == 0 ? KEY_WHOLE : one->window;
}

static void axis_add(grid_axis *axis, int64_t key)
{
    size_t at = 0;
    while (at < axis->n && axis->keys[at] < key) {
        at++;
    }
    if (at < axis->n && axis->keys[at] == key) {
        return;
    }
    if (axis->n == axis->most) {
        axis->is_full = true;
        return;
    }
    memmove(&axis->keys[at + 1], &axis->keys[at], (axis->n - at) * sizeof *axis->keys);
    axis->keys[at] = key;
    axis->n++;
}

static int severity(const mv_case_result *one)
{
    switch (one->verdict) {
    case MV_VERDICT_SKIP:
        return 0;
    case MV_VERDICT_PASS:
        return 1;
    case MV_VERDICT_VACUOUS:
        return 2;
    case MV_VERDICT_FAIL:
        return 3;
    case MV_VERDICT_ERROR:
    default:
        return 4;
    }
}

/* A cell may hold several cases (lengths, batches): the worst verdict, else the largest ratio. */
static void put_cell(mv_bytes *bytes, const mv_verify_results *results, size_t first, int64_t chunk,
                     int64_t window, int width, const mv_report_style *style)
{
    const mv_case_result *worst = NULL;
    double ratio = NAN;
    for (size_t i = first; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (!mv_group_has(&results->cases[first], one) || chunk_key(one) != chunk ||
            window_key(one) != window) {
            continue;
        }
        if (worst == NULL || severity(one) > severity(worst)) {
            worst = one;
        }
        if (!(one->metrics.r_rmse <= ratio) && !isnan(one->metrics.r_rmse)) {
            ratio = one->metrics.r_rmse;
        }
    }
    if (worst == NULL) {
        mv_bytes_print(bytes, "%*s", width, ".");
    } else if (worst->verdict != MV_VERDICT_PASS || isnan(ratio)) {
        int length = (int)strlen(mv_verdict_name(worst->verdict));
        mv_bytes_print(bytes, "%*s", width - length, "");
        mv_text_verdict(bytes, worst->verdict, length, style);
    } else {
        mv_bytes_print(bytes, "%*s", width, mv_short_number(ratio, true).text);
    }
}

static void put_row_label(mv_bytes *bytes, int64_t chunk)
{
    if (chunk == KEY_MIXED) {
        mv_bytes_text(bytes, "    mixed       ");
    } else if (chunk == KEY_WHOLE) {
        mv_bytes_text(bytes, "    whole       ");
    } else {
        mv_bytes_print(bytes, "    chunk %-6" PRId64, chunk);
    }
}

static int column_label(char label[32], int64_t window)
{
    int length = window == KEY_WHOLE ? snprintf(label, 32, "no window")
                                     : snprintf(label, 32, "W=%" PRId64, window);
    return (length < 7 ? 7 : length) + 2;
}

void mv_text_grid(mv_bytes *bytes, const mv_verify_results *results, size_t first,
                  const mv_report_style *style)
{
    grid_axis rows = {.most = MAX_ROWS};
    grid_axis columns = {.most = MAX_COLUMNS};
    for (size_t i = first; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (mv_group_has(&results->cases[first], one)) {
            if (one->chunk < 0 || one->window < 0) {
                return; /* a suite that has no such axes */
            }
            axis_add(&rows, chunk_key(one));
            axis_add(&columns, window_key(one));
        }
    }
    if (rows.n < 2 || columns.n < 2 || rows.is_full || columns.is_full) {
        return;
    }
    char label[32];
    mv_bytes_text(bytes, "    R rmse      ");
    for (size_t c = 0; c < columns.n; c++) {
        int width = column_label(label, columns.keys[c]);
        mv_bytes_print(bytes, "%*s", width, label);
    }
    mv_bytes_text(bytes, "\n");
    for (size_t r = 0; r < rows.n; r++) {
        put_row_label(bytes, rows.keys[r]);
        for (size_t c = 0; c < columns.n; c++) {
            int width = column_label(label, columns.keys[c]);
            put_cell(bytes, results, first, rows.keys[r], columns.keys[c], width, style);
        }
        mv_bytes_text(bytes, "\n");
    }
}
