/* attend_mma.cu - attention for many queries on the tensor cores, in bfloat16 with float32 sums.
 *
 * A block of 4 warps takes 64 queries of one head, 16 a warp, held in registers. Keys and values
 * come in tiles of 64 positions from a multiple of 64 on (the ring is a multiple of 64 slots: a
 * tile lies in one piece), copied asynchronously into two buffers in turn. Softmax is online, in
 * base 2. A probability is rounded to bfloat16 before it multiplies a value; the sums of
 * probabilities are not.
 *
 * Only tiles that some query of the block sees in part are masked. There a tensor core multiplies
 * 0 by the values that a query may not see, and 0 times NaN is NaN: values that are not finite are
 * replaced by 0 in such tiles, and the queries that do see them get NaN.
 */
#include "backends/cuda/launch.cuh"

enum { WARPS = 4, Q = MV_TILE_MMA, KEYS = MV_KEY_TILE };

struct mma_args {
    mv_dims s;
    mv_bf16 *heads;
    const mv_bf16 *qkv, *ring_k, *ring_v;
    const mv_tile *tiles;
};

/* Shared memory: two buffers [KEYS, LD] of keys, two of values, and a bit for each key whose values
 * are not all finite. Rows are 16 bytes longer than a head: eight of them are in different banks.
 */
template <int E> MV_DEVICE mv_bf16 *keys_of(mv_bf16 *shared, uint32_t stage)
{
    return shared + stage * KEYS * (E + 8);
}

template <int E> MV_DEVICE mv_bf16 *values_of(mv_bf16 *shared, uint32_t stage)
{
    return shared + (2 + stage) * KEYS * (E + 8);
}

template <int E> MV_DEVICE unsigned *bad_of(mv_bf16 *shared)
{
    return (unsigned *)(void *)(shared + 4 * KEYS * (E + 8));
}

/* What a lane keeps of its two rows, g and g + 8 of the warp's 16 (g = lane / 4). */
template <int E> struct mma_state {
    uint32_t q[E / 16][4];
    float out[E / 8][4]; /* columns 8 n + 2 (lane % 4) and the next, of both rows */
    float highest[2], sum[2];
};

/* The tile's queries, by way of the first keys' room, to registers. */
template <int E>
MV_DEVICE void load_queries(mma_state<E> &st, mv_bf16 *room, const mma_args &a, const mv_tile &tile)
{
    constexpr int LD = E + 8, CHUNKS = E / 8;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const mv_bf16 *q = a.qkv + (size_t)tile.row * a.s.ld_qkv + (size_t)blockIdx.y * E;
    for (uint32_t i = threadIdx.x; i < Q * CHUNKS; i += WARPS * 32) {
        const uint32_t row = i / CHUNKS, at = i % CHUNKS * 8;
        const bool there = row < tile.n;
        mv_copy_async(room + row * LD + at, q + (there ? row : 0) * (size_t)a.s.ld_qkv + at, there);
    }
    mv_copy_commit();
    mv_copy_wait<0>();
    __syncthreads();
    MV_UNROLL()
    for (int k = 0; k < E / 16; k++)
        mv_load_tiles<false>(st.q[k],
                             room + (warp * 16 + lane % 16) * LD + k * 16 + (lane / 16) * 8);
    __syncthreads();
}

/* Positions base ... base + 63; zeros outside of oldest ... newest. */
template <int E>
MV_DEVICE void load_tile(mv_bf16 *k, mv_bf16 *v, const mma_args &a, size_t head, uint32_t base,
                         uint32_t oldest, uint32_t newest)
{
    constexpr int LD = E + 8, CHUNKS = E / 8;
    const size_t at = (head * a.s.n_slots + base % a.s.n_slots) * E;
    for (uint32_t i = threadIdx.x; i < KEYS * CHUNKS; i += WARPS * 32) {
        const uint32_t row = i / CHUNKS, column = i % CHUNKS * 8;
        const bool there = base + row >= oldest && base + row <= newest;
        const size_t from = at + (there ? row : 0) * E + column;
        mv_copy_async(k + row * LD + column, a.ring_k + from, there);
        mv_copy_async(v + row * LD + column, a.ring_v + from, there);
    }
    mv_copy_commit();
}

/* Replaces values that are not finite by 0, and marks their keys. */
template <int E> MV_DEVICE void clean_values(mv_bf16 *v, unsigned *bad)
{
    constexpr int LD = E + 8, CHUNKS = E / 8;
    for (uint32_t i = threadIdx.x; i < KEYS * CHUNKS; i += WARPS * 32) {
        const uint32_t row = i / CHUNKS;
        mv_bf16 *at = v + row * LD + i % CHUNKS * 8;
        mv_vec16 some = mv_load16(at);
        bool found = false;
        MV_UNROLL()
        for (int j = 0; j < 4; j++) {
            const uint32_t w = some.word[j];
            const bool low = (w & 0x7f80u) == 0x7f80u, high = (w & 0x7f800000u) == 0x7f800000u;
            some.word[j] = (low ? 0 : w & 0xffffu) | (high ? 0 : w & 0xffff0000u);
            found = found || low || high;
        }
        if (found) {
            mv_store16(at, some);
            atomicOr(&bad[row / 32], 1u << row % 32);
        }
    }
    __syncthreads();
}

/* scores [16, 64] of a warp: q k */
template <int E>
MV_DEVICE void score_tile(float (&s)[KEYS / 8][4], const mma_state<E> &st, const mv_bf16 *k)
{
    constexpr int LD = E + 8;
    const uint32_t lane = threadIdx.x % 32;
    MV_UNROLL()
    for (int n = 0; n < KEYS / 8; n++)
        MV_UNROLL()
    for (int e = 0; e < 4; e++)
        s[n][e] = 0;
    MV_UNROLL()
    for (int i = 0; i < E / 16; i++)
        MV_UNROLL()
    for (int n = 0; n < KEYS / 8; n += 2) {
        uint32_t b[4];
        mv_load_tiles<false>(b, k + ((n + lane / 16) * 8 + lane % 8) * LD + i * 16 +
                                    (lane / 8 % 2) * 8);
        mv_mma(s[n], st.q[i], b[0], b[1]);
        mv_mma(s[n + 1], st.q[i], b[2], b[3]);
    }
}

/* Position of the first key that the query at `position` sees. */
MV_DEVICE uint32_t oldest_of(uint32_t position, uint32_t window)
{
#ifdef MV_FAULT_MMA_WINDOW
    if (window > 0)
        window++;
#endif
    return window > 0 && position + 1 > window ? position + 1 - window : 0;
}

/* What a query may not see gets a score of -infinity. */
MV_DEVICE void mask_tile(float (&s)[KEYS / 8][4], uint32_t first_row, uint32_t base,
                         uint32_t window)
{
    const uint32_t column = threadIdx.x % 4 * 2;
    const uint32_t oldest[2] = {oldest_of(first_row, window), oldest_of(first_row + 8, window)};
    MV_UNROLL()
    for (int n = 0; n < KEYS / 8; n++)
        MV_UNROLL()
    for (int e = 0; e < 4; e++) {
        const uint32_t key = base + n * 8 + column + e % 2, row = first_row + e / 2 * 8;
        if (key > row || key < oldest[e / 2])
            s[n][e] = -INFINITY;
    }
}

/* Scores become probabilities below the highest so far; what was there before is rescaled. A row of
 * which nothing was seen yet has highest = -infinity, and 0 is taken for it. */
template <int E>
MV_DEVICE void soften_tile(mma_state<E> &st, float (&s)[KEYS / 8][4], float scale_log2)
{
    float highest[2] = {st.highest[0], st.highest[1]}, from[2];
    MV_UNROLL()
    for (int n = 0; n < KEYS / 8; n++)
        MV_UNROLL()
    for (int e = 0; e < 4; e++)
        highest[e / 2] = fmaxf(highest[e / 2], s[n][e]);
    MV_UNROLL()
    for (int r = 0; r < 2; r++) {
        highest[r] = mv_quad_max(highest[r]);
        from[r] = highest[r] == -INFINITY ? 0.0f : highest[r];
        const float factor = mv_exp2((st.highest[r] - from[r]) * scale_log2);
        st.highest[r] = highest[r];
        st.sum[r] *= factor;
        MV_UNROLL()
        for (int n = 0; n < E / 8; n++) {
            st.out[n][2 * r] *= factor;
            st.out[n][2 * r + 1] *= factor;
        }
    }
    MV_UNROLL()
    for (int n = 0; n < KEYS / 8; n++)
        MV_UNROLL()
    for (int e = 0; e < 4; e++) {
        s[n][e] = mv_exp2((s[n][e] - from[e / 2]) * scale_log2);
        st.sum[e / 2] += s[n][e];
    }
}

template <int E>
MV_DEVICE void add_values(mma_state<E> &st, const float (&p)[KEYS / 8][4], const mv_bf16 *v)
{
    constexpr int LD = E + 8;
    const uint32_t lane = threadIdx.x % 32;
    MV_UNROLL()
    for (int k = 0; k < KEYS / 16; k++) {
        const uint32_t a[4] = {mv_pack(p[2 * k][0], p[2 * k][1]), mv_pack(p[2 * k][2], p[2 * k][3]),
                               mv_pack(p[2 * k + 1][0], p[2 * k + 1][1]),
                               mv_pack(p[2 * k + 1][2], p[2 * k + 1][3])};
        MV_UNROLL()
        for (int n = 0; n < E / 8; n += 2) {
            uint32_t b[4];
            mv_load_tiles<true>(b, v + (k * 16 + lane % 16) * LD + n * 8 + (lane / 16) * 8);
            mv_mma(st.out[n], a, b[0], b[1]);
            mv_mma(st.out[n + 1], a, b[2], b[3]);
        }
    }
}

/* Rows that see a key with values that are not finite become NaN. */
template <int E>
MV_DEVICE void spoil_rows(mma_state<E> &st, const unsigned *bad, uint32_t first_row, uint32_t base,
                          uint32_t window)
{
    const uint64_t all = bad[0] | (uint64_t)bad[1] << 32;
    if (all == 0)
        return;
    MV_UNROLL()
    for (int r = 0; r < 2; r++) {
        const uint32_t row = first_row + r * 8, oldest = oldest_of(row, window);
        for (uint32_t i = 0; i < KEYS; i++)
            if ((all >> i & 1) != 0 && base + i >= oldest && base + i <= row)
                st.sum[r] = mv_from_bits(0x7fc00000u);
    }
}

template <int E> MV_DEVICE void write_rows(mma_state<E> &st, const mma_args &a, const mv_tile &tile)
{
    const uint32_t lane = threadIdx.x % 32;
    MV_UNROLL()
    for (int r = 0; r < 2; r++) {
        const uint32_t row = threadIdx.x / 32 * 16 + lane / 4 + r * 8;
        const float factor = 1.0f / mv_quad_sum(st.sum[r]);
        mv_bf16 *to = a.heads + (size_t)(tile.row + row) * a.s.ld_heads + (size_t)blockIdx.y * E +
                      lane % 4 * 2;
        if (row < tile.n) {
            MV_UNROLL()
            for (int n = 0; n < E / 8; n++)
                *(uint32_t *)(void *)(to + n * 8) =
                    mv_pack(st.out[n][2 * r] * factor, st.out[n][2 * r + 1] * factor);
        }
    }
}

template <int E> MV_KERNEL(WARPS * 32, 2) attend_mma_kernel(const mma_args a)
{
    MV_SHARED(mv_bf16, shared);
    mv_kernel_begin();
    unsigned *bad = bad_of<E>(shared);
    const mv_tile tile = a.tiles[blockIdx.x];
    const uint32_t window = a.s.window, newest = tile.position + tile.n - 1;
    const uint32_t oldest = oldest_of(tile.position, window);
    const size_t head =
        (size_t)tile.sequence * a.s.n_kv_heads + blockIdx.y / (a.s.n_heads / a.s.n_kv_heads);
    const uint32_t first_row = tile.position + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    mma_state<E> st = {};
    st.highest[0] = st.highest[1] = -INFINITY;
    load_queries(st, keys_of<E>(shared, 0), a, tile);
    uint32_t base = oldest / KEYS * KEYS, stage = 0;
    load_tile<E>(keys_of<E>(shared, 0), values_of<E>(shared, 0), a, head, base, oldest, newest);
    for (; base <= newest; base += KEYS, stage ^= 1) {
        const bool partly = base + KEYS - 1 > tile.position || base < oldest_of(newest, window);
        float s[KEYS / 8][4];
        if (base + KEYS <= newest)
            load_tile<E>(keys_of<E>(shared, stage ^ 1), values_of<E>(shared, stage ^ 1), a, head,
                         base + KEYS, oldest, newest);
        else
            mv_copy_commit(); /* of nothing, so that the count below holds */
        if (threadIdx.x == 0)
            bad[0] = bad[1] = 0;
        mv_copy_wait<1>();
        __syncthreads();
        if (partly)
            clean_values<E>(values_of<E>(shared, stage), bad);
        score_tile(s, st, keys_of<E>(shared, stage));
        if (partly)
            mask_tile(s, first_row, base, window);
        soften_tile(st, s, a.s.scale_log2);
        add_values(st, s, values_of<E>(shared, stage));
        if (partly)
            spoil_rows(st, bad, first_row, base, window);
#ifndef MV_FAULT_MMA_REUSE
        __syncthreads(); /* the next copy goes where this tile was */
#endif
    }
    mv_copy_wait<0>();
    write_rows(st, a, tile);
}

/* ---- host ---- */

template <int E> static void attend(mv_device *d, const mma_args &a, uint32_t n_tiles)
{
    const size_t bytes = 4 * (size_t)KEYS * (E + 8) * sizeof(mv_bf16) + 2 * sizeof(unsigned);
    const mv_shape shape = {{n_tiles, a.s.n_heads, 1}, WARPS * 32, bytes, false};
    mv_launch(d, "attend_mma", shape, attend_mma_kernel<E>, a);
}

/* False if it is not made for this head_dim. */
bool mv_attend_mma(mv_device *d, const mv_dims *s, void *heads, const void *qkv,
                   const mv_ring *ring, const mv_tile *tiles, uint32_t n_tiles)
{
    const mma_args a = {*s,
                        (mv_bf16 *)heads,
                        (const mv_bf16 *)qkv,
                        (const mv_bf16 *)ring->k,
                        (const mv_bf16 *)ring->v,
                        tiles};
    switch (s->head_dim) {
    case 16:
        attend<16>(d, a, n_tiles);
        return true;
    case 32:
        attend<32>(d, a, n_tiles);
        return true;
    case 64:
        attend<64>(d, a, n_tiles);
        return true;
    case 128:
        attend<128>(d, a, n_tiles);
        return true;
    default:
        return false;
    }
}
