/* html_bench_ops.c - where the time goes: the ops of one row for each engine, arithmetic and phase,
 * and a table of them all. The times are of passes with taps, which the caption never lets one
 * forget. */
#include "reports/html_parts.h"

#include <math.h>
#include <string.h>

enum { MAX_FIGURES = 6 };

static bool is_same_kind(const mv_bench_run *a, const mv_bench_run *b)
{
    return a->phase == b->phase && a->compute == b->compute && strcmp(a->backend, b->backend) == 0;
}

static int64_t tokens_of(const mv_bench_run *run)
{
    return run->shape.batch * (run->shape.depth + run->shape.prompt + run->shape.generate);
}

/* The row of the kind of runs[first] with the most tokens; NULL if it is not the first of its kind.
 */
static const mv_bench_run *pick(const mv_bench_results *results, size_t first)
{
    const mv_bench_run *best = &results->runs[first];
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        if (run->profile.n_ops == 0 || !is_same_kind(run, &results->runs[first])) {
            continue;
        }
        if (i < first) {
            return NULL;
        }
        best = tokens_of(run) > tokens_of(best) ? run : best;
    }
    return best;
}

static double percent_of(const mv_bench_profile *profile, double ns)
{
    return 100 * ns / (double)profile->total_ns;
}

static const char *unit_of(const mv_bench_run *run)
{
    return run->phase == MV_BENCH_PREFILL ? "pass" : "token step";
}

static void put_finding(mv_bytes *finding, const mv_bench_run *run, const mv_bench_op *sorted)
{
    const mv_bench_profile *profile = &run->profile;
    const double ratio = profile->ratio_to_timed;
    double share = 0;
    size_t n = 0;
    while (n < profile->n_ops && n < 3 && (n == 0 || share < 60)) {
        share += percent_of(profile, (double)sorted[n++].ns_median);
    }
    mv_html_element(finding, "strong", "", run->backend);
    mv_bytes_print(finding, " in %s: ", mv_compute_word(run->compute));
    for (size_t i = 0; i < n; i++) {
        mv_bytes_text(finding, i == 0 ? "" : i + 1 == n ? " and " : ", ");
        mv_html_element(finding, "code", "", sorted[i].op);
    }
    mv_bytes_print(finding, " take%s %.0f %% of a %s of %s", n == 1 ? "s" : "", share, unit_of(run),
                   mv_short_quantity((double)profile->total_ns / 1e9, "s").text);
    if (profile->untapped_ns * 100 > profile->total_ns) {
        mv_bytes_print(finding, "; %.0f %% is outside all inner tensors",
                       percent_of(profile, (double)profile->untapped_ns));
    }
    if (!(ratio > 0)) {
        mv_bytes_text(finding, ". These are passes with taps, not the timed ones.");
    } else if (ratio < 0.9 || ratio > 1.1) {
        mv_bytes_print(finding,
                       ". With taps it took %s times the timed one: the sum is not the timed run, "
                       "and the shares are those of the path with taps.",
                       mv_short_number(ratio, true).text);
    } else {
        mv_bytes_print(finding, ". With taps it took %s times the timed one.",
                       mv_short_number(ratio, true).text);
    }
    mv_bytes_print(finding, " <span class=\"chip\">%s, ", mv_bench_phase_name(run->phase));
    mv_html_put(finding, mv_shape_words(run).text);
    mv_bytes_text(finding, "</span>");
}

static void put_figure(mv_html *html, const mv_bench_run *run)
{
    static const char *const part[] = {"share"};
    mv_bench_op sorted[MV_BENCH_MAX_OPS];
    double shares[MV_BENCH_MAX_OPS];
    mv_bar bars[MV_BENCH_MAX_OPS] = {{.label = ""}};
    const mv_bench_profile *profile = &run->profile;
    mv_bytes finding = {0};
    char label[160];
    (void)mv_profile_sort(sorted, profile);
    for (size_t i = 0; i < profile->n_ops; i++) {
        shares[i] = percent_of(profile, (double)sorted[i].ns_median);
        (void)snprintf(bars[i].label, sizeof bars[i].label, "%.31s", sorted[i].op);
        (void)snprintf(bars[i].note, sizeof bars[i].note, "%s",
                       mv_short_quantity((double)sorted[i].ns_median / 1e9, "s").text);
        bars[i].parts = &shares[i];
    }
    (void)snprintf(label, sizeof label, "time by op, %.60s in %s, %s", run->backend,
                   mv_compute_word(run->compute), mv_bench_phase_name(run->phase));
    const mv_bars chart = {.label = label,
                           .x_name = "% of the time with taps",
                           .part_names = part,
                           .n_parts = 1,
                           .bars = bars,
                           .n_bars = profile->n_ops};
    put_finding(&finding, run, sorted);
    mv_html_bars(html, &chart, &finding);
    mv_bytes_free(&finding);
}

static void put_table(mv_bytes *body, const mv_bench_results *results)
{
    mv_bytes_text(body, "<details class=\"numbers\"><summary>Time by op of every row</summary>\n");
    mv_html_table(body, "time by op of every row", "backend|compute|phase|shape|op|#us|#share");
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        const mv_bench_profile *profile = &run->profile;
        for (size_t k = 0; k <= profile->n_ops && profile->n_ops > 0; k++) {
            const bool is_rest = k == profile->n_ops;
            const double ns = (double)(is_rest ? profile->untapped_ns : profile->ops[k].ns_median);
            mv_bytes_text(body, "<tr>");
            mv_html_cell(body, run->backend);
            mv_html_cell(body, mv_compute_word(run->compute));
            mv_html_cell(body, mv_bench_phase_name(run->phase));
            mv_html_element(body, "td", "shape", mv_shape_words(run).text);
            mv_html_cell(body, is_rest ? "(outside all)" : profile->ops[k].op);
            mv_html_cell_number(body, ns / 1e3, true);
            mv_bytes_print(body, "<td class=\"n\">%.1f %%</td></tr>\n", percent_of(profile, ns));
        }
    }
    mv_html_table_end(body);
    mv_bytes_text(body, "</details>\n");
}

void mv_html_bench_ops(mv_html *html, const mv_bench_results *results)
{
    size_t n_figures = 0;
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        run = run->profile.n_ops > 0 && run->profile.total_ns > 0 ? pick(results, i) : NULL;
        if (run == NULL || n_figures == MAX_FIGURES) {
            continue;
        }
        if (n_figures++ == 0) {
            mv_html_section(html, "ops", "Time by op");
            mv_bytes_text(&html->body,
                          "<p>The time from one inner tensor to the next, as a tap sees it in "
                          "passes that were made after the samples and are not among them. Of "
                          "each engine and phase, the row with the most tokens.</p>\n"
                          "<div class=\"figures\">\n");
        }
        put_figure(html, run);
    }
    if (n_figures > 0) {
        mv_bytes_text(&html->body, "</div>\n");
        put_table(&html->body, results);
        mv_html_section_end(html);
    }
}
