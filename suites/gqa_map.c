/* gqa_map - each query head reads the key/value head that it belongs to, in every layer.
 *
 * The engine is lent weights under which one query head h is the only one whose result goes on (the
 * other heads' columns of wo are zero, as is wo of all other layers), and one key/value head j is
 * the only one that holds values (the other rows of wv are zero). If the logits then differ from
 * those of an engine with no values at all, h reads j. So the map is read off, head by head, as
 * exact integers, whatever the weights are; the expected one is j = h / (n_heads / n_kv_heads).
 *
 * Catches: heads tiled (h mod n_kv_heads) instead of repeated; a map that is right only where both
 * give the same; a map wrong in one layer; k permuted with n_heads / n_kv_heads.
 * Source: llama.cpp #3364; onnx #7274; vllm-ascend #2758.
 */
#include <math.h>
#include <stdlib.h>

#include "suites/changed_model.h"

enum { N_TOKENS = 5 };

typedef struct head_rows {
    uint32_t head, head_dim;
} head_rows;

static float keep_rows(void *cookie, uint64_t row, uint64_t column, float old)
{
    const head_rows *keep = cookie;
    (void)column;
    return row / keep->head_dim == keep->head ? old : 0.0f;
}

static float keep_columns(void *cookie, uint64_t row, uint64_t column, float old)
{
    const head_rows *keep = cookie;
    (void)row;
    return column / keep->head_dim == keep->head ? old : 0.0f;
}

/* kv_head < 0: no values at all. */
static mv_code play_heads(mv_run *run, uint32_t layer, uint32_t head, int32_t kv_head,
                          mv_play *play, mv_error *ran_error)
{
    const mv_params *p = &mv_run_get_options(run)->model->params;
    mv_changed_model changed;
    mv_schedule schedule = {0};
    const int32_t *tokens;
    head_rows columns = {head, p->head_dim}, rows = {(uint32_t)kv_head, p->head_dim};
    mv_code code = mv_changed_model_init(&changed, mv_run_get_options(run)->model, ran_error);
    *play = (mv_play){.window = 0, .model = &changed.view};
    for (uint32_t l = 0; l < p->n_layers && code == MV_OK; l++) {
        if (l != layer)
            mv_changed_model_zero(&changed, &changed.layers[l].wo);
    }
    if (code == MV_OK)
        code = mv_changed_model_map(&changed, &changed.layers[layer].wo, keep_columns, &columns,
                                    ran_error);
    if (code == MV_OK && kv_head < 0)
        mv_changed_model_zero(&changed, &changed.layers[layer].wv);
    if (code == MV_OK && kv_head >= 0)
        code =
            mv_changed_model_map(&changed, &changed.layers[layer].wv, keep_rows, &rows, ran_error);
    if (code == MV_OK)
        code = mv_run_prompt(run, 0, N_TOKENS, &tokens, ran_error);
    if (code == MV_OK)
        code = mv_play_add(run, play, tokens, N_TOKENS, ran_error);
    mv_schedule_add_chunks(&schedule, 0, N_TOKENS, 3);
    if (code == MV_OK)
        code = mv_play_schedule(run, NULL, &schedule, play, ran_error);
    mv_schedule_free(&schedule);
    mv_changed_model_free(&changed);
    play->model = NULL;
    return code;
}

/* Relative to the size of the logits; NaN counts as a difference. */
static bool differ(const mv_play *a, const mv_play *b, size_t n)
{
    double distance = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a->tracks[0].logits[i] - (double)b->tracks[0].logits[i];
        distance += d * d;
        size += (double)b->tracks[0].logits[i] * (double)b->tracks[0].logits[i];
    }
    return !(distance <= size * 1e-8);
}

/* *found: which key/value head answers; -1 none, -2 more than one. */
static mv_code find_kv_head(mv_run *run, uint32_t layer, uint32_t head, int32_t *found,
                            mv_error *ran_error)
{
    const mv_params *p = &mv_run_get_options(run)->model->params;
    const size_t n = (size_t)N_TOKENS * p->vocab_size;
    mv_play mute = {0}, play = {0};
    *found = -1;
    mv_code code = play_heads(run, layer, head, -1, &mute, ran_error);
    for (uint32_t j = 0; j < p->n_kv_heads && code == MV_OK; j++) {
        code = play_heads(run, layer, head, (int32_t)j, &play, ran_error);
        if (code == MV_OK && differ(&play, &mute, n))
            *found = *found == -1 ? (int32_t)j : -2;
        mv_play_free(&play);
    }
    mv_play_free(&mute);
    return code;
}

static void judge_head(mv_case_result *result, const mv_params *p, uint32_t layer, uint32_t head,
                       int32_t found)
{
    const int32_t expected = (int32_t)(head / (p->n_heads / p->n_kv_heads));
    if (found == expected)
        return;
    result->divergence_layer = layer;
    (void)snprintf(result->divergence_op, sizeof result->divergence_op, "attention");
    if (found >= 0)
        mv_case_fail(result, "query head %u reads key/value head %d, expected %d", head, found,
                     expected);
    else
        mv_case_fail(result, "query head %u reads %s key/value head, expected head %d", head,
                     found == -1 ? "no" : "more than one", expected);
}

static mv_code run_layer(mv_run *run, uint32_t layer, mv_error *error)
{
    const mv_params *p = &mv_run_get_options(run)->model->params;
    mv_case_result result;
    mv_error ran_error = {0};
    mv_code ran = MV_OK, code = MV_OK;
    mv_lent lent = {0};
    if (!mv_case_begin(run, &result, 0, 3, "layer %u", layer))
        return MV_OK;
    result.verdict = MV_VERDICT_PASS;
    result.length = N_TOKENS;
    for (uint32_t h = 0; h < p->n_heads && ran == MV_OK; h++) {
        int32_t found;
        ran = find_kv_head(run, layer, h, &found, &ran_error);
        if (ran == MV_OK)
            judge_head(&result, p, layer, h, found);
        result.n_positions += N_TOKENS;
    }
    if (ran == MV_OK && result.verdict == MV_VERDICT_FAIL)
        code = mv_changed_model_ask_engine(run, &lent, error);
    if (lent.ignored)
        mv_changed_model_say_ignored(&result);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_gqa_map(mv_run *run, mv_error *error)
{
    const uint32_t n_layers = mv_run_get_options(run)->model->params.n_layers;
    /* A large model is asked in its first and last layer: each question is a forward pass. */
    const uint32_t stride = mv_run_is_large(run) && n_layers > 1 ? n_layers - 1 : 1;
    mv_code code = MV_OK;
    for (uint32_t l = 0; l < n_layers && code == MV_OK; l += stride)
        code = run_layer(run, l, error);
    return code;
}

const mv_suite mv_suite_gqa_map = {
    "gqa_map", "each query head reads the key/value head that it belongs to", run_gqa_map};
