/* svg_plot.c - lines with intervals, on linear or logarithmic axes. */
#include "reports/svg.h"

#include <math.h>
#include <string.h>

#include "reports/html_parts.h"

enum { WIDTH = MV_SVG_WIDTH, LEFT = 50, RIGHT = 14, PLOT_HEIGHT = 200, BOTTOM = 44, KEY_ROW = 19 };

static const char *const dashes[MV_N_SERIES_STYLES] = {"", "7 3", "2 3", "9 3 2 3", "5 2", "1 4"};

typedef struct plot_frame {
    mv_scale x, y;
    double top, floor_y;
    double x_ticks[MV_MAX_TICKS];
    size_t n_x_ticks;
} plot_frame;

static bool is_drawn(const mv_plot *plot, const mv_point *point)
{
    return isfinite(point->x) && isfinite(point->y) && (!plot->x_is_log || point->x > 0) &&
           (!plot->y_is_log || point->y > 0);
}

static void widen(double value, bool is_log, double *low, double *high)
{
    if (isfinite(value) && (!is_log || value > 0)) {
        *low = value < *low ? value : *low;
        *high = value > *high ? value : *high;
    }
}

/* Where only a few values of x were measured, these are the best ticks. Returns false if there are
 * too many. */
static bool add_tick(plot_frame *frame, double value)
{
    size_t at = 0;
    while (at < frame->n_x_ticks && frame->x_ticks[at] < value) {
        at++;
    }
    if (at < frame->n_x_ticks && !(frame->x_ticks[at] > value)) {
        return true;
    }
    if (frame->n_x_ticks == 14) {
        return false;
    }
    memmove(&frame->x_ticks[at + 1], &frame->x_ticks[at],
            (frame->n_x_ticks - at) * sizeof *frame->x_ticks);
    frame->x_ticks[at] = value;
    frame->n_x_ticks++;
    return true;
}

/* The place of the key of series s, two in a row where both are short. Returns the y of its text.
 */
static double key_place(const mv_plot *plot, size_t s, double *x)
{
    const double half = (WIDTH - LEFT - RIGHT) / 2.0;
    double y = 32;
    bool is_right = false;
    for (size_t i = 0; i <= s; i++) {
        bool fits = mv_svg_text_width(plot->series[i].name, 96) + 34 < half;
        bool is_beside = i > 0 && !is_right && fits &&
                         mv_svg_text_width(plot->series[i - 1].name, 96) + 34 < half;
        y += i > 0 && !is_beside ? KEY_ROW : 0;
        is_right = is_beside;
    }
    *x = is_right ? LEFT + half : LEFT;
    return y;
}

/* Returns false if nothing can be drawn. */
static bool make_frame(plot_frame *frame, const mv_plot *plot)
{
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    bool few = true;
    memset(frame, 0, sizeof *frame);
    for (size_t s = 0; s < plot->n_series; s++) {
        for (size_t p = 0; p < plot->series[s].n_points; p++) {
            const mv_point *point = &plot->series[s].points[p];
            if (is_drawn(plot, point)) {
                widen(point->x, plot->x_is_log, &x_low, &x_high);
                widen(point->y, plot->y_is_log, &y_low, &y_high);
                widen(point->low, plot->y_is_log, &y_low, &y_high);
                widen(point->high, plot->y_is_log, &y_low, &y_high);
                few = few && (plot->series[s].is_guide || add_tick(frame, point->x));
            }
        }
    }
    if (!(x_low <= x_high) || !(y_low <= y_high)) {
        return false;
    }
    for (size_t g = 0; g < plot->n_guides; g++) {
        widen(plot->guides[g].value, plot->x_is_log, &x_low, &x_high);
    }
    if (!plot->y_is_log && !plot->y_is_free) {
        y_low = 0; /* a bar of speed that starts at 90 % of it would lie */
    }
    double unused;
    frame->top = 12 + (plot->n_series > 0 ? key_place(plot, plot->n_series - 1, &unused) : 12) +
                 (plot->n_guides > 0 ? 18 : 0);
    frame->floor_y = frame->top + PLOT_HEIGHT;
    frame->x = mv_scale_make(x_low, x_high, plot->x_is_log, LEFT, WIDTH - RIGHT);
    frame->y = mv_scale_make(y_low, y_high, plot->y_is_log, frame->floor_y, frame->top);
    if (few) { /* then the axis need not be round */
        double pad = plot->x_is_log ? 1.15 : (x_high - x_low) / 20;
        if (x_high > x_low) {
            frame->x.low = plot->x_is_log ? x_low / pad : x_low - pad;
            frame->x.high = plot->x_is_log ? x_high * pad : x_high + pad;
        }
    } else {
        frame->n_x_ticks = mv_scale_ticks(&frame->x, frame->x_ticks);
    }
    return true;
}

static void put_axes(mv_bytes *bytes, const mv_plot *plot, const plot_frame *frame)
{
    double ticks[MV_MAX_TICKS], last = -100;
    size_t n = mv_scale_ticks(&frame->y, ticks);
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0; i < n; i++) {
        double y = mv_scale_at(&frame->y, ticks[i]);
        mv_svg_line(bytes, LEFT, y, WIDTH - RIGHT, y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "axis", "stroke=\"#57606a\"");
    mv_svg_line(bytes, LEFT, frame->floor_y, WIDTH - RIGHT, frame->floor_y);
    for (size_t i = 0; i < frame->n_x_ticks; i++) {
        double x = mv_scale_at(&frame->x, frame->x_ticks[i]);
        mv_svg_line(bytes, x, frame->floor_y, x, frame->floor_y + 4);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0; i < n; i++) {
        mv_svg_text(bytes, LEFT - 7, mv_scale_at(&frame->y, ticks[i]) + 4, "end",
                    mv_si_number(ticks[i]).text, 12);
    }
    for (size_t i = 0; i < frame->n_x_ticks; i++) {
        double x = mv_scale_at(&frame->x, frame->x_ticks[i]);
        mv_short label = mv_si_number(frame->x_ticks[i]);
        double half = mv_svg_text_width(label.text, 12) / 2;
        if (x - half > last + 5) {
            mv_svg_text(bytes, x, frame->floor_y + 18, "middle", label.text, 12);
            last = x + half;
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, WIDTH / 2.0, frame->floor_y + 37, "middle", plot->x_name, 60);
    mv_svg_text(bytes, 2, 12, "start", plot->y_name, 60);
    mv_svg_close(bytes);
}

static void put_guides(mv_bytes *bytes, const mv_plot *plot, const plot_frame *frame)
{
    mv_svg_open(bytes, "guide", "stroke=\"#57606a\" stroke-dasharray=\"4 3\"");
    for (size_t g = 0; g < plot->n_guides; g++) {
        double x = mv_scale_at(&frame->x, plot->guides[g].value);
        mv_svg_line(bytes, x, frame->top - 4, x, frame->floor_y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    double last = -100;
    for (size_t g = 0; g < plot->n_guides; g++) {
        double x = mv_scale_at(&frame->x, plot->guides[g].value);
        if (x - last > 60) {
            bool is_right = x > WIDTH - RIGHT - 40;
            mv_svg_text(bytes, x + (is_right ? 4 : 0), frame->top - 8, is_right ? "end" : "middle",
                        plot->guides[g].label, 16);
            last = x;
        }
    }
    mv_svg_close(bytes);
}

static void put_path(mv_bytes *bytes, const mv_plot *plot, const plot_frame *frame,
                     const mv_series *series)
{
    char command = 'M';
    mv_bytes_text(bytes, "<path class=\"line\" fill=\"none\" d=\"");
    for (size_t p = 0; p < series->n_points; p++) {
        const mv_point *point = &series->points[p];
        if (is_drawn(plot, point)) {
            mv_bytes_print(bytes, "%c", command);
            mv_svg_number(bytes, mv_scale_at(&frame->x, point->x));
            mv_bytes_text(bytes, " ");
            mv_svg_number(bytes, mv_scale_at(&frame->y, point->y));
            command = 'L';
        }
    }
    mv_bytes_text(bytes, command == 'M' ? "M0 0\"/>\n" : "\"/>\n");
}

static void put_points(mv_bytes *bytes, const mv_plot *plot, const plot_frame *frame,
                       const mv_series *series, mv_shape shape)
{
    for (size_t p = 0; p < series->n_points; p++) {
        const mv_point *point = &series->points[p];
        if (!is_drawn(plot, point)) {
            continue;
        }
        double x = mv_scale_at(&frame->x, point->x);
        if (isfinite(point->low) && isfinite(point->high)) {
            double low = mv_scale_at(&frame->y, point->low);
            double high = mv_scale_at(&frame->y, point->high);
            mv_svg_line(bytes, x, low, x, high);
            mv_svg_line(bytes, x - 4, low, x + 4, low);
            mv_svg_line(bytes, x - 4, high, x + 4, high);
        }
        mv_svg_mark(bytes, shape, x, mv_scale_at(&frame->y, point->y), point->tip);
    }
}

/* Opens the group of a series: its colour and its dash. */
static void open_series(mv_bytes *bytes, const mv_series *series, size_t style)
{
    char attributes[96], classes[24];
    (void)snprintf(classes, sizeof classes, "s%zu%s", style, series->is_guide ? " roof" : "");
    (void)snprintf(attributes, sizeof attributes, "fill=\"%s\" stroke=\"%s\"%s%s%s",
                   mv_series_colors[style], mv_series_colors[style],
                   series->is_guide || style > 0 ? " stroke-dasharray=\"" : "",
                   series->is_guide ? "8 4"
                   : style > 0      ? dashes[style]
                                    : "",
                   series->is_guide || style > 0 ? "\"" : "");
    mv_svg_open(bytes, classes, attributes);
}

static void put_legend(mv_bytes *bytes, const mv_plot *plot)
{
    for (size_t s = 0; s < plot->n_series; s++) {
        double x, y = key_place(plot, s, &x);
        open_series(bytes, &plot->series[s], s % MV_N_SERIES_STYLES);
        if (!plot->series[s].is_scatter) {
            mv_svg_line(bytes, x, y - 4, x + 26, y - 4);
        }
        if (!plot->series[s].is_guide) {
            mv_svg_mark(bytes, (mv_shape)(s % MV_SHAPE_CROSS), x + 13, y - 4, NULL);
        }
        mv_svg_close(bytes);
        mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
        mv_svg_text(bytes, x + 32, y, "start", plot->series[s].name, 40);
        mv_svg_close(bytes);
    }
}

void mv_svg_plot(mv_bytes *bytes, const mv_plot *plot)
{
    plot_frame frame;
    if (!make_frame(&frame, plot)) {
        return;
    }
    mv_svg_begin(bytes, frame.floor_y + BOTTOM, plot->label);
    put_axes(bytes, plot, &frame);
    put_guides(bytes, plot, &frame);
    put_legend(bytes, plot);
    for (size_t s = 0; s < plot->n_series; s++) {
        mv_bytes_text(bytes, "<g class=\"series\" data-name=\"");
        mv_html_put(bytes, plot->series[s].name);
        mv_bytes_text(bytes, "\">\n");
        open_series(bytes, &plot->series[s], s % MV_N_SERIES_STYLES);
        if (!plot->series[s].is_scatter) {
            put_path(bytes, plot, &frame, &plot->series[s]);
        }
        if (!plot->series[s].is_guide) {
            put_points(bytes, plot, &frame, &plot->series[s], (mv_shape)(s % MV_SHAPE_CROSS));
        }
        mv_svg_close(bytes);
        mv_svg_close(bytes);
    }
    mv_svg_end(bytes);
}
