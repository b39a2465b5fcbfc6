/* gpu.cuh - the part of CUDA C++ that the kernels are written in.
 *
 * nvcc makes a GPU's code of a kernel; g++ makes of the same text one that backends/cuda/emu.cuh
 * runs on the CPU. A kernel therefore uses what is declared here and nothing else: threadIdx and
 * its kin, __syncthreads(), dynamic shared memory, sums over a warp, and the four tensor-core
 * instructions below. All block sizes are multiples of 32.
 */
#ifndef MV_CUDA_GPU_CUH
#define MV_CUDA_GPU_CUH

#include <stddef.h>
#include <stdint.h>

/* A bfloat16 in memory: the upper half of a float32. */
struct mv_bf16 {
    uint16_t bits;
};

/* Sixteen bytes, moved at once: the address must be a multiple of 16. */
struct alignas(16) mv_vec16 {
    uint32_t word[4];
};

/* How a kernel is started. flat: it has no barrier and no warp instruction, so that the emulator
 * may run a thread to its end before the next begins. */
struct mv_shape {
    uint32_t grid[3];
    uint32_t threads;
    size_t shared_bytes;
    bool flat;
};

#ifdef __CUDACC__

#include <cuda_runtime.h>
#define MV_DEVICE static __device__ __forceinline__
#define MV_KERNEL(threads, blocks) static __global__ void __launch_bounds__(threads, blocks)
#define MV_SHARED(type, name)                                                                      \
    extern __shared__ __align__(16) unsigned char mv_shared_bytes[];                               \
    type *name = (type *)mv_shared_bytes
#define MV_UNROLL() _Pragma("unroll")
#define MV_RESTRICT __restrict__

MV_DEVICE float mv_to_float(mv_bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

MV_DEVICE uint32_t mv_bits(float x)
{
    return __float_as_uint(x);
}

MV_DEVICE float mv_from_bits(uint32_t x)
{
    return __uint_as_float(x);
}

/* Two floats to bfloat16, to nearest, ties to even; a in the lower half. */
MV_DEVICE uint32_t mv_pack(float a, float b)
{
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(b), "f"(a));
    return packed;
}

/* 2^x, to about 2 units in the last place; below 2^-126 it is 0. */
MV_DEVICE float mv_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* The sum over the warp of each v[i], in every lane: pairs 16 apart first, then 8, 4, 2, 1. */
template <int N> MV_DEVICE void mv_warp_sum(float (&v)[N])
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < N; i++)
            v[i] += __shfl_xor_sync(0xffffffffu, v[i], distance);
    }
}

MV_DEVICE float mv_warp_max(float v)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, distance));
    return v;
}

/* The same over the 4 lanes that hold one row of a tensor-core tile. */
MV_DEVICE float mv_quad_sum(float v)
{
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

MV_DEVICE float mv_quad_max(float v)
{
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

/* Weights pass through once: they need not stay in the first-level cache. */
MV_DEVICE mv_vec16 mv_load_stream(const void *from)
{
    mv_vec16 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
                 : "l"(from));
    return v;
}

MV_DEVICE mv_vec16 mv_load16(const void *from)
{
    const uint4 v = *(const uint4 *)from;
    return mv_vec16{{v.x, v.y, v.z, v.w}};
}

MV_DEVICE void mv_store16(void *to, mv_vec16 v)
{
    *(uint4 *)to = make_uint4(v.word[0], v.word[1], v.word[2], v.word[3]);
}

/* What another block of the same kernel has written: not from this processor's own cache. */
MV_DEVICE float mv_load_shared_l2(const float *from)
{
    return __ldcg(from);
}

/* d += a b on the tensor cores: a [16, 16] by rows, b [16, 8] by columns, d [16, 8] in float32. */
MV_DEVICE void mv_mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 tiles of 16-bit values from shared memory; lane l gives the address of row l % 8 of
 * tile l / 8. transposed: each tile is turned on its way. */
template <bool transposed> MV_DEVICE void mv_load_tiles(uint32_t (&r)[4], const void *from)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(from);
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
}

/* Sixteen bytes to shared memory, without waiting for them; zeros if not `there`. */
MV_DEVICE void mv_copy_async(void *to, const void *from, bool there)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
}

MV_DEVICE void mv_copy_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until at most N of the committed groups are under way. */
template <int N> MV_DEVICE void mv_copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* Between kernels that may overlap (device.h, pdl): the next may be launched; what the ones before
 * have written is there. Every block of every kernel waits before it reads or writes anything that
 * another kernel touches, early exits included. */
MV_DEVICE void mv_kernel_begin(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#else
#include "backends/cuda/emu.cuh"
#endif

/* ---- made of the above ---- */

MV_DEVICE float mv_to_float(float x)
{
    return x;
}

MV_DEVICE void mv_assign(float &to, float x)
{
    to = x;
}

MV_DEVICE void mv_assign(mv_bf16 &to, float x)
{
    to.bits = (uint16_t)mv_pack(x, 0);
}

/* The i-th value of 16 bytes. */
MV_DEVICE float mv_element(const mv_vec16 &v, int i, const float *)
{
    return mv_from_bits(v.word[i]);
}

MV_DEVICE float mv_element(const mv_vec16 &v, int i, const mv_bf16 *)
{
    const uint32_t word = v.word[i / 2];
    return mv_from_bits(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
}

#endif
