/* results_file.c - a results file of either kind. */
#include <string.h>

#include "harness/json_file.h"
#include "harness/results_read.h"
#include "harness/results_read_parts.h"

mv_code mv_verify_results_read(mv_verify_results *results, const char *path, mv_error *error)
{
    json_t *root = NULL;
    mv_code code = mv_json_load(&root, path, MV_RESULTS_MAX_BYTES, error);
    if (code == MV_OK) {
        code = mv_verify_results_take(results, root, path, error);
    }
    json_decref(root);
    return code;
}

mv_code mv_bench_results_read(mv_bench_results *results, const char *path, mv_error *error)
{
    json_t *root = NULL;
    mv_code code = mv_json_load(&root, path, MV_RESULTS_MAX_BYTES, error);
    if (code == MV_OK) {
        code = mv_bench_results_take(results, root, path, error);
    }
    json_decref(root);
    return code;
}

mv_code mv_results_file_read(mv_results_file *file, const char *path, mv_error *error)
{
    json_t *root = NULL;
    mv_code code = mv_json_load(&root, path, MV_RESULTS_MAX_BYTES, error);
    if (code != MV_OK) {
        return code;
    }
    const json_t *schema = json_object_get(root, "schema");
    const char *name = json_is_string(schema) ? json_string_value(schema) : "";
    file->is_bench = strcmp(name, "mistral-bench/1") == 0;
    if (!file->is_bench && strcmp(name, "mistral-verify/1") != 0) {
        mv_reader reader = {.path = path, .error = error};
        code = mv_reader_refuse(&reader, "schema",
                                "\"mistral-verify/1\" or \"mistral-bench/1\", as the programs of "
                                "this version write",
                                schema);
    } else {
        code = file->is_bench ? mv_bench_results_take(&file->bench, root, path, error)
                              : mv_verify_results_take(&file->verify, root, path, error);
    }
    json_decref(root);
    return code;
}

void mv_results_file_free(mv_results_file *file)
{
    mv_verify_results_free(&file->verify);
    mv_bench_results_free(&file->bench);
}
