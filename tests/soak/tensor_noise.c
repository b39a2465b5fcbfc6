/* tensor_noise - how far harmless reorderings move each inner tensor: what docs/NUMERICS.md quotes.
 *
 *   tensor_noise MODEL f32|bf16|f64 [LENGTH]
 *
 * Each harmless variant of the reference (backends/mutant, BENIGN) is replayed against the oracle's
 * inner tensors, each operation on the oracle's input; the ratio of its error to the reference's
 * own is taken for every tensor of every layer. Prints mean, spread and largest over variants and
 * layers, a row for each name. Exit code 1 if any exceeds what --localize would call wrong.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/model.h"
#include "suites/localize.h"
#include "suites/recording.h"

typedef struct spread {
    double sum, square, most, most_row;
    size_t n;
} spread;

typedef struct variants {
    char names[64][64];
    size_t n;
} variants;

static void take_fact(void *cookie, const char *key, const char *value)
{
    variants *v = cookie;
    if (strncmp(key, "mutant.", 7) == 0 && strncmp(value, "benign", 6) == 0 && v->n < 64)
        (void)snprintf(v->names[v->n++], sizeof v->names[0], "%s", key + 7);
}

static mv_code add_variant(mv_run *run, const mv_run_options *o, const char *name,
                           const mv_play *play, const mv_schedule *schedule, spread *spreads,
                           bool *exceeds, mv_error *error)
{
    const mv_option option = {"mutant", name};
    mv_localization found = {.first = -1};
    mv_run_set_engine(run, "mutant", o->mutant, &option, 1);
    mv_code code = mv_localize(run, play, schedule, &found, error);
    for (size_t i = 0; i < found.n_tensors; i++) {
        const mv_tensor_error *e = &found.tensors[i];
        for (size_t j = 0; j < MV_N_TAPS; j++) {
            if (strcmp(mv_tap_names[j], e->name) != 0)
                continue;
            spreads[j].sum += e->r_rmse;
            spreads[j].square += e->r_rmse * e->r_rmse;
            spreads[j].most = fmax(spreads[j].most, e->r_rmse);
            spreads[j].most_row = fmax(spreads[j].most_row, e->r_row);
            spreads[j].n++;
        }
    }
    if (found.first >= 0) {
        fprintf(stderr, "%s: layer %d %s is called wrong\n", name, found.tensors[found.first].layer,
                found.tensors[found.first].name);
        *exceeds = true;
    }
    mv_localization_free(&found);
    return code;
}

static void print(const spread *spreads, size_t n_variants, const char *model, const char *compute)
{
    printf("%s, %s, %zu harmless variants\n\n", model, compute, n_variants);
    printf(
        "| tensor | R rmse, mean | spread | largest | R row, largest |\n|---|---|---|---|---|\n");
    for (size_t j = 0; j < MV_N_TAPS; j++) {
        const spread *s = &spreads[j];
        if (s->n == 0)
            continue;
        const double mean = s->sum / (double)s->n;
        const double variance = fmax(s->square / (double)s->n - mean * mean, 0);
        printf("| %s | %.3f | %.3f | %.2f | %.2f |\n", mv_tap_names[j], mean, sqrt(variance),
               s->most, s->most_row);
    }
}

static mv_code measure(const mv_run_options *o, const char *compute, bool *exceeds, mv_error *error)
{
    spread spreads[MV_N_TAPS] = {{0}};
    variants v = {.n = 0};
    mv_run *run = NULL;
    const int32_t *tokens;
    mv_schedule schedule = {0};
    o->mutant->describe(NULL, take_fact, &v);
    mv_code code = mv_run_open(&run, o, error);
    if (code != MV_OK)
        return code;
    mv_play play = {.window = mv_run_main_window(run)};
    const int64_t length = mv_run_length(run);
    mv_schedule_add_chunks(&schedule, 0, length, mv_run_coprime(play.window, play.window + 2, 1));
    code = mv_run_prompt(run, 0, (size_t)length, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)length, error);
    for (size_t i = 0; i < v.n && code == MV_OK; i++)
        code = add_variant(run, o, v.names[i], &play, &schedule, spreads, exceeds, error);
    if (code == MV_OK)
        print(spreads, v.n, o->model_spec, compute);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    mv_run_close(&run);
    return code;
}

int main(int argc, char **argv)
{
    mv_error error = {0};
    mv_model *model = NULL;
    bool exceeds = false;
    if (argc < 3) {
        fprintf(stderr, "usage: tensor_noise MODEL f32|bf16|f64 [LENGTH]\n");
        return 2;
    }
    mv_run_options o = {.model_spec = argv[1],
                        .backend_name = "mutant",
                        .seed = 1,
                        .n_threads = 1,
                        .length = argc > 3 ? strtol(argv[3], NULL, 10) : 0};
    mv_code code = mv_compute_parse(&o.compute, argv[2], &error);
    if (code == MV_OK)
        code = mv_model_open(&model, argv[1], &error);
    if (code == MV_OK)
        code =
            mv_backend_load(&o.reference, MV_BUILD_ROOT "/backends/reference/mistral_reference.so",
                            NULL, 0, &error);
    if (code == MV_OK)
        code = mv_backend_load(&o.mutant, MV_BUILD_ROOT "/backends/mutant/mistral_mutant.so", NULL,
                               0, &error);
    if (code == MV_OK) {
        o.model = mv_model_get_view(model);
        o.backend = o.mutant;
        code = measure(&o, argv[2], &exceeds, &error);
    }
    if (code != MV_OK)
        fprintf(stderr, "tensor_noise: %s\n", error.message);
    mv_model_close(&model);
    return code != MV_OK ? 2 : exceeds ? 1 : 0;
}
