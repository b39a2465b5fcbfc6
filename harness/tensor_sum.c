#include "harness/tensor_sum.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "harness/crc32.h"

enum { MAX_THREADS = 3, LEAST_FOR_THREADS = 64 << 20 };

static int compare_places(const void *data, uint64_t size, const mv_tensor_sum *sum)
{
    const uintptr_t a = (uintptr_t)data, b = (uintptr_t)sum->data;
    if (a != b)
        return a < b ? -1 : 1;
    return (size > sum->size_bytes) - (size < sum->size_bytes);
}

static int compare_sums(const void *a, const void *b)
{
    const mv_tensor_sum *left = a;
    return compare_places(left->data, left->size_bytes, b);
}

void mv_tensor_sums_sort(mv_tensor_sum *sums, size_t n)
{
    if (n > 0)
        qsort(sums, n, sizeof *sums, compare_sums);
}

mv_tensor_sum *mv_tensor_sums_find(mv_tensor_sum *sums, size_t n, const void *data,
                                   uint64_t size_bytes)
{
    const mv_tensor_sum key = {.data = data, .size_bytes = size_bytes};
    return n > 0 ? bsearch(&key, sums, n, sizeof *sums, compare_sums) : NULL;
}

mv_code mv_tensor_sum_compare(mv_tensor_sum *sum, uint32_t crc, mv_error *error)
{
    sum->checked = crc == sum->crc;
    if (sum->checked)
        return MV_OK;
    return mv_fail(error, MV_ERR_FORMAT,
                   "%s: ZIP entry %s: CRC error at byte %llu of %llu: the data was changed, or "
                   "torch was told not to write checksums",
                   sum->path, sum->entry.text, (unsigned long long)sum->size_bytes,
                   (unsigned long long)sum->size_bytes);
}

/* ---- all of them ---- */

typedef struct sum_job {
    const mv_tensor_sum *sums;
    uint32_t *found; /* [n] */
    size_t n;
    atomic_size_t next;
} sum_job;

static void *take_sums(void *state)
{
    sum_job *job = state;
    for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < job->n;)
        if (!job->sums[i].checked)
            job->found[i] = mv_crc32_mapped(job->sums[i].data, job->sums[i].size_bytes);
    return NULL;
}

mv_code mv_tensor_sums_check(mv_tensor_sum *sums, size_t n, mv_error *error)
{
    pthread_t threads[MAX_THREADS];
    size_t n_threads = 0;
    uint64_t size = 0;
    mv_code code = MV_OK;
    for (size_t i = 0; i < n; i++)
        size += sums[i].checked ? 0 : sums[i].size_bytes; /* all in one file: no overflow */
    if (size == 0)
        return MV_OK;
    sum_job job = {.sums = sums, .n = n, .found = calloc(n, sizeof *job.found)};
    if (job.found == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu checksums", sums->path, n);
    while (size >= LEAST_FOR_THREADS && n_threads < MAX_THREADS &&
           pthread_create(&threads[n_threads], NULL, take_sums, &job) == 0)
        n_threads++;
    (void)take_sums(&job);
    while (n_threads > 0)
        (void)pthread_join(threads[--n_threads], NULL);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        if (!sums[i].checked)
            code = mv_tensor_sum_compare(&sums[i], job.found[i], error);
    free(job.found);
    return code;
}
