/* html_bench.c - the first screen of times: faster or slower, how sure, what is to be doubted. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct counts {
    size_t by_verdict[MV_BENCH_INCONCLUSIVE + 1];
    size_t n_unchecked, n_doubted, n_claims_failed;
} counts;

static counts count_all(const mv_bench_results *results)
{
    counts n;
    memset(&n, 0, sizeof n);
    for (size_t i = 0; i < results->n_comparisons; i++) {
        n.by_verdict[results->comparisons[i].verdict]++;
    }
    for (size_t i = 0; i < results->n_runs; i++) {
        n.n_unchecked += results->runs[i].checked ? 0 : 1;
        n.n_doubted += results->runs[i].n_warnings > 0 ? 1 : 0;
    }
    for (size_t i = 0; i < results->n_claims; i++) {
        n.n_claims_failed += results->claims[i].was_measured && !results->claims[i].holds ? 1 : 0;
    }
    return n;
}

static void put_headline(mv_html *html, const mv_bench_results *results, const counts *n)
{
    static const char tick[] = "\xE2\x9C\x93", cross[] = "\xE2\x9C\x97";
    if (n->n_unchecked > 0) {
        mv_html_verdict_begin(html, "fail", cross,
                              "Not proved: some of what was timed is not known "
                              "to be right");
    } else if (n->by_verdict[MV_BENCH_SLOWER] > 0) {
        mv_html_verdict_begin(html, "fail", cross, "Slower than before");
    } else if (n->n_claims_failed > 0) {
        mv_html_verdict_begin(html, "fail", cross, "A claim does not hold here");
    } else if (n->by_verdict[MV_BENCH_INCONCLUSIVE] > 0) {
        mv_html_verdict_begin(html, "vacuous", "?", "Inconclusive: too much noise to tell");
    } else if (n->by_verdict[MV_BENCH_FASTER] > 0) {
        mv_html_verdict_begin(html, "pass", tick, "Faster, and nothing slower");
    } else if (results->n_comparisons > 0) {
        mv_html_verdict_begin(html, "pass", tick, "As fast as before");
    } else if (results->n_runs > 0) {
        mv_html_verdict_begin(html, "pass", tick, "Timed, and right");
    } else {
        mv_html_verdict_begin(html, "vacuous", "\xE2\x97\x8B", "Vacuous: nothing was timed");
    }
}

static void put_tiles(mv_bytes *body, const mv_bench_results *results, const counts *n)
{
    mv_bytes_text(body, "<ul class=\"tiles\">\n");
    if (results->n_runs > 0 || results->n_comparisons == 0) {
        mv_html_tile(body, "all", results->n_runs, results->n_runs == 1 ? "row" : "rows");
        mv_html_tile(body, "pass", results->n_runs - n->n_unchecked, "checked");
        mv_html_tile(body, "vacuous", n->n_doubted, "with doubts");
    }
    if (results->n_comparisons > 0) {
        mv_html_tile(body, "fail", n->by_verdict[MV_BENCH_SLOWER], "slower");
        mv_html_tile(body, "pass", n->by_verdict[MV_BENCH_FASTER], "faster");
        mv_html_tile(body, "all", n->by_verdict[MV_BENCH_SAME], "the same");
        mv_html_tile(body, "vacuous", n->by_verdict[MV_BENCH_INCONCLUSIVE], "inconclusive");
    }
    if (results->n_claims > 0) {
        mv_html_tile(body, "fail", n->n_claims_failed, "claims refuted");
    }
    mv_bytes_text(body, "</ul>\n");
}

static void put_facts(mv_bytes *body, const mv_bench_results *results)
{
    const mv_ceilings *c = &results->ceilings;
    char text[256];
    mv_bytes_text(body, "<dl class=\"facts\">\n");
    mv_html_facts_model(body, results->model_spec, &results->params);
    if (c->n_reads > 0) {
        (void)snprintf(text, sizeof text, "%s and %s with %" PRId64 " thread%s (%s)",
                       mv_short_quantity(c->flops_per_s, "FLOP/s").text,
                       mv_short_quantity(c->reads[c->n_reads - 1].read_bytes_per_s, "B/s").text,
                       c->threads, c->threads == 1 ? "" : "s", c->how);
        mv_html_fact(body, "Limits", text);
    }
    mv_html_facts_origin(body, &results->environment, "mistral-bench", results->tool_version,
                         results->tool_commit, results->weights_sha256);
    mv_bytes_text(body, "</dl>\n");
}

/* Each doubt once, with how many rows share it. */
static void put_doubts(mv_bytes *body, const mv_bench_results *results)
{
    char seen[24][32];
    size_t n_seen = 0;
    mv_bytes_text(body, "<ul class=\"notes\">\n");
    for (size_t i = 0; i < results->n_runs; i++) {
        for (size_t w = 0; w < results->runs[i].n_warnings; w++) {
            const mv_bench_warning *warning = &results->runs[i].warnings[w];
            size_t n_rows = 0;
            bool is_new = n_seen < sizeof seen / sizeof *seen;
            for (size_t k = 0; k < n_seen && is_new; k++) {
                is_new = strcmp(seen[k], warning->code) != 0;
            }
            for (size_t k = i; is_new && k < results->n_runs; k++) {
                for (size_t m = 0; m < results->runs[k].n_warnings; m++) {
                    n_rows += strcmp(results->runs[k].warnings[m].code, warning->code) == 0 ? 1 : 0;
                }
            }
            if (is_new) {
                memcpy(seen[n_seen++], warning->code, sizeof seen[0]);
                mv_bytes_text(body, "<li>");
                mv_html_put(body, warning->text);
                mv_bytes_print(body, n_rows > 1 ? " (and %zu more like it)</li>\n" : "</li>\n",
                               n_rows - 1);
            }
        }
    }
    mv_bytes_text(body, "</ul>\n");
}

void mv_html_bench_verdict(mv_html *html, const mv_bench_results *results, const char *name)
{
    mv_bytes *body = &html->body;
    counts n = count_all(results);
    put_headline(html, results, &n);
    const bool only_ratios = results->n_runs == 0 && results->n_comparisons > 0;
    const size_t n_rows = only_ratios ? results->n_comparisons : results->n_runs;
    mv_bytes_print(body, "<p class=\"lead\">%zu %s%s %s in %s.", n_rows,
                   only_ratios ? "metric" : "row", n_rows == 1 ? "" : "s",
                   only_ratios ? "of two builds compared" : "timed",
                   mv_short_quantity((double)results->elapsed_ns / 1e9, "s").text);
    if (name[0] != '\0') {
        mv_bytes_text(body, " From ");
        mv_html_element(body, "code", "", name);
        mv_bytes_text(body, ".");
    }
    mv_bytes_text(body, "</p>\n");
    put_tiles(body, results, &n);
    put_facts(body, results);
    put_doubts(body, results);
    mv_bytes_text(body, "</section>\n");
}
