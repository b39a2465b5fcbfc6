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

/* One probe of one layer. */
typedef struct probe {
    mv_run *run;
    mv_changed_model changed;
    int64_t window, n, chunk;
    size_t vocab_size;
    mv_play before;      /* the unchanged tokens */
    double noise;        /* what a row differs by that was not asked anything */
    double *differences; /* [n] of rows */
    bool *answers;       /* [n] */
    mv_window_finding *finding;
} probe;

static mv_code play_tokens(const probe *p, const int32_t *tokens, mv_play *play, mv_error *error)
{
    mv_schedule schedule = {0};
    *play = (mv_play){.window = p->window, .model = &p->changed.view};
    mv_code code = mv_play_add(p->run, play, tokens, (size_t)p->n, error);
    mv_schedule_add_chunks(&schedule, 0, p->n, p->chunk);
    if (code == MV_OK)
        code = mv_play_schedule(p->run, NULL, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

/* Largest difference of a row. A NaN counts as infinite. */
static double row_difference(const probe *p, const mv_play *a, const mv_play *b, int64_t row)
{
    const float *x = a->tracks[0].logits + (size_t)row * p->vocab_size;
    const float *y = b->tracks[0].logits + (size_t)row * p->vocab_size;
    double largest = 0;
    for (size_t j = 0; j < p->vocab_size; j++) {
        double d = fabs((double)x[j] - (double)y[j]);
        if (!(d <= largest))
            largest = isnan(d) ? INFINITY : d;
    }
    return largest;
}

/* ---- engines that do not repeat themselves ---- */

static bool claims_to_repeat(const probe *p)
{
    return (mv_run_claims(p->run) & MV_CLAIM_REPEATABLE) != 0;
}

/* Two plays of the same calls, of an engine that claims that they give the same bits. */
static void check_claim(const probe *p, const mv_play *a, const mv_play *b)
{
    const float *x = a->tracks[0].logits, *y = b->tracks[0].logits;
    const int64_t at = mv_first_different(x, y, (size_t)p->n * p->vocab_size);
    if (at < 0)
        return;
    p->finding->noisy = at / (int64_t)p->vocab_size;
    p->finding->noisy_token = at % (int64_t)p->vocab_size;
    p->finding->noisy_logits[0] = x[at];
    p->finding->noisy_logits[1] = y[at];
}

/* The unchanged calls again. */
static mv_code measure_noise(probe *p, mv_error *error)
{
    mv_play again = {0};
    mv_code code = play_tokens(p, p->before.tracks[0].tokens, &again, error);
    if (code == MV_OK && claims_to_repeat(p))
        check_claim(p, &p->before, &again);
    for (int64_t i = 0; i < p->n && code == MV_OK && !claims_to_repeat(p); i++)
        p->noise = fmax(p->noise, 8 * row_difference(p, &p->before, &again, i));
    mv_play_free(&again);
    return code;
}

/* An answer that would be a finding: from before the changed token, or from behind its window. */
static bool is_surprising(const probe *p, int64_t place)
{
    for (int64_t i = 0; i < p->n; i++) {
        const bool is_inside = i >= place && (p->window == 0 || i < place + p->window);
        if (!is_inside && p->differences[i] > p->noise)
            return true;
    }
    return false;
}

/* The changed calls again: noise of one call in many is not there twice. */
static mv_code ask_again(const probe *p, const mv_play *after, mv_error *error)
{
    mv_play again = {0};
    mv_code code = play_tokens(p, after->tracks[0].tokens, &again, error);
    if (code == MV_OK && claims_to_repeat(p))
        check_claim(p, after, &again);
    for (int64_t i = 0; i < p->n && code == MV_OK; i++)
        p->differences[i] = fmin(p->differences[i], row_difference(p, &p->before, &again, i));
    mv_play_free(&again);
    return code;
}

/* ---- answers ---- */

/* Which rows answer to another token at a place. */
static mv_code find_answers(probe *p, int64_t place, int32_t *tokens, mv_error *error)
{
    const uint32_t vocab_size = (uint32_t)p->vocab_size;
    mv_code code = MV_OK;
    memset(p->answers, 0, (size_t)p->n * sizeof *p->answers);
    for (uint32_t step = 1; step <= 2 && code == MV_OK && p->finding->noisy < 0; step++) {
        mv_play after = {0};
        memcpy(tokens, p->before.tracks[0].tokens, (size_t)p->n * sizeof *tokens);
        tokens[place] =
            (int32_t)(((uint32_t)tokens[place] + step * (vocab_size / 3) + 1) % vocab_size);
        code = play_tokens(p, tokens, &after, error);
        for (int64_t i = 0; i < p->n && code == MV_OK; i++)
            p->differences[i] = row_difference(p, &p->before, &after, i);
        if (code == MV_OK && is_surprising(p, place))
            code = ask_again(p, &after, error);
        for (int64_t i = 0; i < p->n && code == MV_OK; i++)
            p->answers[i] = p->answers[i] || p->differences[i] > p->noise;
        mv_play_free(&after);
    }
    return code;
}

/* Reads the window off the rows that answered to a place. finding->window is as asked until a place
 * shows another. */
static void read_answers(const probe *p, int64_t place)
{
    mv_window_finding *finding = p->finding;
    int64_t last = place;
    for (int64_t i = 0; i < p->n; i++) {
        if (!p->answers[i])
            continue;
        if (i < place && finding->leak < 0)
            finding->leak = i;
        last = i > last ? i : last;
    }
    for (int64_t i = place; i <= last; i++) {
        if (!p->answers[i] && finding->gap < 0)
            finding->gap = i;
    }
    if (finding->window == p->window)
        finding->window = last < p->n - 1 ? last - place + 1 : 0;
    finding->n_positions += (uint64_t)p->n;
}

/* Three places: the first key, one that is inside a piece, one that a ring has reused. */
static mv_code ask_places(probe *p, int32_t *tokens, mv_error *error)
{
    const int64_t W = p->window, places[] = {0, 2, W > 0 && W + 1 < p->n / 2 ? W + 1 : p->n / 2};
    mv_code code = measure_noise(p, error);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (code == MV_OK && p->finding->noisy < 0)
            code = find_answers(p, places[i], tokens, error);
        if (code == MV_OK && p->finding->noisy < 0)
            read_answers(p, places[i]);
    }
    return code;
}

mv_code mv_window_probe(mv_run *run, int64_t window, uint32_t layer, int64_t n, int64_t chunk,
                        mv_window_finding *finding, mv_error *error)
{
    const mv_model_view *model = mv_run_get_options(run)->model;
    const int32_t *prompt;
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    probe p = {.run = run,
               .window = window,
               .n = n,
               .chunk = chunk,
               .vocab_size = model->params.vocab_size,
               .differences = calloc((size_t)n, sizeof *p.differences),
               .answers = calloc((size_t)n, sizeof *p.answers),
               .finding = finding};
    *finding = (mv_window_finding){.window = window, .leak = -1, .gap = -1, .noisy = -1};
    mv_code code = change_model(model, layer, &p.changed, error);
    if (code == MV_OK && (tokens == NULL || p.differences == NULL || p.answers == NULL))
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a probe of %lld tokens", (long long)n);
    if (code == MV_OK)
        code = mv_run_prompt(run, 0, (size_t)n, &prompt, error);
    if (code == MV_OK)
        code = play_tokens(&p, prompt, &p.before, error);
    if (code == MV_OK)
        code = ask_places(&p, tokens, error);
    const bool is_odd = finding->window != window || finding->leak >= 0 || finding->gap >= 0;
    if (code == MV_OK && is_odd && finding->noisy < 0)
        code = mv_changed_model_is_ignored(run, &p.before, &finding->ignored, error);
    mv_play_free(&p.before);
    mv_changed_model_free(&p.changed);
    free(p.answers);
    free(p.differences);
    free(tokens);
    return code;
}
