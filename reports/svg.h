/* svg.h - charts as inline SVG, in bytes that are the same each time.
 *
 * A chart is static: it prints, follows the page's colours by CSS classes, and keeps its own
 * colours (presentation attributes) where CSS is forbidden. Nothing is said by colour alone: series
 * differ in marker and dash, a heat map prints its numbers, what failed is hatched. Every mark
 * carries its words in <title>. Text that is passed in is escaped here.
 *
 * Every chart is MV_SVG_WIDTH units wide and scales with its figure. Its text has 13 units, and
 * room for them: in a window of 400 pixels that is 11 pixels, and where there is more room the
 * page's style takes fewer units. So one drawing serves a telephone, a screen and paper.
 */
#ifndef MV_REPORTS_SVG_H
#define MV_REPORTS_SVG_H

#include "reports/parts.h"

enum { MV_SVG_WIDTH = 420 };

/* ---- scales ---- */

/* From values to pixels. */
typedef struct mv_scale {
    double low, high; /* values, widened to round ones */
    double from, to;  /* pixels; from may be the larger */
    double step;      /* between ticks, if linear */
    bool is_log;
} mv_scale;

/* low and high must be finite, and above 0 if is_log. */
mv_scale mv_scale_make(double low, double high, bool is_log, double from, double to);
double mv_scale_at(const mv_scale *scale, double value); /* clamped to from ... to */

enum { MV_MAX_TICKS = 24 };
size_t mv_scale_ticks(const mv_scale *scale, double ticks[MV_MAX_TICKS]);
mv_short mv_si_number(double value); /* "512", "4096", "20k", "12.5k", "3.1M" */

/* ---- pieces ---- */

typedef enum mv_shape {
    MV_SHAPE_CIRCLE,
    MV_SHAPE_SQUARE,
    MV_SHAPE_TRIANGLE,
    MV_SHAPE_DIAMOND,
    MV_SHAPE_PLUS,
    MV_SHAPE_CROSS
} mv_shape;

enum { MV_N_SERIES_STYLES = 6 };
extern const char *const mv_series_colors[MV_N_SERIES_STYLES]; /* where there is no CSS */

void mv_svg_begin(mv_bytes *bytes, double height, const char *label);
void mv_svg_end(mv_bytes *bytes);
void mv_svg_open(mv_bytes *bytes, const char *classes, const char *attributes); /* <g> */
void mv_svg_close(mv_bytes *bytes);
void mv_svg_number(mv_bytes *bytes, double pixels);
void mv_svg_line(mv_bytes *bytes, double x1, double y1, double x2, double y2);
void mv_svg_rect(mv_bytes *bytes, double x, double y, double width, double height,
                 const char *classes, const char *tip);
/* anchor: "start", "middle", "end". Longer than most characters: cut, with the whole as a tip. */
void mv_svg_text(mv_bytes *bytes, double x, double y, const char *anchor, const char *text,
                 size_t most);
double mv_svg_text_width(const char *text, size_t most); /* about, in units, rather too much */

/* Text in as many lines as it needs, broken at blanks: the first of at most `first` units, the
 * others of at most `width`; y is the base of the first. Returns how many. bytes NULL: only counts.
 */
enum { MV_SVG_LINE = 16 };
size_t mv_svg_lines(mv_bytes *bytes, double x, double y, const char *text, double first,
                    double width);
void mv_svg_mark(mv_bytes *bytes, mv_shape shape, double x, double y, const char *tip);
/* A rectangle as a piece of a path: many are one element. */
void mv_svg_box(mv_bytes *bytes, double x, double y, double width, double height);
void mv_svg_hatch(mv_bytes *bytes, double x, double y, double width, double height);

/* ---- charts ---- */

/* What is not finite is not drawn; low and high (NAN: none) are an interval. */
typedef struct mv_point {
    double x, y, low, high;
    char tip[224];
} mv_point;

typedef struct mv_series {
    const char *name;
    const mv_point *points; /* in order of x */
    size_t n_points;
    bool is_guide;   /* a limit, not a measurement: dashed, no markers */
    bool is_scatter; /* markers alone */
} mv_series;

/* A vertical line. */
typedef struct mv_guide {
    double value;
    char label[32];
} mv_guide;

typedef struct mv_plot {
    const char *label;           /* for who cannot see it */
    const char *x_name, *y_name; /* with the unit */
    bool x_is_log, y_is_log;
    const mv_series *series;
    size_t n_series;
    const mv_guide *guides;
    size_t n_guides;
    bool y_is_free; /* a linear y axis need not begin at 0: for ratios */
} mv_plot;

void mv_svg_plot(mv_bytes *bytes, const mv_plot *plot); /* lines with intervals */

/* One row of a forest or a strip: points along a shared x axis; only x, low, high and tip count.
 * Labels stand left of their rows if all are short, else above them. */
typedef struct mv_chart_row {
    char label[128], note[64]; /* note: a few characters at the right */
    const mv_point *points;
    size_t n_points;
    const bool *is_bad; /* [n_points], or NULL: none */
} mv_chart_row;

typedef struct mv_rows {
    const char *label, *x_name;
    bool x_is_log;
    const mv_chart_row *rows;
    size_t n_rows;
    const mv_guide *guides;
    size_t n_guides;
} mv_rows;

void mv_svg_rows(mv_bytes *bytes, const mv_rows *rows);

/* One cell of a heat map. text "" leaves the cell out. */
typedef struct mv_heat_cell {
    char text[24], tip[192];
    int level; /* 0 ... 4: how dark */
    bool is_bad;
} mv_heat_cell;

typedef struct mv_heat {
    const char *label, *row_name, *column_name;
    const mv_short *rows, *columns; /* labels */
    size_t n_rows, n_columns;
    const mv_heat_cell *cells; /* [n_rows, n_columns] */
} mv_heat;

/* Of more columns than fit side by side: several drawings, each with the labels of the rows. */
void mv_svg_heat(mv_bytes *bytes, const mv_heat *heat);

/* Horizontal bars beside or, if one is long, under their labels, each a stack of parts. */
typedef struct mv_bar {
    char label[96], note[64];
    const double *parts; /* [n_parts] of the chart, none below 0 */
} mv_bar;

typedef struct mv_bars {
    const char *label, *x_name;
    const char *const *part_names; /* [n_parts] */
    size_t n_parts;                /* at most MV_N_SERIES_STYLES */
    const mv_bar *bars;
    size_t n_bars;
} mv_bars;

void mv_svg_bars(mv_bytes *bytes, const mv_bars *bars);

/* The profile of a failed case: error / limit of each operation, on a logarithmic axis with the
 * limit, the first wrong one named; and of each layer by position, what is over the limit hatched.
 * window: marked where positions pass it; 0: none. n_steps must be above 0. */
void mv_svg_divergence_steps(mv_bytes *bytes, const mv_divergence *profile, const char *label);
void mv_svg_divergence_map(mv_bytes *bytes, const mv_divergence *profile, int64_t window,
                           const char *label);

#endif
