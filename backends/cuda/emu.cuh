/* emu.cuh - CUDA's words for g++: the kernels' text, run on the CPU.
 *
 * A block is run at a time. Its threads are fibers (each with a stack of its own), switched where
 * they wait for one another: at a barrier, at a warp instruction. Between those points a warp runs
 * ahead of the others or not, as mv_emu_schedule says, and an asynchronous copy arrives at once or
 * not before it is waited for: a kernel that is right gives the same bits under all of them.
 *
 * Shared memory is full of NaN when a block begins. What a kernel may not do (a barrier that only
 * some threads reach, a misaligned vector, shared memory beyond its end, a copy under way at the
 * end) is remembered, and told by mv_emu_fault(). Not seen: fences between blocks, bank conflicts,
 * registers, time.
 */
#ifndef MV_CUDA_EMU_CUH
#define MV_CUDA_EMU_CUH

#include <functional>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mv_device;
struct mv_shape;

/* How threads take turns. Seed 0 is the order of their numbers. */
struct mv_emu_schedule {
    uint64_t seed;    /* order of blocks, warps and lanes */
    bool greedy;      /* a warp runs until it is at a barrier, before another does */
    bool late_copies; /* asynchronous copies arrive when they are waited for */
};
extern mv_emu_schedule mv_emu_now;

/* The first thing that a kernel did wrong since the last call, or NULL. Clears it. */
const char *mv_emu_fault(void);

/* Runs or, on a device that is recording, records. */
void mv_emu_submit(mv_device *device, const char *name, const mv_shape &shape,
                   std::function<void()> thread);
void mv_emu_run(const char *name, const mv_shape &shape, const std::function<void()> &thread);

/* ---- what a thread of a kernel sees ---- */

struct mv_emu_index {
    unsigned x, y, z;
};
extern mv_emu_index threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char *mv_emu_shared;

void __syncthreads(void);
void mv_emu_fail(const char *what);

/* A warp instruction: every lane brings `in`; the last to come runs all() over the 32 of them;
 * every lane then finds its answer in `out`. */
union mv_emu_slot {
    float f[64];
    uint32_t u[64];
    const void *p;
};
struct mv_emu_lanes {
    mv_emu_slot in[32], out[32];
};
mv_emu_slot &mv_emu_in(void);
mv_emu_slot &mv_emu_together(void (*all)(mv_emu_lanes &lanes, int n), int n);

void mv_copy_async(void *to, const void *from, bool there);
void mv_copy_commit(void);
void mv_emu_copy_wait(size_t n_under_way);

#define MV_DEVICE static inline
#define MV_KERNEL(threads, blocks) static void
#define MV_SHARED(type, name) type *name = (type *)(void *)mv_emu_shared
#define MV_UNROLL()
#define MV_RESTRICT __restrict

MV_DEVICE uint32_t mv_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

MV_DEVICE float mv_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

MV_DEVICE float mv_to_float(mv_bf16 x)
{
    return mv_from_bits((uint32_t)x.bits << 16);
}

MV_DEVICE uint32_t mv_emu_round(float x)
{
    const uint32_t bits = mv_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fffu; /* what cvt.rn makes of any NaN */
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

MV_DEVICE uint32_t mv_pack(float a, float b)
{
    return mv_emu_round(a) | mv_emu_round(b) << 16;
}

MV_DEVICE float mv_exp2(float x)
{
    const float y = exp2f(x);
    return y < 0x1p-126f ? 0 : y;
}

void mv_emu_sum(mv_emu_lanes &lanes, int n);
void mv_emu_max(mv_emu_lanes &lanes, int n);
void mv_emu_quad_sum(mv_emu_lanes &lanes, int n);
void mv_emu_quad_max(mv_emu_lanes &lanes, int n);
void mv_emu_mma(mv_emu_lanes &lanes, int n);
void mv_emu_tiles(mv_emu_lanes &lanes, int transposed);

template <int N> MV_DEVICE void mv_warp_sum(float (&v)[N])
{
    static_assert(N <= 64, "a slot holds 64");
    memcpy(mv_emu_in().f, v, sizeof v);
    memcpy(v, mv_emu_together(mv_emu_sum, N).f, sizeof v);
}

MV_DEVICE float mv_emu_one(float v, void (*all)(mv_emu_lanes &, int))
{
    mv_emu_in().f[0] = v;
    return mv_emu_together(all, 1).f[0];
}

MV_DEVICE float mv_warp_max(float v)
{
    return mv_emu_one(v, mv_emu_max);
}

MV_DEVICE float mv_quad_sum(float v)
{
    return mv_emu_one(v, mv_emu_quad_sum);
}

MV_DEVICE float mv_quad_max(float v)
{
    return mv_emu_one(v, mv_emu_quad_max);
}

MV_DEVICE mv_vec16 mv_load16(const void *from)
{
    mv_vec16 v;
    if ((uintptr_t)from % 16 != 0)
        mv_emu_fail("16 bytes read at an address that is no multiple of 16");
    memcpy(&v, from, sizeof v);
    return v;
}

MV_DEVICE mv_vec16 mv_load_stream(const void *from)
{
    return mv_load16(from);
}

MV_DEVICE void mv_store16(void *to, mv_vec16 v)
{
    if ((uintptr_t)to % 16 != 0)
        mv_emu_fail("16 bytes written at an address that is no multiple of 16");
    memcpy(to, &v, sizeof v);
}

MV_DEVICE float mv_load_shared_l2(const float *from)
{
    return *from;
}

MV_DEVICE void mv_mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    mv_emu_slot &in = mv_emu_in();
    memcpy(in.u, a, sizeof a);
    in.u[4] = b0;
    in.u[5] = b1;
    const mv_emu_slot &out = mv_emu_together(mv_emu_mma, 0);
    for (int i = 0; i < 4; i++)
        d[i] += out.f[i];
}

template <bool transposed> MV_DEVICE void mv_load_tiles(uint32_t (&r)[4], const void *from)
{
    if ((uintptr_t)from % 16 != 0)
        mv_emu_fail("a row of a tile at an address that is no multiple of 16");
    mv_emu_in().p = from;
    memcpy(r, mv_emu_together(mv_emu_tiles, transposed).u, sizeof r);
}

template <int N> MV_DEVICE void mv_copy_wait(void)
{
    mv_emu_copy_wait(N);
}

MV_DEVICE void mv_kernel_begin(void)
{
}

MV_DEVICE void __threadfence(void)
{
}

MV_DEVICE unsigned atomicAdd(unsigned *at, unsigned n)
{
    const unsigned before = *at;
    *at += n;
    return before;
}

MV_DEVICE unsigned atomicOr(unsigned *at, unsigned bits)
{
    const unsigned before = *at;
    *at |= bits;
    return before;
}

#endif
