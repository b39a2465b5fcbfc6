/* mistral_backend.h - what an inference engine offers to the harness.
 *
 * A backend is one shared object that exports one symbol, mv_backend_get(). The harness loads it,
 * checks the version, opens an engine on a model that it has already mapped, and asks for logits.
 * A backend includes this header and nothing else of the project, and links against nothing of it.
 *
 * Two facts a newcomer gets wrong:
 *   - the window is a number in the params, and counts the query itself: with sliding_window = W,
 *     the token at position i sees the keys i-W+1 ... i. 0 means all of them;
 *   - the chunk is no parameter at all: it is how many tokens one forward() call brings. A call
 *     may bring 1 token or 10,000, less or more than W, and any mix of sequences.
 *
 * Copy backends/template to start a new one.
 */
#ifndef MISTRAL_BACKEND_H
#define MISTRAL_BACKEND_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MV_EXPORT __attribute__((visibility("default")))
#define MV_MUST_CHECK __attribute__((warn_unused_result))
#define MV_PRINTF(format_at, first_arg_at) __attribute__((format(printf, format_at, first_arg_at)))
#else
#define MV_EXPORT
#define MV_MUST_CHECK
#define MV_PRINTF(format_at, first_arg_at)
#endif

/* A host refuses another major. Within a major, structs only grow at the end; whoever reads a
 * struct reads no more than the struct_size that its writer put in. */
#define MV_BACKEND_ABI_MAJOR 1
#define MV_BACKEND_ABI_MINOR 0

/* ---- errors ---- */

typedef enum mv_code {
    MV_OK = 0,
    MV_ERR_ARGUMENT,    /* the caller asked for what does not exist or cannot be */
    MV_ERR_MEMORY,      /* host or device memory ran out, or would */
    MV_ERR_IO,          /* open, read or write failed */
    MV_ERR_FORMAT,      /* it was read, and is not what it should be */
    MV_ERR_UNSUPPORTED, /* well-formed, and not handled */
    MV_ERR_UNAVAILABLE, /* cannot run here (no GPU, no library): a skip, with the reason */
    MV_ERR_BACKEND      /* the engine, or a library below it, failed */
} mv_code;

/* For a person to read: what, where, expected, found; one line. Lives on the caller's stack. */
typedef struct mv_error {
    mv_code code;
    char message[508];
} mv_error;

/* Sets *error (which may be NULL) and returns code, so that a failure is one statement. */
MV_PRINTF(3, 4)
static inline mv_code mv_fail(mv_error *error, mv_code code, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error->code = code;
        (void)vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    return code;
}

/* ---- the model, as the harness lends it ---- */

typedef enum mv_dtype { MV_DTYPE_F32 = 0, MV_DTYPE_F16 = 1, MV_DTYPE_BF16 = 2 } mv_dtype;

/* One weight. Row-major, little-endian, borrowed: mapped and unchanged until close(). */
typedef struct mv_tensor {
    const char *name;  /* as in Mistral's checkpoint: "layers.0.attention.wq.weight" */
    const void *data;  /* aligned to the element, not always to more */
    uint64_t shape[2]; /* [n_out, n_in]; a norm is [dim, 1] */
    uint64_t size_bytes;
    uint32_t n_dims; /* 1 or 2 */
    mv_dtype dtype;
} mv_tensor;

/* params.json, one field a key, the same letters. */
typedef struct mv_params {
    uint32_t dim;            /* 4096 in Mistral-7B v0.1 */
    uint32_t n_layers;       /* 32 */
    uint32_t head_dim;       /* 128, even */
    uint32_t hidden_dim;     /* 14336 */
    uint32_t n_heads;        /* 32 query heads; n_heads * head_dim need not be dim */
    uint32_t n_kv_heads;     /* 8; query head h reads key/value head h / (n_heads / n_kv_heads) */
    uint32_t vocab_size;     /* 32000 */
    uint32_t sliding_window; /* 4096: keys a query may see, itself included; 0 = all */
    double norm_eps;         /* 1e-5 */
    double rope_theta;       /* 1e4 in v0.1, 1e6 from v0.2 on */
} mv_params;

/* y = x W^T for every matrix; no biases. */
typedef struct mv_layer {
    mv_tensor attention_norm; /* [dim] */
    mv_tensor wq;             /* [n_heads * head_dim, dim], RoPE pairs interleaved (2i, 2i+1) */
    mv_tensor wk;             /* [n_kv_heads * head_dim, dim], the same */
    mv_tensor wv;             /* [n_kv_heads * head_dim, dim] */
    mv_tensor wo;             /* [dim, n_heads * head_dim] */
    mv_tensor ffn_norm;       /* [dim] */
    mv_tensor w1;             /* gate [hidden_dim, dim] */
    mv_tensor w2;             /* down [dim, hidden_dim] */
    mv_tensor w3;             /* up   [hidden_dim, dim] */
} mv_layer;

typedef struct mv_model_view {
    size_t struct_size;
    size_t layer_size; /* bytes from one layer to the next: use mv_layer_at() */
    mv_params params;
    mv_tensor tok_embeddings; /* [vocab_size, dim] */
    mv_tensor norm;           /* [dim] */
    mv_tensor output;         /* [vocab_size, dim]; may share its data with tok_embeddings */
    const mv_layer *layers;   /* [n_layers] */
} mv_model_view;

static inline const mv_layer *mv_layer_at(const mv_model_view *model, uint32_t layer)
{
    return (const mv_layer *)(const void *)((const char *)model->layers +
                                            (size_t)layer * model->layer_size);
}

/* ---- an engine ---- */

typedef struct mv_engine mv_engine; /* the backend's own; opaque to the harness */

/* The arithmetic asked for. F64 is for oracles; BF16 means bf16 operands with f32 sums. */
typedef enum mv_compute { MV_COMPUTE_F32 = 0, MV_COMPUTE_BF16 = 1, MV_COMPUTE_F64 = 2 } mv_compute;

typedef struct mv_option {
    const char *key, *value;
} mv_option;

typedef enum mv_log_level { MV_LOG_ERROR, MV_LOG_WARN, MV_LOG_INFO, MV_LOG_DEBUG } mv_log_level;

/* What an engine must be ready for. forward() never brings more than was announced here. */
typedef struct mv_engine_options {
    size_t struct_size;
    mv_compute compute;
    uint32_t n_threads;        /* 0 = the backend's choice */
    uint32_t max_sequences;    /* sequences are numbered 0 ... max_sequences - 1 */
    uint32_t max_positions;    /* longest that a sequence grows, in tokens */
    uint32_t max_batch_tokens; /* most tokens in one forward(), over all its sequences */
    const mv_option *options;  /* --backend-option key=value; an unknown key is an error */
    size_t n_options;
    void (*log)(void *cookie, mv_log_level level, const char *text); /* may be NULL */
    void *log_cookie;
} mv_engine_options;

/* New tokens for some of the sequences: ragged, no padding. A sequence appears at most once. */
typedef struct mv_batch {
    size_t struct_size;
    uint32_t n_sequences;      /* how many take part, >= 1 */
    const uint32_t *sequences; /* [n_sequences] which */
    const uint32_t *n_tokens;  /* [n_sequences] new tokens of each, >= 1 */
    const int32_t *tokens;     /* [sum(n_tokens)] those of the first, then of the next ... */
} mv_batch;

/* Which rows of logits forward() writes, in the order of the batch. */
typedef enum mv_logits {
    MV_LOGITS_ALL = 0,  /* one for every new token */
    MV_LOGITS_LAST = 1, /* one for the last token of each sequence */
    MV_LOGITS_NONE = 2  /* none; logits may be NULL */
} mv_logits;

/* What a backend promises. A claim turns the matching suite from "within noise" to "bit for bit";
 * claim nothing that you have not tested. */
typedef enum mv_claim {
    MV_CLAIM_REPEATABLE = 1 << 0,       /* same calls, same bits */
    MV_CLAIM_BATCH_INVARIANT = 1 << 1,  /* other sequences in the batch change no bit */
    MV_CLAIM_CHUNK_INVARIANT = 1 << 2,  /* how a prompt is cut changes no bit */
    MV_CLAIM_THREAD_INVARIANT = 1 << 3, /* n_threads changes no bit */
    MV_CLAIM_LOGPROBS_ONLY = 1 << 4     /* rows are log-probabilities (a remote server) */
} mv_claim;

typedef struct mv_caps {
    size_t struct_size;
    uint32_t claims;   /* mv_claim bits */
    uint32_t computes; /* bit 1 << MV_COMPUTE_x for each compute type it has */
} mv_caps;

/* Bytes held now. 0 means none; a backend that cannot know leaves the entry NULL. */
typedef struct mv_memory {
    size_t struct_size;
    uint64_t weights_bytes; /* copies and repacked forms; the lent view does not count */
    uint64_t kv_cache_bytes;
    uint64_t scratch_bytes;
} mv_memory;

/* Exact work since open() or the last call with clear set: no noise, so any growth is a change. */
typedef struct mv_work {
    size_t struct_size;
    uint64_t linear_multiply_adds;    /* wq wk wv wo w1 w2 w3 */
    uint64_t output_multiply_adds;    /* the logits' product */
    uint64_t attention_multiply_adds; /* q.k and p.v, executed */
    uint64_t attention_pairs;         /* (query, key) pairs executed, over layers and query heads */
    uint64_t weight_bytes;            /* bytes of weights read */
    uint64_t kv_cache_bytes;          /* bytes of cache read and written */
    uint64_t calls;                   /* matrix products or kernels started */
    uint64_t allocations;             /* in forward(): should be 0 */
} mv_work;

/* ---- taps: inner tensors, read or replaced ---- */

typedef enum mv_tap_action { MV_TAP_KEEP = 0, MV_TAP_REPLACED = 1 } mv_tap_action;

typedef enum mv_tap_dtype { MV_TAP_F32 = 0, MV_TAP_F64 = 1 } mv_tap_dtype;

/* The rows of one sequence in one forward(). Borrowed for the time of the callback.
 * Names, in the order of the forward pass ([n_cols]):
 *   "embedding" [dim]
 *   per layer: "attention_norm" [dim] · "q" "k" after RoPE [heads * head_dim] · "v" ·
 *     "attention" (heads, before wo) [n_heads * head_dim] · "attention_out" (after wo) [dim] ·
 *     "attention_residual" [dim] · "ffn_norm" [dim] · "gate" (silu applied) "up" [hidden_dim] ·
 *     "ffn_out" (after w2) [dim] · "layer_out" [dim]
 *   "norm" [dim] · "logits" [vocab_size]
 * A backend may leave out names that it never has in memory. */
typedef struct mv_tap {
    size_t struct_size;
    const char *name;
    int32_t layer; /* -1 outside the layers */
    uint32_t sequence;
    uint64_t first_position; /* of row 0; rows are consecutive positions */
    uint64_t n_rows, n_cols;
    mv_tap_dtype dtype;
    void *data; /* [n_rows, n_cols]; write to it and return MV_TAP_REPLACED */
} mv_tap;

typedef mv_tap_action (*mv_tap_fn)(void *cookie, const mv_tap *tap);

/* ---- the table ---- */

typedef struct mv_backend {
    uint32_t abi_major; /* these two never move, in any version */
    uint32_t abi_minor;
    size_t struct_size;  /* sizeof(mv_backend) where the backend was built */
    const char *name;    /* "reference": what --backend takes */
    const char *summary; /* one line, for --list */
    const char *version; /* the backend's own; also tells two builds apart */

    /* Required. Can this backend run here? MV_ERR_UNAVAILABLE says why not. */
    mv_code (*probe)(mv_error *error);

    /* Required. What it promises; asked before open(). */
    void (*caps)(mv_caps *caps);

    /* Required. Takes all memory now, so that forward() allocates nothing. The view, and what it
     * points to, stays as it is until close(); the options only until open() returns. Several
     * engines may be open at once, each with a state of its own; their calls come from one thread.
     * A backend that has room for one says MV_ERR_UNSUPPORTED to the next. */
    mv_code (*open)(mv_engine **engine, const mv_model_view *model,
                    const mv_engine_options *options, mv_error *error);

    /* Required. NULL is fine. */
    void (*close)(mv_engine *engine);

    /* Required. The sequence starts again at position 0. */
    mv_code (*reset)(mv_engine *engine, uint32_t sequence, mv_error *error);

    /* Required. Appends the batch to its sequences and writes logits [rows, vocab_size] float32
     * into the caller's array, complete on return. On failure the logits are unspecified and the
     * engine needs reset(). */
    mv_code (*forward)(mv_engine *engine, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error);

    /* Optional, NULL if not there. Keeps the first n_positions of a sequence. A rolling buffer
     * that has already overwritten what the next token must see says MV_ERR_UNSUPPORTED. */
    mv_code (*truncate)(mv_engine *engine, uint32_t sequence, uint32_t n_positions,
                        mv_error *error);

    /* Optional. Calls fn for every named tensor of every forward() until set to NULL. */
    mv_code (*set_tap)(mv_engine *engine, mv_tap_fn fn, void *cookie, mv_error *error);

    /* Optional. */
    void (*memory)(const mv_engine *engine, mv_memory *memory);

    /* Optional. */
    void (*work)(mv_engine *engine, mv_work *work, int clear);

    /* Optional. What the engine really uses ("threads", "gemm", "blas_core"): one emit() a fact. */
    void (*describe)(const mv_engine *engine,
                     void (*emit)(void *cookie, const char *key, const char *value), void *cookie);

    /* Optional. Quick checks of its own parts, without a model. */
    mv_code (*self_test)(mv_error *error);
    /* 1.0 ends here. Later minors append; nothing above ever changes. */
} mv_backend;

/* The one symbol. Static storage: never freed, never NULL. */
typedef const mv_backend *(*mv_backend_get_fn)(void);
#define MV_BACKEND_GET_SYMBOL "mv_backend_get"
MV_EXPORT const mv_backend *mv_backend_get(void);

#ifdef __cplusplus
}
#endif

#endif
