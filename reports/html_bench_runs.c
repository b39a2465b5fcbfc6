/* html_bench_runs.c - every row: its spread, its numbers; and how they were made. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 40, MAX_DOTS = 60 };

typedef struct spread_row {
    mv_point points[MAX_DOTS];
    size_t n_points;
} spread_row;

static void name_run(char *out, size_t size, const mv_bench_run *run)
{
    (void)snprintf(out, size, "%.30s, %s, %.80s", run->backend, mv_bench_phase_name(run->phase),
                   mv_shape_words(run).text);
}

/* Samples that would lie on each other become one dot. */
static void add_sample(spread_row *row, double share)
{
    for (size_t i = 0; i < row->n_points; i++) {
        if (fabs(row->points[i].x - share) < 0.006 * share) {
            return;
        }
    }
    if (row->n_points < MAX_DOTS && isfinite(share)) {
        mv_point *point = &row->points[row->n_points++];
        *point = (mv_point){.x = share, .low = NAN, .high = NAN};
        (void)snprintf(point->tip, sizeof point->tip, "%s times the median",
                       mv_short_number(share, true).text);
    }
}

static int by_value(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* 0 if there are none. */
static double median_sample(const mv_bench_run *run)
{
    int64_t *sorted = run->n_samples > 0 ? calloc(run->n_samples, sizeof *sorted) : NULL;
    if (sorted == NULL) {
        return 0;
    }
    memcpy(sorted, run->samples_ns, run->n_samples * sizeof *sorted);
    qsort(sorted, run->n_samples, sizeof *sorted, by_value);
    double median = (double)sorted[run->n_samples / 2];
    free(sorted);
    return median;
}

static void say_spread(mv_bytes *finding, const mv_bench_results *results)
{
    const mv_bench_run *widest = NULL;
    char name[160];
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        if (isfinite(run->deviation) && (widest == NULL || run->deviation > widest->deviation)) {
            widest = run;
        }
    }
    if (widest != NULL) {
        name_run(name, sizeof name, widest);
        mv_bytes_print(finding, "The noisiest row spreads by %.1f %% (", 100 * widest->deviation);
        mv_html_put(finding, name);
        mv_bytes_text(finding, ").");
    }
}

void mv_html_bench_spread(mv_html *html, const mv_bench_results *results)
{
    mv_chart_row *rows = calloc(MAX_ROWS, sizeof *rows);
    spread_row *dots = calloc(MAX_ROWS, sizeof *dots);
    mv_bytes finding = {0};
    size_t n = 0;
    for (size_t i = 0; i < results->n_runs && n < MAX_ROWS && rows != NULL && dots != NULL; i++) {
        const mv_bench_run *run = &results->runs[i];
        double median = median_sample(run);
        if (!(median > 0) || run->n_samples < 2) {
            continue;
        }
        for (size_t k = 0; k < run->n_samples; k++) {
            add_sample(&dots[n], (double)run->samples_ns[k] / median);
        }
        name_run(rows[n].label, sizeof rows[n].label, run);
        (void)snprintf(rows[n].note, sizeof rows[n].note, "%zu samples", run->n_samples);
        rows[n].points = dots[n].points;
        rows[n].n_points = dots[n].n_points;
        n++;
    }
    html->body.failed = html->body.failed || rows == NULL || dots == NULL;
    if (n > 0) {
        const mv_guide middle = {1, "median"};
        const mv_rows chart = {
            "samples of each row", "time / median of the row", true, rows, n, &middle, 1};
        say_spread(&finding, results);
        mv_html_section(html, "spread", "How steady it was");
        if (results->n_runs > n) {
            mv_bytes_print(&html->body, "<p>%zu of %zu rows are shown.</p>\n", n, results->n_runs);
        }
        mv_html_rows(html, &chart, &finding);
        mv_html_section_end(html);
    }
    mv_bytes_free(&finding);
    free(rows);
    free(dots);
}

static void put_ms(mv_bytes *body, int64_t ns)
{
    mv_html_cell_number(body, ns >= 0 ? (double)ns / 1e6 : NAN, false);
}

static void put_run(mv_bytes *body, const mv_bench_run *run)
{
    mv_bytes_text(body, "<tr><th scope=\"row\">");
    mv_html_put(body, run->backend);
    mv_bytes_text(body, "</th>");
    mv_html_cell(body, mv_compute_word(run->compute));
    mv_html_cell(body, mv_bench_phase_name(run->phase));
    mv_html_element(body, "td", "shape", mv_shape_words(run).text);
    mv_html_cell_rate(body, run->tokens_per_s.value);
    mv_html_cell_rate(body, run->tokens_per_s.low);
    mv_html_cell_rate(body, run->tokens_per_s.high);
    put_ms(body, run->phase == MV_BENCH_PREFILL ? run->ttft_ns : -1);
    put_ms(body, run->token_ns_p50);
    put_ms(body, run->token_ns_p95);
    put_ms(body, run->token_ns_p99);
    if (isfinite(run->fraction_of_limit)) {
        mv_bytes_print(body, "<td class=\"n\">%.0f %%</td>", 100 * run->fraction_of_limit);
    } else {
        mv_html_element(body, "td", "n", "\xE2\x80\x93");
    }
    mv_html_cell(body, mv_bench_limit_name(run->limit));
    mv_bytes_print(body, "<td><span class=\"v %s\">%s</span></td><td>",
                   run->checked ? "pass" : "fail",
                   run->checked ? "\xE2\x9C\x93 yes" : "\xE2\x9C\x97 no");
    for (size_t w = 0; w < run->n_warnings; w++) {
        mv_bytes_text(body, w > 0 ? ", " : "");
        mv_html_put(body, run->warnings[w].code);
    }
    mv_bytes_text(body, "</td></tr>\n");
}

void mv_html_bench_runs(mv_html *html, const mv_bench_results *results)
{
    mv_bytes *body = &html->body;
    if (results->n_runs == 0) {
        return;
    }
    mv_html_section(html, "rows", "All rows");
    mv_bytes_print(body, "<details class=\"long\" open><summary>The table of %zu row%s</summary>\n",
                   results->n_runs, results->n_runs == 1 ? "" : "s");
    mv_html_table(body, "rows",
                  "backend|compute|phase|shape|#tokens/s|#low|#high|#first token ms|#p50 ms|#p95 "
                  "ms|#p99 ms|#of limit|limited by|checked|doubts");
    for (size_t i = 0; i < results->n_runs; i++) {
        put_run(body, &results->runs[i]);
    }
    mv_html_table_end(body);
    mv_bytes_text(body, "</details>\n");
    mv_html_section_end(html);
}

void mv_html_bench_method(mv_html *html)
{
    static const char *const words[][2] = {
        {"tokens per second", "The median over all samples, with the interval that holds it with "
                              "95 % (order statistics). Over the whole batch."},
        {"checked",
         "The logits of this very row were compared with the float64 oracle before it was "
         "timed. What is not right has no speed."},
        {"prefill", "All calls of the prompt, in chunks, until its last logits."},
        {"decode", "One token a call, each timed by itself, behind a cache of the given depth."},
        {"first token", "A whole prefill, and the choice of a token."},
        {"limit", "The time that the needed operations and bytes take at the measured peak and "
                  "bandwidth of this machine, whichever is longer, part by part."},
        {"spread",
         "1.4826 times the median distance from the median, as a share of it: the standard "
         "deviation, if the noise were normal."},
    };
    mv_bytes *body = &html->body;
    mv_html_section(html, "method", "Method and words");
    mv_bytes_text(body, "<p>Warm-up first, until the times are steady; then samples until the "
                        "interval is narrow or the time is up. Doubts are listed, and nothing is "
                        "dropped.</p>\n<dl class=\"words\">\n");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        mv_bytes_text(body, "<div>");
        mv_html_element(body, "dt", "", words[i][0]);
        mv_html_element(body, "dd", "", words[i][1]);
        mv_bytes_text(body, "</div>\n");
    }
    mv_bytes_text(body, "</dl>\n");
    mv_html_section_end(html);
}
