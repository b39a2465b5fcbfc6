/* machine.h - where a result was made: what somebody needs to believe it or to repeat it.
 *
 * An ordered list of facts. What cannot be known is absent, never empty or 0.
 */
#ifndef MV_HARNESS_MACHINE_H
#define MV_HARNESS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mv_fact {
    char key[48]; /* "cpu_model", "cores", "memory_bytes", "compiler", "kernel", ... */
    char value[208];
} mv_fact;

typedef struct mv_environment {
    mv_fact facts[64];
    size_t n_facts;
} mv_environment;

/* Reads /proc, /sys, uname, the build's own compiler and flags, sanitizers, the CPU's vector
 * extensions, governor, cgroup limits, hypervisor. Never fails: it leaves out. */
void mv_environment_collect(mv_environment *environment);

/* Adds or replaces. Too long a value is cut; an empty one, and the 65th fact, are dropped. */
void mv_environment_set(mv_environment *environment, const char *key, const char *value);
const char *mv_environment_get(const mv_environment *environment, const char *key); /* or NULL */

int mv_machine_n_cores(void);                     /* usable by this process, >= 1 */
uint64_t mv_machine_memory_available_bytes(void); /* MemAvailable, or the cgroup's if less */
uint64_t mv_machine_peak_rss_bytes(void);         /* of this process; 0 if unknown */

#endif
