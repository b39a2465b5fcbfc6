/* run_command.h - what the commands of mistral-run share. Private to mistral_run.c and run_*.c. */
#ifndef MV_TOOLS_RUN_COMMAND_H
#define MV_TOOLS_RUN_COMMAND_H

#include "harness/generate.h"
#include "harness/model.h"
#include "harness/tokenizer.h"
#include "tools/cli.h"

/* The options, read and checked. */
typedef struct mv_run_settings {
    const mv_cli *cli;
    const char *spec;                          /* MODEL */
    const char *text;                          /* --text, or NULL */
    const char *argument;                      /* behind MODEL, or NULL */
    char **prompts;                            /* --prompt, ends with NULL; NULL if there is none */
    uint32_t max_tokens, chunk, max_positions; /* max_positions 0: as many as are needed */
    uint32_t length;                           /* score: most tokens of the text; 0: all */
    int64_t window;                            /* -1: the model's own */
    mv_sampler_options sampler;
    mv_compute compute;
    bool ignore_eos, safe_prompt;
} mv_run_settings;

/* A model, its tokenizer and an engine on it. */
typedef struct mv_text_engine {
    mv_model *model;
    mv_model_view view; /* the model's, but for the window */
    mv_tokenizer *tokenizer;
    const mv_backend *backend;
    mv_engine *engine;
    uint32_t max_positions;
} mv_text_engine;

/* Model and tokenizer only; MV_ERR_ARGUMENT for a model without a tokenizer. */
MV_MUST_CHECK mv_code mv_text_engine_open(mv_text_engine *text_engine,
                                          const mv_run_settings *settings, mv_error *error);

/* Then the engine: n_sequences that grow to n_positions. MV_ERR_ARGUMENT: more than
 * --max-positions. */
MV_MUST_CHECK mv_code mv_text_engine_start(mv_text_engine *text_engine,
                                           const mv_run_settings *settings, size_t n_sequences,
                                           size_t n_positions, mv_error *error);
void mv_text_engine_close(mv_text_engine *text_engine);

/* Whole files, or stdin for "-": *text yours, free(). At most 16 MiB. */
MV_MUST_CHECK mv_code mv_run_read_text(const char *path, char **text, size_t *size,
                                       mv_error *error);

/* Token ids of text, with BOS: *ids yours, free(). what: begins the message about text that is not
 * UTF-8 ("--text book.txt"). */
MV_MUST_CHECK mv_code mv_run_encode(const mv_text_engine *text_engine, const char *what,
                                    const char *text, size_t size, int32_t **ids, size_t *n_ids,
                                    mv_error *error);

/* --output FILE, or stdout; *json: by --format, or by the file's extension. */
MV_MUST_CHECK mv_code mv_run_open_output(const mv_cli *cli, FILE **out, bool *json,
                                         mv_error *error);
MV_MUST_CHECK mv_code mv_run_close_output(const mv_cli *cli, FILE *out, mv_error *error);

/* The commands. */
MV_MUST_CHECK mv_code mv_run_demo(const mv_run_settings *settings, mv_error *error);
MV_MUST_CHECK mv_code mv_run_interactive(const mv_run_settings *settings, mv_error *error);
MV_MUST_CHECK mv_code mv_run_chat(const mv_run_settings *settings, mv_error *error);
MV_MUST_CHECK mv_code mv_run_score(const mv_run_settings *settings, mv_error *error);
MV_MUST_CHECK mv_code mv_run_tokenize(const mv_run_settings *settings, mv_error *error);

#endif
