/* rows.cu - what happens to a row between the products: one block or more a row. */
#include "backends/cuda/launch.cuh"

/* ---- embedding ---- */

template <typename T>
MV_KERNEL(1024, 1)
embed_kernel(float *MV_RESTRICT x, const T *MV_RESTRICT table, const mv_row *rows, uint32_t dim,
             uint32_t ld)
{
    mv_kernel_begin();
    const uint32_t row = blockIdx.x, i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < dim)
        x[(size_t)row * dim + i] = mv_to_float(table[(size_t)rows[row].token * ld + i]);
}

void mv_kernel_embed(mv_device *d, mv_dtype dtype, const mv_dims *s, float *x, const void *table,
                     const mv_row *rows, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, s->dim, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "embed", shape, embed_kernel<mv_bf16>, x, (const mv_bf16 *)table, rows, s->dim,
                  s->ld_dim);
    else
        mv_launch(d, "embed", shape, embed_kernel<float>, x, (const float *)table, rows, s->dim,
                  s->ld_dim);
}

MV_KERNEL(1024, 1)
pick_kernel(float *MV_RESTRICT to, const float *MV_RESTRICT from, const uint32_t *index,
            uint32_t dim)
{
    mv_kernel_begin();
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < dim)
        to[(size_t)blockIdx.x * dim + i] = from[(size_t)index[blockIdx.x] * dim + i];
}

void mv_kernel_pick(mv_device *d, const mv_dims *s, float *to, const float *from,
                    const uint32_t *index, uint32_t n_rows)
{
    mv_launch(d, "pick", mv_flat_shape(d, s->dim, n_rows), pick_kernel, to, from, index, s->dim);
}

/* ---- norm ---- */

/* out = x / sqrt(mean(x^2) + eps) * weight; one rounding, at the end. */
template <typename T>
MV_KERNEL(1024, 1)
norm_kernel(T *MV_RESTRICT out, const float *MV_RESTRICT x, const float *MV_RESTRICT weight,
            const uint32_t *index, uint32_t dim, uint32_t ld, float eps)
{
    MV_SHARED(float, sums); /* [warps] */
    mv_kernel_begin();
    const uint32_t row = index != NULL ? index[blockIdx.x] : blockIdx.x;
    float sum[1] = {0};
    x += (size_t)row * dim;
    out += (size_t)blockIdx.x * ld;
    for (uint32_t i = threadIdx.x; i < dim; i += blockDim.x)
        sum[0] += x[i] * x[i];
    mv_warp_sum(sum);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = sum[0];
#ifndef MV_FAULT_NORM_BARRIER
    __syncthreads();
#endif
    float total = 0;
    for (uint32_t w = 0; w < blockDim.x / 32; w++)
        total += sums[w];
    const float factor = 1.0f / sqrtf(total / (float)dim + eps);
    for (uint32_t i = threadIdx.x; i < dim; i += blockDim.x)
        mv_assign(out[i], x[i] * factor * weight[i]);
}

void mv_kernel_norm(mv_device *d, mv_dtype dtype, const mv_dims *s, void *out, const float *x,
                    const float *weight, const uint32_t *index, uint32_t n_rows)
{
    const uint32_t threads = mv_threads_of(d);
    const mv_shape shape = {{n_rows, 1, 1}, threads, threads / 32 * sizeof(float), false};
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "norm", shape, norm_kernel<mv_bf16>, (mv_bf16 *)out, x, weight, index, s->dim,
                  s->ld_dim, s->eps);
    else
        mv_launch(d, "norm", shape, norm_kernel<float>, (float *)out, x, weight, index, s->dim,
                  s->ld_dim, s->eps);
}

/* ---- rotary position embedding, and the ring ---- */

/* A thread turns one pair (2i, 2i+1) of q or k, or passes on one of v. */
template <typename T>
MV_KERNEL(1024, 1)
append_kernel(const mv_dims s, T *MV_RESTRICT qkv, T *MV_RESTRICT ring_k, T *MV_RESTRICT ring_v,
              const float *MV_RESTRICT turns, const mv_row *rows, bool turn)
{
    mv_kernel_begin();
    const uint32_t half = s.head_dim / 2, n_all = s.n_heads + 2 * s.n_kv_heads;
    const uint32_t item = blockIdx.y * blockDim.x + threadIdx.x;
    if (item >= n_all * half)
        return;
    const uint32_t head = item / half, pair = item % half * 2;
    const mv_row row = rows[blockIdx.x];
    T *at = qkv + (size_t)blockIdx.x * s.ld_qkv + (size_t)head * s.head_dim + pair;
    T two[2] = {at[0], at[1]};
    if (turn && head < s.n_heads + s.n_kv_heads) {
        const float *angle = turns + (size_t)row.position * s.head_dim + pair;
        const float a = mv_to_float(two[0]), b = mv_to_float(two[1]);
        mv_assign(two[0], a * angle[0] - b * angle[1]);
        mv_assign(two[1], a * angle[1] + b * angle[0]);
        at[0] = two[0];
        at[1] = two[1];
    }
    if (head < s.n_heads)
        return;
    const bool is_key = head < s.n_heads + s.n_kv_heads;
    const uint32_t kv_head = head - s.n_heads - (is_key ? 0 : s.n_kv_heads);
    T *to = is_key ? ring_k : ring_v;
    to += (((size_t)row.sequence * s.n_kv_heads + kv_head) * s.n_slots + row.position % s.n_slots) *
              s.head_dim +
          pair;
    to[0] = two[0];
    to[1] = two[1];
}

void mv_kernel_append(mv_device *d, mv_dtype dtype, const mv_dims *s, void *qkv,
                      const mv_ring *ring, const float *turns, const mv_row *rows, uint32_t n_rows,
                      bool turn)
{
    const uint64_t n = (uint64_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim / 2;
    const mv_shape shape = mv_flat_shape(d, n, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "append", shape, append_kernel<mv_bf16>, *s, (mv_bf16 *)qkv,
                  (mv_bf16 *)ring->k, (mv_bf16 *)ring->v, turns, rows, turn);
    else
        mv_launch(d, "append", shape, append_kernel<float>, *s, (float *)qkv, (float *)ring->k,
                  (float *)ring->v, turns, rows, turn);
}

/* ---- feed forward ---- */

MV_DEVICE float silu(float x)
{
    return x / (1.0f + expf(-x));
}

template <typename T>
MV_KERNEL(1024, 1)
swiglu_kernel(T *MV_RESTRICT hidden, const T *MV_RESTRICT gate_up, uint32_t hidden_dim, uint32_t ld)
{
    mv_kernel_begin();
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= hidden_dim)
        return;
    const T *two = gate_up + ((size_t)blockIdx.x * hidden_dim + i) * 2;
    mv_assign(hidden[(size_t)blockIdx.x * ld + i], silu(mv_to_float(two[0])) * mv_to_float(two[1]));
}

void mv_kernel_swiglu(mv_device *d, mv_dtype dtype, const mv_dims *s, void *hidden,
                      const void *gate_up, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, s->hidden_dim, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "swiglu", shape, swiglu_kernel<mv_bf16>, (mv_bf16 *)hidden,
                  (const mv_bf16 *)gate_up, s->hidden_dim, s->ld_ff);
    else
        mv_launch(d, "swiglu", shape, swiglu_kernel<float>, (float *)hidden, (const float *)gate_up,
                  s->hidden_dim, s->ld_ff);
}

/* ---- for taps ---- */

template <typename T>
MV_KERNEL(1024, 1)
split_gate_kernel(float *MV_RESTRICT gate, float *MV_RESTRICT up, const T *MV_RESTRICT gate_up,
                  uint32_t hidden_dim)
{
    mv_kernel_begin();
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= hidden_dim)
        return;
    const size_t at = (size_t)blockIdx.x * hidden_dim + i;
    gate[at] = silu(mv_to_float(gate_up[2 * at]));
    up[at] = mv_to_float(gate_up[2 * at + 1]);
}

void mv_kernel_split_gate(mv_device *d, mv_dtype dtype, const mv_dims *s, float *gate, float *up,
                          const void *gate_up, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, s->hidden_dim, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "split_gate", shape, split_gate_kernel<mv_bf16>, gate, up,
                  (const mv_bf16 *)gate_up, s->hidden_dim);
    else
        mv_launch(d, "split_gate", shape, split_gate_kernel<float>, gate, up,
                  (const float *)gate_up, s->hidden_dim);
}

template <typename T>
MV_KERNEL(1024, 1)
join_gate_kernel(T *MV_RESTRICT hidden, const float *MV_RESTRICT gate, const float *MV_RESTRICT up,
                 uint32_t hidden_dim, uint32_t ld)
{
    mv_kernel_begin();
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    const size_t at = (size_t)blockIdx.x * hidden_dim + i;
    if (i < hidden_dim)
        mv_assign(hidden[(size_t)blockIdx.x * ld + i], gate[at] * up[at]);
}

void mv_kernel_join_gate(mv_device *d, mv_dtype dtype, const mv_dims *s, void *hidden,
                         const float *gate, const float *up, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, s->hidden_dim, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "join_gate", shape, join_gate_kernel<mv_bf16>, (mv_bf16 *)hidden, gate, up,
                  s->hidden_dim, s->ld_ff);
    else
        mv_launch(d, "join_gate", shape, join_gate_kernel<float>, (float *)hidden, gate, up,
                  s->hidden_dim, s->ld_ff);
}

MV_KERNEL(1024, 1) add_kernel(float *MV_RESTRICT x, const float *MV_RESTRICT update, size_t n)
{
    mv_kernel_begin();
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] += update[i];
}

void mv_kernel_add(mv_device *d, float *x, const float *update, size_t n)
{
    const uint32_t threads = mv_threads_of(d);
    const mv_shape shape = {{(uint32_t)((n + threads - 1) / threads), 1, 1}, threads, 0, true};
    mv_launch(d, "add", shape, add_kernel, x, update, n);
}

template <typename To, typename From>
MV_KERNEL(1024, 1)
convert_kernel(To *MV_RESTRICT to, size_t ld_to, const From *MV_RESTRICT from, size_t ld_from,
               uint32_t n_cols)
{
    mv_kernel_begin();
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < n_cols)
        mv_assign(to[blockIdx.x * ld_to + i], mv_to_float(from[blockIdx.x * ld_from + i]));
}

void mv_kernel_to_f32(mv_device *d, mv_dtype dtype, float *to, const void *from, size_t ld,
                      uint32_t n_cols, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, n_cols, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "to_f32", shape, convert_kernel<float, mv_bf16>, to, n_cols,
                  (const mv_bf16 *)from, ld, n_cols);
    else
        mv_launch(d, "to_f32", shape, convert_kernel<float, float>, to, n_cols, (const float *)from,
                  ld, n_cols);
}

void mv_kernel_from_f32(mv_device *d, mv_dtype dtype, void *to, const float *from, size_t ld,
                        uint32_t n_cols, uint32_t n_rows)
{
    const mv_shape shape = mv_flat_shape(d, n_cols, n_rows);
    if (dtype == MV_DTYPE_BF16)
        mv_launch(d, "from_f32", shape, convert_kernel<mv_bf16, float>, (mv_bf16 *)to, ld, from,
                  n_cols, n_cols);
    else
        mv_launch(d, "from_f32", shape, convert_kernel<float, float>, (float *)to, ld, from, n_cols,
                  n_cols);
}
