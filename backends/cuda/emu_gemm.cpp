/* emu_gemm.cpp - in the place of cuBLASLt: a loop, with sums in float32. */
#include <vector>

#include "backends/cuda/device.h"
#include "backends/cuda/gpu.cuh"

void mv_emu_multiply(const mv_gemm &gemm);

/* Eight partial sums, as vectors want them. */
static float dot(const float *a, const float *b, size_t n)
{
    float sums[8] = {};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static void widen(std::vector<float> &to, const void *from, mv_dtype dtype, size_t n)
{
    to.resize(n);
    for (size_t i = 0; i < n; i++)
        to[i] = dtype == MV_DTYPE_F32 ? ((const float *)from)[i]
                                      : mv_to_float(((const mv_bf16 *)from)[i]);
}

void mv_emu_multiply(const mv_gemm &g)
{
    const size_t size = g.dtype == MV_DTYPE_F32 ? 4 : 2;
    std::vector<float> x, w;
    for (size_t o = 0; o < g.n_out; o++) {
        widen(w, (const char *)g.w + o * g.ldw * size, g.dtype, g.n_in);
        for (size_t t = 0; t < g.n_rows; t++) {
            if (g.dtype == MV_DTYPE_BF16)
                widen(x, (const char *)g.x + t * g.ldx * size, g.dtype, g.n_in);
            const float *row = g.dtype == MV_DTYPE_BF16 ? x.data() : (const float *)g.x + t * g.ldx;
            const float sum = dot(row, w.data(), g.n_in);
            if (g.y_f32 || g.dtype == MV_DTYPE_F32) {
                float *y = (float *)g.y + t * g.ldy + o;
                *y = g.add ? *y + sum : sum;
            } else {
                mv_bf16 *y = (mv_bf16 *)g.y + t * g.ldy + o;
                mv_assign(*y, g.add ? mv_to_float(*y) + sum : sum);
            }
        }
    }
}
