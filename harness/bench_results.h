/* bench_results.h - what was timed, against which limit, with what doubts: plain structs that know
 * nothing of engines or formats. Field for field the "mistral-bench/1" JSON of the contract.
 *
 * Text is in fixed arrays, cut if too long. A double that is not finite, and an integer of -1, mean
 * "not known": never 0. Times are integers in ns.
 */
#ifndef MV_HARNESS_BENCH_RESULTS_H
#define MV_HARNESS_BENCH_RESULTS_H

#include <stdbool.h>

#include "harness/engine_facts.h"
#include "harness/machine.h"
#include "harness/stats.h"

typedef enum mv_bench_phase { MV_BENCH_PREFILL, MV_BENCH_DECODE } mv_bench_phase;
const char *mv_bench_phase_name(mv_bench_phase phase); /* "prefill", "decode" */

/* What one row measures. prefill: `prompt` tokens, in calls of `chunk`; decode: `generate` calls of
 * one token. Both after `depth` tokens, for each of `batch` sequences. */
typedef struct mv_bench_shape {
    int64_t prompt, generate; /* the other one is 0 */
    int64_t depth;
    int64_t chunk;   /* 0 = the whole prompt in one call */
    int64_t window;  /* 0 = unlimited */
    int64_t batch;   /* >= 1 */
    int64_t threads; /* >= 1 */
} mv_bench_shape;

/* What the hardware could do at most, measured here with this many threads. */
enum { MV_MAX_READ_POINTS = 8 };

typedef struct mv_read_point {
    int64_t working_set_bytes;
    double read_bytes_per_s;
} mv_read_point;

typedef struct mv_ceilings {
    int64_t threads; /* 0: nothing was measured */
    mv_read_point reads[MV_MAX_READ_POINTS];
    size_t n_reads;
    double flops_per_s;      /* multiply-add = 2; float32 */
    double bf16_flops_per_s; /* NAN where the processor has no such instruction */
    char how[96];            /* "512-bit FMA, streaming reads" */
} mv_ceilings;

typedef enum mv_bench_limit {
    MV_LIMIT_UNKNOWN,
    MV_LIMIT_BANDWIDTH,
    MV_LIMIT_COMPUTE
} mv_bench_limit;
const char *mv_bench_limit_name(mv_bench_limit limit); /* "bandwidth", "compute", "" */

/* A doubt about a number, for a program (code) and for a person (text). */
typedef struct mv_bench_warning {
    char code[32]; /* "foreign_load" */
    char text[160];
} mv_bench_warning;

enum { MV_BENCH_MAX_WARNINGS = 16 };

/* Where the time goes, by the inner tensors that an engine shows to a tap. Of a pass (prefill) or a
 * token step (decode). */
enum { MV_BENCH_MAX_OPS = 16 };

typedef struct mv_bench_op {
    char op[32]; /* the tap's name; "q+k+v" where several are made in one step */
    int64_t ns_median;
    double share; /* of total_ns */
} mv_bench_op;

typedef struct mv_bench_profile {
    mv_bench_op ops[MV_BENCH_MAX_OPS]; /* in the order of the forward pass */
    size_t n_ops;                      /* 0: not asked for, or the engine has no taps */
    char how[160];
    int64_t n_passes;
    int64_t total_ns, untapped_ns; /* all ops and untapped_ns; outside all tensors */
    /* total_ns over the timed median: what a tap changes in the engine's way of working, and costs.
     * The total is not the timed run. */
    double ratio_to_timed;
} mv_bench_profile;

typedef struct mv_bench_run {
    char backend[96];             /* as the user named it */
    char build_id[96];            /* tells two builds of one backend apart */
    char engine[MV_ENGINE_FACTS]; /* as it described itself; to the environment */
    mv_compute compute;
    mv_bench_phase phase;
    mv_bench_shape shape;
    uint64_t seed;

    /* In the order of measuring. prefill: one a pass over the prompt; decode: one a token step (of
     * the whole batch), pass after pass. */
    int64_t *samples_ns; /* [n_samples] */
    size_t n_samples;
    int64_t *chunk_ns; /* [n_chunks] prefill: median of each call of a pass, in order */
    size_t n_chunks;
    int64_t n_warmup;         /* passes before the first sample */
    mv_estimate tokens_per_s; /* median and 95 % interval; over the whole batch */
    double deviation;         /* 1.4826 MAD / median of the samples */
    int64_t ttft_ns;          /* prefill: median until the first token is chosen */
    int64_t token_ns_p50, token_ns_p95, token_ns_p99; /* decode: time between tokens */
    double cpu_per_wall;                              /* cores kept busy while timing */

    double bytes_per_token, flops_per_token; /* that the model needs; see roofline.h */
    double executed_flops_per_token;         /* that the engine says it did */
    double fraction_of_limit;                /* 0 ... 1 */
    mv_bench_limit limit;
    double read_bytes_per_s, flops_per_s; /* the two ceilings that were used */

    int64_t weights_bytes, kv_cache_bytes, scratch_bytes, peak_rss_bytes;
    bool has_work;
    mv_work work; /* of one pass */
    mv_bench_profile profile;

    bool checked;    /* its logits were compared with the reference, and held */
    char check[200]; /* what was compared, or why it did not hold */
    char logits[20]; /* hash of the last logits of a pass; "" if they differ */
    mv_bench_warning warnings[MV_BENCH_MAX_WARNINGS];
    size_t n_warnings;
} mv_bench_run;

void mv_bench_run_clear(mv_bench_run *run); /* everything "not known"; frees nothing */
MV_PRINTF(3, 4)
void mv_bench_run_warn(mv_bench_run *run, const char *code, const char *format, ...);
bool mv_bench_run_has_warning(const mv_bench_run *run, const char *code);

typedef enum mv_bench_verdict {
    MV_BENCH_FASTER,
    MV_BENCH_SAME,
    MV_BENCH_SLOWER,
    MV_BENCH_INCONCLUSIVE
} mv_bench_verdict;
const char *mv_bench_verdict_name(mv_bench_verdict verdict);

/* One metric of two builds. */
typedef struct mv_bench_comparison {
    char key[192]; /* what was compared: "prefill prompt=64 ... time" */
    char base[96], candidate[96];
    char method[32];   /* "interleaved", "baseline", "work" */
    char clock[16];    /* "cpu", "wall", "" */
    mv_estimate ratio; /* candidate / base; > 1: takes longer, or does more work */
    double p_slower;   /* after Holm; NAN where there is no test */
    int64_t n_groups, n_confirm;
    double gate_percent; /* NAN: none */
    mv_bench_verdict verdict;
    char reason[256];
} mv_bench_comparison;

/* A headline claim, predicted and measured here. */
typedef struct mv_bench_claim {
    char id[32], statement[160];
    char predicted[96], measured[96];
    char how[200]; /* shapes and method */
    bool was_measured, holds;
} mv_bench_claim;

typedef struct mv_bench_results {
    char tool_version[32], tool_commit[48];
    mv_environment environment;
    char model_spec[256];
    mv_params params;
    char weights_sha256[65]; /* "" = not computed */
    int64_t model_bytes;
    mv_ceilings ceilings;

    mv_bench_run *runs; /* [n_runs] */
    size_t n_runs, runs_capacity;
    mv_bench_comparison *comparisons;
    size_t n_comparisons, comparisons_capacity;
    mv_bench_claim *claims;
    size_t n_claims, claims_capacity;

    int64_t elapsed_ns;
} mv_bench_results;

void mv_bench_results_init(mv_bench_results *results);
void mv_bench_results_free(mv_bench_results *results);

/* Takes over the arrays in *run, also on failure. */
MV_MUST_CHECK mv_code mv_bench_results_add(mv_bench_results *results, mv_bench_run *run,
                                           mv_error *error);
MV_MUST_CHECK mv_code mv_bench_results_add_comparison(mv_bench_results *results,
                                                      const mv_bench_comparison *one,
                                                      mv_error *error);
MV_MUST_CHECK mv_code mv_bench_results_add_claim(mv_bench_results *results,
                                                 const mv_bench_claim *one, mv_error *error);

#endif
