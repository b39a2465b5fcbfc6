/* svg_divergence_steps.c - the operations of a failed case against their limits, in the order of
 * the forward pass. Few elements, whatever the model: the bars are two paths, and words are on
 * whole layers where operations are many. */
#include "reports/svg.h"

#include <inttypes.h>
#include <math.h>

enum { LEFT = 50, RIGHT = 14, WIDTH = MV_SVG_WIDTH - LEFT - RIGHT, MOST_TIPS = 128 };

typedef struct steps_frame {
    const mv_divergence *profile;
    mv_scale y;
    double top, floor_y, bar;
} steps_frame;

static double step_x(const steps_frame *frame, size_t i)
{
    return LEFT + (double)i * frame->bar;
}

static double step_y(const steps_frame *frame, const mv_divergence_step *step)
{
    const double most = fmin(step->times_limit, frame->y.high);
    return fmin(mv_scale_at(&frame->y, most), frame->floor_y - 2); /* a stub, where it is nothing */
}

static steps_frame make_steps_frame(const mv_divergence *profile)
{
    steps_frame frame = {.profile = profile, .top = 46, .floor_y = 216};
    double low = 0.3, high = 10;
    for (size_t i = 0; i < profile->n_steps; i++) {
        const double value = profile->steps[i].times_limit;
        low = value > 0 && value < low ? value : low;
        high = value > high && value < INFINITY ? value : high;
    }
    frame.y = mv_scale_make(fmax(low / 3, 1e-3), fmin(high, 1e15), true, frame.floor_y, frame.top);
    frame.bar = (double)WIDTH / (double)profile->n_steps;
    return frame;
}

/* Where the steps of the layer of step i end. */
static size_t layer_end(const mv_divergence *profile, size_t i)
{
    const int32_t layer = profile->steps[i].layer;
    const int64_t row = layer / profile->layers_per_row;
    for (; i < profile->n_steps; i++) {
        const int32_t other = profile->steps[i].layer;
        if ((layer < 0) != (other < 0) || (layer >= 0 && other / profile->layers_per_row != row)) {
            break;
        }
    }
    return i;
}

static void put_layers(mv_bytes *bytes, const steps_frame *frame)
{
    const mv_divergence *profile = frame->profile;
    double last = -100;
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0, end; i < profile->n_steps; i = end) {
        end = layer_end(profile, i);
        if (i > 0 && frame->bar * (double)(end - i) > 3) {
            mv_svg_line(bytes, step_x(frame, i), frame->top, step_x(frame, i), frame->floor_y);
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0, end; i < profile->n_steps; i = end) {
        const int32_t layer = profile->steps[i].layer;
        end = layer_end(profile, i);
        if (layer >= 0) {
            const double x = (step_x(frame, i) + step_x(frame, end)) / 2;
            const mv_short text =
                mv_si_number((double)(layer / profile->layers_per_row * profile->layers_per_row));
            const double half = mv_svg_text_width(text.text, 8) / 2;
            if (x - half > last + 6) {
                mv_svg_text(bytes, x, frame->floor_y + 18, "middle", text.text, 8);
                last = x + half;
            }
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, MV_SVG_WIDTH / 2.0, frame->floor_y + 37, "middle",
                "layer, its operations in their order", 60);
    mv_svg_text(bytes, 2, 12, "start", "error / limit", 60);
    mv_svg_close(bytes);
}

static void put_limits(mv_bytes *bytes, const steps_frame *frame)
{
    double ticks[MV_MAX_TICKS];
    const size_t n = mv_scale_ticks(&frame->y, ticks);
    const double limit = mv_scale_at(&frame->y, 1);
    mv_svg_open(bytes, "grid", "stroke=\"#d8dee4\"");
    for (size_t i = 0; i < n; i++) {
        const double y = mv_scale_at(&frame->y, ticks[i]);
        mv_svg_line(bytes, LEFT, y, LEFT + WIDTH, y);
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t i = 0; i < n; i++) {
        const double y = mv_scale_at(&frame->y, ticks[i]);
        if (fabs(y - limit) > 14 || fabs(y - limit) < 1) {
            mv_svg_text(bytes, LEFT - 7, y + 4, "end",
                        fabs(y - limit) < 1 ? "limit" : mv_si_number(ticks[i]).text, 12);
        }
    }
    mv_svg_close(bytes);
    mv_svg_open(bytes, "axis", "stroke=\"#57606a\"");
    mv_svg_line(bytes, LEFT, frame->floor_y, LEFT + WIDTH, frame->floor_y);
    mv_svg_close(bytes);
    mv_svg_open(bytes, "guide", "stroke=\"#57606a\" stroke-dasharray=\"6 3\"");
    mv_svg_line(bytes, LEFT, limit, LEFT + WIDTH, limit);
    mv_svg_close(bytes);
}

static void put_bars(mv_bytes *bytes, const steps_frame *frame, bool is_bad)
{
    const double gap = frame->bar > 4 ? 1.4 : frame->bar > 2 ? 0.6 : 0;
    mv_bytes_text(bytes, is_bad ? "<g class=\"field wrong\" fill=\"#b3261e\">\n<path d=\"M0 0"
                                : "<g class=\"field right\" fill=\"#0072b2\">\n<path d=\"M0 0");
    for (size_t i = 0; i < frame->profile->n_steps; i++) {
        const mv_divergence_step *step = &frame->profile->steps[i];
        if (!(step->times_limit <= 1) == is_bad) {
            const double y = step_y(frame, step);
            mv_svg_box(bytes, step_x(frame, i) + gap / 2, y, frame->bar - gap, frame->floor_y - y);
        }
    }
    mv_bytes_text(bytes, "\"/>\n");
    mv_svg_close(bytes);
}

static void put_step_tips(mv_bytes *bytes, const steps_frame *frame)
{
    const mv_divergence *profile = frame->profile;
    const bool each = profile->n_steps <= MOST_TIPS;
    mv_svg_open(bytes, "field", "fill=\"none\"");
    for (size_t i = 0, end; i < profile->n_steps; i = end) {
        char tip[160];
        size_t worst = i;
        end = each ? i + 1 : layer_end(profile, i);
        for (size_t j = i; j < end; j++) {
            worst = profile->steps[j].times_limit > profile->steps[worst].times_limit ? j : worst;
        }
        const mv_divergence_step *step = &profile->steps[worst];
        (void)snprintf(tip, sizeof tip, "%s, %s: error / limit %s%s", mv_step_layer(step).text,
                       step->op, mv_times_limit(step->times_limit).text,
                       each ? "" : ", the worst of its operations");
        mv_svg_rect(bytes, step_x(frame, i), frame->top, frame->bar * (double)(end - i),
                    frame->floor_y - frame->top, "pt ghost", tip);
    }
    mv_svg_close(bytes);
}

/* The name of the first wrong one stands above the bars, and a line leads down to it. */
static void put_first(mv_bytes *bytes, const steps_frame *frame)
{
    const int64_t first = mv_divergence_first(frame->profile);
    char text[96];
    if (first < 0) {
        return;
    }
    const mv_divergence_step *step = &frame->profile->steps[first];
    const double x = step_x(frame, (size_t)first) + frame->bar / 2, y = step_y(frame, step);
    (void)snprintf(text, sizeof text, "first wrong: %s%s%s",
                   step->layer >= 0 ? mv_step_layer(step).text : "", step->layer >= 0 ? ", " : "",
                   step->op);
    const double width = mv_svg_text_width(text, 46);
    const double from = fmax(LEFT, fmin(x - width / 2, LEFT + WIDTH - width));
    mv_svg_open(bytes, "wrong", "fill=\"#b3261e\" stroke=\"#b3261e\"");
    mv_svg_line(bytes, x, 38, x, y);
    mv_svg_mark(bytes, MV_SHAPE_DIAMOND, x, y, NULL);
    mv_bytes_text(bytes, "<g stroke=\"none\" font-weight=\"bold\">\n");
    mv_svg_text(bytes, from, 33, "start", text, 46);
    mv_svg_close(bytes);
    mv_svg_close(bytes);
}

void mv_svg_divergence_steps(mv_bytes *bytes, const mv_divergence *profile, const char *label)
{
    const steps_frame frame = make_steps_frame(profile);
    mv_svg_begin(bytes, frame.floor_y + 44, label);
    put_limits(bytes, &frame);
    put_layers(bytes, &frame);
    put_bars(bytes, &frame, false);
    put_bars(bytes, &frame, true);
    put_first(bytes, &frame);
    put_step_tips(bytes, &frame);
    mv_svg_end(bytes);
}
