/* mutant.c - the reference with one bug planted, in one arithmetic.
 *
 * reference.c is compiled here under other names for its seams; the seams_*.c files, included below
 * because they are part of the same translation unit, define each seam again: they ask which fault
 * is planted, do that, and call the correct one for everything else. One file a part of the model.
 *
 * A fault is deterministic. What it must remember from call to call is in the engine's plan.
 */
#define SEAM(name) correct_##name
#include "backends/reference/reference.c"

#include "backends/mutant/mutant.h"

#include <float.h>

/* ---- what an engine with a planted fault knows: e->seams ---- */

typedef struct plan {
    fault fault;
    uint32_t layer; /* where a bug of one layer is */

    /* Where the forward pass is; rms_norm() begins each half of a layer. */
    uint32_t at_layer;
    bool in_feed_forward;

    mv_logits asked; /* of this call */
    uint64_t n_calls;
    uint64_t first_start; /* of the first sequence of this call */
    uint64_t n_sequences; /* 2 or more count as 2 */

    uint64_t *n_before; /* [max_sequences] how long the sequence was before its last reset */
    real *unrotated;    /* [T, K*E] the new keys, before RoPE */
    real *last_row;     /* [V] of logits, as it should have been */
} plan;

static plan *plan_of(const mv_engine *e)
{
    return e->seams;
}

static fault planted(const mv_engine *e)
{
    return plan_of(e)->fault;
}

static bool is_hit(const mv_engine *e, uint32_t layer)
{
    return layer == plan_of(e)->layer;
}

/* How a call finds the sequence. Engines have a kernel for each, and a bug in one of them. */
typedef enum path { PATH_WHOLE, PATH_CHUNK, PATH_DECODE } path;

static path path_of(const span *s)
{
    return s->start == 0 ? PATH_WHOLE : s->n > 1 ? PATH_CHUNK : PATH_DECODE;
}

/* The last layer of a call that wants the last rows alone: an engine may leave out the others
 * there, and take what is left for the whole call. */
static bool is_short(const mv_engine *e, uint32_t layer, const span *s)
{
    return plan_of(e)->asked == MV_LOGITS_LAST && layer + 1 == e->p.n_layers && s->n > 1;
}

/* Rounded to so many significant bits: 8 is bfloat16, 11 float16 and TF32, 4 FP8 E4M3, each without
 * its limits of range. Veltkamp's splitting, so it is fast. */
static real rounded(real value, int bits)
{
    const int digits = sizeof(real) == sizeof(float) ? FLT_MANT_DIG : DBL_MANT_DIG;
    const real split = (real)((UINT64_C(1) << (digits - bits)) + 1) * value;
    return split - (split - value);
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void find_static_cache(const mv_engine *e); /* seams_ring.c */

#include "backends/mutant/seams_attention.c"
#include "backends/mutant/seams_block.c"
#include "backends/mutant/seams_linear.c"
#include "backends/mutant/seams_memory.c"
#include "backends/mutant/seams_output.c"
#include "backends/mutant/seams_ring.c"
#include "backends/mutant/seams_rope.c"
#include "backends/mutant/seams_window.c"

/* ---- options ---- */

/* One allocation, which close_engine() frees. */
static mv_code make_plan(mv_engine *e, mv_error *error)
{
    const size_t kv_width = (size_t)e->p.n_kv_heads * e->p.head_dim;
    const size_t head = sizeof(plan) + e->max_sequences * sizeof(uint64_t);
    size_t n_reals, n_bytes;
    plan *p = NULL;
    if (!__builtin_mul_overflow(kv_width, e->max_batch_tokens, &n_reals) &&
        !__builtin_add_overflow(n_reals, e->p.vocab_size, &n_reals) &&
        !__builtin_mul_overflow(n_reals, sizeof(real), &n_bytes) &&
        !__builtin_add_overflow(n_bytes, head, &n_bytes))
        p = calloc(1, n_bytes);
    if (p == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "mutant: no memory for a plan of %u tokens a call",
                       e->max_batch_tokens);
    p->n_before = (uint64_t *)(void *)(p + 1);
    p->last_row = (real *)(void *)(p->n_before + e->max_sequences);
    p->unrotated = p->last_row + e->p.vocab_size;
    p->layer = e->p.n_layers > 1 ? 1 : 0;
    e->seams = p;
    return MV_OK;
}

static mv_code read_layer(mv_engine *e, const char *text, mv_error *error)
{
    char *end = NULL;
    unsigned long layer = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || layer >= e->p.n_layers)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "mutant: option layer: expected 0 ... %u, found '%.32s'",
                       e->p.n_layers > 0 ? e->p.n_layers - 1 : 0, text);
    plan_of(e)->layer = (uint32_t)layer;
    return MV_OK;
}

static mv_code read_option(mv_engine *e, const mv_engine_options *options, const mv_option *o,
                           mv_error *error)
{
    if (strcmp(o->key, "mutant") == 0)
        return mutant_find(&plan_of(e)->fault, o->value, error);
    if (strcmp(o->key, "layer") == 0)
        return read_layer(e, o->value, error);
    if (strcmp(o->key, "poison") != 0)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "mutant: unknown option '%s'; known: mutant=NAME, layer=N, poison=VALUE",
                       o->key);
    mv_engine_options one = *options;
    one.options = o;
    one.n_options = 1;
    return correct_read_options(e, &one, error);
}

static mv_code read_options(mv_engine *e, const mv_engine_options *options, mv_error *error)
{
    mv_code code = make_plan(e, error);
    for (size_t i = 0; i < options->n_options && code == MV_OK; i++)
        code = read_option(e, options, &options->options[i], error);
    if (code == MV_OK)
        mutant_count_calls_of(planted(e));
    return code;
}
