/* window_probe.h - how many keys does each layer of an engine really see?
 *
 * The engine is lent changed weights. In the layer that is asked, wq is zero, so that every visible
 * key counts the same, however peaked the attention of the real weights is; in all other layers wo
 * is zero, so that no other layer carries anything from one position to another. Then one token is
 * changed, and the rows of logits that answer are exactly the queries that see it: from its own
 * position to the last query whose window reaches back that far.
 * No tap is needed: it works on every engine that takes its weights from the lent view. One that
 * does not gives the logits of the unchanged weights, and is told from one with a wrong window by
 * that. And one whose answers change by themselves would seem to see everything: the unchanged
 * calls are made twice, and so are those whose answer would be a finding. An engine that claims to
 * repeat itself and does not is told so; another must answer twice, by more than it differs by
 * anyway.
 */
#ifndef MV_SUITES_WINDOW_PROBE_H
#define MV_SUITES_WINDOW_PROBE_H

#include "suites/run.h"

typedef struct mv_window_finding {
    int64_t window;      /* keys seen, itself included; 0 = all that the probe could offer */
    int64_t leak;        /* a query that saw a later token, or -1 */
    int64_t gap;         /* a query inside the window that did not answer, or -1 */
    bool ignored;        /* the engine computed with other weights: nothing was found */
    int64_t noisy;       /* a row that the same calls gave with other bits, in an engine that
                            claims to repeat itself: nothing was found; or -1 */
    int64_t noisy_token; /* of it, the first that differs */
    float noisy_logits[2];
    uint64_t n_positions; /* rows watched */
} mv_window_finding;

/* Asks one layer, with the prompt brought in chunks of `chunk` (0 = whole). n tokens: more than
 * W + 1, or nothing beyond W can be seen. */
MV_MUST_CHECK mv_code mv_window_probe(mv_run *run, int64_t window, uint32_t layer, int64_t n,
                                      int64_t chunk, mv_window_finding *finding, mv_error *error);

#endif
