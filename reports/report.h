/* report.h - results to bytes. One format a file; the list is reports.c. */
#ifndef MV_REPORTS_REPORT_H
#define MV_REPORTS_REPORT_H

#include <stdbool.h>

#include "harness/bench_results.h"
#include "harness/results.h"

/* Bytes that grow. Zero-initialise; free with mv_bytes_free(). A failed allocation is remembered
 * in failed, so that a writer need not check each line. */
typedef struct mv_bytes {
    char *data; /* [size], and a NUL after it */
    size_t size, capacity;
    bool failed;
} mv_bytes;

void mv_bytes_append(mv_bytes *bytes, const char *text, size_t size);
MV_PRINTF(2, 3) void mv_bytes_print(mv_bytes *bytes, const char *format, ...);
void mv_bytes_free(mv_bytes *bytes);

typedef struct mv_report_style {
    bool color;   /* ANSI colours: text only */
    bool verbose; /* every case, not only the ones that need a person */
    bool quiet;   /* only those, and the verdict: text only */
} mv_report_style;

typedef struct mv_report {
    const char *name;      /* --format */
    const char *extension; /* of --output, with the dot */
    const char *summary;
    void (*write_verify)(mv_bytes *bytes, const mv_verify_results *results,
                         const mv_report_style *style);
    /* NULL where the format has no place for times. */
    void (*write_bench)(mv_bytes *bytes, const mv_bench_results *results,
                        const mv_report_style *style);
} mv_report;

extern const mv_report mv_reports[];
extern const size_t mv_n_reports;

const mv_report *mv_report_find(const char *name);           /* by name, or NULL */
const mv_report *mv_report_find_extension(const char *path); /* by the path's end, or NULL */

/* What changed since an older run, in Markdown: to be added to what write_verify() of "md" wrote.
 */
void mv_markdown_write_changes(mv_bytes *bytes, const mv_verify_results *results,
                               const mv_verify_results *old);

/* path "-" is stdout. A file is written under a temporary name beside it, flushed to disk and
 * renamed: there is the old file or the whole new one, never a part. MV_ERR_IO. */
MV_MUST_CHECK mv_code mv_report_save(const mv_bytes *bytes, const char *path, mv_error *error);

#endif
