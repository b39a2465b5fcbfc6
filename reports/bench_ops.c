/* bench_ops.c - the ops of a run in the order in which they matter. */
#include <stdlib.h>
#include <string.h>

#include "reports/parts.h"

static int by_time(const void *a, const void *b)
{
    const mv_bench_op *left = a, *right = b;
    if (left->ns_median == right->ns_median)
        return strcmp(left->op, right->op);
    return left->ns_median < right->ns_median ? 1 : -1;
}

size_t mv_profile_sort(mv_bench_op sorted[MV_BENCH_MAX_OPS], const mv_bench_profile *profile)
{
    memcpy(sorted, profile->ops, profile->n_ops * sizeof *sorted);
    qsort(sorted, profile->n_ops, sizeof *sorted, by_time);
    return profile->n_ops;
}

size_t mv_profile_largest(mv_bench_op largest[MV_BENCH_MAX_OPS], const mv_bench_profile *profile)
{
    size_t n = mv_profile_sort(largest, profile);
    while (n > 1 && !(largest[n - 1].share >= 0.005))
        n--;
    return n;
}
