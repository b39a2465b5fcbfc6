/* changed_model.c - copies of tensors, element by element. */
#include "suites/changed_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mv_code mv_changed_model_init(mv_changed_model *changed, const mv_model_view *model,
                              mv_error *error)
{
    uint64_t largest = 1;
    *changed = (mv_changed_model){.view = *model};
    for (uint32_t l = 0; l < model->params.n_layers; l++) {
        const mv_layer *layer = mv_layer_at(model, l);
        const mv_tensor *tensors[] = {&layer->wq, &layer->wo, &layer->wv, &layer->w2};
        for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
            largest = tensors[i]->size_bytes > largest ? tensors[i]->size_bytes : largest;
    }
    changed->layers = calloc(model->params.n_layers, sizeof *changed->layers);
    changed->zeros = calloc(1, largest); /* pages that nobody writes take no memory */
    if (changed->layers == NULL || changed->zeros == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a changed model");
    for (uint32_t l = 0; l < model->params.n_layers; l++)
        changed->layers[l] = *mv_layer_at(model, l);
    changed->view.layers = changed->layers;
    changed->view.layer_size = sizeof *changed->layers;
    return MV_OK;
}

void mv_changed_model_free(mv_changed_model *changed)
{
    for (size_t i = 0; i < changed->n_copies; i++)
        free(changed->copies[i]);
    free(changed->copies);
    free(changed->layers);
    free(changed->zeros);
    *changed = (mv_changed_model){0};
}

void mv_changed_model_zero(mv_changed_model *changed, mv_tensor *tensor)
{
    tensor->data = changed->zeros;
}

/* ---- elements ---- */

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_from_f16(uint16_t half)
{
    const uint32_t exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
    const float sign = (half & 0x8000u) != 0 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return exponent == 0 ? sign * ldexpf((float)fraction, -24)
                         : sign * ldexpf((float)(fraction | 0x400u), (int)exponent - 25);
}

/* To nearest, ties to even; too large is infinite. */
static uint16_t f16_from_float(float value)
{
    const uint16_t sign = signbit(value) ? 0x8000u : 0;
    int exponent;
    if (isnan(value))
        return 0x7e00u;
    if (fabsf(value) >= 65520.0f)
        return (uint16_t)(sign | 0x7c00u);
    (void)frexpf(value, &exponent);
    exponent = exponent < -13 ? -13 : exponent;
    float scaled = rintf(ldexpf(fabsf(value), 11 - exponent)); /* 0 ... 2048 */
    value = ldexpf(scaled, exponent - 11);
    if (value < 0x1p-14f)
        return (uint16_t)(sign | (uint16_t)ldexpf(value, 24));
    (void)frexpf(value, &exponent);
    const uint32_t fraction = (uint32_t)ldexpf(value, 11 - exponent) - 1024u;
    return (uint16_t)(sign | (uint32_t)((exponent + 14) << 10) | fraction);
}

static float get_element(const mv_tensor *tensor, const void *data, uint64_t i)
{
    if (tensor->dtype == MV_DTYPE_F32)
        return ((const float *)data)[i];
    const uint16_t half = ((const uint16_t *)data)[i];
    return tensor->dtype == MV_DTYPE_BF16 ? float_from_bits((uint32_t)half << 16)
                                          : float_from_f16(half);
}

static void set_element(const mv_tensor *tensor, void *data, uint64_t i, float value)
{
    if (tensor->dtype == MV_DTYPE_F32) {
        ((float *)data)[i] = value;
    } else if (tensor->dtype == MV_DTYPE_F16) {
        ((uint16_t *)data)[i] = f16_from_float(value);
    } else {
        uint32_t bits = bits_from_float(value);
        bits = isnan(value) ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
        ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
    }
}

mv_code mv_changed_model_map(mv_changed_model *changed, mv_tensor *tensor, mv_change_fn value,
                             void *cookie, mv_error *error)
{
    const uint64_t n_rows = tensor->shape[0],
                   n_columns = tensor->n_dims == 1 ? 1 : tensor->shape[1];
    void **copies = realloc(changed->copies, (changed->n_copies + 1) * sizeof *copies);
    void *copy = malloc(tensor->size_bytes);
    if (copies != NULL)
        changed->copies = copies;
    if (copies == NULL || copy == NULL) {
        free(copy);
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a changed %s of %llu bytes",
                       tensor->name, (unsigned long long)tensor->size_bytes);
    }
    changed->copies[changed->n_copies++] = copy;
    for (uint64_t row = 0; row < n_rows; row++) {
        for (uint64_t column = 0; column < n_columns; column++) {
            const uint64_t i = row * n_columns + column;
            set_element(tensor, copy, i,
                        value(cookie, row, column, get_element(tensor, tensor->data, i)));
        }
    }
    tensor->data = copy;
    return MV_OK;
}

/* ---- engines that take their weights from elsewhere ---- */

mv_code mv_changed_model_is_ignored(mv_run *run, const mv_play *play, bool *ignored,
                                    mv_error *error)
{
    mv_case_result scratch;
    mv_play unchanged = *play; /* the rows stay the play's */
    mv_case_result_clear(&scratch);
    unchanged.model = NULL;
    unchanged.truth_schedule = NULL;
    mv_code code = mv_judge(run, &scratch, &unchanged, error);
    *ignored = code == MV_OK && scratch.verdict == MV_VERDICT_PASS;
    return code;
}

/* Without wo and w2 the stream stays the embedding: no model of use is like that. */
static mv_code play_mute(mv_run *run, mv_changed_model *changed, mv_play *play, mv_error *error)
{
    enum { N_TOKENS = 6 };
    mv_schedule schedule = {0};
    const int32_t *tokens;
    for (uint32_t l = 0; l < changed->view.params.n_layers; l++) {
        mv_changed_model_zero(changed, &changed->layers[l].wo);
        mv_changed_model_zero(changed, &changed->layers[l].w2);
    }
    *play = (mv_play){.window = changed->view.params.sliding_window, .model = &changed->view};
    mv_schedule_add_chunks(&schedule, 0, N_TOKENS, 0);
    mv_code code = mv_run_prompt(run, 0, N_TOKENS, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, play, tokens, N_TOKENS, error);
    if (code == MV_OK)
        code = mv_play_schedule(run, NULL, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

mv_code mv_changed_model_ask_engine(mv_run *run, mv_lent *lent, mv_error *error)
{
    mv_changed_model changed;
    mv_play play = {0};
    mv_error ran_error; /* shows in the engine's own cases */
    mv_code ran = MV_OK;
    if (lent->asked)
        return MV_OK;
    lent->asked = true;
    mv_code code = mv_changed_model_init(&changed, mv_run_get_options(run)->model, error);
    if (code == MV_OK)
        ran = play_mute(run, &changed, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK)
        code = mv_changed_model_is_ignored(run, &play, &lent->ignored, error);
    mv_play_free(&play);
    mv_changed_model_free(&changed);
    return code;
}

void mv_changed_model_say_ignored(mv_case_result *result)
{
    result->verdict = MV_VERDICT_VACUOUS;
    result->divergence_position = result->divergence_layer = -1;
    result->divergence_op[0] = '\0';
    result->metrics.effective_window = -1;
    (void)snprintf(result->reason, sizeof result->reason,
                   "the engine does not compute with the weights that it is lent (changed weights "
                   "give the unchanged logits): it cannot be asked in this way");
}

void mv_judge_by_all_rows(mv_case_result *result)
{
    if (result->verdict != MV_VERDICT_FAIL || !(result->metrics.r_rmse <= result->limits.r_rmse))
        return;
    result->verdict = MV_VERDICT_PASS;
    result->limits.r_row = result->limits.r_maxabs = NAN;
    result->headroom = result->limits.r_rmse / result->metrics.r_rmse;
    result->divergence_position = -1;
    (void)snprintf(result->reason, sizeof result->reason,
                   "only R rmse decides: single rows are ill-conditioned here");
}

mv_code mv_changed_model_case_play(mv_run *run, mv_case_result *result, const mv_schedule *schedule,
                                   mv_play *play, mv_error *error)
{
    mv_error ran_error = {0};
    bool ignored = false;
    mv_code code = MV_OK, ran = mv_play_schedule(run, NULL, schedule, play, &ran_error);
    if (ran == MV_OK)
        code = mv_judge(run, result, play, error);
    if (code == MV_OK && ran == MV_OK && result->verdict == MV_VERDICT_FAIL)
        code = mv_changed_model_is_ignored(run, play, &ignored, error);
    if (ignored)
        mv_changed_model_say_ignored(result);
    mv_play_remember(run, schedule, play); /* while its weights are there */
    return code == MV_OK ? mv_case_end(run, result, ran, &ran_error, error) : code;
}
