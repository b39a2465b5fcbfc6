/* duel_child.h - one arm of a duel in a process of its own. Private to duel.c. */
#ifndef MV_HARNESS_DUEL_CHILD_H
#define MV_HARNESS_DUEL_CHILD_H

#include <sched.h>
#include <sys/types.h>

#include "harness/duel.h"

enum { MV_DUEL_REPEATS = 3 };

/* From child to parent: once when ready (or not), then one for each request. */
typedef struct mv_duel_reply {
    mv_error error;         /* code MV_OK, or why not */
    double cpu_ns, wall_ns; /* of `n_passes` passes; medians over the repeats */
    double clean_wall_ns;   /* over the repeats that nothing interrupted; 0: none was clean */
    char engine[64];        /* the backend's name; this and the rest only in the first reply */
    bool has_work;          /* of one pass of each item; only in the first reply */
    mv_work work[MV_GATE_MAX_METRICS];
} mv_duel_reply;

/* From parent to child. item < 0: end. */
typedef struct mv_duel_request {
    int32_t item, n_passes;
} mv_duel_request;

typedef struct mv_duel_child {
    pid_t pid; /* 0: none */
    int fd;
} mv_duel_child;

/* path: of the plugin. jitter: moves the child's stack, heap and mappings about, so that a lucky
 * address does not stay for all groups. */
MV_MUST_CHECK mv_code mv_duel_child_start(mv_duel_child *child, const mv_duel *duel,
                                          const char *path, const cpu_set_t *cores, uint64_t jitter,
                                          mv_error *error);
void mv_duel_child_stop(mv_duel_child *child); /* kills it if need be; NULL-safe for pid 0 */

MV_MUST_CHECK mv_code mv_duel_child_ask(const mv_duel_child *child, int32_t item, int32_t n_passes,
                                        mv_error *error);

/* MV_ERR_BACKEND: it crashed, or said nothing for two minutes; else the child's own error. */
MV_MUST_CHECK mv_code mv_duel_child_hear(const mv_duel_child *child, mv_duel_reply *reply,
                                         const char *backend, mv_error *error);

#endif
