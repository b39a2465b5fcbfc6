/* bench_options.h - the options that only mistral-bench has. */
#ifndef MV_TOOLS_BENCH_OPTIONS_H
#define MV_TOOLS_BENCH_OPTIONS_H

#include "tools/bench_plan.h"
#include "tools/bench_vs.h"
#include "tools/cli.h"

/* popt's variables; strings live as long as the program. */
typedef struct mv_bench_options {
    mv_bench_lists lists;
    const char *compute, *order;
    double min_time_s, max_time_s, precision_percent;
    int warmup, no_check, profile, strict, claims;
    mv_bench_vs vs;
    const char *baseline, *record; /* files; NULL: not asked for */
} mv_bench_options;

extern mv_bench_options mv_bench_given;

extern const struct poptOption mv_bench_rows[];
extern const char mv_bench_help[];

/* After reading: values, and options that exclude or need each other. */
MV_MUST_CHECK mv_code mv_bench_options_check(const mv_cli *cli, mv_error *error);

#endif
