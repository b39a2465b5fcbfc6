/* pool.h - threads that share out the items of a job.
 *
 * Workers take items one at a time, so that one that is slowed down takes fewer. A worker that
 * holds no item is not waited for: a foreign job on its core costs no more than the share it takes.
 */
#ifndef MV_BLAS_POOL_H
#define MV_BLAS_POOL_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mv_pool mv_pool;

/* One item of a job, on one of the pool's threads: worker is 0 ... n_threads - 1, 0 the caller's.
 */
typedef void (*mv_pool_fn)(void *arg, size_t item, uint32_t worker);

/* n_threads - 1 threads and the caller's own. pin: worker i stays on the i-th CPU of this process;
 * the caller's thread is left as it is. Not pinned, a worker goes elsewhere when it finds itself on
 * the CPU of another, and stays as free as it was. NULL if memory or threads ran out. */
mv_pool *mv_pool_open(uint32_t n_threads, bool pin);
void mv_pool_close(mv_pool *pool); /* NULL is fine */

uint32_t mv_pool_n_threads(const mv_pool *pool);

/* fn for each of n_items (less than 2^32) items, in any order; returns when all are done. Allocates
 * nothing. One caller at a time. In a forked child, which has no workers, the caller does it all.
 */
void mv_pool_run(mv_pool *pool, size_t n_items, mv_pool_fn fn, void *arg);

/* The first CPU of a set that none of n_taken is (-1 among them: one that is not known), or -1. */
int32_t mv_pool_free_cpu(const cpu_set_t *allowed, const int32_t *taken, uint32_t n_taken);

#endif
