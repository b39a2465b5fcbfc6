/* duel.h - two builds of a backend against each other, in turn, on the same cores.
 *
 * A group is a pair of fresh child processes, pinned to the same randomly drawn cores. Each loads
 * its own plugin, has its logits checked against the truth that it inherited, warms up, and waits.
 * Rounds then run the two one after the other, in random order; the group's value is the median of
 * the rounds' log ratios. gate.h decides when there are enough groups, and what they say.
 *
 * The caller must not have loaded either plugin: a library's threads do not survive fork().
 */
#ifndef MV_HARNESS_DUEL_H
#define MV_HARNESS_DUEL_H

#include "harness/bench_engine.h"
#include "harness/gate.h"

typedef enum mv_duel_clock { MV_DUEL_CPU, MV_DUEL_WALL } mv_duel_clock;

/* What is compared: one metric of the gate. */
typedef struct mv_duel_item {
    mv_bench_phase phase;
    mv_bench_shape shape;
    const mv_bench_truth *truth; /* NULL: not checked */
} mv_duel_item;

typedef struct mv_duel {
    mv_bench_subject subject;     /* its backend is not used */
    const char *base, *candidate; /* name, or path with '/' */
    const mv_duel_item *items;    /* [n_items], at most MV_GATE_MAX_METRICS */
    size_t n_items;
    mv_duel_clock clock; /* CPU: of all the threads of the child; right for one thread */
    mv_gate_rule rule;
    double max_time_s; /* beyond it, what is open stays inconclusive */
    uint64_t seed;     /* of the order and of the cores */
    void (*on_group)(void *cookie, size_t n_done, bool is_confirming);
    void *cookie;
} mv_duel;

/* comparisons [2 * n_items] is filled: a row of time for each item, then a row of exact work for
 * each item if both arms are builds of one engine (the same name) that counts it; *n_comparisons
 * says how many. MV_ERR_BACKEND: a child crashed, or did not answer. MV_ERR_FORMAT: logits did not
 * hold, so nothing was timed. Other codes are those of the plugins. */
MV_MUST_CHECK mv_code mv_duel_run(const mv_duel *duel, mv_bench_comparison *comparisons,
                                  size_t *n_comparisons, mv_error *error);

#endif
