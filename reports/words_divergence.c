/* words_divergence.c - the profile of a failed case in words. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "reports/parts.h"
#include "reports/svg.h"

MV_PRINTF(3, 4) static void say(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

mv_short mv_times_limit(double times_limit)
{
    mv_short out = {""};
    if (!(times_limit < INFINITY)) {
        (void)snprintf(out.text, sizeof out.text, "not finite");
        return out;
    }
    if (times_limit >= 1e15) {
        (void)snprintf(out.text, sizeof out.text, "%.0e", times_limit);
        return out;
    }
    return mv_si_number(times_limit);
}

mv_short mv_step_layer(const mv_divergence_step *step)
{
    mv_short out = {"outside"};
    if (step->layer >= 0) {
        (void)snprintf(out.text, sizeof out.text, "layer %" PRId32, step->layer);
    }
    return out;
}

mv_short mv_row_name(const mv_divergence *d, size_t row)
{
    mv_short out = {"other"};
    const int64_t first = (int64_t)row * d->layers_per_row;
    int64_t last = first + d->layers_per_row - 1;
    last = last < d->n_layers ? last : d->n_layers - 1;
    if (row < d->n_rows) {
        (void)snprintf(out.text, sizeof out.text, last > first ? "%lld-%lld" : "%lld",
                       (long long)first, (long long)last);
    }
    return out;
}

/* "12", or "12 to 15" of bins [first, last]. */
static mv_short bins_name(const mv_divergence *d, size_t first, size_t last)
{
    mv_short out;
    const int64_t from = (int64_t)first * d->positions_per_bin;
    int64_t to = (int64_t)(last + 1) * d->positions_per_bin - 1;
    to = to < d->n_positions ? to : d->n_positions - 1;
    (void)snprintf(out.text, sizeof out.text, to > from ? "%lld to %lld" : "%lld", (long long)from,
                   (long long)to);
    return out;
}

mv_short mv_bin_name(const mv_divergence *d, size_t bin)
{
    return bins_name(d, bin, bin);
}

static bool is_plural(const mv_short *bins)
{
    return strchr(bins->text, ' ') != NULL;
}

/* ---- rows ---- */

static bool is_over(double times_limit)
{
    return times_limit > 1; /* NAN was not played */
}

bool mv_row_is_bad(const mv_divergence *d, size_t row)
{
    for (size_t b = 0; b < d->n_bins; b++) {
        if (is_over(d->times_limit[row][b])) {
            return true;
        }
    }
    return false;
}

bool mv_row_is_played(const mv_divergence *d, size_t row)
{
    for (size_t b = 0; b < d->n_bins; b++) {
        if (!isnan(d->times_limit[row][b])) {
            return true;
        }
    }
    return false;
}

size_t mv_divergence_worst(const mv_divergence *d, size_t row)
{
    size_t worst = 0;
    for (size_t b = 1; b < d->n_bins; b++) {
        if (d->times_limit[row][b] > d->times_limit[row][worst] ||
            isnan(d->times_limit[row][worst])) {
            worst = b;
        }
    }
    return worst;
}

mv_row_text mv_divergence_places(const mv_divergence *d, size_t row)
{
    enum { MOST_RANGES = 5 };
    mv_row_text out = {""};
    size_t n = 0;
    for (size_t b = 0, end; b < d->n_bins; b = end) {
        const bool over = is_over(d->times_limit[row][b]);
        for (end = b + 1; end < d->n_bins && is_over(d->times_limit[row][end]) == over; end++) {
        }
        if (over && n++ < MOST_RANGES) {
            say(out.text, sizeof out.text, "%s%s", n > 1 ? ", " : "",
                bins_name(d, b, end - 1).text);
        }
    }
    if (n > MOST_RANGES) {
        say(out.text, sizeof out.text, " and %zu more stretches", n - MOST_RANGES);
    }
    return out;
}

mv_row_text mv_divergence_row(const mv_divergence *d, size_t row)
{
    mv_row_text out = {""};
    const mv_row_text places = mv_divergence_places(d, row);
    const size_t worst = mv_divergence_worst(d, row);
    const mv_short at = mv_bin_name(d, worst);
    if (row < d->n_rows) {
        say(out.text, sizeof out.text, "layer %s: ", mv_row_name(d, row).text);
    } else {
        say(out.text, sizeof out.text, "outside of the layers: ");
    }
    if (!mv_row_is_played(d, row)) {
        say(out.text, sizeof out.text, "nothing was played");
        return out;
    }
    if (places.text[0] != '\0') {
        say(out.text, sizeof out.text, "over the limit at position%s %s; ",
            strpbrk(places.text, " ,") != NULL ? "s" : "", places.text);
    }
    say(out.text, sizeof out.text, "the worst error / limit is %s, at position%s %s",
        mv_times_limit(d->times_limit[row][worst]).text, is_plural(&at) ? "s" : "", at.text);
    return out;
}

/* ---- findings ---- */

static void say_step(mv_finding *out, const mv_divergence_step *step)
{
    if (step->layer >= 0) {
        say(out->text, sizeof out->text, "layer %" PRId32 ", ", step->layer);
    }
    say(out->text, sizeof out->text, "%s", step->op);
}

mv_finding mv_divergence_steps_finding(const mv_divergence *d)
{
    mv_finding out = {""};
    const int64_t first = mv_divergence_first(d);
    size_t n_later = 0, worst = 0;
    for (size_t i = 0; i < d->n_steps; i++) {
        n_later += (int64_t)i > first && is_over(d->steps[i].times_limit) ? 1 : 0;
        worst = d->steps[i].times_limit > d->steps[worst].times_limit ? i : worst;
    }
    if (first < 0) {
        say(out.text, sizeof out.text, "None of %zu operations is wrong by itself: the worst, ",
            d->n_steps);
        say_step(&out, &d->steps[worst]);
        say(out.text, sizeof out.text,
            ", reaches %s of its limit. What fails lies between them, or between calls.",
            mv_times_limit(d->steps[worst].times_limit).text);
        return out;
    }
    const mv_divergence_step *step = &d->steps[first];
    say(out.text, sizeof out.text, "Of %zu operations the first wrong one is ", d->n_steps);
    say_step(&out, step);
    if (step->times_limit < INFINITY) {
        say(out.text, sizeof out.text, ": its error is %s times its limit",
            mv_times_limit(step->times_limit).text);
    } else {
        say(out.text, sizeof out.text, ": it gives values that are not finite");
    }
    say(out.text, sizeof out.text,
        n_later == 0   ? "; no later one is wrong."
        : n_later == 1 ? "; 1 later one is wrong, too."
                       : "; %zu later ones are wrong, too.",
        n_later);
    return out;
}

/* Where the first wrong row is wrong. */
static void say_where(mv_finding *out, const mv_divergence *d, size_t row, int64_t window)
{
    size_t first = 0, n_bad = 0, n_played = 0;
    for (size_t b = d->n_bins; b > 0; b--) {
        const double here = d->times_limit[row][b - 1];
        n_played += isnan(here) ? 0 : 1;
        n_bad += is_over(here) ? 1 : 0;
        first = is_over(here) ? b - 1 : first;
    }
    const mv_short at = mv_bin_name(d, first);
    if (n_bad == n_played) {
        say(out->text, sizeof out->text, "at every position");
    } else {
        say(out->text, sizeof out->text, "first at position%s %s", is_plural(&at) ? "s" : "",
            at.text);
        if (window > 0 && (int64_t)first == window / d->positions_per_bin) {
            say(out->text, sizeof out->text, ", where the window (W = %" PRId64 ") is passed",
                window);
        }
    }
}

mv_finding mv_divergence_map_finding(const mv_divergence *d, int64_t window)
{
    mv_finding out = {""};
    size_t first = d->n_rows + 1, n_bad = 0, worst = 0;
    for (size_t r = d->n_rows + 1; r > 0; r--) {
        if (mv_row_is_bad(d, r - 1)) {
            first = r - 1;
            n_bad += r <= d->n_rows ? 1 : 0;
        }
    }
    if (first > d->n_rows) {
        say(out.text, sizeof out.text, "No layer is over its limit at any single position.");
        return out;
    }
    worst = first;
    for (size_t r = first; r <= d->n_rows; r++) {
        worst = d->times_limit[r][mv_divergence_worst(d, r)] >
                        d->times_limit[worst][mv_divergence_worst(d, worst)]
                    ? r
                    : worst;
    }
    if (n_bad == 0) {
        say(out.text, sizeof out.text, "Every layer is right; what lies outside of them is wrong ");
    } else if (n_bad == 1) {
        say(out.text, sizeof out.text, "Layer %s alone is over its limit, ",
            mv_row_name(d, first).text);
    } else {
        say(out.text, sizeof out.text, "%zu of %zu %s are over their limit, layer %s ", n_bad,
            d->n_rows, d->layers_per_row > 1 ? "groups of layers" : "layers",
            mv_row_name(d, first).text);
    }
    say_where(&out, d, first, window);
    const size_t bin = mv_divergence_worst(d, worst);
    const mv_short at = mv_bin_name(d, bin);
    say(out.text, sizeof out.text, "; the worst, %s%s, is at position%s %s%s%s.",
        mv_times_limit(d->times_limit[worst][bin]).text,
        d->times_limit[worst][bin] < INFINITY ? " times the limit" : "", is_plural(&at) ? "s" : "",
        at.text, n_bad > 1 && worst < d->n_rows ? " of layer " : "",
        n_bad > 1 && worst < d->n_rows ? mv_row_name(d, worst).text : "");
    return out;
}
