/* cuda_ceilings.cu - what this GPU allows: bytes a second to copy and only to read, and operations
 * a second of the products that 7B's prefill is made of. Prints a line for each. Not a test.
 *
 * usage: cuda_ceilings [ALGORITHMS]   of so many the fastest for each product; 0: the first choice
 *
 * The best of 5 trials, of at least 20 ms. Values are random: with zeros a GPU draws less power,
 * and is faster than it will be. */
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern "C" {
#include "backends/cuda/gemm_lt.h"
}

static const size_t STREAM_BYTES = (size_t)2 << 30; /* far more than any cache */

static void must(cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return;
    (void)fprintf(stderr, "cuda_ceilings: %s: %s\n", what, cudaGetErrorString(status));
    exit(77);
}

static __global__ void fill(uint16_t *to, size_t n)
{
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        /* a bfloat16 of +-(1 ... 2) / 64 */
        to[i] = (uint16_t)((z >> 63) << 15 | 0x3c80u | (z >> 40 & 0x7fu));
    }
}

static __global__ void read_all(const uint4 *from, size_t n, uint32_t *sink)
{
    const size_t step = (size_t)gridDim.x * blockDim.x;
    uint32_t sum = 0;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 3 * step < n; i += 4 * step) {
        const uint4 a = from[i], b = from[i + step], c = from[i + 2 * step], d = from[i + 3 * step];
        sum ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w;
        sum ^= c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
    }
    if (sum == 0x12345678u)
        *sink = sum;
}

typedef struct job {
    cudaStream_t stream;
    char *a, *b;
    int n_blocks;
    mv_lt *lt;
    uint32_t tune; /* algorithms to time for each product */
    mv_gemm gemm;
} job;

static void copy_once(job *j)
{
    must(cudaMemcpyAsync(j->b, j->a, STREAM_BYTES, cudaMemcpyDeviceToDevice, j->stream), "copy");
}

static void read_once(job *j)
{
    read_all<<<j->n_blocks, 512, 0, j->stream>>>((const uint4 *)j->a, STREAM_BYTES / 16,
                                                 (uint32_t *)j->b);
}

static void multiply_once(job *j)
{
    const char *fault = mv_lt_multiply(j->lt, &j->gemm, j->stream);
    if (fault == NULL)
        return;
    (void)fprintf(stderr, "cuda_ceilings: %s\n", fault);
    exit(4);
}

/* Seconds of one call, the best of some trials. */
static double seconds_of(job *j, void (*once)(job *))
{
    double best = 1e9;
    cudaEvent_t from, to;
    int n = 1;
    must(cudaEventCreate(&from), "event");
    must(cudaEventCreate(&to), "event");
    once(j);
    for (int trial = 0; trial < 6; trial++) {
        float ms = 0;
        must(cudaEventRecord(from, j->stream), "event");
        for (int i = 0; i < n; i++)
            once(j);
        must(cudaEventRecord(to, j->stream), "event");
        must(cudaEventSynchronize(to), "the GPU");
        must(cudaEventElapsedTime(&ms, from, to), "event");
        if (trial == 0) /* how many make 20 ms */
            n = (int)(20.0f / (ms > 0.01f ? ms : 0.01f)) + 1;
        else if (ms * 1e-3 / n < best)
            best = ms * 1e-3 / n;
    }
    (void)cudaEventDestroy(from);
    (void)cudaEventDestroy(to);
    return best;
}

static void measure_products(job *j)
{
    static const struct {
        const char *name;
        size_t n_out, n_in;
    } weights[] = {{"square", 8192, 8192},
                   {"qkv", 6144, 4096},
                   {"o", 4096, 4096},
                   {"gate_up", 28672, 4096},
                   {"down", 4096, 14336}};
    static const size_t rows[] = {512, 2048, 4096, 8192};
    const size_t half = STREAM_BYTES / 2;
    for (size_t w = 0; w < 5; w++) {
        for (size_t r = w == 0 ? 3 : 0; r < (w == 0 ? 4 : 3); r++) {
            const size_t n_out = weights[w].n_out, n_in = weights[w].n_in, n = rows[r];
            j->gemm = {};
            j->gemm.dtype = MV_DTYPE_BF16;
            j->gemm.x = j->a;
            j->gemm.w = j->a + half;
            j->gemm.y = j->b;
            j->gemm.ldx = j->gemm.ldw = j->gemm.n_in = n_in;
            j->gemm.ldy = j->gemm.n_out = n_out;
            j->gemm.n_rows = n;
            const double s = seconds_of(j, multiply_once);
            (void)printf("gemm_%s_%zu\t%.1f\tTFLOP/s\n", weights[w].name, n,
                         2e-12 * (double)n * (double)n_out * (double)n_in / s);
        }
    }
}

int main(int argc, char **argv)
{
    job j = {};
    int n = 0, n_sm = 0;
    char name[96];
    mv_error error = {MV_OK, ""};
    j.tune = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    must(cudaGetDeviceCount(&n), "no GPU that can be used");
    must(cudaDeviceGetAttribute(&n_sm, cudaDevAttrMultiProcessorCount, 0), "attribute");
    must(cudaStreamCreateWithFlags(&j.stream, cudaStreamNonBlocking), "stream");
    must(cudaMalloc(&j.a, STREAM_BYTES), "memory");
    must(cudaMalloc(&j.b, STREAM_BYTES), "memory");
    j.n_blocks = 4 * n_sm;
    fill<<<j.n_blocks, 512, 0, j.stream>>>((uint16_t *)j.a, STREAM_BYTES / 2);
    must(cudaStreamSynchronize(j.stream), "the GPU");
    (void)printf("copy\t%.3f\tTB/s\n", 2e-12 * (double)STREAM_BYTES / seconds_of(&j, copy_once));
    (void)printf("read\t%.3f\tTB/s\n", 1e-12 * (double)STREAM_BYTES / seconds_of(&j, read_once));
    if (mv_lt_open(&j.lt, j.tune, name, sizeof name, &error) != MV_OK) {
        (void)fprintf(stderr, "cuda_ceilings: %s\n", error.message);
        return 77;
    }
    (void)printf("library\t%s\t\n", name);
    measure_products(&j);
    mv_lt_close(j.lt);
    return 0;
}
