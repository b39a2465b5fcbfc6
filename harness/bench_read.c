/* bench_read.c - the order is that of reports/bench_json.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/results_read.h"
#include "harness/results_read_parts.h"

static void read_count(mv_reader *reader, const json_t *object, const char *key, int64_t *out)
{
    mv_reader_integer(reader, object, key, MV_OPTIONAL, 0, INT64_MAX, out);
}

static void read_estimate(mv_reader *reader, const json_t *object, const char *key,
                          mv_estimate *out)
{
    const json_t *estimate = mv_reader_object(reader, object, key, MV_OPTIONAL);
    if (estimate == NULL) {
        return;
    }
    const json_t *ends = mv_reader_array(reader, estimate, "ci95", MV_REQUIRED);
    mv_reader_double(reader, estimate, "median", MV_REQUIRED, &out->value);
    if (json_array_size(ends) != 2) {
        mv_reader_refuse(reader, "ci95", "a list of two numbers", ends);
        return;
    }
    double *const values[] = {&out->low, &out->high};
    for (size_t i = 0; i < 2; i++) { /* as members, for the words that are not finite */
        json_t *pair = json_pack("{sO}", key, json_array_get(ends, i));
        mv_reader_double(reader, pair, key, MV_REQUIRED, values[i]);
        json_decref(pair);
    }
}

/* Yours: free(*out), also after a refusal. */
static void read_times(mv_reader *reader, const json_t *object, const char *key, int64_t **out,
                       size_t *n_out)
{
    const json_t *list = mv_reader_array(reader, object, key, MV_OPTIONAL);
    size_t n = json_array_size(list);
    if (n == 0) {
        return;
    }
    int64_t *times = calloc(n, sizeof *times);
    if (times == NULL) {
        reader->code =
            mv_fail(reader->error, MV_ERR_MEMORY, "%s: no memory for %zu samples", reader->path, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *time = json_array_get(list, i);
        if (!json_is_integer(time) || json_integer_value(time) < 0) {
            mv_reader_refuse(reader, key, "a list of times in ns, none below 0", time);
            free(times);
            return;
        }
        times[i] = json_integer_value(time);
    }
    *out = times;
    *n_out = n;
}

static void read_shape(mv_reader *reader, const json_t *object, mv_bench_shape *shape)
{
    mv_reader_integer(reader, object, "prompt", MV_REQUIRED, 0, INT64_MAX, &shape->prompt);
    mv_reader_integer(reader, object, "generate", MV_REQUIRED, 0, INT64_MAX, &shape->generate);
    mv_reader_integer(reader, object, "depth", MV_REQUIRED, 0, INT64_MAX, &shape->depth);
    mv_reader_integer(reader, object, "chunk", MV_REQUIRED, 0, INT64_MAX, &shape->chunk);
    mv_reader_integer(reader, object, "window", MV_REQUIRED, 0, INT64_MAX, &shape->window);
    mv_reader_integer(reader, object, "batch", MV_REQUIRED, 1, INT64_MAX, &shape->batch);
    mv_reader_integer(reader, object, "threads", MV_REQUIRED, 1, INT64_MAX, &shape->threads);
}

static void read_work(mv_reader *reader, const json_t *object, mv_bench_run *run)
{
    const json_t *work = mv_reader_object(reader, object, "work", MV_OPTIONAL);
    const struct {
        const char *key;
        uint64_t *value;
    } fields[] = {
        {"linear_multiply_adds", &run->work.linear_multiply_adds},
        {"output_multiply_adds", &run->work.output_multiply_adds},
        {"attention_multiply_adds", &run->work.attention_multiply_adds},
        {"attention_pairs", &run->work.attention_pairs},
        {"weight_bytes", &run->work.weight_bytes},
        {"kv_cache_bytes", &run->work.kv_cache_bytes},
        {"calls", &run->work.calls},
        {"allocations", &run->work.allocations},
    };
    run->has_work = work != NULL;
    for (size_t i = 0; work != NULL && i < sizeof fields / sizeof *fields; i++) {
        int64_t value = 0;
        read_count(reader, work, fields[i].key, &value);
        *fields[i].value = (uint64_t)value;
    }
}

static void read_profile(mv_reader *reader, const json_t *object, mv_bench_profile *profile)
{
    const json_t *from = mv_reader_object(reader, object, "profile", MV_OPTIONAL);
    if (from == NULL)
        return;
    const json_t *ops = mv_reader_array(reader, from, "ops", MV_REQUIRED);
    mv_reader_text(reader, from, "how", MV_REQUIRED, profile->how, sizeof profile->how);
    read_count(reader, from, "passes", &profile->n_passes);
    mv_reader_integer(reader, from, "total_ns", MV_REQUIRED, 1, INT64_MAX, &profile->total_ns);
    mv_reader_integer(reader, from, "untapped_ns", MV_REQUIRED, 0, INT64_MAX,
                      &profile->untapped_ns);
    mv_reader_double(reader, from, "ratio_to_timed", MV_OPTIONAL, &profile->ratio_to_timed);
    for (size_t i = 0; i < json_array_size(ops) && i < MV_BENCH_MAX_OPS; i++) {
        const json_t *one = json_array_get(ops, i);
        mv_bench_op *op = &profile->ops[profile->n_ops++];
        mv_reader_text(reader, one, "op", MV_REQUIRED, op->op, sizeof op->op);
        mv_reader_integer(reader, one, "ns_median", MV_REQUIRED, 0, INT64_MAX, &op->ns_median);
        mv_reader_double(reader, one, "share", MV_REQUIRED, &op->share);
    }
}

static void read_warnings(mv_reader *reader, const json_t *object, mv_bench_run *run)
{
    const json_t *list = mv_reader_array(reader, object, "warnings", MV_REQUIRED);
    for (size_t i = 0; i < json_array_size(list) && i < MV_BENCH_MAX_WARNINGS; i++) {
        mv_bench_warning *warning = &run->warnings[run->n_warnings++];
        const json_t *one = json_array_get(list, i);
        mv_reader_text(reader, one, "code", MV_REQUIRED, warning->code, sizeof warning->code);
        mv_reader_text(reader, one, "text", MV_REQUIRED, warning->text, sizeof warning->text);
    }
}

static void read_speed(mv_reader *reader, const json_t *object, mv_bench_run *run)
{
    const struct {
        const char *key;
        double *value;
    } fields[] = {
        {"deviation", &run->deviation},
        {"cpu_per_wall", &run->cpu_per_wall},
        {"bytes_per_token", &run->bytes_per_token},
        {"flops_per_token", &run->flops_per_token},
        {"executed_flops_per_token", &run->executed_flops_per_token},
        {"fraction_of_limit", &run->fraction_of_limit},
        {"read_bytes_per_s", &run->read_bytes_per_s},
        {"flops_per_s", &run->flops_per_s},
    };
    char limit[16] = "";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        mv_reader_double(reader, object, fields[i].key, MV_OPTIONAL, fields[i].value);
    }
    read_estimate(reader, object, "tokens_per_s", &run->tokens_per_s);
    read_count(reader, object, "warmup", &run->n_warmup);
    read_count(reader, object, "ttft_ns", &run->ttft_ns);
    read_count(reader, object, "token_ns_p50", &run->token_ns_p50);
    read_count(reader, object, "token_ns_p95", &run->token_ns_p95);
    read_count(reader, object, "token_ns_p99", &run->token_ns_p99);
    mv_reader_text(reader, object, "limit", MV_OPTIONAL, limit, sizeof limit);
    run->limit = strcmp(limit, "bandwidth") == 0 ? MV_LIMIT_BANDWIDTH
                 : strcmp(limit, "compute") == 0 ? MV_LIMIT_COMPUTE
                                                 : MV_LIMIT_UNKNOWN;
}

static void read_run(mv_reader *reader, const json_t *object, mv_bench_run *run)
{
    static const char *const phases[] = {"prefill", "decode"};
    size_t phase = 0;
    mv_reader_text(reader, object, "backend", MV_REQUIRED, run->backend, sizeof run->backend);
    mv_reader_text(reader, object, "build_id", MV_OPTIONAL, run->build_id, sizeof run->build_id);
    run->compute = mv_read_compute(reader, object);
    mv_reader_word_of(reader, object, "phase", phases, 2, &phase);
    run->phase = (mv_bench_phase)phase;
    read_shape(reader, object, &run->shape);
    mv_read_seed(reader, object, &run->seed);
    read_times(reader, object, "samples_ns", &run->samples_ns, &run->n_samples);
    read_times(reader, object, "chunk_ns", &run->chunk_ns, &run->n_chunks);
    read_speed(reader, object, run);
    const json_t *memory = mv_reader_object(reader, object, "memory", MV_REQUIRED);
    read_count(reader, memory, "weights", &run->weights_bytes);
    read_count(reader, memory, "kv_cache", &run->kv_cache_bytes);
    read_count(reader, memory, "scratch", &run->scratch_bytes);
    read_count(reader, memory, "peak_rss", &run->peak_rss_bytes);
    read_work(reader, object, run);
    read_profile(reader, object, &run->profile);
    mv_reader_bool(reader, object, "checked", MV_REQUIRED, &run->checked);
    mv_reader_text(reader, object, "check", MV_OPTIONAL, run->check, sizeof run->check);
    mv_reader_text(reader, object, "logits", MV_OPTIONAL, run->logits, sizeof run->logits);
    read_warnings(reader, object, run);
}

static void read_comparison(mv_reader *reader, const json_t *object, mv_bench_comparison *one)
{
    static const char *const verdicts[] = {"faster", "same", "slower", "inconclusive"};
    size_t verdict = MV_BENCH_INCONCLUSIVE;
    memset(one, 0, sizeof *one);
    one->ratio = (mv_estimate){NAN, NAN, NAN};
    one->p_slower = one->gate_percent = NAN;
    one->n_groups = one->n_confirm = -1;
    mv_reader_text(reader, object, "key", MV_REQUIRED, one->key, sizeof one->key);
    mv_reader_text(reader, object, "base", MV_OPTIONAL, one->base, sizeof one->base);
    mv_reader_text(reader, object, "candidate", MV_OPTIONAL, one->candidate, sizeof one->candidate);
    mv_reader_text(reader, object, "method", MV_OPTIONAL, one->method, sizeof one->method);
    mv_reader_text(reader, object, "clock", MV_OPTIONAL, one->clock, sizeof one->clock);
    read_estimate(reader, object, "ratio", &one->ratio);
    mv_reader_double(reader, object, "p_slower", MV_OPTIONAL, &one->p_slower);
    read_count(reader, object, "groups", &one->n_groups);
    read_count(reader, object, "confirm_groups", &one->n_confirm);
    mv_reader_double(reader, object, "gate_percent", MV_OPTIONAL, &one->gate_percent);
    mv_reader_word_of(reader, object, "verdict", verdicts, 4, &verdict);
    one->verdict = (mv_bench_verdict)verdict;
    mv_reader_text(reader, object, "reason", MV_OPTIONAL, one->reason, sizeof one->reason);
}

static void read_claim(mv_reader *reader, const json_t *object, mv_bench_claim *one)
{
    memset(one, 0, sizeof *one);
    mv_reader_text(reader, object, "id", MV_REQUIRED, one->id, sizeof one->id);
    mv_reader_text(reader, object, "statement", MV_REQUIRED, one->statement, sizeof one->statement);
    mv_reader_text(reader, object, "predicted", MV_REQUIRED, one->predicted, sizeof one->predicted);
    mv_reader_text(reader, object, "measured", MV_REQUIRED, one->measured, sizeof one->measured);
    mv_reader_text(reader, object, "how", MV_OPTIONAL, one->how, sizeof one->how);
    mv_reader_bool(reader, object, "holds", MV_REQUIRED, &one->holds);
    one->was_measured = one->measured[0] != '\0';
}

static void read_ceilings(mv_reader *reader, const json_t *root, mv_ceilings *ceilings)
{
    const json_t *object = mv_reader_object(reader, root, "ceilings", MV_OPTIONAL);
    if (object == NULL) {
        return;
    }
    mv_reader_at(reader, "ceilings");
    ceilings->flops_per_s = ceilings->bf16_flops_per_s = NAN;
    mv_reader_double(reader, object, "flops_per_s", MV_OPTIONAL, &ceilings->flops_per_s);
    mv_reader_double(reader, object, "bf16_flops_per_s", MV_OPTIONAL, &ceilings->bf16_flops_per_s);
    read_count(reader, object, "threads", &ceilings->threads);
    mv_reader_text(reader, object, "how", MV_OPTIONAL, ceilings->how, sizeof ceilings->how);
    const json_t *reads = mv_reader_array(reader, object, "reads", MV_OPTIONAL);
    for (size_t i = 0; i < json_array_size(reads) && i < MV_MAX_READ_POINTS; i++) {
        mv_read_point *point = &ceilings->reads[ceilings->n_reads++];
        const json_t *one = json_array_get(reads, i);
        mv_reader_at(reader, "ceilings.reads[%zu]", i);
        mv_reader_integer(reader, one, "working_set_bytes", MV_REQUIRED, 1, INT64_MAX,
                          &point->working_set_bytes);
        mv_reader_double(reader, one, "read_bytes_per_s", MV_REQUIRED, &point->read_bytes_per_s);
    }
}

static void read_runs(mv_reader *reader, const json_t *root, mv_bench_results *results)
{
    mv_reader_at(reader, "%s", "");
    const json_t *runs = mv_reader_array(reader, root, "runs", MV_REQUIRED);
    for (size_t i = 0; i < json_array_size(runs) && reader->code == MV_OK; i++) {
        mv_bench_run run;
        mv_reader_at(reader, "runs[%zu]", i);
        mv_bench_run_clear(&run);
        read_run(reader, json_array_get(runs, i), &run);
        if (reader->code == MV_OK) {
            reader->code = mv_bench_results_add(results, &run, reader->error);
        } else {
            free(run.samples_ns);
            free(run.chunk_ns);
        }
    }
}

static void read_rest(mv_reader *reader, const json_t *root, mv_bench_results *results)
{
    mv_reader_at(reader, "%s", "");
    const json_t *comparisons = mv_reader_array(reader, root, "comparison", MV_OPTIONAL);
    const json_t *claims = mv_reader_array(reader, root, "claims", MV_OPTIONAL);
    for (size_t i = 0; i < json_array_size(comparisons) && reader->code == MV_OK; i++) {
        mv_bench_comparison one;
        mv_reader_at(reader, "comparison[%zu]", i);
        read_comparison(reader, json_array_get(comparisons, i), &one);
        if (reader->code == MV_OK) {
            reader->code = mv_bench_results_add_comparison(results, &one, reader->error);
        }
    }
    for (size_t i = 0; i < json_array_size(claims) && reader->code == MV_OK; i++) {
        mv_bench_claim one;
        mv_reader_at(reader, "claims[%zu]", i);
        read_claim(reader, json_array_get(claims, i), &one);
        if (reader->code == MV_OK) {
            reader->code = mv_bench_results_add_claim(results, &one, reader->error);
        }
    }
}

mv_code mv_bench_results_take(mv_bench_results *results, const json_t *root, const char *path,
                              mv_error *error)
{
    mv_reader reader = {.path = path, .error = error};
    if (mv_read_schema(&reader, root, "mistral-bench/1") == MV_OK) {
        mv_read_tool(&reader, root, results->tool_version, results->tool_commit,
                     &results->environment);
        mv_read_model(&reader, root, results->model_spec, sizeof results->model_spec,
                      &results->params, results->weights_sha256);
        mv_reader_at(&reader, "%s", "");
        results->elapsed_ns = mv_read_elapsed_ns(&reader, root);
        read_ceilings(&reader, root, &results->ceilings);
        read_runs(&reader, root, results);
        read_rest(&reader, root, results);
    }
    if (reader.code != MV_OK) {
        mv_bench_results_free(results);
    }
    return reader.code;
}
