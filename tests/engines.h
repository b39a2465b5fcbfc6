/* engines.h - backends for the tests of the suites: the reference with one planted behaviour. */
#ifndef MV_TESTS_ENGINES_H
#define MV_TESTS_ENGINES_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

typedef enum planted {
    HONEST,
    OPEN_FAILS,
    OPEN_UNSUPPORTED,
    OPEN_UNAVAILABLE,
    OPEN_WITH_16_SEQUENCES, /* and not more: unsupported */
    OPEN_ONCE_AT_A_TIME,    /* a second engine beside it: unsupported */
    RING_ONE_SLOT_SHORT,    /* W-1 slots: refuses truncations that one of W can serve */
    FORWARD_FAILS,          /* at the third call of an engine */
    FORWARD_UNSUPPORTED,    /* more than one token in a call */
    RESET_FAILS,
    WRITES_NAN,              /* everywhere */
    WRITES_ONE_NAN,          /* at position 10, column 3 */
    WRITES_INFINITY,         /* at position 10, column 3 */
    WRITES_NOTHING,          /* and says that all is well */
    WRITES_NOT_THE_LAST_ROW, /* of a call with several rows */
    WRITES_ZEROS,
    SWAPS_SEQUENCES, /* row 0 of the first two sequences of a call */
    IGNORES_RESET,
    LAST_ROW_IS_FIRST,  /* of a call, where only the last was asked for */
    REPEATS_FIRST_CALL, /* answers every call of one row with the first such row */
    WINDOW_PLUS_1,
    WINDOW_MINUS_1,
    NO_WINDOW,
    WINDOW_UNASKED,   /* of 3, where none was asked for */
    WIDE_WINDOW_LATE, /* the right window up to position 2W, W+1 from there on */
    BIT_BY_CALL_SIZE, /* one bit of one logit depends on the number of tokens in the call */
    BIT_BY_COMPANY,   /* ... on whether other sequences are in the call */
    BIT_BY_THREADS,   /* ... on the number of threads */
    BIT_BY_TIME,      /* ... on how many calls all engines have had: one in engines_period */
    IGNORES_WEIGHTS,  /* computes with engines_own_weights, under the window that it is lent */
    NOISY             /* logits grow by engines_noise of their size */
} planted;

/* The engine with this behaviour and these claims; one at a time. The reference must be loaded. */
const mv_backend *engines_get(const mv_backend *reference, planted behaviour, uint32_t claims);

extern double engines_noise;
extern uint64_t engines_period;                  /* 3 from engines_get() on */
extern const mv_model_view *engines_own_weights; /* borrowed */

/* Since the last engines_get(). */
extern int engines_n_opened, engines_n_open;
extern bool engines_saw_option;         /* --backend-option test=yes */
extern int32_t engines_first_tokens[4]; /* of the first call */

#endif
