/* html_bench_attention.c - what the context adds to a decoded token: the time beyond that of the
 * shallowest row of the same configuration, on two logarithmic axes, where a cost that grows as
 * the keys do is a line of slope 1, and a window is a bend into a plateau. The whole token hides
 * this: on a model of real size attention is a few per cent of it. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SERIES = 4, MAX_POINTS = 40, MAX_FIGURES = 4, LEAST_DEPTHS = 3 };

/* The rows of one engine, arithmetic and window, in the order of their depth. */
typedef struct context_line {
    const mv_bench_run *runs[MAX_POINTS];
    size_t n_runs;
    mv_point points[MAX_POINTS];
    size_t n_points, n_lost; /* lost: the interval of the added time holds 0 */
    char name[96];
} context_line;

typedef struct context_chart {
    context_line lines[MAX_SERIES];
    size_t n_lines;
    mv_series series[MAX_SERIES + 2];
    mv_point guides[2][3];
    char guide_names[2][48];
    size_t n_series;
    mv_guide marks[4];
    size_t n_marks;
} context_chart;

/* log y = exponent log x + c */
typedef struct fit {
    double exponent, half_width; /* of the 95 % interval; NAN for two points */
    size_t n;
} fit;

/* ---- rows ---- */

static bool is_same_figure(const mv_bench_run *a, const mv_bench_run *b)
{
    return a->shape.generate == b->shape.generate && a->shape.batch == b->shape.batch &&
           a->shape.threads == b->shape.threads;
}

static bool is_same_line(const mv_bench_run *a, const mv_bench_run *b)
{
    return a->compute == b->compute && a->shape.window == b->shape.window &&
           strcmp(a->backend, b->backend) == 0 && strcmp(a->build_id, b->build_id) == 0;
}

static bool is_usable(const mv_bench_run *run)
{
    return run->phase == MV_BENCH_DECODE && run->tokens_per_s.low > 0 &&
           isfinite(run->tokens_per_s.high);
}

/* Keys that the middle one of the decoded tokens finds, itself included. */
static double keys_of(const mv_bench_run *run)
{
    return (double)run->shape.depth + (double)(run->shape.generate + 1) / 2;
}

static int by_depth(const void *a, const void *b)
{
    const mv_bench_run *left = *(const mv_bench_run *const *)a;
    const mv_bench_run *right = *(const mv_bench_run *const *)b;
    return (left->shape.depth > right->shape.depth) - (left->shape.depth < right->shape.depth);
}

static void add_run(context_chart *chart, const mv_bench_run *run)
{
    size_t l = 0;
    while (l < chart->n_lines && !is_same_line(chart->lines[l].runs[0], run)) {
        l++;
    }
    if (l == MAX_SERIES || chart->lines[l].n_runs == MAX_POINTS) {
        return;
    }
    for (size_t i = 0; i < chart->lines[l].n_runs; i++) {
        if (chart->lines[l].runs[i]->shape.depth == run->shape.depth) {
            return; /* measured twice: the first counts */
        }
    }
    chart->n_lines += l == chart->n_lines ? 1 : 0;
    chart->lines[l].runs[chart->lines[l].n_runs++] = run;
}

/* The interval of a difference from the ends of both: wider than 95 %. */
static void make_points(context_line *line)
{
    const mv_bench_run *first;
    char window[32] = "no window";
    qsort(line->runs, line->n_runs, sizeof *line->runs, by_depth);
    first = line->runs[0];
    if (first->shape.window > 0) {
        (void)snprintf(window, sizeof window, "window %" PRId64, first->shape.window);
    }
    (void)snprintf(line->name, sizeof line->name, "%.50s %s, %s", first->backend,
                   mv_compute_word(first->compute), window);
    const double step = 1e6 * (double)first->shape.batch; /* us of a step that makes a token each */
    for (size_t i = 1; i < line->n_runs; i++) {
        const mv_estimate *now = &line->runs[i]->tokens_per_s, *base = &first->tokens_per_s;
        const mv_point point = {.x = keys_of(line->runs[i]) - keys_of(first),
                                .y = step / now->value - step / base->value,
                                .low = step / now->high - step / base->low,
                                .high = step / now->low - step / base->high};
        if (!(point.low > 0)) {
            line->n_lost++;
            continue;
        }
        mv_point *kept = &line->points[line->n_points++];
        *kept = point;
        (void)snprintf(kept->tip, sizeof kept->tip,
                       "%s, depth %" PRId64 ": %s us more a token (95 %%: %s to %s)", line->name,
                       line->runs[i]->shape.depth, mv_short_number(point.y, true).text,
                       mv_short_number(point.low, true).text,
                       mv_short_number(point.high, true).text);
    }
}

/* ---- what the points say ---- */

/* Where the window begins to bind, on the x axis; INFINITY without one. */
static double bend_of(const context_line *line)
{
    const int64_t window = line->runs[0]->shape.window;
    return window > 0 ? (double)window - keys_of(line->runs[0]) : INFINITY;
}

/* Of the points from low (exclusive) to high (inclusive). */
static fit fit_line(const context_line *line, double low, double high)
{
    static const double t[] = {NAN, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31}; /* 97.5 % */
    double sx = 0, sy = 0, sxx = 0, sxy = 0, rest = 0;
    fit made = {NAN, NAN, 0};
    for (size_t p = 0; p < line->n_points; p++) {
        if (line->points[p].x > low && line->points[p].x <= high) {
            sx += log(line->points[p].x);
            sy += log(line->points[p].y);
            made.n++;
        }
    }
    if (made.n < 2) {
        return made;
    }
    const double n = (double)made.n, mx = sx / n, my = sy / n;
    for (size_t p = 0; p < line->n_points; p++) {
        if (line->points[p].x > low && line->points[p].x <= high) {
            const double dx = log(line->points[p].x) - mx;
            sxx += dx * dx;
            sxy += dx * (log(line->points[p].y) - my);
        }
    }
    made.exponent = sxy / sxx;
    for (size_t p = 0; p < line->n_points; p++) {
        if (line->points[p].x > low && line->points[p].x <= high) {
            const double off =
                log(line->points[p].y) - my - made.exponent * (log(line->points[p].x) - mx);
            rest += off * off;
        }
    }
    const size_t free_n = made.n - 2;
    if (free_n > 0) {
        made.half_width =
            (free_n < sizeof t / sizeof *t ? t[free_n] : 2.26) * sqrt(rest / (double)free_n / sxx);
    }
    return made;
}

static void say_fit(mv_bytes *finding, const fit *made)
{
    mv_bytes_print(finding, " with exponent %.2f", made->exponent);
    if (isfinite(made->half_width)) {
        mv_bytes_print(finding, " \xC2\xB1 %.2f", made->half_width);
    }
    mv_bytes_print(finding, " (%zu depths)", made->n);
}

static void say_line(mv_bytes *finding, const context_line *line)
{
    const double bend = bend_of(line);
    mv_bytes_text(finding, "<b>");
    mv_html_put(finding, line->name);
    mv_bytes_text(finding, "</b>: ");
    if (line->n_points == 0) {
        mv_bytes_print(finding, "what the context adds is lost in the noise at all %zu depths. ",
                       line->n_lost);
        return;
    }
    const mv_point *last = &line->points[line->n_points - 1];
    mv_bytes_print(finding, "%s more a token with %.0f keys more",
                   mv_short_quantity(last->y / 1e6, "s").text, last->x);
    const fit before = fit_line(line, 0, bend), after = fit_line(line, bend, INFINITY);
    if (before.n >= 2) {
        mv_bytes_text(finding, isfinite(bend) ? "; up to the window it grows" : "; it grows");
        say_fit(finding, &before);
    }
    if (after.n >= 2) {
        const mv_point *first = last - (after.n - 1);
        mv_bytes_print(finding, "; past the window %s times the keys take %s times as long,",
                       mv_short_number(last->x / first->x, true).text,
                       mv_short_number(last->y / first->y, true).text);
        say_fit(finding, &after);
    }
    if (line->n_lost > 0) {
        mv_bytes_print(finding, "; %zu depth%s lost in the noise, and not drawn", line->n_lost,
                       line->n_lost == 1 ? " is" : "s are");
    }
    mv_bytes_text(finding, ". ");
}

/* ---- the figure ---- */

static void add_mark(context_chart *chart, const context_line *line)
{
    const double bend = bend_of(line);
    for (size_t i = 0; i < chart->n_marks; i++) {
        if (fabs(chart->marks[i].value - bend) < 0.5) {
            return;
        }
    }
    if (isfinite(bend) && bend > 0 && chart->n_marks < 4) {
        mv_guide *mark = &chart->marks[chart->n_marks++];
        mark->value = bend;
        (void)snprintf(mark->label, sizeof mark->label, "W=%" PRId64, line->runs[0]->shape.window);
    }
}

/* Through the shallowest point that is drawn: as the keys, and as the keys that a window leaves. */
static void add_guides(context_chart *chart)
{
    double low = INFINITY, high = 0, cost = 0, bend = INFINITY;
    for (size_t l = 0; l < chart->n_lines; l++) {
        const context_line *line = &chart->lines[l];
        for (size_t p = 0; p < line->n_points; p++) {
            high = fmax(high, line->points[p].x);
            if (line->points[p].x < low) {
                low = line->points[p].x;
                cost = line->points[p].y / fmin(low, bend_of(line));
            }
        }
        bend = fmin(bend, line->n_points > 0 ? bend_of(line) : INFINITY);
    }
    if (!(high > low)) {
        return;
    }
    const double ends[2][3] = {{low, low, high}, {low, fmax(low, fmin(bend, high)), high}};
    for (size_t g = 0; g < (isfinite(bend) && bend > 0 ? 2 : 1); g++) {
        for (size_t p = 0; p < 3; p++) {
            const double keys = g == 0 ? ends[g][p] : fmin(ends[g][p], bend);
            chart->guides[g][p] =
                (mv_point){.x = ends[g][p], .y = cost * keys, .low = NAN, .high = NAN};
        }
        (void)snprintf(chart->guide_names[g], sizeof chart->guide_names[g],
                       g == 0 ? "n: as the keys" : "W: as the visible keys");
        chart->series[chart->n_series++] =
            (mv_series){chart->guide_names[g], chart->guides[g], 3, true, false};
    }
}

static bool is_worth_it(const context_chart *chart)
{
    for (size_t l = 0; l < chart->n_lines; l++) {
        if (chart->lines[l].n_points >= 2) {
            return true;
        }
    }
    return false;
}

static void put_chart(mv_html *html, context_chart *chart)
{
    const mv_bench_shape *shape = &chart->lines[0].runs[0]->shape;
    mv_bytes finding = {0};
    for (size_t l = 0; l < chart->n_lines; l++) {
        const context_line *line = &chart->lines[l];
        say_line(&finding, line);
        add_mark(chart, line);
        if (line->n_points > 0) {
            chart->series[chart->n_series++] =
                (mv_series){line->name, line->points, line->n_points, false, false};
        }
    }
    add_guides(chart);
    mv_bytes_print(&finding,
                   " <span class=\"chip\">decode, batch %" PRId64 ", %" PRId64 " thread%s</span>",
                   shape->batch, shape->threads, shape->threads == 1 ? "" : "s");
    const mv_plot plot = {.label = "time that the context adds to a token",
                          .x_name = "keys in the cache beyond those of the shallowest row",
                          .y_name = "microseconds more a token",
                          .x_is_log = true,
                          .y_is_log = true,
                          .series = chart->series,
                          .n_series = chart->n_series,
                          .guides = chart->marks,
                          .n_guides = chart->n_marks};
    mv_html_plot(html, &plot, &finding);
    mv_bytes_free(&finding);
}

/* All lines of the figure that run i begins. Returns false if it is not the first of its figure,
 * or if there is nothing to draw. */
static bool collect(context_chart *chart, const mv_bench_results *results, size_t i)
{
    const mv_bench_run *first = &results->runs[i];
    if (!is_usable(first)) {
        return false;
    }
    for (size_t k = 0; k < i; k++) {
        if (is_usable(&results->runs[k]) && is_same_figure(&results->runs[k], first)) {
            return false;
        }
    }
    memset(chart, 0, sizeof *chart);
    for (size_t k = i; k < results->n_runs; k++) {
        if (is_usable(&results->runs[k]) && is_same_figure(&results->runs[k], first)) {
            add_run(chart, &results->runs[k]);
        }
    }
    size_t n = 0;
    for (size_t l = 0; l < chart->n_lines; l++) {
        if (chart->lines[l].n_runs >= LEAST_DEPTHS) {
            chart->lines[n] = chart->lines[l];
            make_points(&chart->lines[n++]);
        }
    }
    chart->n_lines = n;
    return is_worth_it(chart);
}

void mv_html_bench_attention(mv_html *html, const mv_bench_results *results)
{
    context_chart *chart = malloc(sizeof *chart);
    size_t n_figures = 0;
    if (chart == NULL) {
        html->body.failed = true;
        return;
    }
    for (size_t i = 0; i < results->n_runs && n_figures < MAX_FIGURES; i++) {
        if (!collect(chart, results, i)) {
            continue;
        }
        if (n_figures++ == 0) {
            mv_html_section(html, "attention", "What the context costs");
            mv_bytes_text(&html->body,
                          "<p>The time of a decoded token less that of the shallowest row: what "
                          "more keys cost. Without a window it grows as the keys do (exponent 1); "
                          "with one it stays where it is past W (exponent 0).</p>\n"
                          "<div class=\"figures\">\n");
        }
        put_chart(html, chart);
    }
    if (n_figures > 0) {
        mv_bytes_text(&html->body, "</div>\n");
        mv_html_section_end(html);
    }
    free(chart);
}
