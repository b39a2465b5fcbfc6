/* html_bench_gate.c - two builds side by side; claims. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 60 };

/* The rows of a forest, a point each. */
typedef struct forest {
    mv_chart_row rows[MAX_ROWS];
    mv_point points[MAX_ROWS];
    size_t n;
    double gate_percent; /* NAN: none */
} forest;

/* A key names every number of a shape; on a chart those that say nothing are left out. */
static void shorten_key(char *out, size_t size, const char *key)
{
    static const char *const idle[] = {" prompt=0 ", " generate=0 ", " depth=0 ", " chunk=0 ",
                                       " batch=1 "};
    (void)snprintf(out, size, "%.*s", (int)size - 1, key);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        char *at = strstr(out, idle[i]);
        if (at != NULL) {
            const char *rest = at + strlen(idle[i]) - 1;
            memmove(at, rest, strlen(rest) + 1);
        }
    }
}

static void add_ratio(forest *made, const char *key, const mv_estimate *ratio)
{
    if (made->n == MAX_ROWS || !isfinite(ratio->value)) {
        return;
    }
    mv_chart_row *row = &made->rows[made->n];
    mv_point *point = &made->points[made->n++];
    *point = (mv_point){.x = ratio->value, .low = ratio->low, .high = ratio->high};
    shorten_key(row->label, sizeof row->label, key);
    (void)snprintf(row->note, sizeof row->note, "%+.1f %%", 100 * (ratio->value - 1));
    (void)snprintf(point->tip, sizeof point->tip, "%.120s: %+.2f %% (95 %%: %+.2f to %+.2f)", key,
                   100 * (ratio->value - 1), 100 * (ratio->low - 1), 100 * (ratio->high - 1));
    row->points = point;
    row->n_points = 1;
}

static void put_forest(mv_html *html, const forest *made, const mv_bytes *finding)
{
    mv_guide guides[3] = {{1, "the same"}};
    size_t n_guides = 1;
    if (isfinite(made->gate_percent)) {
        guides[n_guides] = (mv_guide){.value = 1 + made->gate_percent / 100};
        (void)snprintf(guides[n_guides++].label, 32, "gate %+.1f %%", made->gate_percent);
    }
    const mv_rows chart = {"ratio of times",
                           "candidate / base (above 1: slower), with the 95 % interval",
                           false,
                           made->rows,
                           made->n,
                           guides,
                           n_guides};
    if (made->n > 0) {
        mv_html_rows(html, &chart, finding);
    }
}

static void put_verdict(mv_bytes *body, mv_bench_verdict verdict)
{
    static const char *const signs[] = {"\xE2\x96\xBC", "=", "\xE2\x96\xB2", "?"};
    const char *name = mv_bench_verdict_name(verdict);
    mv_bytes_print(body,
                   "<td><span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span></td>",
                   name, verdict <= MV_BENCH_INCONCLUSIVE ? signs[verdict] : "?", name);
}

static void put_percent(mv_bytes *body, double ratio)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%+.2f %%", 100 * (ratio - 1));
    mv_html_element(body, "td", "n", isfinite(ratio) ? text : "\xE2\x80\x93");
}

static bool is_one_pair(const mv_bench_results *results)
{
    for (size_t i = 1; i < results->n_comparisons; i++) {
        if (strcmp(results->comparisons[i].base, results->comparisons[0].base) != 0 ||
            strcmp(results->comparisons[i].candidate, results->comparisons[0].candidate) != 0) {
            return false;
        }
    }
    return true;
}

static void put_comparison(mv_bytes *body, const mv_bench_comparison *one, bool names_builds)
{
    mv_bytes_text(body, "<tr><th scope=\"row\" class=\"shape\">");
    mv_html_put(body, one->key);
    mv_bytes_text(body, "</th>");
    put_verdict(body, one->verdict);
    put_percent(body, one->ratio.value);
    put_percent(body, one->ratio.low);
    put_percent(body, one->ratio.high);
    mv_html_cell_number(body, one->p_slower, false);
    mv_html_cell_integer(body, one->n_groups);
    if (names_builds) {
        mv_html_cell(body, one->base);
        mv_html_cell(body, one->candidate);
    }
    mv_html_cell(body, one->method);
    mv_html_cell(body, one->clock);
    mv_html_cell(body, one->reason);
    mv_bytes_text(body, "</tr>\n");
}

static void put_gate_finding(mv_bytes *finding, const mv_bench_results *results)
{
    const mv_bench_comparison *worst = NULL;
    for (size_t i = 0; i < results->n_comparisons; i++) {
        const mv_bench_comparison *one = &results->comparisons[i];
        if (isfinite(one->ratio.value) &&
            (worst == NULL || one->ratio.value > worst->ratio.value)) {
            worst = one;
        }
    }
    if (worst != NULL) {
        mv_bytes_print(finding, "The largest ratio is %+.1f %% (95 %% interval %+.1f to %+.1f): ",
                       100 * (worst->ratio.value - 1), 100 * (worst->ratio.low - 1),
                       100 * (worst->ratio.high - 1));
        mv_html_put(finding, worst->key);
        mv_bytes_print(finding, ", judged %s.", mv_bench_verdict_name(worst->verdict));
    }
}

void mv_html_bench_gate(mv_html *html, const mv_bench_results *results)
{
    mv_bytes *body = &html->body, finding = {0};
    if (results->n_comparisons == 0) {
        return;
    }
    forest *made = calloc(1, sizeof *made);
    if (made == NULL) {
        body->failed = true;
        return;
    }
    made->gate_percent = results->comparisons[0].gate_percent;
    const bool is_pair = is_one_pair(results);
    mv_html_section(html, "gate", "Against the base");
    if (is_pair) {
        mv_bytes_text(body, "<p>Base ");
        mv_html_element(body, "code", "", results->comparisons[0].base);
        mv_bytes_text(body, ", candidate ");
        mv_html_element(body, "code", "", results->comparisons[0].candidate);
        mv_bytes_text(body, ".</p>\n");
    }
    put_gate_finding(&finding, results);
    for (size_t i = 0; i < results->n_comparisons; i++) {
        add_ratio(made, results->comparisons[i].key, &results->comparisons[i].ratio);
    }
    put_forest(html, made, &finding);
    mv_html_table(body, "comparisons",
                  is_pair ? "metric|verdict|#change|#low|#high|#p slower|#groups|method|clock|why"
                          : "metric|verdict|#change|#low|#high|#p slower|#groups|base|candidate|"
                            "method|clock|why");
    for (size_t i = 0; i < results->n_comparisons; i++) {
        put_comparison(body, &results->comparisons[i], !is_pair);
    }
    mv_html_table_end(body);
    mv_html_section_end(html);
    mv_bytes_free(&finding);
    free(made);
}

/* ---- claims ---- */

void mv_html_bench_claims(mv_html *html, const mv_bench_results *results)
{
    mv_bytes *body = &html->body;
    if (results->n_claims == 0) {
        return;
    }
    mv_html_section(html, "claims", "Claims, measured");
    mv_html_table(body, "claims", "claim|holds|predicted|measured|how");
    for (size_t i = 0; i < results->n_claims; i++) {
        const mv_bench_claim *one = &results->claims[i];
        mv_bytes_text(body, "<tr><th scope=\"row\">");
        mv_html_put(body, one->statement);
        mv_bytes_text(body, "</th>");
        mv_bytes_print(
            body, "<td><span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span></td>",
            !one->was_measured ? "skip"
            : one->holds       ? "pass"
                               : "fail",
            mv_html_sign(!one->was_measured ? MV_VERDICT_SKIP
                         : one->holds       ? MV_VERDICT_PASS
                                            : MV_VERDICT_FAIL),
            !one->was_measured ? "not measured"
            : one->holds       ? "yes"
                               : "no");
        mv_html_cell(body, one->predicted);
        mv_html_cell(body, one->measured);
        mv_html_cell(body, one->how);
        mv_bytes_text(body, "</tr>\n");
    }
    mv_html_table_end(body);
    mv_html_section_end(html);
}
