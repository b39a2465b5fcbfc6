/* parallel.h - rows shared out among the cores. */
#ifndef MV_HARNESS_PARALLEL_H
#define MV_HARNESS_PARALLEL_H

#include <stdint.h>

/* Calls fn for parts from ... to-1 that make up 0 ... n_rows-1, one part a core (16 at most), at
 * the same time, and returns when all are done. Small work, below a million values in all, is one
 * part on the calling thread; so is what finds no thread. fn shares cookie with itself. */
void mv_parallel(uint64_t n_rows, uint64_t n_values_a_row,
                 void (*fn)(void *cookie, uint64_t from, uint64_t to), void *cookie);

#endif
