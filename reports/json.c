/* json.c - everything, by reports/schema/mistral-verify-1.schema.json. Printed by hand and not
 * through a tree, so that the order of the keys and every byte are the same each time, and so that
 * text which is not UTF-8 costs a replacement character and not the whole report. One case is one
 * line, for grep and diff. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- values ---- */

/* Escapes what JSON demands, and DEL, C1, the two line separators and the two noncharacters that
 * upset terminals, JavaScript and YAML; '<' so that the text can be put into a page as it is. */
void mv_json_string(mv_bytes *bytes, const char *text)
{
    mv_bytes_text(bytes, "\"");
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        if (c == '"' || c == '\\') {
            mv_bytes_put(bytes, '\\');
            mv_bytes_put(bytes, c);
        } else if (c == '\n') {
            mv_bytes_text(bytes, "\\n");
        } else if (c == '\t') {
            mv_bytes_text(bytes, "\\t");
        } else if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == '<' || c == 0x2028 || c == 0x2029 ||
                   c == 0xFFFE || c == 0xFFFF) {
            mv_bytes_print(bytes, "\\u%04" PRIx32, c);
        } else {
            mv_bytes_put(bytes, c);
        }
    }
    mv_bytes_text(bytes, "\"");
}

void mv_json_number(mv_bytes *bytes, double value)
{
    const char *quote = isfinite(value) ? "" : "\"";
    mv_bytes_text(bytes, quote);
    mv_bytes_double(bytes, value);
    mv_bytes_text(bytes, quote);
}

/* ", " before every member but the first: *separator is "" to begin with. */
static void put_key(mv_bytes *bytes, const char **separator, const char *key)
{
    mv_bytes_print(bytes, "%s\"%s\": ", *separator, key);
    *separator = ", ";
}

static void put_text(mv_bytes *bytes, const char **separator, const char *key, const char *value)
{
    put_key(bytes, separator, key);
    mv_json_string(bytes, value);
}

static void put_known(mv_bytes *bytes, const char **separator, const char *key, int64_t value)
{
    if (value >= 0) {
        put_key(bytes, separator, key);
        mv_bytes_print(bytes, "%" PRId64, value);
    }
}

/* "a,b" as ["a", "b"]. */
static void put_list(mv_bytes *bytes, const char **separator, const char *key, const char *commas)
{
    char word[256];
    const char *comma = "";
    put_key(bytes, separator, key);
    mv_bytes_text(bytes, "[");
    while (*commas != '\0') {
        size_t size = strcspn(commas, ",");
        (void)snprintf(word, sizeof word, "%.*s", (int)size, commas);
        if (size > 0) {
            mv_bytes_text(bytes, comma);
            mv_json_string(bytes, word);
            comma = ", ";
        }
        commas += size + (commas[size] == ',' ? 1 : 0);
    }
    mv_bytes_text(bytes, "]");
}

/* ---- one case ---- */

void mv_json_metrics(mv_bytes *bytes, const mv_case_result *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        if (mv_metric_is_known(one, i)) {
            put_key(bytes, &separator, mv_metric_names[i]);
            mv_json_number(bytes, mv_metric_get(&one->metrics, i));
        }
    }
    put_known(bytes, &separator, "effective_window", one->metrics.effective_window);
    mv_bytes_text(bytes, "}");
}

void mv_json_limits(mv_bytes *bytes, const mv_case_result *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        double limit = mv_metric_get(&one->limits, i);
        if (!isnan(limit)) {
            put_key(bytes, &separator, mv_metric_names[i]);
            mv_json_number(bytes, limit);
        }
    }
    put_known(bytes, &separator, "effective_window", one->limits.effective_window);
    mv_bytes_text(bytes, "}");
}

void mv_json_worst(mv_bytes *bytes, const mv_case_result *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_known(bytes, &separator, "position", one->worst.position);
    put_known(bytes, &separator, "token_id", one->worst.token_id);
    put_key(bytes, &separator, "expected");
    mv_json_number(bytes, one->worst.expected);
    put_key(bytes, &separator, "actual");
    mv_json_number(bytes, one->worst.actual);
    mv_bytes_text(bytes, "}");
}

void mv_json_divergence(mv_bytes *bytes, const mv_case_result *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_known(bytes, &separator, "layer", one->divergence_layer);
    if (one->divergence_op[0] != '\0') {
        put_text(bytes, &separator, "op", one->divergence_op);
    }
    put_known(bytes, &separator, "position", one->divergence_position);
    mv_bytes_text(bytes, "}");
}

/* A seed may have 64 bits; the common readers of JSON stop at 63. */
static void put_seed(mv_bytes *bytes, const char **separator, uint64_t seed)
{
    const char *quote = seed <= INT64_MAX ? "" : "\"";
    put_key(bytes, separator, "seed");
    mv_bytes_print(bytes, "%s%" PRIu64 "%s", quote, seed, quote);
}

static void put_case(mv_bytes *bytes, const mv_case_result *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_text(bytes, &separator, "suite", one->suite);
    put_text(bytes, &separator, "case", one->name);
    put_text(bytes, &separator, "backend", one->backend);
    put_text(bytes, &separator, "compute", mv_compute_word(one->compute));
    put_known(bytes, &separator, "window", one->window);
    put_known(bytes, &separator, "chunk", one->chunk);
    if (one->schedule[0] != '\0') {
        put_text(bytes, &separator, "schedule", one->schedule);
    }
    put_known(bytes, &separator, "length", one->length);
    put_seed(bytes, &separator, one->seed);
    put_text(bytes, &separator, "verdict", mv_verdict_name(one->verdict));
    put_text(bytes, &separator, "reason", mv_case_reason(one));
    mv_bytes_print(bytes,
                   ", \"coverage\": {\"positions\": %" PRId64 ", \"beyond_window\": %" PRId64 "}",
                   one->n_positions > 0 ? one->n_positions : 0,
                   one->n_beyond_window > 0 ? one->n_beyond_window : 0);
    put_key(bytes, &separator, "metrics");
    mv_json_metrics(bytes, one);
    put_key(bytes, &separator, "limits");
    mv_json_limits(bytes, one);
    if (mv_headroom_is_known(one)) {
        put_key(bytes, &separator, "headroom");
        mv_json_number(bytes, one->headroom);
    }
    if (one->worst.position >= 0) {
        put_key(bytes, &separator, "worst");
        mv_json_worst(bytes, one);
    }
    if (mv_divergence_is_known(one)) {
        put_key(bytes, &separator, "first_divergence");
        mv_json_divergence(bytes, one);
    }
    if (one->divergence != NULL) {
        put_key(bytes, &separator, "divergence_profile");
        mv_json_divergence_profile(bytes, one->divergence);
    }
    put_text(bytes, &separator, "reproduce", one->reproduce);
    put_known(bytes, &separator, "elapsed_ns", one->elapsed_ns);
    mv_bytes_text(bytes, "}");
}

/* ---- the whole ---- */

void mv_json_tool(mv_bytes *bytes, const char *version, const char *commit,
                  const mv_environment *environment)
{
    const char *separator = "";
    mv_bytes_text(bytes, "  \"tool\": {");
    put_text(bytes, &separator, "version", version);
    if (commit[0] != '\0') {
        put_text(bytes, &separator, "commit", commit);
    }
    mv_bytes_text(bytes, "},\n  \"environment\": {");
    const char *newline = "\n    ";
    for (size_t i = 0; i < environment->n_facts; i++) {
        const mv_fact *fact = &environment->facts[i];
        mv_bytes_text(bytes, newline);
        mv_json_string(bytes, fact->key);
        mv_bytes_text(bytes, ": ");
        mv_json_string(bytes, fact->value);
        newline = ",\n    ";
    }
    mv_bytes_text(bytes, environment->n_facts > 0 ? "\n  },\n" : "},\n");
}

void mv_json_model(mv_bytes *bytes, const char *spec, const mv_params *p, const char *sha256)
{
    const char *separator = "";
    mv_bytes_text(bytes, "  \"model\": {");
    put_text(bytes, &separator, "spec", spec);
    if (p->dim > 0) { /* else no model was opened */
        put_key(bytes, &separator, "params");
        mv_bytes_print(bytes,
                       "{\"dim\": %" PRIu32 ", \"n_layers\": %" PRIu32 ", \"head_dim\": %" PRIu32
                       ", \"hidden_dim\": %" PRIu32 ", \"n_heads\": %" PRIu32
                       ", \"n_kv_heads\": %" PRIu32 ", \"vocab_size\": %" PRIu32
                       ", \"sliding_window\": %" PRIu32 ", \"norm_eps\": ",
                       p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads,
                       p->vocab_size, p->sliding_window);
        mv_json_number(bytes, p->norm_eps);
        mv_bytes_text(bytes, ", \"rope_theta\": ");
        mv_json_number(bytes, p->rope_theta);
        mv_bytes_text(bytes, "}");
    }
    if (sha256[0] != '\0') {
        put_text(bytes, &separator, "weights_sha256", sha256);
    }
    mv_bytes_text(bytes, "},\n");
}

static void put_self_test(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_summary *summary)
{
    mv_bytes_text(bytes, ",\n  \"self_test\": {\n    \"mutants\": [");
    for (size_t i = 0; i < results->n_mutants; i++) {
        const mv_mutant_result *mutant = &results->mutants[i];
        const char *separator = "";
        mv_bytes_text(bytes, i == 0 ? "\n      {" : ",\n      {");
        put_text(bytes, &separator, "name", mutant->name);
        put_text(bytes, &separator, "imitates", mutant->imitates);
        put_list(bytes, &separator, "expected_suites", mutant->expected_suites);
        put_list(bytes, &separator, "killed_by", mutant->killed_by);
        if (!isnan(mutant->r_rmse)) {
            put_key(bytes, &separator, "r_rmse");
            mv_json_number(bytes, mutant->r_rmse);
        }
        put_key(bytes, &separator, "equivalent");
        mv_bytes_text(bytes, mutant->equivalent ? "true}" : "false}");
    }
    mv_bytes_print(bytes,
                   "%s],\n    \"killed\": %zu, \"total\": %zu, \"benign_total\": %zu,"
                   " \"false_alarms\": %zu\n  }",
                   results->n_mutants > 0 ? "\n    " : "", summary->n_mutants_killed,
                   summary->n_mutants_total, results->benign_total, results->false_alarms);
}

void mv_json_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                          const mv_report_style *style)
{
    (void)style;
    mv_summary summary = mv_verify_results_summarise(results);
    mv_bytes_text(bytes, "{\n  \"schema\": \"mistral-verify/1\",\n");
    mv_json_tool(bytes, results->tool_version, results->tool_commit, &results->environment);
    mv_json_model(bytes, results->model_spec, &results->params, results->weights_sha256);
    mv_bytes_print(bytes,
                   "  \"verdict\": \"%s\",\n  \"summary\": {\"passed\": %zu, \"failed\": %zu, "
                   "\"errors\": %zu, \"skipped\": %zu, \"vacuous\": %zu, \"elapsed_s\": ",
                   mv_verdict_name(summary.verdict), summary.n_passed, summary.n_failed,
                   summary.n_errors, summary.n_skipped, summary.n_vacuous);
    mv_json_number(bytes, (double)results->elapsed_ns / 1e9);
    mv_bytes_text(bytes, "},\n  \"cases\": [");
    for (size_t i = 0; i < results->n_cases; i++) {
        mv_bytes_text(bytes, i == 0 ? "\n    " : ",\n    ");
        put_case(bytes, &results->cases[i]);
    }
    mv_bytes_text(bytes, results->n_cases > 0 ? "\n  ]" : "]");
    if (mv_self_test_was_run(results)) {
        put_self_test(bytes, results, &summary);
    }
    mv_bytes_text(bytes, "\n}\n");
}
