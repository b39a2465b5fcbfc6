/* canary - an engine writes the rows that were asked for, all of them, and nothing else.
 *
 * The logits go into a block with marked floats before and behind; the tokens come from a block
 * that is compared afterwards. Calls that ask for all rows, for the last row of each sequence, and
 * for none (with a NULL block), with one and with three sequences. Rows that were asked for must
 * have been written in full: the block is filled with a NaN of its own before.
 *
 * Catches: a row too many; a vocabulary padded to a multiple of a tile and written so; rows for
 * sequences that asked for none; a kernel that leaves the tail of a row; tokens changed in place.
 * Source: checkasm's padding checks (haasn/checkasm, src/utils.c).
 */
#include <stdlib.h>
#include <string.h>

#include "suites/run.h"

enum { GUARD = 1024 };
#define GUARD_BITS 0x7fc0dead /* a NaN that no arithmetic makes */
#define BLANK_BITS 0x7fc0beef

static void mark(float *block, size_t n, uint32_t bits)
{
    for (size_t i = 0; i < n; i++)
        memcpy(block + i, &bits, sizeof bits);
}

/* First float that has not (or that has, if `unless`) these bits; -1 if there is none. */
static int64_t find(const float *block, size_t n, uint32_t bits, bool unless)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t found;
        memcpy(&found, block + i, sizeof found);
        if ((found == bits) == unless)
            return (int64_t)i;
    }
    return -1;
}

typedef struct guarded {
    float *block; /* [GUARD + n + GUARD] */
    size_t n;
} guarded;

static void judge_block(mv_case_result *result, const guarded *g, const char *which,
                        size_t vocab_size)
{
    int64_t before = find(g->block, GUARD, GUARD_BITS, false);
    int64_t after = find(g->block + GUARD + g->n, GUARD, GUARD_BITS, false);
    int64_t blank = find(g->block + GUARD, g->n, BLANK_BITS, true);
    if (before >= 0)
        mv_case_fail(result, "%s: wrote %lld floats before the logits", which,
                     (long long)(GUARD - before));
    if (after >= 0)
        mv_case_fail(result, "%s: wrote behind the logits, first %lld floats after their end",
                     which, (long long)after);
    if (blank >= 0)
        mv_case_fail(result, "%s: row %lld token %lld was asked for and not written", which,
                     (long long)blank / (long long)vocab_size,
                     (long long)blank % (long long)vocab_size);
}

/* One call of n_sequences parts of 3, 4, 5 ... tokens. */
static mv_code call(mv_run *run, mv_engine *engine, uint32_t n_sequences, mv_logits which,
                    const int32_t *tokens, mv_case_result *result, mv_error *ran_error)
{
    static const char *const words[] = {"all rows", "last rows", "no rows"};
    const mv_run_options *o = mv_run_get_options(run);
    const size_t vocab_size = o->model->params.vocab_size;
    uint32_t sequences[3], n_tokens[3];
    size_t n = 0;
    for (uint32_t i = 0; i < n_sequences; i++) {
        sequences[i] = i;
        n_tokens[i] = 3 + i;
        n += n_tokens[i];
    }
    const size_t n_rows = which == MV_LOGITS_ALL ? n : which == MV_LOGITS_LAST ? n_sequences : 0;
    guarded g = {malloc((2 * GUARD + n_rows * vocab_size) * sizeof(float)), n_rows * vocab_size};
    int32_t *copy = malloc(n * sizeof *copy);
    if (g.block == NULL || copy == NULL) {
        free(g.block);
        free(copy);
        return mv_fail(ran_error, MV_ERR_MEMORY, "no memory for guarded logits");
    }
    memcpy(copy, tokens, n * sizeof *copy);
    mark(g.block, 2 * GUARD + g.n, GUARD_BITS);
    mark(g.block + GUARD, g.n, BLANK_BITS);
    const mv_batch batch = {sizeof batch, n_sequences, sequences, n_tokens, copy};
    mv_code ran = o->backend->forward(engine, &batch, which,
                                      which == MV_LOGITS_NONE ? NULL : g.block + GUARD, ran_error);
    if (ran == MV_OK) {
        judge_block(result, &g, words[which], vocab_size);
        if (memcmp(copy, tokens, n * sizeof *copy) != 0)
            mv_case_fail(result, "%s: the tokens were changed", words[which]);
        result->n_positions += (int64_t)n_rows;
    }
    free(g.block);
    free(copy);
    return ran;
}

static mv_code run_sequences(mv_run *run, uint32_t n_sequences, mv_error *error)
{
    const mv_run_options *o = mv_run_get_options(run);
    mv_case_result result;
    mv_engine *engine = NULL;
    mv_error ran_error = {0};
    const int32_t *tokens;
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = o->compute,
                                       .n_threads = o->n_threads,
                                       .max_sequences = n_sequences,
                                       .max_positions = 64,
                                       .max_batch_tokens = 32,
                                       .options = o->options,
                                       .n_options = o->n_options};
    if (!mv_case_begin(run, &result, 0, 0, "%u sequence%s", n_sequences,
                       n_sequences == 1 ? "" : "s"))
        return MV_OK;
    result.verdict = MV_VERDICT_PASS;
    result.length = 12;
    mv_code code = mv_run_prompt(run, 0, 32, &tokens, error);
    if (code != MV_OK)
        return code;
    mv_code ran = mv_backend_open(o->backend, &engine, o->model, &options, &ran_error);
    const mv_logits order[] = {MV_LOGITS_ALL, MV_LOGITS_NONE, MV_LOGITS_LAST, MV_LOGITS_ALL};
    for (size_t i = 0; i < sizeof order / sizeof *order && ran == MV_OK; i++)
        ran = call(run, engine, n_sequences, order[i], tokens, &result, &ran_error);
    if (engine != NULL)
        o->backend->close(engine);
    return mv_case_end(run, &result, ran, &ran_error, error);
}

static mv_code run_canary(mv_run *run, mv_error *error)
{
    mv_code code = run_sequences(run, 1, error);
    return code == MV_OK ? run_sequences(run, 3, error) : code;
}

const mv_suite mv_suite_canary = {
    "canary", "an engine writes the rows that were asked for, all of them, and nothing else",
    run_canary};
