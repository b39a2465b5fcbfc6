/* engine_worker.c - one of our engines behind a pipe, for compare.py; not a test.
 *
 * usage: engine_worker MODEL BACKEND COMPUTE THREADS LANES POSITIONS CALL [KEY=VALUE...]
 * LANES sequences of at most POSITIONS tokens, CALL tokens in one call at most. Reads commands on
 * stdin, one a line, and answers each with one line of JSON:
 *   time LANE N    one call with N more tokens and the last one's logits: its time
 *   fill LANE N    N more tokens, in calls of at most CALL, without logits
 *   reset LANE
 *   back LANE N    keeps N tokens; not done where a rolling buffer has lost what they would see
 *   logits FILE    those of the last call, as float32
 *   ceilings       what the processor and the memory can do now
 * Token i of a sequence is the same for every worker: see token_at().
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/backend.h"
#include "harness/model.h"
#include "harness/probe.h"

typedef struct worker {
    const mv_model_view *model;
    const mv_backend *backend;
    mv_engine *engine;
    mv_engine_options options;
    uint64_t *depth;    /* [lanes] tokens so far */
    int32_t *tokens;    /* [max_batch_tokens] */
    float *logits;      /* [vocab_size] */
    int64_t ns, cpu_ns; /* of the last call */
} worker;

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Spread over the vocabulary, without its first three special tokens. */
static int32_t token_at(uint64_t position, uint32_t vocab_size)
{
    return (int32_t)(position == 0 ? 1 : 3 + (position * 7919 + 12345) % (vocab_size - 3));
}

static mv_code call(worker *w, uint32_t lane, uint32_t n, mv_logits which, mv_error *error)
{
    mv_batch batch = {sizeof batch, 1, &lane, &n, w->tokens};
    for (uint32_t i = 0; i < n; i++)
        w->tokens[i] = token_at(w->depth[lane] + i, w->model->params.vocab_size);
    int64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
    mv_code code = w->backend->forward(w->engine, &batch, which, w->logits, error);
    w->ns = now_ns(CLOCK_MONOTONIC) - wall;
    w->cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (code == MV_OK)
        w->depth[lane] += n;
    return code;
}

static mv_code run_time(worker *w, uint32_t lane, uint32_t n, mv_error *error)
{
    uint64_t from = w->depth[lane];
    if (n == 0 || n > w->options.max_batch_tokens)
        return mv_fail(error, MV_ERR_ARGUMENT, "time: expected 1 ... %u tokens, found %u",
                       w->options.max_batch_tokens, n);
    mv_code code = call(w, lane, n, MV_LOGITS_LAST, error);
    if (code == MV_OK)
        printf("{\"ns\": %lld, \"cpu_ns\": %lld, \"from\": %llu}\n", (long long)w->ns,
               (long long)w->cpu_ns, (unsigned long long)from);
    return code;
}

static mv_code run_fill(worker *w, uint32_t lane, uint32_t n, mv_error *error)
{
    mv_code code = MV_OK;
    while (n > 0 && code == MV_OK) {
        uint32_t some = n < w->options.max_batch_tokens ? n : w->options.max_batch_tokens;
        code = call(w, lane, some, MV_LOGITS_NONE, error);
        n -= some;
    }
    if (code == MV_OK)
        printf("{\"depth\": %llu}\n", (unsigned long long)w->depth[lane]);
    return code;
}

static mv_code run_reset(worker *w, uint32_t lane, uint32_t n, mv_error *error)
{
    (void)n;
    mv_code code = w->backend->reset(w->engine, lane, error);
    if (code == MV_OK) {
        w->depth[lane] = 0;
        printf("{\"depth\": 0}\n");
    }
    return code;
}

static mv_code run_back(worker *w, uint32_t lane, uint32_t n, mv_error *error)
{
    mv_code code = MV_ERR_UNSUPPORTED;
    if (w->backend->truncate != NULL)
        code = w->backend->truncate(w->engine, lane, n, error);
    if (code == MV_OK)
        w->depth[lane] = n;
    else if (code != MV_ERR_UNSUPPORTED)
        return code;
    printf("{\"depth\": %llu}\n", (unsigned long long)w->depth[lane]);
    return MV_OK;
}

static mv_code run_ceilings(worker *w, uint32_t lane, uint32_t n, mv_error *error)
{
    mv_ceilings c = {0};
    double read = 0;
    (void)lane, (void)n;
    mv_code code = mv_probe_ceilings(&c, w->options.n_threads, error);
    if (code == MV_OK)
        code = mv_probe_memory(&read, &c, error);
    if (code == MV_OK)
        printf("{\"flops_per_s\": %.4g, \"bf16_flops_per_s\": %.4g, \"read_bytes_per_s\": %.4g}\n",
               c.flops_per_s, c.bf16_flops_per_s == c.bf16_flops_per_s ? c.bf16_flops_per_s : 0,
               read);
    return code;
}

static mv_code write_logits(const worker *w, const char *path, mv_error *error)
{
    const size_t n = w->model->params.vocab_size;
    FILE *stream = fopen(path, "we");
    bool good = stream != NULL && fwrite(w->logits, sizeof *w->logits, n, stream) == n;
    if (stream != NULL && fclose(stream) != 0)
        good = false;
    if (!good)
        return mv_fail(error, MV_ERR_IO, "cannot write %s", path);
    printf("{\"written\": %zu}\n", n);
    return MV_OK;
}

static mv_code obey(worker *w, char *line, mv_error *error)
{
    static const struct {
        const char *verb;
        mv_code (*run)(worker *w, uint32_t lane, uint32_t n, mv_error *error);
    } verbs[] = {{"time", run_time},
                 {"fill", run_fill},
                 {"reset", run_reset},
                 {"back", run_back},
                 {"ceilings", run_ceilings}};
    unsigned lane = 0, n = 0;
    char verb[16] = "";
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "logits ", 7) == 0)
        return write_logits(w, line + 7, error);
    if (sscanf(line, "%15s %u %u", verb, &lane, &n) < 1 || lane >= w->options.max_sequences)
        return mv_fail(error, MV_ERR_ARGUMENT, "expected VERB LANE N, found '%s'", line);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].verb) == 0)
            return verbs[i].run(w, lane, n, error);
    }
    return mv_fail(error, MV_ERR_ARGUMENT, "unknown verb '%s'", verb);
}

static void say_fact(void *cookie, const char *key, const char *value)
{
    (void)cookie;
    printf(", \"%s\": \"%s\"", key, value);
}

static mv_code open_worker(worker *w, mv_model **model, char **argv, mv_error *error)
{
    mv_code code = mv_model_open(model, argv[1], error);
    if (code == MV_OK)
        code = mv_backend_load(&w->backend, argv[2], NULL, 0, error);
    if (code == MV_OK)
        code = mv_compute_parse(&w->options.compute, argv[3], error);
    if (code != MV_OK)
        return code;
    w->model = mv_model_get_view(*model);
    w->depth = calloc(w->options.max_sequences, sizeof *w->depth);
    w->tokens = calloc(w->options.max_batch_tokens, sizeof *w->tokens);
    w->logits = calloc(w->model->params.vocab_size, sizeof *w->logits);
    if (w->depth == NULL || w->tokens == NULL || w->logits == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "engine_worker: no memory for a row of logits");
    code = w->backend->open(&w->engine, w->model, &w->options, error);
    if (code != MV_OK)
        return code;
    printf("{\"backend\": \"%s\", \"compute\": \"%s\"", w->backend->name, argv[3]);
    if (w->backend->describe != NULL)
        w->backend->describe(w->engine, say_fact, NULL);
    printf("}\n");
    return MV_OK;
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    enum { MOST_OPTIONS = 8, FIRST_OPTION = 8 };
    mv_error error = {0};
    mv_model *model = NULL;
    mv_option options[MOST_OPTIONS];
    worker w = {.options = {.struct_size = sizeof w.options, .options = options}};
    char line[512];
    if (argc < FIRST_OPTION || argc > FIRST_OPTION + MOST_OPTIONS) {
        (void)fprintf(stderr, "usage: engine_worker MODEL BACKEND COMPUTE THREADS LANES POSITIONS "
                              "CALL [KEY=VALUE...]\n");
        return 2;
    }
    w.options.n_threads = number(argv[4]);
    w.options.max_sequences = number(argv[5]);
    w.options.max_positions = number(argv[6]);
    w.options.max_batch_tokens = number(argv[7]);
    for (int i = FIRST_OPTION; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL)
            return 2;
        *equals = '\0';
        options[w.options.n_options++] = (mv_option){argv[i], equals + 1};
    }
    mv_code code = open_worker(&w, &model, argv, &error);
    while (code == MV_OK && fflush(stdout) == 0 && fgets(line, sizeof line, stdin) != NULL)
        code = obey(&w, line, &error);
    if (code != MV_OK)
        (void)fprintf(stderr, "engine_worker: %s\n", error.message);
    if (w.engine != NULL)
        w.backend->close(w.engine);
    mv_model_close(&model);
    free(w.depth), free(w.tokens), free(w.logits);
    return code == MV_OK ? 0 : 1;
}
