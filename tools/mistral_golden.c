/* mistral_golden.c - record, look at, check, compare and shorten golden files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "golden/golden.h"
#include "harness/backend.h"
#include "harness/log.h"
#include "harness/model.h"
#include "harness/nearest.h"
#include "tools/cli.h"
#include "tools/golden_plan.h"
#include "tools/version.h"

static struct own_options {
    golden_record_options record;
    char *relative;
} own;

static const struct poptOption own_rows[] = {
    {"window", 'w', POPT_ARG_STRING, &own.record.windows, 0,
     "record: windows; 0 is none (default: the model's own, and none)", "LIST"},
    {"length", 'n', POPT_ARG_INT, &own.record.length, 0, "record: tokens of the prompt", "N"},
    {"chunk", 'c', POPT_ARG_INT, &own.record.chunk, 0,
     "record: tokens a call (default: up to 61, coprime to the window)", "N"},
    {"positions", 'p', POPT_ARG_STRING, &own.record.positions, 0,
     "record, trim: rows to keep beside both sides of each edge and both ends", "LIST"},
    {"text", 0, POPT_ARG_STRING, &own.record.text, 0, "record: real text, or @FILE", "TEXT|@FILE"},
    {"stamp", 0, POPT_ARG_NONE, &own.record.stamp, 0,
     "record: write the time into the file (then no two are the same)", NULL},
    {"relative", 0, POPT_ARG_STRING, &own.relative, 0,
     "diff: relative RMSE that counts as the same (default: 0)", "X"},
    POPT_TABLEEND};

static const char help_end[] =
    "COMMAND ...\n\n"
    "Float64 logits of a model, recorded in an HDF5 file that cannot be changed unnoticed.\n"
    "  mistral-golden record --model SPEC -o FILE   run the reference in float64 and keep rows\n"
    "  mistral-golden info FILE                     what is in it, and where it comes from\n"
    "  mistral-golden check FILE... [--model SPEC]  every byte, hash and shape; and the model\n"
    "  mistral-golden diff A B [--relative X]       dataset by dataset; exit code 1 if different\n"
    "  mistral-golden trim FILE -o OUT [--positions LIST]   drop rows\n\n"
    "Exit codes: 0 good, 1 different, 2 usage, 3 a bad file or another model, 4 failed.\n"
    "Then: mistral-verify --suite golden --golden FILE --model SPEC --backend NAME";

/* ---- info ---- */

static void print_params(const mv_golden *golden)
{
    const mv_params *p = &golden->params;
    printf("model        %s\n", golden->model_spec);
    printf(
        "params       dim %u, n_layers %u, head_dim %u, hidden_dim %u, n_heads %u, n_kv_heads %u, "
        "vocab_size %u, sliding_window %u, norm_eps %g, rope_theta %g\n",
        p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads, p->vocab_size,
        p->sliding_window, p->norm_eps, p->rope_theta);
    printf("windows      %s: query i sees i-W+1 ... i\n", MV_WINDOW_SEMANTICS);
    printf("weights      %zu tensors, each with its sha256\n", golden->n_weights);
    if (golden->tokenizer_sha256[0] != '\0')
        printf("tokenizer    %s\n", golden->tokenizer_sha256);
    for (size_t i = 0; i < golden->provenance.n_facts; i++)
        printf("%-12s %s\n", golden->provenance.facts[i].key, golden->provenance.facts[i].value);
}

static mv_code info(const mv_cli *cli, mv_error *error)
{
    mv_golden *golden = NULL;
    if (cli->n_arguments != 2)
        return mv_fail(error, MV_ERR_ARGUMENT, "info: expected one FILE, found %zu",
                       cli->n_arguments - 1);
    mv_code code = mv_golden_open(&golden, cli->arguments[1], error);
    if (code != MV_OK)
        return code;
    printf("file         %s\n", cli->arguments[1]);
    printf("schema       mistral-golden %d.%d, %llu bytes, root %s\n", MV_GOLDEN_MAJOR,
           golden->minor, (unsigned long long)golden->size_bytes, golden->merkle_root);
    print_params(golden);
    for (size_t i = 0; i < golden->n_cases; i++) {
        const mv_golden_case *one = &golden->cases[i];
        printf("case %-7zu %s: window %lld, %zu tokens, seed %lld, %zu rows at", i, one->name,
               (long long)one->window, one->n_tokens, (long long)one->seed, one->n_positions);
        for (size_t j = 0; j < one->n_positions; j++)
            printf(" %lld", (long long)one->positions[j]);
        printf("\n");
    }
    mv_golden_close(&golden);
    return MV_OK;
}

/* ---- check ---- */

static mv_code check_one(const mv_cli *cli, const char *path, const mv_model *model,
                         mv_error *error)
{
    mv_golden *golden = NULL;
    char hex[MV_SHA256_SIZE];
    mv_code code = mv_golden_open(&golden, path, error);
    if (code == MV_OK && model != NULL)
        code = mv_golden_match(golden, path, mv_model_get_view(model), error);
    const char *tokenizer = model != NULL ? mv_model_get_tokenizer(model) : NULL;
    if (code == MV_OK && tokenizer != NULL && golden->tokenizer_sha256[0] != '\0') {
        code = mv_golden_hash_file(hex, tokenizer, error);
        if (code == MV_OK && strcmp(hex, golden->tokenizer_sha256) != 0)
            code = mv_fail(error, MV_ERR_FORMAT,
                           "%s: /model@tokenizer_sha256: the golden of another tokenizer: %.12s... "
                           "there and %.12s... in %s",
                           path, golden->tokenizer_sha256, hex, tokenizer);
    }
    if (code == MV_OK && cli->quiet == 0)
        printf("%s: good: %zu cases, root %s%s\n", path, golden->n_cases, golden->merkle_root,
               model != NULL ? ", of this model" : "");
    mv_golden_close(&golden);
    return code;
}

/* Every file is looked at, whatever the ones before it were. */
static mv_code check(const mv_cli *cli, mv_error *error)
{
    mv_model *model = NULL;
    mv_code worst = MV_OK;
    if (cli->n_arguments < 2)
        return mv_fail(error, MV_ERR_ARGUMENT, "check: expected a FILE");
    if (cli->model != NULL)
        worst = mv_model_open(&model, cli->model, error);
    for (size_t i = 1; i < cli->n_arguments && (worst == MV_OK || i > 1); i++) {
        mv_error one;
        const mv_code code = check_one(cli, cli->arguments[i], model, &one);
        if (code == MV_OK)
            continue;
        if (worst != MV_OK)
            mv_log(MV_LOG_ERROR, "%s", error->message);
        worst = code;
        *error = one;
    }
    mv_model_close(&model);
    return worst;
}

/* ---- diff ---- */

typedef struct diff_state {
    double allowed;
    bool different, quiet;
} diff_state;

static void print_difference(void *cookie, const mv_golden_difference *d)
{
    diff_state *state = cookie;
    const bool same = d->n_different == 0 || d->relative <= state->allowed;
    if (!same)
        state->different = true;
    if (state->quiet && same)
        return;
    if (d->note[0] != '\0')
        printf("%-32s %s\n", d->path, d->note);
    else if (d->n_different == 0)
        printf("%-32s same, %zu values\n", d->path, d->n_compared);
    else
        printf("%-32s %zu of %zu differ, max_abs %.3g, relative RMSE %.3g%s\n", d->path,
               d->n_different, d->n_compared, d->max_abs, d->relative, same ? ": allowed" : "");
}

static mv_code diff(const mv_cli *cli, bool *different, mv_error *error)
{
    mv_golden *a = NULL, *b = NULL;
    diff_state state = {.quiet = cli->quiet != 0};
    char *end = NULL;
    if (cli->n_arguments != 3)
        return mv_fail(error, MV_ERR_ARGUMENT, "diff: expected two FILEs, found %zu",
                       cli->n_arguments - 1);
    if (own.relative != NULL) {
        state.allowed = strtod(own.relative, &end);
        if (end == own.relative || *end != '\0' || !(state.allowed >= 0))
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "--relative: expected a number of at least 0, found '%s'", own.relative);
    }
    mv_code code = mv_golden_open(&a, cli->arguments[1], error);
    if (code == MV_OK)
        code = mv_golden_open(&b, cli->arguments[2], error);
    if (code == MV_OK)
        mv_golden_diff(a, b, print_difference, &state);
    mv_golden_close(&a);
    mv_golden_close(&b);
    *different = state.different;
    return code;
}

/* ---- trim ---- */

static mv_code trim(const mv_cli *cli, mv_error *error)
{
    mv_golden *golden = NULL;
    mv_range positions;
    if (cli->n_arguments != 2 || cli->n_outputs != 1)
        return mv_fail(error, MV_ERR_ARGUMENT, "trim: expected one FILE and one --output");
    mv_code code = mv_golden_open(&golden, cli->arguments[1], error);
    if (code == MV_OK)
        code =
            golden_record_positions(&positions, own.record.positions, golden->params.sliding_window,
                                    (int64_t)golden->cases[0].n_tokens, error);
    if (code == MV_OK)
        code = mv_golden_trim(golden, &positions, error);
    if (code == MV_OK) {
        mv_environment_set(&golden->provenance, "trimmed_from", golden->merkle_root);
        code = mv_golden_write(golden, cli->outputs[0], error);
    }
    mv_golden_close(&golden);
    return code;
}

/* ---- main ---- */

static const char *const commands[] = {"record", "info", "check", "diff", "trim"};

static mv_code run(const mv_cli *cli, bool *different, mv_error *error)
{
    const char *command = cli->n_arguments > 0 ? cli->arguments[0] : "";
    if (cli->format != NULL && strcmp(cli->format, "text") != 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "--format: expected text, found '%s'", cli->format);
    if (strcmp(command, "record") == 0)
        return golden_record(cli, &own.record, error);
    if (strcmp(command, "info") == 0)
        return info(cli, error);
    if (strcmp(command, "check") == 0)
        return check(cli, error);
    if (strcmp(command, "diff") == 0)
        return diff(cli, different, error);
    if (strcmp(command, "trim") == 0)
        return trim(cli, error);
    const char *near = mv_nearest(command, commands, sizeof commands / sizeof commands[0]);
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "expected a command (record, info, check, diff or trim), found '%s'%s%s%s",
                   command, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                   near != NULL ? "?" : "; see --help");
}

int main(int argc, const char **argv)
{
    mv_cli cli;
    mv_error error = {0};
    bool different = false;
    mv_cli_read_arguments(&cli, argc, argv, "mistral-golden", own_rows, help_end);
    if (run(&cli, &different, &error) != MV_OK)
        return (int)mv_cli_fail(&error);
    return different ? (int)MV_EXIT_FAILED : (int)MV_EXIT_OK;
}
