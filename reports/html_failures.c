/* html_failures.c - what needs a person, each with the command that shows it again; and what
 * changed since an older run. */
#include "reports/changes.h"
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_SHOWN 40
#define MAX_OPEN 8
#define MAX_NAMES 24    /* of cases that fail like the one that is shown */
#define MAX_CHANGES 200 /* rows of the table of changes */

static void put_chip(mv_bytes *bytes, const char *name, int64_t value)
{
    if (value >= 0) {
        mv_bytes_print(bytes, " <span class=\"chip\">%s %" PRId64 "</span>", name, value);
    }
}

/* Cases that one bug most likely makes: of one suite and window, wrong from one position on; or,
 * where no position is known, with one reason. */
static bool fails_alike(const mv_case_result *a, const mv_case_result *b)
{
    return a->verdict == b->verdict && a->compute == b->compute && a->window == b->window &&
           strcmp(a->suite, b->suite) == 0 && strcmp(a->backend, b->backend) == 0 &&
           a->divergence_position == b->divergence_position &&
           (a->divergence_position >= 0 || strcmp(a->reason, b->reason) == 0);
}

/* Whether an earlier case stands for this one. */
static bool is_repeated(const mv_verify_results *results, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (fails_alike(&results->cases[i], &results->cases[at])) {
            return true;
        }
    }
    return false;
}

static void put_others(mv_bytes *bytes, const mv_verify_results *results, size_t at)
{
    size_t n = 0, n_named = 0;
    for (size_t i = at + 1; i < results->n_cases; i++) {
        n += fails_alike(&results->cases[at], &results->cases[i]) ? 1 : 0;
    }
    if (n == 0) {
        return;
    }
    mv_bytes_print(bytes, "<p>%zu more case%s of this suite fail%s alike: ", n, n == 1 ? "" : "s",
                   n == 1 ? "s" : "");
    for (size_t i = at + 1; i < results->n_cases && n_named < MAX_NAMES; i++) {
        if (fails_alike(&results->cases[at], &results->cases[i])) {
            mv_bytes_text(bytes, n_named++ > 0 ? ", " : "");
            mv_html_put(bytes, results->cases[i].name);
        }
    }
    mv_bytes_text(bytes, n > n_named ? ", ... (all are in the table of cases).</p>\n" : ".</p>\n");
}

static void put_failure(mv_bytes *bytes, const mv_verify_results *results, size_t at, bool is_open)
{
    const mv_case_result *one = &results->cases[at];
    mv_detail details[MV_MAX_DETAILS];
    size_t n = mv_case_details(one, details);
    mv_bytes_print(bytes, "<details class=\"failure %s\"%s><summary>",
                   mv_verdict_name(one->verdict), is_open ? " open" : "");
    mv_html_verdict(bytes, one->verdict);
    mv_bytes_text(bytes, " ");
    mv_html_element(bytes, "strong", "", one->suite);
    mv_bytes_text(bytes, " / ");
    mv_html_put(bytes, one->name);
    mv_bytes_text(bytes, " ");
    mv_html_element(bytes, "span", "chip", one->backend);
    mv_bytes_print(bytes, " <span class=\"chip\">%s</span>", mv_compute_word(one->compute));
    put_chip(bytes, "window", one->window);
    put_chip(bytes, "chunk", one->schedule[0] == '\0' ? one->chunk : -1);
    put_chip(bytes, "length", one->length);
    mv_bytes_print(bytes, " <span class=\"chip\">seed %" PRIu64 "</span></summary>\n<dl>\n",
                   one->seed);
    for (size_t i = 0; i < n; i++) {
        mv_bytes_text(bytes, "<div>");
        mv_html_element(bytes, "dt", "", details[i].label);
        mv_html_element(bytes, "dd", "", details[i].text);
        mv_bytes_text(bytes, "</div>\n");
    }
    mv_bytes_text(bytes, "</dl>\n");
    if (one->reproduce[0] != '\0') {
        mv_html_command(bytes, one->reproduce);
    }
    put_others(bytes, results, at);
    mv_bytes_text(bytes, "</details>\n");
}

void mv_html_verify_failures(mv_html *html, const mv_verify_results *results)
{
    size_t n = 0, n_cards = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        const bool wanted = mv_needs_person(&results->cases[i]);
        n += wanted ? 1 : 0;
        n_cards += wanted && !is_repeated(results, i) ? 1 : 0;
    }
    if (n == 0) {
        return;
    }
    mv_html_section(html, "failures", "What needs a person");
    if (n > n_cards) {
        mv_bytes_print(&html->body,
                       "<p>%zu cases, in %zu group%s: those of one suite and window that are wrong "
                       "from the same position on are shown once.</p>\n",
                       n, n_cards, n_cards == 1 ? "" : "s");
    }
    size_t shown = 0;
    for (size_t i = 0; i < results->n_cases && shown < MAX_SHOWN; i++) {
        if (mv_needs_person(&results->cases[i]) && !is_repeated(results, i)) {
            put_failure(&html->body, results, i, shown < MAX_OPEN);
            shown++;
        }
    }
    if (n_cards > shown) {
        mv_bytes_print(&html->body, "<p>... and %zu more, in the table of cases.</p>\n",
                       n_cards - shown);
    }
    mv_html_section_end(html);
}

/* ---- since an older run ---- */

typedef struct changed_rows {
    mv_bytes bytes;
    size_t n;
} changed_rows;

static void put_change(void *cookie, const mv_case_change *change)
{
    changed_rows *rows = cookie;
    const mv_case_result *one = change->after != NULL ? change->after : change->before;
    mv_bytes *bytes = &rows->bytes;
    if (rows->n++ >= MAX_CHANGES) {
        return;
    }
    mv_bytes_text(bytes, "<tr>");
    mv_html_cell(bytes, one->suite);
    mv_html_cell(bytes, one->name);
    mv_html_cell(bytes, one->backend);
    mv_html_cell(bytes, mv_compute_word(one->compute));
    for (int i = 0; i < 2; i++) {
        const mv_case_result *side = i == 0 ? change->before : change->after;
        mv_bytes_text(bytes, "<td>");
        if (side != NULL) {
            mv_html_verdict(bytes, side->verdict);
        } else {
            mv_bytes_text(bytes, "not run");
        }
        mv_bytes_text(bytes, "</td>");
    }
    for (int i = 0; i < 2; i++) {
        const mv_case_result *side = i == 0 ? change->before : change->after;
        mv_html_cell_number(bytes, side != NULL ? side->metrics.r_rmse : NAN,
                            side != NULL && mv_metric_is_known(side, 0));
    }
    mv_bytes_text(bytes, "</tr>\n");
}

void mv_html_verify_changes(mv_html *html, const mv_verify_results *results,
                            const mv_verify_results *old)
{
    changed_rows rows = {.n = 0};
    const mv_case_changes found = mv_case_changes_find(results, old, put_change, &rows);
    mv_html_section(html, "changes", "Since the older run");
    mv_bytes_print(&html->body,
                   "<p>%s%zu no longer hold%s, %zu hold%s again.%s %zu of %zu cases changed "
                   "(another verdict, or R by more than a fifth); %zu %s new, %zu %s gone.</p>\n",
                   found.n_broken > 0 ? "<strong>" : "", found.n_broken,
                   found.n_broken == 1 ? "s" : "", found.n_mended, found.n_mended == 1 ? "s" : "",
                   found.n_broken > 0 ? "</strong>" : "", found.n_changed, results->n_cases,
                   found.n_new, found.n_new == 1 ? "is" : "are", found.n_gone,
                   found.n_gone == 1 ? "is" : "are");
    if (found.n_new == results->n_cases && old->n_cases > 0) {
        mv_bytes_text(&html->body, "<p><strong>No case is in both: another engine, grid or seed "
                                   "was run.</strong></p>\n");
    }
    mv_html_environment_change(html, &results->environment, &old->environment);
    if (strcmp(results->weights_sha256, old->weights_sha256) != 0) {
        mv_bytes_text(&html->body, "<p><strong>The two runs did not use the same "
                                   "weights.</strong></p>\n");
    }
    if (rows.bytes.size > 0) {
        mv_bytes_text(&html->body, "<div class=\"long\">\n");
        mv_html_table(&html->body, "cases that changed",
                      "suite|case|backend|compute|before|now|#R before|#R now");
        mv_bytes_append(&html->body, rows.bytes.data, rows.bytes.size);
        mv_html_table_end(&html->body);
        mv_bytes_text(&html->body, "</div>\n");
    }
    if (rows.n > MAX_CHANGES) {
        mv_bytes_print(&html->body, "<p>... and %zu more.</p>\n", rows.n - MAX_CHANGES);
    }
    html->body.failed = html->body.failed || rows.bytes.failed;
    mv_bytes_free(&rows.bytes);
    mv_html_section_end(html);
}
