/* text.c - for a person at a terminal: what was run, a row for each suite, what failed in full, and
 * the verdict as the last line, where the eye is. */
#include "reports/parts.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FAILURES 5 /* of one suite, unless verbose: the first few tell, the rest repeat */

void mv_text_put(mv_bytes *bytes, const char *text)
{
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        if (c == '\n') {
            mv_bytes_text(bytes, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            mv_bytes_print(bytes, "\\x%02" PRIx32, c);
        } else if ((c >= 0x80 && c <= 0x9F) || (c >= 0x202A && c <= 0x202E) ||
                   (c >= 0x2066 && c <= 0x2069)) { /* C1, and what turns the writing direction */
            mv_bytes_print(bytes, "\\u%04" PRIx32, c);
        } else {
            mv_bytes_put(bytes, c);
        }
    }
}

/* In characters of one column: names here are ASCII but for accidents. */
void mv_text_put_padded(mv_bytes *bytes, const char *text, int width)
{
    size_t before = bytes->size;
    mv_text_put(bytes, text);
    for (size_t i = before; i < bytes->size; i++) {
        width -= ((unsigned char)bytes->data[i] & 0xC0) != 0x80 ? 1 : 0;
    }
    mv_bytes_print(bytes, "%*s", width > 0 ? width : 0, "");
}

static const char *color_of(mv_verdict verdict)
{
    switch (verdict) {
    case MV_VERDICT_PASS:
        return "32"; /* green */
    case MV_VERDICT_VACUOUS:
        return "1;33"; /* bold yellow */
    case MV_VERDICT_SKIP:
        return "36"; /* cyan */
    case MV_VERDICT_FAIL:
    case MV_VERDICT_ERROR:
    default:
        return "1;31"; /* bold red */
    }
}

void mv_text_verdict(mv_bytes *bytes, mv_verdict verdict, int width, const mv_report_style *style)
{
    char word[16];
    (void)snprintf(word, sizeof word, "%s", mv_verdict_name(verdict));
    bool is_calm = verdict == MV_VERDICT_PASS || verdict == MV_VERDICT_SKIP;
    for (char *c = word; !is_calm && *c != '\0'; c++) {
        *c = (char)(*c - 'a' + 'A');
    }
    int rest = width - (int)strlen(word);
    mv_bytes_print(bytes, style->color ? "\033[%sm%s\033[0m" : "%.0s%s", color_of(verdict), word);
    mv_bytes_print(bytes, "%*s", rest > 0 ? rest : 0, "");
}

/* ---- a row for each suite ---- */

/* The first column: as wide as the names need, within reason. */
typedef struct table {
    bool with_backend;
    int width;
} table;

typedef struct group_name {
    char text[192];
} group_name;

static group_name name_group(const mv_case_result *head, const table *layout)
{
    group_name name;
    (void)snprintf(name.text, sizeof name.text, layout->with_backend ? "%s (%s, %s)" : "%s",
                   head->suite, head->backend, mv_compute_word(head->compute));
    return name;
}

static table lay_out(const mv_verify_results *results, bool with_backend, bool verbose)
{
    table layout = {with_backend, 14};
    for (size_t i = 0; i < results->n_cases; i++) {
        size_t size = strlen(name_group(&results->cases[i], &layout).text);
        size_t case_size = verbose ? strlen(results->cases[i].name) + 2 : 0;
        size = size < case_size ? case_size : size;
        layout.width = size > (size_t)layout.width ? (int)size : layout.width;
        if (layout.width > 40) {
            layout.width = 40;
        }
    }
    return layout;
}

static void put_numbers(mv_bytes *bytes, const double ratios[3], const bool has_ratio[3],
                        double headroom, bool has_headroom)
{
    for (size_t k = 0; k < 3; k++) {
        mv_bytes_print(bytes, " %8s", mv_short_number(ratios[k], has_ratio[k]).text);
    }
    mv_bytes_print(bytes, "  %8s", mv_short_number(headroom, has_headroom).text);
}

static void put_case_row(mv_bytes *bytes, const mv_case_result *one, const table *layout,
                         const mv_report_style *style)
{
    const double ratios[3] = {one->metrics.r_rmse, one->metrics.r_row, one->metrics.r_maxabs};
    const bool known[3] = {mv_metric_is_known(one, 0), mv_metric_is_known(one, 1),
                           mv_metric_is_known(one, 2)};
    mv_bytes_text(bytes, "  ");
    mv_text_put_padded(bytes, one->name, layout->width - 2);
    mv_bytes_text(bytes, " ");
    mv_text_verdict(bytes, one->verdict, 7, style);
    mv_bytes_print(bytes, " %9s", "");
    put_numbers(bytes, ratios, known, one->headroom, mv_headroom_is_known(one));
    if (one->elapsed_ns >= 0) {
        mv_bytes_print(bytes, "  %7.3f s", (double)one->elapsed_ns / 1e9);
    }
    mv_bytes_text(bytes, "\n");
}

static void put_group(mv_bytes *bytes, const mv_verify_results *results, size_t first,
                      const table *layout, const mv_report_style *style)
{
    const mv_case_result *head = &results->cases[first];
    mv_group group = mv_group_summarise(results, first);
    char passed[48];
    (void)snprintf(passed, sizeof passed, "%zu/%zu", group.n_by_verdict[MV_VERDICT_PASS],
                   group.n_cases);
    mv_text_put_padded(bytes, name_group(head, layout).text, layout->width);
    mv_bytes_text(bytes, " ");
    mv_text_verdict(bytes, group.verdict, 7, style);
    mv_bytes_print(bytes, " %9s", passed);
    put_numbers(bytes, group.ratios, group.has_ratio, group.headroom, group.has_headroom);
    mv_bytes_text(bytes, "\n");
    if (group.skip != NULL) {
        mv_bytes_print(bytes, "    %zu skipped: ", group.n_by_verdict[MV_VERDICT_SKIP]);
        mv_text_put(bytes, mv_case_reason(group.skip));
        mv_bytes_text(bytes, "\n");
    }
    mv_text_grid(bytes, results, first, style);
    for (size_t i = first; style->verbose && i < results->n_cases; i++) {
        if (mv_group_has(head, &results->cases[i])) {
            put_case_row(bytes, &results->cases[i], layout, style);
        }
    }
}

/* ---- failures ---- */

static void put_line(mv_bytes *bytes, const char *label, const char *text)
{
    mv_bytes_print(bytes, "    %-12s ", label);
    mv_text_put(bytes, text);
    mv_bytes_text(bytes, "\n");
}

static void put_failure(mv_bytes *bytes, const mv_case_result *one, const mv_report_style *style)
{
    mv_bytes_text(bytes, "\n");
    mv_text_verdict(bytes, one->verdict, 0, style);
    mv_bytes_text(bytes, "  ");
    mv_text_put(bytes, one->suite);
    mv_bytes_text(bytes, " / ");
    mv_text_put(bytes, one->name);
    mv_bytes_text(bytes, "  (");
    mv_text_put(bytes, one->backend);
    mv_bytes_print(bytes, ", %s", mv_compute_word(one->compute));
    if (one->length >= 0) {
        mv_bytes_print(bytes, ", length %" PRId64, one->length);
    }
    mv_bytes_print(bytes, ", seed %" PRIu64 ")\n", one->seed);
    mv_detail details[MV_MAX_DETAILS];
    size_t n = mv_case_details(one, details);
    for (size_t i = 0; i < n; i++) {
        put_line(bytes, details[i].label, details[i].text);
    }
    if (one->reproduce[0] != '\0') {
        put_line(bytes, "reproduce", one->reproduce);
    }
}

static void put_failures(mv_bytes *bytes, const mv_verify_results *results, size_t first,
                         const mv_report_style *style)
{
    size_t n = 0;
    for (size_t i = first; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (mv_group_has(&results->cases[first], one) && mv_needs_person(one) &&
            (n++ < MAX_FAILURES || style->verbose)) {
            put_failure(bytes, one, style);
        }
    }
    if (n > MAX_FAILURES && !style->verbose) {
        mv_bytes_print(bytes, "\n    ... and %zu more in ", n - MAX_FAILURES);
        mv_text_put(bytes, results->cases[first].suite);
        mv_bytes_text(bytes, "; --verbose shows them\n");
    }
}

static void put_self_test(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style)
{
    mv_bytes_text(bytes, "\nself-test: ");
    mv_bytes_self_test(bytes, results);
    mv_bytes_text(bytes, "\n");
    for (size_t i = 0; i < results->n_mutants; i++) {
        const mv_mutant_result *mutant = &results->mutants[i];
        bool is_wrong = mv_mutant_is_wrong(mutant);
        bool is_killed = mv_mutant_is_killed(mutant);
        if (!is_wrong && !style->verbose) {
            continue;
        }
        const char *word = mutant->equivalent ? (is_killed ? "FALSE ALARM" : "equivalent")
                                              : (is_killed ? "killed" : "SURVIVED");
        mv_bytes_print(bytes, is_wrong && style->color ? "  \033[1;31m%s\033[0m%*s " : "  %s%*s ",
                       word, 11 - (int)strlen(word), "");
        mv_text_put_padded(bytes, mutant->name, 32);
        mv_bytes_text(bytes, is_killed ? " by " : " expected of ");
        mv_text_put(bytes, is_killed ? mutant->killed_by : mutant->expected_suites);
        mv_bytes_text(bytes, "; imitates: ");
        mv_text_put(bytes, mutant->imitates);
        mv_bytes_text(bytes, "\n");
    }
}

static void put_table(mv_bytes *bytes, const mv_verify_results *results,
                      const mv_report_style *style)
{
    bool with_backend = mv_text_header(bytes, results, style);
    table layout = lay_out(results, with_backend, style->verbose);
    if (results->n_cases > 0) {
        mv_bytes_print(bytes, "\n%-*s %-7s %9s %8s %8s %8s  %8s\n", layout.width, "suite",
                       "verdict", "passed", "R rmse", "R row", "R maxabs", "headroom");
    } else if (!mv_self_test_was_run(results)) {
        mv_bytes_text(bytes, "\nno case was run: nothing was compared\n");
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_group_begins_at(results, i)) {
            put_group(bytes, results, i, &layout, style);
        }
    }
}

void mv_text_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style)
{
    if (!style->quiet) {
        put_table(bytes, results, style);
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_group_begins_at(results, i)) {
            put_failures(bytes, results, i, style);
        }
    }
    if (mv_self_test_was_run(results)) {
        put_self_test(bytes, results, style);
    }
    if (bytes->size > 0) {
        mv_bytes_text(bytes, "\n");
    }
    if (style->color) {
        mv_verdict verdict = mv_verify_results_summarise(results).verdict;
        mv_bytes_print(bytes, "\033[%sm", color_of(verdict));
    }
    mv_bytes_summary(bytes, results);
    mv_bytes_text(bytes, style->color ? "\033[0m\n" : "\n");
}
