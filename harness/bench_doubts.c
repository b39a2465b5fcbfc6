#include "harness/bench_doubts.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "harness/probe.h"
#include "harness/work.h"

void mv_doubts_begin(mv_doubts *doubts)
{
    memset(doubts, 0, sizeof *doubts);
    doubts->has_load = mv_machine_load_read(&doubts->load);
    mv_tick_read(&doubts->start);
}

/* What others used meanwhile, in cores. /proc/stat counts in steps of 10 ms: below 0.1 s nothing
 * can be said. */
static double foreign_cores(const mv_machine_load *before, const mv_tick *start, double *stolen)
{
    mv_machine_load now;
    mv_tick end;
    if (!mv_machine_load_read(&now))
        return NAN;
    mv_tick_read(&end);
    const mv_lapse lapse = mv_tick_between(start, &end);
    const double wall_ns = (double)lapse.wall_ns;
    if (lapse.wall_ns < 100000000)
        return NAN;
    *stolen = (double)(now.stolen_ns - before->stolen_ns) / wall_ns;
    return ((double)(now.busy_ns - before->busy_ns) - (double)lapse.cpu_ns) / wall_ns;
}

static void doubt_others(const mv_doubts *doubts, mv_bench_run *run)
{
    double stolen = 0;
    const double foreign =
        doubts->has_load ? foreign_cores(&doubts->load, &doubts->start, &stolen) : NAN;
    if (foreign > 0.1)
        mv_bench_run_warn(run, "foreign_load", "others used %.2f cores while this was timed",
                          foreign);
    if (stolen > 0.01)
        mv_bench_run_warn(run, "steal", "the hypervisor took %.2f cores away", stolen);
}

static void doubt_build(mv_bench_run *run)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    mv_bench_run_warn(run, "sanitizer_build", "built with a sanitizer: times mean nothing");
#endif
#if !defined(__OPTIMIZE__)
    mv_bench_run_warn(run, "debug_build", "built without optimisation: times mean little");
#endif
    (void)run;
}

static void doubt_samples(const mv_doubts *doubts, mv_bench_run *run)
{
    const mv_estimate *rate = &run->tokens_per_s;
    const double half_width = (rate->high - rate->low) / 2 / rate->value;
    const int64_t resolution_ns = mv_clock_resolution_ns();
    const double sample_ns = run->n_samples > 0 ? (double)run->samples_ns[0] : NAN;
    if (!doubts->steady)
        mv_bench_run_warn(run, "not_steady",
                          "times still changed when the warm-up of %lld passes "
                          "ended",
                          (long long)run->n_warmup);
    if (run->n_samples < 6)
        mv_bench_run_warn(run, "few_samples",
                          "%zu samples: too few for a 95 %% interval, which needs 6",
                          run->n_samples);
    else if (!(half_width <= 2 * doubts->precision))
        mv_bench_run_warn(run, "wide_interval",
                          "the 95 %% interval is +-%.1f %% wide; asked for +-%.1f %%",
                          100 * half_width, 100 * doubts->precision);
    if (sample_ns < 1000.0 * (double)resolution_ns)
        mv_bench_run_warn(run, "clock_coarse",
                          "a sample is %.0f ns, less than 1000 steps of %lld ns of the clock",
                          sample_ns, (long long)resolution_ns);
    if (doubts->lapse.major_faults > 0)
        mv_bench_run_warn(run, "page_faults", "%lld pages were read from disk while timing",
                          (long long)doubts->lapse.major_faults);
}

static void doubt_limit(const mv_doubts *doubts, mv_bench_run *run)
{
    const mv_ceilings *c = doubts->ceilings;
    double working_set = run->bytes_per_token;
    if (c == NULL || c->n_reads == 0)
        return;
    double memory = c->reads[c->n_reads - 1].read_bytes_per_s;
    if (run->phase == MV_BENCH_PREFILL) /* bytes are shared by a chunk; the weights are the set */
        working_set *= (double)(run->shape.batch *
                                (run->shape.chunk > 0 ? run->shape.chunk : run->shape.prompt));
    else
        working_set *= (double)run->shape.batch;
    if (working_set <= (double)c->reads[c->n_reads - 1].working_set_bytes &&
        run->read_bytes_per_s > 1.3 * memory)
        mv_bench_run_warn(run, "cache_resident",
                          "%.3g MB a call fit in the cache: not what a model of full size does",
                          working_set * 1e-6);
    if (run->fraction_of_limit > 1) {
        mv_bench_run_warn(run, "ceiling_too_low",
                          "%.2f of the limit: the ceilings were measured too low, or the engine "
                          "did not do the work",
                          run->fraction_of_limit);
        run->fraction_of_limit = NAN;
        run->limit = MV_LIMIT_UNKNOWN;
    }
}

int mv_blas_core_level(const char *core)
{
    static const struct {
        const char *core;
        int level;
    } cores[] = {
        {"Haswell", 1},  {"Zen", 1},        {"Excavator", 1},
        {"SkylakeX", 2}, {"Cooperlake", 3}, {"SapphireRapids", 3},
    };
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcasecmp(core, cores[i].core) == 0)
            return cores[i].level;
    return 0;
}

/* OpenBLAS takes an old core for a CPU that is newer than itself: half the speed on some. */
static void doubt_blas(const mv_doubts *doubts, mv_bench_run *run)
{
    int has = 0;
#if defined(__x86_64__)
    has = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") ? 2
          : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")        ? 1
                                                                                   : 0;
#endif
    if (doubts->blas_core[0] != '\0' && mv_blas_core_level(doubts->blas_core) < has)
        mv_bench_run_warn(run, "blas_core",
                          "the BLAS uses its core %s, but the CPU has %s; set OPENBLAS_CORETYPE",
                          doubts->blas_core, has == 2 ? "AVX-512" : "AVX2");
}

static void doubt_work(const mv_doubts *doubts, mv_bench_run *run)
{
    char text[160];
    if (run->has_work && doubts->model != NULL &&
        !mv_work_is_explained(text, sizeof text, &run->work, doubts->model, run->compute,
                              run->phase, &run->shape))
        mv_bench_run_warn(run, "unexplained_work", "%s", text);
}

void mv_doubt_memory_mode(mv_bench_run *run, const mv_ceilings *c, double now)
{
    const double then = c->n_reads > 0 ? c->reads[c->n_reads - 1].read_bytes_per_s : NAN;
    const bool is_faster = now > 1.2 * then;
    if (is_faster || (now < then / 1.2 && !mv_bench_run_has_warning(run, "foreign_load") &&
                      !mv_bench_run_has_warning(run, "steal")))
        mv_bench_run_warn(run, "memory_mode",
                          "the memory reads %.3g GB/s now and %.3g GB/s when the ceilings were "
                          "measured: it changed between a %s mode",
                          now * 1e-9, then * 1e-9,
                          is_faster ? "slow and a fast" : "fast and a slow");
}

void mv_doubts_read_memory(mv_bench_run *runs, size_t n_runs, const mv_ceilings *ceilings)
{
    mv_machine_load before;
    mv_tick start;
    double now, stolen = 0;
    if (n_runs == 0 || ceilings == NULL || ceilings->n_reads == 0 || !mv_machine_load_read(&before))
        return;
    mv_tick_read(&start);
    if (mv_probe_memory(&now, ceilings, NULL) != MV_OK ||
        !(foreign_cores(&before, &start, &stolen) <= 0.1) || stolen > 0.01)
        return;
    for (size_t i = 0; i < n_runs; i++)
        if (runs[i].shape.threads == ceilings->threads)
            mv_doubt_memory_mode(&runs[i], ceilings, now);
}

void mv_doubts_end(const mv_doubts *doubts, mv_bench_run *run)
{
    doubt_work(doubts, run);
    doubt_blas(doubts, run);
    doubt_build(run);
    doubt_others(doubts, run);
    doubt_samples(doubts, run);
    doubt_limit(doubts, run);
}
