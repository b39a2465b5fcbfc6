/* markdown.c - a summary fit for a comment on a pull request: the verdict, what failed and how to
 * see it again, a row for each suite. Long lists are cut, because a comment has a size limit. */
#include "reports/parts.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FAILURES 10
#define MAX_OF_A_SUITE 3 /* the tenth case of one suite says what the first said */

/* Running text or a table cell: one line in which nothing has a meaning of its own. */
void mv_markdown_text(mv_bytes *bytes, const char *text)
{
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        if (c == '&') {
            mv_bytes_text(bytes, "&amp;");
        } else if (c == '<') {
            mv_bytes_text(bytes, "&lt;");
        } else if (c < 0x80 && strchr("\\`*_[]|~>#", (int)c) != NULL) {
            mv_bytes_put(bytes, '\\');
            mv_bytes_put(bytes, c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            mv_bytes_put(bytes, ' ');
        } else {
            mv_bytes_put(bytes, c < 0x20 || (c >= 0x7F && c <= 0x9F) ? 0xFFFD : c);
        }
    }
}

static size_t longest_run_of_backticks(const char *text)
{
    size_t longest = 0;
    for (; *text != '\0'; text++) {
        size_t run = strspn(text, "`");
        longest = run > longest ? run : longest;
        text += run > 0 ? run - 1 : 0;
    }
    return longest;
}

/* Nothing can be escaped in a code block; a fence longer than any inside cannot be closed early. */
static void put_command(mv_bytes *bytes, const char *command)
{
    size_t fence = longest_run_of_backticks(command) + 1;
    fence = fence < 3 ? 3 : fence;
    for (size_t i = 0; i < fence; i++) {
        mv_bytes_put(bytes, '`');
    }
    mv_bytes_text(bytes, "sh\n");
    for (uint32_t c; (c = mv_utf8_next(&command)) != 0;) {
        mv_bytes_put(bytes, c < 0x20 || (c >= 0x7F && c <= 0x9F) ? ' ' : c);
    }
    mv_bytes_text(bytes, "\n");
    for (size_t i = 0; i < fence; i++) {
        mv_bytes_put(bytes, '`');
    }
    mv_bytes_text(bytes, "\n\n");
}

static void put_failure(mv_bytes *bytes, const mv_case_result *one)
{
    mv_bytes_print(bytes, "**%s**: ", mv_verdict_name(one->verdict));
    mv_markdown_text(bytes, one->suite);
    mv_bytes_text(bytes, " / ");
    mv_markdown_text(bytes, one->name);
    mv_bytes_text(bytes, " (");
    mv_markdown_text(bytes, one->backend);
    mv_bytes_print(bytes, ", %s", mv_compute_word(one->compute));
    if (one->length >= 0) {
        mv_bytes_print(bytes, ", length %" PRId64, one->length);
    }
    mv_bytes_print(bytes, ", seed %" PRIu64 ")\n\n", one->seed);
    mv_detail details[MV_MAX_DETAILS];
    size_t n = mv_case_details(one, details);
    for (size_t i = 0; i < n; i++) {
        mv_bytes_print(bytes, "- %s: ", details[i].label);
        mv_markdown_text(bytes, details[i].text);
        mv_bytes_text(bytes, "\n");
    }
    mv_bytes_text(bytes, n > 0 ? "\n" : "");
    if (one->reproduce[0] != '\0') {
        put_command(bytes, one->reproduce);
    }
}

/* How many before it, of its suite and engine, need a person; at most `most` are counted. */
static size_t count_before(const mv_verify_results *results, size_t at, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < at && n < most; i++) {
        n += mv_needs_person(&results->cases[i]) &&
                     mv_group_has(&results->cases[at], &results->cases[i])
                 ? 1
                 : 0;
    }
    return n;
}

static void put_failures(mv_bytes *bytes, const mv_verify_results *results, bool all)
{
    size_t n = 0, n_shown = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        if (!mv_needs_person(&results->cases[i])) {
            continue;
        }
        n++;
        if (all ||
            (n_shown < MAX_FAILURES && count_before(results, i, MAX_OF_A_SUITE) < MAX_OF_A_SUITE)) {
            put_failure(bytes, &results->cases[i]);
            n_shown++;
        }
    }
    if (n > n_shown) {
        mv_bytes_print(bytes, "... and %zu more that did not pass.\n\n", n - n_shown);
    }
}

static void put_number(mv_bytes *bytes, double value, bool is_known)
{
    mv_bytes_print(bytes, " %s |", mv_short_number(value, is_known).text);
}

static void put_suites(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "| suite | backend | compute | verdict | cases | passed | R rmse | R row "
                         "| R maxabs | headroom |\n"
                         "|:--|:--|:--|:--|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < results->n_cases; i++) {
        if (!mv_group_begins_at(results, i)) {
            continue;
        }
        mv_group group = mv_group_summarise(results, i);
        mv_bytes_text(bytes, "| ");
        mv_markdown_text(bytes, results->cases[i].suite);
        mv_bytes_text(bytes, " | ");
        mv_markdown_text(bytes, results->cases[i].backend);
        bool is_calm = group.verdict == MV_VERDICT_PASS || group.verdict == MV_VERDICT_SKIP;
        const char *stars = is_calm ? "" : "**";
        mv_bytes_print(bytes, " | %s | %s%s%s | %zu | %zu |",
                       mv_compute_word(results->cases[i].compute), stars,
                       mv_verdict_name(group.verdict), stars, group.n_cases,
                       group.n_by_verdict[MV_VERDICT_PASS]);
        for (size_t k = 0; k < 3; k++) {
            put_number(bytes, group.ratios[k], group.has_ratio[k]);
        }
        put_number(bytes, group.headroom, group.has_headroom);
        mv_bytes_text(bytes, "\n");
    }
    mv_bytes_text(bytes, "\nR: error against the float64 oracle, as a multiple of the reference's "
                         "own. Headroom: limit / measured; below 1 fails.\n\n");
}

static void put_skips(mv_bytes *bytes, const mv_verify_results *results)
{
    for (size_t i = 0; i < results->n_cases; i++) {
        if (mv_group_begins_at(results, i)) {
            mv_group group = mv_group_summarise(results, i);
            if (group.skip != NULL) {
                mv_bytes_print(bytes, "Skipped %zu of ", group.n_by_verdict[MV_VERDICT_SKIP]);
                mv_markdown_text(bytes, group.skip->suite);
                mv_bytes_text(bytes, " (");
                mv_markdown_text(bytes, group.skip->backend);
                mv_bytes_text(bytes, "): ");
                mv_markdown_text(bytes, mv_case_reason(group.skip));
                mv_bytes_text(bytes, "\n\n");
            }
        }
    }
}

static void put_self_test(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "Self-test: ");
    mv_bytes_self_test(bytes, results);
    mv_bytes_text(bytes, ".\n\n");
    for (size_t i = 0; i < results->n_mutants; i++) {
        const mv_mutant_result *mutant = &results->mutants[i];
        if (mv_mutant_is_wrong(mutant)) {
            mv_bytes_print(bytes, "- **%s**: ", mutant->equivalent ? "false alarm" : "survived");
            mv_markdown_text(bytes, mutant->name);
            mv_bytes_text(bytes, mutant->equivalent ? ", killed by " : ", expected of ");
            mv_markdown_text(bytes,
                             mutant->equivalent ? mutant->killed_by : mutant->expected_suites);
            mv_bytes_text(bytes, "; imitates: ");
            mv_markdown_text(bytes, mutant->imitates);
            mv_bytes_text(bytes, "\n");
        }
    }
    mv_bytes_text(bytes, "\n");
}

static void put_environment(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_bytes_text(bytes, "<details><summary>Where it was run</summary>\n\n"
                         "| fact | value |\n|:--|:--|\n| mistral-verify | ");
    mv_markdown_text(bytes, results->tool_version);
    mv_bytes_text(bytes, " ");
    mv_markdown_text(bytes, results->tool_commit);
    mv_bytes_text(bytes, " |\n| weights sha256 | ");
    mv_markdown_text(bytes,
                     results->weights_sha256[0] != '\0' ? results->weights_sha256 : "not computed");
    mv_bytes_text(bytes, " |\n");
    for (size_t i = 0; i < results->environment.n_facts; i++) {
        mv_bytes_text(bytes, "| ");
        mv_markdown_text(bytes, results->environment.facts[i].key);
        mv_bytes_text(bytes, " | ");
        mv_markdown_text(bytes, results->environment.facts[i].value);
        mv_bytes_text(bytes, " |\n");
    }
    mv_bytes_text(bytes, "\n</details>\n");
}

void mv_markdown_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                              const mv_report_style *style)
{
    mv_summary summary = mv_verify_results_summarise(results);
    mv_bytes_print(bytes, "## mistral-verify: %s\n\nModel ", mv_verdict_name(summary.verdict));
    mv_markdown_text(bytes, results->model_spec[0] != '\0' ? results->model_spec : "not known");
    mv_bytes_text(bytes, "; ");
    mv_bytes_summary(bytes, results);
    mv_bytes_text(bytes, ".\n\n");
    put_failures(bytes, results, style->verbose);
    if (results->n_cases > 0) {
        put_suites(bytes, results);
    } else if (!mv_self_test_was_run(results)) {
        mv_bytes_text(bytes, "No case was run: nothing was compared.\n\n");
    }
    put_skips(bytes, results);
    if (mv_self_test_was_run(results)) {
        put_self_test(bytes, results);
    }
    put_environment(bytes, results);
}
