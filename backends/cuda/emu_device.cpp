/* emu_device.cpp - device.h over this machine's memory. What is queued is done at once; a graph is
 * a list of what to do. An allocation ends at a page that may not be touched, up to the 255 bytes
 * of its alignment, which mv_device_wait() checks; it is full of NaN when it is taken. */
#include "backends/cuda/device.h"

#include <functional>
#include <map>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "backends/cuda/emu_control.h"
#include "backends/cuda/gpu.cuh"

const char mv_device_backend[] = "cuda-emu";
const char mv_device_summary[] = "the cuda backend's kernels and host code, emulated on the CPU";

struct mv_graph {
    std::vector<std::function<void()>> work;
};

struct mv_device {
    mv_device_facts facts;
    mv_graph *recording;            /* NULL: what is queued is done */
    std::map<void *, size_t> taken; /* bytes asked for */
    char fault[256];                /* "" or the first that mv_emu_fault() told */
};

struct mv_lane {
    void *room;
};

/* emu_gemm.cpp */
void mv_emu_multiply(const mv_gemm &gemm);

static void queue(mv_device *d, std::function<void()> work)
{
    if (d->recording != NULL)
        d->recording->work.push_back(std::move(work));
    else
        work();
}

void mv_emu_submit(mv_device *d, const char *name, const mv_shape &shape,
                   std::function<void()> thread)
{
    queue(d, [d, name, shape, thread] {
        mv_emu_run(name, shape, thread);
        const char *fault = mv_emu_fault();
        if (fault != NULL && d->fault[0] == '\0')
            (void)snprintf(d->fault, sizeof d->fault, "%s", fault);
    });
}

void mv_emu_set_schedule(uint64_t seed, bool greedy, bool late_copies)
{
    mv_emu_now = {seed, greedy, late_copies};
}

void mv_emu_set_size(mv_device *d, uint32_t n_blocks, uint32_t threads)
{
    d->facts.n_blocks = n_blocks;
    d->facts.threads = threads;
}

mv_code mv_device_probe(mv_error *error)
{
    (void)error;
    return MV_OK;
}

/* Small numbers: two processors, and two warps in a block, so that both are more than one. */
mv_code mv_device_open(mv_device **device, uint32_t ordinal, bool pdl, uint32_t tune,
                       mv_error *error)
{
    (void)pdl;
    (void)tune;
    if (ordinal != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: device=%u: expected 0, the only one",
                       mv_device_backend, ordinal);
    mv_device *d = new mv_device();
    (void)snprintf(d->facts.name, sizeof d->facts.name, "emulated, 2 processors");
    (void)snprintf(d->facts.library, sizeof d->facts.library, "loops");
    d->facts.n_blocks = 2;
    d->facts.threads = 64;
    d->facts.copy_lanes = 1;
    d->facts.total_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    *device = d;
    return MV_OK;
}

const mv_device_facts *mv_device_get_facts(const mv_device *d)
{
    return &d->facts;
}

uint64_t mv_device_free_bytes(const mv_device *d)
{
    (void)d;
    return (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- memory ---- */

static const size_t ALIGNMENT = 256;
static const unsigned char SLACK = 0xa5;

static size_t rounded_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

/* Of the mapping that holds an allocation, with its guard page; 0 if there is no such number. */
static size_t mapping_bytes(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return bytes > SIZE_MAX - 2 * page ? 0 : rounded_up(rounded_up(bytes, ALIGNMENT), page) + page;
}

mv_code mv_device_take(mv_device *d, void **memory, size_t bytes, const char *what, mv_error *error)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), used = rounded_up(bytes, ALIGNMENT);
    const size_t length = mapping_bytes(bytes);
    char *base = length == 0 ? (char *)MAP_FAILED
                             : (char *)mmap(NULL, length, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == (char *)MAP_FAILED || mprotect(base + length - page, page, PROT_NONE) != 0)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %s, %zu bytes", mv_device_backend,
                       what, bytes);
    char *at = base + length - page - used;
    memset(at, 0xff, bytes);
    memset(at + bytes, SLACK, used - bytes);
    d->taken[at] = bytes;
    *memory = at;
    return MV_OK;
}

void mv_device_give(mv_device *d, void *memory)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const auto found = d->taken.find(memory);
    if (found == d->taken.end())
        return;
    const size_t length = mapping_bytes(found->second), used = rounded_up(found->second, ALIGNMENT);
    (void)munmap((char *)memory - (length - page - used), length);
    d->taken.erase(found);
}

mv_code mv_device_take_host(mv_device *d, void **memory, size_t bytes, const char *what,
                            mv_error *error)
{
    (void)d;
    *memory = calloc(bytes > 0 ? bytes : 1, 1);
    if (*memory == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %s, %zu bytes", mv_device_backend,
                       what, bytes);
    return MV_OK;
}

void mv_device_give_host(mv_device *d, void *memory)
{
    (void)d;
    free(memory);
}

void mv_device_close(mv_device *d)
{
    if (d == NULL)
        return;
    while (!d->taken.empty())
        mv_device_give(d, d->taken.begin()->first);
    delete d;
}

/* ---- the queue ---- */

void mv_device_upload(mv_device *d, void *to, const void *from, size_t bytes)
{
    queue(d, [=] { memcpy(to, from, bytes); });
}

void mv_device_download(mv_device *d, void *to, const void *from, size_t bytes)
{
    queue(d, [=] { memcpy(to, from, bytes); });
}

void mv_device_fill(mv_device *d, void *to, int byte, size_t bytes)
{
    queue(d, [=] { memset(to, byte, bytes); });
}

/* Whether a kernel has written beyond an array, less far than its guard page. */
static bool slack_is_whole(const mv_device *d)
{
    for (const auto &one : d->taken)
        for (size_t i = one.second; i < rounded_up(one.second, ALIGNMENT); i++)
            if (((const unsigned char *)one.first)[i] != SLACK)
                return false;
    return true;
}

mv_code mv_device_wait(mv_device *d, mv_error *error)
{
    if (d->fault[0] == '\0' && !slack_is_whole(d))
        (void)snprintf(d->fault, sizeof d->fault, "a write beyond the end of an array");
    if (d->fault[0] == '\0')
        return MV_OK;
    const mv_code code = mv_fail(error, MV_ERR_BACKEND, "%s: %s", mv_device_backend, d->fault);
    d->fault[0] = '\0';
    return code;
}

mv_code mv_device_graph_begin(mv_device *d, mv_error *error)
{
    (void)error;
    d->recording = new mv_graph();
    return MV_OK;
}

mv_code mv_device_graph_end(mv_device *d, mv_graph **graph, mv_error *error)
{
    (void)error;
    *graph = d->recording;
    d->recording = NULL;
    return MV_OK;
}

void mv_device_graph_run(mv_device *d, mv_graph *graph)
{
    (void)d;
    for (const std::function<void()> &one : graph->work)
        one();
}

void mv_device_graph_free(mv_graph *graph)
{
    delete graph;
}

void mv_device_tell_gemm(const mv_device *d, char *text, size_t size)
{
    (void)d;
    (void)snprintf(text, size, "first choice");
}

void mv_device_gemm(mv_device *d, const mv_gemm *gemm)
{
    const mv_gemm g = *gemm;
    queue(d, [g] { mv_emu_multiply(g); });
}

/* ---- lanes ---- */

mv_code mv_lane_open(mv_lane **lane, mv_device *d, size_t bytes, mv_error *error)
{
    (void)d;
    mv_lane *l = new mv_lane();
    l->room = malloc(bytes);
    if (l->room == NULL) {
        delete l;
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a room of %zu bytes",
                       mv_device_backend, bytes);
    }
    *lane = l;
    return MV_OK;
}

void *mv_lane_room(mv_lane *lane)
{
    return lane->room;
}

void mv_lane_send(mv_lane *lane, void *to, size_t bytes)
{
    memcpy(to, lane->room, bytes);
}

mv_code mv_lane_close(mv_lane *lane, mv_error *error)
{
    (void)error;
    if (lane != NULL) {
        free(lane->room);
        delete lane;
    }
    return MV_OK;
}
