/* cgroup.h - what a container or a batch system leaves to this process. */
#ifndef MV_HARNESS_CGROUP_H
#define MV_HARNESS_CGROUP_H

#include <stdint.h>

typedef struct mv_cgroup {
    double cpus;                     /* quota / period; 0 = no limit */
    uint64_t memory_bytes;           /* UINT64_MAX = no limit */
    uint64_t memory_available_bytes; /* what is left of it; page cache that can go counts as left */
} mv_cgroup;

/* The tightest limit of this process's group and all that it lies in, version 1 or 2. Never fails:
 * what cannot be read is no limit. root: "" for this machine; a test gives a folder that has proc/
 * and sys/ below it. */
void mv_cgroup_read(mv_cgroup *cgroup, const char *root);

#endif
