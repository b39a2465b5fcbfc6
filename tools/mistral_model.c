/* mistral_model.c - what a model is, whether it is sound, and the same model in another layout:
 * options, wiring, exit code. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "harness/convert.h"
#include "harness/model_check.h"
#include "harness/nearest.h"
#include "tools/cli.h"
#include "tools/model_info.h"
#include "tools/watch.h"

static struct own_options {
    const char *to, *shard_size;
} own = {.to = "mistral"};

static const struct poptOption own_rows[] = {
    {"to", 0, POPT_ARG_STRING, &own.to, 0, "layout to write (default: mistral)", "mistral|pth|hf"},
    {"shard-size", 0, POPT_ARG_STRING, &own.shard_size, 0,
     "most bytes a file of --to hf: 5GB, 500MB, or a number (default: one file)", "N"},
    POPT_TABLEEND};

static const char help_end[] =
    "COMMAND MODEL\n\n"
    "  info MODEL               params, tensors, bytes, hash, tokenizer, which release\n"
    "  check MODEL              every number finite, nothing twice, tokenizer fits\n"
    "  synth SPEC -o DIR        write a synthetic model: synthetic:probe, synthetic:7b,n_layers=4\n"
    "  convert MODEL -o DIR     the same weights, bit for bit, in another layout (--to)";

/* ---- check ---- */

static const char *const kinds[] = {"note", "warning", "error"};

static void print_findings(const mv_findings *f, const mv_model *model, bool quiet)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!quiet || f->list[i].kind == MV_FINDING_ERROR)
            printf("%s: %s\n", kinds[f->list[i].kind], f->list[i].text);
    }
    printf("%s: %s (%zu errors, %zu warnings)\n", mv_model_get_spec(model),
           f->n_errors > 0 ? "not sound" : "sound", f->n_errors, f->n_warnings);
}

static void print_findings_json(const mv_findings *f, const mv_model *model)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s}", "kind", kinds[f->list[i].kind], "text", f->list[i].text));
    mv_print_json(json_pack("{s:s,s:s,s:b,s:o}", "schema", "mistral-model-check/1", "model",
                            mv_model_get_spec(model), "sound", f->n_errors == 0, "findings", list));
}

static mv_code run_check(const mv_cli *cli, const mv_model *model, mv_exit *exit_code,
                         mv_error *error)
{
    mv_findings findings;
    mv_watch watch;
    mv_watch_start(&watch, "checking", mv_model_size_bytes(mv_model_get_view(model)));
    mv_code code = mv_model_check(model, &findings, &watch.watch, error);
    mv_watch_stop(&watch);
    if (code == MV_OK && cli->format != NULL && strcmp(cli->format, "json") == 0)
        print_findings_json(&findings, model);
    else if (code == MV_OK)
        print_findings(&findings, model, cli->quiet != 0);
    *exit_code = findings.n_errors > 0 ? MV_EXIT_FAILED : MV_EXIT_OK;
    mv_findings_free(&findings);
    return code;
}

/* ---- convert, synth ---- */

/* Units of 1000, as in Hugging Face's own max_shard_size. */
static mv_code read_size(uint64_t *size, const char *text, mv_error *error)
{
    static const struct unit {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1}, {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
    char *end = NULL;
    *size = 0;
    if (text == NULL)
        return MV_OK;
    const unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (end != text && text[0] != '-' && number > 0 && strcmp(end, units[i].name) == 0 &&
            !__builtin_mul_overflow((uint64_t)number, units[i].bytes, size))
            return MV_OK;
    }
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "--shard-size: expected a size such as 5GB, 500MB or 1000000, found '%s'", text);
}

static mv_code run_convert(const mv_cli *cli, const mv_model *model, mv_error *error)
{
    mv_convert_options options = {0};
    mv_watch watch;
    mv_code code = mv_convert_layout_parse(&options.to, own.to, error);
    if (code == MV_OK)
        code = read_size(&options.shard_bytes, own.shard_size, error);
    if (code == MV_OK && options.shard_bytes > 0 && options.to != MV_CONVERT_HF)
        code =
            mv_fail(error, MV_ERR_ARGUMENT, "--shard-size: only --to hf can be in several files");
    if (code != MV_OK)
        return code;
    mv_watch_start(&watch, "writing", mv_convert_size_bytes(mv_model_get_view(model), options.to));
    options.watch = &watch.watch;
    code = mv_convert(model, cli->outputs[0], &options, error);
    mv_watch_stop(&watch);
    if (code == MV_OK && cli->quiet == 0)
        printf("%s\n", cli->outputs[0]);
    return code;
}

/* ---- main ---- */

static mv_code check_usage(const mv_cli *cli, const char **command, const char **spec,
                           mv_error *error)
{
    static const char *const commands[] = {"info", "check", "synth", "convert"};
    size_t n = 0;
    *command = cli->n_arguments > 0 ? cli->arguments[0] : NULL;
    *spec = cli->n_arguments > 1 ? cli->arguments[1] : cli->model;
    if (*command == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "expected a command: info, check, synth or convert; see --help");
    while (n < 4 && strcmp(commands[n], *command) != 0)
        n++;
    if (n == 4) {
        const char *near = mv_nearest(*command, commands, 4);
        return mv_fail(error, MV_ERR_ARGUMENT, "unknown command '%s'; %s%s?", *command,
                       near != NULL ? "did you mean "
                                    : "expected info, check, synth or convert: see --help",
                       near != NULL ? near : "");
    }
    if (*spec == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected a MODEL: a folder, or synthetic:NAME",
                       *command);
    if (cli->n_arguments > 2 || (cli->n_arguments == 2 && cli->model != NULL))
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected one MODEL, found '%s' too", *command,
                       cli->n_arguments > 2 ? cli->arguments[2] : cli->model);
    if (strcmp(*command, "synth") == 0 && strncmp(*spec, "synthetic:", 10) != 0)
        return mv_fail(
            error, MV_ERR_ARGUMENT,
            "synth: expected synthetic:NAME[,key=value], found '%s'; convert takes other "
            "models",
            *spec);
    if (n >= 2 && (cli->n_outputs != 1 || strcmp(cli->outputs[0], "-") == 0))
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected --output DIR, one new folder",
                       *command);
    return MV_OK;
}

int main(int argc, const char **argv)
{
    mv_cli cli;
    mv_error error = {0};
    mv_model *model = NULL;
    const char *command = NULL, *spec = NULL;
    mv_exit exit_code = MV_EXIT_OK;
    mv_cli_read_arguments(&cli, argc, argv, "mistral-model", own_rows, help_end);
    mv_code code = check_usage(&cli, &command, &spec, &error);
    if (code == MV_OK) /* synth and convert compare what they read */
        code = strcmp(command, "info") == 0 || strcmp(command, "check") == 0
                   ? mv_model_open(&model, spec, &error)
                   : mv_model_open_unchecked(&model, spec, &error);
    if (code == MV_OK && strcmp(command, "info") == 0)
        code = mv_model_info(&cli, model, &error);
    else if (code == MV_OK && strcmp(command, "check") == 0)
        code = run_check(&cli, model, &exit_code, &error);
    else if (code == MV_OK)
        code = run_convert(&cli, model, &error);
    if (code == MV_OK && (fflush(stdout) != 0 || ferror(stdout) != 0))
        code = mv_fail(&error, MV_ERR_IO, "standard output cannot be written");
    mv_model_close(&model);
    return (int)(code != MV_OK ? mv_cli_fail(&error) : exit_code);
}
