/* cuda_engine.h - what one engine holds, and the parts of a forward pass.
 *
 * Shapes: T rows of a piece, D dim, F hidden_dim, H*E queries, K*E keys, C slots of the ring.
 * "typed" is bfloat16 or float32, as the engine computes. Leading dimensions are multiples of 8
 * elements, and what lies beyond the last column is 0 in weights and in what they multiply.
 *
 * The ring keeps position p in slot p mod C. C is a multiple of 64, and at least W + T: the new
 * tokens of a piece are written before anyone reads, without overwriting what their first query
 * still sees.
 */
#ifndef MV_CUDA_ENGINE_H
#define MV_CUDA_ENGINE_H

#include "backends/cuda/cuda_kernels.h"
#include "backends/mistral_backend.h"

enum {
    MV_PIECE_MOST = 4096,   /* rows at a time; more of a call are more pieces */
    MV_LOGIT_ROWS = 256,    /* rows of logits at a time */
    MV_SPLIT_ROWS_MOST = 64 /* rows of a piece for which attention may be split over keys */
};

/* Some of the new tokens of one sequence in a call: what one piece takes of them. */
typedef struct mv_span {
    uint32_t sequence;
    uint64_t start; /* position of the first */
    uint64_t n;
    size_t row; /* of the first, in the arrays [T, ...] */
    bool ends;  /* the sequence's last new token is among them */
} mv_span;

/* Rows that go through the layers together. */
typedef struct mv_piece {
    uint32_t n_spans;
    uint32_t n_rows;
    uint32_t n_logits; /* rows of it that logits are wanted of: e->index */
    uint32_t n_last;   /* rows that go through all of the last layer: n_rows, or those of e->index;
                          of the others it makes keys and values only */
    uint32_t n_tiles;  /* 0: attention goes row by row */
} mv_piece;

typedef struct mv_layer_weights {
    void *qkv;     /* typed [(H + 2K) E, ld_dim] */
    void *o;       /* typed [D, ld_heads] */
    void *gate_up; /* typed [2F, ld_dim]: gate 0, up 0, gate 1 ... */
    void *down;    /* typed [D, ld_ff] */
} mv_layer_weights;

/* What --backend-option asks for. */
typedef struct mv_choices {
    bool graphs, pdl;
    uint32_t ordinal, piece, tune;
} mv_choices;

struct mv_engine {
    mv_params p;
    mv_dims dims;
    mv_device *device;
    const mv_device_facts *facts;
    mv_choices chosen;
    mv_dtype dtype;
    size_t size; /* of a typed element */
    uint32_t max_sequences, max_positions, max_batch_tokens;
    uint32_t piece;        /* most rows of a piece */
    uint32_t split_rows;   /* most rows for attention by splits */
    size_t n_slots, n_tap; /* C; elements of each of tap's arrays */

    /* On the host. Those that the device reads or writes on its own are marked *. */
    uint64_t *n_seen;    /* [max_sequences] tokens so far */
    uint64_t *n_written; /* [max_sequences] one more than the last position ever in the ring */
    mv_span *spans;      /* [2, max_sequences] of the piece; of the call */
    mv_row *host_rows; /* * [T + split_rows]: of the piece; those of e->index, for the last layer */
    uint32_t *index;   /* * [T] rows that logits are wanted of */
    mv_tile *tiles;    /* * */
    float *host_logits; /* * [MV_FEW_ROWS, V] */

    /* On the device. */
    mv_layer_weights *layers; /* [n_layers] this array itself is on the host */
    void *embedding, *output; /* typed [V, ld_dim]; one and the same if the model's are */
    float *norms;             /* [2 n_layers + 1, D] */
    float *turns;             /* [max_positions, E] cosine and sine of each pair */
    char *ring_k, *ring_v;    /* typed [n_layers, max_sequences, K, C, E], keys turned */
    float *x;                 /* [T, D] the residual stream */
    float *x_last;            /* [split_rows, D] of n_last rows, if they are fewer */
    void *normed;             /* typed [T, ld_dim] */
    void *qkv;                /* typed [T, ld_qkv] */
    void *heads;              /* typed [T, ld_heads] */
    void *gate_up;            /* typed [T, 2F] */
    void *hidden;             /* typed [T, ld_ff] */
    float *logits;            /* [MV_LOGIT_ROWS or fewer, V] */
    mv_splits splits;
    mv_row *rows;           /* [T + split_rows] as host_rows */
    uint32_t *device_index; /* [T] */
    mv_tile *device_tiles;

    mv_graph *graphs[MV_FEW_ROWS + 1]; /* by rows; NULL: not asked for */

    mv_tap_fn tap;
    void *tap_cookie;
    float *tap_a, *tap_b, *tap_host; /* taken when a tap is first set */
    mv_error tap_error;              /* code MV_OK: none */

    mv_work work;
    uint64_t weights_bytes, kv_cache_bytes, scratch_bytes;
};

/* cuda_options.c */
MV_MUST_CHECK mv_code mv_choices_read(mv_choices *chosen, const mv_engine_options *options,
                                      mv_error *error);

/* cuda_memory.c: takes all memory, or says what is missing. mv_memory_free() takes what is there.
 */
MV_MUST_CHECK mv_code mv_memory_take(mv_engine *e, const mv_model_view *model, mv_error *error);
MV_MUST_CHECK mv_code mv_memory_take_taps(mv_engine *e, mv_error *error);
void mv_memory_free(mv_engine *e);

/* cuda_upload.c: the model's weights to the device, in its layouts and its type. */
MV_MUST_CHECK mv_code mv_upload_weights(mv_engine *e, const mv_model_view *model,
                                        uint32_t n_threads, mv_error *error);

/* cuda_forward.c: all new tokens of a call, piece by piece. Checks nothing. The batch as spans, in
 * its order, is in `all`. */
MV_MUST_CHECK mv_code mv_forward(mv_engine *e, const mv_span *all, uint32_t n_all,
                                 const int32_t *tokens, mv_logits which, float *logits,
                                 mv_error *error);

/* cuda_many.c, cuda_few.c: the piece in e->spans through all layers; e->index rows of logits. */
MV_MUST_CHECK mv_code mv_many_rows(mv_engine *e, const mv_piece *piece, float *logits,
                                   mv_error *error);
MV_MUST_CHECK mv_code mv_few_rows(mv_engine *e, const mv_piece *piece, float *logits,
                                  mv_error *error);
MV_MUST_CHECK mv_code mv_few_record(mv_engine *e, mv_error *error); /* the graphs */

/* cuda_taps.c: shows a tensor on the device, and puts back what was replaced. ld 0: it is packed
 * float32. True if something was replaced. No tap set: nothing. */
bool mv_tap_show(mv_engine *e, const mv_piece *piece, const char *name, int32_t layer, void *data,
                 size_t ld, size_t n_cols);
/* Rows of logits, on the host. */
void mv_tap_show_logits(mv_engine *e, const mv_piece *piece, float *logits);

/* cuda_work.c */
void mv_work_count(mv_engine *e, const mv_piece *piece, bool few);
uint64_t mv_work_weight_bytes(const mv_engine *e); /* of all layers, once */

static inline size_t mv_round_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

static inline mv_ring mv_ring_of(const mv_engine *e, uint32_t layer)
{
    const size_t bytes =
        (size_t)layer * e->max_sequences * e->p.n_kv_heads * e->n_slots * e->p.head_dim * e->size;
    const mv_ring ring = {e->ring_k + bytes, e->ring_v + bytes};
    return ring;
}

#endif
