/* html_self_test.c - the kill matrix: planted bugs down, suites across. It is what makes the other
 * verdicts worth something: a suite that kills nothing proves nothing. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_SUITES = 40, NAME_SIZE = 64 };

typedef struct suite_list {
    char names[MAX_SUITES][NAME_SIZE];
    size_t n;
} suite_list;

/* The next of "a,b"; false at the end. *text moves on. */
static bool next_name(const char **text, char name[NAME_SIZE])
{
    while (**text == ',' || **text == ' ') {
        ++*text;
    }
    size_t size = strcspn(*text, ",");
    (void)snprintf(name, NAME_SIZE, "%.*s", (int)size, *text);
    *text += size;
    return size > 0;
}

static bool has_name(const char *commas, const char *wanted)
{
    char name[NAME_SIZE];
    while (next_name(&commas, name)) {
        if (strcmp(name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static void add_names(suite_list *list, const char *commas)
{
    char name[NAME_SIZE];
    while (next_name(&commas, name)) {
        bool is_new = list->n < MAX_SUITES;
        for (size_t i = 0; i < list->n && is_new; i++) {
            is_new = strcmp(list->names[i], name) != 0;
        }
        if (is_new) {
            memcpy(list->names[list->n++], name, NAME_SIZE);
        }
    }
}

/* A sign for the eye, a word for the ear, and for who has no style. */
static void put_cell(mv_bytes *bytes, const mv_mutant_result *mutant, const char *suite)
{
    static const struct {
        const char *word, *sign;
    } kinds[] = {
        {"killed", "\xE2\x9C\x93"}, {"also", "+"}, {"missed", "\xE2\x9C\x97"}, {"false", "!"}};
    const bool killed = has_name(mutant->killed_by, suite);
    const bool expected = has_name(mutant->expected_suites, suite);
    const size_t kind = killed ? (mutant->equivalent != 0 ? 3 : expected ? 0 : 1) : 2;
    if (!killed && (!expected || mutant->equivalent != 0)) {
        mv_bytes_text(bytes, "<td class=\"k\"></td>");
        return;
    }
    mv_bytes_print(bytes,
                   "<td class=\"k %s\"><span aria-hidden=\"true\">%s</span><span class=\"ear\"> "
                   "%s</span></td>",
                   kinds[kind].word, kinds[kind].sign, kinds[kind].word);
}

static void put_mutant(mv_bytes *bytes, const mv_mutant_result *mutant, const suite_list *suites)
{
    bool is_wrong = mv_mutant_is_wrong(mutant);
    mv_bytes_text(bytes, "<tr><th scope=\"row\">");
    mv_html_put(bytes, mutant->name);
    mv_bytes_text(bytes, "</th><td>");
    mv_bytes_print(
        bytes, "<span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span></td>",
        is_wrong ? "fail" : "pass", mv_html_sign(is_wrong ? MV_VERDICT_FAIL : MV_VERDICT_PASS),
        mutant->equivalent == 0 ? (is_wrong ? "survived" : "killed")
        : is_wrong              ? "false alarm"
                                : "harmless, passed");
    for (size_t s = 0; s < suites->n; s++) {
        put_cell(bytes, mutant, suites->names[s]);
    }
    mv_html_cell_number(bytes, mutant->r_rmse, false);
    mv_html_cell(bytes, mutant->imitates);
    mv_bytes_text(bytes, "</tr>\n");
}

static void put_survivors(mv_bytes *bytes, const mv_verify_results *results)
{
    const char *before = " Survived: ";
    for (size_t i = 0; i < results->n_mutants; i++) {
        const mv_mutant_result *mutant = &results->mutants[i];
        if (mutant->equivalent == 0 && mv_mutant_is_wrong(mutant)) {
            mv_bytes_text(bytes, before);
            mv_html_element(bytes, "code", "", mutant->name);
            before = ", ";
        }
    }
    mv_bytes_text(bytes, before[0] == ',' ? "." : "");
}

void mv_html_verify_self_test(mv_html *html, const mv_verify_results *results)
{
    suite_list suites = {.n = 0};
    mv_bytes *body = &html->body;
    if (!mv_self_test_was_run(results)) {
        return;
    }
    for (size_t i = 0; i < results->n_mutants; i++) {
        add_names(&suites, results->mutants[i].expected_suites);
        add_names(&suites, results->mutants[i].killed_by);
    }
    mv_html_section(html, "self-test", "Planted bugs and who saw them");
    mv_bytes_text(body, "<p>");
    mv_bytes_self_test(body, results);
    mv_bytes_text(body, ".");
    put_survivors(body, results);
    mv_bytes_text(body,
                  " <b>\xE2\x9C\x93</b> killed by a suite that had promised it; <b>+</b> by one "
                  "that had not; <b>\xE2\x9C\x97</b> promised and missed; <b>!</b> a harmless "
                  "change that was called a bug.</p>\n<div class=\"matrix long\">\n");
    if (results->n_mutants > 0) {
        mv_html_table_begin(body, "planted bugs by suite");
        mv_html_heading(body, "planted bug", false);
        mv_html_heading(body, "verdict", false);
        for (size_t s = 0; s < suites.n; s++) {
            mv_bytes_text(body, "<th scope=\"col\" class=\"tall\">");
            mv_html_put(body, suites.names[s]);
            mv_bytes_text(body, "</th>");
        }
        mv_html_heading(body, "R", true);
        mv_html_heading(body, "imitates", false);
        mv_html_table_body(body);
        for (size_t i = 0; i < results->n_mutants; i++) {
            put_mutant(body, &results->mutants[i], &suites);
        }
        mv_html_table_end(body);
    }
    mv_bytes_text(body, "</div>\n");
    mv_html_section_end(html);
}
