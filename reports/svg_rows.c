/* svg_rows.c - a row for each subject along a shared axis: a forest plot where points have
 * intervals, a strip plot where they have none. */
#include "reports/svg.h"

#include <math.h>
#include <string.h>

enum {
    RIGHT = 110,
    PLOT = 430,
    ROW = 24,
    STACKED_ROW = 38,
    TOP = 26,
    BOTTOM = 46,
    LABEL_MOST = 76,
    GUIDE_MOST = 24
};

/* Long labels stand above their rows: beside them they would push the chart out of a narrow
 * window. */
static bool is_stacked(const mv_rows *chart)
{
    double widest = 0;
    for (size_t r = 0; r < chart->n_rows; r++) {
        widest = fmax(widest, mv_svg_text_width(chart->rows[r].label, LABEL_MOST));
    }
    return widest > 230;
}

static double row_height(const mv_rows *chart)
{
    return is_stacked(chart) ? STACKED_ROW : ROW;
}

/* The middle of the marks of a row. */
static double row_at(const mv_rows *chart, size_t r)
{
    double height = row_height(chart);
    return TOP + ((double)r + 0.5) * height + (is_stacked(chart) ? 9 : 0);
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
    double left = 0;
    double low = INFINITY, high = -INFINITY;
    for (size_t r = 0; r < chart->n_rows; r++) {
        left = fmax(left, 1.06 * mv_svg_text_width(chart->rows[r].label, LABEL_MOST) + 22);
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
    left = is_stacked(chart) ? 14 : left;
    return mv_scale_make(low, high, chart->x_is_log, left, left + PLOT);
}

static void put_axis(mv_bytes *bytes, const mv_rows *chart, const mv_scale *scale, double floor_y)
{
    double ticks[MV_MAX_TICKS];
    size_t n = mv_scale_ticks(scale, ticks);
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0; i < n; i++) {
        double x = mv_scale_at(scale, ticks[i]);
        mv_svg_line(bytes, x, TOP, x, floor_y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    double last = -100;
    for (size_t i = 0; i < n; i++) {
        double x = mv_scale_at(scale, ticks[i]);
        if (x - last >= 34) {
            mv_svg_text(bytes, x, floor_y + 16, "middle", mv_si_number(ticks[i]).text, 12);
            last = x;
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, (scale->from + scale->to) / 2, floor_y + 36, "middle", chart->x_name, 90);
    mv_svg_close(bytes);
}

/* Two labels that would lie on each other lean away from each other. */
static const char *anchor_of(const mv_rows *chart, const mv_scale *scale, size_t at)
{
    const mv_guide *one = &chart->guides[at];
    double width = mv_svg_text_width(one->label, GUIDE_MOST);
    bool has_left = false, has_right = false;
    for (size_t g = 0; g < chart->n_guides; g++) {
        const mv_guide *other = &chart->guides[g];
        double apart = mv_scale_at(scale, other->value) - mv_scale_at(scale, one->value);
        if (g != at &&
            fabs(apart) < (width + mv_svg_text_width(other->label, GUIDE_MOST)) / 2 + 6) {
            has_left = has_left || apart < 0;
            has_right = has_right || apart >= 0;
        }
    }
    return has_left == has_right ? "middle" : has_left ? "start" : "end";
}

static void put_guides(mv_bytes *bytes, const mv_rows *chart, const mv_scale *scale, double floor_y)
{
    mv_svg_open(bytes, "guide", "stroke=\"#57606a\" stroke-dasharray=\"4 3\"");
    for (size_t g = 0; g < chart->n_guides; g++) {
        double x = mv_scale_at(scale, chart->guides[g].value);
        mv_svg_line(bytes, x, TOP - 6, x, floor_y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    for (size_t g = 0; g < chart->n_guides; g++) {
        const char *anchor = anchor_of(chart, scale, g);
        double x = mv_scale_at(scale, chart->guides[g].value);
        x += strcmp(anchor, "end") == 0 ? 4 : strcmp(anchor, "start") == 0 ? -4 : 0;
        mv_svg_text(bytes, x, TOP - 11, anchor, chart->guides[g].label, GUIDE_MOST);
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

void mv_svg_rows(mv_bytes *bytes, const mv_rows *chart)
{
    mv_scale scale = make_scale(chart);
    double floor_y = TOP + (double)chart->n_rows * row_height(chart);
    mv_svg_begin(bytes, scale.to + RIGHT, floor_y + BOTTOM, chart->label);
    put_axis(bytes, chart, &scale, floor_y);
    put_guides(bytes, chart, &scale, floor_y);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t r = 0; r < chart->n_rows; r++) {
        double y = row_at(chart, r) + 4;
        if (is_stacked(chart)) {
            mv_svg_text(bytes, 2, y - 19, "start", chart->rows[r].label, LABEL_MOST);
        } else {
            mv_svg_text(bytes, scale.from - 14, y, "end", chart->rows[r].label, LABEL_MOST);
        }
        mv_svg_text(bytes, scale.to + 14, y, "start", chart->rows[r].note, 18);
    }
    mv_svg_close(bytes);
    for (size_t r = 0; r < chart->n_rows; r++) {
        double y = row_at(chart, r);
        put_points(bytes, chart, &chart->rows[r], &scale, y, false);
        put_points(bytes, chart, &chart->rows[r], &scale, y, true);
    }
    mv_svg_end(bytes);
}
