/* cli.c - popt glue. One row of a table is an option's parser, default and help. */
#include "tools/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/log.h"
#include "harness/nearest.h"
#include "harness/range.h"
#include "tools/engine_guard.h"
#include "tools/version.h"

/* Options that may be repeated come back from popt one by one. */
enum { OPTION_BACKEND = 1001, OPTION_BACKEND_OPTION, OPTION_OUTPUT, OPTION_VERSION };

static mv_cli shared; /* popt needs addresses that are known before main() */

static const struct poptOption shared_rows[] = {
    {"model", 'm', POPT_ARG_STRING, &shared.model, 0,
     "model folder, tiny, or synthetic:NAME[,key=value]", "SPEC"},
    {"backend", 'b', POPT_ARG_STRING, NULL, OPTION_BACKEND,
     "engine by name, or a path with '/'; several with ','", "NAME|PATH.so"},
    {"backend-option", 0, POPT_ARG_STRING, NULL, OPTION_BACKEND_OPTION,
     "passed on to the backend (repeatable)", "KEY=VALUE"},
    {"threads", 't', POPT_ARG_INT, &shared.n_threads, 0,
     "threads of an engine (default: all cores)", "N"},
    {"seed", 0, POPT_ARG_STRING, &shared.seed_text, 0, "seed of random tokens (default: 1)", "N"},
    {"output", 'o', POPT_ARG_STRING, NULL, OPTION_OUTPUT,
     "write results here too; '-' is stdout; format by extension (repeatable)", "FILE"},
    {"format", 'f', POPT_ARG_STRING, &shared.format, 0, "text, json, junit, tap, csv, md or html",
     "NAME"},
    {"quiet", 'q', POPT_ARG_NONE, &shared.quiet, 0, "only failures and the verdict", NULL},
    {"verbose", 'v', POPT_ARG_NONE, &shared.verbose, 0, "every case, and what is being done", NULL},
    {"list", 'l', POPT_ARG_NONE, &shared.list, 0, "what there is, and why something cannot be used",
     NULL},
    {"version", 0, POPT_ARG_NONE, NULL, OPTION_VERSION, "show the version", NULL},
    POPT_TABLEEND};

mv_exit mv_cli_exit_code(mv_code code)
{
    switch (code) {
    case MV_OK:
        return MV_EXIT_OK;
    case MV_ERR_ARGUMENT:
        return MV_EXIT_USAGE;
    case MV_ERR_IO:
    case MV_ERR_FORMAT:
    case MV_ERR_UNSUPPORTED:
        return MV_EXIT_INPUT;
    case MV_ERR_UNAVAILABLE:
        return MV_EXIT_UNAVAILABLE;
    case MV_ERR_MEMORY:
    case MV_ERR_BACKEND:
        break;
    }
    return MV_EXIT_BACKEND;
}

mv_exit mv_cli_fail(const mv_error *error)
{
    mv_log(MV_LOG_ERROR, "%s", error->message);
    return mv_cli_exit_code(error->code);
}

bool mv_cli_has_color(int fd)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && (no_color == NULL || *no_color == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* ---- reading ---- */

static void usage_error(const char *format, const char *a, const char *b)
{
    mv_error error;
    mv_fail(&error, MV_ERR_ARGUMENT, format, a, b);
    exit((int)mv_cli_fail(&error));
}

static bool is_row_with_value(const struct poptOption *rows, const char *name)
{
    for (; rows->longName != NULL || rows->arg != NULL || rows->shortName != '\0'; rows++) {
        if (rows->longName != NULL && strcmp(rows->longName, name) == 0)
            return (rows->argInfo & POPT_ARG_MASK) != POPT_ARG_NONE;
    }
    return false;
}

/* --max_tokens=5 becomes --max-tokens=5; values and everything after "--" stay as they are. */
static const char **normalise(int argc, const char **argv, const struct poptOption *own)
{
    const char **copy = calloc((size_t)argc + 1, sizeof *copy);
    bool options = true, is_value = false;
    if (copy == NULL)
        exit(MV_EXIT_BACKEND);
    for (int i = 0; i < argc; i++) {
        copy[i] = argv[i];
        const bool was_value = is_value;
        is_value = false;
        if (i == 0 || was_value || !options || strncmp(argv[i], "--", 2) != 0)
            continue;
        options = argv[i][2] != '\0';
        char *text = strdup(argv[i]);
        for (char *at = text; at != NULL && *at != '\0' && *at != '='; at++)
            *at = *at == '_' ? '-' : *at;
        copy[i] = text != NULL ? text : argv[i];
        is_value =
            is_row_with_value(own, copy[i] + 2) || is_row_with_value(shared_rows, copy[i] + 2);
    }
    return copy;
}

/* The end of the first of several names. A path may have a comma in it: it ends at the last comma
 * up to which there is a file. */
static char *end_of_name(char *names)
{
    char *end = names + strcspn(names, ","), *longest = end;
    for (; memchr(names, '/', (size_t)(end - names)) != NULL; end += 1 + strcspn(end + 1, ",")) {
        const char after = *end;
        *end = '\0';
        longest = access(names, F_OK) == 0 ? end : longest;
        *end = after;
        if (after == '\0')
            break;
    }
    return longest;
}

static void add_backends(mv_cli *cli, char *names)
{
    const size_t n_before = cli->n_backends;
    while (*names != '\0') {
        char *end = end_of_name(names), after = *end;
        *end = '\0';
        if (cli->n_backends == MV_CLI_MAX && end > names)
            usage_error("--backend: more than 16 names%s%s", "", "");
        if (end > names)
            cli->backends[cli->n_backends++] = names;
        names = after == '\0' ? end : end + 1;
    }
    if (cli->n_backends == n_before)
        usage_error("--backend: expected a name or a path, found none%s%s", "", "");
}

static void add_option(mv_cli *cli, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        usage_error("--backend-option: expected KEY=VALUE, found '%s'%s", text, "");
    if (cli->n_options == MV_CLI_MAX)
        usage_error("--backend-option: more than 16%s%s", "", "");
    *equals = '\0';
    cli->options[cli->n_options++] = (mv_option){text, equals + 1};
}

static void take(mv_cli *cli, int which, char *argument)
{
    switch (which) {
    case OPTION_BACKEND:
        add_backends(cli, argument);
        break;
    case OPTION_BACKEND_OPTION:
        add_option(cli, argument);
        break;
    case OPTION_OUTPUT:
        if (cli->n_outputs == MV_CLI_MAX)
            usage_error("--output: more than 16%s%s", "", "");
        cli->outputs[cli->n_outputs++] = argument;
        break;
    default:
        break;
    }
}

static size_t add_names(const struct poptOption *rows, const char **names, size_t n, size_t most)
{
    for (; rows != NULL && (rows->longName != NULL || rows->arg != NULL || rows->shortName);
         rows++) {
        if (rows->longName != NULL && n < most)
            names[n++] = rows->longName;
    }
    return n;
}

/* popt names the value that it could not read, and not the option. */
static const char *option_before(const char **arguments, const char *value)
{
    const char *option = "";
    for (size_t i = 1; value[0] != '-' && arguments[i] != NULL; i++)
        option = strcmp(arguments[i], value) == 0 ? arguments[i - 1] : option;
    return option;
}

static void bad_option(poptContext context, int what, const struct poptOption *own,
                       const char **arguments)
{
    const char *names[128], *bad = poptBadOption(context, POPT_BADOPTION_NOALIAS);
    size_t n = add_names(shared_rows, names, 0, 128);
    n = add_names(own, names, n, 128);
    if (what != POPT_ERROR_BADOPT) {
        char where[128];
        const char *option = option_before(arguments, bad);
        (void)snprintf(where, sizeof where, "%s%s%s", option, option[0] != '\0' ? " " : "", bad);
        usage_error("%s: %s; see --help", where, poptStrerror(what));
    }
    char word[64];
    (void)snprintf(word, sizeof word, "%s", bad + strspn(bad, "-"));
    word[strcspn(word, "=")] = '\0';
    const char *near = mv_nearest(word, names, n);
    if (near == NULL)
        usage_error("unknown option '%s'; see --help%s", bad, "");
    usage_error("unknown option '%s'; did you mean --%s?", bad, near);
}

/* The one positional argument of a program without subcommands is the model. */
static void take_model(mv_cli *cli, poptContext context)
{
    const char *model = poptGetArg(context), *second = poptGetArg(context);
    if (model != NULL && cli->model != NULL)
        usage_error("two models, '%s' and '%s'; expected one", cli->model, model);
    if (second != NULL)
        usage_error("unexpected argument '%s' after the model '%s'", second, model);
    if (model != NULL)
        cli->model = model;
}

static void take_arguments(mv_cli *cli, poptContext context)
{
    const char *argument;
    while ((argument = poptGetArg(context)) != NULL) {
        if (cli->n_arguments == MV_CLI_MAX)
            usage_error("more than 16 arguments, from '%s' on; see --help%s", argument, "");
        cli->arguments[cli->n_arguments++] = argument;
    }
}

static void finish(mv_cli *cli)
{
    if (cli->n_threads < 0)
        usage_error("--threads: expected a number of at least 1%s%s", "", "");
    cli->seed = 1;
    if (cli->seed_text != NULL) {
        if (!mv_range_parse_whole(&cli->seed, cli->seed_text))
            usage_error("--seed: expected a whole number below 2^64, found '%s'%s", cli->seed_text,
                        "");
    }
    if (cli->verbose != 0)
        mv_log_set_level(MV_LOG_INFO);
    if (cli->quiet != 0)
        mv_log_set_level(MV_LOG_ERROR);
}

static bool is_reading; /* an end now is that of --help or --version */

static void check_stdout(void)
{
    if (!is_reading || (fflush(stdout) == 0 && !ferror(stdout)))
        return;
    mv_log(MV_LOG_ERROR, "cannot write to stdout: %s", strerror(errno));
    _exit(MV_EXIT_INPUT);
}

static void read_options(mv_cli *cli, int argc, const char **argv, const char *program,
                         const struct poptOption *own, const char *extra,
                         void (*take_rest)(mv_cli *cli, poptContext context))
{
    static const struct poptOption nothing[] = {POPT_TABLEEND};
    if (own == NULL)
        own = nothing;
    const struct poptOption rows[] = {
        {NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)own, 0, "Options:", NULL},
        {NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)shared_rows, 0, "Common options:", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    mv_log_set_program(program);
    const char **arguments = normalise(argc, argv, own);
    arguments[0] = program;
    static poptContext context; /* kept: it owns the arguments */
    context = poptGetContext(program, argc, arguments, rows, 0);
    poptSetOtherOptionHelp(context, extra);
    int which;
    is_reading = atexit(check_stdout) == 0;
    while ((which = poptGetNextOpt(context)) > 0) {
        if (which == OPTION_VERSION) {
            printf("%s %s (%s)\n", program, MV_VERSION, MV_COMMIT);
            exit(MV_EXIT_OK);
        }
        take(&shared, which, poptGetOptArg(context));
    }
    is_reading = false;
    if (which < -1)
        bad_option(context, which, own, arguments);
    take_rest(&shared, context);
    finish(&shared);
    *cli = shared;
}

void mv_cli_read(mv_cli *cli, int argc, const char **argv, const char *program,
                 const struct poptOption *own, const char *extra)
{
    read_options(cli, argc, argv, program, own, extra, take_model);
}

void mv_cli_read_arguments(mv_cli *cli, int argc, const char **argv, const char *program,
                           const struct poptOption *own, const char *extra)
{
    read_options(cli, argc, argv, program, own, extra, take_arguments);
}

/* ---- outputs ---- */

/* A named format decides where there is one output; beside several, each one's extension does. */
static const mv_report *report_of(const mv_cli *cli, const char *path, mv_error *error)
{
    const mv_report *by_name = cli->format != NULL ? mv_report_find(cli->format) : NULL;
    const mv_report *by_extension = mv_report_find_extension(path);
    if (by_name != NULL && (cli->n_outputs <= 1 || by_extension == NULL))
        return by_name;
    if (by_extension != NULL)
        return by_extension;
    if (strcmp(path, "-") == 0)
        return mv_report_find("text");
    mv_fail(error, MV_ERR_ARGUMENT,
            "--output %s: no format has this extension; name one with --format", path);
    return NULL;
}

static mv_code check_output(const mv_cli *cli, const char *path, mv_error *error)
{
    char folder[4096];
    struct stat there;
    if (report_of(cli, path, error) == NULL)
        return MV_ERR_ARGUMENT;
    if (strcmp(path, "-") == 0)
        return MV_OK;
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        (void)snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder] = '\0';
    if (stat(folder, &there) != 0 || !S_ISDIR(there.st_mode) || access(folder, W_OK) != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--output %s: cannot write in folder '%s'", path,
                       folder);
    if (stat(path, &there) == 0 && S_ISDIR(there.st_mode))
        return mv_fail(error, MV_ERR_ARGUMENT, "--output %s: expected a file, found a folder",
                       path);
    return MV_OK;
}

mv_code mv_cli_check_outputs(const mv_cli *cli, mv_error *error)
{
    if (cli->format != NULL && mv_report_find(cli->format) == NULL) {
        const char *names[32];
        for (size_t i = 0; i < mv_n_reports; i++)
            names[i] = mv_reports[i].name;
        const char *near = mv_nearest(cli->format, names, mv_n_reports);
        return mv_fail(error, MV_ERR_ARGUMENT, "--format: no format '%s'%s%s%s", cli->format,
                       near != NULL ? "; did you mean " : "; see --list", near != NULL ? near : "",
                       near != NULL ? "?" : "");
    }
    for (size_t i = 0; i < cli->n_outputs; i++) {
        mv_code code = check_output(cli, cli->outputs[i], error);
        if (code != MV_OK)
            return code;
    }
    return MV_OK;
}

/* One of the two is not NULL. */
typedef struct any_results {
    const mv_verify_results *verify;
    const mv_bench_results *bench;
} any_results;

static mv_code write_one(const mv_cli *cli, const mv_report *report, const char *path,
                         any_results results, mv_error *error)
{
    mv_bytes bytes = {0};
    const bool to_stdout = strcmp(path, "-") == 0;
    if (to_stdout)
        mv_guard_begin_report();
    const mv_report_style style = {.color = to_stdout && mv_cli_has_color(STDOUT_FILENO),
                                   .verbose = cli->verbose != 0,
                                   .quiet = cli->quiet != 0};
    if (results.verify != NULL)
        report->write_verify(&bytes, results.verify, &style);
    else
        report->write_bench(&bytes, results.bench, &style);
    mv_code code = bytes.failed ? mv_fail(error, MV_ERR_MEMORY, "no memory for the report %s", path)
                                : mv_report_save(&bytes, path, error);
    if (to_stdout)
        mv_guard_end_report();
    mv_bytes_free(&bytes);
    return code;
}

static mv_code write_all(const mv_cli *cli, any_results results, mv_error *error)
{
    bool stdout_taken = false;
    mv_code code = MV_OK;
    for (size_t i = 0; i < cli->n_outputs && code == MV_OK; i++) {
        stdout_taken = stdout_taken || strcmp(cli->outputs[i], "-") == 0;
        code =
            write_one(cli, report_of(cli, cli->outputs[i], error), cli->outputs[i], results, error);
    }
    if (code != MV_OK || stdout_taken)
        return code;
    const bool format_is_for_stdout = cli->format != NULL && cli->n_outputs == 0;
    return write_one(cli, mv_report_find(format_is_for_stdout ? cli->format : "text"), "-", results,
                     error);
}

mv_code mv_cli_write_verify(const mv_cli *cli, const mv_verify_results *results, mv_error *error)
{
    return write_all(cli, (any_results){.verify = results}, error);
}

/* Not every format has a place for times. */
static mv_code check_for_bench(const mv_report *report, mv_error *error)
{
    if (report == NULL || report->write_bench != NULL)
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "format %s has no place for times; expected text, json, csv, md or html",
                   report->name);
}

mv_code mv_cli_check_bench_outputs(const mv_cli *cli, mv_error *error)
{
    mv_code code = mv_cli_check_outputs(cli, error);
    if (code == MV_OK && cli->format != NULL)
        code = check_for_bench(mv_report_find(cli->format), error);
    for (size_t i = 0; i < cli->n_outputs && code == MV_OK; i++)
        code = check_for_bench(report_of(cli, cli->outputs[i], error), error);
    return code;
}

mv_code mv_cli_write_bench(const mv_cli *cli, const mv_bench_results *results, mv_error *error)
{
    return write_all(cli, (any_results){.bench = results}, error);
}
