/* lane_cuda.c - weights to the GPU: two rooms of locked memory in turn, and a queue of its own. */
#include <cuda_runtime_api.h>
#include <stdlib.h>

#include "backends/cuda/cuda_queue.cuh"

enum { ROOMS = 2 };

struct mv_lane {
    cudaStream_t stream;
    void *rooms[ROOMS];
    cudaEvent_t free[ROOMS]; /* when the room has been read */
    int at;
    cudaError_t status;
};

static void free_lane(mv_lane *l)
{
    for (int i = 0; i < ROOMS; i++) {
        if (l->free[i] != NULL)
            (void)cudaEventDestroy(l->free[i]);
        (void)cudaFreeHost(l->rooms[i]);
    }
    if (l->stream != NULL)
        (void)cudaStreamDestroy(l->stream);
    free(l);
}

mv_code mv_lane_open(mv_lane **lane, mv_device *d, size_t bytes, mv_error *error)
{
    mv_lane *l = calloc(1, sizeof *l);
    if (l == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "cuda: no memory for a lane");
    l->at = -1;
    l->status = cudaSetDevice(mv_cuda_ordinal(d));
    if (l->status == cudaSuccess)
        l->status = cudaStreamCreateWithFlags(&l->stream, cudaStreamNonBlocking);
    for (int i = 0; i < ROOMS && l->status == cudaSuccess; i++) {
        l->status = cudaHostAlloc(&l->rooms[i], bytes, cudaHostAllocPortable);
        if (l->status == cudaSuccess)
            l->status = cudaEventCreateWithFlags(&l->free[i], cudaEventDisableTiming);
    }
    if (l->status != cudaSuccess) {
        const cudaError_t status = l->status;
        free_lane(l);
        return mv_cuda_fail_memory(status, "locked memory", "a lane", bytes, error);
    }
    *lane = l;
    return MV_OK;
}

static void note(mv_lane *l, cudaError_t status)
{
    if (l->status == cudaSuccess)
        l->status = status;
}

void *mv_lane_room(mv_lane *l)
{
    l->at = (l->at + 1) % ROOMS;
    note(l, cudaEventSynchronize(l->free[l->at])); /* at once, if it was never recorded */
    return l->rooms[l->at];
}

void mv_lane_send(mv_lane *l, void *to, size_t bytes)
{
    note(l, cudaMemcpyAsync(to, l->rooms[l->at], bytes, cudaMemcpyHostToDevice, l->stream));
    note(l, cudaEventRecord(l->free[l->at], l->stream));
}

mv_code mv_lane_close(mv_lane *l, mv_error *error)
{
    if (l->stream != NULL)
        note(l, cudaStreamSynchronize(l->stream));
    const cudaError_t status = l->status;
    free_lane(l);
    if (status != cudaSuccess)
        return mv_fail(error, MV_ERR_BACKEND, "cuda: weights to the device: %s",
                       cudaGetErrorString(status));
    return MV_OK;
}
