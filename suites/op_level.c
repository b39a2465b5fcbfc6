/* op_level - each operation at the inputs where it is hard, not only where it is used.
 *
 * Logits at ordinary inputs hide much: with activations of size 1 an epsilon of 1e-3 changes
 * little, and with small scores a softmax that forgets to subtract the maximum is right. So the
 * engine is lent weights that bring one operation to its edge, and every row is compared with the
 * oracle of those same weights:
 *
 *   - tiny activations: embeddings 2^-9 of their size. In the first norm epsilon is as large as the
 *     mean of squares
 *   - huge activations: embeddings 2^9 of their size. Squares that overflow float16
 *   - huge scores: wq 2^6 of its size. exp() of an unshifted score overflows. With a window of 1,
 *     where the score cancels: of two keys with such scores the nearer rounding wins, in every
 *     honest engine another
 *   - uniform attention: wq = 0. All keys weigh the same, and one more or less shows at full size
 *   - saturated gate: w1 2^6 of its size. silu on both of its flat sides
 *
 * Catches: a wrong epsilon, an epsilon outside the root, softmax without the maximum,
 * half-precision accumulation, GELU for SiLU. Seen in bfloat16, too, where ordinary logits do not
 * show them.
 */
#include "suites/changed_model.h"

typedef struct edge {
    const char *name;
    int tensor; /* 0 tok_embeddings, 1 wq, 2 w1 */
    float factor;
    int64_t window; /* -1: as the run has it */
} edge;

static const edge edges[] = {{"tiny activations", 0, 0x1p-9f, -1},
                             {"huge activations", 0, 0x1p9f, -1},
                             {"huge scores", 1, 0x1p6f, 1},
                             {"uniform attention", 1, 0.0f, -1},
                             {"saturated gate", 2, 0x1p6f, -1}};

static float scale(void *cookie, uint64_t row, uint64_t column, float old)
{
    (void)row, (void)column;
    return old * *(const float *)cookie;
}

static mv_code change(mv_changed_model *changed, const edge *e, mv_error *error)
{
    float factor = e->factor;
    mv_code code = MV_OK;
    if (e->tensor == 0)
        return mv_changed_model_map(changed, &changed->view.tok_embeddings, scale, &factor, error);
    for (uint32_t l = 0; l < changed->view.params.n_layers && code == MV_OK; l++) {
        mv_tensor *tensor = e->tensor == 1 ? &changed->layers[l].wq : &changed->layers[l].w1;
        if (factor == 0.0f)
            mv_changed_model_zero(changed, tensor);
        else
            code = mv_changed_model_map(changed, tensor, scale, &factor, error);
    }
    return code;
}

static mv_code run_edge(mv_run *run, const edge *e, int64_t window, int64_t chunk, mv_error *error)
{
    const int64_t T = mv_run_length(run);
    mv_case_result result;
    mv_changed_model changed = {0};
    mv_schedule schedule = {0};
    mv_play play = {.window = window, .model = &changed.view};
    const int32_t *tokens;
    if (!mv_case_begin(run, &result, window, chunk, "%s, window %lld chunk %lld", e->name,
                       (long long)window, (long long)chunk))
        return MV_OK;
    mv_schedule_add_chunks(&schedule, 0, T, chunk);
    mv_code code = mv_changed_model_init(&changed, mv_run_get_options(run)->model, error);
    if (code == MV_OK)
        code = change(&changed, e, error);
    if (code == MV_OK)
        code = mv_run_prompt(run, 0, (size_t)T, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)T, error);
    if (code == MV_OK)
        code = mv_changed_model_case_play(run, &result, &schedule, &play, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    mv_changed_model_free(&changed);
    return code;
}

static mv_code run_op_level(mv_run *run, mv_error *error)
{
    const bool large = mv_run_is_large(run);
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < sizeof edges / sizeof *edges; i++) {
        const int64_t window = edges[i].window >= 0 ? edges[i].window : windows.values[0];
        code = run_edge(run, &edges[i], window, 0, error);
        if (code == MV_OK && !large)
            code = run_edge(run, &edges[i], window, 1, error);
    }
    return code;
}

const mv_suite mv_suite_op_level = {
    "op_level", "each operation is right at the inputs where it is hard", run_op_level};
