/* The four products of a few rows, for each number of rows that a kernel is made for and one
 * between.
 */
#include <math.h>
#include <string.h>

#include "tests/cuda_checks_list.h"
#include "tests/cuda_stage.h"

enum {
    DIM = 100,
    LD = 104,
    HIDDEN = 46,
    LD_FF = 48,
    VOCAB = 37,
    QKV = 60,
    LD_QKV = 64,
    SLOTS = 64
};
enum { HEADS = 6, KV_HEADS = 2, HEAD_DIM = 6, OUT_MOST = 2 * DIM };

static const mv_dims dims = {.dim = DIM,
                             .n_heads = HEADS,
                             .n_kv_heads = KV_HEADS,
                             .head_dim = HEAD_DIM,
                             .hidden_dim = HIDDEN,
                             .vocab_size = VOCAB,
                             .window = 9,
                             .n_slots = SLOTS,
                             .ld_dim = LD,
                             .ld_qkv = LD_QKV,
                             .ld_heads = 40,
                             .ld_ff = LD_FF,
                             .eps = 1e-5f};

typedef struct gemv_case {
    cuda_stage s;
    mv_gemv g;
    float *x; /* [8, DIM] as it is before */
    size_t n_in;
} gemv_case;

static void before_gemv(void *arg)
{
    gemv_case *c = arg;
    memcpy(c->g.x, c->x, MV_FEW_ROWS * DIM * sizeof *c->x);
}

static void start_gemv(void *arg)
{
    gemv_case *c = arg;
    mv_kernel_gemv(c->s.device, c->s.dtype, &dims, &c->g);
}

/* Row r of the input, as the product sees it. */
static void input_row(const gemv_case *c, size_t r, double *in)
{
    const float *x = c->x + r * DIM;
    double mean = 0;
    for (size_t i = 0; i < DIM; i++)
        mean += (double)x[i] * (double)x[i] / DIM;
    for (size_t i = 0; i < c->n_in; i++)
        in[i] = c->g.kind == MV_GEMV_ADD
                    ? cuda_get(&c->s, c->g.in, r * c->g.ld + i)
                    : cuda_rounded(&c->s, (double)x[i] / sqrt(mean + 1e-5) * (double)c->g.norm[i]);
}

static void products(const gemv_case *c, size_t r, double *sums)
{
    double in[LD];
    input_row(c, r, in);
    for (size_t o = 0; o < c->g.n_out; o++) {
        sums[o] = 0;
        for (size_t i = 0; i < c->n_in; i++)
            sums[o] += in[i] * cuda_get(&c->s, c->g.weight, o * c->g.ld + i);
    }
}

/* What is to be found for sum o of row r, and what is. Pairs come together. */
static void pair_of_qkv(const gemv_case *c, size_t r, size_t o, const double *sums,
                        double *expected, double *found)
{
    const mv_row row = c->g.rows[r];
    const size_t head = o / HEAD_DIM, kv = head - HEADS;
    const float *angle = c->g.turns + row.position * HEAD_DIM + o % HEAD_DIM;
    const double cosine = head < HEADS + KV_HEADS ? (double)angle[0] : 1;
    const double sine = head < HEADS + KV_HEADS ? (double)angle[1] : 0;
    const size_t slot =
        ((row.sequence * KV_HEADS + kv % KV_HEADS) * SLOTS + row.position % SLOTS) * HEAD_DIM;
    const void *from = head < HEADS ? c->g.out : kv < KV_HEADS ? c->g.ring.k : c->g.ring.v;
    const size_t at = head < HEADS ? r * LD_QKV + o : slot + o % HEAD_DIM;
    expected[0] = sums[0] * cosine - sums[1] * sine;
    expected[1] = sums[0] * sine + sums[1] * cosine;
    found[0] = cuda_get(&c->s, from, at);
    found[1] = cuda_get(&c->s, from, at + 1);
}

static size_t compare_row(const gemv_case *c, size_t r, double *expected, double *found)
{
    double sums[OUT_MOST];
    size_t n = 0;
    products(c, r, sums);
    for (size_t o = 0; o < c->g.n_out; o++) {
        if (c->g.kind == MV_GEMV_ADD) {
            expected[n] = (double)c->x[r * DIM + o] + sums[o];
            found[n++] = (double)c->g.x[r * DIM + o];
        } else if (c->g.kind == MV_GEMV_LOGITS) {
            expected[n] = sums[o];
            found[n++] = (double)((const float *)c->g.out)[r * c->g.ld_out + o];
        } else if (o % 2 == 0 && c->g.kind == MV_GEMV_QKV) {
            pair_of_qkv(c, r, o, sums + o, expected + n, found + n);
            n += 2;
        } else if (o % 2 == 0) {
            expected[n] = sums[o] / (1 + exp(-sums[o])) * sums[o + 1];
            found[n++] = cuda_get(&c->s, c->g.out, r * LD_FF + o / 2);
        }
    }
    return n;
}

static void set_up(gemv_case *c, mv_gemv_kind kind, uint32_t n_rows)
{
    static const uint32_t n_out[] = {QKV, 2 * HIDDEN, DIM, VOCAB};
    const size_t ld_out[] = {LD_QKV, LD_FF, DIM, VOCAB};
    cuda_stage *s = &c->s;
    float *norm = cuda_floats(s, DIM), *turns = cuda_floats(s, 200 * HEAD_DIM);
    void *weight, *in = cuda_array(s, MV_FEW_ROWS * LD_FF);
    mv_row *rows = (mv_row *)(void *)cuda_floats(s, MV_FEW_ROWS * 4);
    c->n_in = kind == MV_GEMV_ADD ? HIDDEN : DIM;
    const size_t ld = kind == MV_GEMV_ADD ? LD_FF : LD;
    weight = cuda_array(s, n_out[kind] * ld);
    c->x = cuda_floats(s, MV_FEW_ROWS * DIM);
    cuda_fill_floats(s, c->x, MV_FEW_ROWS * DIM);
    cuda_fill_floats(s, norm, DIM);
    cuda_fill_floats(s, turns, 200 * HEAD_DIM);
    cuda_fill_rows(s, weight, n_out[kind], c->n_in, ld);
    cuda_fill_rows(s, in, MV_FEW_ROWS, HIDDEN, LD_FF);
    for (uint32_t r = 0; r < MV_FEW_ROWS; r++)
        rows[r] = (mv_row){0, r % 3, 60 + r, 0};
    c->g = (mv_gemv){.kind = kind,
                     .weight = weight,
                     .ld = ld,
                     .n_out = n_out[kind],
                     .n_in = (uint32_t)c->n_in,
                     .in = in,
                     .x = cuda_floats(s, MV_FEW_ROWS * DIM),
                     .norm = norm,
                     .out = kind == MV_GEMV_LOGITS ? (void *)cuda_floats(s, MV_FEW_ROWS * VOCAB)
                                                   : cuda_array(s, MV_FEW_ROWS * LD_QKV),
                     .ld_out = ld_out[kind],
                     .ring = {cuda_array(s, 3 * KV_HEADS * SLOTS * HEAD_DIM),
                              cuda_array(s, 3 * KV_HEADS * SLOTS * HEAD_DIM)},
                     .turns = turns,
                     .rows = rows,
                     .n_rows = n_rows};
}

static bool check_one(mv_dtype dtype, mv_gemv_kind kind, uint32_t n_rows, char *why,
                      size_t why_size)
{
    static double expected[MV_FEW_ROWS * OUT_MOST], found[MV_FEW_ROWS * OUT_MOST];
    gemv_case c = {.n_in = 0};
    size_t n = 0;
    bool good = cuda_stage_open(&c.s, dtype, why, why_size);
    if (good) {
        set_up(&c, kind, n_rows);
        const bool adds = kind == MV_GEMV_ADD;
        const size_t size = dtype == MV_DTYPE_BF16 && kind != MV_GEMV_LOGITS ? 2 : 4;
        good = cuda_run_all(&c.s, before_gemv, start_gemv, &c, adds ? c.g.x : c.g.out,
                            adds ? n_rows * DIM * 4 : n_rows * c.g.ld_out * size);
    }
    for (size_t r = 0; r < n_rows && good; r++)
        n += compare_row(&c, r, expected + n, found + n);
    good =
        good && cuda_close(&c.s, "gemv", found, expected, n, dtype == MV_DTYPE_BF16 ? 4e-3 : 1e-6);
    cuda_stage_close(&c.s);
    return good;
}

bool cuda_check_gemv(char *why, size_t why_size)
{
    static const uint32_t rows[] = {1, 2, 3, 5, 8};
    bool good = true;
    for (int type = 0; type < 2; type++)
        for (int kind = 0; kind < 4; kind++)
            for (size_t i = 0; i < sizeof rows / sizeof rows[0] && good; i++)
                good = check_one(type == 0 ? MV_DTYPE_F32 : MV_DTYPE_BF16, (mv_gemv_kind)kind,
                                 rows[i], why, why_size);
    return good;
}
