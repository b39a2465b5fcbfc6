/* device.h - what the engine asks of a GPU. Two implementations: device_cuda.c over the CUDA
 * runtime and cuBLASLt, emu_device.cpp over this machine's memory.
 *
 * Work is queued in order on one queue; mv_device_wait() is where it is known to be done. What goes
 * wrong in between is remembered and told there. An engine and its device belong to one thread.
 */
#ifndef MV_CUDA_DEVICE_H
#define MV_CUDA_DEVICE_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mv_device mv_device;
typedef struct mv_graph mv_graph; /* work recorded once and run many times */
typedef struct mv_lane mv_lane;   /* a way for weights to the device, for one thread */

typedef struct mv_device_facts {
    char name[96];        /* "NVIDIA H200, sm_90, 132 processors" */
    char library[96];     /* what multiplies matrices */
    uint32_t n_blocks;    /* blocks that keep all processors busy in a kernel that loops */
    uint32_t threads;     /* of a block */
    uint32_t copy_lanes;  /* lanes worth using at once */
    uint64_t total_bytes; /* of its memory */
    bool loads_lazily;    /* a kernel's first start does more than start it */
} mv_device_facts;

/* Which of the two this is. */
extern const char mv_device_backend[]; /* "cuda", "cuda-emu": what --backend takes */
extern const char mv_device_summary[];

/* MV_ERR_UNAVAILABLE with the reason, if there is no device that can be used. */
MV_MUST_CHECK mv_code mv_device_probe(mv_error *error);

/* ordinal: which of several. pdl: kernels may begin while the one before ends (Hopper). tune: of
 * how many algorithms the fastest is taken for each shape of product (gemm_lt.h). */
MV_MUST_CHECK mv_code mv_device_open(mv_device **device, uint32_t ordinal, bool pdl, uint32_t tune,
                                     mv_error *error);
void mv_device_close(mv_device *device); /* NULL is fine */
const mv_device_facts *mv_device_get_facts(const mv_device *device);
uint64_t mv_device_free_bytes(const mv_device *device);

/* Memory of the device, not cleared; aligned to 256. Yours until mv_device_give(). */
MV_MUST_CHECK mv_code mv_device_take(mv_device *device, void **memory, size_t bytes,
                                     const char *what, mv_error *error);
void mv_device_give(mv_device *device, void *memory);
/* Memory of the host that the device reads and writes on its own. */
MV_MUST_CHECK mv_code mv_device_take_host(mv_device *device, void **memory, size_t bytes,
                                          const char *what, mv_error *error);
void mv_device_give_host(mv_device *device, void *memory);

/* Queued. The host's side must stay as it is until mv_device_wait(). */
void mv_device_upload(mv_device *device, void *to, const void *from, size_t bytes);
void mv_device_download(mv_device *device, void *to, const void *from, size_t bytes);
void mv_device_fill(mv_device *device, void *to, int byte, size_t bytes);
MV_MUST_CHECK mv_code mv_device_wait(mv_device *device, mv_error *error);

/* What is queued between begin and end is recorded, not done. */
MV_MUST_CHECK mv_code mv_device_graph_begin(mv_device *device, mv_error *error);
MV_MUST_CHECK mv_code mv_device_graph_end(mv_device *device, mv_graph **graph, mv_error *error);
void mv_device_graph_run(mv_device *device, mv_graph *graph);
void mv_device_graph_free(mv_graph *graph);

/* y = x w^T, or y += x w^T: sums in float32. Leading dimensions count elements, and are such that
 * rows start at multiples of 16 bytes. */
typedef struct mv_gemm {
    mv_dtype dtype; /* of x and w: BF16 or F32 */
    bool y_f32;     /* else y is of dtype too */
    bool add;
    const void *x, *w;
    void *y;
    size_t ldx, ldw, ldy;
    size_t n_rows, n_out, n_in;
} mv_gemm;
void mv_device_gemm(mv_device *device, const mv_gemm *gemm);
void mv_device_tell_gemm(const mv_device *device, char *text, size_t size); /* algorithms so far */

/* A lane may be used by another thread than the device's. A room holds `bytes` and is filled by the
 * caller; mv_lane_send() starts its way and may wait for the room before it. */
MV_MUST_CHECK mv_code mv_lane_open(mv_lane **lane, mv_device *device, size_t bytes,
                                   mv_error *error);
void *mv_lane_room(mv_lane *lane);
void mv_lane_send(mv_lane *lane, void *to, size_t bytes);
MV_MUST_CHECK mv_code mv_lane_close(mv_lane *lane, mv_error *error); /* when all has arrived */

#ifdef __cplusplus
}
#endif

#endif
