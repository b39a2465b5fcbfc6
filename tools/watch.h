/* watch.h - a long job seen from a terminal: how far, how fast, how long still; and Ctrl-C. */
#ifndef MV_TOOLS_WATCH_H
#define MV_TOOLS_WATCH_H

#include "harness/out_tensor.h"

typedef struct mv_watch {
    mv_write_watch watch; /* pass this on */
    const char *what;     /* "writing" */
    uint64_t total_bytes, done_bytes;
    int64_t start_ns, shown_ns;
} mv_watch;

/* Shows "writing 35 % · 1.2 GB/s · 8 s left" on stderr, if that is a terminal. Ctrl-C stops the
 * job at its next piece, so that it can clean up; a second one ends the program. */
void mv_watch_start(mv_watch *watch, const char *what, uint64_t total_bytes);

/* Clears the line; Ctrl-C is what it was. */
void mv_watch_stop(mv_watch *watch);

#endif
