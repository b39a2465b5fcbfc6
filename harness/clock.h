/* clock.h - what is read before and after a region that is timed.
 *
 *   mv_tick start, end;
 *   mv_tick_read(&start);
 *   ... one region ...
 *   mv_tick_read(&end);
 *   mv_lapse lapse = mv_tick_between(&start, &end);
 *
 * Reading costs about 1 microsecond (three system calls): make a region at least a millisecond.
 */
#ifndef MV_HARNESS_CLOCK_H
#define MV_HARNESS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mv_tick {
    int64_t wall_ns; /* CLOCK_MONOTONIC_RAW: no time server pulls at it */
    int64_t cpu_ns;  /* of all threads of this process; without what a hypervisor stole */
    int64_t minor_faults, major_faults, involuntary_switches;
} mv_tick;

typedef struct mv_lapse {
    int64_t wall_ns, cpu_ns, minor_faults, major_faults, involuntary_switches;
} mv_lapse;

void mv_tick_read(mv_tick *tick);
mv_lapse mv_tick_between(const mv_tick *start, const mv_tick *end);

int64_t mv_clock_wall_ns(void); /* about 30 ns a call */

/* Smallest step that the wall clock was seen to make. Takes some microseconds. */
int64_t mv_clock_resolution_ns(void);

/* Processor time of the whole machine, from /proc/stat, in steps of 10 ms. */
typedef struct mv_machine_load {
    int64_t busy_ns, stolen_ns;
} mv_machine_load;

/* False where it cannot be known. */
bool mv_machine_load_read(mv_machine_load *load);

#endif
