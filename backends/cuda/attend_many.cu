/* attend_many.cu - attention for many queries in float32, or of a head_dim that the tensor cores'
 * kernel is not made for. It is there to be right; attend_mma.cu is there to be fast.
 *
 * A block takes 16 queries of one head. Keys and values come in tiles of 64 positions from a
 * multiple of 64 on; the ring is a multiple of 64 slots, so that a tile lies in one piece. Softmax
 * is online: a query keeps its highest score, the sum of exponentials, and its weighed values.
 *
 * A query and a key that it may not see are never multiplied, not even to be masked: 0 times NaN is
 * NaN.
 */
#include "backends/cuda/launch.cuh"

template <typename T> struct many_args {
    mv_dims s;
    T *heads;
    const T *qkv, *ring_k, *ring_v;
    const mv_tile *tiles;
};

/* Shared memory, in floats, rows one longer than they need, so that a column is in 32 banks. */
struct many_room {
    float *q, *out;                /* [16, E] */
    float *k, *v;                  /* [64, E + 1] */
    float *p;                      /* [16, 64 + 1] */
    float *highest, *sum, *factor; /* [16] */
};

MV_DEVICE many_room lay_out(float *shared, uint32_t head_dim)
{
    many_room r;
    r.q = shared;
    r.out = r.q + MV_TILE_F32 * head_dim;
    r.k = r.out + MV_TILE_F32 * head_dim;
    r.v = r.k + MV_KEY_TILE * (head_dim + 1);
    r.p = r.v + MV_KEY_TILE * (head_dim + 1);
    r.highest = r.p + MV_TILE_F32 * (MV_KEY_TILE + 1);
    r.sum = r.highest + MV_TILE_F32;
    r.factor = r.sum + MV_TILE_F32;
    return r;
}

static size_t room_bytes(uint32_t head_dim)
{
    return sizeof(float) *
           (2 * (size_t)MV_TILE_F32 * head_dim + 2 * (size_t)MV_KEY_TILE * (head_dim + 1) +
            MV_TILE_F32 * (MV_KEY_TILE + 1) + 3 * MV_TILE_F32);
}

/* Keys that a query sees, as columns of a tile that begins at `base`: from ... to - 1. */
MV_DEVICE void visible(uint32_t &from, uint32_t &to, uint32_t query, uint32_t base, uint32_t window)
{
#ifdef MV_FAULT_WINDOW
    if (window > 0)
        window++;
#endif
    const uint32_t oldest = window > 0 && query + 1 > window ? query + 1 - window : 0;
    from = oldest > base ? oldest - base : 0;
    to = query < base ? 0 : query - base + 1;
    if (from > MV_KEY_TILE)
        from = MV_KEY_TILE;
    if (to > MV_KEY_TILE)
        to = MV_KEY_TILE;
}

template <typename T>
MV_DEVICE void load_keys(const many_room &r, const many_args<T> &a, const mv_tile &tile,
                         uint32_t kv_head, uint32_t base, uint32_t oldest)
{
    const uint32_t head_dim = a.s.head_dim, newest = tile.position + tile.n - 1;
    const size_t head = (size_t)tile.sequence * a.s.n_kv_heads + kv_head;
    const size_t at = (head * a.s.n_slots + base % a.s.n_slots) * head_dim;
    for (uint32_t i = threadIdx.x; i < MV_KEY_TILE * head_dim; i += blockDim.x) {
        const uint32_t row = i / head_dim, to = row * (head_dim + 1) + i % head_dim;
        if (base + row < oldest || base + row > newest)
            continue; /* nobody reads it */
        r.k[to] = mv_to_float(a.ring_k[at + i]);
        r.v[to] = mv_to_float(a.ring_v[at + i]);
    }
}

/* p = q k for the keys that each query sees. */
MV_DEVICE void score_tile(const many_room &r, const mv_tile &tile, uint32_t head_dim, uint32_t base,
                          uint32_t window)
{
    for (uint32_t i = threadIdx.x; i < MV_TILE_F32 * MV_KEY_TILE; i += blockDim.x) {
        const uint32_t query = i / MV_KEY_TILE, key = i % MV_KEY_TILE;
        const float *q = r.q + query * head_dim, *k = r.k + key * (head_dim + 1);
        uint32_t from, to;
        visible(from, to, tile.position + query, base, window);
        if (query >= tile.n || key < from || key >= to)
            continue;
        float even = 0, odd = 0; /* head_dim is even */
        for (uint32_t j = 0; j < head_dim; j += 2) {
            even += q[j] * k[j];
            odd += q[j + 1] * k[j + 1];
        }
        r.p[query * (MV_KEY_TILE + 1) + key] = even + odd;
    }
}

/* p = exp(p - highest so far); how what was there before shrinks. One thread a query. */
MV_DEVICE void soften_tile(const many_room &r, const mv_tile &tile, uint32_t base, const mv_dims &s)
{
    for (uint32_t query = threadIdx.x; query < tile.n; query += blockDim.x) {
        float *p = r.p + query * (MV_KEY_TILE + 1), highest = r.highest[query], sum = 0;
        uint32_t from, to;
        visible(from, to, tile.position + query, base, s.window);
        for (uint32_t key = from; key < to; key++)
            highest = fmaxf(highest, p[key]);
        const bool first = r.sum[query] == 0; /* else at least 1, or NaN, which stays */
        r.factor[query] = first ? 0.0f : mv_exp2((r.highest[query] - highest) * s.scale_log2);
        for (uint32_t key = from; key < to; key++) {
            p[key] = mv_exp2((p[key] - highest) * s.scale_log2);
            sum += p[key];
        }
        r.sum[query] = r.sum[query] * r.factor[query] + sum;
        r.highest[query] = highest;
    }
}

MV_DEVICE void add_values(const many_room &r, const mv_tile &tile, uint32_t head_dim, uint32_t base,
                          uint32_t window)
{
    for (uint32_t i = threadIdx.x; i < tile.n * head_dim; i += blockDim.x) {
        const uint32_t query = i / head_dim, column = i % head_dim;
        const float *p = r.p + query * (MV_KEY_TILE + 1);
        float sum = r.out[i] * r.factor[query];
        uint32_t from, to;
        visible(from, to, tile.position + query, base, window);
        for (uint32_t key = from; key < to; key++)
            sum += p[key] * r.v[key * (head_dim + 1) + column];
        r.out[i] = sum;
    }
}

template <typename T> MV_KERNEL(1024, 1) attend_many_kernel(const many_args<T> a)
{
    MV_SHARED(float, shared);
    mv_kernel_begin();
    const mv_tile tile = a.tiles[blockIdx.x];
    const uint32_t head = blockIdx.y, head_dim = a.s.head_dim, window = a.s.window;
    const uint32_t kv_head = head / (a.s.n_heads / a.s.n_kv_heads);
    const uint32_t newest = tile.position + tile.n - 1;
    const uint32_t oldest =
        window > 0 && tile.position + 1 > window ? tile.position + 1 - window : 0;
    const many_room r = lay_out(shared, head_dim);
    for (uint32_t i = threadIdx.x; i < tile.n * head_dim; i += blockDim.x) {
        const size_t row = tile.row + i / head_dim;
        r.q[i] = mv_to_float(a.qkv[row * a.s.ld_qkv + (size_t)head * head_dim + i % head_dim]);
        r.out[i] = 0;
    }
    for (uint32_t query = threadIdx.x; query < tile.n; query += blockDim.x) {
        r.highest[query] = -INFINITY;
        r.sum[query] = 0;
    }
    for (uint32_t base = oldest / MV_KEY_TILE * MV_KEY_TILE; base <= newest; base += MV_KEY_TILE) {
        __syncthreads(); /* all have done with the tile before */
        load_keys(r, a, tile, kv_head, base, oldest);
        __syncthreads();
        score_tile(r, tile, head_dim, base, window);
#ifndef MV_FAULT_MANY_BARRIER
        __syncthreads();
#endif
        soften_tile(r, tile, base, a.s);
        __syncthreads();
        add_values(r, tile, head_dim, base, window);
    }
    /* Each thread divides what it has summed itself. */
    for (uint32_t i = threadIdx.x; i < tile.n * head_dim; i += blockDim.x) {
        const size_t row = tile.row + i / head_dim;
        mv_assign(a.heads[row * a.s.ld_heads + (size_t)head * head_dim + i % head_dim],
                  r.out[i] / r.sum[i / head_dim]);
    }
}

/* ---- host ---- */

template <typename T>
static void attend_many(mv_device *d, const mv_dims *s, void *heads, const void *qkv,
                        const mv_ring *ring, const mv_tile *tiles, uint32_t n_tiles)
{
    const many_args<T> a = {
        *s, (T *)heads, (const T *)qkv, (const T *)ring->k, (const T *)ring->v, tiles};
    const mv_shape shape = {
        {n_tiles, s->n_heads, 1}, mv_threads_of(d), room_bytes(s->head_dim), false};
    mv_launch(d, "attend_many", shape, attend_many_kernel<T>, a);
}

/* attend_mma.cu */
bool mv_attend_mma(mv_device *d, const mv_dims *s, void *heads, const void *qkv,
                   const mv_ring *ring, const mv_tile *tiles, uint32_t n_tiles);

uint32_t mv_attend_tile(mv_dtype dtype, uint32_t head_dim)
{
    const bool made = head_dim == 16 || head_dim == 32 || head_dim == 64 || head_dim == 128;
    return dtype == MV_DTYPE_BF16 && made ? MV_TILE_MMA : MV_TILE_F32;
}

void mv_kernel_attend_many(mv_device *d, mv_dtype dtype, const mv_dims *s, void *heads,
                           const void *qkv, const mv_ring *ring, const mv_tile *tiles,
                           uint32_t n_tiles)
{
    if (dtype == MV_DTYPE_F32)
        attend_many<float>(d, s, heads, qkv, ring, tiles, n_tiles);
    else if (!mv_attend_mma(d, s, heads, qkv, ring, tiles, n_tiles))
        attend_many<mv_bf16>(d, s, heads, qkv, ring, tiles, n_tiles);
}
