/* tap.c - Test Anything Protocol 13. A point for each case, then for each mutant of a self-test.
 * Vacuous is "not ok"; nothing at all is one "not ok", because a plan of 0 would be a skip. */
#include "reports/parts.h"

#include <string.h>

/* A description ends at the end of the line, and at a '#', where a directive begins. TAP 13 has
 * "\#" for it, but not every reader knows that, and "not ok 1 - x \# SKIP" would be a skip to
 * those: a sign that looks alike (U+FF03) stands for it. */
static void put(mv_bytes *bytes, const char *text)
{
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        bool is_control = c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029;
        mv_bytes_put(bytes, is_control ? ' ' : c == '#' ? 0xFF03 : c);
    }
}

/* A double-quoted scalar of YAML accepts every string that JSON does. */
static void put_yaml(mv_bytes *bytes, const char *key, const char *value)
{
    mv_bytes_print(bytes, "  %s: ", key);
    mv_json_string(bytes, value);
    mv_bytes_text(bytes, "\n");
}

static void put_diagnostics(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_text(bytes, "  ---\n");
    put_yaml(bytes, "verdict", mv_verdict_name(one->verdict));
    mv_detail details[MV_MAX_DETAILS];
    size_t n = mv_case_details(one, details);
    for (size_t i = 0; i < n; i++) {
        put_yaml(bytes, details[i].label, details[i].text);
    }
    mv_bytes_text(bytes, "  metrics: ");
    mv_json_metrics(bytes, one);
    mv_bytes_text(bytes, "\n  limits: ");
    mv_json_limits(bytes, one);
    mv_bytes_text(bytes, "\n");
    if (one->reproduce[0] != '\0') {
        put_yaml(bytes, "reproduce", one->reproduce);
    }
    mv_bytes_text(bytes, "  ...\n");
}

static void put_case(mv_bytes *bytes, const mv_case_result *one, size_t number)
{
    mv_bytes_print(bytes, "%s %zu - ", mv_needs_person(one) ? "not ok" : "ok", number);
    put(bytes, one->suite);
    mv_bytes_text(bytes, "/");
    put(bytes, one->name);
    mv_bytes_text(bytes, " ");
    put(bytes, one->backend);
    mv_bytes_print(bytes, " %s", mv_compute_word(one->compute));
    if (one->verdict == MV_VERDICT_SKIP) {
        mv_bytes_text(bytes, " # SKIP ");
        put(bytes, mv_case_reason(one));
    }
    mv_bytes_text(bytes, "\n");
    if (mv_needs_person(one)) {
        put_diagnostics(bytes, one);
    }
}

static void put_mutant(mv_bytes *bytes, const mv_mutant_result *mutant, size_t number)
{
    bool is_wrong = mv_mutant_is_wrong(mutant);
    mv_bytes_print(bytes, "%s %zu - self_test/", is_wrong ? "not ok" : "ok", number);
    put(bytes, mutant->name);
    mv_bytes_text(bytes, "\n");
    if (is_wrong) {
        mv_bytes_text(bytes, "  ---\n");
        put_yaml(bytes, "verdict", mutant->equivalent ? "false alarm" : "survived");
        put_yaml(bytes, "imitates", mutant->imitates);
        put_yaml(bytes, "expected of", mutant->expected_suites);
        put_yaml(bytes, "killed by", mutant->killed_by);
        mv_bytes_text(bytes, "  ...\n");
    }
}

void mv_tap_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                         const mv_report_style *style)
{
    (void)style;
    bool has_benign = results->benign_total + results->false_alarms > 0;
    size_t n = results->n_cases + results->n_mutants + (has_benign ? 1 : 0);
    mv_bytes_print(bytes, "TAP version 13\n1..%zu\n", n == 0 ? 1 : n);
    size_t number = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        put_case(bytes, &results->cases[i], ++number);
    }
    for (size_t i = 0; i < results->n_mutants; i++) {
        put_mutant(bytes, &results->mutants[i], ++number);
    }
    if (has_benign) {
        mv_bytes_print(bytes, "%s %zu - self_test/benign variants: %zu false alarms in %zu runs\n",
                       results->false_alarms > 0 ? "not ok" : "ok", ++number, results->false_alarms,
                       results->benign_total);
    }
    if (n == 0) {
        mv_bytes_text(bytes, "not ok 1 - nothing was compared: no case was run\n"
                             "  ---\n  verdict: \"vacuous\"\n  ...\n");
    }
    mv_bytes_text(bytes, "# ");
    mv_bytes_summary(bytes, results);
    mv_bytes_text(bytes, "\n");
}
