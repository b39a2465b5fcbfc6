/* bench_json.c - times, by reports/schema/mistral-bench-1.schema.json. What is not known is absent.
 * One row is one line. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>

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

static void put_integer(mv_bytes *bytes, const char **separator, const char *key, int64_t value)
{
    if (value >= 0) {
        put_key(bytes, separator, key);
        mv_bytes_print(bytes, "%" PRId64, value);
    }
}

static void put_number(mv_bytes *bytes, const char **separator, const char *key, double value)
{
    if (isfinite(value)) {
        put_key(bytes, separator, key);
        mv_json_number(bytes, value);
    }
}

/* The ends of an interval may be infinite: too few samples. */
static void put_estimate(mv_bytes *bytes, const char **separator, const char *key,
                         const mv_estimate *value)
{
    if (!isfinite(value->value))
        return;
    put_key(bytes, separator, key);
    mv_bytes_text(bytes, "{\"median\": ");
    mv_json_number(bytes, value->value);
    mv_bytes_text(bytes, ", \"ci95\": [");
    mv_json_number(bytes, value->low);
    mv_bytes_text(bytes, ", ");
    mv_json_number(bytes, value->high);
    mv_bytes_text(bytes, "]}");
}

static void put_integers(mv_bytes *bytes, const char **separator, const char *key,
                         const int64_t *values, size_t n)
{
    put_key(bytes, separator, key);
    mv_bytes_text(bytes, "[");
    for (size_t i = 0; i < n; i++)
        mv_bytes_print(bytes, "%s%" PRId64, i == 0 ? "" : ", ", values[i]);
    mv_bytes_text(bytes, "]");
}

static void put_ceilings(mv_bytes *bytes, const mv_ceilings *c)
{
    const char *separator = "";
    if (c->n_reads == 0)
        return;
    mv_bytes_text(bytes, "  \"ceilings\": {");
    put_number(bytes, &separator, "read_bytes_per_s", c->reads[c->n_reads - 1].read_bytes_per_s);
    put_number(bytes, &separator, "flops_per_s", c->flops_per_s);
    put_number(bytes, &separator, "bf16_flops_per_s", c->bf16_flops_per_s);
    put_integer(bytes, &separator, "threads", c->threads);
    put_text(bytes, &separator, "how", c->how);
    put_key(bytes, &separator, "reads");
    for (size_t i = 0; i < c->n_reads; i++) {
        mv_bytes_print(bytes, "%s{\"working_set_bytes\": %" PRId64 ", \"read_bytes_per_s\": ",
                       i == 0 ? "[" : ", ", c->reads[i].working_set_bytes);
        mv_json_number(bytes, c->reads[i].read_bytes_per_s);
        mv_bytes_text(bytes, "}");
    }
    mv_bytes_text(bytes, "]},\n");
}

static void put_shape(mv_bytes *bytes, const char **separator, const mv_bench_shape *shape)
{
    put_integer(bytes, separator, "prompt", shape->prompt);
    put_integer(bytes, separator, "generate", shape->generate);
    put_integer(bytes, separator, "depth", shape->depth);
    put_integer(bytes, separator, "chunk", shape->chunk);
    put_integer(bytes, separator, "window", shape->window);
    put_integer(bytes, separator, "batch", shape->batch);
    put_integer(bytes, separator, "threads", shape->threads);
}

static void put_work(mv_bytes *bytes, const char **outer, const mv_work *work)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"linear_multiply_adds", work->linear_multiply_adds},
        {"output_multiply_adds", work->output_multiply_adds},
        {"attention_multiply_adds", work->attention_multiply_adds},
        {"attention_pairs", work->attention_pairs},
        {"weight_bytes", work->weight_bytes},
        {"kv_cache_bytes", work->kv_cache_bytes},
        {"calls", work->calls},
        {"allocations", work->allocations},
    };
    const char *separator = "";
    put_key(bytes, outer, "work");
    mv_bytes_text(bytes, "{");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_key(bytes, &separator, rows[i].key);
        mv_bytes_print(bytes, "%" PRIu64, rows[i].value);
    }
    mv_bytes_text(bytes, "}");
}

static void put_profile(mv_bytes *bytes, const char **outer, const mv_bench_profile *profile)
{
    const char *separator = "";
    if (profile->n_ops == 0)
        return;
    put_key(bytes, outer, "profile");
    mv_bytes_text(bytes, "{");
    put_text(bytes, &separator, "how", profile->how);
    put_integer(bytes, &separator, "passes", profile->n_passes);
    put_key(bytes, &separator, "ops");
    for (size_t i = 0; i < profile->n_ops; i++) {
        const char *inner = "";
        mv_bytes_text(bytes, i == 0 ? "[{" : ", {");
        put_text(bytes, &inner, "op", profile->ops[i].op);
        put_integer(bytes, &inner, "ns_median", profile->ops[i].ns_median);
        put_number(bytes, &inner, "share", profile->ops[i].share);
        mv_bytes_text(bytes, "}");
    }
    mv_bytes_text(bytes, "]");
    put_integer(bytes, &separator, "total_ns", profile->total_ns);
    put_integer(bytes, &separator, "untapped_ns", profile->untapped_ns);
    put_number(bytes, &separator, "ratio_to_timed", profile->ratio_to_timed);
    mv_bytes_text(bytes, "}");
}

static void put_memory(mv_bytes *bytes, const char **outer, const mv_bench_run *run)
{
    const char *separator = "";
    put_key(bytes, outer, "memory");
    mv_bytes_text(bytes, "{");
    put_integer(bytes, &separator, "weights", run->weights_bytes);
    put_integer(bytes, &separator, "kv_cache", run->kv_cache_bytes);
    put_integer(bytes, &separator, "scratch", run->scratch_bytes);
    put_integer(bytes, &separator, "peak_rss", run->peak_rss_bytes);
    mv_bytes_text(bytes, "}");
}

static void put_warnings(mv_bytes *bytes, const char **outer, const mv_bench_run *run)
{
    put_key(bytes, outer, "warnings");
    mv_bytes_text(bytes, "[");
    for (size_t i = 0; i < run->n_warnings; i++) {
        const char *separator = "";
        mv_bytes_text(bytes, i == 0 ? "{" : ", {");
        put_text(bytes, &separator, "code", run->warnings[i].code);
        put_text(bytes, &separator, "text", run->warnings[i].text);
        mv_bytes_text(bytes, "}");
    }
    mv_bytes_text(bytes, "]");
}

/* A seed may have 64 bits; the common readers of JSON stop at 63. */
static void put_seed(mv_bytes *bytes, const char **separator, uint64_t seed)
{
    const char *quote = seed <= INT64_MAX ? "" : "\"";
    put_key(bytes, separator, "seed");
    mv_bytes_print(bytes, "%s%" PRIu64 "%s", quote, seed, quote);
}

static void put_run(mv_bytes *bytes, const mv_bench_run *run)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_text(bytes, &separator, "backend", run->backend);
    put_text(bytes, &separator, "build_id", run->build_id);
    put_text(bytes, &separator, "compute", mv_compute_word(run->compute));
    put_text(bytes, &separator, "phase", mv_bench_phase_name(run->phase));
    put_shape(bytes, &separator, &run->shape);
    put_seed(bytes, &separator, run->seed);
    put_integers(bytes, &separator, "samples_ns", run->samples_ns, run->n_samples);
    if (run->n_chunks > 0)
        put_integers(bytes, &separator, "chunk_ns", run->chunk_ns, run->n_chunks);
    put_integer(bytes, &separator, "warmup", run->n_warmup);
    put_estimate(bytes, &separator, "tokens_per_s", &run->tokens_per_s);
    put_number(bytes, &separator, "deviation", run->deviation);
    put_integer(bytes, &separator, "ttft_ns", run->ttft_ns);
    put_integer(bytes, &separator, "token_ns_p50", run->token_ns_p50);
    put_integer(bytes, &separator, "token_ns_p95", run->token_ns_p95);
    put_integer(bytes, &separator, "token_ns_p99", run->token_ns_p99);
    put_number(bytes, &separator, "cpu_per_wall", run->cpu_per_wall);
    put_number(bytes, &separator, "bytes_per_token", run->bytes_per_token);
    put_number(bytes, &separator, "flops_per_token", run->flops_per_token);
    put_number(bytes, &separator, "executed_flops_per_token", run->executed_flops_per_token);
    put_number(bytes, &separator, "fraction_of_limit", run->fraction_of_limit);
    if (run->limit != MV_LIMIT_UNKNOWN)
        put_text(bytes, &separator, "limit", mv_bench_limit_name(run->limit));
    put_number(bytes, &separator, "read_bytes_per_s", run->read_bytes_per_s);
    put_number(bytes, &separator, "flops_per_s", run->flops_per_s);
    put_memory(bytes, &separator, run);
    if (run->has_work)
        put_work(bytes, &separator, &run->work);
    put_profile(bytes, &separator, &run->profile);
    put_key(bytes, &separator, "checked");
    mv_bytes_text(bytes, run->checked ? "true" : "false");
    put_text(bytes, &separator, "check", run->check);
    if (run->logits[0] != '\0')
        put_text(bytes, &separator, "logits", run->logits);
    put_warnings(bytes, &separator, run);
    mv_bytes_text(bytes, "}");
}

static void put_comparison(mv_bytes *bytes, const mv_bench_comparison *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_text(bytes, &separator, "key", one->key);
    put_text(bytes, &separator, "base", one->base);
    put_text(bytes, &separator, "candidate", one->candidate);
    put_text(bytes, &separator, "method", one->method);
    if (one->clock[0] != '\0')
        put_text(bytes, &separator, "clock", one->clock);
    put_estimate(bytes, &separator, "ratio", &one->ratio);
    put_number(bytes, &separator, "p_slower", one->p_slower);
    put_integer(bytes, &separator, "groups", one->n_groups);
    put_integer(bytes, &separator, "confirm_groups", one->n_confirm);
    put_number(bytes, &separator, "gate_percent", one->gate_percent);
    put_text(bytes, &separator, "verdict", mv_bench_verdict_name(one->verdict));
    put_text(bytes, &separator, "reason", one->reason);
    mv_bytes_text(bytes, "}");
}

static void put_claim(mv_bytes *bytes, const mv_bench_claim *one)
{
    const char *separator = "";
    mv_bytes_text(bytes, "{");
    put_text(bytes, &separator, "id", one->id);
    put_text(bytes, &separator, "statement", one->statement);
    put_text(bytes, &separator, "predicted", one->predicted);
    put_text(bytes, &separator, "measured", one->measured);
    put_text(bytes, &separator, "how", one->how);
    put_key(bytes, &separator, "holds");
    mv_bytes_text(bytes, one->holds ? "true}" : "false}");
}

void mv_json_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style)
{
    (void)style;
    mv_bytes_text(bytes, "{\n  \"schema\": \"mistral-bench/1\",\n");
    mv_json_tool(bytes, results->tool_version, results->tool_commit, &results->environment);
    mv_json_model(bytes, results->model_spec, &results->params, results->weights_sha256);
    put_ceilings(bytes, &results->ceilings);
    mv_bytes_text(bytes, "  \"elapsed_s\": ");
    mv_json_number(bytes, (double)results->elapsed_ns / 1e9);
    mv_bytes_text(bytes, ",\n  \"runs\": [");
    for (size_t i = 0; i < results->n_runs; i++) {
        mv_bytes_text(bytes, i == 0 ? "\n    " : ",\n    ");
        put_run(bytes, &results->runs[i]);
    }
    mv_bytes_text(bytes, results->n_runs > 0 ? "\n  ],\n" : "],\n");
    mv_bytes_text(bytes, "  \"comparison\": [");
    for (size_t i = 0; i < results->n_comparisons; i++) {
        mv_bytes_text(bytes, i == 0 ? "\n    " : ",\n    ");
        put_comparison(bytes, &results->comparisons[i]);
    }
    mv_bytes_text(bytes, results->n_comparisons > 0 ? "\n  ],\n" : "],\n");
    mv_bytes_text(bytes, "  \"claims\": [");
    for (size_t i = 0; i < results->n_claims; i++) {
        mv_bytes_text(bytes, i == 0 ? "\n    " : ",\n    ");
        put_claim(bytes, &results->claims[i]);
    }
    mv_bytes_text(bytes, results->n_claims > 0 ? "\n  ]\n}\n" : "]\n}\n");
}
