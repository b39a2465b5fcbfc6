/* fragile.c - the reference, but a call of a certain number of tokens is its end: for --isolate.
 *
 *   --backend-option crash=N   a call of N tokens aborts
 *   --backend-option hang=N    a call of N tokens never returns
 *   --backend-option exit=N    a call of N tokens ends the process
 *   --backend-option open=1    open() aborts
 *   --backend-option leave=N   a call of N tokens calls exit(0)
 *   --backend-option print=N   a call of N tokens prints to stdout, and leaves half in the buffer
 *   --backend-option null=1    open() says MV_OK and gives no engine
 */
#define MV_REFERENCE_F32
#define MV_REFERENCE_PART correct_backend
#include "backends/reference/reference.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N_FAULTS = 7 };
static const char *const faults[N_FAULTS] = {"crash", "hang",  "exit", "open",
                                             "leave", "print", "null"};
static uint32_t tokens_of[N_FAULTS]; /* 0 = never */

static mv_code open_fragile(mv_engine **engine, const mv_model_view *model,
                            const mv_engine_options *options, mv_error *error)
{
    mv_engine_options plain = *options;
    for (size_t i = 0; i < options->n_options; i++) {
        for (size_t f = 0; f < N_FAULTS; f++) {
            if (strcmp(options->options[i].key, faults[f]) == 0)
                tokens_of[f] = (uint32_t)strtoul(options->options[i].value, NULL, 10);
        }
    }
    if (tokens_of[3] != 0)
        abort();
    if (tokens_of[6] != 0)
        return MV_OK;
    plain.options = NULL;
    plain.n_options = 0;
    return open_engine(engine, model, &plain, error);
}

static mv_code forward_fragile(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                               mv_error *error)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        n += batch->n_tokens[i];
    if (n == tokens_of[0])
        abort();
    const struct timespec second = {1, 0};
    while (n == tokens_of[1])
        (void)nanosleep(&second, NULL);
    if (n == tokens_of[2])
        _Exit(3);
    if (n == tokens_of[4])
        exit(0);
    if (n == tokens_of[5]) {
        printf("an engine's line\n");
        (void)fflush(stdout);
        printf("an engine's buffered line\n");
    }
    return forward(e, batch, which, logits, error);
}

const mv_backend *mv_backend_get(void)
{
    static mv_backend fragile;
    fragile = *correct_backend();
    fragile.name = "fragile";
    fragile.summary = "the reference, which ends on a call of a certain size";
    fragile.open = open_fragile;
    fragile.forward = forward_fragile;
    return &fragile;
}
