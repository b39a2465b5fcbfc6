/* html_verdict.c - the first screen: does it hold, on what was it tried, what is to be done. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *headline(mv_verdict verdict)
{
    switch (verdict) {
    case MV_VERDICT_PASS:
        return "Pass: everything asked for holds";
    case MV_VERDICT_FAIL:
        return "Fail: something asked for does not hold";
    case MV_VERDICT_VACUOUS:
        return "Vacuous: something was run that showed nothing";
    case MV_VERDICT_SKIP:
        return "Skip: nothing could be run here";
    case MV_VERDICT_ERROR:
    default:
        return "Error: a backend failed";
    }
}

void mv_html_tile(mv_bytes *bytes, const char *classes, size_t value, const char *what)
{
    mv_bytes_print(bytes, "<li class=\"tile %s\"><b>%zu</b> %s</li>\n",
                   value > 0 ? classes : "none", value, what);
}

static void put_tiles(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_summary summary = mv_verify_results_summarise(results);
    mv_bytes_text(bytes, "<ul class=\"tiles\">\n");
    mv_html_tile(bytes, "all", results->n_cases, results->n_cases == 1 ? "case" : "cases");
    mv_html_tile(bytes, "pass", summary.n_passed, "passed");
    mv_html_tile(bytes, "fail", summary.n_failed, "failed");
    mv_html_tile(bytes, "error", summary.n_errors, summary.n_errors == 1 ? "error" : "errors");
    mv_html_tile(bytes, "vacuous", summary.n_vacuous, "vacuous");
    mv_html_tile(bytes, "skip", summary.n_skipped, "skipped");
    mv_bytes_text(bytes, "</ul>\n");
}

/* ---- facts ---- */

void mv_html_fact(mv_bytes *bytes, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        mv_bytes_text(bytes, "<div>");
        mv_html_element(bytes, "dt", "", name);
        mv_html_element(bytes, "dd", "", value);
        mv_bytes_text(bytes, "</div>\n");
    }
}

static void put_backends(mv_bytes *bytes, const mv_verify_results *results)
{
    const char *comma = "";
    mv_bytes_text(bytes, "<div><dt>Backends</dt><dd>");
    for (size_t i = 0; i < results->n_cases; i++) {
        bool is_new = true;
        for (size_t k = 0; k < i && is_new; k++) {
            is_new = results->cases[k].compute != results->cases[i].compute ||
                     strcmp(results->cases[k].backend, results->cases[i].backend) != 0;
        }
        if (is_new) {
            mv_bytes_text(bytes, comma);
            mv_html_put(bytes, results->cases[i].backend);
            mv_bytes_print(bytes, " in %s", mv_compute_word(results->cases[i].compute));
            comma = ", ";
        }
    }
    mv_bytes_text(bytes, "</dd></div>\n");
}

void mv_html_facts_model(mv_bytes *bytes, const char *spec, const mv_params *p)
{
    char text[256];
    mv_html_fact(bytes, "Model", spec);
    if (p->dim > 0) {
        (void)snprintf(text, sizeof text,
                       "%" PRIu32 " layers of %" PRIu32 ", %" PRIu32 " query heads, %" PRIu32
                       " key heads, vocabulary %" PRIu32 ", window %" PRIu32,
                       p->n_layers, p->dim, p->n_heads, p->n_kv_heads, p->vocab_size,
                       p->sliding_window);
        mv_html_fact(bytes, "Shape", text);
    }
}

void mv_html_facts_origin(mv_bytes *bytes, const mv_environment *where, const char *tool,
                          const char *version, const char *commit, const char *sha256)
{
    char text[512];
    const char *cpu = mv_environment_get(where, "cpu_model");
    const char *cores = mv_environment_get(where, "cores");
    if (cpu != NULL) {
        (void)snprintf(text, sizeof text, "%s%s%s%s", cpu, cores != NULL ? ", " : "",
                       cores != NULL ? cores : "", cores != NULL ? " cores" : "");
        mv_html_fact(bytes, "Machine", text);
    }
    (void)snprintf(text, sizeof text, "%s %s, commit %s", tool, version,
                   commit[0] != '\0' ? commit : "not known");
    mv_html_fact(bytes, "Tool", text);
    mv_html_fact(bytes, "Date", mv_environment_get(where, "date_utc"));
    (void)snprintf(text, sizeof text, "%.12s", sha256);
    mv_html_fact(bytes, "Weights", text);
}

static void put_facts(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "<dl class=\"facts\">\n");
    mv_html_facts_model(bytes, results->model_spec, &results->params);
    if (results->n_cases > 0) {
        put_backends(bytes, results);
    }
    mv_html_facts_origin(bytes, &results->environment, "mistral-verify", results->tool_version,
                         results->tool_commit, results->weights_sha256);
    mv_bytes_text(bytes, "</dl>\n");
}

/* ---- what a reader must know before believing it ---- */

static void put_warning(mv_bytes *bytes, const char *text)
{
    mv_html_element(bytes, "li", "", text);
    mv_bytes_text(bytes, "\n");
}

static void put_warnings(mv_bytes *bytes, const mv_verify_results *results)
{
    const char *sanitizers = mv_environment_get(&results->environment, "sanitizers");
    size_t n_ungated = 0;
    char text[160];
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        n_ungated += one->verdict == MV_VERDICT_PASS && one->n_positions <= 0 ? 1 : 0;
    }
    mv_bytes_text(bytes, "<ul class=\"notes\">\n");
    if (!mv_self_test_was_run(results)) {
        put_warning(bytes, "No self-test in this run: it does not show that these suites can fail "
                           "(add --self-test).");
    }
    if (sanitizers != NULL && strcmp(sanitizers, "none") != 0) {
        put_warning(bytes, "Built with sanitizers: the times say nothing about speed.");
    }
    if (n_ungated > 0) {
        (void)snprintf(text, sizeof text, "%zu passing case%s compared no position of logits.",
                       n_ungated, n_ungated == 1 ? "" : "s");
        put_warning(bytes, text);
    }
    mv_bytes_text(bytes, "</ul>\n");
}

/* The first case that needs a person, or else the suites that ran. */
static void put_reproduce(mv_bytes *bytes, const mv_verify_results *results)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_needs_person(&results->cases[i]) && results->cases[i].reproduce[0] != '\0') {
            mv_bytes_text(bytes, "<p>To see the first one again:</p>\n");
            mv_html_command(bytes, results->cases[i].reproduce);
            return;
        }
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        if (results->cases[i].reproduce[0] != '\0') {
            mv_bytes_text(bytes, "<p>To run its first case again:</p>\n");
            mv_html_command(bytes, results->cases[i].reproduce);
            return;
        }
    }
}

void mv_html_verdict_begin(mv_html *html, const char *classes, const char *sign,
                           const char *headline_text)
{
    mv_bytes_print(&html->body,
                   "<section class=\"verdict %s\" id=\"%s-verdict\">\n<h2><span class=\"sign\" "
                   "aria-hidden=\"true\">%s</span><span>%s</span></h2>\n",
                   classes, html->prefix, sign, headline_text);
}

void mv_html_verify_verdict(mv_html *html, const mv_verify_results *results, const char *name)
{
    mv_bytes *body = &html->body;
    mv_summary summary = mv_verify_results_summarise(results);
    mv_html_verdict_begin(html, mv_verdict_name(summary.verdict), mv_html_sign(summary.verdict),
                          headline(summary.verdict));
    mv_bytes_text(body, "<p class=\"lead\">");
    mv_bytes_summary(body, results); /* words of ours */
    mv_bytes_text(body, ".");
    if (mv_self_test_was_run(results)) {
        mv_bytes_text(body, " Self-test: ");
        mv_bytes_self_test(body, results);
        mv_bytes_text(body, ".");
    }
    if (name[0] != '\0') {
        mv_bytes_text(body, " From ");
        mv_html_element(body, "code", "", name);
        mv_bytes_text(body, ".");
    }
    mv_bytes_text(body, "</p>\n");
    put_tiles(body, results);
    put_facts(body, results);
    put_warnings(body, results);
    put_reproduce(body, results);
    mv_bytes_text(body, "</section>\n");
}
