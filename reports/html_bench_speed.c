/* html_bench_speed.c - tokens per second against the chunk, the context and the batch: one figure
 * for each set of rows that differ in nothing else, but for engine, arithmetic and window. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SERIES = 5, MAX_POINTS = 40, MAX_FIGURES = 4 };

typedef enum axis { AXIS_CHUNK, AXIS_DEPTH, AXIS_BATCH } axis;

typedef struct speed_chart {
    mv_series series[MAX_SERIES + 1];
    char names[MAX_SERIES + 1][96];
    const mv_bench_run *firsts[MAX_SERIES];
    mv_point points[MAX_SERIES + 1][MAX_POINTS];
    size_t n_points[MAX_SERIES + 1];
    size_t n_series;
    mv_guide guides[4];
    size_t n_guides;
} speed_chart;

static int64_t chunk_of(const mv_bench_run *run)
{
    const mv_bench_shape *s = &run->shape;
    return s->chunk == 0 || s->chunk > s->prompt ? s->prompt : s->chunk;
}

static double x_of(const mv_bench_run *run, axis which)
{
    return which == AXIS_CHUNK   ? (double)chunk_of(run)
           : which == AXIS_DEPTH ? (double)run->shape.depth + 1
                                 : (double)run->shape.batch;
}

static bool is_same_figure(const mv_bench_run *a, const mv_bench_run *b, axis which)
{
    return a->phase == b->phase && a->shape.prompt == b->shape.prompt &&
           a->shape.generate == b->shape.generate && a->shape.threads == b->shape.threads &&
           (which == AXIS_DEPTH || a->shape.depth == b->shape.depth) &&
           (which == AXIS_BATCH || a->shape.batch == b->shape.batch) &&
           (which == AXIS_CHUNK || a->phase == MV_BENCH_DECODE || chunk_of(a) == chunk_of(b));
}

static bool is_same_series(const mv_bench_run *a, const mv_bench_run *b)
{
    return a->compute == b->compute && a->shape.window == b->shape.window &&
           strcmp(a->backend, b->backend) == 0 && strcmp(a->build_id, b->build_id) == 0;
}

static int by_x(const void *a, const void *b)
{
    const mv_point *left = a, *right = b;
    return (left->x > right->x) - (left->x < right->x);
}

/* The highest limit of any row at this x. */
static void add_limit(speed_chart *chart, double x, double limit)
{
    mv_point *points = chart->points[MAX_SERIES];
    size_t *n = &chart->n_points[MAX_SERIES];
    for (size_t i = 0; i < *n; i++) {
        if (!(points[i].x < x) && !(points[i].x > x)) {
            points[i].y = fmax(points[i].y, limit);
            return;
        }
    }
    if (*n < MAX_POINTS && isfinite(limit)) {
        points[(*n)++] = (mv_point){.x = x, .y = limit, .low = NAN, .high = NAN};
    }
}

static void add_guide(speed_chart *chart, int64_t window)
{
    for (size_t i = 0; i < chart->n_guides; i++) {
        if (fabs(chart->guides[i].value - (double)window) < 0.5) {
            return;
        }
    }
    if (window > 0 && chart->n_guides < 4) {
        mv_guide *guide = &chart->guides[chart->n_guides++];
        guide->value = (double)window;
        (void)snprintf(guide->label, sizeof guide->label, "W=%" PRId64, window);
    }
}

static void add_run(speed_chart *chart, const mv_bench_run *run, axis which)
{
    size_t s = 0;
    while (s < chart->n_series && !is_same_series(chart->firsts[s], run)) {
        s++;
    }
    if (s == MAX_SERIES || chart->n_points[s] == MAX_POINTS || !isfinite(run->tokens_per_s.value)) {
        return;
    }
    if (s == chart->n_series) {
        char window[32] = "no window";
        if (run->shape.window > 0) {
            (void)snprintf(window, sizeof window, "window %" PRId64, run->shape.window);
        }
        chart->firsts[chart->n_series++] = run;
        (void)snprintf(chart->names[s], sizeof chart->names[s], "%.50s %s, %s", run->backend,
                       mv_compute_word(run->compute), window);
    }
    mv_point *point = &chart->points[s][chart->n_points[s]++];
    *point = (mv_point){.x = x_of(run, which),
                        .y = run->tokens_per_s.value,
                        .low = run->tokens_per_s.low,
                        .high = run->tokens_per_s.high};
    if (!(point->low > 0) || !isfinite(point->high)) {
        point->low = point->high = NAN; /* too few samples for an interval */
    }
    char name[96]; /* a copy: both are parts of one object */
    memcpy(name, chart->names[s], sizeof name);
    (void)snprintf(point->tip, sizeof point->tip, "%.60s, %.90s: %s tokens/s", name,
                   mv_shape_words(run).text, mv_si_number(run->tokens_per_s.value).text);
    add_limit(chart, point->x, run->tokens_per_s.value / run->fraction_of_limit);
    if (which == AXIS_DEPTH) {
        add_guide(chart, run->shape.window);
    }
}

/* ---- findings ---- */

static const mv_point *best_of(const speed_chart *chart, size_t s)
{
    const mv_point *best = &chart->points[s][0];
    for (size_t p = 1; p < chart->n_points[s]; p++) {
        best = chart->points[s][p].y > best->y ? &chart->points[s][p] : best;
    }
    return best;
}

static void say_chunk(mv_bytes *finding, const speed_chart *chart)
{
    size_t s = 0;
    for (size_t i = 1; i < chart->n_series; i++) {
        s = best_of(chart, i)->y > best_of(chart, s)->y ? i : s;
    }
    const mv_point *best = best_of(chart, s), *enough = best;
    for (size_t p = chart->n_points[s]; p-- > 0;) {
        enough = chart->points[s][p].y >= 0.95 * best->y ? &chart->points[s][p] : enough;
    }
    mv_html_put(finding, chart->names[s]);
    mv_bytes_print(finding, " is fastest: %s tokens/s with chunk %.0f", mv_si_number(best->y).text,
                   best->x);
    if (enough->x < best->x) {
        mv_bytes_print(finding, "; 95 %% of it is reached with chunk %.0f", enough->x);
    }
    for (size_t p = 0; p < chart->n_points[MAX_SERIES]; p++) {
        const mv_point *limit = &chart->points[MAX_SERIES][p];
        if (!(limit->x < best->x) && !(limit->x > best->x)) {
            mv_bytes_print(finding, ". That is %.0f %% of what the machine allows",
                           100 * best->y / limit->y);
        }
    }
    mv_bytes_text(finding, ".");
}

static void say_ends(mv_bytes *finding, const speed_chart *chart, axis which)
{
    const char *separator = "";
    for (size_t s = 0; s < chart->n_series; s++) {
        const mv_point *first = &chart->points[s][0];
        const mv_point *last = &chart->points[s][chart->n_points[s] - 1];
        if (!(last->x > first->x)) {
            continue;
        }
        mv_bytes_text(finding, separator);
        mv_html_put(finding, chart->names[s]);
        if (which == AXIS_DEPTH) {
            const double kept = 100 * last->y / first->y;
            mv_bytes_print(finding, " keeps %.*f %% of its speed from %.0f to %.0f keys",
                           kept < 3 ? 1 : 0, kept, first->x, last->x);
        } else {
            mv_bytes_print(finding,
                           " makes %s times as many tokens with %.0f sequences as with %.0f",
                           mv_short_number(last->y / first->y, true).text, last->x, first->x);
        }
        separator = "; ";
    }
    mv_bytes_text(finding, ".");
}

/* ---- figures ---- */

/* On a linear axis a roof far above, or one fast row, would press all lines into the floor. */
static bool needs_log(const speed_chart *chart)
{
    double least = INFINITY, most = 0, limit = 0;
    for (size_t s = 0; s < chart->n_series; s++) {
        most = fmax(most, best_of(chart, s)->y);
        for (size_t p = 0; p < chart->n_points[s]; p++) {
            least = fmin(least, chart->points[s][p].y);
        }
    }
    for (size_t p = 0; p < chart->n_points[MAX_SERIES]; p++) {
        limit = fmax(limit, chart->points[MAX_SERIES][p].y);
    }
    return limit > 4 * most || most > 20 * least;
}

static void put_chart(mv_html *html, speed_chart *chart, const mv_bench_run *first, axis which)
{
    static const char *const x_names[] = {
        "chunk (tokens of a call)", "keys in the cache, the new one included", "sequences at once"};
    mv_bytes finding = {0};
    char label[256];
    size_t n = chart->n_series;
    for (size_t s = 0; s < n; s++) {
        qsort(chart->points[s], chart->n_points[s], sizeof *chart->points[s], by_x);
        chart->series[s] =
            (mv_series){chart->names[s], chart->points[s], chart->n_points[s], false, false};
    }
    if (chart->n_points[MAX_SERIES] > 1) {
        qsort(chart->points[MAX_SERIES], chart->n_points[MAX_SERIES], sizeof(mv_point), by_x);
        chart->series[n++] = (mv_series){"what this machine allows", chart->points[MAX_SERIES],
                                         chart->n_points[MAX_SERIES], true, false};
    }
    if (which == AXIS_CHUNK) {
        say_chunk(&finding, chart);
    } else {
        say_ends(&finding, chart, which);
    }
    (void)snprintf(label, sizeof label, "%s, tokens per second by %s",
                   mv_bench_phase_name(first->phase), x_names[which]);
    mv_bytes_print(&finding, " <span class=\"chip\">%s", mv_bench_phase_name(first->phase));
    if (first->phase == MV_BENCH_PREFILL) {
        mv_bytes_print(&finding, ", prompt %" PRId64, first->shape.prompt);
    }
    if (which != AXIS_DEPTH && first->shape.depth > 0) {
        mv_bytes_print(&finding, ", depth %" PRId64, first->shape.depth);
    }
    if (which != AXIS_BATCH && first->shape.batch > 1) {
        mv_bytes_print(&finding, ", batch %" PRId64, first->shape.batch);
    }
    mv_bytes_print(&finding, ", %" PRId64 " thread%s</span>", first->shape.threads,
                   first->shape.threads == 1 ? "" : "s");
    const mv_plot plot = {.label = label,
                          .x_name = x_names[which],
                          .y_name = "tokens per second, 95 % interval",
                          .x_is_log = true,
                          .y_is_log = needs_log(chart),
                          .series = chart->series,
                          .n_series = n,
                          .guides = chart->guides,
                          .n_guides = chart->n_guides};
    mv_html_plot(html, &plot, &finding);
    mv_bytes_free(&finding);
}

static bool has_line(const speed_chart *chart)
{
    for (size_t s = 0; s < chart->n_series; s++) {
        for (size_t p = 1; p < chart->n_points[s]; p++) {
            if (fabs(chart->points[s][p].x - chart->points[s][0].x) > 0.5) {
                return true;
            }
        }
    }
    return false;
}

static void put_section(mv_html *html, const mv_bench_results *results, mv_bench_phase phase,
                        axis which, const char *id, const char *title)
{
    size_t n_figures = 0;
    speed_chart *chart = malloc(sizeof *chart);
    if (chart == NULL) {
        html->body.failed = true;
        return;
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *first = &results->runs[i];
        bool is_first = first->phase == phase;
        for (size_t k = 0; k < i && is_first; k++) {
            is_first = !is_same_figure(&results->runs[k], first, which);
        }
        memset(chart, 0, sizeof *chart);
        for (size_t k = i; is_first && k < results->n_runs; k++) {
            if (is_same_figure(&results->runs[k], first, which)) {
                add_run(chart, &results->runs[k], which);
            }
        }
        if (!has_line(chart)) {
            continue;
        }
        if (n_figures == 0) {
            mv_html_section(html, id, title);
            mv_bytes_text(&html->body, "<div class=\"figures\">\n");
        }
        if (n_figures++ < MAX_FIGURES) {
            put_chart(html, chart, first, which);
        }
    }
    if (n_figures > 0) {
        mv_bytes_text(&html->body, "</div>\n");
        if (n_figures > MAX_FIGURES) {
            mv_bytes_print(&html->body, "<p>%zu more sets of rows are in the table below.</p>\n",
                           n_figures - MAX_FIGURES);
        }
        mv_html_section_end(html);
    }
    free(chart);
}

void mv_html_bench_speed(mv_html *html, const mv_bench_results *results)
{
    put_section(html, results, MV_BENCH_PREFILL, AXIS_CHUNK, "prefill", "Prefill and the chunk");
    put_section(html, results, MV_BENCH_DECODE, AXIS_DEPTH, "decode", "Decode and the context");
    put_section(html, results, MV_BENCH_DECODE, AXIS_BATCH, "batch", "Decode and the batch");
}
