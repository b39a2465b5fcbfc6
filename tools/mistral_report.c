/* mistral_report.c - results files to one page, or to any other format; and back out of a page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/history.h"
#include "harness/log.h"
#include "harness/results_read.h"
#include "reports/html.h"
#include "tools/cli.h"

static struct own_options {
    const char *compare, *extract;
} own;

static const struct poptOption own_rows[] = {{"compare", 'c', POPT_ARG_STRING, &own.compare, 0,
                                              "mark what differs from this older file", "OLD.json"},
                                             {"extract", 'x', POPT_ARG_STRING, &own.extract, 0,
                                              "print the JSON that a page holds", "PAGE.html"},
                                             POPT_TABLEEND};

static const char help_end[] = "RESULTS.json...\n\n"
                               "Turns results of mistral-verify and mistral-bench, and a history "
                               "of ratios, into one page that\n"
                               "needs nothing else.\n"
                               "  mistral-report verify.json bench.json --output report.html\n"
                               "  mistral-report new.json --compare old.json --output report.html\n"
                               "  mistral-report bench.json history.jsonl --output report.html\n"
                               "  mistral-report verify.json --format md\n"
                               "  mistral-report --extract report.html > verify.json";

/* ---- inputs ---- */

/* A results file, or a history of mistral-bench --record. */
typedef struct input {
    mv_results_file results;
    mv_history history;
    bool is_history;
} input;

static mv_code read_input(input *one, const char *path, mv_error *error)
{
    one->is_history = mv_history_is_one(path);
    return one->is_history ? mv_history_read(&one->history, path, error)
                           : mv_results_file_read(&one->results, path, error);
}

static void free_input(input *one)
{
    mv_results_file_free(&one->results);
    mv_history_free(&one->history);
}

static bool is_same_kind(const input *one, const mv_results_file *old)
{
    return !one->is_history && one->results.is_bench == old->is_bench;
}

/* ---- a page ---- */

/* A single file can become any format; two runs that are compared, a page or Markdown; several
 * files, only a page. */
static bool is_format(const mv_cli *cli, const char *name, const char *fallback)
{
    const char *path = cli->n_outputs > 0 ? cli->outputs[0] : "-";
    const mv_report *report =
        cli->format != NULL ? mv_report_find(cli->format) : mv_report_find_extension(path);
    return strcmp(report != NULL ? report->name : fallback, name) == 0;
}

static mv_code write_changes(const mv_cli *cli, const mv_verify_results *results,
                             const mv_verify_results *old, mv_error *error)
{
    const mv_report_style style = {.verbose = cli->verbose > 0};
    mv_bytes bytes = {0};
    mv_report_find("md")->write_verify(&bytes, results, &style);
    mv_markdown_write_changes(&bytes, results, old);
    mv_code code = mv_report_save(&bytes, cli->n_outputs > 0 ? cli->outputs[0] : "-", error);
    mv_bytes_free(&bytes);
    return code;
}

static mv_code write_page(const mv_cli *cli, const input *inputs, size_t n,
                          const mv_results_file *old, mv_error *error)
{
    mv_page_part parts[MV_CLI_MAX];
    mv_bytes bytes = {0};
    memset(parts, 0, sizeof parts);
    for (size_t i = 0; i < n; i++) {
        const mv_results_file *file = &inputs[i].results;
        parts[i].name = cli->arguments[i];
        if (inputs[i].is_history) {
            parts[i].history = &inputs[i].history;
        } else if (file->is_bench) {
            parts[i].bench = &file->bench;
            parts[i].bench_old = old != NULL && old->is_bench ? &old->bench : NULL;
        } else {
            parts[i].verify = &file->verify;
            parts[i].verify_old = old != NULL && !old->is_bench ? &old->verify : NULL;
        }
    }
    mv_html_write_page(&bytes, parts, n);
    mv_code code = mv_report_save(&bytes, cli->n_outputs > 0 ? cli->outputs[0] : "-", error);
    mv_bytes_free(&bytes);
    return code;
}

static bool is_other_model(const mv_params *a, const mv_params *b)
{
    return a->dim > 0 && b->dim > 0 &&
           (a->dim != b->dim || a->n_layers != b->n_layers || a->head_dim != b->head_dim ||
            a->hidden_dim != b->hidden_dim || a->n_heads != b->n_heads ||
            a->n_kv_heads != b->n_kv_heads || a->vocab_size != b->vocab_size);
}

/* An older file of the other kind would be passed over without a word, and one of another model
 * says nothing about this one. */
static mv_code check_old(const mv_cli *cli, const input *inputs, size_t n,
                         const mv_results_file *old, mv_error *error)
{
    const mv_params *before = old->is_bench ? &old->bench.params : &old->verify.params;
    const char *spec = old->is_bench ? old->bench.model_spec : old->verify.model_spec;
    size_t n_same = 0;
    for (size_t i = 0; i < n; i++) {
        const mv_results_file *now = &inputs[i].results;
        if (!is_same_kind(&inputs[i], old))
            continue;
        if (is_other_model(now->is_bench ? &now->bench.params : &now->verify.params, before))
            return mv_fail(error, MV_ERR_FORMAT,
                           "--compare %s: expected results of the model of %s, '%.100s'; found "
                           "'%.100s', which has another shape",
                           own.compare, cli->arguments[i],
                           now->is_bench ? now->bench.model_spec : now->verify.model_spec, spec);
        n_same++;
    }
    return n_same > 0 ? MV_OK
                      : mv_fail(error, MV_ERR_FORMAT,
                                "--compare %s: expected results of mistral-%s, as in the "
                                "other file; found those of mistral-%s",
                                own.compare, old->is_bench ? "verify" : "bench",
                                old->is_bench ? "bench" : "verify");
}

static mv_code report(const mv_cli *cli, input *inputs, mv_results_file *old, mv_error *error)
{
    const size_t n = cli->n_arguments;
    for (size_t i = 0; i < n; i++) {
        mv_code code = read_input(&inputs[i], cli->arguments[i], error);
        if (code != MV_OK)
            return code;
    }
    if (own.compare != NULL) {
        mv_code code = mv_results_file_read(old, own.compare, error);
        if (code == MV_OK)
            code = check_old(cli, inputs, n, old, error);
        if (code != MV_OK)
            return code;
    }
    if (is_format(cli, "html", "html"))
        return write_page(cli, inputs, n, own.compare != NULL ? old : NULL, error);
    if (n == 1 && own.compare != NULL && !old->is_bench && is_format(cli, "md", "html"))
        return write_changes(cli, &inputs[0].results.verify, &old->verify, error);
    if (n > 1 || own.compare != NULL || inputs[0].is_history)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "several files, a history, and --compare make a page; expected --format "
                       "html (or md, for two runs of mistral-verify)");
    return inputs[0].results.is_bench ? mv_cli_write_bench(cli, &inputs[0].results.bench, error)
                                      : mv_cli_write_verify(cli, &inputs[0].results.verify, error);
}

/* ---- out of a page ---- */

static mv_code read_page(mv_bytes *page, const char *path, mv_error *error)
{
    char block[65536];
    size_t n;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mv_fail(error, MV_ERR_IO, "--extract %s: cannot be opened: %s", path,
                       strerror(errno));
    while ((n = fread(block, 1, sizeof block, file)) > 0 && page->size <= MV_RESULTS_MAX_BYTES)
        mv_bytes_append(page, block, n);
    const bool bad = ferror(file) != 0;
    (void)fclose(file);
    if (bad || page->failed)
        return mv_fail(error, MV_ERR_IO, "--extract %s: cannot be read", path);
    return MV_OK;
}

static mv_code extract(const mv_cli *cli, mv_error *error)
{
    mv_bytes page = {0}, out = {0};
    mv_bytes_append(&page, "", 0);
    mv_code code = read_page(&page, own.extract, error);
    if (code == MV_OK)
        code = mv_html_extract(&out, page.data, page.size, own.extract, error);
    if (code == MV_OK)
        code = mv_report_save(&out, cli->n_outputs > 0 ? cli->outputs[0] : "-", error);
    mv_bytes_free(&page);
    mv_bytes_free(&out);
    return code;
}

int main(int argc, const char **argv)
{
    static input inputs[MV_CLI_MAX];
    static mv_results_file old;
    mv_cli cli;
    mv_error error = {0};
    mv_code code;
    mv_cli_read_arguments(&cli, argc, argv, "mistral-report", own_rows, help_end);
    if (cli.n_backends > 0)
        code = mv_fail(&error, MV_ERR_ARGUMENT,
                       "--backend: expected results files only, found '%s'; results name theirs",
                       cli.backends[0]);
    else if (own.extract != NULL && cli.n_arguments > 0)
        code = mv_fail(&error, MV_ERR_ARGUMENT, "--extract takes no results files; found '%s'",
                       cli.arguments[0]);
    else if (own.extract != NULL)
        code = extract(&cli, &error);
    else if (cli.n_arguments == 0)
        code = mv_fail(&error, MV_ERR_ARGUMENT, "expected at least one results file; see --help");
    else {
        code = mv_cli_check_outputs(&cli, &error);
        if (code == MV_OK)
            code = report(&cli, inputs, &old, &error);
    }
    for (size_t i = 0; i < cli.n_arguments; i++)
        free_input(&inputs[i]);
    mv_results_file_free(&old);
    return (int)(code == MV_OK ? MV_EXIT_OK : mv_cli_fail(&error));
}
