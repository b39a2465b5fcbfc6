/* slow.c - the reference with a planted fault, to see whether a comparison of builds finds it.
 *
 * MV_FAULT in the environment, or the option fault=..., is one of
 *   attention:+P%  P percent more processor time in each call, in products of queries and keys:
 * what no counter sees, and no sleep sleep:+P%      waits instead, which processor time does not
 * see logits-all     computes the logits of every token and throws most of them away alloc
 * allocates in each call ignore-window  attends to every token and nothing at all without one: not
 * even a look at the clock. Asking for the processor time takes 2 to 3 microseconds, twice a call,
 * which is 5 % and more of a call of 100 microseconds.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/mistral_backend.h"

const mv_backend *mv_reference_f32(void);
const mv_backend *mv_backend_get(void);

typedef enum fault { NONE, ATTENTION, SLEEP, LOGITS_ALL, ALLOC, IGNORE_WINDOW } fault;

struct mv_engine {
    mv_engine *inner;
    mv_model_view view; /* with another window, if that is the fault */
    fault fault;
    double share; /* more, of a call's own time */
    float *all;   /* [max_batch_tokens, vocab_size] */
    uint64_t n_allocations;
};

static mv_code read_fault(mv_engine *e, const char *text, mv_error *error)
{
    static const struct {
        const char *name;
        fault fault;
    } names[] = {
        {"attention:+", ATTENTION},       {"sleep:+", SLEEP},
        {"logits-all", LOGITS_ALL},       {"alloc", ALLOC},
        {"ignore-window", IGNORE_WINDOW},
    };
    if (text == NULL || text[0] == '\0')
        return MV_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i].name);
        if (strncmp(text, names[i].name, size) != 0)
            continue;
        e->fault = names[i].fault;
        e->share = strtod(text + size, NULL) / 100;
        return MV_OK;
    }
    return mv_fail(error, MV_ERR_ARGUMENT, "slow: unknown fault '%s'", text);
}

static void slow_close(mv_engine *e)
{
    if (e == NULL)
        return;
    if (e->inner != NULL)
        mv_reference_f32()->close(e->inner);
    free(e->all);
    free(e);
}

static mv_code slow_open(mv_engine **engine, const mv_model_view *model,
                         const mv_engine_options *options, mv_error *error)
{
    mv_engine_options inner = *options;
    mv_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "slow: no memory");
    const char *text = getenv("MV_FAULT");
    if (options->n_options == 1 && strcmp(options->options[0].key, "fault") == 0) {
        text = options->options[0].value;
        inner.n_options = 0;
    }
    mv_code code = read_fault(e, text, error);
    e->view = *model;
    if (e->fault == IGNORE_WINDOW)
        e->view.params.sliding_window = 0;
    if (e->fault == LOGITS_ALL)
        e->all =
            malloc((size_t)options->max_batch_tokens * model->params.vocab_size * sizeof *e->all);
    if (code == MV_OK && e->fault == LOGITS_ALL && e->all == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "slow: no memory for all logits");
    if (code == MV_OK)
        code = mv_reference_f32()->open(&e->inner, &e->view, &inner, error);
    if (code != MV_OK) {
        slow_close(e);
        return code;
    }
    *engine = e;
    return MV_OK;
}

static double cpu_s(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Scores of a made-up head until the processor has spent so much more. */
static void attend_until(double end_s)
{
    enum { HEAD_DIM = 128, N_KEYS = 8 };
    static const float query[HEAD_DIM] = {1}, keys[N_KEYS][HEAD_DIM] = {{1}};
    volatile float score = 0;
    while (cpu_s() < end_s) {
        for (int k = 0; k < N_KEYS; k++) {
            float sum = score;
            for (int i = 0; i < HEAD_DIM; i++)
                sum += query[i] * keys[k][i];
            score = sum * 0.5f;
        }
    }
}

static mv_code forward_all(mv_engine *e, const mv_batch *batch, float *logits, mv_error *error)
{
    const size_t vocab_size = e->view.params.vocab_size;
    const float *row = e->all;
    mv_code code = mv_reference_f32()->forward(e->inner, batch, MV_LOGITS_ALL, e->all, error);
    for (uint32_t s = 0; s < batch->n_sequences && code == MV_OK; s++) {
        row += (size_t)(batch->n_tokens[s] - 1) * vocab_size;
        memcpy(logits, row, vocab_size * sizeof *row);
        logits += vocab_size;
        row += vocab_size;
    }
    return code;
}

static mv_code slow_forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                            mv_error *error)
{
    const bool takes_time = e->fault == ATTENTION || e->fault == SLEEP;
    const double start_s = takes_time ? cpu_s() : 0;
    mv_code code = e->fault == LOGITS_ALL && which == MV_LOGITS_LAST
                       ? forward_all(e, batch, logits, error)
                       : mv_reference_f32()->forward(e->inner, batch, which, logits, error);
    const double elapsed_s = takes_time ? cpu_s() - start_s : 0;
    if (e->fault == ATTENTION)
        attend_until(start_s + elapsed_s * (1 + e->share));
    if (e->fault == SLEEP) {
        double wait_s = elapsed_s * e->share;
        struct timespec wait = {(time_t)wait_s, (long)(1e9 * (wait_s - (double)(time_t)wait_s))};
        (void)nanosleep(&wait, NULL);
    }
    if (e->fault == ALLOC) {
        char *volatile room = malloc(65536);
        e->n_allocations++;
        free(room);
    }
    return code;
}

static mv_code slow_reset(mv_engine *e, uint32_t sequence, mv_error *error)
{
    return mv_reference_f32()->reset(e->inner, sequence, error);
}

static void slow_work(mv_engine *e, mv_work *work, int clear)
{
    mv_reference_f32()->work(e->inner, work, clear);
    work->allocations += e->n_allocations;
    if (clear)
        e->n_allocations = 0;
}

const mv_backend *mv_backend_get(void)
{
    static mv_backend table;
    table = *mv_reference_f32();
    table.name = "reference"; /* it says that it is a build of it */
    table.open = slow_open;
    table.close = slow_close;
    table.reset = slow_reset;
    table.forward = slow_forward;
    table.work = slow_work;
    table.truncate = NULL;
    table.set_tap = NULL;
    table.memory = NULL;
    table.describe = NULL;
    table.self_test = NULL;
    return &table;
}
