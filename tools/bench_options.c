#include "tools/bench_options.h"

#include <math.h>
#include <string.h>

mv_bench_options mv_bench_given = {.compute = "f32",
                                   .order = "random",
                                   .min_time_s = 0.5,
                                   .max_time_s = 10,
                                   .precision_percent = 1,
                                   .warmup = 1,
                                   .vs = {.gate_percent = NAN, .clock = "auto"}};

const struct poptOption mv_bench_rows[] = {
    {"prompt", 'p', POPT_ARG_STRING, &mv_bench_given.lists.prompt, 0,
     "prompt lengths to prefill; 0 is none", "LIST"},
    {"generate", 'n', POPT_ARG_STRING, &mv_bench_given.lists.generate, 0,
     "tokens to decode one by one; 0 is none", "LIST"},
    {"depth", 'd', POPT_ARG_STRING, &mv_bench_given.lists.depth, 0,
     "tokens in the cache before (default: 0)", "LIST"},
    {"chunk", 'c', POPT_ARG_STRING, &mv_bench_given.lists.chunk, 0,
     "tokens of a call; 0 is the whole prompt", "LIST"},
    {"window", 'w', POPT_ARG_STRING, &mv_bench_given.lists.window, 0,
     "windows; 0 is none (default: the model's)", "LIST"},
    {"batch", 0, POPT_ARG_STRING, &mv_bench_given.lists.batch, 0, "sequences at once (default: 1)",
     "LIST"},
    {"threads", 't', POPT_ARG_STRING, &mv_bench_given.lists.threads, 0,
     "threads of the engine (default: all cores)", "LIST"},
    {"compute", 0, POPT_ARG_STRING, &mv_bench_given.compute, 0, "arithmetic (default: f32)",
     "f64|f32|bf16"},
    {"min-time", 0, POPT_ARG_DOUBLE, &mv_bench_given.min_time_s, 0,
     "sample for at least this (default: 0.5)", "S"},
    {"max-time", 0, POPT_ARG_DOUBLE, &mv_bench_given.max_time_s, 0,
     "and at most this, a row; with --vs, 20 times this a round (default: 10)", "S"},
    {"precision", 0, POPT_ARG_DOUBLE, &mv_bench_given.precision_percent, 0,
     "stop when the median is known to +- this (default: 1)", "PERCENT"},
    {"warmup", 0, POPT_ARG_INT, &mv_bench_given.warmup, 0,
     "passes before the first sample, at least", "N"},
    {"order", 0, POPT_ARG_STRING, &mv_bench_given.order, 0,
     "order in which shapes are measured (default: random)", "random|given"},
    {"no-check", 0, POPT_ARG_NONE, &mv_bench_given.no_check, 0,
     "time what was not checked; exit code 1", NULL},
    {"profile", 0, POPT_ARG_NONE, &mv_bench_given.profile, 0,
     "also the time of each op, in a few more passes with taps", NULL},
    {"vs", 0, POPT_ARG_STRING, &mv_bench_given.vs.candidate, 0,
     "compare --backend with this build, interleaved", "NAME|PATH.so"},
    {"baseline", 0, POPT_ARG_STRING, &mv_bench_given.baseline, 0,
     "compare with the JSON of another day; weaker than --vs", "FILE"},
    {"gate", 0, POPT_ARG_DOUBLE, &mv_bench_given.vs.gate_percent, 0,
     "how much slower is caught (default: 4; with --baseline 10)", "PERCENT"},
    {"clock", 0, POPT_ARG_STRING, &mv_bench_given.vs.clock, 0,
     "auto is processor time for one thread, else the wall", "auto|cpu|wall"},
    {"strict", 0, POPT_ARG_NONE, &mv_bench_given.strict, 0,
     "inconclusive, and work that the formulas do not explain, fail", NULL},
    {"record", 0, POPT_ARG_STRING, &mv_bench_given.record, 0,
     "append the ratios of --vs to this history; --backend is its anchor", "FILE.jsonl"},
    {"claims", 0, POPT_ARG_NONE, &mv_bench_given.claims, 0,
     "measure the seven headline claims of sliding windows, and nothing else", NULL},
    POPT_TABLEEND};

const char mv_bench_help[] =
    "[MODEL]\n\n"
    "Times prefill and decode after checking the logits, against what the hardware allows.\n"
    "  mistral-bench --prompt 512 --generate 32 --chunk 64..512*2 --backend reference,blas\n"
    "  mistral-bench synthetic:probe --window 0,W --depth 0,4W --format json --output r.json\n"
    "  mistral-bench --backend ./base.so --vs ./head.so --gate 5\n"
    "  mistral-bench --claims";

static mv_code exclude(bool both, const char *one, const char *other, mv_error *error)
{
    return both ? mv_fail(error, MV_ERR_ARGUMENT, "%s and %s exclude each other: give one of them",
                          one, other)
                : MV_OK;
}

static mv_code need(bool alone, const char *one, const char *other, mv_error *error)
{
    return alone ? mv_fail(error, MV_ERR_ARGUMENT, "%s needs %s", one, other) : MV_OK;
}

mv_code mv_bench_options_check(const mv_cli *cli, mv_error *error)
{
    const mv_bench_options *o = &mv_bench_given;
    const bool has_vs = o->vs.candidate != NULL, has_baseline = o->baseline != NULL;
    if (!(o->min_time_s >= 0) || !(o->max_time_s > 0) || !(o->max_time_s >= o->min_time_s))
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--min-time %g, --max-time %g: expected 0 <= min <= max", o->min_time_s,
                       o->max_time_s);
    if (!(o->precision_percent > 0) || o->warmup < 0 || o->warmup > 20)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--precision %g, --warmup %d: expected above 0, and 0 to 20",
                       o->precision_percent, o->warmup);
    if (strcmp(o->order, "random") != 0 && strcmp(o->order, "given") != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--order: expected random or given, found '%s'",
                       o->order);
    mv_code code = mv_bench_vs_check(&o->vs, error);
    if (code == MV_OK)
        code = exclude(has_vs && has_baseline, "--vs", "--baseline", error);
    if (code == MV_OK)
        code = exclude(o->claims != 0 && has_vs, "--claims", "--vs", error);
    if (code == MV_OK)
        code = exclude(o->claims != 0 && has_baseline, "--claims", "--baseline", error);
    if (code == MV_OK)
        code = exclude(o->claims != 0 && cli->model != NULL, "--claims", "MODEL", error);
    if (code == MV_OK)
        code = exclude(o->profile != 0 && has_vs, "--profile", "--vs", error);
    if (code == MV_OK)
        code = exclude(o->profile != 0 && o->claims != 0, "--profile", "--claims", error);
    if (code == MV_OK)
        code = need(o->record != NULL && !has_vs, "--record", "--vs", error);
    if (code == MV_OK)
        code = need(!isnan(o->vs.gate_percent) && !has_vs && !has_baseline, "--gate",
                    "--vs or --baseline", error);
    return code;
}
