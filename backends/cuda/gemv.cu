/* gemv.cu - a few rows times a weight, with what comes before and after in the same kernel.
 *
 * The weight is read once, from the device's memory, and that is the time it takes. Each block has
 * a contiguous range of outputs, so that all blocks read as much; a warp takes 4 outputs at a time,
 * and with 4 blocks of 256 threads a processor has 64 KB of weights under way. Inputs come from
 * shared memory (normed there, by every block for itself: 8 KB a row from the second-level cache)
 * or through the first-level cache.
 *
 * A sum runs in 32 lanes, each over every 32nd vector in order, and then over the lanes in pairs:
 * the same for every number of rows, blocks and threads.
 */
#include "backends/cuda/launch.cuh"

enum { OUTPUTS = 4 }; /* of a warp at a time; even, so that a pair stays together */

template <typename T> struct gemv_args {
    mv_dims s;
    const T *weight;
    size_t ld;
    uint32_t n_out, n_rows;
    const T *in;
    float *x;
    const float *norm;
    void *out;
    size_t ld_out;
    T *ring_k, *ring_v;
    const float *turns;
    const mv_row *rows;
};

/* RMSNorm of each row of x to shared memory, as norm_kernel does it but for the order of sums.
 * normed [n_rows, ld_dim], zero beyond dim; sums [warps]. */
template <typename T> MV_DEVICE void norm_rows(T *normed, float *sums, const gemv_args<T> &a)
{
    const uint32_t dim = a.s.dim, ld = a.s.ld_dim;
    for (uint32_t row = 0; row < a.n_rows; row++) {
        const float *x = a.x + (size_t)row * dim;
        float sum[1] = {0}, total = 0;
        for (uint32_t i = threadIdx.x; i < dim; i += blockDim.x)
            sum[0] += x[i] * x[i];
        mv_warp_sum(sum);
        if (threadIdx.x % 32 == 0)
            sums[threadIdx.x / 32] = sum[0];
        __syncthreads();
        for (uint32_t w = 0; w < blockDim.x / 32; w++)
            total += sums[w];
        const float factor = 1.0f / sqrtf(total / (float)dim + a.s.eps);
        for (uint32_t i = threadIdx.x; i < ld; i += blockDim.x)
            mv_assign(normed[row * ld + i], i < dim ? x[i] * factor * a.norm[i] : 0.0f);
#ifndef MV_FAULT_GEMV_BARRIER
        __syncthreads(); /* before `sums` is written again, and `normed` read */
#endif
    }
}

/* acc[o * ROWS + r] = sum over k of weight[first + o, k] in[r, k], this lane's part. Outputs and
 * rows beyond the last repeat the last. */
template <typename T, int ROWS>
MV_DEVICE void multiply(float (&acc)[OUTPUTS * ROWS], const gemv_args<T> &a, const T *in,
                        size_t ld_in, uint32_t first)
{
    constexpr uint32_t V = 16 / sizeof(T);
    const T *w[OUTPUTS];
    const T *x[ROWS];
    MV_UNROLL()
    for (int o = 0; o < OUTPUTS; o++) {
        const uint32_t row = first + o < a.n_out ? first + o : a.n_out - 1;
        w[o] = a.weight + row * a.ld;
    }
    MV_UNROLL()
    for (int r = 0; r < ROWS; r++)
        x[r] = in + ((uint32_t)r < a.n_rows ? (uint32_t)r : a.n_rows - 1) * ld_in;
    for (uint32_t k = threadIdx.x % 32 * V; k < a.ld; k += 32 * V) {
        mv_vec16 row[OUTPUTS];
        MV_UNROLL()
        for (int o = 0; o < OUTPUTS; o++)
            row[o] = mv_load_stream(w[o] + k);
        MV_UNROLL()
        for (int r = 0; r < ROWS; r++) {
            const mv_vec16 v = mv_load16(x[r] + k);
            MV_UNROLL()
            for (int o = 0; o < OUTPUTS; o++)
                MV_UNROLL()
            for (uint32_t i = 0; i < V; i++)
                acc[o * ROWS + r] += mv_element(row[o], (int)i, in) * mv_element(v, (int)i, in);
        }
    }
}

/* ---- what comes after: two neighbouring outputs of one row ---- */

/* q, k or v of a pair (2i, 2i+1): output `at` of n_out. */
template <typename T>
MV_DEVICE void put_qkv(const gemv_args<T> &a, uint32_t r, uint32_t at, float x, float y)
{
    const mv_dims &s = a.s;
    const mv_row row = a.rows[r];
    const uint32_t head = at / s.head_dim, pair = at % s.head_dim;
    const uint32_t n_turned = s.n_heads + s.n_kv_heads;
    if (head < n_turned) {
        const float *angle = a.turns + (size_t)row.position * s.head_dim + pair;
        const float c = angle[0], d = angle[1], turned = x * c - y * d;
        y = x * d + y * c;
        x = turned;
    }
    T *to = (T *)a.out + r * a.ld_out + at;
    if (head >= s.n_heads) {
        const uint32_t kv_head = head - (head < n_turned ? s.n_heads : n_turned);
        const size_t slot =
            ((size_t)row.sequence * s.n_kv_heads + kv_head) * s.n_slots + row.position % s.n_slots;
        to = (head < n_turned ? a.ring_k : a.ring_v) + slot * s.head_dim + pair;
    }
    mv_assign(to[0], x);
    mv_assign(to[1], y);
}

template <typename T, int KIND>
MV_DEVICE void put_pair(const gemv_args<T> &a, uint32_t r, uint32_t at, float x, float y)
{
    if (KIND == MV_GEMV_QKV) {
        if (at < a.n_out)
            put_qkv(a, r, at, x, y);
    } else if (KIND == MV_GEMV_GATE_UP) {
        if (at < a.n_out) /* gate and up in turn */
            mv_assign(((T *)a.out)[r * a.ld_out + at / 2], x / (1.0f + expf(-x)) * y);
    } else if (KIND == MV_GEMV_ADD) {
        float *to = a.x + (size_t)r * a.s.dim + at;
        if (at < a.n_out)
            to[0] += x;
        if (at + 1 < a.n_out)
            to[1] += y;
    } else {
        float *to = (float *)a.out + r * a.ld_out + at;
        if (at < a.n_out)
            to[0] = x;
        if (at + 1 < a.n_out)
            to[1] = y;
    }
}

template <typename T, int ROWS, int KIND> MV_KERNEL(512, 1) gemv_kernel(const gemv_args<T> a)
{
    MV_SHARED(float, sums); /* [32], then normed */
    mv_kernel_begin();
    const T *in = a.in;
    size_t ld_in = a.ld;
    if (KIND != MV_GEMV_ADD) {
        T *normed = (T *)(sums + 32);
        norm_rows(normed, sums, a);
        in = normed;
        ld_in = a.s.ld_dim;
    }
    const uint32_t lane = threadIdx.x % 32, n_warps = blockDim.x / 32;
    const uint64_t n_groups = (a.n_out + OUTPUTS - 1) / OUTPUTS;
    const uint32_t from = (uint32_t)(n_groups * blockIdx.x / gridDim.x);
    const uint32_t to = (uint32_t)(n_groups * (blockIdx.x + 1) / gridDim.x);
    for (uint32_t group = from + threadIdx.x / 32; group < to; group += n_warps) {
        float acc[OUTPUTS * ROWS] = {};
        multiply<T, ROWS>(acc, a, in, ld_in, group * OUTPUTS);
        mv_warp_sum(acc);
        MV_UNROLL()
        for (int r = 0; r < ROWS; r++)
            if (lane == (uint32_t)r && lane < a.n_rows) {
                MV_UNROLL()
                for (int o = 0; o < OUTPUTS; o += 2)
                    put_pair<T, KIND>(a, lane, group * OUTPUTS + (uint32_t)o, acc[o * ROWS + r],
                                      acc[(o + 1) * ROWS + r]);
            }
    }
}

/* ---- which of them ---- */

template <typename T, int ROWS>
static void launch_kind(mv_device *d, const mv_shape &shape, int kind, const gemv_args<T> &a)
{
    if (kind == MV_GEMV_QKV)
        mv_launch(d, "gemv_qkv", shape, gemv_kernel<T, ROWS, MV_GEMV_QKV>, a);
    else if (kind == MV_GEMV_GATE_UP)
        mv_launch(d, "gemv_gate_up", shape, gemv_kernel<T, ROWS, MV_GEMV_GATE_UP>, a);
    else if (kind == MV_GEMV_ADD)
        mv_launch(d, "gemv_add", shape, gemv_kernel<T, ROWS, MV_GEMV_ADD>, a);
    else
        mv_launch(d, "gemv_logits", shape, gemv_kernel<T, ROWS, MV_GEMV_LOGITS>, a);
}

template <typename T> static void launch_gemv(mv_device *d, const mv_dims *s, const mv_gemv *g)
{
    const gemv_args<T> a = {*s,
                            (const T *)g->weight,
                            g->ld,
                            g->n_out,
                            g->n_rows,
                            (const T *)g->in,
                            g->x,
                            g->norm,
                            g->out,
                            g->ld_out,
                            (T *)g->ring.k,
                            (T *)g->ring.v,
                            g->turns,
                            g->rows};
    const mv_device_facts *facts = mv_device_get_facts(d);
    const uint32_t threads = facts->threads < 512 ? facts->threads : 512;
    const size_t normed = g->kind == MV_GEMV_ADD ? 0 : g->n_rows * s->ld_dim * sizeof(T);
    const mv_shape shape = {{facts->n_blocks, 1, 1}, threads, 32 * sizeof(float) + normed, false};
    if (g->n_rows == 1)
        launch_kind<T, 1>(d, shape, g->kind, a);
    else if (g->n_rows == 2)
        launch_kind<T, 2>(d, shape, g->kind, a);
    else if (g->n_rows <= 4)
        launch_kind<T, 4>(d, shape, g->kind, a);
    else
        launch_kind<T, 8>(d, shape, g->kind, a);
}

void mv_kernel_gemv(mv_device *d, mv_dtype dtype, const mv_dims *s, const mv_gemv *gemv)
{
    if (dtype == MV_DTYPE_BF16)
        launch_gemv<mv_bf16>(d, s, gemv);
    else
        launch_gemv<float>(d, s, gemv);
}
