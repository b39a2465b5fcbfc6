/* html_bench_limits.c - the cache against its formula, and speed against the roof. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SERIES = 6, MAX_POINTS = 60 };

typedef struct limits_chart {
    mv_series series[MAX_SERIES];
    char names[MAX_SERIES][96];
    const mv_bench_run *firsts[MAX_SERIES];
    mv_point points[MAX_SERIES][MAX_POINTS];
    size_t n_points[MAX_SERIES], n_series;
    mv_guide guides[4];
    size_t n_guides;
} limits_chart;

static int by_x(const void *a, const void *b)
{
    const mv_point *left = a, *right = b;
    return (left->x > right->x) - (left->x < right->x);
}

static void finish(limits_chart *chart, size_t s, bool is_guide, bool is_scatter)
{
    qsort(chart->points[s], chart->n_points[s], sizeof *chart->points[s], by_x);
    chart->series[s] =
        (mv_series){chart->names[s], chart->points[s], chart->n_points[s], is_guide, is_scatter};
}

/* ---- memory ---- */

static double tokens_of(const mv_bench_run *run)
{
    return (double)(run->shape.depth + run->shape.prompt + run->shape.generate);
}

/* 2 n_layers n_kv_heads head_dim values of the arithmetic's size, for the keys that can be seen. */
static double predicted_bytes(const mv_params *p, const mv_bench_run *run, double n_tokens)
{
    double size = run->compute == MV_COMPUTE_F64 ? 8 : run->compute == MV_COMPUTE_BF16 ? 2 : 4;
    double n = run->shape.window > 0 ? fmin(n_tokens, (double)run->shape.window) : n_tokens;
    return 2.0 * p->n_layers * p->n_kv_heads * p->head_dim * size * n;
}

static void add_memory(limits_chart *chart, const mv_bench_run *run)
{
    size_t s = 0;
    while (s < chart->n_series && (chart->firsts[s]->shape.window != run->shape.window ||
                                   chart->firsts[s]->compute != run->compute ||
                                   strcmp(chart->firsts[s]->backend, run->backend) != 0)) {
        s++;
    }
    if (s >= MAX_SERIES - 2 || run->kv_cache_bytes <= 0 || chart->n_points[s] == MAX_POINTS) {
        return; /* two are kept for the formula */
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
    double bytes = (double)run->kv_cache_bytes / (double)run->shape.batch, n = tokens_of(run);
    mv_point *point = chart->points[s];
    while (point < chart->points[s] + chart->n_points[s] && fabs(point->x - n) > 0.5) {
        point++;
    }
    if (point == chart->points[s] + chart->n_points[s]) {
        chart->n_points[s]++;
        *point = (mv_point){.x = n, .y = 0, .low = NAN, .high = NAN};
    }
    if (bytes > point->y) {
        point->y = bytes;
        char name[96]; /* a copy: both are parts of one object */
        memcpy(name, chart->names[s], sizeof name);
        (void)snprintf(point->tip, sizeof point->tip, "%.60s, %.0f tokens: %s a sequence", name, n,
                       mv_short_quantity(bytes, "B").text);
    }
}

/* The formula for the first two windows. */
static void add_formulas(limits_chart *chart, const mv_params *params)
{
    size_t n = chart->n_series, n_formulas = 0;
    for (size_t s = 0; s < n && params->dim > 0; s++) {
        bool is_new = n_formulas < 2 && chart->n_points[s] > 1;
        for (size_t k = 0; k < s && is_new; k++) {
            is_new = chart->firsts[k]->shape.window != chart->firsts[s]->shape.window ||
                     chart->firsts[k]->compute != chart->firsts[s]->compute;
        }
        if (!is_new) {
            continue;
        }
        size_t at = n + n_formulas++;
        if (chart->firsts[s]->shape.window > 0) {
            (void)snprintf(chart->names[at], sizeof chart->names[at], "formula, window %" PRId64,
                           chart->firsts[s]->shape.window);
        } else {
            (void)snprintf(chart->names[at], sizeof chart->names[at], "formula, no window");
        }
        chart->n_points[at] = chart->n_points[s];
        for (size_t p = 0; p < chart->n_points[s]; p++) {
            double x = chart->points[s][p].x;
            chart->points[at][p] = (mv_point){
                .x = x, .y = predicted_bytes(params, chart->firsts[s], x), .low = NAN, .high = NAN};
        }
        finish(chart, at, true, false);
    }
    chart->n_series += n_formulas;
}

static void say_memory(mv_bytes *finding, const limits_chart *chart, const mv_params *params)
{
    for (size_t s = 0; s < chart->n_series; s++) {
        const mv_point *last = &chart->points[s][chart->n_points[s] - 1];
        double predicted = predicted_bytes(params, chart->firsts[s], last->x);
        if (s > 0) {
            mv_bytes_text(finding, "; ");
        }
        mv_html_put(finding, chart->names[s]);
        mv_bytes_print(finding, " holds %s a sequence for %.0f tokens",
                       mv_short_quantity(last->y, "B").text, last->x);
        if (predicted > 0) {
            mv_bytes_print(finding, ", %s times what the visible keys need",
                           mv_short_number(last->y / predicted, true).text);
        }
    }
    mv_bytes_text(finding, ".");
}

void mv_html_bench_memory(mv_html *html, const mv_bench_results *results)
{
    limits_chart *chart = calloc(1, sizeof *chart);
    mv_bytes finding = {0};
    bool has_line = false;
    if (chart == NULL) {
        html->body.failed = true;
        return;
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        add_memory(chart, &results->runs[i]);
    }
    for (size_t s = 0; s < chart->n_series; s++) {
        finish(chart, s, false, false);
        has_line = has_line || chart->n_points[s] > 1;
    }
    if (has_line) {
        say_memory(&finding, chart, &results->params);
        add_formulas(chart, &results->params);
        const mv_plot plot = {"memory of the cache by tokens",
                              "tokens that a sequence has seen",
                              "bytes of cache a sequence",
                              true,
                              true,
                              chart->series,
                              chart->n_series,
                              NULL,
                              0,
                              false};
        mv_html_section(html, "memory", "Memory of the cache");
        mv_html_plot(html, &plot, &finding);
        mv_html_section_end(html);
    }
    mv_bytes_free(&finding);
    free(chart);
}

/* ---- roofline ---- */

static double intensity_of(const mv_bench_run *run)
{
    return run->flops_per_token / run->bytes_per_token;
}

static void add_dot(limits_chart *chart, const mv_bench_run *run)
{
    size_t s = 0;
    double x = intensity_of(run), y = run->tokens_per_s.value * run->flops_per_token;
    while (s < chart->n_series &&
           (chart->firsts[s]->phase != run->phase || chart->firsts[s]->compute != run->compute ||
            strcmp(chart->firsts[s]->backend, run->backend) != 0)) {
        s++;
    }
    if (s == MAX_SERIES - 1 || chart->n_points[s] == MAX_POINTS || !isfinite(x) || !isfinite(y)) {
        return;
    }
    if (s == chart->n_series) {
        chart->firsts[chart->n_series++] = run;
        (void)snprintf(chart->names[s], sizeof chart->names[s], "%.50s %s, %s", run->backend,
                       mv_compute_word(run->compute), mv_bench_phase_name(run->phase));
    }
    mv_point *point = &chart->points[s][chart->n_points[s]++];
    *point = (mv_point){.x = x, .y = y, .low = NAN, .high = NAN};
    char name[96]; /* a copy: both are parts of one object */
    memcpy(name, chart->names[s], sizeof name);
    (void)snprintf(point->tip, sizeof point->tip, "%.60s, %.80s: %s, %.0f %% of the limit", name,
                   mv_shape_words(run).text, mv_short_quantity(y, "FLOP/s").text,
                   100 * run->fraction_of_limit);
}

/* min(peak, bandwidth x intensity), with its corner. */
static void add_roof(limits_chart *chart, const mv_bench_results *results)
{
    const mv_ceilings *c = &results->ceilings;
    size_t at = chart->n_series;
    double low = INFINITY, high = 0;
    if (c->n_reads == 0 || !(c->flops_per_s > 0)) {
        return;
    }
    for (size_t s = 0; s < chart->n_series; s++) {
        for (size_t p = 0; p < chart->n_points[s]; p++) {
            low = fmin(low, chart->points[s][p].x);
            high = fmax(high, chart->points[s][p].x);
        }
    }
    double bandwidth = c->reads[c->n_reads - 1].read_bytes_per_s;
    double corner = c->flops_per_s / bandwidth;
    const double xs[] = {fmin(low, corner) / 2, corner, fmax(high, corner) * 2};
    for (size_t p = 0; p < 3; p++) {
        chart->points[at][p] = (mv_point){
            .x = xs[p], .y = fmin(c->flops_per_s, bandwidth * xs[p]), .low = NAN, .high = NAN};
    }
    chart->n_points[at] = 3;
    (void)snprintf(chart->names[at], sizeof chart->names[at], "roof: bytes, then FLOPs");
    finish(chart, at, true, false);
    chart->n_series++;
}

static void say_roofline(mv_bytes *finding, const mv_bench_results *results)
{
    const mv_bench_run *best = NULL;
    size_t n = 0, n_bandwidth = 0;
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        n += run->limit != MV_LIMIT_UNKNOWN ? 1 : 0;
        n_bandwidth += run->limit == MV_LIMIT_BANDWIDTH ? 1 : 0;
        if (isfinite(run->fraction_of_limit) &&
            (best == NULL || run->fraction_of_limit > best->fraction_of_limit)) {
            best = run;
        }
    }
    if (best == NULL) {
        return;
    }
    mv_bytes_print(finding, "The best row reaches %.0f %% of its limit (",
                   100 * best->fraction_of_limit);
    mv_html_put(finding, best->backend);
    mv_bytes_print(finding, " %s, ", mv_bench_phase_name(best->phase));
    mv_html_put(finding, mv_shape_words(best).text);
    mv_bytes_print(finding, "); memory is the limit of %zu of %zu rows.", n_bandwidth, n);
}

void mv_html_bench_roofline(mv_html *html, const mv_bench_results *results)
{
    limits_chart *chart = calloc(1, sizeof *chart);
    mv_bytes finding = {0};
    if (chart == NULL) {
        html->body.failed = true;
        return;
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        add_dot(chart, &results->runs[i]);
    }
    for (size_t s = 0; s < chart->n_series; s++) {
        finish(chart, s, false, true);
    }
    if (chart->n_series > 0) {
        add_roof(chart, results);
        say_roofline(&finding, results);
        const mv_plot plot = {"roofline",
                              "operations for each byte that must move",
                              "FLOP/s",
                              true,
                              true,
                              chart->series,
                              chart->n_series,
                              NULL,
                              0,
                              false};
        mv_html_section(html, "roofline", "How far from the limit");
        mv_html_plot(html, &plot, &finding);
        mv_html_section_end(html);
    }
    mv_bytes_free(&finding);
    free(chart);
}
