/* memory.c - everything an engine will ever need, taken and touched when it is opened. Large arrays
 * lie on huge pages where the kernel gives them: a first touch costs half as much, and so do
 * misses.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/blas/engine.h"

enum { HUGE_PAGE = 2 << 20 };

/* One array: where its address goes, and how much. */
typedef struct array {
    void *to; /* a pointer to any pointer */
    size_t n, width, size;
} array;

/* 0 if a product overflows: no machine has that much. */
static bool bytes_of(size_t *bytes, const array *a)
{
    return !__builtin_mul_overflow(a->n, a->width, bytes) &&
           !__builtin_mul_overflow(*bytes, a->size, bytes);
}

static void *take(size_t bytes)
{
    void *memory = NULL;
    bool large = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&memory, large ? HUGE_PAGE : 64, bytes > 0 ? bytes : 64) != 0)
        return NULL;
    if (large)
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 0, bytes);
    return memory;
}

static mv_code add_up(uint64_t *total, const array *arrays, size_t n, mv_error *error)
{
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        if (!bytes_of(&bytes, &arrays[i]) || __builtin_add_overflow(*total, bytes, total))
            return mv_fail(error, MV_ERR_MEMORY,
                           "blas: an array of %zu x %zu x %zu bytes is more than can be addressed",
                           arrays[i].n, arrays[i].width, arrays[i].size);
    }
    return MV_OK;
}

/* A number from a file of the kernel, after `key`; UINT64_MAX if it cannot be had, or says "max".
 */
static uint64_t read_number(const char *path, const char *key)
{
    char line[256];
    unsigned long long value = 0;
    uint64_t found = UINT64_MAX;
    FILE *stream = fopen(path, "re");
    while (stream != NULL && found == UINT64_MAX && fgets(line, sizeof line, stream) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%llu", &value) == 1)
            found = value;
    }
    if (stream != NULL)
        (void)fclose(stream);
    return found;
}

/* What can still be had without swapping: the machine's, or this container's if that is less. */
static uint64_t bytes_available(void)
{
    uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max", "");
    uint64_t used = read_number("/sys/fs/cgroup/memory.current", "");
    uint64_t free = kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
    if (limit != UINT64_MAX && used != UINT64_MAX) {
        uint64_t cache = read_number("/sys/fs/cgroup/memory.stat", "file ");
        uint64_t rest = limit > used ? limit - used : 0;
        rest += cache != UINT64_MAX ? cache : 0; /* given back when it is needed */
        free = rest < free ? rest : free;
    }
    return free;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

static mv_code check_room(const mv_engine *e, uint64_t cache, uint64_t scratch, mv_error *error)
{
    const uint64_t free = bytes_available(), own = cache + scratch;
    if (own <= free && mv_weights_absent(e, free - own) <= free - own)
        return MV_OK;
    if (own <= free)
        return mv_fail(error, MV_ERR_MEMORY,
                       "blas: the weights (%.2f GiB, most of them not in memory yet) and %.2f GiB "
                       "for cache and scratch need more than the %.2f GiB that are available: they "
                       "would be read from disk again for every call; bring a smaller model, or "
                       "more memory",
                       gib(mv_weights_lent(e)), gib(own), gib(free));
    return mv_fail(error, MV_ERR_MEMORY,
                   "blas: %.2f GiB are needed beside the weights (cache %.2f for %u sequences of "
                   "%zu positions, scratch %.2f for %u tokens a call), %.2f GiB are available; "
                   "bring fewer tokens a call, or fewer sequences, or use --compute bf16",
                   gib(cache + scratch), gib(cache), e->max_sequences, e->n_slots, gib(scratch),
                   e->max_batch_tokens, gib(free));
}

static mv_code take_arrays(const array *arrays, size_t n, mv_error *error)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        void *memory = bytes_of(&bytes, &arrays[i]) ? take(bytes) : NULL;
        if (memory == NULL)
            return mv_fail(error, MV_ERR_MEMORY,
                           "blas: no memory for an array of %zu x %zu x %zu "
                           "bytes",
                           arrays[i].n, arrays[i].width, arrays[i].size);
        memcpy(arrays[i].to, &memory, sizeof memory);
    }
    return MV_OK;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The most that the provider wants, over the shapes of a model's weights. */
static void find_rooms(const mv_engine *e, size_t *x_room, size_t *worker_room, size_t *widest)
{
    const mv_params *p = &e->p;
    const size_t q_width = (size_t)p->n_heads * p->head_dim;
    const size_t kv_width = (size_t)p->n_kv_heads * p->head_dim;
    const size_t shapes[][2] = {{q_width, p->dim},       {kv_width, p->dim},
                                {p->dim, q_width},       {p->hidden_dim, p->dim},
                                {p->dim, p->hidden_dim}, {p->vocab_size, p->dim}};
    *x_room = *worker_room = *widest = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const size_t n = shapes[i][0], k = shapes[i][1];
        *x_room = larger(*x_room, e->gemm.provider->x_room(&e->gemm, k));
        *worker_room = larger(*worker_room, e->gemm.provider->worker_room(&e->gemm, n, k));
        *widest = larger(*widest, k);
    }
}

static void fill_scales(mv_engine *e)
{
    const size_t dim = e->p.dim;
    for (uint32_t i = 0; i <= 2 * e->p.n_layers; i++) {
        const mv_layer *layer = i < 2 * e->p.n_layers ? mv_layer_at(e->model, i / 2) : NULL;
        const mv_tensor *w = layer == NULL ? &e->model->norm
                             : i % 2 == 0  ? &layer->attention_norm
                                           : &layer->ffn_norm;
        e->kernels->to_f32(e->scales + i * dim, w->data, w->dtype, dim);
        if (e->bf16)
            e->kernels->round_bf16(e->scales + i * dim, e->scales + i * dim, dim);
    }
}

static void fill_poison(mv_engine *e, size_t n)
{
    for (size_t i = 0; i < n && e->poison != 0; i++) {
        char *to[] = {e->cache_k + i * e->kv_size, e->cache_v + i * e->kv_size};
        for (int j = 0; j < 2; j++) {
            if (e->bf16)
                e->kernels->to_bf16((uint16_t *)(void *)to[j], &e->poison, 1);
            else
                memcpy(to[j], &e->poison, sizeof e->poison);
        }
    }
}

mv_code mv_memory_take(mv_engine *e, const mv_engine_options *options, mv_error *error)
{
    const mv_params *p = &e->p;
    const size_t T = e->max_batch_tokens, f = sizeof(float), dim = p->dim;
    const size_t block = T < MV_GEMM_MAX_ROWS ? T : MV_GEMM_MAX_ROWS;
    const size_t q_width = (size_t)p->n_heads * p->head_dim;
    const size_t kv_width = (size_t)p->n_kv_heads * p->head_dim;
    size_t x_room, worker_room, widest, n_heads, n_cached;
    (void)options;
    find_rooms(e, &x_room, &worker_room, &widest);
    e->gemm.scratch_stride = (worker_room + 15) / 16 * 16;
    e->attention_stride = mv_attention_room(e);
    if (__builtin_mul_overflow((size_t)p->n_layers * e->max_sequences, p->n_kv_heads, &n_heads) ||
        __builtin_mul_overflow(n_heads, e->n_slots, &n_cached))
        n_cached = SIZE_MAX;

    const array cache[] = {{&e->cache_k, n_cached, p->head_dim, e->kv_size},
                           {&e->cache_v, n_cached, p->head_dim, e->kv_size}};
    const array scratch[] = {{&e->n_seen, e->max_sequences, 1, sizeof *e->n_seen},
                             {&e->n_written, e->max_sequences, 1, sizeof *e->n_written},
                             {&e->spans, e->max_sequences, 1, sizeof *e->spans},
                             {&e->counts, e->n_threads, 1, sizeof *e->counts},
                             {&e->new_k, T, kv_width, e->kv_size},
                             {&e->new_v, T, kv_width, e->kv_size},
                             {&e->x, T, dim, f},
                             {&e->normed, T, dim, f},
                             {&e->update, T, dim, f},
                             {&e->q, T, q_width, f},
                             {&e->heads, T, q_width, f},
                             {&e->k, T, kv_width, f},
                             {&e->v, T, kv_width, f},
                             {&e->turns, T, p->head_dim, f},
                             {&e->gate, block, p->hidden_dim, f},
                             {&e->up, block, p->hidden_dim, f},
                             {&e->scales, 2 * (size_t)p->n_layers + 1, dim, f},
                             {&e->few_rows, MV_GEMV_MAX_ROWS, widest, f},
                             {&e->attention, e->n_threads, e->attention_stride, f},
                             {&e->gemm.x, x_room, 1, f},
                             {&e->gemm.scratch, e->n_threads, e->gemm.scratch_stride, f}};
    const size_t n_cache = sizeof cache / sizeof cache[0];
    const size_t n_scratch = sizeof scratch / sizeof scratch[0];
    mv_code code = add_up(&e->kv_cache_bytes, cache, n_cache, error);
    if (code == MV_OK)
        code = add_up(&e->scratch_bytes, scratch, n_scratch, error);
    if (code == MV_OK)
        code = check_room(e, e->kv_cache_bytes, e->scratch_bytes, error);
    if (code == MV_OK)
        code = take_arrays(cache, n_cache, error);
    if (code == MV_OK)
        code = take_arrays(scratch, n_scratch, error);
    if (code != MV_OK)
        return code;
    fill_scales(e);
    fill_poison(e, n_cached * p->head_dim);
    e->weights_bytes = (2 * (uint64_t)p->n_layers + 1) * dim * f; /* the norms' */
    e->scratch_bytes -= e->weights_bytes;
    return MV_OK;
}

void mv_memory_free(mv_engine *e)
{
    void *all[] = {e->n_seen, e->n_written, e->spans,     e->counts, e->cache_k,     e->cache_v,
                   e->new_k,  e->new_v,     e->x,         e->normed, e->update,      e->q,
                   e->heads,  e->k,         e->v,         e->turns,  e->gate,        e->up,
                   e->scales, e->few_rows,  e->attention, e->gemm.x, e->gemm.scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}
