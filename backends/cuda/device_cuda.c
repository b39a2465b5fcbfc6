/* device_cuda.c - device.h over the CUDA runtime, which is linked in: this module loads where there
 * is no driver, and says so. */
#include "backends/cuda/device.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_queue.cuh"
#include "backends/cuda/gemm_lt.h"

const char mv_device_backend[] = "cuda";
const char mv_device_summary[] = "NVIDIA GPUs from sm_80 on: own kernels for decode and attention, "
                                 "cuBLASLt for prefill";

struct mv_graph {
    cudaGraphExec_t exec;
};

struct mv_device {
    mv_device_facts facts;
    int ordinal;
    bool pdl;
    cudaStream_t stream;
    mv_lt *lt;
    char fault[256]; /* "" or the first */
};

/* ---- can it be used ---- */

static mv_code check_driver(mv_error *error)
{
    int driver = 0, built_for = CUDART_VERSION;
    int n = 0;
    (void)cudaDriverGetVersion(&driver); /* 0 is success, and no driver, or the toolkit's stub */
    if (driver == 0 && cudaGetDeviceCount(&n) == cudaErrorStubLibrary)
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "libcuda.so.1 is the toolkit's stub, not a driver; take .../lib64/stubs out "
                       "of LD_LIBRARY_PATH");
    if (driver == 0)
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "no NVIDIA driver was found (libcuda.so.1); this machine has no GPU, or its "
                       "driver is not installed");
    if (driver / 1000 < built_for / 1000)
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "the NVIDIA driver is for CUDA %d.%d, expected %d.0 or later; update the "
                       "driver",
                       driver / 1000, driver % 1000 / 10, built_for / 1000);
    return MV_OK;
}

static mv_code check_devices(int *n_devices, mv_error *error)
{
    int n = 0; /* the call leaves it as it is when it fails */
    const cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaErrorNoDevice || (status == cudaSuccess && n == 0))
        return mv_fail(error, MV_ERR_UNAVAILABLE,
                       "the NVIDIA driver is there, but no GPU is to be seen; is "
                       "CUDA_VISIBLE_DEVICES right?");
    if (status == cudaErrorInitializationError)
        return mv_fail(
            error, MV_ERR_UNAVAILABLE,
            "CUDA cannot be used in a process that was forked from one that had used it; "
            "run without --jobs and --isolate");
    if (status != cudaSuccess)
        return mv_fail(error, MV_ERR_UNAVAILABLE, "CUDA cannot be used: %s",
                       cudaGetErrorString(status));
    *n_devices = n;
    return MV_OK;
}

static mv_code check_capability(int ordinal, mv_error *error)
{
    int major = 0, minor = 0;
    (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal);
    (void)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal);
    if (major >= 8)
        return MV_OK;
    return mv_fail(error, MV_ERR_UNAVAILABLE,
                   "GPU %d has compute capability %d.%d, expected 8.0 or later", ordinal, major,
                   minor);
}

mv_code mv_device_probe(mv_error *error)
{
    int n = 0;
    mv_code code = check_driver(error);
    if (code == MV_OK)
        code = check_devices(&n, error);
    return code == MV_OK ? check_capability(0, error) : code;
}

/* ---- open ---- */

static void find_facts(mv_device *d)
{
    struct cudaDeviceProp properties;
    memset(&properties, 0, sizeof properties);
    (void)cudaGetDeviceProperties(&properties, d->ordinal);
    (void)snprintf(d->facts.name, sizeof d->facts.name, "%.48s, sm_%d%d, %d processors",
                   properties.name, properties.major, properties.minor,
                   properties.multiProcessorCount);
    d->facts.threads = 256;
    d->facts.n_blocks = 4 * (uint32_t)properties.multiProcessorCount;
    d->facts.copy_lanes = 4;
    d->facts.total_bytes = properties.totalGlobalMem;
    d->facts.loads_lazily = true;
    d->pdl = d->pdl && properties.major >= 9;
}

mv_code mv_device_open(mv_device **device, uint32_t ordinal, bool pdl, uint32_t tune,
                       mv_error *error)
{
    int n = 0;
    mv_code code = check_driver(error);
    if (code == MV_OK)
        code = check_devices(&n, error);
    if (code == MV_OK && ordinal >= (uint32_t)n)
        code =
            mv_fail(error, MV_ERR_ARGUMENT, "cuda: device=%u: expected less than %d", ordinal, n);
    if (code == MV_OK)
        code = check_capability((int)ordinal, error);
    if (code != MV_OK)
        return code;
    mv_device *d = calloc(1, sizeof *d);
    if (d == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "cuda: no memory for a device");
    d->ordinal = (int)ordinal;
    d->pdl = pdl;
    cudaError_t status = cudaSetDevice(d->ordinal);
    if (status == cudaSuccess)
        status = cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking);
    if (status != cudaSuccess) {
        code = mv_fail(error, MV_ERR_BACKEND, "cuda: GPU %u cannot be used: %s", ordinal,
                       cudaGetErrorString(status));
    } else {
        find_facts(d);
        code = mv_lt_open(&d->lt, tune, d->facts.library, sizeof d->facts.library, error);
    }
    if (code != MV_OK) {
        mv_device_close(d);
        return code;
    }
    *device = d;
    return MV_OK;
}

void mv_device_close(mv_device *d)
{
    if (d == NULL)
        return;
    mv_lt_close(d->lt);
    if (d->stream != NULL)
        (void)cudaStreamDestroy(d->stream);
    free(d);
}

const mv_device_facts *mv_device_get_facts(const mv_device *d)
{
    return &d->facts;
}

uint64_t mv_device_free_bytes(const mv_device *d)
{
    size_t free_bytes = 0, total = 0;
    (void)d;
    (void)cudaMemGetInfo(&free_bytes, &total);
    return free_bytes;
}

cudaStream_t mv_cuda_stream(const mv_device *d)
{
    return d->stream;
}

bool mv_cuda_pdl(const mv_device *d)
{
    return d->pdl;
}

int mv_cuda_ordinal(const mv_device *d)
{
    return d->ordinal;
}

void mv_cuda_note(mv_device *d, cudaError_t status, const char *what)
{
    if (status != cudaSuccess && d->fault[0] == '\0')
        (void)snprintf(d->fault, sizeof d->fault, "%s: %s", what, cudaGetErrorString(status));
}

/* ---- memory ---- */

mv_code mv_cuda_fail_memory(cudaError_t status, const char *where, const char *what, size_t bytes,
                            mv_error *error)
{
    return mv_fail(error, status == cudaErrorMemoryAllocation ? MV_ERR_MEMORY : MV_ERR_BACKEND,
                   "cuda: %s, %zu bytes of %s: %s", what, bytes, where, cudaGetErrorString(status));
}

mv_code mv_device_take(mv_device *d, void **memory, size_t bytes, const char *what, mv_error *error)
{
    (void)d;
    const cudaError_t status = cudaMalloc(memory, bytes);
    return status == cudaSuccess ? MV_OK
                                 : mv_cuda_fail_memory(status, "the device", what, bytes, error);
}

void mv_device_give(mv_device *d, void *memory)
{
    (void)d;
    (void)cudaFree(memory);
}

mv_code mv_device_take_host(mv_device *d, void **memory, size_t bytes, const char *what,
                            mv_error *error)
{
    (void)d;
    const cudaError_t status = cudaHostAlloc(memory, bytes, cudaHostAllocPortable);
    return status == cudaSuccess ? MV_OK
                                 : mv_cuda_fail_memory(status, "locked memory", what, bytes, error);
}

void mv_device_give_host(mv_device *d, void *memory)
{
    (void)d;
    (void)cudaFreeHost(memory);
}

/* ---- the queue ---- */

void mv_device_upload(mv_device *d, void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        mv_cuda_note(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream),
                     "upload");
}

void mv_device_download(mv_device *d, void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        mv_cuda_note(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream),
                     "download");
}

void mv_device_fill(mv_device *d, void *to, int byte, size_t bytes)
{
    if (bytes > 0)
        mv_cuda_note(d, cudaMemsetAsync(to, byte, bytes, d->stream), "fill");
}

mv_code mv_device_wait(mv_device *d, mv_error *error)
{
    mv_cuda_note(d, cudaStreamSynchronize(d->stream), "the GPU");
    if (d->fault[0] == '\0')
        return MV_OK;
    const mv_code code = mv_fail(error, MV_ERR_BACKEND, "cuda: %s", d->fault);
    d->fault[0] = '\0';
    return code;
}

void mv_device_gemm(mv_device *d, const mv_gemm *gemm)
{
    const char *fault = mv_lt_multiply(d->lt, gemm, d->stream);
    if (fault != NULL && d->fault[0] == '\0')
        (void)snprintf(d->fault, sizeof d->fault, "%s of %zu x %zu x %zu", fault, gemm->n_rows,
                       gemm->n_out, gemm->n_in);
}

void mv_device_tell_gemm(const mv_device *d, char *text, size_t size)
{
    mv_lt_tell(d->lt, text, size);
}

/* ---- graphs ---- */

mv_code mv_device_graph_begin(mv_device *d, mv_error *error)
{
    const cudaError_t status = cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal);
    if (status != cudaSuccess)
        return mv_fail(error, MV_ERR_BACKEND, "cuda: cannot record a graph: %s",
                       cudaGetErrorString(status));
    return MV_OK;
}

mv_code mv_device_graph_end(mv_device *d, mv_graph **graph, mv_error *error)
{
    cudaGraph_t recorded = NULL;
    mv_graph *g = calloc(1, sizeof *g);
    cudaError_t status = cudaStreamEndCapture(d->stream, &recorded);
    if (g == NULL)
        status = cudaErrorMemoryAllocation;
    if (status == cudaSuccess)
        status = cudaGraphInstantiate(&g->exec, recorded, 0);
    if (recorded != NULL)
        (void)cudaGraphDestroy(recorded);
    if (status != cudaSuccess) {
        free(g);
        return mv_fail(error, MV_ERR_BACKEND, "cuda: cannot record a graph: %s; try graphs=0",
                       cudaGetErrorString(status));
    }
    *graph = g;
    return MV_OK;
}

void mv_device_graph_run(mv_device *d, mv_graph *graph)
{
    mv_cuda_note(d, cudaGraphLaunch(graph->exec, d->stream), "a graph");
}

void mv_device_graph_free(mv_graph *graph)
{
    if (graph != NULL)
        (void)cudaGraphExecDestroy(graph->exec);
    free(graph);
}
