/* svg_bars.c - horizontal bars, each a stack of parts; parts differ in colour and are named in
 * their tips and in the legend, in the same order. */
#include "reports/svg.h"

#include <math.h>

enum { RIGHT = 110, LABEL_MOST = 58, PLOT = 430, ROW = 26, BOTTOM = 46, KEY_ROW = 20 };

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
        mv_svg_text(bytes, mv_scale_at(scale, ticks[i]), floor_y + 16, "middle",
                    mv_si_number(ticks[i]).text, 12);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, (scale->from + scale->to) / 2, floor_y + 36, "middle", chart->x_name, 90);
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
        mv_svg_rect(bytes, from, y + 4, to - from > 1 ? to - from - 0.5 : 0.5, ROW - 8, "pt", tip);
        mv_svg_close(bytes);
        done += value;
    }
}

static void put_legend(mv_bytes *bytes, const mv_bars *chart, double left)
{
    double x = left, y = 14;
    for (size_t p = 0; p < chart->n_parts; p++) {
        open_part(bytes, p);
        mv_svg_rect(bytes, x, y - 9, 10, 10, "", NULL);
        mv_svg_close(bytes);
        mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
        mv_svg_text(bytes, x + 15, y, "start", chart->part_names[p], 20);
        mv_svg_close(bytes);
        x += 100;
        if (x + 90 > left + PLOT + RIGHT) {
            x = left;
            y += KEY_ROW;
        }
    }
}

void mv_svg_bars(mv_bytes *bytes, const mv_bars *chart)
{
    double most = 0, left = 0;
    for (size_t b = 0; b < chart->n_bars; b++) {
        double total = total_of(chart, &chart->bars[b]);
        most = total > most ? total : most;
        left = fmax(left, mv_svg_text_width(chart->bars[b].label, LABEL_MOST) + 22);
    }
    double top = chart->n_parts > 1 ? 28 + KEY_ROW * (double)((chart->n_parts - 1) / 5) : 8;
    double floor_y = top + (double)chart->n_bars * ROW;
    mv_scale scale = mv_scale_make(0, most > 0 ? most : 1, false, left, left + PLOT);
    mv_svg_begin(bytes, left + PLOT + RIGHT, floor_y + BOTTOM, chart->label);
    put_axis(bytes, chart, &scale, top, floor_y);
    if (chart->n_parts > 1) {
        put_legend(bytes, chart, left);
    }
    for (size_t b = 0; b < chart->n_bars; b++) {
        double y = top + (double)b * ROW;
        mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
        mv_svg_text(bytes, left - 14, y + ROW / 2.0 + 4, "end", chart->bars[b].label, LABEL_MOST);
        mv_svg_text(bytes, left + PLOT + 14, y + ROW / 2.0 + 4, "start", chart->bars[b].note, 18);
        mv_svg_close(bytes);
        put_bar(bytes, chart, &chart->bars[b], &scale, y);
    }
    mv_svg_end(bytes);
}
