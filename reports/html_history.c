/* html_history.c - how the ratio to the anchor moved from run to run, with the steps that are
 * found in it: advice, because nobody waited for the same machine. */
#include "reports/html_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SHOWN = 120, /* points of a figure: the last ones */
    MAX_FIGURES = 12,
    MAX_METRICS = 200, /* of a page; a file of a stranger may have a name a line */
    MAX_CHANGES = 8,
    MAX_DATA = 500000 /* bytes of lines that the page keeps */
};

/* One metric. */
typedef struct metric {
    const mv_history_point *of[MV_HISTORY_MAX_POINTS];
    double log_ratios[MV_HISTORY_MAX_POINTS];
    size_t n, n_before; /* kept; older ones that are not */
    mv_change changes[MAX_CHANGES];
    size_t n_changes;
    mv_point points[MAX_SHOWN], levels[2 * (MAX_CHANGES + 1)], anchor[2];
    mv_guide guides[MAX_CHANGES];
} metric;

static double percent(double log_ratio)
{
    return 100 * expm1(log_ratio);
}

/* The first line of each key. Returns how many. */
static size_t find_metrics(size_t firsts[MAX_METRICS], const mv_history *history)
{
    size_t n = 0;
    for (size_t i = 0; i < history->n && n < MAX_METRICS; i++) {
        size_t k = 0;
        while (k < n && strcmp(history->points[firsts[k]].key, history->points[i].key) != 0) {
            k++;
        }
        if (k == n) {
            firsts[n++] = i;
        }
    }
    return n;
}

/* The runs of one key, from the first on. */
static void collect(metric *made, const mv_history *history, size_t first)
{
    size_t n_all = 0;
    memset(made, 0, sizeof *made);
    for (size_t i = first; i < history->n; i++) {
        n_all += strcmp(history->points[i].key, history->points[first].key) == 0 ? 1 : 0;
    }
    made->n_before = n_all > MV_HISTORY_MAX_POINTS ? n_all - MV_HISTORY_MAX_POINTS : 0;
    size_t seen = 0;
    for (size_t i = first; i < history->n; i++) {
        if (strcmp(history->points[i].key, history->points[first].key) == 0 &&
            seen++ >= made->n_before) {
            made->of[made->n] = &history->points[i];
            made->log_ratios[made->n++] = history->points[i].log_ratio;
        }
    }
    made->n_changes = mv_history_changes(made->changes, MAX_CHANGES, made->log_ratios, made->n);
}

/* ---- one metric ---- */

static void put_finding(mv_bytes *finding, const metric *made)
{
    const mv_history_point *last = made->of[made->n - 1];
    mv_bytes_text(finding, "<b>");
    mv_html_put(finding, last->key);
    const double last_percent = percent(last->log_ratio);
    mv_bytes_print(finding, "</b>: the last of %zu run%s took %.1f %% %s than the anchor.",
                   made->n_before + made->n, made->n_before + made->n == 1 ? "" : "s",
                   fabs(last_percent), last_percent < 0 ? "less time" : "longer");
    for (size_t c = 0; c < made->n_changes; c++) {
        const mv_change *change = &made->changes[c];
        const mv_history_point *at = made->of[change->at];
        mv_bytes_print(finding, " It changed by %+.1f %% at run %zu (",
                       percent(change->after - change->before), made->n_before + change->at + 1);
        mv_html_put(finding, at->date);
        mv_bytes_text(finding, ", commit ");
        mv_html_put(finding, at->commit[0] != '\0' ? at->commit : "not known");
        mv_bytes_text(finding, ").");
    }
    if (made->n_changes == 0) {
        mv_bytes_text(finding, made->n < 10 ? " A step needs 5 runs on each side to be told."
                                            : " No step of 2 % or more is found in it.");
    }
}

static void add_point(mv_point *point, const mv_history_point *of, size_t number)
{
    *point = (mv_point){.x = (double)number,
                        .y = exp(of->log_ratio),
                        .low = exp(of->log_low),
                        .high = exp(of->log_high)};
    size_t used =
        (size_t)snprintf(point->tip, sizeof point->tip, "run %zu, %.31s, commit %.47s: %+.2f %%",
                         number, of->date, of->commit, percent(of->log_ratio));
    if (isfinite(of->log_low)) {
        (void)snprintf(point->tip + used, sizeof point->tip - used, " (95 %%: %+.2f to %+.2f)",
                       percent(of->log_low), percent(of->log_high));
    }
}

/* The median between two steps, as a line of two points each. Returns how many points. */
static size_t add_levels(metric *made, size_t first)
{
    size_t n = 0;
    for (size_t c = 0; c <= made->n_changes && made->n_changes > 0; c++) {
        const size_t from = c == 0 ? 0 : made->changes[c - 1].at;
        const size_t to = c == made->n_changes ? made->n : made->changes[c].at;
        const double level = c == 0 ? made->changes[0].before : made->changes[c - 1].after;
        if (to <= first) {
            continue;
        }
        const double x = (double)(made->n_before + (from > first ? from : first)) + 0.6;
        made->levels[n++] = (mv_point){.x = x, .y = exp(level), .low = NAN, .high = NAN};
        made->levels[n++] = (mv_point){
            .x = (double)(made->n_before + to) + 0.4, .y = exp(level), .low = NAN, .high = NAN};
    }
    return n;
}

static void put_metric(mv_html *html, metric *made)
{
    const size_t first = made->n > MAX_SHOWN ? made->n - MAX_SHOWN : 0;
    mv_bytes finding = {0};
    size_t n_guides = 0, n_series = 0;
    mv_series series[3];
    char label[256];
    put_finding(&finding, made);
    for (size_t i = first; i < made->n; i++) {
        add_point(&made->points[i - first], made->of[i], made->n_before + i + 1);
    }
    for (size_t c = 0; c < made->n_changes; c++) {
        if (made->changes[c].at > first) {
            mv_guide *guide = &made->guides[n_guides++];
            guide->value = (double)(made->n_before + made->changes[c].at) + 0.5;
            (void)snprintf(guide->label, sizeof guide->label, "%+.1f %%",
                           percent(made->changes[c].after - made->changes[c].before));
        }
    }
    made->anchor[0] = (mv_point){.x = made->points[0].x - 0.4, .y = 1, .low = NAN, .high = NAN};
    made->anchor[1] =
        (mv_point){.x = made->points[made->n - 1 - first].x + 0.4, .y = 1, .low = NAN, .high = NAN};
    series[n_series++] = (mv_series){"run", made->points, made->n - first, false, true};
    series[n_series++] = (mv_series){"the anchor", made->anchor, 2, true, false};
    const size_t n_levels = add_levels(made, first);
    if (n_levels > 0) {
        series[n_series++] =
            (mv_series){"median between steps", made->levels, n_levels, true, false};
    }
    (void)snprintf(label, sizeof label, "history of %.191s", made->of[0]->key);
    const mv_plot plot = {.label = label,
                          .x_name = "run, in the order of the file",
                          .y_name = "time / the anchor's time, 95 % interval",
                          .series = series,
                          .n_series = n_series,
                          .guides = made->guides,
                          .n_guides = n_guides,
                          .y_is_free = true};
    mv_html_plot(html, &plot, &finding);
    mv_bytes_free(&finding);
}

/* ---- all ---- */

static void put_head(mv_html *html, const mv_history *history, const char *name, size_t n_metrics,
                     size_t n_steps)
{
    mv_bytes *body = &html->body;
    char words[96];
    if (n_steps == 0) {
        (void)snprintf(words, sizeof words, "No step in %zu metric%s", n_metrics,
                       n_metrics == 1 ? "" : "s");
    } else {
        (void)snprintf(words, sizeof words, "%zu step%s in %zu metric%s", n_steps,
                       n_steps == 1 ? "" : "s", n_metrics, n_metrics == 1 ? "" : "s");
    }
    mv_html_verdict_begin(html, n_steps > 0 ? "vacuous" : "skip", n_steps > 0 ? "?" : "=", words);
    mv_bytes_print(body, "<p class=\"lead\">%zu ratio%s to one anchor.", history->n,
                   history->n == 1 ? "" : "s");
    if (name[0] != '\0') {
        mv_bytes_text(body, " From ");
        mv_html_element(body, "code", "", name);
        mv_bytes_text(body, ".");
    }
    mv_bytes_text(body, "</p>\n<dl class=\"facts\">\n");
    mv_html_fact(body, "Anchor", history->anchor);
    if (history->n > 0) {
        mv_html_fact(body, "First run", history->points[0].date);
        mv_html_fact(body, "Last run", history->points[history->n - 1].date);
        mv_html_fact(body, "Last commit", history->points[history->n - 1].commit);
    }
    mv_bytes_text(body, "</dl>\n<p>Each point is one build against the anchor, both measured in "
                        "turn in one run: such ratios may be compared across days. Steps are "
                        "advice, not a verdict; the gate of a run decides.</p>\n</section>\n");
}

void mv_html_history(mv_html *html, const mv_history *history, const char *name)
{
    metric *made = calloc(1, sizeof *made);
    size_t firsts[MAX_METRICS], n_steps = 0;
    if (made == NULL) {
        html->body.failed = true;
        return;
    }
    const size_t n_metrics = find_metrics(firsts, history);
    const size_t n_shown = n_metrics < MAX_FIGURES ? n_metrics : MAX_FIGURES;
    for (size_t i = 0; i < n_metrics; i++) {
        collect(made, history, firsts[i]);
        n_steps += made->n_changes;
    }
    put_head(html, history, name, n_metrics, n_steps);
    if (n_metrics > 0) {
        mv_html_section(html, "history", "From run to run");
        mv_bytes_text(&html->body, "<div class=\"figures\">\n");
        for (size_t i = 0; i < n_shown; i++) {
            collect(made, history, firsts[i]);
            put_metric(html, made);
        }
        mv_bytes_text(&html->body, "</div>\n");
        if (n_metrics > n_shown) {
            mv_bytes_print(&html->body, "<p>%zu more metrics are in the data.</p>\n",
                           n_metrics - n_shown);
        }
        mv_html_section_end(html);
    }
    free(made);
}

/* Whole lines from the end. In JSON a '<' can only stand in a text, where \u003c means the same. */
void mv_html_history_data(mv_html *html, const mv_history *history)
{
    mv_bytes json = {0};
    size_t at = 0, n = 0;
    if (history->size > MAX_DATA) {
        const char *end = memchr(history->text + history->size - MAX_DATA, '\n', MAX_DATA);
        at = end != NULL ? (size_t)(end - history->text) + 1 : history->size;
    }
    for (; at < history->size; at++) {
        n += history->text[at] == '\n' ? 1 : 0;
        if (history->text[at] == '<') {
            mv_bytes_text(&json, "\\u003c");
        } else {
            mv_bytes_append(&json, history->text + at, 1);
        }
    }
    mv_html_data(html, &json, n);
    mv_bytes_free(&json);
}
