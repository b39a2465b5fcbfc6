/* html.c - the page: head, navigation, one group of sections for each results file. */
#include "reports/html.h"

#include <string.h>

#include "reports/html_parts.h"

/* ---- sections ---- */

void mv_html_section(mv_html *html, const char *id, const char *title)
{
    mv_bytes_print(&html->nav, "<li><a href=\"#%s-%s\">%s</a></li>\n", html->prefix, id, title);
    mv_bytes_print(&html->body, "<section id=\"%s-%s\">\n<h3>%s</h3>\n", html->prefix, id, title);
}

void mv_html_section_end(mv_html *html)
{
    mv_bytes_text(&html->body, "</section>\n");
}

/* ---- one results file ---- */

static void put_verify(mv_html *html, const mv_page_part *part)
{
    mv_bytes json = {0};
    const mv_report_style style = {.color = false, .verbose = false};
    mv_html_verify_verdict(html, part->verify, part->name);
    mv_html_verify_failures(html, part->verify);
    if (part->verify_old != NULL) {
        mv_html_verify_changes(html, part->verify, part->verify_old);
    }
    mv_html_verify_heat(html, part->verify);
    mv_html_verify_suites(html, part->verify);
    mv_html_verify_divergence(html, part->verify);
    mv_html_verify_profiles(html, part->verify);
    mv_html_verify_self_test(html, part->verify);
    mv_html_environment(html, &part->verify->environment,
                        part->verify_old != NULL ? &part->verify_old->environment : NULL);
    mv_html_verify_method(html);
    mv_html_verify_cases(html, part->verify);
    mv_json_write_verify(&json, part->verify, &style);
    mv_html_data(html, &json, part->verify->n_cases);
    mv_bytes_free(&json);
}

static void put_bench(mv_html *html, const mv_page_part *part)
{
    mv_bytes json = {0};
    const mv_report_style style = {.verbose = false};
    const mv_bench_results *bench = part->bench;
    mv_html_bench_verdict(html, bench, part->name);
    mv_html_bench_gate(html, bench);
    if (part->bench_old != NULL) {
        mv_html_bench_changes(html, bench, part->bench_old);
    }
    mv_html_bench_claims(html, bench);
    mv_html_bench_speed(html, bench);
    mv_html_bench_attention(html, bench);
    mv_html_bench_memory(html, bench);
    mv_html_bench_roofline(html, bench);
    mv_html_bench_ops(html, bench);
    mv_html_bench_spread(html, bench);
    mv_html_environment(html, &bench->environment,
                        part->bench_old != NULL ? &part->bench_old->environment : NULL);
    mv_html_bench_method(html);
    mv_html_bench_runs(html, bench);
    mv_json_write_bench(&json, bench, &style);
    mv_html_data(html, &json, bench->n_runs + bench->n_comparisons);
    mv_bytes_free(&json);
}

static void put_history(mv_html *html, const mv_page_part *part)
{
    mv_html_history(html, part->history, part->name);
    mv_html_history_data(html, part->history);
}

/* ---- the page ---- */

static void put_head(mv_bytes *bytes, const char *title)
{
    mv_bytes_text(bytes, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    mv_bytes_print(bytes,
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'\">\n",
                   mv_html_style_hash, mv_html_script_hash);
    mv_bytes_text(bytes, "<meta name=\"viewport\" content=\"width=device-width, "
                         "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
                         "<meta name=\"referrer\" content=\"no-referrer\">\n");
    mv_html_element(bytes, "title", "", title);
    mv_bytes_text(bytes, "\n<style>");
    mv_bytes_text(bytes, mv_html_style);
    mv_bytes_text(bytes,
                  "</style>\n</head>\n<body>\n<a class=\"skip-link\" href=\"#main\">Skip to the "
                  "results</a>\n");
}

/* What the page is about. */
static const char *model_of(const mv_page_part *part)
{
    if (part->history != NULL) {
        return part->name[0] != '\0' ? part->name : "one program";
    }
    const char *spec = part->verify != NULL ? part->verify->model_spec : part->bench->model_spec;
    return spec[0] != '\0' ? spec : "a model that is not known";
}

static void put_title(mv_bytes *bytes, const mv_page_part *parts, size_t n_parts)
{
    mv_bytes_text(bytes, "<header class=\"top\">\n<h1>");
    if (n_parts == 1) {
        mv_bytes_text(bytes, parts[0].verify != NULL  ? "Verification of "
                             : parts[0].bench != NULL ? "Speed of "
                                                      : "History of ");
        mv_html_element(bytes, "span", "model", model_of(&parts[0]));
    } else {
        mv_bytes_print(bytes, "Report of %zu results", n_parts);
    }
    mv_bytes_text(bytes, "</h1>\n</header>\n");
}

static void put_parts(mv_html *html, const mv_page_part *parts, size_t n_parts)
{
    for (size_t i = 0; i < n_parts; i++) {
        (void)snprintf(html->prefix, sizeof html->prefix, "r%zu", i + 1);
        if (n_parts > 1) {
            mv_bytes_print(&html->nav, "%s<li><a href=\"#%s-verdict\"><b>%zu",
                           i > 0 ? "<li class=\"part\" aria-hidden=\"true\"></li>\n" : "",
                           html->prefix, i + 1);
            mv_bytes_text(&html->nav, parts[i].name[0] != '\0' ? ": " : "");
            mv_html_put(&html->nav, parts[i].name);
            mv_bytes_text(&html->nav, "</b></a></li>\n");
        }
        if (parts[i].verify != NULL) {
            put_verify(html, &parts[i]);
        } else if (parts[i].bench != NULL) {
            put_bench(html, &parts[i]);
        } else {
            put_history(html, &parts[i]);
        }
    }
}

void mv_html_write_page(mv_bytes *bytes, const mv_page_part *parts, size_t n_parts)
{
    mv_html html;
    char title[512] = "mistral-report";
    memset(&html, 0, sizeof html);
    put_parts(&html, parts, n_parts);
    if (n_parts == 1) {
        (void)snprintf(title, sizeof title, "%s: %s",
                       parts[0].verify != NULL ? "mistral-verify" : "mistral-bench",
                       model_of(&parts[0]));
    }
    put_head(bytes, title);
    put_title(bytes, parts, n_parts);
    mv_bytes_text(bytes, "<nav aria-label=\"sections\"><ul>\n");
    mv_bytes_append(bytes, html.nav.data, html.nav.size);
    mv_bytes_text(bytes, "</ul></nav>\n<main id=\"main\">\n");
    mv_bytes_append(bytes, html.body.data, html.body.size);
    mv_bytes_text(bytes,
                  "</main>\n<footer><p>Made by mistral-report of mistral-verify. One file; it "
                  "asks nobody for anything.</p></footer>\n<script>");
    mv_bytes_text(bytes, mv_html_script);
    mv_bytes_text(bytes, "</script>\n</body>\n</html>\n");
    bytes->failed = bytes->failed || html.body.failed || html.nav.failed;
    mv_bytes_free(&html.nav);
    mv_bytes_free(&html.body);
}

void mv_html_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style)
{
    (void)style;
    const mv_page_part part = {.name = "", .verify = results};
    mv_html_write_page(bytes, &part, 1);
}

void mv_html_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style)
{
    (void)style;
    const mv_page_part part = {.name = "", .bench = results};
    mv_html_write_page(bytes, &part, 1);
}
