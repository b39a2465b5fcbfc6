/* svg_bars.c - horizontal bars, each a stack of parts; parts differ in colour and are named in
 * their tips and in the legend, in the same order. */
#include "reports/svg.h"

#include <math.h>

enum {
    BAR = 14,
    TOP = 8,
    BOTTOM = 44,
    KEY_ROW = 19,
    NOTE = 74, /* room for a note at the right */
    NOTE_MOST = 11,
    LABEL_MOST = 50,
    LEFT_MOST = 150
};

static double total_of(const mv_bars *chart, const mv_bar *bar)
{
    double total = 0;
    for (size_t p = 0; p < chart->n_parts; p++) {
        total += bar->parts[p] > 0 && isfinite(bar->parts[p]) ? bar->parts[p] : 0;
    }
    return total;
}

static void put_axis(mv_bytes *bytes, const mv_bars *chart, const mv_scale *scale, double top,
                     double floor_y)
{
    double ticks[MV_MAX_TICKS];
    size_t n = mv_scale_ticks(scale, ticks);
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0; i < n; i++) {
        double x = mv_scale_at(scale, ticks[i]);
        mv_svg_line(bytes, x, top, x, floor_y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0; i < n; i++) {
        const mv_short label = mv_si_number(ticks[i]);
        const double half = mv_svg_text_width(label.text, 12) / 2;
        mv_svg_text(bytes, fmin(fmax(mv_scale_at(scale, ticks[i]), half), MV_SVG_WIDTH - half),
                    floor_y + 17, "middle", label.text, 12);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, MV_SVG_WIDTH / 2.0, floor_y + 36, "middle", chart->x_name, 60);
    mv_svg_close(bytes);
}

static void open_part(mv_bytes *bytes, size_t part)
{
    char classes[24], attributes[32];
    size_t style = part % MV_N_SERIES_STYLES;
    (void)snprintf(classes, sizeof classes, "s%zu part", style);
    (void)snprintf(attributes, sizeof attributes, "fill=\"%s\"", mv_series_colors[style]);
    mv_svg_open(bytes, classes, attributes);
}

static void put_bar(mv_bytes *bytes, const mv_bars *chart, const mv_bar *bar, const mv_scale *scale,
                    double y)
{
    double done = 0;
    for (size_t p = 0; p < chart->n_parts; p++) {
        double value = bar->parts[p];
        if (!(value > 0) || !isfinite(value)) {
            continue;
        }
        char tip[192];
        double from = mv_scale_at(scale, done), to = mv_scale_at(scale, done + value);
        (void)snprintf(tip, sizeof tip, "%s, %s: %s", bar->label, chart->part_names[p],
                       mv_si_number(value).text);
        open_part(bytes, p);
        mv_svg_rect(bytes, from, y, to - from > 1 ? to - from - 0.5 : 0.5, BAR, "pt", tip);
        mv_svg_close(bytes);
        done += value;
    }
}

/* Returns the height of the legend. */
static double put_legend(mv_bytes *bytes, const mv_bars *chart, bool is_drawn)
{
    double x = 2, y = 14;
    for (size_t p = 0; p < chart->n_parts; p++) {
        const double width = 15 + mv_svg_text_width(chart->part_names[p], 24) + 16;
        if (p > 0 && x + width > MV_SVG_WIDTH) {
            x = 2;
            y += KEY_ROW;
        }
        if (is_drawn) {
            open_part(bytes, p);
            mv_svg_rect(bytes, x, y - 10, 10, 10, "", NULL);
            mv_svg_close(bytes);
            mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
            mv_svg_text(bytes, x + 15, y, "start", chart->part_names[p], 24);
            mv_svg_close(bytes);
        }
        x += width;
    }
    return y + 4;
}

/* The widest label, with a gap; 0: too wide, they stand above the bars. */
static double left_of(const mv_bars *chart)
{
    double left = 0;
    for (size_t b = 0; b < chart->n_bars; b++) {
        left = fmax(left, mv_svg_text_width(chart->bars[b].label, LABEL_MOST) + 14);
    }
    return left <= LEFT_MOST ? left : 0;
}

void mv_svg_bars(mv_bytes *bytes, const mv_bars *chart)
{
    const double left = left_of(chart), row = left > 0 ? 24 : 42;
    double most = 0;
    for (size_t b = 0; b < chart->n_bars; b++) {
        most = fmax(most, total_of(chart, &chart->bars[b]));
    }
    const bool has_legend = chart->n_parts > 1;
    const double top = TOP + (has_legend ? put_legend(bytes, chart, false) : 0);
    const double floor_y = top + (double)chart->n_bars * row;
    const mv_scale scale = mv_scale_make(0, most > 0 ? most : 1, false, fmax(left, 6),
                                         MV_SVG_WIDTH - (left > 0 ? NOTE : 10));
    mv_svg_begin(bytes, floor_y + BOTTOM, chart->label);
    put_axis(bytes, chart, &scale, top, floor_y);
    if (has_legend) {
        (void)put_legend(bytes, chart, true);
    }
    for (size_t b = 0; b < chart->n_bars; b++) {
        const double y = top + (double)b * row + 17;
        mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
        if (left > 0) {
            mv_svg_text(bytes, left - 10, y, "end", chart->bars[b].label, LABEL_MOST);
        } else {
            mv_svg_text(bytes, 2, y, "start", chart->bars[b].label, LABEL_MOST - 12);
        }
        mv_svg_text(bytes, MV_SVG_WIDTH - 2, y, "end", chart->bars[b].note, NOTE_MOST);
        mv_svg_close(bytes);
        put_bar(bytes, chart, &chart->bars[b], &scale, left > 0 ? y - 12 : y + 5);
    }
    mv_svg_end(bytes);
}
