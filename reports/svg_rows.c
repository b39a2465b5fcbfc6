/* svg_rows.c - a row for each subject along a shared axis: a forest plot where points have
 * intervals, a strip plot where they have none. */
#include "reports/svg.h"

#include <math.h>

enum {
    NOTE = 82, /* room for a note at the right */
    LEFT_MOST = 140,
    ROW = 26,
    POINTS = 18, /* of a row whose label stands above */
    TOP = 28,
    BOTTOM = 44,
    LABEL_MOST = 40,
    NOTE_MOST = 11,
    GUIDE_MOST = 24,
    MOST_GUIDES = 8,
    MARGIN = 12
};

/* Long labels stand above their rows: beside them they would leave no room for the points. */
static bool is_stacked(const mv_rows *chart)
{
    for (size_t r = 0; r < chart->n_rows; r++) {
        if (mv_svg_text_width(chart->rows[r].label, LABEL_MOST) > LEFT_MOST) {
            return true;
        }
    }
    return false;
}

/* bytes NULL: only counts the lines. */
static size_t put_label(mv_bytes *bytes, const mv_chart_row *row, double y)
{
    double note = row->note[0] != '\0' ? mv_svg_text_width(row->note, NOTE_MOST) + 12 : 0;
    return mv_svg_lines(bytes, 2, y, row->label, MV_SVG_WIDTH - 4 - note, MV_SVG_WIDTH - 4);
}

static double row_height(const mv_rows *chart, size_t r)
{
    return is_stacked(chart)
               ? POINTS + MV_SVG_LINE * (double)put_label(NULL, &chart->rows[r], 0) + 6
               : ROW;
}

static void widen(double value, bool is_log, double *low, double *high)
{
    if (isfinite(value) && (!is_log || value > 0)) {
        *low = value < *low ? value : *low;
        *high = value > *high ? value : *high;
    }
}

static mv_scale make_scale(const mv_rows *chart)
{
    const bool stacked = is_stacked(chart);
    double left = 0, low = INFINITY, high = -INFINITY;
    for (size_t r = 0; r < chart->n_rows; r++) {
        left = fmax(left, mv_svg_text_width(chart->rows[r].label, LABEL_MOST) + 16);
        for (size_t p = 0; p < chart->rows[r].n_points; p++) {
            const mv_point *point = &chart->rows[r].points[p];
            widen(point->x, chart->x_is_log, &low, &high);
            widen(point->low, chart->x_is_log, &low, &high);
            widen(point->high, chart->x_is_log, &low, &high);
        }
    }
    for (size_t g = 0; g < chart->n_guides; g++) {
        widen(chart->guides[g].value, chart->x_is_log, &low, &high);
    }
    if (!(low <= high)) {
        low = high = 1;
    }
    return mv_scale_make(low, high, chart->x_is_log, stacked ? MARGIN : left,
                         MV_SVG_WIDTH - (stacked ? MARGIN : NOTE));
}

static void put_axis(mv_bytes *bytes, const mv_rows *chart, const mv_scale *scale, double floor_y)
{
    double ticks[MV_MAX_TICKS], last = -100;
    size_t n = mv_scale_ticks(scale, ticks);
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0; i < n; i++) {
        double x = mv_scale_at(scale, ticks[i]);
        mv_svg_line(bytes, x, TOP, x, floor_y);
    }
    double top = TOP;
    for (size_t r = 0; r < chart->n_rows; top += row_height(chart, r++)) {
        mv_svg_line(bytes, 0, top, MV_SVG_WIDTH, top);
    }
    mv_svg_line(bytes, 0, floor_y, MV_SVG_WIDTH, floor_y);
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0; i < n; i++) {
        const mv_short label = mv_si_number(ticks[i]);
        double half = mv_svg_text_width(label.text, 12) / 2;
        double x = fmin(fmax(mv_scale_at(scale, ticks[i]), half), MV_SVG_WIDTH - half);
        if (x - half > last + 5) {
            mv_svg_text(bytes, x, floor_y + 17, "middle", label.text, 12);
            last = x + half;
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, MV_SVG_WIDTH / 2.0, floor_y + 36, "middle", chart->x_name, 62);
    mv_svg_close(bytes);
}

/* Where the middles of the labels of guides go: above their lines, but over no edge and not on each
 * other, for which they are moved apart. */
static void place_labels(double middles[MOST_GUIDES], const mv_rows *chart, const mv_scale *scale,
                         size_t n)
{
    size_t order[MOST_GUIDES];
    double free_from = 0, free_to = MV_SVG_WIDTH;
    for (size_t g = 0; g < n; g++) {
        size_t at = g;
        for (; at > 0 && chart->guides[order[at - 1]].value > chart->guides[g].value; at--) {
            order[at] = order[at - 1];
        }
        order[at] = g;
    }
    for (size_t i = 0; i < n; i++) {
        const mv_guide *guide = &chart->guides[order[i]];
        const double half = mv_svg_text_width(guide->label, GUIDE_MOST) / 2;
        middles[order[i]] = fmax(mv_scale_at(scale, guide->value), free_from + half);
        free_from = middles[order[i]] + half + 6;
    }
    for (size_t i = n; i-- > 0;) {
        const double half = mv_svg_text_width(chart->guides[order[i]].label, GUIDE_MOST) / 2;
        middles[order[i]] = fmin(middles[order[i]], free_to - half);
        free_to = middles[order[i]] - half - 6;
    }
}

static void put_guides(mv_bytes *bytes, const mv_rows *chart, const mv_scale *scale, double floor_y)
{
    const size_t n = chart->n_guides < MOST_GUIDES ? chart->n_guides : MOST_GUIDES;
    double middles[MOST_GUIDES];
    place_labels(middles, chart, scale, n);
    mv_svg_open(bytes, "guide", "stroke=\"#57606a\" stroke-dasharray=\"4 3\"");
    for (size_t g = 0; g < n; g++) {
        double x = mv_scale_at(scale, chart->guides[g].value);
        mv_svg_line(bytes, x, TOP - 6, x, floor_y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    for (size_t g = 0; g < n; g++) {
        mv_svg_text(bytes, middles[g], TOP - 12, "middle", chart->guides[g].label, GUIDE_MOST);
    }
    mv_svg_close(bytes);
}

static void put_points(mv_bytes *bytes, const mv_rows *chart, const mv_chart_row *row,
                       const mv_scale *scale, double y, bool bad)
{
    bool any = false;
    for (size_t p = 0; p < row->n_points; p++) {
        const mv_point *point = &row->points[p];
        bool is_bad = row->is_bad != NULL && row->is_bad[p];
        if (is_bad != bad || isnan(point->x) || (chart->x_is_log && !(point->x > 0))) {
            continue;
        }
        if (!any) {
            mv_svg_open(bytes, bad ? "bad dot" : "s0 dot",
                        bad ? "fill=\"#b3261e\" stroke=\"#b3261e\""
                            : "fill=\"#0072b2\" stroke=\"#0072b2\"");
            any = true;
        }
        if (isfinite(point->low) && isfinite(point->high)) {
            double from = mv_scale_at(scale, point->low), to = mv_scale_at(scale, point->high);
            mv_svg_line(bytes, from, y, to, y);
            mv_svg_line(bytes, from, y - 4, from, y + 4);
            mv_svg_line(bytes, to, y - 4, to, y + 4);
        }
        mv_svg_mark(bytes, bad ? MV_SHAPE_CROSS : MV_SHAPE_CIRCLE, mv_scale_at(scale, point->x), y,
                    point->tip);
    }
    if (any) {
        mv_svg_close(bytes);
    }
}

static void put_words(mv_bytes *bytes, const mv_rows *chart, const mv_scale *scale)
{
    double top = TOP;
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t r = 0; r < chart->n_rows; top += row_height(chart, r++)) {
        const mv_chart_row *row = &chart->rows[r];
        const double y = top + 17;
        if (is_stacked(chart)) {
            (void)put_label(bytes, row, y);
            mv_svg_text(bytes, MV_SVG_WIDTH - 2, y, "end", row->note, NOTE_MOST);
        } else {
            mv_svg_text(bytes, scale->from - 14, y, "end", row->label, LABEL_MOST);
            mv_svg_text(bytes, MV_SVG_WIDTH - 2, y, "end", row->note, NOTE_MOST);
        }
    }
    mv_svg_close(bytes);
}

void mv_svg_rows(mv_bytes *bytes, const mv_rows *chart)
{
    mv_scale scale = make_scale(chart);
    double floor_y = TOP, top = TOP;
    for (size_t r = 0; r < chart->n_rows; r++) {
        floor_y += row_height(chart, r);
    }
    mv_svg_begin(bytes, floor_y + BOTTOM, chart->label);
    put_axis(bytes, chart, &scale, floor_y);
    put_guides(bytes, chart, &scale, floor_y);
    put_words(bytes, chart, &scale);
    for (size_t r = 0; r < chart->n_rows; top += row_height(chart, r++)) {
        const double y = is_stacked(chart) ? top + row_height(chart, r) - 12 : top + ROW / 2.0;
        put_points(bytes, chart, &chart->rows[r], &scale, y, false);
        put_points(bytes, chart, &chart->rows[r], &scale, y, true);
    }
    mv_svg_end(bytes);
}
