/* bench.c - from a shape to a row. */
#include "harness/bench.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/bench_doubts.h"
#include "harness/bench_profile.h"
#include "harness/bench_row.h"

#define MAX_WARMUP 20
#define STEADY_PASSES 8    /* the slope is taken over the last of these */
#define STEADY_SLOPE 0.005 /* of the mean, a pass */
#define STEADY_RANGE 0.10  /* of the mean */
#define WARMUP_SHARE 0.34  /* of max_time_s */
#define LEAST_SAMPLES 6    /* fewer have no 95 % interval */
#define MAX_SAMPLES 200000

/* ---- truths ---- */

void mv_bench_free(mv_bench *bench)
{
    for (size_t i = 0; i < bench->n_truths; i++)
        mv_bench_truth_free(&bench->truths[i]);
    bench->n_truths = 0;
}

mv_code mv_bench_get_truth(mv_bench *bench, mv_bench_phase phase, const mv_bench_shape *shape,
                           const mv_bench_truth **truth, mv_error *error)
{
    const int64_t n_new = phase == MV_BENCH_PREFILL ? shape->prompt : shape->generate;
    const size_t n = mv_bench_check_length(bench->subject.model, shape->depth + n_new);
    /* A window that nothing reaches is no window. */
    const int64_t window = shape->window >= (int64_t)n ? 0 : shape->window;
    for (size_t i = 0; i < bench->n_truths; i++) {
        const mv_bench_truth *known = &bench->truths[i];
        /* A longer one may reach the window after all. */
        const bool out_of_reach = shape->window == 0 || (int64_t)known->n <= shape->window;
        if (known->n >= n && known->window == window && (window > 0 || out_of_reach)) {
            *truth = known;
            return MV_OK;
        }
    }
    if (bench->n_truths == MV_BENCH_MAX_TRUTHS) {
        mv_bench_truth_free(&bench->truths[0]);
        memmove(&bench->truths[0], &bench->truths[1],
                (MV_BENCH_MAX_TRUTHS - 1) * sizeof bench->truths[0]);
        bench->n_truths--;
    }
    mv_bench_truth *made = &bench->truths[bench->n_truths];
    *made = (mv_bench_truth){.n = 0};
    mv_code code =
        mv_bench_truth_make(made, bench->reference, bench->subject.model, bench->subject.compute,
                            window, n, bench->subject.seed, (uint32_t)mv_machine_n_cores(), error);
    if (code != MV_OK)
        return code;
    bench->n_truths++;
    *truth = made;
    return MV_OK;
}

/* ---- build id ---- */

void mv_bench_build_id(char *text, size_t size, const mv_backend *backend, const char *path)
{
    unsigned char buffer[65536], digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    size_t n;
    FILE *stream = path != NULL ? fopen(path, "rbe") : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        stream != NULL && context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    while (good && (n = fread(buffer, 1, sizeof buffer, stream)) > 0)
        good = EVP_DigestUpdate(context, buffer, n) == 1;
    good = good && ferror(stream) == 0 && EVP_DigestFinal_ex(context, digest, &digest_size) == 1;
    if (stream != NULL)
        (void)fclose(stream);
    EVP_MD_CTX_free(context);
    int used = backend != NULL
                   ? snprintf(text, size, "%.40s%s", backend->version, good ? " sha256:" : "")
                   : snprintf(text, size, "%s", good ? "sha256:" : "unknown");
    for (unsigned i = 0; good && i < 8 && used > 0 && (size_t)used + 3 <= size; i++)
        used += snprintf(text + used, size - (size_t)used, "%02x", digest[i]);
}

/* ---- warm-up ---- */

/* Least-squares slope of the last values a step, over their mean; and their range over it. */
static bool is_steady(const double *ns, size_t n)
{
    const size_t k = n < STEADY_PASSES ? n : STEADY_PASSES;
    const double *last = ns + n - k;
    double mean = 0, covariance = 0, variance = 0, low = last[0], high = last[0];
    for (size_t i = 0; i < k; i++) {
        mean += last[i] / (double)k;
        low = fmin(low, last[i]);
        high = fmax(high, last[i]);
    }
    for (size_t i = 0; i < k; i++) {
        double x = (double)i - (double)(k - 1) / 2;
        covariance += x * (last[i] - mean);
        variance += x * x;
    }
    return k >= 3 && fabs(covariance / variance) < STEADY_SLOPE * mean &&
           high - low < STEADY_RANGE * mean;
}

/* The first passes of a shape: pages are touched, libraries choose kernels, clocks rise. */
static mv_code warm_up(const mv_bench *bench, mv_bench_engine *engine, mv_bench_run *run,
                       bool *steady, mv_error *error)
{
    double ns[MAX_WARMUP];
    const int64_t start_ns = mv_clock_wall_ns();
    mv_code code = MV_OK;
    *steady = false;
    for (run->n_warmup = 0; run->n_warmup < MAX_WARMUP; run->n_warmup++) {
        mv_bench_pass pass;
        const double elapsed_s = (double)(mv_clock_wall_ns() - start_ns) * 1e-9;
        *steady = run->n_warmup >= 3 && is_steady(ns, (size_t)run->n_warmup);
        if (run->n_warmup >= bench->min_warmup &&
            (*steady || elapsed_s > WARMUP_SHARE * bench->max_time_s))
            break;
        code = mv_bench_engine_prepare(engine, error);
        if (code == MV_OK)
            code = mv_bench_engine_pass(engine, &pass, error);
        if (code != MV_OK)
            break;
        ns[run->n_warmup] = (double)pass.lapse.wall_ns;
    }
    return code;
}

/* ---- samples ---- */

static mv_code reserve(double **values, size_t *capacity, size_t n, mv_error *error)
{
    if (n <= *capacity)
        return MV_OK;
    size_t wanted = n + n / 2 + 64;
    double *grown = realloc(*values, wanted * sizeof *grown);
    if (grown == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for %zu samples", wanted);
    *values = grown;
    *capacity = wanted;
    return MV_OK;
}

static mv_code keep_pass(mv_bench_tally *t, mv_bench_phase phase, const mv_bench_pass *pass,
                         mv_error *error)
{
    const bool is_prefill = phase == MV_BENCH_PREFILL;
    const size_t n_new = is_prefill ? 1 : pass->n_calls;
    mv_code code = reserve(&t->values, &t->capacity, t->n + n_new, error);
    if (code == MV_OK)
        code = reserve(&t->ttft_ns, &t->passes_capacity, t->n_passes + 1, error);
    if (code == MV_OK && is_prefill)
        code = reserve(&t->calls, &t->calls_capacity, (t->n_passes + 1) * pass->n_calls, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < pass->n_calls; i++) {
        if (is_prefill)
            t->calls[t->n_passes * pass->n_calls + i] = (double)pass->calls[i];
        else
            t->values[t->n++] = (double)pass->calls[i];
    }
    if (is_prefill)
        t->values[t->n++] = (double)pass->lapse.wall_ns;
    t->ttft_ns[t->n_passes] = (double)(pass->lapse.wall_ns + pass->choose_ns);
    t->same_hash = t->n_passes == 0 || (t->same_hash && t->hash == pass->hash);
    t->all_finite = pass->is_finite && (t->n_passes == 0 || t->all_finite);
    t->hash = pass->hash;
    t->sum.wall_ns += pass->lapse.wall_ns;
    t->sum.cpu_ns += pass->lapse.cpu_ns;
    t->sum.minor_faults += pass->lapse.minor_faults;
    t->sum.major_faults += pass->lapse.major_faults;
    t->sum.involuntary_switches += pass->lapse.involuntary_switches;
    t->n_passes++;
    return MV_OK;
}

/* Half the width of the interval over the median; infinite while there is none. */
static double relative_width(const mv_bench_tally *t)
{
    mv_estimate median;
    double n_effective;
    if (t->n < LEAST_SAMPLES || mv_effective_count(&n_effective, t->values, t->n, NULL) != MV_OK ||
        mv_median_estimate(&median, t->values, t->n, n_effective, 0.95, NULL) != MV_OK)
        return INFINITY;
    return (median.high - median.low) / 2 / median.value;
}

static mv_code one_pass(const mv_bench *bench, mv_bench_engine *engine, mv_bench_phase phase,
                        mv_bench_tally *t, mv_error *error)
{
    const mv_backend *backend = bench->subject.backend;
    mv_bench_pass pass;
    mv_code code = mv_bench_engine_prepare(engine, error);
    if (code != MV_OK)
        return code;
    mv_work work = {.struct_size = sizeof work};
    if (backend->work != NULL)
        backend->work(mv_bench_engine_get(engine), &work, 1);
    code = mv_bench_engine_pass(engine, &pass, error);
    if (code != MV_OK)
        return code;
    if (backend->work != NULL) {
        t->work = (mv_work){.struct_size = sizeof t->work};
        backend->work(mv_bench_engine_get(engine), &t->work, 1);
    }
    return keep_pass(t, phase, &pass, error);
}

static mv_code sample(const mv_bench *bench, mv_bench_engine *engine, mv_bench_phase phase,
                      mv_bench_tally *t, mv_error *error)
{
    const int64_t start_ns = mv_clock_wall_ns();
    mv_code code = MV_OK;
    size_t next_look = 0;
    while (code == MV_OK && t->n < MAX_SAMPLES) {
        const double elapsed_s = (double)(mv_clock_wall_ns() - start_ns) * 1e-9;
        if (t->n_passes > 0 && elapsed_s >= bench->max_time_s)
            break;
        /* Looking sorts all the samples: at most while they grow by a tenth. */
        if (elapsed_s >= bench->min_time_s && t->n >= next_look) {
            next_look = t->n + t->n / 10;
            if (relative_width(t) <= bench->precision)
                break;
        }
        code = one_pass(bench, engine, phase, t, error);
        if (code == MV_OK && bench->on_pass != NULL)
            bench->on_pass(bench->cookie, phase, t->n_passes, elapsed_s / bench->max_time_s);
    }
    return code;
}

/* ---- the whole ---- */

static mv_code check(mv_bench *bench, mv_bench_engine *engine, const mv_bench_truth *truth,
                     mv_bench_run *run, mv_error *error)
{
    if (truth == NULL) {
        (void)snprintf(run->check, sizeof run->check, "not asked for");
        return MV_OK;
    }
    (void)bench;
    return mv_bench_engine_check(engine, truth, &run->checked, run->check, sizeof run->check,
                                 error);
}

/* A row of which every pass gave something else, or something that is no number, was not checked,
 * whatever a pass before it gave. */
static void check_passes(const mv_bench *bench, mv_bench_run *run, const mv_bench_tally *t)
{
    const uint32_t claims = mv_backend_claims(bench->subject.backend);
    if (t->same_hash)
        (void)snprintf(run->logits, sizeof run->logits, "%016llx", (unsigned long long)t->hash);
    if (!t->all_finite) {
        run->checked = false;
        (void)snprintf(run->check, sizeof run->check,
                       "a timed pass gave logits that are not finite");
    } else if (!t->same_hash && (claims & MV_CLAIM_REPEATABLE) != 0) {
        run->checked = false;
        (void)snprintf(run->check, sizeof run->check,
                       "the backend claims to be repeatable, but timed passes gave different "
                       "logits");
    }
}

static void keep_blas_core(void *cookie, const char *key, const char *value)
{
    mv_doubts *doubts = cookie;
    if (strcmp(key, "blas_core") == 0)
        (void)snprintf(doubts->blas_core, sizeof doubts->blas_core, "%s", value);
}

static mv_code time_it(mv_bench *bench, mv_bench_engine *engine, mv_bench_run *run,
                       mv_bench_tally *t, mv_error *error)
{
    mv_doubts doubts;
    bool steady = false;
    mv_code code = warm_up(bench, engine, run, &steady, error);
    mv_doubts_begin(&doubts);
    if (code == MV_OK)
        code = sample(bench, engine, run->phase, t, error);
    if (code == MV_OK)
        code = mv_bench_row_set_times(run, t, error);
    if (code == MV_OK)
        code = mv_bench_row_set_samples(
            run, t,
            run->phase == MV_BENCH_PREFILL && run->shape.chunk > 0
                ? (size_t)((run->shape.prompt + run->shape.chunk - 1) / run->shape.chunk)
                : 1,
            error);
    if (code != MV_OK)
        return code;
    mv_bench_row_set_limits(bench, run, t);
    check_passes(bench, run, t);
    doubts.steady = steady;
    doubts.lapse = t->sum;
    doubts.precision = bench->precision;
    doubts.model = bench->subject.model;
    doubts.ceilings = bench->ceilings;
    if (bench->subject.backend->describe != NULL)
        bench->subject.backend->describe(mv_bench_engine_get(engine), keep_blas_core, &doubts);
    mv_engine_facts(run->engine, bench->subject.backend, mv_bench_engine_get(engine));
    mv_doubts_end(&doubts, run);
    return MV_OK;
}

mv_code mv_bench_measure(mv_bench *bench, mv_bench_phase phase, const mv_bench_shape *shape,
                         mv_bench_run *run, mv_error *error)
{
    const mv_bench_truth *truth = NULL;
    mv_bench_engine *engine = NULL;
    mv_bench_tally t = {.same_hash = true, .all_finite = true};
    mv_code code = MV_OK;
    mv_bench_run_clear(run);
    (void)snprintf(run->backend, sizeof run->backend, "%s", bench->backend_name);
    (void)snprintf(run->build_id, sizeof run->build_id, "%s", bench->build_id);
    run->compute = bench->subject.compute;
    run->phase = phase;
    run->shape = *shape;
    run->seed = bench->subject.seed;
    if (!bench->no_check)
        code = mv_bench_get_truth(bench, phase, shape, &truth, error);
    if (code == MV_OK)
        code = mv_bench_engine_open(&engine, &bench->subject, phase, shape,
                                    truth != NULL ? truth->n : 0, error);
    if (code == MV_OK)
        code = check(bench, engine, truth, run, error);
    if (code == MV_OK && (run->checked || bench->no_check))
        code = time_it(bench, engine, run, &t, error);
    if (code == MV_OK)
        mv_bench_row_set_memory(bench, engine, run);
    if (code == MV_OK && bench->profile && run->n_samples > 0)
        code = mv_bench_profile_run(bench, engine, run, error);
    mv_bench_engine_close(&engine);
    free(t.values);
    free(t.calls);
    free(t.ttft_ns);
    if (code != MV_OK) {
        free(run->samples_ns);
        free(run->chunk_ns);
        mv_bench_run_clear(run);
    }
    return code;
}
