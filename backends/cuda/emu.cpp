/* emu.cpp - runs a grid: block after block, and in a block fiber after fiber. */
#include "backends/cuda/gpu.cuh"

#include <mutex>
#include <stdio.h>
#include <vector>

#include "backends/cuda/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

mv_emu_schedule mv_emu_now = {0, true, false};
mv_emu_index threadIdx, blockIdx, blockDim, gridDim;
unsigned char *mv_emu_shared;

namespace
{
enum state { RUN, AT_BARRIER, IN_WARP, DONE };

struct copy {
    void *to;
    const void *from;
    bool there;
};

struct thread {
    state is;
    std::vector<copy> open;                   /* not committed */
    std::vector<std::vector<copy>> committed; /* oldest first */
};

struct warp {
    int n_waiting;
    mv_emu_lanes lanes;
};

const size_t GUARD = 64;
const unsigned char GUARD_BYTE = 0xa5;

std::mutex one_at_a_time; /* the device runs one kernel, as a queue does */
thread threads[MV_FIBERS_MAX];
warp warps[MV_FIBERS_MAX / 32];
int n_threads, current, n_at_barrier, n_done;
const std::function<void()> *body;
const char *kernel_name = "";
char fault[256];
bool faulty;
uint64_t random_state;

uint64_t next_random()
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 33;
}

/* A permutation of 0 ... n - 1; the identity for seed 0. */
void shuffle(std::vector<int> &order, int n)
{
    order.resize((size_t)n);
    for (int i = 0; i < n; i++)
        order[(size_t)i] = i;
    for (int i = n - 1; i > 0 && mv_emu_now.seed != 0; i--)
        std::swap(order[(size_t)i], order[next_random() % (uint64_t)(i + 1)]);
}

void arrive(const std::vector<copy> &copies)
{
    for (const copy &c : copies) {
        if (c.to == NULL)
            continue; /* has arrived */
        if (c.there)
            memcpy(c.to, c.from, 16);
        else
            memset(c.to, 0, 16);
    }
}

void set_index(int i)
{
    current = i;
    threadIdx.x = (unsigned)i;
}

void wait_as(state is)
{
    const int me = current;
    threads[me].is = is;
    mv_fiber_leave(me, 0);
    set_index(me);
}

void fiber_main()
{
    (*body)();
    thread &t = threads[current];
    if (!t.open.empty() || !t.committed.empty())
        mv_emu_fail("a thread ended with a copy under way");
    t.is = DONE;
    n_done++;
    mv_fiber_leave(current, 1);
}

/* Lets each lane of a warp run to where it must wait. False if none could. */
bool step(int w, std::vector<int> &lane_order)
{
    bool moved = false;
    shuffle(lane_order, 32);
    for (int lane : lane_order) {
        const int i = w * 32 + lane;
        if (threads[i].is != RUN)
            continue;
        set_index(i);
        mv_fiber_enter(i);
        moved = true;
    }
    return moved;
}

void run_fibers()
{
    static std::vector<int> warp_order, lane_order;
    const int n_warps = n_threads / 32;
    n_at_barrier = n_done = 0;
    for (int i = 0; i < n_threads; i++) {
        threads[i].is = RUN;
        threads[i].open.clear();
        threads[i].committed.clear();
        mv_fiber_prepare(i, fiber_main);
    }
    for (int w = 0; w < n_warps; w++)
        warps[w].n_waiting = 0;
    while (n_done < n_threads && !faulty) {
        bool moved = false;
        shuffle(warp_order, n_warps);
        for (int w : warp_order) {
            bool more = step(w, lane_order);
            moved = moved || more;
            while (mv_emu_now.greedy && more && !faulty)
                more = step(w, lane_order);
        }
        if (!moved)
            mv_emu_fail(n_at_barrier > 0 ? "a barrier that not every thread reaches"
                                         : "a warp instruction that not every lane reaches");
    }
}

void run_flat()
{
    for (int i = 0; i < n_threads; i++) {
        set_index(i);
        (*body)();
    }
}

/* Shared memory ends in a guard; it is NaN before a block writes to it. */
void run_block(const mv_shape &shape, std::vector<unsigned char> &room)
{
    memset(mv_emu_shared, 0xff, shape.shared_bytes);
    memset(mv_emu_shared + shape.shared_bytes, GUARD_BYTE, GUARD);
    if (shape.flat)
        run_flat();
    else
        run_fibers();
    for (size_t i = 0; i < GUARD; i++)
        if (mv_emu_shared[shape.shared_bytes + i] != GUARD_BYTE) {
            mv_emu_fail("a write beyond the end of shared memory");
            break;
        }
    (void)room;
}

void check_shape(const mv_shape &shape)
{
    if (shape.threads == 0 || shape.threads % 32 != 0 || shape.threads > MV_FIBERS_MAX)
        mv_emu_fail("a block's threads must be a multiple of 32, up to 1024");
    if (shape.shared_bytes > 227 * 1024)
        mv_emu_fail("more than 227 KiB of shared memory in a block");
    if (shape.grid[1] > 65535 || shape.grid[2] > 65535 || shape.grid[0] == 0 ||
        shape.grid[1] == 0 || shape.grid[2] == 0)
        mv_emu_fail("a grid of no blocks, or of more than 65535 in its second or third direction");
}
} // namespace

void mv_emu_fail(const char *what)
{
    if (!faulty)
        (void)snprintf(fault, sizeof fault, "%s: %s (block %u,%u,%u, thread %u)", kernel_name, what,
                       blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x);
    faulty = true;
}

const char *mv_emu_fault(void)
{
    const bool was = faulty;
    faulty = false;
    return was ? fault : NULL;
}

void __syncthreads(void)
{
    if (++n_at_barrier < n_threads) {
        wait_as(AT_BARRIER);
        return;
    }
    n_at_barrier = 0;
    for (int i = 0; i < n_threads; i++)
        threads[i].is = RUN;
}

mv_emu_slot &mv_emu_in(void)
{
    return warps[current / 32].lanes.in[current % 32];
}

/* The last lane to come needs no switch. The others read `out` when they run again: before any of
 * them can bring something for the next instruction, which needs all of them. */
mv_emu_slot &mv_emu_together(void (*all)(mv_emu_lanes &lanes, int n), int n)
{
    warp &w = warps[current / 32];
    const int first = current / 32 * 32;
    if (++w.n_waiting < 32) {
        wait_as(IN_WARP);
    } else {
        w.n_waiting = 0;
        all(w.lanes, n);
        for (int i = first; i < first + 32; i++)
            threads[i].is = RUN;
    }
    return w.lanes.out[current % 32];
}

void mv_copy_async(void *to, const void *from, bool there)
{
    if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0)
        mv_emu_fail("an asynchronous copy at an address that is no multiple of 16");
    threads[current].open.push_back({to, from, there});
    if (!mv_emu_now.late_copies) {
        arrive(threads[current].open);
        threads[current].open.back().to = NULL;
    }
}

void mv_copy_commit(void)
{
    thread &t = threads[current];
    t.committed.push_back(std::move(t.open));
    t.open.clear();
}

void mv_emu_copy_wait(size_t n_under_way)
{
    thread &t = threads[current];
    while (t.committed.size() > n_under_way) {
        arrive(t.committed.front());
        t.committed.erase(t.committed.begin());
    }
}

void mv_emu_run(const char *name, const mv_shape &shape, const std::function<void()> &thread)
{
    static std::vector<unsigned char> room;
    static std::vector<int> block_order;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    kernel_name = name;
    blockIdx = threadIdx = {0, 0, 0};
    check_shape(shape);
    if (faulty)
        return;
    if (room.size() < shape.shared_bytes + GUARD + 16)
        room.resize(shape.shared_bytes + GUARD + 16);
    mv_emu_shared = room.data() + (16 - (uintptr_t)room.data() % 16) % 16;
    body = &thread;
    n_threads = (int)shape.threads;
    blockDim = {shape.threads, 1, 1};
    gridDim = {shape.grid[0], shape.grid[1], shape.grid[2]};
    random_state = mv_emu_now.seed;
    shuffle(block_order, (int)(shape.grid[0] * shape.grid[1] * shape.grid[2]));
    for (int i : block_order) {
        const unsigned at = (unsigned)i;
        blockIdx = {at % gridDim.x, at / gridDim.x % gridDim.y, at / gridDim.x / gridDim.y};
        run_block(shape, room);
        if (faulty)
            break;
    }
}
