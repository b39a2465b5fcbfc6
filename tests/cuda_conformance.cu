/* cuda_conformance.cu - the words of gpu.cuh one by one, as this device answers.
 *
 * The same text is compiled by nvcc (cuda_conformance_gpu) and by g++ for the emulator
 * (cuda_conformance_emu); tests/data/cuda_conformance.txt has what is expected of both. What the
 * manual leaves open is not asked: sums of mma are of small whole numbers, and 2^x may be off.
 *
 * usage: cuda_conformance          prints a line for each word: name, ulps allowed, 32-bit answers
 *        cuda_conformance FILE     compares with such lines; exit code 1 if they differ, 77: no GPU
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/launch.cuh"

enum { LANES = 32, MOST = 256 };

/* ---- kernels of one warp: in [MOST] to out [MOST] ---- */

MV_KERNEL(32, 1) pack_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    out[i] = mv_pack(mv_from_bits(in[2 * i]), mv_from_bits(in[2 * i + 1]));
}

MV_KERNEL(32, 1) exp2_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    out[i] = mv_bits(mv_exp2(mv_from_bits(in[i])));
}

/* Sums whose value depends on the order that is promised; a NaN is not larger than a number. */
MV_KERNEL(32, 1) warp_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    float two[2] = {mv_from_bits(in[i]), mv_from_bits(in[i + LANES])};
    const float most = mv_warp_max(mv_from_bits(in[i + 2 * LANES]));
    mv_warp_sum(two);
    out[i] = mv_bits(two[0]);
    out[i + LANES] = mv_bits(two[1]);
    out[i + 2 * LANES] = mv_bits(most);
}

MV_KERNEL(32, 1) quad_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    out[i] = mv_bits(mv_quad_sum(mv_from_bits(in[i])));
    out[i + LANES] = mv_bits(mv_quad_max(mv_from_bits(in[i])));
}

/* d is not 0 before. */
MV_KERNEL(32, 1) mma_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    const uint32_t a[4] = {in[6 * i], in[6 * i + 1], in[6 * i + 2], in[6 * i + 3]};
    float d[4] = {1.0f * (float)i, 2, 3, -4};
    mv_mma(d, a, in[6 * i + 4], in[6 * i + 5]);
    for (int j = 0; j < 4; j++)
        out[4 * i + j] = mv_bits(d[j]);
}

template <bool transposed> MV_DEVICE void load_tiles(uint32_t *out, const uint32_t *in)
{
    MV_SHARED(uint32_t, shared); /* 32 rows of 16 bytes */
    uint32_t r[4];
    for (uint32_t j = 0; j < 4; j++)
        shared[4 * threadIdx.x + j] = in[4 * threadIdx.x + j];
    __syncthreads();
    /* not in the rows' order, so that an address given to the wrong lane shows */
    mv_load_tiles<transposed>(r, shared + 4 * (threadIdx.x * 5 % LANES));
    for (uint32_t j = 0; j < 4; j++)
        out[4 * threadIdx.x + j] = r[j];
}

MV_KERNEL(32, 1) tiles_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    load_tiles<false>(out, in);
}

MV_KERNEL(32, 1) turned_tiles_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    load_tiles<true>(out, in);
}

/* Two groups in order; every third copy brings zeros. */
MV_KERNEL(32, 1) copy_kernel(uint32_t *out, const uint32_t *in)
{
    MV_SHARED(uint32_t, shared);
    mv_kernel_begin();
    const uint32_t i = threadIdx.x, other = (i + 1) % LANES;
    mv_copy_async(shared + 4 * i, in + 4 * i, i % 3 != 0);
    mv_copy_commit();
    mv_copy_async(shared + 4 * LANES + 4 * i, in + 4 * other, true);
    mv_copy_commit();
    mv_copy_wait<1>();
    __syncthreads();
    out[i] = shared[4 * other + 3];
    mv_copy_wait<0>();
    __syncthreads();
    out[i + LANES] = shared[4 * LANES + 4 * other];
}

MV_KERNEL(32, 1) vector_kernel(uint32_t *out, const uint32_t *in)
{
    mv_kernel_begin();
    const uint32_t i = threadIdx.x;
    const mv_vec16 a = mv_load_stream(in + 4 * i), b = mv_load16(in + 4 * (LANES - 1 - i));
    mv_vec16 sum;
    for (int j = 0; j < 4; j++)
        sum.word[j] = a.word[j] ^ b.word[3 - j];
    mv_store16(out + 4 * i, sum);
}

/* ---- what they are given ---- */

static uint32_t random_of(uint32_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(z >> 17);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void give_bits(uint32_t *in)
{
    for (uint32_t i = 0; i < MOST; i++)
        in[i] = random_of(i);
}

/* Ties up and down, what rounds to the next power of two or to infinity, subnormals, infinities.
 * NaN is left out: a GPU and a CPU may keep other bits of it. */
static void give_hard_to_round(uint32_t *in)
{
    static const uint32_t hard[] = {0,          0x80000000, 0x3f808000, 0x3f818000, 0x3f808001,
                                    0x3f807fff, 0x3fffffff, 0x3fff8000, 0x7f7fffff, 0x7f7f7fff,
                                    0x7f7f8000, 0xff7fffff, 0x7f800000, 0xff800000, 0x00000001,
                                    0x00008000, 0x00018000, 0x00008001, 0x007fffff, 0x807f8000,
                                    0x00800000, 0x33800000};
    for (uint32_t i = 0; i < MOST; i++) {
        in[i] = i < sizeof hard / sizeof hard[0] ? hard[i] : random_of(i);
        if ((in[i] & 0x7f800000) == 0x7f800000 && (in[i] & 0x7fffff) != 0)
            in[i] &= 0xff800000;
    }
}

static void give_powers(uint32_t *in)
{
    static const float hard[] = {0,    -0.0f,  1,         -1,  127,    -126, -126.5f, -149,
                                 -150, -1e30f, -INFINITY, 128, 1e-30f, 0.5f, -0.5f,   -88.7f};
    for (uint32_t i = 0; i < MOST; i++)
        in[i] = i < 16 ? bits_of(hard[i]) : bits_of((float)(random_of(i) % 100000) * -1e-3f);
}

/* Sizes of a wide range: a sum in another order rounds otherwise. */
static void give_numbers(uint32_t *in)
{
    for (uint32_t i = 0; i < MOST; i++)
        in[i] = (random_of(i) & 0x807fffff) | (117 + random_of(i + MOST) % 20) << 23;
    in[2 * LANES + 7] = 0xff800000;
}

/* Pairs of whole bfloat16 numbers from -8 to 7: every sum is exact. */
static void give_small_pairs(uint32_t *in)
{
    for (uint32_t i = 0; i < MOST; i++) {
        const float a = (float)(random_of(i) % 16) - 8, b = (float)(random_of(i) / 16 % 16) - 8;
        in[i] = bits_of(a) >> 16 | (bits_of(b) & 0xffff0000);
    }
}

/* ---- */

typedef struct word {
    const char *name;
    void (*kernel)(uint32_t *out, const uint32_t *in);
    void (*give)(uint32_t *in);
    uint32_t n_out, ulps;
} word;

static const word words[] = {{"pack", pack_kernel, give_hard_to_round, 32, 0},
                             {"exp2", exp2_kernel, give_powers, 32, 4},
                             {"warp_sum_max", warp_kernel, give_numbers, 96, 0},
                             {"quad_sum_max", quad_kernel, give_numbers, 64, 0},
                             {"mma", mma_kernel, give_small_pairs, 128, 0},
                             {"load_tiles", tiles_kernel, give_bits, 128, 0},
                             {"load_tiles_transposed", turned_tiles_kernel, give_bits, 128, 0},
                             {"copy_async", copy_kernel, give_bits, 64, 0},
                             {"load_store_16", vector_kernel, give_bits, 128, 0}};

static int give_up(const mv_error *error)
{
    (void)fprintf(stderr, "cuda_conformance: %s\n", error->message);
    return error->code == MV_ERR_UNAVAILABLE ? 77 : 4;
}

static mv_code ask(mv_device *device, const word *w, uint32_t *in, uint32_t *out, void *memory,
                   mv_error *error)
{
    uint32_t *device_in = (uint32_t *)memory, *device_out = device_in + MOST;
    const mv_shape shape = {{1, 1, 1}, LANES, 2 * LANES * 16, false};
    w->give(in);
    mv_device_upload(device, device_in, in, MOST * sizeof *in);
    mv_device_fill(device, device_out, 0xff, MOST * sizeof *out);
    mv_launch(device, w->name, shape, w->kernel, device_out, (const uint32_t *)device_in);
    mv_device_download(device, out, device_out, MOST * sizeof *out);
    return mv_device_wait(device, error);
}

/* Between neighbours of one sign, by what their bits count. */
static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

static bool compare(FILE *expected, const word *w, const uint32_t *out)
{
    char name[64];
    uint32_t ulps = 0;
    if (fscanf(expected, "%63s %" SCNu32, name, &ulps) != 2 || strcmp(name, w->name) != 0) {
        (void)printf("%s: not what the file has next\n", w->name);
        return false;
    }
    uint32_t n_differ = 0, first = 0, first_expected = 0;
    for (uint32_t i = 0; i < w->n_out; i++) {
        uint32_t value = 0;
        const bool there = fscanf(expected, "%" SCNx32, &value) == 1;
        if (there && distance(value, out[i]) <= ulps)
            continue;
        if (n_differ++ == 0) {
            first = i;
            first_expected = value;
        }
    }
    if (n_differ == 0)
        (void)printf("%s: %u answers as expected\n", w->name, w->n_out);
    else
        (void)printf(
            "%s: %u of %u answers differ by more than %u ulps; the first is %u: expected %08x, "
            "found %08x\n",
            w->name, n_differ, w->n_out, ulps, first, first_expected, out[first]);
    return n_differ == 0;
}

static void print(const word *w, const uint32_t *out)
{
    (void)printf("%s %u", w->name, w->ulps);
    for (uint32_t i = 0; i < w->n_out; i++)
        (void)printf("%s%08x", i % 8 == 0 ? "\n" : " ", out[i]);
    (void)printf("\n");
}

int main(int argc, char **argv)
{
    static uint32_t in[MOST], out[MOST];
    mv_error error = {};
    mv_device *device = NULL;
    void *memory = NULL;
    bool good = true;
    FILE *expected = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (argc > 1 && expected == NULL) {
        (void)fprintf(stderr, "cuda_conformance: %s cannot be read\n", argv[1]);
        return 2;
    }
    if (mv_device_probe(&error) != MV_OK || mv_device_open(&device, 0, false, 0, &error) != MV_OK ||
        mv_device_take(device, &memory, 2 * sizeof in, "answers", &error) != MV_OK)
        return give_up(&error);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ask(device, &words[i], in, out, memory, &error) != MV_OK)
            return give_up(&error);
        if (expected == NULL)
            print(&words[i], out);
        else
            good = compare(expected, &words[i], out) && good;
    }
    mv_device_give(device, memory);
    mv_device_close(device);
    if (expected != NULL)
        (void)fclose(expected);
    return good ? 0 : 1;
}
