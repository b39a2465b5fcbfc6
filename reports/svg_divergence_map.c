/* svg_divergence_map.c - the layers of a failed case by position: how far each is from its limit.
 * A level is one path, however many cells it has; words are on whole rows. */
#include "reports/svg.h"

#include <inttypes.h>
#include <math.h>

enum { LEFT = 50, RIGHT = 14, WIDTH = MV_SVG_WIDTH - LEFT - RIGHT };
enum { N_LEVELS = 5, FIRST_BAD_LEVEL = 2, KEY = 4, MAP_TOP = 52 };

static const struct {
    double most; /* the level holds what is not above it */
    const char *name, *fill;
} levels[N_LEVELS] = {{0.5, "to 0.5", "#eef4f9"},
                      {1, "to 1", "#b5d3e8"},
                      {10, "above 1", "#fbe3e1"},
                      {1000, "above 10", "#f0b6b1"},
                      {INFINITY, "above 1000", "#dd7f78"}};

typedef struct map_frame {
    const mv_divergence *profile;
    size_t n_rows; /* with what is outside of the layers, if there is any */
    double bin, row;
} map_frame;

/* NAN, of a position that was not played, has none. */
static int level_of(double times_limit)
{
    for (int i = 0; i < N_LEVELS; i++) {
        if (times_limit <= levels[i].most) {
            return i;
        }
    }
    return -1;
}

static double row_y(const map_frame *frame, size_t row)
{
    return MAP_TOP + (double)row * frame->row + (row == frame->profile->n_rows ? KEY : 0);
}

static void put_level(mv_bytes *bytes, const map_frame *frame, int level)
{
    const mv_divergence *profile = frame->profile;
    mv_bytes_print(bytes, "<g class=\"field f%d\" fill=\"%s\">\n<path d=\"M0 0", level,
                   level < 0 ? "#ffffff" : levels[level].fill);
    for (size_t r = 0; r < frame->n_rows; r++) {
        for (size_t b = 0, end; b < profile->n_bins; b = end) {
            const int here = level_of(profile->times_limit[r][b]);
            for (end = b + 1; end < profile->n_bins; end++) {
                if (level_of(profile->times_limit[r][end]) != here) {
                    break;
                }
            }
            if (here == level) {
                mv_svg_box(bytes, LEFT + (double)b * frame->bin, row_y(frame, r),
                           (double)(end - b) * frame->bin, frame->row);
            }
        }
    }
    mv_bytes_text(bytes, "\"/>\n");
    mv_svg_close(bytes);
}

/* What is wrong lies below the hatch, and what is right above it: as many bytes, whatever the
 * pattern. */
static void put_cells(mv_bytes *bytes, const map_frame *frame)
{
    const double end = row_y(frame, frame->n_rows - 1) + frame->row;
    for (int level = FIRST_BAD_LEVEL; level < N_LEVELS; level++) {
        put_level(bytes, frame, level);
    }
    mv_svg_hatch(bytes, LEFT + 0.5, MAP_TOP + 0.5, WIDTH - 1, end - MAP_TOP - 1);
    for (int level = -1; level < FIRST_BAD_LEVEL; level++) {
        put_level(bytes, frame, level);
    }
    mv_svg_open(bytes, "between", "stroke=\"#ffffff\"");
    for (size_t r = 1; r < frame->n_rows; r++) {
        const double y = row_y(frame, r);
        mv_svg_line(bytes, LEFT, y, LEFT + WIDTH, y);
    }
    mv_svg_close(bytes);
    if (frame->n_rows > frame->profile->n_rows) { /* no hatch between the layers and the rest */
        mv_svg_open(bytes, "field f-1", "fill=\"#ffffff\"");
        mv_svg_rect(bytes, LEFT, row_y(frame, frame->n_rows - 1) - KEY, WIDTH, KEY, "", NULL);
        mv_svg_close(bytes);
    }
}

static void put_map_rows(mv_bytes *bytes, const map_frame *frame)
{
    const mv_divergence *profile = frame->profile;
    const size_t every = (size_t)ceil(14 / frame->row);
    const double middle = frame->row / 2 + 4.5;
    const bool has_rest = frame->n_rows > profile->n_rows;
    const double rest = has_rest ? row_y(frame, profile->n_rows) : INFINITY;
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t r = 0; r < profile->n_rows; r += every) {
        if (row_y(frame, r) < rest - 13) {
            mv_svg_text(bytes, LEFT - 7, row_y(frame, r) + middle, "end",
                        mv_row_name(profile, r).text, 8);
        }
    }
    if (has_rest) {
        mv_svg_text(bytes, LEFT - 7, rest + middle, "end", "other", 8);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "field", "fill=\"none\"");
    for (size_t r = 0; r < frame->n_rows; r++) {
        const mv_row_text text = mv_divergence_row(profile, r);
        mv_svg_rect(bytes, LEFT, row_y(frame, r), WIDTH, frame->row, "pt ghost", text.text);
    }
    mv_svg_close(bytes);
}

static void put_map_axis(mv_bytes *bytes, const map_frame *frame, int64_t window)
{
    const double floor_y = row_y(frame, frame->n_rows - 1) + frame->row;
    const double most = (double)frame->profile->positions_per_bin * (double)frame->profile->n_bins;
    double ticks[MV_MAX_TICKS];
    mv_scale x = mv_scale_make(0, most, false, LEFT, LEFT + WIDTH);
    x.high = most;
    const size_t n = mv_scale_ticks(&x, ticks);
    mv_svg_open(bytes, "axis", "stroke=\"#57606a\"");
    for (size_t i = 0; i < n; i++) {
        const double at = mv_scale_at(&x, ticks[i]);
        mv_svg_line(bytes, at, floor_y, at, floor_y + 4);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0; i < n; i++) {
        mv_svg_text(bytes, mv_scale_at(&x, ticks[i]), floor_y + 18, "middle",
                    mv_si_number(ticks[i]).text, 8);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, MV_SVG_WIDTH / 2.0, floor_y + 37, "middle", "position in the sequence", 60);
    mv_svg_text(bytes, LEFT - 7, MAP_TOP - 7, "end", "layer", 8);
    mv_svg_close(bytes);
    if (window > 0 && (double)window < most) {
        const double at = mv_scale_at(&x, (double)window);
        mv_svg_open(bytes, "guide", "stroke=\"#57606a\" stroke-dasharray=\"4 3\"");
        mv_svg_line(bytes, at, MAP_TOP - 4, at, floor_y);
        mv_svg_close(bytes);
        mv_svg_open(bytes, "name", "fill=\"#57606a\"");
        mv_svg_text(bytes, at, MAP_TOP - 7, "middle", "W", 8);
        mv_svg_close(bytes);
    }
}

static void put_map_key(mv_bytes *bytes, const map_frame *frame)
{
    double x = 2;
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, x, 12, "start", "error / limit", 60);
    mv_svg_close(bytes);
    x = LEFT;
    for (int level = 0; level < N_LEVELS; level++) {
        bool is_used = false;
        for (size_t r = 0; r < frame->n_rows && !is_used; r++) {
            for (size_t b = 0; b < frame->profile->n_bins && !is_used; b++) {
                is_used = level_of(frame->profile->times_limit[r][b]) == level;
            }
        }
        if (!is_used) {
            continue;
        }
        mv_bytes_print(bytes, "<g class=\"field f%d\" fill=\"%s\">\n", level, levels[level].fill);
        mv_svg_rect(bytes, x, 19, 14, 12, "", NULL);
        mv_svg_close(bytes);
        if (level >= FIRST_BAD_LEVEL) {
            mv_svg_hatch(bytes, x, 19, 14, 12);
        }
        mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
        mv_svg_text(bytes, x + 18, 30, "start", levels[level].name, 12);
        mv_svg_close(bytes);
        x += 26 + mv_svg_text_width(levels[level].name, 12);
    }
}

void mv_svg_divergence_map(mv_bytes *bytes, const mv_divergence *profile, int64_t window,
                           const char *label)
{
    const size_t n = profile->n_rows;
    const map_frame frame = {.profile = profile,
                             .n_rows = n + (mv_row_is_played(profile, n) ? 1 : 0),
                             .bin = (double)WIDTH / (double)profile->n_bins,
                             .row = n <= 8    ? 20
                                    : n <= 16 ? 14
                                    : n <= 32 ? 8
                                              : 6};
    mv_svg_begin(bytes, row_y(&frame, frame.n_rows - 1) + frame.row + 44, label);
    put_map_key(bytes, &frame);
    put_cells(bytes, &frame);
    put_map_rows(bytes, &frame);
    put_map_axis(bytes, &frame, window);
    mv_svg_end(bytes);
}
