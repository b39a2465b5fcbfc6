/* run_engine.c - from options to an engine that speaks; files in, files out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/log.h"
#include "harness/machine.h"
#include "tools/run_command.h"

enum { MAX_TEXT_BYTES = 1 << 24, LONG_TEXT_BYTES = 1 << 18, MAX_POSITIONS = 1 << 30 };

mv_code mv_text_engine_open(mv_text_engine *t, const mv_run_settings *settings, mv_error *error)
{
    *t = (mv_text_engine){0};
    mv_code code = mv_model_open(&t->model, settings->spec, error);
    if (code != MV_OK)
        return code;
    const char *path = mv_model_get_tokenizer(t->model);
    t->view = *mv_model_get_view(t->model);
    if (settings->window >= 0)
        t->view.params.sliding_window = (uint32_t)settings->window;
    if (path == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "model %s has no tokenizer.model, and text needs one; expected a folder "
                       "with it beside the weights",
                       settings->spec);
    code = mv_tokenizer_open(&t->tokenizer, path, error);
    if (code == MV_OK)
        code = mv_tokenizer_check(t->tokenizer, t->view.params.vocab_size, error);
    return code;
}

mv_code mv_text_engine_start(mv_text_engine *t, const mv_run_settings *settings, size_t n_sequences,
                             size_t n_positions, mv_error *error)
{
    const mv_cli *cli = settings->cli;
    const char *name = cli->n_backends > 0 ? cli->backends[0] : "reference";
    const size_t limit = settings->max_positions > 0 ? settings->max_positions : MAX_POSITIONS;
    if (n_positions > limit)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "the prompt and its answer take %zu positions; the limit is %zu "
                       "(--max-positions)",
                       n_positions, limit);
    const size_t chunk = settings->chunk < n_positions ? settings->chunk : n_positions;
    size_t n_batch;
    if (__builtin_mul_overflow(chunk, n_sequences, &n_batch) || n_batch > UINT32_MAX)
        return mv_fail(error, MV_ERR_ARGUMENT, "--chunk: %zu prompts of %zu tokens are too many",
                       n_sequences, chunk);
    const mv_engine_options options = {
        .struct_size = sizeof options,
        .compute = settings->compute,
        .n_threads = cli->n_threads > 0 ? (uint32_t)cli->n_threads : (uint32_t)mv_machine_n_cores(),
        .max_sequences = (uint32_t)n_sequences,
        .max_positions = (uint32_t)n_positions,
        .max_batch_tokens = (uint32_t)n_batch,
        .options = cli->options,
        .n_options = cli->n_options,
        .log = mv_log_backend,
    };
    mv_code code = mv_backend_load(&t->backend, name, NULL, 0, error);
    if (code == MV_OK && !mv_backend_has_compute(t->backend, settings->compute))
        code = mv_fail(error, MV_ERR_UNAVAILABLE, "backend %s has no compute type %s", name,
                       mv_compute_name(settings->compute));
    if (code == MV_OK)
        code = mv_backend_open(t->backend, &t->engine, &t->view, &options, error);
    t->max_positions = (uint32_t)n_positions;
    return code;
}

void mv_text_engine_close(mv_text_engine *t)
{
    if (t->engine != NULL)
        t->backend->close(t->engine);
    mv_tokenizer_close(&t->tokenizer);
    mv_model_close(&t->model);
    t->engine = NULL;
}

mv_code mv_run_read_text(const char *path, char **text, size_t *size, mv_error *error)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    FILE *file = is_stdin ? stdin : fopen(path, "rbe");
    if (file == NULL)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    char *bytes = malloc(MAX_TEXT_BYTES);
    errno = 0;
    *size = bytes != NULL ? fread(bytes, 1, MAX_TEXT_BYTES, file) : 0;
    const bool failed = ferror(file) != 0, too_long = *size == MAX_TEXT_BYTES;
    const int reason = errno;
    if (!is_stdin)
        (void)fclose(file);
    if (bytes != NULL && !failed && !too_long) {
        *text = bytes;
        return MV_OK;
    }
    free(bytes);
    if (bytes == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for 16 MiB of text", name);
    if (too_long)
        return mv_fail(error, MV_ERR_IO, "%s: expected less than 16 MiB of text", name);
    return mv_fail(error, MV_ERR_IO, "%s%s cannot be read: %s", name, is_stdin ? "" : ":",
                   reason == EBADF ? "it is closed" : strerror(reason));
}

mv_code mv_run_encode(const mv_text_engine *t, const char *what, const char *text, size_t size,
                      int32_t **ids, size_t *n_ids, mv_error *error)
{
    mv_error inner = {0};
    if (size >= LONG_TEXT_BYTES)
        mv_log_progress("tokenizing %.1f MB", (double)size * 1e-6);
    mv_code code = mv_tokenizer_encode(t->tokenizer, text, size, true, ids, n_ids, &inner);
    mv_log_progress("%s", "");
    return code == MV_OK ? MV_OK : mv_fail(error, code, "%s: %s", what, inner.message);
}

mv_code mv_run_open_output(const mv_cli *cli, FILE **out, bool *json, mv_error *error)
{
    const char *path = cli->n_outputs > 0 ? cli->outputs[0] : "-";
    const size_t length = strlen(path);
    const bool named = length > 5 && strcmp(path + length - 5, ".json") == 0;
    if (cli->n_outputs > 1)
        return mv_fail(error, MV_ERR_ARGUMENT, "--output: expected one, found %zu", cli->n_outputs);
    if (cli->format != NULL && strcmp(cli->format, "json") != 0 && strcmp(cli->format, "text") != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--format: expected text or json, found '%s'",
                       cli->format);
    *json = cli->format != NULL ? strcmp(cli->format, "json") == 0 : named;
    *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (*out == NULL)
        return mv_fail(error, MV_ERR_IO, "--output %s: cannot be created: %s", path,
                       strerror(errno));
    return MV_OK;
}

mv_code mv_run_close_output(const mv_cli *cli, FILE *out, mv_error *error)
{
    errno = 0;
    const bool failed = (out == stdout ? fflush(out) : 0) != 0 || ferror(out) != 0;
    const bool close_failed = out != stdout && fclose(out) != 0;
    if (failed || close_failed)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s",
                       out == stdout ? "standard output" : cli->outputs[0],
                       errno != 0 ? strerror(errno) : "the system took no more");
    return MV_OK;
}
