/* html_cases.c - the table of cases. */
#include "reports/html_parts.h"

#include <inttypes.h>

/* A page must stay below a megabyte; what is left out is in the data. */
#define MAX_CASES 800

static void put_case(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_text(bytes, "<tr><td>");
    mv_html_verdict(bytes, one->verdict);
    mv_bytes_text(bytes, "</td>");
    mv_html_cell(bytes, one->suite);
    mv_html_cell(bytes, one->name);
    mv_html_cell(bytes, one->backend);
    mv_html_cell(bytes, mv_compute_word(one->compute));
    mv_html_cell_integer(bytes, one->window);
    if (one->schedule[0] != '\0') {
        mv_html_element(bytes, "td", "n", "mixed");
    } else {
        mv_html_cell_integer(bytes, one->chunk);
    }
    mv_html_cell_integer(bytes, one->length);
    for (size_t m = 0; m < 3; m++) {
        mv_html_cell_number(bytes, mv_metric_get(&one->metrics, m), mv_metric_is_known(one, m));
    }
    mv_html_cell_number(bytes, one->headroom, mv_headroom_is_known(one));
    mv_html_cell_number(bytes, (double)one->elapsed_ns / 1e6, one->elapsed_ns >= 0);
    mv_bytes_text(bytes, "</tr>\n");
}

void mv_html_verify_cases(mv_html *html, const mv_verify_results *results)
{
    mv_bytes *body = &html->body;
    if (results->n_cases == 0) {
        return;
    }
    mv_html_section(html, "cases", "All cases");
    mv_bytes_print(body, "<details class=\"long\"><summary>The table of %zu case%s</summary>\n",
                   results->n_cases, results->n_cases == 1 ? "" : "s");
    if (results->n_cases > MAX_CASES) {
        mv_bytes_print(body,
                       "<p>Of these, the %d first and all that need a person are shown; the data "
                       "below have every one.</p>\n",
                       MAX_CASES);
    }
    mv_html_table(body, "cases",
                  "verdict|suite|case|backend|compute|#window|#chunk|#length|#R rmse|#R row|#R max|"
                  "#headroom|#ms");
    for (size_t i = 0; i < results->n_cases; i++) {
        if (i < MAX_CASES || mv_needs_person(&results->cases[i])) {
            put_case(body, &results->cases[i]);
        }
    }
    mv_html_table_end(body);
    mv_bytes_text(body, "</details>\n");
    mv_html_section_end(html);
}
