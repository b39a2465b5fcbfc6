/* parts.h - what the writers in this folder share; nobody outside includes it.
 *
 * Text in the results comes from files, plugins and command lines: every writer passes it through
 * an escape of its own format, built on mv_utf8_next(), and none prints it with %s.
 */
#ifndef MV_REPORTS_PARTS_H
#define MV_REPORTS_PARTS_H

#include "reports/report.h"

/* ---- text ---- */

/* The next code point of *text, which moves on; 0 at the end. Each byte that is no part of valid
 * UTF-8 (overlong forms and surrogates included) gives U+FFFD. */
uint32_t mv_utf8_next(const char **text);
void mv_bytes_put(mv_bytes *bytes, uint32_t code_point); /* as UTF-8 */
void mv_bytes_text(mv_bytes *bytes, const char *text);   /* our own text only */

/* ---- numbers ---- */

/* The shortest digits that read back as the same double; "nan", "inf", "-inf". Always with '.'. */
void mv_bytes_double(mv_bytes *bytes, double value);

/* For a person: two or three significant digits. What is not known is "-". */
typedef struct mv_short {
    char text[24];
} mv_short;
mv_short mv_short_number(double value, bool is_known);

/* ---- what a case says ---- */

#define MV_N_METRICS 8 /* effective_window is an integer, and apart */
extern const char *const mv_metric_names[MV_N_METRICS];
double mv_metric_get(const mv_metrics *metrics, size_t index);

/* A metric that was not measured is NAN and is left out; one that was measured as NAN, because
 * the engine produced NaN, must be seen. In a case that passed or failed, what is gated counts as
 * measured. */
bool mv_metric_is_known(const mv_case_result *one, size_t index);
bool mv_headroom_is_known(const mv_case_result *one);
bool mv_divergence_is_known(const mv_case_result *one);

const char *mv_compute_word(mv_compute compute); /* "f32" */
bool mv_needs_person(const mv_case_result *one); /* neither pass nor skip */

/* The reason, or words that stand for a missing one; never "" unless the case passed. */
const char *mv_case_reason(const mv_case_result *one);

/* "reason", "worst", ... each one line in words, still to be escaped. The command line to
 * reproduce is not among them. Returns how many, at most MV_MAX_DETAILS. */
#define MV_MAX_DETAILS 6
typedef struct mv_detail {
    const char *label;
    char text[512];
} mv_detail;
size_t mv_case_details(const mv_case_result *one, mv_detail details[MV_MAX_DETAILS]);

/* "fail: 42 cases, 1 failed, ... in 0.41 s", without a newline. */
void mv_bytes_summary(mv_bytes *bytes, const mv_verify_results *results);

/* "2 of 3 planted bugs killed, ...": the self-test in one line, in plain words of ours. */
void mv_bytes_self_test(mv_bytes *bytes, const mv_verify_results *results);
bool mv_self_test_was_run(const mv_verify_results *results);
bool mv_mutant_is_wrong(const mv_mutant_result *mutant); /* survived, or equivalent and killed */

/* ---- what the profile of a failed case says (words_divergence.c) ---- */

mv_short mv_times_limit(double times_limit);                    /* "0.125", "1.33M", "not finite" */
mv_short mv_step_layer(const mv_divergence_step *step);         /* "layer 3", "outside" */
mv_short mv_row_name(const mv_divergence *profile, size_t row); /* "3", "4-5", "other" */

/* "layer 3: over the limit at positions 8 to 39; the worst error / limit is 41, at position 12". */
typedef struct mv_row_text {
    char text[192];
} mv_row_text;
mv_row_text mv_divergence_row(const mv_divergence *profile, size_t row);

/* "8 to 39, 48": the positions where a row is over its limit; "" nowhere. */
mv_row_text mv_divergence_places(const mv_divergence *profile, size_t row);
size_t mv_divergence_worst(const mv_divergence *profile, size_t row); /* its bin */
mv_short mv_bin_name(const mv_divergence *profile, size_t bin);       /* "12", "12 to 13" */
bool mv_row_is_bad(const mv_divergence *profile, size_t row);
bool mv_row_is_played(const mv_divergence *profile, size_t row);

/* One sentence each, text of ours but for the names of operations: still to be escaped. */
typedef struct mv_finding {
    char text[384];
} mv_finding;
mv_finding mv_divergence_steps_finding(const mv_divergence *profile);
mv_finding mv_divergence_map_finding(const mv_divergence *profile, int64_t window);

/* ---- groups: the cases of one suite, one backend and one compute type ---- */

bool mv_group_begins_at(const mv_verify_results *results, size_t index);
bool mv_group_has(const mv_case_result *first, const mv_case_result *one);

typedef struct mv_group {
    size_t n_cases;
    size_t n_by_verdict[MV_VERDICT_SKIP + 1];
    mv_verdict verdict; /* as in mv_summary */
    double ratios[3];   /* the largest r_rmse, r_row, r_maxabs; NAN if one was NAN */
    bool has_ratio[3];  /* false: none was measured */
    double headroom;    /* the least; NAN if one was NAN */
    bool has_headroom;
    const mv_case_result *skip; /* the first skipped case, or NULL */
    int64_t elapsed_ns;
} mv_group;
mv_group mv_group_summarise(const mv_verify_results *results, size_t first);

/* ---- pieces of the text report ---- */

void mv_text_put(mv_bytes *bytes, const char *text);                   /* harmless to a terminal */
void mv_text_put_padded(mv_bytes *bytes, const char *text, int width); /* to the left */

/* The verdict as a word, padded; those that need a person in capitals, so that colour is only
 * ever a second sign. */
void mv_text_verdict(mv_bytes *bytes, mv_verdict verdict, int width, const mv_report_style *style);

/* What was run; with the environment if verbose. Returns true if the rows below must name backend
 * and compute type to be told apart. */
bool mv_text_header(mv_bytes *bytes, const mv_verify_results *results,
                    const mv_report_style *style);

/* Chunks down, windows across, if the group varies in both and is not too large to read. */
void mv_text_grid(mv_bytes *bytes, const mv_verify_results *results, size_t first,
                  const mv_report_style *style);

/* ---- pieces of JSON, also used inside TAP's YAML ---- */

void mv_json_string(mv_bytes *bytes, const char *text);
void mv_json_number(mv_bytes *bytes, double value); /* non-finite: "nan", "inf", "-inf" */
void mv_json_metrics(mv_bytes *bytes, const mv_case_result *one);
void mv_json_limits(mv_bytes *bytes, const mv_case_result *one);
void mv_json_worst(mv_bytes *bytes, const mv_case_result *one);
void mv_json_divergence(mv_bytes *bytes, const mv_case_result *one);
void mv_json_divergence_profile(mv_bytes *bytes, const mv_divergence *divergence);

/* The keys "tool" and "environment", and "model": whole lines, with a ',' at the end. */
void mv_json_tool(mv_bytes *bytes, const char *version, const char *commit,
                  const mv_environment *environment);
void mv_json_model(mv_bytes *bytes, const char *spec, const mv_params *params, const char *sha256);

/* ---- pieces of CSV and Markdown ---- */

/* A cell, with a comma before it unless it is the first of its row. */
void mv_csv_text(mv_bytes *bytes, bool is_first, const char *text);
void mv_markdown_text(mv_bytes *bytes, const char *text); /* of a paragraph or a table's cell */

/* ---- pieces of the reports on times ---- */

/* "12.3 GB/s", "1.50 ms": three digits and a prefix of SI. "-" if not finite. */
mv_short mv_short_quantity(double value, const char *unit);
mv_short mv_short_rate(double value); /* "19041", "8.25" */

/* "prompt 512, chunk 128, window 4096": what tells a row from others, in words of ours. */
typedef struct mv_shape_text {
    char text[160];
} mv_shape_text;
mv_shape_text mv_shape_words(const mv_bench_run *run);
/* The ops of a profile, those that take most first. Returns how many. */
size_t mv_profile_sort(mv_bench_op sorted[MV_BENCH_MAX_OPS], const mv_bench_profile *profile);
/* The same without what takes less than half a per cent; all is in the JSON. */
size_t mv_profile_largest(mv_bench_op largest[MV_BENCH_MAX_OPS], const mv_bench_profile *profile);

double mv_median_ns(const mv_bench_run *run); /* of a token of one sequence; NAN without samples */

/* "2 of 4 rows were not checked against the reference", or "". */
void mv_bytes_bench_summary(mv_bytes *bytes, const mv_bench_results *results);

/* ---- the rows of mv_reports ---- */

void mv_text_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style);
void mv_json_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style);
void mv_csv_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                        const mv_report_style *style);
void mv_markdown_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                             const mv_report_style *style);

void mv_text_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style);
void mv_json_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style);
void mv_junit_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                           const mv_report_style *style);
void mv_tap_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                         const mv_report_style *style);
void mv_csv_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                         const mv_report_style *style);
void mv_markdown_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                              const mv_report_style *style);
void mv_html_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style);
void mv_html_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style);

#endif
