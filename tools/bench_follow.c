#include "tools/bench_follow.h"

#include <unistd.h>

#include "harness/backend.h"
#include "harness/baseline.h"
#include "harness/claims.h"
#include "harness/history.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/results_read.h"

mv_code mv_bench_baseline_open(mv_bench_results *old, const char *path, const mv_bench_results *now,
                               const mv_bench *bench, const mv_bench_plan *plan,
                               const char *const *names, size_t n_names, mv_error *error)
{
    mv_code code = mv_bench_results_read(old, path, error);
    if (code == MV_OK)
        code = mv_baseline_check(old, path, now, error);
    for (size_t n = 0; n < n_names && code == MV_OK; n++) {
        for (size_t i = 0; i < plan->n_items && code == MV_OK; i++) {
            const mv_bench_run *row;
            mv_bench_run wanted;
            mv_bench_run_clear(&wanted);
            (void)snprintf(wanted.backend, sizeof wanted.backend, "%s", names[n]);
            wanted.compute = bench->subject.compute;
            wanted.seed = bench->subject.seed;
            wanted.phase = plan->items[i].phase;
            wanted.shape = plan->items[i].shape;
            code = mv_baseline_find(&row, old, path, &wanted, error);
        }
    }
    return code;
}

static mv_code build_id(char id[96], const char *name, mv_error *error)
{
    char path[4096];
    mv_code code = mv_backend_find(path, sizeof path, name, error);
    if (code == MV_OK)
        mv_bench_build_id(id, 96, NULL, path);
    return code;
}

static void advise(void *cookie, const char *text)
{
    mv_log(MV_LOG_WARN, "%s: %s", (const char *)cookie, text);
}

mv_code mv_bench_record(const char *path, const mv_bench_results *results, const char *base,
                        const char *candidate, mv_error *error)
{
    char ids[2][96];
    const mv_history_builds builds = {ids[0], ids[1]};
    size_t n_added = 0;
    mv_code code = build_id(ids[0], base, error);
    if (code == MV_OK)
        code = build_id(ids[1], candidate, error);
    if (code != MV_OK || results == NULL)
        return code == MV_OK ? mv_history_check(path, &builds, error) : code;
    code = mv_history_append(path, results, &builds, &n_added, error);
    if (code == MV_OK && n_added == 0)
        mv_log(MV_LOG_WARN, "%s: no ratio with an interval, so nothing was recorded", path);
    if (code == MV_OK && n_added > 0)
        code = mv_history_tell(path, advise, (void *)(uintptr_t)path, error);
    return code;
}

static void show_claim(void *cookie, size_t n_done)
{
    const mv_cli *cli = cookie;
    if (cli->quiet == 0 && isatty(STDERR_FILENO))
        mv_log_progress("%zu of %d claims", n_done, MV_N_CLAIMS);
}

mv_code mv_bench_run_claims(const mv_cli *cli, const char *name, mv_compute compute,
                            mv_bench_results *results, mv_error *error)
{
    mv_model *model = NULL;
    mv_claims claims = {.compute = compute,
                        .options = cli->options,
                        .n_options = cli->n_options,
                        .seed = cli->seed,
                        .on_claim = show_claim,
                        .cookie = (void *)(uintptr_t)cli};
    mv_code code = mv_backend_load(&claims.backend, name, NULL, 0, error);
    if (code == MV_OK && !mv_backend_has_compute(claims.backend, compute))
        return mv_fail(error, MV_ERR_UNAVAILABLE, "backend %s has no compute type %s", name,
                       mv_compute_name(compute));
    if (code == MV_OK) /* the others are described in the rows */
        code = mv_model_open(&model, "synthetic:probe", error);
    if (code != MV_OK)
        return code;
    results->params = mv_model_get_view(model)->params;
    results->model_bytes = (int64_t)mv_model_size_bytes(mv_model_get_view(model));
    (void)snprintf(results->model_spec, sizeof results->model_spec, "synthetic:probe");
    mv_model_close(&model);
    mv_environment_set(&results->environment, "claims_backend", name);
    code = mv_claims_measure(&claims, results, error);
    mv_log_progress("%s", "");
    return code;
}
