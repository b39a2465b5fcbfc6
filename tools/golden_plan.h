/* golden_plan.h - what `mistral-golden record` does between its options and the file. */
#ifndef MV_TOOLS_GOLDEN_PLAN_H
#define MV_TOOLS_GOLDEN_PLAN_H

#include "harness/range.h"
#include "tools/cli.h"

typedef struct golden_record_options {
    char *windows, *positions, *text; /* NULL: not given */
    int length, chunk, stamp;
} golden_record_options;

MV_MUST_CHECK mv_code golden_record(const mv_cli *cli, const golden_record_options *options,
                                    mv_error *error);

/* --positions; text NULL is none. */
MV_MUST_CHECK mv_code golden_record_positions(mv_range *positions, const char *text, int64_t window,
                                              int64_t length, mv_error *error);

#endif
