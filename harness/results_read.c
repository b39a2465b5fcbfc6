/* results_read.c - the order is that of reports/schema/mistral-verify-1.schema.json. */
#include "harness/results_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/json_reader.h"
#include "harness/quote.h"
#include "harness/results_read_parts.h"

static const char *const verdict_words[] = {"pass", "fail", "error", "vacuous", "skip"};

/* ---- what all results have ---- */

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static void read_params(mv_reader *reader, const json_t *object, mv_params *params)
{
    const struct {
        const char *key;
        uint32_t *value;
        uint32_t low;
    } fields[] = {
        {"dim", &params->dim, 1},
        {"n_layers", &params->n_layers, 1},
        {"head_dim", &params->head_dim, 1},
        {"hidden_dim", &params->hidden_dim, 1},
        {"n_heads", &params->n_heads, 1},
        {"n_kv_heads", &params->n_kv_heads, 1},
        {"vocab_size", &params->vocab_size, 1},
        {"sliding_window", &params->sliding_window, 0},
    };
    mv_reader_at(reader, "model.params");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        int64_t value = 0;
        mv_reader_integer(reader, object, fields[i].key, MV_REQUIRED, fields[i].low, UINT32_MAX,
                          &value);
        *fields[i].value = (uint32_t)value;
    }
    mv_reader_double(reader, object, "norm_eps", MV_REQUIRED, &params->norm_eps);
    mv_reader_double(reader, object, "rope_theta", MV_REQUIRED, &params->rope_theta);
}

void mv_read_model(mv_reader *reader, const json_t *root, char *spec, size_t spec_size,
                   mv_params *params, char weights_sha256[65])
{
    char sha256[80] = "";
    mv_reader_at(reader, "%s", "");
    const json_t *model = mv_reader_object(reader, root, "model", MV_REQUIRED);
    mv_reader_at(reader, "model");
    mv_reader_text(reader, model, "spec", MV_REQUIRED, spec, spec_size);
    mv_reader_text(reader, model, "weights_sha256", MV_OPTIONAL, sha256, sizeof sha256);
    if (sha256[0] != '\0' && !is_sha256(sha256)) {
        mv_reader_refuse(reader, "weights_sha256", "64 hexadecimal digits",
                         json_object_get(model, "weights_sha256"));
        return;
    }
    memcpy(weights_sha256, sha256, 65);
    const json_t *object = mv_reader_object(reader, model, "params", MV_OPTIONAL);
    if (object != NULL) {
        read_params(reader, object, params);
    }
}

void mv_read_tool(mv_reader *reader, const json_t *root, char version[32], char commit[48],
                  mv_environment *environment)
{
    const char *key;
    json_t *value;
    mv_reader_at(reader, "%s", "");
    const json_t *tool = mv_reader_object(reader, root, "tool", MV_REQUIRED);
    const json_t *facts = mv_reader_object(reader, root, "environment", MV_REQUIRED);
    mv_reader_at(reader, "tool");
    mv_reader_text(reader, tool, "version", MV_REQUIRED, version, 32);
    mv_reader_text(reader, tool, "commit", MV_OPTIONAL, commit, 48);
    mv_reader_at(reader, "environment");
    if (facts == NULL) {
        return;
    }
    json_object_foreach((json_t *)facts, key, value)
    {
        mv_fact fact;
        if (!json_is_string(value)) {
            mv_reader_refuse(reader, mv_plain(key).text, "text", value);
            return;
        }
        mv_copy_text(fact.key, sizeof fact.key, key);
        mv_copy_text(fact.value, sizeof fact.value, json_string_value(value));
        mv_environment_set(environment, fact.key, fact.value);
    }
}

mv_compute mv_read_compute(mv_reader *reader, const json_t *object)
{
    static const char *const words[] = {"f32", "bf16", "f64"};
    size_t compute = 0;
    mv_reader_word_of(reader, object, "compute", words, 3, &compute);
    return (mv_compute)compute;
}

int64_t mv_read_elapsed_ns(mv_reader *reader, const json_t *object)
{
    double elapsed_s = 0;
    mv_reader_double(reader, object, "elapsed_s", MV_REQUIRED, &elapsed_s);
    if (!(elapsed_s >= 0 && elapsed_s <= 8e6)) { /* to the ns in a double */
        mv_reader_refuse(reader, "elapsed_s", "seconds from 0 to 8000000",
                         json_object_get(object, "elapsed_s"));
        return 0;
    }
    return llround(elapsed_s * 1e9);
}

mv_code mv_read_schema(mv_reader *reader, const json_t *root, const char *schema)
{
    const json_t *found = json_object_get(root, "schema");
    if (!json_is_string(found) || strcmp(json_string_value(found), schema) != 0) {
        return mv_reader_refuse(reader, "schema", schema, found);
    }
    return MV_OK;
}

/* ---- one case ---- */

static void read_metrics(mv_reader *reader, const json_t *object, mv_metrics *metrics)
{
    const struct {
        const char *key;
        double *value;
    } fields[] = {
        {"r_rmse", &metrics->r_rmse},     {"r_row", &metrics->r_row},
        {"r_maxabs", &metrics->r_maxabs}, {"max_abs", &metrics->max_abs},
        {"nmse", &metrics->nmse},         {"kl_mean", &metrics->kl_mean},
        {"kl_max", &metrics->kl_max},     {"top1_agreement", &metrics->top1_agreement},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        mv_reader_double(reader, object, fields[i].key, MV_OPTIONAL, fields[i].value);
    }
    mv_reader_integer(reader, object, "effective_window", MV_OPTIONAL, 0, INT64_MAX,
                      &metrics->effective_window);
}

/* From 2^63 on a seed is text, because common readers of JSON stop there. */
void mv_read_seed(mv_reader *reader, const json_t *object, uint64_t *seed)
{
    const json_t *value = json_object_get(object, "seed");
    if (reader->code == MV_OK && json_is_string(value)) {
        const char *text = json_string_value(value);
        char *end = NULL;
        *seed = strtoull(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0') {
            mv_reader_refuse(reader, "seed", "a whole number of 64 bits", value);
        }
        return;
    }
    int64_t number = 0;
    mv_reader_integer(reader, object, "seed", MV_REQUIRED, 0, INT64_MAX, &number);
    *seed = (uint64_t)number;
}

static void read_outcome(mv_reader *reader, const json_t *object, mv_case_result *one)
{
    const json_t *coverage = mv_reader_object(reader, object, "coverage", MV_REQUIRED);
    mv_reader_integer(reader, coverage, "positions", MV_REQUIRED, 0, INT64_MAX, &one->n_positions);
    mv_reader_integer(reader, coverage, "beyond_window", MV_REQUIRED, 0, INT64_MAX,
                      &one->n_beyond_window);
    read_metrics(reader, mv_reader_object(reader, object, "metrics", MV_REQUIRED), &one->metrics);
    read_metrics(reader, mv_reader_object(reader, object, "limits", MV_REQUIRED), &one->limits);
    mv_reader_double(reader, object, "headroom", MV_OPTIONAL, &one->headroom);
    const json_t *worst = mv_reader_object(reader, object, "worst", MV_OPTIONAL);
    if (worst != NULL) {
        mv_reader_integer(reader, worst, "position", MV_REQUIRED, 0, INT64_MAX,
                          &one->worst.position);
        mv_reader_integer(reader, worst, "token_id", MV_OPTIONAL, 0, INT64_MAX,
                          &one->worst.token_id);
        mv_reader_double(reader, worst, "expected", MV_REQUIRED, &one->worst.expected);
        mv_reader_double(reader, worst, "actual", MV_REQUIRED, &one->worst.actual);
    }
    const json_t *first = mv_reader_object(reader, object, "first_divergence", MV_OPTIONAL);
    if (first != NULL) {
        mv_reader_integer(reader, first, "layer", MV_OPTIONAL, 0, INT64_MAX,
                          &one->divergence_layer);
        mv_reader_integer(reader, first, "position", MV_OPTIONAL, 0, INT64_MAX,
                          &one->divergence_position);
        mv_reader_text(reader, first, "op", MV_OPTIONAL, one->divergence_op,
                       sizeof one->divergence_op);
    }
    mv_read_divergence(reader, object, &one->divergence);
    mv_reader_text(reader, object, "reproduce", MV_REQUIRED, one->reproduce, sizeof one->reproduce);
    mv_reader_integer(reader, object, "elapsed_ns", MV_OPTIONAL, 0, INT64_MAX, &one->elapsed_ns);
}

static void read_case(mv_reader *reader, const json_t *object, mv_case_result *one)
{
    size_t verdict = 0;
    mv_case_result_clear(one);
    mv_reader_text(reader, object, "suite", MV_REQUIRED, one->suite, sizeof one->suite);
    mv_reader_text(reader, object, "case", MV_REQUIRED, one->name, sizeof one->name);
    mv_reader_text(reader, object, "backend", MV_REQUIRED, one->backend, sizeof one->backend);
    one->compute = mv_read_compute(reader, object);
    mv_reader_integer(reader, object, "window", MV_OPTIONAL, 0, INT64_MAX, &one->window);
    mv_reader_integer(reader, object, "chunk", MV_OPTIONAL, 0, INT64_MAX, &one->chunk);
    mv_reader_text(reader, object, "schedule", MV_OPTIONAL, one->schedule, sizeof one->schedule);
    mv_reader_integer(reader, object, "length", MV_OPTIONAL, 0, INT64_MAX, &one->length);
    mv_read_seed(reader, object, &one->seed);
    mv_reader_word_of(reader, object, "verdict", verdict_words, 5, &verdict);
    mv_reader_text(reader, object, "reason", MV_REQUIRED, one->reason, sizeof one->reason);
    one->verdict = (mv_verdict)verdict;
    read_outcome(reader, object, one);
}

static void read_cases(mv_reader *reader, const json_t *root, mv_verify_results *results)
{
    mv_reader_at(reader, "%s", "");
    const json_t *cases = mv_reader_array(reader, root, "cases", MV_REQUIRED);
    for (size_t i = 0; i < json_array_size(cases) && reader->code == MV_OK; i++) {
        mv_case_result one;
        const json_t *object = json_array_get(cases, i);
        mv_reader_at(reader, "cases[%zu]", i);
        if (!json_is_object(object)) {
            mv_reader_refuse(reader, "(itself)", "an object", object);
            return;
        }
        read_case(reader, object, &one);
        if (reader->code == MV_OK) {
            reader->code = mv_verify_results_add(results, &one, reader->error);
        }
        free(one.divergence);
    }
}

/* ---- the self-test ---- */

static void read_mutant(mv_reader *reader, const json_t *object, mv_mutant_result *one)
{
    bool equivalent = false;
    memset(one, 0, sizeof *one);
    one->r_rmse = NAN;
    mv_reader_text(reader, object, "name", MV_REQUIRED, one->name, sizeof one->name);
    mv_reader_text(reader, object, "imitates", MV_REQUIRED, one->imitates, sizeof one->imitates);
    mv_reader_words(reader, object, "expected_suites", MV_REQUIRED, one->expected_suites,
                    sizeof one->expected_suites);
    mv_reader_words(reader, object, "killed_by", MV_REQUIRED, one->killed_by,
                    sizeof one->killed_by);
    mv_reader_double(reader, object, "r_rmse", MV_OPTIONAL, &one->r_rmse);
    mv_reader_bool(reader, object, "equivalent", MV_REQUIRED, &equivalent);
    one->equivalent = equivalent;
}

static void read_self_test(mv_reader *reader, const json_t *root, mv_verify_results *results)
{
    int64_t benign_total = 0, false_alarms = 0;
    mv_reader_at(reader, "%s", "");
    const json_t *test = mv_reader_object(reader, root, "self_test", MV_OPTIONAL);
    if (test == NULL) {
        return;
    }
    mv_reader_at(reader, "self_test");
    const json_t *mutants = mv_reader_array(reader, test, "mutants", MV_REQUIRED);
    mv_reader_integer(reader, test, "benign_total", MV_REQUIRED, 0, UINT32_MAX, &benign_total);
    mv_reader_integer(reader, test, "false_alarms", MV_REQUIRED, 0, benign_total, &false_alarms);
    results->benign_total = (size_t)benign_total;
    results->false_alarms = (size_t)false_alarms;
    for (size_t i = 0; i < json_array_size(mutants) && reader->code == MV_OK; i++) {
        mv_mutant_result one;
        mv_reader_at(reader, "self_test.mutants[%zu]", i);
        read_mutant(reader, json_array_get(mutants, i), &one);
        if (reader->code == MV_OK) {
            reader->code = mv_verify_results_add_mutant(results, &one, reader->error);
        }
    }
}

/* ---- the whole ---- */

/* A file that says "pass" above a case that failed was edited, or cut and mended: no evidence. */
static void check_verdict(mv_reader *reader, const json_t *root, const mv_verify_results *results)
{
    size_t said = 0;
    mv_summary summary = mv_verify_results_summarise(results);
    mv_reader_at(reader, "%s", "");
    mv_reader_word_of(reader, root, "verdict", verdict_words, 5, &said);
    if (reader->code == MV_OK && said != (size_t)summary.verdict) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "\"%s\", which is what its cases say",
                       mv_verdict_name(summary.verdict));
        mv_reader_refuse(reader, "verdict", expected, json_object_get(root, "verdict"));
    }
}

mv_code mv_verify_results_take(mv_verify_results *results, const json_t *root, const char *path,
                               mv_error *error)
{
    mv_reader reader = {.path = path, .error = error};
    if (mv_read_schema(&reader, root, "mistral-verify/1") == MV_OK) {
        mv_read_tool(&reader, root, results->tool_version, results->tool_commit,
                     &results->environment);
        mv_read_model(&reader, root, results->model_spec, sizeof results->model_spec,
                      &results->params, results->weights_sha256);
        mv_reader_at(&reader, "%s", "");
        const json_t *summary = mv_reader_object(&reader, root, "summary", MV_REQUIRED);
        mv_reader_at(&reader, "summary");
        results->elapsed_ns = mv_read_elapsed_ns(&reader, summary);
        read_cases(&reader, root, results);
        read_self_test(&reader, root, results);
        check_verdict(&reader, root, results);
    }
    if (reader.code != MV_OK) {
        mv_verify_results_free(results);
    }
    return reader.code;
}
