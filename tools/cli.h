/* cli.h - what all programs share: options, errors, exit codes, outputs. */
#ifndef MV_TOOLS_CLI_H
#define MV_TOOLS_CLI_H

#include <popt.h>
#include <stdbool.h>

#include "backends/mistral_backend.h"
#include "reports/report.h"

/* The contract's exit codes. */
typedef enum mv_exit {
    MV_EXIT_OK = 0,
    MV_EXIT_FAILED = 1,      /* a comparison or a gate failed */
    MV_EXIT_USAGE = 2,       /* bad option, or bad value */
    MV_EXIT_INPUT = 3,       /* bad evidence or bad input file */
    MV_EXIT_BACKEND = 4,     /* a backend failed or crashed */
    MV_EXIT_VACUOUS = 5,     /* nothing was compared */
    MV_EXIT_UNAVAILABLE = 77 /* cannot run here: a skip */
} mv_exit;

enum { MV_CLI_MAX = 16 };

/* Strings are popt's, and live as long as the program. */
typedef struct mv_cli {
    const char *model;
    const char *backends[MV_CLI_MAX];
    size_t n_backends;
    mv_option options[MV_CLI_MAX]; /* --backend-option */
    size_t n_options;
    int n_threads;
    const char *seed_text;
    uint64_t seed;
    const char *outputs[MV_CLI_MAX];
    size_t n_outputs;
    const char *format;
    int quiet, verbose, list;
    const char *arguments[MV_CLI_MAX]; /* positional ones; mv_cli_read_arguments only */
    size_t n_arguments;
} mv_cli;

/* Reads the arguments with the program's own rows and the shared ones. own: popt rows that fill the
 * program's variables, or NULL; extra: text for the end of --help (examples). A '_' in a long
 * option's name is a '-'. Answers --help and --version itself and ends the program. On a bad option
 * prints one line (with the nearest option) and ends with MV_EXIT_USAGE. */
void mv_cli_read(mv_cli *cli, int argc, const char **argv, const char *program,
                 const struct poptOption *own, const char *extra);

/* The same for programs with subcommands: every positional argument goes to cli->arguments in
 * order (at most MV_CLI_MAX), and only --model sets cli->model. */
void mv_cli_read_arguments(mv_cli *cli, int argc, const char **argv, const char *program,
                           const struct poptOption *own, const char *extra);

/* Prints "program: message" on stderr; the exit code that belongs to the error. */
mv_exit mv_cli_fail(const mv_error *error);
mv_exit mv_cli_exit_code(mv_code code);

/* Is stdout (2: stderr) a terminal that wants colours? */
bool mv_cli_has_color(int fd);

/* Fails early for an output that cannot be written: unknown format, no such folder. */
MV_MUST_CHECK mv_code mv_cli_check_outputs(const mv_cli *cli, mv_error *error);

/* Writes every output, and the text report to stdout unless something else goes there. */
MV_MUST_CHECK mv_code mv_cli_write_verify(const mv_cli *cli, const mv_verify_results *results,
                                          mv_error *error);

/* The same for times; a format that has no place for them is refused. */
MV_MUST_CHECK mv_code mv_cli_check_bench_outputs(const mv_cli *cli, mv_error *error);
MV_MUST_CHECK mv_code mv_cli_write_bench(const mv_cli *cli, const mv_bench_results *results,
                                         mv_error *error);

#endif
