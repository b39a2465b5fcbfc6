/* run_talk.c - interactive and chat: text that appears while it is made, and Ctrl-C that stops the
 * answer, not the program. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/log.h"
#include "tools/chat_template.h"
#include "tools/read_line.h"
#include "tools/run_command.h"

enum { POSITIONS = 4096, POSITIONS_WITH_WINDOW = 32768 };

typedef struct talk {
    const mv_run_settings *settings;
    mv_text_engine engine;
    mv_tokenizer_stream *stream;
    mv_line_reader *reader;
    mv_chat_template chat;
    bool is_chat;
    mv_code failed;     /* the last refusal of a prompt */
    size_t n_seen;      /* chat: positions in the cache */
    int32_t pending[2]; /* chat: the end of the last answer, which the cache lacks */
    size_t n_pending, n_turns;
    mv_error error; /* of a callback */
} talk;

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- one answer ---- */

static void show(const char *text, size_t size)
{
    (void)fwrite(text, 1, size, stdout);
    (void)fflush(stdout);
}

static mv_code push(talk *t, int32_t token, bool shown, mv_error *error)
{
    const char *text;
    size_t size;
    mv_code code = mv_tokenizer_stream_push(t->stream, token, &text, &size, error);
    if (code == MV_OK && shown)
        show(text, size);
    return code;
}

static bool on_token(void *cookie, size_t prompt, int32_t token, double log_prob)
{
    talk *t = cookie;
    (void)prompt;
    (void)log_prob;
    if (push(t, token, true, &t->error) != MV_OK)
        return false;
    return interrupted == 0 && ferror(stdout) == 0;
}

static bool go_on(void *cookie)
{
    (void)cookie;
    return interrupted == 0;
}

/* A stream begins with the prompt, so that the space before the answer's first word is kept. */
static mv_code begin_stream(talk *t, const int32_t *tokens, size_t n, mv_error *error)
{
    const char *text;
    size_t size;
    mv_code code = mv_tokenizer_stream_finish(t->stream, &text, &size, error);
    for (size_t i = 0; i < n && code == MV_OK; i++)
        code = push(t, tokens[i], !t->is_chat, error);
    return code;
}

static mv_code end_stream(talk *t, mv_error *error)
{
    const char *text;
    size_t size;
    mv_code code = mv_tokenizer_stream_finish(t->stream, &text, &size, error);
    if (code == MV_OK)
        show(text, size);
    (void)fputs(t->is_chat ? "\n" : "\n=====================\n", stdout);
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        return mv_fail(error, MV_ERR_IO, "standard output cannot be written: %s",
                       errno != 0 ? strerror(errno) : "it is closed");
    return code;
}

static mv_code answer(talk *t, const int32_t *tokens, size_t n, mv_generated *g, mv_error *error)
{
    const mv_run_settings *s = t->settings;
    const int32_t eos = mv_tokenizer_eos(t->engine.tokenizer);
    const mv_prompt_in prompt = {
        .tokens = tokens, .n_tokens = n, .n_seen = t->n_seen, .stream = t->n_turns};
    const mv_generate_options options = {.max_tokens = s->max_tokens,
                                         .chunk = s->chunk,
                                         .sampler = s->sampler,
                                         .eos = s->ignore_eos ? -1 : eos,
                                         .on_token = on_token,
                                         .go_on = go_on,
                                         .cookie = t};
    interrupted = 0;
    t->error = (mv_error){0};
    mv_code code = begin_stream(t, tokens, n, error);
    if (code == MV_OK)
        code = mv_generate(t->engine.backend, t->engine.engine, t->engine.view.params.vocab_size,
                           &prompt, 1, &options, g, error);
    if (code == MV_OK && t->error.code != MV_OK) {
        *error = t->error;
        code = error->code;
    }
    t->n_turns++;
    return code == MV_OK ? end_stream(t, error) : code;
}

/* ---- the conversation ---- */

static void forget(talk *t)
{
    t->n_seen = t->n_pending = 0;
}

/* What the cache lacks of this answer: its last token, and the </s> of one that was cut off. */
static void remember(talk *t, const mv_generated *g, size_t n_prompt, size_t n_seen_before)
{
    const int32_t eos = mv_tokenizer_eos(t->engine.tokenizer);
    const bool prefilled = g->n_seen >= n_seen_before + n_prompt;
    t->n_seen = g->n_seen;
    t->n_pending = 0;
    if (!prefilled) { /* stopped inside the prompt: the cache holds half a message */
        mv_log(MV_LOG_WARN, "stopped inside the prompt: the conversation starts anew");
        forget(t);
        return;
    }
    if (g->n_tokens > 0)
        t->pending[t->n_pending++] = g->tokens[g->n_tokens - 1];
    if (eos >= 0 && (g->n_tokens == 0 || g->tokens[g->n_tokens - 1] != eos))
        t->pending[t->n_pending++] = eos;
}

/* *tokens: yours, free(). */
static mv_code make_prompt(talk *t, const char *line, size_t size, int32_t **tokens, size_t *n,
                           mv_error *error)
{
    int32_t *turn = NULL, *all = NULL;
    size_t n_turn = 0;
    const bool first = t->n_seen == 0;
    if (!t->is_chat)
        return mv_tokenizer_encode(t->engine.tokenizer, line, size, true, tokens, n, error);
    mv_code code = mv_chat_template_turn(&t->chat, t->engine.tokenizer, line, size, first,
                                         first && t->settings->safe_prompt, &turn, &n_turn, error);
    if (code != MV_OK)
        return code;
    all = malloc((n_turn + t->n_pending) * sizeof *all);
    if (all == NULL) {
        free(turn);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a message of %zu tokens", n_turn);
    }
    memcpy(all, t->pending, t->n_pending * sizeof *all);
    memcpy(all + t->n_pending, turn, n_turn * sizeof *all);
    *tokens = all;
    *n = n_turn + t->n_pending;
    free(turn);
    return MV_OK;
}

static mv_code check_positions(talk *t, size_t n, mv_error *error)
{
    const size_t needed = t->n_seen + n + t->settings->max_tokens;
    if (needed <= t->engine.max_positions)
        return MV_OK;
    const bool has_history = t->n_seen > 0;
    mv_code code =
        mv_fail(error, MV_ERR_ARGUMENT,
                "the prompt has %zu tokens, and %u more may follow%s: %zu positions, beyond the "
                "limit of %u (--max-positions)%s",
                n, t->settings->max_tokens, has_history ? " a conversation" : "", needed,
                t->engine.max_positions, has_history ? "; the conversation starts anew" : "");
    forget(t);
    return code;
}

/* Only what concerns all of the program is a failure; a bad prompt is said, and the next one may
 * be better. */
static mv_code one_turn(talk *t, const char *line, size_t size, mv_error *error)
{
    int32_t *tokens = NULL;
    size_t n = 0, before = t->n_seen;
    mv_generated g = {0};
    mv_code code = size > 0 ? make_prompt(t, line, size, &tokens, &n, error)
                            : mv_fail(error, MV_ERR_ARGUMENT,
                                      "the prompt is empty; expected some text (Ctrl-D leaves)");
    if (code == MV_OK)
        code = check_positions(t, n, error);
    if (code == MV_ERR_ARGUMENT) {
        t->failed = code;
        mv_log(MV_LOG_ERROR, "%s", error->message);
        free(tokens);
        return MV_OK;
    }
    if (code == MV_OK)
        code = answer(t, tokens, n, &g, error);
    if (code == MV_OK && t->is_chat)
        remember(t, &g, n, before);
    mv_generated_free(&g, 1);
    free(tokens);
    return code;
}

static mv_code open_talk(talk *t, const mv_run_settings *settings, mv_error *error)
{
    t->settings = settings;
    mv_code code = mv_text_engine_open(&t->engine, settings, error);
    if (code != MV_OK)
        return code;
    const size_t usual =
        t->engine.view.params.sliding_window > 0 ? POSITIONS_WITH_WINDOW : POSITIONS;
    const size_t positions = settings->max_positions > 0 ? settings->max_positions : usual;
    t->chat = mv_chat_template_find(t->engine.tokenizer);
    if (settings->max_tokens >= positions)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--max-tokens: expected less than the %zu positions of --max-positions, "
                       "found %u",
                       positions, settings->max_tokens);
    code = mv_text_engine_start(&t->engine, settings, 1, positions, error);
    if (code == MV_OK)
        code = mv_tokenizer_stream_open(&t->stream, t->engine.tokenizer, error);
    if (code == MV_OK)
        code = mv_line_reader_open(&t->reader, t->is_chat ? "> " : "Prompt: ", error);
    return code;
}

static mv_code talk_on(talk *t, mv_error *error)
{
    const char *line = NULL;
    size_t size = 0, n_lines = 0;
    mv_code code;
    while ((code = mv_line_reader_read(t->reader, &line, &size, error)) == MV_OK && line != NULL) {
        n_lines++;
        code = one_turn(t, line, size, error);
        if (code != MV_OK)
            return code;
    }
    if (code == MV_OK && mv_line_reader_is_terminal(t->reader))
        (void)fputc('\n', stdout);
    else if (code == MV_OK && n_lines == 0)
        code = mv_fail(error, MV_ERR_ARGUMENT, "standard input is empty; expected a prompt a line");
    else if (code == MV_OK && t->failed != MV_OK)
        code = mv_fail(error, t->failed, "not every prompt could be answered");
    return code;
}

static mv_code run_talk(const mv_run_settings *settings, bool is_chat, mv_error *error)
{
    talk t = {.is_chat = is_chat};
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    mv_code code = open_talk(&t, settings, error);
    if (code == MV_OK)
        (void)sigaction(SIGINT, &action, NULL);
    if (code == MV_OK && is_chat)
        mv_log(MV_LOG_INFO, "template of %s%s", t.chat.name,
               settings->safe_prompt ? ", with the guardrail" : "");
    if (code == MV_OK)
        code = talk_on(&t, error);
    mv_line_reader_close(&t.reader);
    mv_tokenizer_stream_close(&t.stream);
    mv_text_engine_close(&t.engine);
    return code;
}

mv_code mv_run_interactive(const mv_run_settings *settings, mv_error *error)
{
    return run_talk(settings, false, error);
}

mv_code mv_run_chat(const mv_run_settings *settings, mv_error *error)
{
    return run_talk(settings, true, error);
}
