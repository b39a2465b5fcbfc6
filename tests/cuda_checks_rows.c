/* Norm, RoPE with the ring, SwiGLU in one step and in two, and conversions. */
#include <math.h>
#include <stdlib.h>

#include "tests/cuda_checks_list.h"
#include "tests/cuda_stage.h"

enum { ROWS = 5, DIM = 100, LD = 104, HIDDEN = 46, LD_FF = 48, SLOTS = 64, SEQUENCES = 2 };

typedef struct rows_case {
    cuda_stage s;
    mv_dims dims;
    float *x, *weight, *gate, *up, *turns;
    void *in, *out, *start; /* start: what `out` is before */
    mv_ring ring;
    uint32_t *index;
    mv_row *rows;
    size_t n_start;
} rows_case;

static const mv_dims dims = {.dim = DIM,
                             .n_heads = 6,
                             .n_kv_heads = 2,
                             .head_dim = 6,
                             .hidden_dim = HIDDEN,
                             .vocab_size = 37,
                             .window = 9,
                             .n_slots = SLOTS,
                             .ld_dim = LD,
                             .ld_qkv = 64,
                             .ld_heads = 40,
                             .ld_ff = LD_FF,
                             .eps = 1e-5f,
                             .scale_log2 = 0.5f};

static double bound_of(const cuda_stage *s)
{
    return s->dtype == MV_DTYPE_BF16 ? 3e-3 : 1e-6;
}

/* ---- norm ---- */

static void start_norm(void *arg)
{
    rows_case *c = arg;
    mv_kernel_norm(c->s.device, c->s.dtype, &c->dims, c->out, c->x, c->weight, c->index, ROWS);
}

static bool check_norm(rows_case *c)
{
    static double expected[ROWS * DIM], found[ROWS * DIM];
    c->x = cuda_floats(&c->s, ROWS * DIM);
    c->weight = cuda_floats(&c->s, DIM);
    c->out = cuda_array(&c->s, ROWS * LD);
    c->index = (uint32_t *)(void *)cuda_floats(&c->s, ROWS);
    cuda_fill_floats(&c->s, c->x, ROWS * DIM);
    cuda_fill_floats(&c->s, c->weight, DIM);
    for (uint32_t r = 0; r < ROWS; r++)
        c->index[r] = (r * 3 + 1) % ROWS;
    if (!cuda_run_all(&c->s, NULL, start_norm, c, c->out, ROWS * LD * 2))
        return false;
    for (size_t r = 0; r < ROWS; r++) {
        const float *x = c->x + c->index[r] * DIM;
        double mean = 0;
        for (size_t i = 0; i < DIM; i++)
            mean += (double)x[i] * (double)x[i] / DIM;
        for (size_t i = 0; i < DIM; i++) {
            expected[r * DIM + i] = (double)x[i] / sqrt(mean + 1e-5) * (double)c->weight[i];
            found[r * DIM + i] = cuda_get(&c->s, c->out, r * LD + i);
        }
    }
    return cuda_close(&c->s, "norm", found, expected, ROWS * DIM, bound_of(&c->s));
}

/* ---- append ---- */

static void before_append(void *arg)
{
    rows_case *c = arg;
    for (size_t i = 0; i < c->n_start; i++)
        (void)cuda_put(&c->s, c->out, i, cuda_get(&c->s, c->start, i));
}

static void start_append(void *arg)
{
    rows_case *c = arg;
    mv_kernel_append(c->s.device, c->s.dtype, &c->dims, c->out, &c->ring, c->turns, c->rows, ROWS,
                     true);
}

/* Value `i` of row r after RoPE, of what was there before. */
static double turned(const rows_case *c, size_t r, size_t i)
{
    const size_t pair = i % 6 / 2 * 2, at = r * 64 + i / 2 * 2;
    const double a = cuda_get(&c->s, c->start, at), b = cuda_get(&c->s, c->start, at + 1);
    const float *angle = c->turns + c->rows[r].position * 6 + pair;
    if (i >= 8 * 6)
        return i % 2 == 0 ? a : b;
    return i % 2 == 0 ? a * (double)angle[0] - b * (double)angle[1]
                      : a * (double)angle[1] + b * (double)angle[0];
}

static double from_ring(const rows_case *c, size_t r, size_t i)
{
    const size_t head = i / 6 - 6;
    const size_t at = ((c->rows[r].sequence * 2 + head % 2) * SLOTS + c->rows[r].position % SLOTS);
    return cuda_get(&c->s, head < 2 ? c->ring.k : c->ring.v, at * 6 + i % 6);
}

static bool check_append(rows_case *c)
{
    enum { WIDTH = 60, N = ROWS * WIDTH };
    static double expected[2 * N], found[2 * N];
    size_t n = 0;
    c->n_start = ROWS * 64;
    c->start = cuda_array(&c->s, c->n_start);
    c->out = cuda_array(&c->s, c->n_start);
    c->ring = (mv_ring){cuda_array(&c->s, SEQUENCES * 2 * SLOTS * 6),
                        cuda_array(&c->s, SEQUENCES * 2 * SLOTS * 6)};
    c->turns = cuda_floats(&c->s, 200 * 6);
    c->rows = (mv_row *)(void *)cuda_floats(&c->s, ROWS * 4);
    cuda_fill_rows(&c->s, c->start, ROWS, WIDTH, 64);
    cuda_fill_floats(&c->s, c->turns, 200 * 6);
    for (uint32_t r = 0; r < ROWS; r++)
        c->rows[r] = (mv_row){0, r % 2, 60 + 3 * r, 0}; /* over the end of the ring */
    if (!cuda_run_all(&c->s, before_append, start_append, c, c->out, c->n_start * 2))
        return false;
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < WIDTH; i++) {
            expected[n] = turned(c, r, i);
            found[n++] = cuda_get(&c->s, c->out, r * 64 + i);
            if (i < 6 * 6)
                continue;
            expected[n] = turned(c, r, i);
            found[n++] = from_ring(c, r, i);
        }
    }
    return cuda_close(&c->s, "append", found, expected, n, bound_of(&c->s));
}

/* ---- SwiGLU ---- */

static void start_swiglu(void *arg)
{
    rows_case *c = arg;
    mv_kernel_swiglu(c->s.device, c->s.dtype, &c->dims, c->out, c->in, ROWS);
}

static void start_two_steps(void *arg)
{
    rows_case *c = arg;
    mv_kernel_split_gate(c->s.device, c->s.dtype, &c->dims, c->gate, c->up, c->in, ROWS);
    mv_kernel_join_gate(c->s.device, c->s.dtype, &c->dims, c->start, c->gate, c->up, ROWS);
}

static bool check_swiglu(rows_case *c)
{
    static double expected[ROWS * HIDDEN], found[ROWS * HIDDEN];
    c->in = cuda_array(&c->s, ROWS * 2 * HIDDEN);
    c->out = cuda_array(&c->s, ROWS * LD_FF);
    c->start = cuda_array(&c->s, ROWS * LD_FF);
    c->gate = cuda_floats(&c->s, ROWS * HIDDEN);
    c->up = cuda_floats(&c->s, ROWS * HIDDEN);
    cuda_fill_rows(&c->s, c->in, ROWS, 2 * HIDDEN, 2 * HIDDEN);
    if (!cuda_run_all(&c->s, NULL, start_swiglu, c, c->out, ROWS * LD_FF * 2) ||
        !cuda_run_all(&c->s, NULL, start_two_steps, c, c->start, ROWS * LD_FF * 2))
        return false;
    for (size_t i = 0; i < ROWS * HIDDEN; i++) {
        const size_t at = i / HIDDEN * LD_FF + i % HIDDEN;
        const double gate = cuda_get(&c->s, c->in, 2 * i), up = cuda_get(&c->s, c->in, 2 * i + 1);
        expected[i] = gate / (1 + exp(-gate)) * up;
        found[i] = cuda_get(&c->s, c->out, at);
        if (!(found[i] == cuda_get(&c->s, c->start, at))) {
            (void)snprintf(c->s.why, c->s.why_size, "in two steps it is not the same");
            return false;
        }
    }
    return cuda_close(&c->s, "swiglu", found, expected, ROWS * HIDDEN, bound_of(&c->s));
}

/* ---- embedding, there and back, a sum, a choice of rows ---- */

static void start_moves(void *arg)
{
    rows_case *c = arg;
    mv_kernel_embed(c->s.device, c->s.dtype, &c->dims, c->x, c->in, c->rows, ROWS);
    mv_kernel_from_f32(c->s.device, c->s.dtype, c->out, c->x, LD, DIM, ROWS);
    mv_kernel_to_f32(c->s.device, c->s.dtype, c->gate, c->out, LD, DIM, ROWS);
    mv_kernel_add(c->s.device, c->gate, c->x, ROWS * DIM);
    mv_kernel_pick(c->s.device, &c->dims, c->up, c->gate, c->index, ROWS);
}

static bool check_moves(rows_case *c)
{
    static double expected[ROWS * DIM], found[ROWS * DIM];
    c->in = cuda_array(&c->s, 37 * LD);
    c->out = cuda_array(&c->s, ROWS * LD);
    c->x = cuda_floats(&c->s, ROWS * DIM);
    c->gate = cuda_floats(&c->s, ROWS * DIM);
    c->up = cuda_floats(&c->s, ROWS * DIM);
    c->index = (uint32_t *)(void *)cuda_floats(&c->s, ROWS);
    c->rows = (mv_row *)(void *)cuda_floats(&c->s, ROWS * 4);
    cuda_fill_rows(&c->s, c->in, 37, DIM, LD);
    for (uint32_t r = 0; r < ROWS; r++) {
        c->rows[r] = (mv_row){(int32_t)(r * 9), 0, 0, 0};
        c->index[r] = (r * 3 + 1) % ROWS;
    }
    if (!cuda_run_all(&c->s, NULL, start_moves, c, c->up, ROWS * DIM * 4))
        return false;
    for (size_t i = 0; i < ROWS * DIM; i++) {
        const size_t row = c->index[i / DIM];
        expected[i] = 2 * cuda_get(&c->s, c->in, row * 9 * LD + i % DIM);
        found[i] = (double)c->up[i];
    }
    return cuda_close(&c->s, "moves", found, expected, ROWS * DIM, 0);
}

/* ---- */

static bool in_both_types(bool (*check)(rows_case *), char *why, size_t why_size)
{
    bool good = true;
    for (int type = 0; type < 2 && good; type++) {
        rows_case c = {.dims = dims};
        good = cuda_stage_open(&c.s, type == 0 ? MV_DTYPE_F32 : MV_DTYPE_BF16, why, why_size) &&
               check(&c);
        cuda_stage_close(&c.s);
    }
    return good;
}

bool cuda_check_norm(char *why, size_t why_size)
{
    return in_both_types(check_norm, why, why_size);
}

bool cuda_check_append(char *why, size_t why_size)
{
    return in_both_types(check_append, why, why_size);
}

bool cuda_check_swiglu(char *why, size_t why_size)
{
    return in_both_types(check_swiglu, why, why_size);
}

bool cuda_check_moves(char *why, size_t why_size)
{
    return in_both_types(check_moves, why, why_size);
}
