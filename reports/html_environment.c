/* html_environment.c - where it was run; beside an older run, with the differences marked. */
#include "reports/changes.h"
#include "reports/html_parts.h"

#include <string.h>

static void put_row(mv_bytes *bytes, const char *key, const char *now, const char *before,
                    bool has_old)
{
    bool differs = has_old && mv_fact_differs(key, now, before);
    mv_bytes_print(bytes, "<tr%s><th scope=\"row\">", differs ? " class=\"differs\"" : "");
    mv_html_put(bytes, key);
    mv_bytes_text(bytes, "</th>");
    mv_html_cell(bytes, now);
    if (has_old) {
        mv_html_cell(bytes, before);
        mv_html_cell(bytes, differs ? "differs" : "");
    }
    mv_bytes_text(bytes, "</tr>\n");
}

void mv_html_environment(mv_html *html, const mv_environment *environment,
                         const mv_environment *old)
{
    mv_bytes *body = &html->body;
    if (environment->n_facts == 0 && (old == NULL || old->n_facts == 0)) {
        return;
    }
    mv_html_section(html, "environment", "Where it was run");
    mv_bytes_text(body, "<p>What could not be known is absent.</p>\n");
    mv_html_table(body, "environment",
                  old != NULL ? "fact|this run|older run|difference" : "fact|value");
    for (size_t i = 0; i < environment->n_facts; i++) {
        const mv_fact *fact = &environment->facts[i];
        const char *before = old != NULL ? mv_environment_get(old, fact->key) : NULL;
        put_row(body, fact->key, fact->value, before != NULL ? before : "not known", old != NULL);
    }
    for (size_t i = 0; old != NULL && i < old->n_facts; i++) {
        if (mv_environment_get(environment, old->facts[i].key) == NULL) {
            put_row(body, old->facts[i].key, "not known", old->facts[i].value, true);
        }
    }
    mv_html_table_end(body);
    mv_html_section_end(html);
}

void mv_html_environment_change(mv_html *html, const mv_environment *environment,
                                const mv_environment *old)
{
    mv_bytes *body = &html->body, names = {0};
    size_t n = 0;
    for (int side = 0; side < 2; side++) {
        const mv_environment *one = side == 0 ? environment : old;
        const mv_environment *other = side == 0 ? old : environment;
        for (size_t i = 0; i < one->n_facts; i++) {
            const char *key = one->facts[i].key, *value = mv_environment_get(other, key);
            if (mv_fact_differs(key, one->facts[i].value, value) && (side == 0 || value == NULL)) {
                mv_bytes_text(&names, n++ > 0 ? ", " : "");
                mv_html_element(&names, "code", "", key);
            }
        }
    }
    if (n > 0) {
        mv_bytes_print(body,
                       "<p class=\"differs\">%zu fact%s of the machine or the build differ%s: ", n,
                       n == 1 ? "" : "s", n == 1 ? "s" : "");
        mv_bytes_append(body, names.data, names.size);
        mv_bytes_print(body, " (<a href=\"#%s-environment\">both values</a>).</p>\n", html->prefix);
    }
    body->failed = body->failed || names.failed;
    mv_bytes_free(&names);
}
