/* svg_scale.c - axes: round limits, round ticks, short labels. */
#include "reports/svg.h"

#include <math.h>
#include <string.h>

/* The largest of 1, 2, 5 times a power of ten that is not above value. */
static double round_down(double value)
{
    double power = pow(10, floor(log10(value)));
    double digit = value / power;
    return (digit >= 5 - 1e-9 ? 5 : digit >= 2 - 1e-9 ? 2 : 1) * power;
}

static double round_up(double value)
{
    double below = round_down(value);
    if (below >= value * (1 - 1e-9)) {
        return below;
    }
    double power = pow(10, floor(log10(below) + 1e-9));
    double digit = below / power;
    return (digit > 4 ? 10 : digit > 1.5 ? 5 : 2) * power;
}

mv_scale mv_scale_make(double low, double high, bool is_log, double from, double to)
{
    mv_scale scale = {.from = from, .to = to, .is_log = is_log};
    if (is_log) {
        scale.low = round_down(low);
        scale.high = round_up(high);
        if (!(scale.high > scale.low * 1.5)) {
            scale.low = round_down(low / 1.5);
            scale.high = round_up(high * 1.5);
        }
        return scale;
    }
    if (!(high > low)) {
        double half = fabs(low) > 0 ? fabs(low) / 2 : 1;
        low -= half;
        high += half;
    }
    scale.step = round_up((high - low) / 6);
    scale.low = floor(low / scale.step + 1e-9) * scale.step;
    scale.high = ceil(high / scale.step - 1e-9) * scale.step;
    return scale;
}

double mv_scale_at(const mv_scale *scale, double value)
{
    double share = scale->is_log
                       ? (value > 0 ? log(value / scale->low) / log(scale->high / scale->low) : 0)
                       : (value - scale->low) / (scale->high - scale->low);
    share = share > 0 ? (share < 1 ? share : 1) : 0; /* NAN becomes 0 */
    return scale->from + share * (scale->to - scale->from);
}

/* Powers of ten, and 2 and 5 between them where there is room. */
static size_t log_ticks(const mv_scale *scale, double ticks[MV_MAX_TICKS])
{
    static const double digits[] = {1, 2, 5};
    double decades = log10(scale->high / scale->low);
    double every = ceil(decades / 8); /* decades from one labelled power to the next */
    size_t n = 0;
    int first = (int)floor(log10(scale->low) + 1e-9);
    for (int power = first; power <= first + 620 && n < MV_MAX_TICKS; power++) {
        for (size_t d = 0; d < (decades <= 3.1 ? 3u : 1u) && n < MV_MAX_TICKS; d++) {
            double value = digits[d] * pow(10, power);
            if (value > scale->high * (1 + 1e-9)) {
                return n;
            }
            if (value >= scale->low * (1 - 1e-9) && (every < 2 || power % (int)every == 0)) {
                ticks[n++] = value;
            }
        }
    }
    return n;
}

size_t mv_scale_ticks(const mv_scale *scale, double ticks[MV_MAX_TICKS])
{
    if (scale->is_log) {
        return log_ticks(scale, ticks);
    }
    size_t n = 0;
    double first = round(scale->low / scale->step);
    for (; n < MV_MAX_TICKS; n++) {
        double value = (first + (double)n) * scale->step;
        if (value > scale->high + scale->step * 1e-6) {
            break;
        }
        ticks[n] = value;
    }
    return n;
}

mv_short mv_si_number(double value)
{
    static const struct {
        double size;
        char letter;
    } prefixes[] = {
        {1e12, 'T'},
        {1e9, 'G'},
        {1e6, 'M'},
        {1e3, 'k'},
    };
    mv_short out = {""};
    const bool is_round = fabs(value) >= 1e4 && !(fabs(value / 1e3 - round(value / 1e3)) > 1e-9);
    if (fabs(value) < 1e5 && !is_round && !(fabs(value - round(value)) > 1e-9)) {
        (void)snprintf(out.text, sizeof out.text, "%.0f", fabs(value) > 0 ? round(value) : 0.0);
        return out;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (fabs(value) >= prefixes[i].size * (i == 3 ? 10 : 1)) {
            out = mv_short_number(value / prefixes[i].size, true);
            size_t length = strlen(out.text);
            if (strchr(out.text, '.') != NULL) { /* "2.50" says no more than "2.5" */
                while (length > 1 && out.text[length - 1] == '0') {
                    length--;
                }
                length -= out.text[length - 1] == '.' ? 1 : 0;
            }
            out.text[length] = prefixes[i].letter;
            out.text[length + 1] = '\0';
            return out;
        }
    }
    out = mv_short_number(value, true);
    size_t length = strlen(out.text);
    while (strchr(out.text, '.') != NULL && strchr(out.text, 'e') == NULL && length > 1 &&
           (out.text[length - 1] == '0' || out.text[length - 1] == '.')) {
        bool was_point = out.text[length - 1] == '.';
        out.text[--length] = '\0';
        if (was_point) {
            break;
        }
    }
    return out;
}
