/* golden_case.c - memory of a golden, which positions a case keeps, and dropping rows. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_private.h"

void golden_case_free(mv_golden_case *one)
{
    free(one->tokens);
    free(one->positions);
    free(one->oracle);
    free(one->sketch);
    free(one->top_ids);
    free(one->top_values);
    free(one->lse);
}

void mv_golden_close(mv_golden **golden)
{
    mv_golden *g = *golden;
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->n_cases; i++)
        golden_case_free(&g->cases[i]);
    free(g->cases);
    free(g->weights);
    free(g);
    *golden = NULL;
}

void golden_case_path(char *path, size_t size, size_t number, const char *name)
{
    (void)snprintf(path, size, "/cases/%04zu%s%s", number, name[0] != '\0' ? "/" : "", name);
}

mv_code mv_golden_new(mv_golden **golden, const mv_model_view *model, const char *model_spec,
                      mv_error *error)
{
    mv_golden *g = calloc(1, sizeof *g);
    if (g == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a golden");
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR,
                   H5_VERS_RELEASE);
    mv_environment_set(&g->provenance, "hdf5", version);
    g->params = model->params;
    (void)snprintf(g->model_spec, sizeof g->model_spec, "%s", model_spec);
    g->n_weights = mv_weight_count(&model->params);
    g->weights = calloc(g->n_weights, sizeof *g->weights);
    if (g->weights == NULL) {
        mv_golden_close(&g);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for the hashes of %zu tensors",
                       mv_weight_count(&model->params));
    }
    for (size_t i = 0; i < g->n_weights; i++)
        golden_describe_weight(&g->weights[i], model, i);
    *golden = g;
    return MV_OK;
}

/* ---- positions ---- */

static void add_edge(mv_range *positions, int64_t edge, int64_t n_tokens)
{
    for (int64_t p = edge - 1; p <= edge + 1; p++)
        mv_range_add(positions, p, 0, n_tokens - 1);
}

static int rising(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void golden_sort_positions(mv_range *positions)
{
    qsort(positions->values, positions->n, sizeof *positions->values, rising);
}

void mv_golden_needed_positions(mv_range *positions, int64_t n_tokens, int64_t window,
                                int64_t chunk)
{
    positions->n = 0;
    mv_range_add(positions, 0, 0, n_tokens - 1);
    if (window > 0 && window < n_tokens)
        add_edge(positions, window, n_tokens);
    if (chunk > 0 && chunk < n_tokens)
        add_edge(positions, chunk, n_tokens);
    mv_range_add(positions, n_tokens - 1, 0, n_tokens - 1);
    golden_sort_positions(positions);
}

/* ---- dropping rows ---- */

static bool is_in(const mv_range *positions, int64_t position)
{
    for (size_t i = 0; i < positions->n; i++) {
        if (positions->values[i] == position)
            return true;
    }
    return false;
}

static mv_code has_rows(const mv_golden_case *one, const mv_range *positions, mv_error *error)
{
    for (size_t i = 0; i < positions->n; i++) {
        bool found = false;
        for (size_t j = 0; j < one->n_positions && !found; j++)
            found = one->positions[j] == positions->values[i];
        if (!found && positions->values[i] < (int64_t)one->n_tokens)
            return mv_fail(error, MV_ERR_ARGUMENT,
                           "case '%s' has no row of position %lld: it was not kept when the golden "
                           "was made",
                           one->name, (long long)positions->values[i]);
    }
    return MV_OK;
}

mv_code mv_golden_trim(mv_golden *golden, const mv_range *positions, mv_error *error)
{
    const size_t vocab_size = golden->params.vocab_size;
    for (size_t c = 0; c < golden->n_cases; c++) {
        mv_code code = has_rows(&golden->cases[c], positions, error);
        if (code != MV_OK)
            return code;
    }
    for (size_t c = 0; c < golden->n_cases; c++) {
        mv_golden_case *one = &golden->cases[c];
        mv_range needed;
        size_t n = 0;
        mv_golden_needed_positions(&needed, (int64_t)one->n_tokens, one->window, one->chunk);
        for (size_t i = 0; i < one->n_positions; i++) {
            if (!is_in(&needed, one->positions[i]) && !is_in(positions, one->positions[i]))
                continue;
            one->positions[n] = one->positions[i];
            memmove(one->oracle + n * vocab_size, one->oracle + i * vocab_size,
                    vocab_size * sizeof *one->oracle);
            n++;
        }
        one->n_positions = n;
    }
    return MV_OK;
}
