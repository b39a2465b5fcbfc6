/* junit.c - JUnit XML as Jenkins, GitLab and GitHub's actions read it: a testsuite for each suite,
 * backend and compute type. A vacuous case is a <failure type="vacuous">: no CI has a third colour,
 * and a check that showed nothing must not be green. */
#include "reports/parts.h"

#include <inttypes.h>

/* For text and for attributes. XML 1.0 has no way to write most control characters, not even as a
 * reference: they become U+FFFD. Line ends are references, or an attribute would lose them. */
static void put(mv_bytes *bytes, const char *text)
{
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        switch (c) {
        case '&':
            mv_bytes_text(bytes, "&amp;");
            break;
        case '<':
            mv_bytes_text(bytes, "&lt;");
            break;
        case '>':
            mv_bytes_text(bytes, "&gt;");
            break;
        case '"':
            mv_bytes_text(bytes, "&quot;");
            break;
        case '\t':
        case '\n':
        case '\r':
            mv_bytes_print(bytes, "&#%" PRIu32 ";", c);
            break;
        default:
            if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0xFFFE || c == 0xFFFF) {
                c = 0xFFFD;
            }
            mv_bytes_put(bytes, c);
        }
    }
}

static void put_attribute(mv_bytes *bytes, const char *name, const char *value)
{
    mv_bytes_print(bytes, " %s=\"", name);
    put(bytes, value);
    mv_bytes_text(bytes, "\"");
}

static void put_property(mv_bytes *bytes, const char *prefix, const char *name, const char *value)
{
    mv_bytes_print(bytes, "      <property name=\"%s", prefix);
    put(bytes, name);
    mv_bytes_text(bytes, "\"");
    put_attribute(bytes, "value", value);
    mv_bytes_text(bytes, "/>\n");
}

static void put_properties(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "    <properties>\n");
    put_property(bytes, "tool.", "version", results->tool_version);
    put_property(bytes, "tool.", "commit", results->tool_commit);
    put_property(bytes, "model.", "spec", results->model_spec);
    put_property(bytes, "model.", "weights_sha256", results->weights_sha256);
    for (size_t i = 0; i < results->environment.n_facts; i++) {
        const mv_fact *fact = &results->environment.facts[i];
        put_property(bytes, "environment.", fact->key, fact->value);
    }
    mv_bytes_text(bytes, "    </properties>\n");
}

/* In integers: "%f" would write the comma of some locales. */
static void put_time(mv_bytes *bytes, int64_t ns)
{
    int64_t us = ns > 0 ? ns / 1000 : 0;
    mv_bytes_print(bytes, " time=\"%" PRId64 ".%06" PRId64 "\"", us / 1000000, us % 1000000);
}

/* A case that is not a pass: <failure>, <error> or <skipped>, with everything that is known. */
static void put_outcome(mv_bytes *bytes, const mv_case_result *one)
{
    bool is_error = one->verdict == MV_VERDICT_ERROR;
    if (one->verdict == MV_VERDICT_SKIP) {
        mv_bytes_text(bytes, "      <skipped");
        put_attribute(bytes, "message", mv_case_reason(one));
        mv_bytes_text(bytes, "/>\n");
        return;
    }
    mv_bytes_print(bytes, "      <%s type=\"%s\"", is_error ? "error" : "failure",
                   mv_verdict_name(one->verdict));
    put_attribute(bytes, "message", mv_case_reason(one));
    mv_bytes_text(bytes, ">");
    mv_detail details[MV_MAX_DETAILS];
    size_t n = mv_case_details(one, details);
    for (size_t i = 0; i < n; i++) {
        mv_bytes_print(bytes, "%s%s: ", i == 0 ? "" : "\n", details[i].label);
        put(bytes, details[i].text);
    }
    if (one->reproduce[0] != '\0') {
        mv_bytes_text(bytes, "\nreproduce: ");
        put(bytes, one->reproduce);
    }
    mv_bytes_print(bytes, "</%s>\n", is_error ? "error" : "failure");
}

static void put_case(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_text(bytes, "    <testcase classname=\"");
    put(bytes, one->backend);
    mv_bytes_print(bytes, ".%s.", mv_compute_word(one->compute));
    put(bytes, one->suite);
    mv_bytes_text(bytes, "\"");
    put_attribute(bytes, "name", one->name);
    put_time(bytes, one->elapsed_ns);
    if (one->verdict == MV_VERDICT_PASS) {
        mv_bytes_text(bytes, "/>\n");
        return;
    }
    mv_bytes_text(bytes, ">\n");
    put_outcome(bytes, one);
    mv_bytes_text(bytes, "    </testcase>\n");
}

static void put_counts(mv_bytes *bytes, size_t tests, size_t failures, size_t errors,
                       size_t skipped, int64_t elapsed_ns)
{
    mv_bytes_print(bytes, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"", tests,
                   failures, errors, skipped);
    put_time(bytes, elapsed_ns);
}

static void put_group(mv_bytes *bytes, const mv_verify_results *results, size_t first)
{
    const mv_case_result *head = &results->cases[first];
    mv_group group = mv_group_summarise(results, first);
    mv_bytes_text(bytes, "  <testsuite name=\"");
    put(bytes, head->suite);
    mv_bytes_text(bytes, " (");
    put(bytes, head->backend);
    mv_bytes_print(bytes, ", %s)\"", mv_compute_word(head->compute));
    put_counts(bytes, group.n_cases,
               group.n_by_verdict[MV_VERDICT_FAIL] + group.n_by_verdict[MV_VERDICT_VACUOUS],
               group.n_by_verdict[MV_VERDICT_ERROR], group.n_by_verdict[MV_VERDICT_SKIP],
               group.elapsed_ns);
    mv_bytes_text(bytes, ">\n");
    put_properties(bytes, results);
    for (size_t i = first; i < results->n_cases; i++) {
        if (mv_group_has(head, &results->cases[i])) {
            put_case(bytes, &results->cases[i]);
        }
    }
    mv_bytes_text(bytes, "  </testsuite>\n");
}

/* ---- the self-test: a testcase for each mutant, and one for all benign variants ---- */

static size_t count_wrong(const mv_verify_results *results)
{
    size_t n = results->false_alarms > 0 ? 1 : 0;
    for (size_t i = 0; i < results->n_mutants; i++) {
        n += mv_mutant_is_wrong(&results->mutants[i]) ? 1 : 0;
    }
    return n;
}

static size_t count_self_test(const mv_verify_results *results)
{
    return results->n_mutants + (results->benign_total + results->false_alarms > 0 ? 1 : 0);
}

static void put_mutant(mv_bytes *bytes, const mv_mutant_result *mutant)
{
    mv_bytes_text(bytes, "    <testcase classname=\"self_test\"");
    put_attribute(bytes, "name", mutant->name);
    mv_bytes_text(bytes, " time=\"0.000000\"");
    if (!mv_mutant_is_wrong(mutant)) {
        mv_bytes_text(bytes, "/>\n");
        return;
    }
    mv_bytes_print(bytes, ">\n      <failure type=\"%s\" message=\"%s",
                   mutant->equivalent ? "false alarm" : "survived",
                   mutant->equivalent ? "an equivalent change was called a bug by "
                                      : "planted bug was not found; expected of ");
    put(bytes, mutant->equivalent ? mutant->killed_by : mutant->expected_suites);
    mv_bytes_text(bytes, "\">imitates: ");
    put(bytes, mutant->imitates);
    mv_bytes_text(bytes, "</failure>\n    </testcase>\n");
}

static void put_self_test(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "  <testsuite name=\"self_test\"");
    put_counts(bytes, count_self_test(results), count_wrong(results), 0, 0, 0);
    mv_bytes_text(bytes, ">\n");
    for (size_t i = 0; i < results->n_mutants; i++) {
        put_mutant(bytes, &results->mutants[i]);
    }
    if (results->false_alarms > 0) {
        mv_bytes_print(bytes,
                       "    <testcase classname=\"self_test\" name=\"benign variants\" "
                       "time=\"0.000000\">\n      <failure type=\"false alarm\" message=\"%zu of "
                       "%zu benign runs were called wrong\"/>\n    </testcase>\n",
                       results->false_alarms, results->benign_total);
    } else if (results->benign_total > 0) {
        mv_bytes_text(bytes, "    <testcase classname=\"self_test\" name=\"benign variants\" "
                             "time=\"0.000000\"/>\n");
    }
    mv_bytes_text(bytes, "  </testsuite>\n");
}

static void put_nothing(mv_bytes *bytes)
{
    mv_bytes_text(bytes, "  <testsuite name=\"mistral-verify\"");
    put_counts(bytes, 1, 1, 0, 0, 0);
    mv_bytes_text(bytes, ">\n    <testcase classname=\"mistral-verify\" name=\"nothing was run\" "
                         "time=\"0.000000\">\n      <failure type=\"vacuous\" message=\"no case "
                         "was run: nothing was compared\"/>\n    </testcase>\n  </testsuite>\n");
}

void mv_junit_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                           const mv_report_style *style)
{
    (void)style;
    mv_summary summary = mv_verify_results_summarise(results);
    size_t n_self_test = count_self_test(results);
    size_t n_tests = results->n_cases + n_self_test;
    size_t n_bad = summary.n_failed + summary.n_vacuous + count_wrong(results);
    mv_bytes_text(bytes, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                         "<testsuites name=\"mistral-verify\"");
    put_counts(bytes, n_tests == 0 ? 1 : n_tests, n_tests == 0 ? 1 : n_bad, summary.n_errors,
               summary.n_skipped, results->elapsed_ns);
    mv_bytes_text(bytes, ">\n");
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_group_begins_at(results, i)) {
            put_group(bytes, results, i);
        }
    }
    if (n_self_test > 0) {
        put_self_test(bytes, results);
    }
    if (n_tests == 0) {
        put_nothing(bytes);
    }
    mv_bytes_text(bytes, "</testsuites>\n");
}
