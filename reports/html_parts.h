/* html_parts.h - what the files that write the page share. */
#ifndef MV_REPORTS_HTML_PARTS_H
#define MV_REPORTS_HTML_PARTS_H

#include "reports/html.h"
#include "reports/parts.h"
#include "reports/svg.h"

/* ---- made from html_page.css and html_page.js by embed.py ---- */

extern const char mv_html_style[], mv_html_style_hash[];
extern const char mv_html_script[], mv_html_script_hash[];

/* ---- text (html_text.c) ---- */

/* Escaped for elements and for attributes in quotes. What is no character, controls what follows or
 * turns the direction of text becomes U+FFFD. */
void mv_html_put(mv_bytes *bytes, const char *text);
void mv_html_put_point(mv_bytes *bytes, uint32_t code_point);

/* <tag class="...">text</tag>; classes "" for none. */
void mv_html_element(mv_bytes *bytes, const char *tag, const char *classes, const char *text);
void mv_html_verdict(mv_bytes *bytes, mv_verdict verdict); /* a sign and a word */
const char *mv_html_sign(mv_verdict verdict);
void mv_html_command(mv_bytes *bytes, const char *command); /* to be copied */

/* headings: "suite|#cases": '#' is for numbers. label names the table. */
void mv_html_table(mv_bytes *bytes, const char *label, const char *headings);
void mv_html_table_end(mv_bytes *bytes);

/* The same in steps, where the headings are not known beforehand. */
void mv_html_table_begin(mv_bytes *bytes, const char *label);
void mv_html_heading(mv_bytes *bytes, const char *text, bool is_number);
void mv_html_table_body(mv_bytes *bytes);

void mv_html_cell(mv_bytes *bytes, const char *text);
void mv_html_cell_number(mv_bytes *bytes, double value, bool is_known);
void mv_html_cell_rate(mv_bytes *bytes, double per_s);     /* a dash unless finite and above 0 */
void mv_html_cell_integer(mv_bytes *bytes, int64_t value); /* below 0: not known */

/* ---- the page under construction (html_frame.c) ---- */

typedef struct mv_html {
    mv_bytes body, nav;
    char prefix[24]; /* of every id: "r1" */
    size_t n_figures;
} mv_html;

/* Sections are reached from the navigation; a section that has nothing to say is not begun. */
void mv_html_section(mv_html *html, const char *id, const char *title);
void mv_html_section_end(mv_html *html);

/* A figure: its finding in one sentence, the chart, its numbers as a table. Between the first two
 * goes the SVG, between the last two the table. */
void mv_html_figure(mv_html *html, const mv_bytes *finding, const char *label);
void mv_html_figure_data(mv_html *html);
void mv_html_figure_end(mv_html *html);

void mv_html_heat(mv_html *html, const mv_heat *heat, const mv_bytes *finding);
void mv_html_rows(mv_html *html, const mv_rows *rows, const mv_bytes *finding);
void mv_html_plot(mv_html *html, const mv_plot *plot, const mv_bytes *finding);
void mv_html_bars(mv_html *html, const mv_bars *bars, const mv_bytes *finding);

/* ---- pieces of a verdict (html_verdict.c) ---- */

void mv_html_verdict_begin(mv_html *html, const char *classes, const char *sign,
                           const char *headline);
void mv_html_tile(mv_bytes *bytes, const char *classes, size_t value, const char *what);
void mv_html_fact(mv_bytes *bytes, const char *name, const char *value); /* not if empty */
void mv_html_facts_model(mv_bytes *bytes, const char *spec, const mv_params *params);
void mv_html_facts_origin(mv_bytes *bytes, const mv_environment *where, const char *tool,
                          const char *version, const char *commit, const char *sha256);

/* ---- sections of a verification ---- */

void mv_html_verify_verdict(mv_html *html, const mv_verify_results *results, const char *name);
void mv_html_verify_failures(mv_html *html, const mv_verify_results *results);
void mv_html_verify_changes(mv_html *html, const mv_verify_results *results,
                            const mv_verify_results *old);
void mv_html_verify_heat(mv_html *html, const mv_verify_results *results);
void mv_html_verify_suites(mv_html *html, const mv_verify_results *results);
void mv_html_verify_divergence(mv_html *html, const mv_verify_results *results);
void mv_html_verify_profiles(mv_html *html, const mv_verify_results *results);
void mv_html_verify_self_test(mv_html *html, const mv_verify_results *results);
void mv_html_verify_cases(mv_html *html, const mv_verify_results *results);

void mv_html_environment(mv_html *html, const mv_environment *environment,
                         const mv_environment *old);
/* Says in the section of changes which facts differ; the table marks them. */
void mv_html_environment_change(mv_html *html, const mv_environment *environment,
                                const mv_environment *old);
void mv_html_verify_method(mv_html *html);

/* ---- sections of times ---- */

void mv_html_bench_verdict(mv_html *html, const mv_bench_results *results, const char *name);
void mv_html_bench_gate(mv_html *html, const mv_bench_results *results);
void mv_html_bench_changes(mv_html *html, const mv_bench_results *results,
                           const mv_bench_results *old);
void mv_html_bench_claims(mv_html *html, const mv_bench_results *results);
void mv_html_bench_speed(mv_html *html, const mv_bench_results *results);
void mv_html_bench_attention(mv_html *html, const mv_bench_results *results);
void mv_html_bench_memory(mv_html *html, const mv_bench_results *results);
void mv_html_bench_roofline(mv_html *html, const mv_bench_results *results);
void mv_html_bench_ops(mv_html *html, const mv_bench_results *results);
void mv_html_bench_spread(mv_html *html, const mv_bench_results *results);
void mv_html_bench_runs(mv_html *html, const mv_bench_results *results);
void mv_html_bench_method(mv_html *html);

/* ---- sections of a history ---- */

void mv_html_history(mv_html *html, const mv_history *history, const char *name);
void mv_html_history_data(mv_html *html, const mv_history *history);

/* The results as JSON, in an element that no script can be made of. */
void mv_html_data(mv_html *html, const mv_bytes *json, size_t n_results);

#endif
