/* quote.h - text from a file made fit for a message: one line of printable ASCII, cut with "..."
 * after 90 characters; what is not printable as \xNN. */
#ifndef MV_HARNESS_QUOTE_H
#define MV_HARNESS_QUOTE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* By value, so that a message can take several: mv_fail(..., mv_quote(a, n).text, ...). */
typedef struct mv_quoted {
    char text[96];
} mv_quoted;

/* In quotes; quotes and backslashes inside are \xNN, too, so that the end is the end. */
mv_quoted mv_quote(const char *bytes, size_t size);

/* Without: for what stands between quotes already, or is a sentence of a library's. */
mv_quoted mv_plain(const char *text);

#ifdef __cplusplus
}
#endif

#endif
