/* mistral_run.c - text from a model: options, wiring, exit code. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/nearest.h"
#include "tools/engine_guard.h"
#include "tools/run_command.h"

static struct own_options {
    const char *max_tokens, *temperature, *top_p, *chunk, *window, *max_positions, *length,
        *compute, *text;
    char **prompts;
    int ignore_eos, safe_prompt;
} own = {.compute = "f32"};

static const struct poptOption own_rows[] = {
    {"max-tokens", 'n', POPT_ARG_STRING, &own.max_tokens, 0,
     "most tokens of an answer (demo: 35; interactive, chat: 256)", "N"},
    {"temperature", 'T', POPT_ARG_STRING, &own.temperature, 0,
     "0 is greedy (demo: 0; interactive, chat: 1.0)", "X"},
    {"top-p", 0, POPT_ARG_STRING, &own.top_p, 0, "nucleus that is drawn from (default: 0.8)", "P"},
    {"prompt", 'p', POPT_ARG_ARGV, &own.prompts, 0, "demo: instead of its own three (repeatable)",
     "TEXT"},
    {"text", 0, POPT_ARG_STRING, &own.text, 0, "score, tokenize: the text; '-' is stdin", "FILE"},
    {"length", 0, POPT_ARG_STRING, &own.length, 0,
     "score: most tokens of the text, from its beginning (default: all)", "N"},
    {"chunk", 'c', POPT_ARG_STRING, &own.chunk, 0,
     "most tokens of a prompt in one call (default: 512)", "N"},
    {"window", 'w', POPT_ARG_STRING, &own.window, 0,
     "keys a query may see; 0 is all (default: the model's)", "N"},
    {"max-positions", 0, POPT_ARG_STRING, &own.max_positions, 0, "longest prompt with its answer",
     "N"},
    {"compute", 0, POPT_ARG_STRING, &own.compute, 0, "arithmetic (default: f32)", "f64|f32|bf16"},
    {"ignore-eos", 0, POPT_ARG_NONE, &own.ignore_eos, 0, "go on after </s>, as the seed does",
     NULL},
    {"safe-prompt", 0, POPT_ARG_NONE, &own.safe_prompt, 0,
     "chat: begin with Mistral's guardrail text", NULL},
    POPT_TABLEEND};

static const char help_end[] =
    "COMMAND [MODEL]\n\n"
    "  demo [MODEL]             three prompts, or every --prompt, in one batch\n"
    "  interactive [MODEL]      goes on with each line that you type\n"
    "  chat [MODEL]             a conversation with an Instruct model\n"
    "  score [MODEL] --text F   perplexity; every log-probability with --format json\n"
    "  tokenize MODEL [TEXT]    token ids; with their pieces: --verbose\n\n"
    "MODEL is a folder, or tiny, the small model that comes with the program (the default).";

/* --list */
static mv_code list_backends(mv_error *error)
{
    mv_backend_candidate *candidates;
    size_t n;
    mv_code code = mv_backend_list(&candidates, &n, error);
    if (code != MV_OK)
        return code;
    for (size_t i = 0; i < n; i++) {
        const mv_backend_candidate *c = &candidates[i];
        printf("%-20s %s%s\n", c->name[0] != '\0' ? c->name : c->path,
               c->reason[0] != '\0' ? "not usable: " : "",
               c->reason[0] != '\0' ? c->reason : c->summary);
    }
    free(candidates);
    return MV_OK;
}

typedef struct command {
    const char *name;
    mv_code (*run)(const mv_run_settings *settings, mv_error *error);
    uint32_t max_tokens;
    double temperature;
    size_t most_arguments; /* with its own name */
} command;

static const command commands[] = {
    {"demo", mv_run_demo, 35, 0.0, 2},        {"interactive", mv_run_interactive, 256, 1.0, 2},
    {"chat", mv_run_chat, 256, 1.0, 2},       {"score", mv_run_score, 0, 0.0, 2},
    {"tokenize", mv_run_tokenize, 0, 0.0, 3},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static mv_code find_command(const command **found, const mv_cli *cli, mv_error *error)
{
    const char *names[N_COMMANDS];
    const char *name = cli->n_arguments > 0 ? cli->arguments[0] : NULL;
    *found = NULL;
    if (name == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "expected a command: demo, interactive, chat, score "
                       "or tokenize; see --help");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(name, names[i]) == 0)
            *found = &commands[i];
    }
    if (*found == NULL) {
        const char *near = mv_nearest(name, names, N_COMMANDS);
        if (near != NULL)
            return mv_fail(error, MV_ERR_ARGUMENT, "unknown command '%s'; did you mean %s?", name,
                           near);
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "unknown command '%s'; expected demo, interactive, "
                       "chat, score or tokenize",
                       name);
    }
    if (cli->n_arguments > (*found)->most_arguments)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: unexpected argument '%s'", name,
                       cli->arguments[(*found)->most_arguments]);
    return MV_OK;
}

/* text NULL: *value stays. */
static mv_code read_count(int64_t *value, const char *option, const char *text, int64_t least,
                          mv_error *error)
{
    char *end = NULL;
    if (text == NULL)
        return MV_OK;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < least || number > INT32_MAX)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "%s: expected a whole number from %lld to %d, found '%s'", option,
                       (long long)least, INT32_MAX, text);
    *value = number;
    return MV_OK;
}

/* Ranges are the sampler's business, and hold for a NaN too. */
static mv_code read_real(double *value, const char *option, const char *text, mv_error *error)
{
    char *end = NULL;
    if (text == NULL)
        return MV_OK;
    *value = strtod(text, &end);
    if (end == text || *end != '\0')
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected a number, found '%s'", option, text);
    return MV_OK;
}

static mv_code read_settings(mv_run_settings *s, const mv_cli *cli, const command *c,
                             mv_error *error)
{
    int64_t max_tokens = c->max_tokens, chunk = 512, window = -1, max_positions = 0, length = 0;
    mv_sampler *sampler = NULL;
    *s = (mv_run_settings){.cli = cli,
                           .spec = cli->n_arguments > 1 ? cli->arguments[1]
                                   : cli->model != NULL ? cli->model
                                                        : "tiny",
                           .argument = cli->n_arguments > 2 ? cli->arguments[2] : NULL,
                           .text = own.text,
                           .prompts = own.prompts,
                           .sampler = {c->temperature, 0.8, cli->seed},
                           .ignore_eos = own.ignore_eos != 0,
                           .safe_prompt = own.safe_prompt != 0};
    mv_code code = read_count(&max_tokens, "--max-tokens", own.max_tokens, 1, error);
    if (code == MV_OK)
        code = read_count(&chunk, "--chunk", own.chunk, 1, error);
    if (code == MV_OK)
        code = read_count(&window, "--window", own.window, 0, error);
    if (code == MV_OK)
        code = read_count(&max_positions, "--max-positions", own.max_positions, 1, error);
    if (code == MV_OK)
        code = read_count(&length, "--length", own.length, 2, error);
    if (code == MV_OK)
        code = read_real(&s->sampler.temperature, "--temperature", own.temperature, error);
    if (code == MV_OK)
        code = read_real(&s->sampler.top_p, "--top-p", own.top_p, error);
    if (code == MV_OK)
        code = mv_sampler_open(&sampler, 1, &s->sampler, error); /* now, not after the model */
    if (code == MV_OK)
        code = mv_compute_parse(&s->compute, own.compute, error);
    if (code == MV_OK && cli->n_backends > 1)
        code =
            mv_fail(error, MV_ERR_ARGUMENT, "--backend: expected one, found %zu", cli->n_backends);
    if (code == MV_OK && cli->model != NULL && cli->n_arguments > 1)
        code = mv_fail(error, MV_ERR_ARGUMENT, "two models, '%s' and '%s'; expected one",
                       cli->model, cli->arguments[1]);
    if (sampler != NULL)
        mv_sampler_close(&sampler);
    s->max_tokens = (uint32_t)max_tokens;
    s->chunk = (uint32_t)chunk;
    s->window = window;
    s->max_positions = (uint32_t)max_positions;
    s->length = (uint32_t)length;
    return code;
}

int main(int argc, const char **argv)
{
    mv_cli cli;
    mv_error error = {0};
    const command *found = NULL;
    mv_run_settings settings;
    mv_cli_read_arguments(&cli, argc, argv, "mistral-run", own_rows, help_end);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error that write() tells */
    mv_guard_start("mistral-run");
    mv_guard_set_place("backend %.120s", cli.n_backends > 0 ? cli.backends[0] : "reference");
    const bool lists = cli.list != 0 && cli.n_arguments == 0;
    mv_code code = lists ? list_backends(&error) : find_command(&found, &cli, &error);
    if (code == MV_OK && !lists)
        code = read_settings(&settings, &cli, found, &error);
    if (code == MV_OK && !lists)
        code = found->run(&settings, &error);
    if (code == MV_OK && lists && (fflush(stdout) != 0 || ferror(stdout)))
        code = mv_fail(&error, MV_ERR_IO, "cannot write to stdout: %s", strerror(errno));
    mv_guard_stop();
    return (int)(code != MV_OK ? mv_cli_fail(&error) : MV_EXIT_OK);
}
