/* window_probe.c - changed weights, changed tokens, and who answers. */
#include "suites/window_probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suites/changed_model.h"

/* The model with one layer's attention made uniform, and all others' made mute. */
static mv_code change_model(const mv_model_view *model, uint32_t asked, mv_changed_model *changed,
                            mv_error *error)
{
    mv_code code = mv_changed_model_init(changed, model, error);
    for (uint32_t l = 0; code == MV_OK && l < model->params.n_layers; l++)
        mv_changed_model_zero(changed,
                              l == asked ? &changed->layers[l].wq : &changed->layers[l].wo);
    return code;
}

static mv_code play_tokens(mv_run *run, const mv_changed_model *changed, int64_t window,
                           const int32_t *tokens, int64_t n, int64_t chunk, mv_play *play,
                           mv_error *error)
{
    mv_schedule schedule = {0};
    *play = (mv_play){.window = window, .model = &changed->view};
    mv_code code = mv_play_add(run, play, tokens, (size_t)n, error);
    mv_schedule_add_chunks(&schedule, 0, n, chunk);
    if (code == MV_OK)
        code = mv_play_schedule(run, NULL, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

/* Largest difference of each row. A NaN counts as infinite. */
static void take_differences(const mv_play *a, const mv_play *b, int64_t n, size_t vocab_size,
                             double *differences)
{
    for (int64_t i = 0; i < n; i++) {
        const float *x = a->tracks[0].logits + (size_t)i * vocab_size;
        const float *y = b->tracks[0].logits + (size_t)i * vocab_size;
        differences[i] = 0;
        for (size_t j = 0; j < vocab_size; j++) {
            double d = fabs((double)x[j] - (double)y[j]);
            if (!(d <= differences[i]))
                differences[i] = isnan(d) ? INFINITY : d;
        }
    }
}

/* Which rows answer to another token at position p. */
static mv_code find_answers(mv_run *run, const mv_changed_model *changed, int64_t window, int64_t n,
                            int64_t chunk, const mv_play *before, int64_t p, double noise,
                            bool *answers, mv_error *error)
{
    const uint32_t vocab_size = mv_run_get_options(run)->model->params.vocab_size;
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    double *differences = malloc((size_t)n * sizeof *differences);
    mv_play after = {0};
    mv_code code = MV_OK;
    if (tokens == NULL || differences == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a probe of %lld tokens", (long long)n);
    for (uint32_t step = 1; step <= 2 && code == MV_OK; step++) {
        memcpy(tokens, before->tracks[0].tokens, (size_t)n * sizeof *tokens);
        tokens[p] = (int32_t)(((uint32_t)tokens[p] + step * (vocab_size / 3) + 1) % vocab_size);
        code = play_tokens(run, changed, window, tokens, n, chunk, &after, error);
        if (code == MV_OK)
            take_differences(before, &after, n, vocab_size, differences);
        for (int64_t i = 0; i < n && code == MV_OK; i++)
            answers[i] = answers[i] || differences[i] > noise;
        mv_play_free(&after);
    }
    free(tokens);
    free(differences);
    return code;
}

/* An engine that repeats itself answers by any bit; another must exceed what it differs by anyway.
 */
static mv_code measure_noise(mv_run *run, const mv_changed_model *changed, int64_t window,
                             int64_t n, int64_t chunk, const mv_play *first, double *noise,
                             mv_error *error)
{
    const uint32_t vocab_size = mv_run_get_options(run)->model->params.vocab_size;
    mv_play second = {0};
    *noise = 0;
    if ((mv_run_claims(run) & MV_CLAIM_REPEATABLE) != 0)
        return MV_OK;
    mv_code code =
        play_tokens(run, changed, window, first->tracks[0].tokens, n, chunk, &second, error);
    double *differences = malloc((size_t)n * sizeof *differences);
    if (code == MV_OK && differences != NULL) {
        take_differences(first, &second, n, vocab_size, differences);
        for (int64_t i = 0; i < n; i++)
            *noise = differences[i] * 8 > *noise ? differences[i] * 8 : *noise;
    }
    free(differences);
    mv_play_free(&second);
    return code;
}

/* Reads the window off the rows that answered to position p. finding->window is as asked until a
 * place shows another. */
static void read_answers(const bool *answers, int64_t n, int64_t p, int64_t asked,
                         mv_window_finding *finding)
{
    int64_t last = p;
    for (int64_t i = 0; i < n; i++) {
        if (!answers[i])
            continue;
        if (i < p && finding->leak < 0)
            finding->leak = i;
        last = i > last ? i : last;
    }
    for (int64_t i = p; i <= last; i++) {
        if (!answers[i] && finding->gap < 0)
            finding->gap = i;
    }
    if (finding->window == asked)
        finding->window = last < n - 1 ? last - p + 1 : 0;
    finding->n_positions += (uint64_t)n;
}

mv_code mv_window_probe(mv_run *run, int64_t window, uint32_t layer, int64_t n, int64_t chunk,
                        mv_window_finding *finding, mv_error *error)
{
    mv_changed_model changed;
    mv_play before = {0};
    const int32_t *tokens;
    double noise = 0;
    bool *answers = calloc((size_t)n, sizeof *answers);
    *finding = (mv_window_finding){.window = window, .leak = -1, .gap = -1};
    mv_code code = change_model(mv_run_get_options(run)->model, layer, &changed, error);
    if (code == MV_OK && answers == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a probe of %lld tokens", (long long)n);
    if (code == MV_OK)
        code = mv_run_prompt(run, 0, (size_t)n, &tokens, error);
    if (code == MV_OK)
        code = play_tokens(run, &changed, window, tokens, n, chunk, &before, error);
    if (code == MV_OK)
        code = measure_noise(run, &changed, window, n, chunk, &before, &noise, error);
    /* Three places: the first key, one that is inside a piece, one that a ring has reused. */
    const int64_t places[] = {0, 2, window > 0 && window + 1 < n / 2 ? window + 1 : n / 2};
    for (size_t i = 0; code == MV_OK && i < sizeof places / sizeof *places; i++) {
        memset(answers, 0, (size_t)n * sizeof *answers);
        code = find_answers(run, &changed, window, n, chunk, &before, places[i], noise, answers,
                            error);
        if (code == MV_OK)
            read_answers(answers, n, places[i], window, finding);
    }
    if (code == MV_OK && (finding->window != window || finding->leak >= 0 || finding->gap >= 0))
        code = mv_changed_model_is_ignored(run, &before, &finding->ignored, error);
    mv_play_free(&before);
    mv_changed_model_free(&changed);
    free(answers);
    return code;
}
