/* html.h - one self-contained page out of one or more results.
 *
 * The page asks nobody for anything (its Content-Security-Policy forbids it), is complete without
 * scripts, can be read without style, and holds its own data: mv_html_extract() gives them back.
 * Fixed input gives fixed bytes; no clock is read.
 */
#ifndef MV_REPORTS_HTML_H
#define MV_REPORTS_HTML_H

#include "harness/history.h"
#include "reports/report.h"

/* One results file: a verification, times, or a history of ratios. All borrowed; one of the three
 * is not NULL. The old ones, to compare with, may be NULL. */
typedef struct mv_page_part {
    const char *name; /* of the file; "" if there is none */
    const mv_verify_results *verify, *verify_old;
    const mv_bench_results *bench, *bench_old;
    const mv_history *history;
} mv_page_part;

void mv_html_write_page(mv_bytes *bytes, const mv_page_part *parts, size_t n_parts);

/* Appends the JSON documents of a page, each as it went in, one after the other (as jq reads them).
 * MV_ERR_FORMAT: path names a file that is no page of ours. */
MV_MUST_CHECK mv_code mv_html_extract(mv_bytes *out, const char *page, size_t size,
                                      const char *path, mv_error *error);

#endif
