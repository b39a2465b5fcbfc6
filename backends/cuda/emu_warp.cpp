/* emu_warp.cpp - what a warp instruction gives its 32 lanes, once all have brought their part. */
#include "backends/cuda/gpu.cuh"

static inline float plus(float a, float b)
{
    return a + b;
}

static inline float larger(float a, float b)
{
    return fmaxf(a, b);
}

/* join: known when this is compiled, so that it becomes vector instructions. */
template <float (*join)(float, float)> static void butterfly(mv_emu_lanes &lanes, int n, int first)
{
    for (int i = 0; i < n; i++) {
        float now[32], next[32];
        for (int l = 0; l < 32; l++)
            now[l] = lanes.in[l].f[i];
        for (int d = first; d > 0; d /= 2) {
            for (int l = 0; l < 32; l++)
                next[l] = join(now[l], now[l ^ d]);
            memcpy(now, next, sizeof now);
        }
        for (int l = 0; l < 32; l++)
            lanes.out[l].f[i] = now[l];
    }
}

void mv_emu_sum(mv_emu_lanes &lanes, int n)
{
    butterfly<plus>(lanes, n, 16);
}

void mv_emu_max(mv_emu_lanes &lanes, int n)
{
    butterfly<larger>(lanes, n, 16);
}

void mv_emu_quad_sum(mv_emu_lanes &lanes, int n)
{
    /* 1 before 2, as in gpu.cuh; a sum of two is the same from both sides. */
    butterfly<plus>(lanes, n, 1);
    for (int l = 0; l < 32; l++)
        lanes.in[l] = lanes.out[l];
    for (int l = 0; l < 32; l++)
        lanes.out[l].f[0] = lanes.in[l].f[0] + lanes.in[l ^ 2].f[0];
}

void mv_emu_quad_max(mv_emu_lanes &lanes, int n)
{
    butterfly<larger>(lanes, n, 2);
}

/* Fragments of mma.m16n8k16, as in the PTX manual: with g = lane / 4 and t = lane % 4,
 * a[i] holds row g + 8 (i % 2), columns 2t + 8 (i / 2) and the next; b[i] rows 2t + 8 i and the
 * next, column g; d[i] row g + 8 (i / 2), column 2t + i % 2. */
void mv_emu_mma(mv_emu_lanes &lanes, int)
{
    float a[16][16], b[16][8], d[16][8] = {};
    for (int l = 0; l < 32; l++) {
        const int g = l / 4, t = l % 4 * 2;
        const uint32_t *u = lanes.in[l].u;
        for (int i = 0; i < 4; i++) {
            a[g + i % 2 * 8][t + i / 2 * 8] = mv_from_bits(u[i] << 16);
            a[g + i % 2 * 8][t + i / 2 * 8 + 1] = mv_from_bits(u[i] & 0xffff0000u);
        }
        for (int i = 0; i < 2; i++) {
            b[t + i * 8][g] = mv_from_bits(u[4 + i] << 16);
            b[t + i * 8 + 1][g] = mv_from_bits(u[4 + i] & 0xffff0000u);
        }
    }
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < 16; k++)
            for (int c = 0; c < 8; c++)
                d[r][c] += a[r][k] * b[k][c];
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++)
            lanes.out[l].f[i] = d[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
}

/* ldmatrix: lane l gets of each tile row l / 4, columns 2 (l % 4) and the next; turned, column l /
 * 4 and those rows. */
void mv_emu_tiles(mv_emu_lanes &lanes, int transposed)
{
    for (int l = 0; l < 32; l++) {
        for (int tile = 0; tile < 4; tile++) {
            uint16_t two[2];
            for (int i = 0; i < 2; i++) {
                const int row = transposed ? l % 4 * 2 + i : l / 4;
                const int column = transposed ? l / 4 : l % 4 * 2 + i;
                const uint16_t *from = (const uint16_t *)lanes.in[tile * 8 + row].p;
                memcpy(&two[i], from + column, sizeof two[i]);
            }
            lanes.out[l].u[tile] = two[0] | (uint32_t)two[1] << 16;
        }
    }
}
