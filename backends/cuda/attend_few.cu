/* attend_few.cu - attention for few queries: the keys are split over blocks, 256 to each.
 *
 * A split is the 256 positions from a multiple of 256 on, wherever the query stands, so that a
 * result depends on the position and on nothing else. A block takes one row and up to 4 query heads
 * that share a key/value head. A thread has one key: it reads that key's row by itself, and no sum
 * crosses threads before the values. Where a query has several splits, each leaves (sum of weighed
 * values, highest score, sum of exponentials), and the last block to come joins them in their
 * order.
 *
 * Keys that the query may not see are not read.
 */
#include "backends/cuda/launch.cuh"

enum { THREADS_MOST = 256 };

template <typename T> struct few_args {
    mv_dims s;
    T *heads;
    const T *qkv, *ring_k, *ring_v;
    float *partial;
    uint32_t *counters;
    uint32_t n_splits_most;
    const mv_row *rows;
};

/* What a block works on. */
struct few_block {
    mv_row row;
    uint32_t row_index, kv_head, head, n_heads; /* query heads head ... head + n_heads - 1 */
    uint32_t split, n_splits;
    uint32_t from, n; /* keys: positions from ... from + n - 1 */
};

/* Shared memory, in floats: q [4, E], p [4, 256], m and l [4] each, two words, sums [groups, 4, E]
 */
MV_DEVICE float *q_of(float *shared)
{
    return shared;
}

MV_DEVICE float *p_of(float *shared, uint32_t head_dim)
{
    return shared + MV_GROUP_MAX * head_dim;
}

MV_DEVICE float *m_of(float *shared, uint32_t head_dim)
{
    return p_of(shared, head_dim) + MV_GROUP_MAX * MV_SPLIT_KEYS;
}

MV_DEVICE float *sums_of(float *shared, uint32_t head_dim)
{
    return m_of(shared, head_dim) + 2 * MV_GROUP_MAX + 4;
}

/* Threads that sum the values of one part of the keys: one for each V elements of a head. */
template <typename T, int V> MV_DEVICE uint32_t n_parts(uint32_t threads, uint32_t head_dim)
{
    return threads * V < head_dim ? 1 : threads * V / head_dim;
}

template <typename T, int V> MV_DEVICE float dot(const float *q, const T *k, uint32_t head_dim)
{
    float sum[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < head_dim; i += V) {
        if (V == 1) {
            sum[0] += q[i] * mv_to_float(k[i]);
            continue;
        }
        const mv_vec16 v = mv_load16(k + i);
        MV_UNROLL()
        for (int j = 0; j < V; j++)
            sum[j % 4] += q[i + j] * mv_element(v, j, k);
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

template <typename T> MV_DEVICE size_t ring_at(const few_args<T> &a, const few_block &b, uint32_t t)
{
    const size_t head = (size_t)b.row.sequence * a.s.n_kv_heads + b.kv_head;
    return (head * a.s.n_slots + (b.from + t) % a.s.n_slots) * a.s.head_dim;
}

/* The block's part; false if there is none. */
template <typename T> MV_DEVICE bool find_block(few_block &b, const few_args<T> &a)
{
    const mv_dims &s = a.s;
    const uint32_t group = s.n_heads / s.n_kv_heads;
    const uint32_t n_groups = (group + MV_GROUP_MAX - 1) / MV_GROUP_MAX;
    b.row_index = blockIdx.z;
    b.row = a.rows[b.row_index];
    b.split = blockIdx.x;
    b.kv_head = blockIdx.y / n_groups;
    const uint32_t before = blockIdx.y % n_groups * MV_GROUP_MAX, position = b.row.position;
    b.head = b.kv_head * group + before;
    b.n_heads = group - before;
    if (b.n_heads > MV_GROUP_MAX)
        b.n_heads = MV_GROUP_MAX;
#ifdef MV_FAULT_WINDOW
    const uint32_t window = s.window + 1;
#else
    const uint32_t window = s.window;
#endif
    const uint32_t oldest = s.window > 0 && position + 1 > window ? position + 1 - window : 0;
    const uint32_t first = oldest / MV_SPLIT_KEYS + b.split;
    b.n_splits = position / MV_SPLIT_KEYS - oldest / MV_SPLIT_KEYS + 1;
    if (b.split >= b.n_splits)
        return false;
    const uint32_t from = first * MV_SPLIT_KEYS, end = from + MV_SPLIT_KEYS;
    b.from = from > oldest ? from : oldest;
    b.n = (end < position + 1 ? end : position + 1) - b.from;
    return true;
}

/* p = exp(q k - highest), m = highest, l = sum of p, for each head. */
template <typename T, int V>
MV_DEVICE void weigh_keys(float *shared, const few_args<T> &a, const few_block &b)
{
    const uint32_t head_dim = a.s.head_dim;
    float *q = q_of(shared), *p = p_of(shared, head_dim), *m = m_of(shared, head_dim);
    const T *from = a.qkv + (size_t)b.row_index * a.s.ld_qkv + (size_t)b.head * head_dim;
    for (uint32_t i = threadIdx.x; i < b.n_heads * head_dim; i += blockDim.x)
        q[i] = mv_to_float(from[i]);
    __syncthreads();
    for (uint32_t t = threadIdx.x; t < b.n; t += blockDim.x)
        for (uint32_t h = 0; h < b.n_heads; h++)
            p[h * MV_SPLIT_KEYS + t] =
                dot<T, V>(q + h * head_dim, a.ring_k + ring_at(a, b, t), head_dim);
    __syncthreads();
    for (uint32_t h = threadIdx.x / 32; h < b.n_heads; h += blockDim.x / 32) {
        float *scores = p + h * MV_SPLIT_KEYS, highest = -INFINITY, sum[1] = {0};
        for (uint32_t t = threadIdx.x % 32; t < b.n; t += 32)
            highest = fmaxf(highest, scores[t]);
        highest = mv_warp_max(highest);
        for (uint32_t t = threadIdx.x % 32; t < b.n; t += 32) {
            scores[t] = mv_exp2((scores[t] - highest) * a.s.scale_log2);
            sum[0] += scores[t];
        }
        mv_warp_sum(sum);
        if (threadIdx.x % 32 == 0) {
            m[h] = highest;
            m[MV_GROUP_MAX + h] = sum[0];
        }
    }
    __syncthreads();
}

/* sums [part, head, E] = sum over the part's keys of p v. */
template <typename T, int V>
MV_DEVICE void weigh_values(float *shared, const few_args<T> &a, const few_block &b)
{
    const uint32_t head_dim = a.s.head_dim, n_columns = head_dim / V;
    const uint32_t parts = n_parts<T, V>(blockDim.x, head_dim);
    const float *p = p_of(shared, head_dim);
    for (uint32_t item = threadIdx.x; item < parts * n_columns; item += blockDim.x) {
        const uint32_t part = item / n_columns, column = item % n_columns * V;
        float acc[MV_GROUP_MAX][V] = {};
        for (uint32_t t = part; t < b.n; t += parts) {
            const T *v = a.ring_v + ring_at(a, b, t) + column;
            float value[V];
            if (V == 1) {
                value[0] = mv_to_float(v[0]);
            } else {
                const mv_vec16 some = mv_load16(v);
                MV_UNROLL()
                for (int i = 0; i < V; i++)
                    value[i] = mv_element(some, i, v);
            }
            MV_UNROLL()
            for (uint32_t h = 0; h < MV_GROUP_MAX; h++)
                if (h < b.n_heads) {
                    const float weight = p[h * MV_SPLIT_KEYS + t];
                    MV_UNROLL()
                    for (int i = 0; i < V; i++)
                        acc[h][i] += weight * value[i];
                }
        }
        float *to = sums_of(shared, head_dim) + (size_t)part * MV_GROUP_MAX * head_dim + column;
        MV_UNROLL()
        for (uint32_t h = 0; h < MV_GROUP_MAX; h++)
            MV_UNROLL()
        for (int i = 0; i < V; i++)
            to[h * head_dim + i] = acc[h][i];
    }
    __syncthreads();
}

/* partial [row, head, split]: E sums, m, l. */
template <typename T>
MV_DEVICE float *partial_of(const few_args<T> &a, const few_block &b, uint32_t head, uint32_t split)
{
    const size_t at = ((size_t)b.row_index * a.s.n_heads + b.head + head) * a.n_splits_most + split;
    return a.partial + at * (a.s.head_dim + 2);
}

/* Over the parts, in their order; to `heads` if this is the only split. */
template <typename T, int V>
MV_DEVICE void add_parts(float *shared, const few_args<T> &a, const few_block &b)
{
    const uint32_t head_dim = a.s.head_dim, parts = n_parts<T, V>(blockDim.x, head_dim);
    const float *sums = sums_of(shared, head_dim), *m = m_of(shared, head_dim);
    for (uint32_t i = threadIdx.x; i < b.n_heads * head_dim; i += blockDim.x) {
        const uint32_t head = i / head_dim, column = i % head_dim;
        float sum = 0;
        for (uint32_t part = 0; part < parts; part++)
            sum += sums[(size_t)part * MV_GROUP_MAX * head_dim + i];
        if (b.n_splits == 1) {
            T *to = a.heads + (size_t)b.row_index * a.s.ld_heads + (size_t)b.head * head_dim + i;
            mv_assign(*to, sum / m[MV_GROUP_MAX + head]);
            continue;
        }
        float *to = partial_of(a, b, head, b.split);
        to[column] = sum;
        if (column == 0) {
            to[head_dim] = m[head];
            to[head_dim + 1] = m[MV_GROUP_MAX + head];
        }
    }
}

/* Whether all other splits of this row and these heads are done. */
template <typename T>
MV_DEVICE bool is_last(float *shared, const few_args<T> &a, const few_block &b)
{
    unsigned *last = (unsigned *)(m_of(shared, a.s.head_dim) + 2 * MV_GROUP_MAX);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        uint32_t *counter = a.counters + (size_t)b.row_index * gridDim.y + blockIdx.y;
        *last = atomicAdd(counter, 1u) == b.n_splits - 1;
        if (*last != 0)
            *counter = 0; /* for the next kernel */
        __threadfence();
    }
    __syncthreads();
    return *last != 0;
}

template <typename T> MV_DEVICE void join_splits(const few_args<T> &a, const few_block &b)
{
    const uint32_t head_dim = a.s.head_dim;
    for (uint32_t i = threadIdx.x; i < b.n_heads * head_dim; i += blockDim.x) {
        const uint32_t head = i / head_dim, column = i % head_dim;
        const float *part = partial_of(a, b, head, 0);
        float highest = -INFINITY, sum = 0, total = 0;
        for (uint32_t split = 0; split < b.n_splits; split++)
            highest = fmaxf(highest, mv_load_shared_l2(part + split * (head_dim + 2) + head_dim));
        for (uint32_t split = 0; split < b.n_splits; split++, part += head_dim + 2) {
            const float m = mv_load_shared_l2(part + head_dim);
            const float factor = mv_exp2((m - highest) * a.s.scale_log2);
            sum += factor * mv_load_shared_l2(part + column);
            total += factor * mv_load_shared_l2(part + head_dim + 1);
        }
        mv_assign(a.heads[(size_t)b.row_index * a.s.ld_heads + (size_t)b.head * head_dim + i],
                  sum / total);
    }
}

template <typename T, int V> MV_KERNEL(THREADS_MOST, 2) attend_few_kernel(const few_args<T> a)
{
    MV_SHARED(float, shared);
    few_block b;
    mv_kernel_begin();
    if (!find_block(b, a))
        return;
    weigh_keys<T, V>(shared, a, b);
    weigh_values<T, V>(shared, a, b);
    add_parts<T, V>(shared, a, b);
    if (b.n_splits > 1 && is_last(shared, a, b))
        join_splits(a, b);
}

/* ---- host ---- */

uint32_t mv_splits_most(uint32_t window, uint32_t max_positions)
{
    uint32_t keys = window > 0 && window < max_positions ? window : max_positions;
    return (keys + MV_SPLIT_KEYS - 2) / MV_SPLIT_KEYS + 1; /* a window may begin anywhere */
}

template <typename T, int V>
static void launch_few(mv_device *d, const few_args<T> &a, uint32_t n_rows)
{
    const uint32_t most = mv_device_get_facts(d)->threads;
    const uint32_t threads = most < THREADS_MOST ? most : (uint32_t)THREADS_MOST;
    const uint32_t parts = threads * V < a.s.head_dim ? 1 : threads * V / a.s.head_dim;
    const uint32_t group = a.s.n_heads / a.s.n_kv_heads;
    const uint32_t n_groups = (group + MV_GROUP_MAX - 1) / MV_GROUP_MAX;
    const size_t floats = (size_t)MV_GROUP_MAX * (a.s.head_dim + MV_SPLIT_KEYS) + 2 * MV_GROUP_MAX +
                          4 + (size_t)parts * MV_GROUP_MAX * a.s.head_dim;
    const mv_shape shape = {{a.n_splits_most, a.s.n_kv_heads * n_groups, n_rows},
                            threads,
                            floats * sizeof(float),
                            false};
    mv_launch(d, "attend_few", shape, attend_few_kernel<T, V>, a);
}

template <typename T>
static void attend_few(mv_device *d, const mv_dims *s, void *heads, const void *qkv,
                       const mv_ring *ring, const mv_splits *splits, const mv_row *rows,
                       uint32_t n_rows)
{
    constexpr int V = 16 / sizeof(T);
    const few_args<T> a = {*s,
                           (T *)heads,
                           (const T *)qkv,
                           (const T *)ring->k,
                           (const T *)ring->v,
                           splits->partial,
                           splits->counters,
                           splits->n_splits,
                           rows};
    if (s->head_dim % V == 0)
        launch_few<T, V>(d, a, n_rows);
    else
        launch_few<T, 1>(d, a, n_rows);
}

void mv_kernel_attend_few(mv_device *d, mv_dtype dtype, const mv_dims *s, void *heads,
                          const void *qkv, const mv_ring *ring, const mv_splits *splits,
                          const mv_row *rows, uint32_t n_rows)
{
    if (dtype == MV_DTYPE_BF16)
        attend_few<mv_bf16>(d, s, heads, qkv, ring, splits, rows, n_rows);
    else
        attend_few<float>(d, s, heads, qkv, ring, splits, rows, n_rows);
}
