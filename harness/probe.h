/* probe.h - what this processor can do at most: measured, because no file of a virtual machine
 * tells the truth about its caches or its frequency.
 *
 * Reads: each thread sums its part of a working set, several streams at once, for the sizes of a
 * row of caches up to memory. Arithmetic: independent fused multiply-adds in registers, in the
 * widest vectors that the processor has. The largest of several short trials counts: others on the
 * machine can only make a trial slower. About half a second for each number of threads.
 */
#ifndef MV_HARNESS_PROBE_H
#define MV_HARNESS_PROBE_H

#include "harness/bench_results.h"

/* MV_ERR_MEMORY: not even the smallest working set fits. Sizes above an eighth of the memory that
 * is free are left out. */
MV_MUST_CHECK mv_code mv_probe_ceilings(mv_ceilings *ceilings, int64_t n_threads, mv_error *error);

/* The largest working set again: is the memory as fast as it was? A tenth of a second. */
MV_MUST_CHECK mv_code mv_probe_memory(double *read_bytes_per_s, const mv_ceilings *ceilings,
                                      mv_error *error);

#endif
