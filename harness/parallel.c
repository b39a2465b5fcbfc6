/* parallel.c - threads for one job, begun and ended with it: the jobs take milliseconds and more.
 */
#include "harness/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness/machine.h"

typedef struct part {
    void (*fn)(void *cookie, uint64_t from, uint64_t to);
    void *cookie;
    uint64_t from, to;
} part;

static void *run_part(void *argument)
{
    const part *p = argument;
    p->fn(p->cookie, p->from, p->to);
    return NULL;
}

void mv_parallel(uint64_t n_rows, uint64_t n_values_a_row,
                 void (*fn)(void *cookie, uint64_t from, uint64_t to), void *cookie)
{
    enum { MAX_PARTS = 16, SMALL = 1000000 };
    pthread_t threads[MAX_PARTS];
    part parts[MAX_PARTS];
    bool started[MAX_PARTS] = {false};
    const bool is_small = n_values_a_row == 0 || n_rows <= SMALL / n_values_a_row;
    const uint64_t n_cores = is_small ? 1 : (uint64_t)mv_machine_n_cores();
    const uint64_t n = n_cores < MAX_PARTS ? n_cores : (uint64_t)MAX_PARTS;
    for (uint64_t i = 0; i < n; i++) {
        parts[i] = (part){fn, cookie, n_rows * i / n, n_rows * (i + 1) / n};
        started[i] = i > 0 && pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0;
        if (i > 0 && !started[i])
            run_part(&parts[i]);
    }
    run_part(&parts[0]);
    for (uint64_t i = 1; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
    }
}
