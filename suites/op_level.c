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
 * And scores that lie hundreds apart in keys hundreds apart, on a model of our own, in which the
 * query is the same everywhere and a key is its token's level. Softmax is then one key's value, or
 * the mean over equal ones, in any honest arithmetic; but a running maximum that is not the maximum
 * overflows or leaves 0 / 0, where random weights, whose scores are all within a few units, forgive
 * any maximum at all:
 *
 *   - rising scores: one key far above all others, behind the first 512
 *   - falling scores: one near the beginning, which leaves the window at the end
 *   - scores like stairs: one in each of several tiles, each above the one before
 *   - scores from far below: all far below 0, until one is not
 *
 * Catches: a wrong epsilon, an epsilon outside the root, softmax without the maximum, with that of
 * the first tile, of each tile or of keys that are masked, half-precision accumulation, GELU for
 * SiLU. Seen in bfloat16, too, where ordinary logits do not show them.
 */
#include "harness/synthetic.h"
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

/* ---- scores far apart ---- */

#define SPEC                                                                                       \
    "synthetic:probe,n_layers=1,dim=64,head_dim=128,n_heads=2,n_kv_heads=1,hidden_dim=96,"         \
    "vocab_size=101,rope_theta=1000000"

/* An id's level: 0 for the first, -2 for those behind them, and -1 ... 3 for one id each. A level
 * is a score of about GAIN^2 / sqrt(HEAD_DIM) = 362: the channels of the query and of the key are 1
 * and the level, and the norm nearly leaves them so. float32's e^x is finite up to 88, and 0 from
 * -104 down. */
enum { HEAD_DIM = 128, ID_BELOW = 48, ID_ABOVE = 96, ID_OF_LEVEL_0 = 97, MOST_TOKENS = 530 };
#define GAIN 0x1p6f

enum channel { CHANNEL_ONE, CHANNEL_LEVEL };

static float level_of(uint64_t id)
{
    return id < ID_BELOW ? 0.0f : id < ID_ABOVE ? -2.0f : (float)id - (float)ID_OF_LEVEL_0;
}

static float set_channels(void *cookie, uint64_t id, uint64_t column, float old)
{
    (void)cookie;
    return column == CHANNEL_ONE ? 1.0f : column == CHANNEL_LEVEL ? level_of(id) : old;
}

/* Of attention_norm, a column of weights. */
static float keep_channels(void *cookie, uint64_t channel, uint64_t column, float old)
{
    (void)cookie, (void)column;
    return channel <= CHANNEL_LEVEL ? 1.0f : old;
}

/* wq and wk reach the pair that RoPE turns least, by 7e-4 at position 530, and no other. */
static float set_pair(void *cookie, uint64_t row, uint64_t column, float old)
{
    (void)old;
    return row % HEAD_DIM == HEAD_DIM - 2 && column == *(const enum channel *)cookie ? GAIN : 0.0f;
}

static mv_code make_levels(mv_changed_model *changed, const mv_model_view *model, mv_error *error)
{
    enum channel of_query = CHANNEL_ONE, of_key = CHANNEL_LEVEL;
    mv_code code = mv_changed_model_init(changed, model, error);
    if (code != MV_OK)
        return code;
    mv_layer *layer = &changed->layers[0];
    code = mv_changed_model_map(changed, &changed->view.tok_embeddings, set_channels, NULL, error);
    if (code == MV_OK)
        code = mv_changed_model_map(changed, &layer->attention_norm, keep_channels, NULL, error);
    if (code == MV_OK)
        code = mv_changed_model_map(changed, &layer->wq, set_pair, &of_query, error);
    if (code == MV_OK)
        code = mv_changed_model_map(changed, &layer->wk, set_pair, &of_key, error);
    return code;
}

/* All tokens have one level, but for some. */
static const struct scores {
    const char *name;
    int64_t length, window;
    bool below; /* all others at level -2, else at 0 */
    struct {
        int64_t position;
        int level;
    } steps[4];
    size_t n_steps;
} all_scores[] = {
    {"rising scores", 530, 0, false, {{520, 1}}, 1},
    {"falling scores", 312, 300, false, {{5, 1}}, 1},
    {"scores like stairs", 312, 0, false, {{70, 1}, {140, 2}, {303, 3}}, 3},
    {"scores from far below", 312, 0, true, {{0, -1}, {303, 0}}, 2},
};

static void fill_tokens(const struct scores *s, uint64_t seed, int32_t *tokens)
{
    mv_synthetic_tokens(tokens, (size_t)s->length, ID_BELOW, seed);
    for (int64_t i = 0; i < s->length && s->below; i++)
        tokens[i] += ID_BELOW;
    for (size_t i = 0; i < s->n_steps; i++)
        tokens[s->steps[i].position] = ID_OF_LEVEL_0 + s->steps[i].level;
}

/* Whole; or in chunks and then one by one, the last step in a call of its own. */
static void add_calls(const struct scores *s, int64_t chunk, mv_schedule *schedule)
{
    enum { N_ALONE = 12 };
    const int64_t n_alone = chunk > 0 ? N_ALONE : 0;
    mv_schedule_add_chunks(schedule, 0, s->length - n_alone, chunk);
    mv_schedule_add_chunks(schedule, 0, n_alone, 1);
}

static mv_code play_scores(mv_run *run, mv_case_result *result, const struct scores *s,
                           const mv_model_view *view, mv_error *error)
{
    int32_t tokens[MOST_TOKENS];
    mv_schedule schedule = {0};
    mv_play play = {.window = s->window, .model = view};
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
    add_calls(s, result->chunk, &schedule);
    mv_schedule_print(&schedule, result->schedule, sizeof result->schedule);
    fill_tokens(s, mv_run_get_options(run)->seed, tokens);
    mv_code code = mv_play_add(run, &play, tokens, (size_t)s->length, error);
    if (code == MV_OK)
        ran = mv_play_schedule(run, NULL, &schedule, &play, &ran_error);
    if (code == MV_OK && ran == MV_OK)
        code = mv_judge(run, result, &play, error);
    mv_play_remember(run, &schedule, &play);
    if (code == MV_OK)
        code = mv_case_end(run, result, ran, &ran_error, error);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

static mv_code run_scores(mv_run *run, const struct scores *s, int64_t chunk,
                          const mv_model_view *view, mv_lent *lent, mv_error *error)
{
    mv_case_result result;
    if (!mv_case_begin(run, &result, s->window, chunk, "%s, %s", s->name,
                       chunk > 0 ? "in pieces" : "whole"))
        return MV_OK;
    result.length = s->length;
    mv_code code = mv_changed_model_ask_engine(run, lent, error);
    if (code == MV_OK && lent->ignored) {
        mv_changed_model_say_ignored(&result);
        return mv_case_end(run, &result, MV_OK, NULL, error);
    }
    const mv_model_view *own = mv_run_set_model(run, view);
    if (code == MV_OK)
        code = play_scores(run, &result, s, view, error);
    (void)mv_run_set_model(run, own);
    return code;
}

static mv_code run_all_scores(mv_run *run, mv_error *error)
{
    enum { CHUNK = 129 };
    mv_lent lent = {0};
    mv_synthetic *synthetic = NULL;
    mv_changed_model changed = {0};
    mv_code code = mv_synthetic_open(&synthetic, SPEC, error);
    if (code == MV_OK)
        code = make_levels(&changed, mv_synthetic_get_view(synthetic), error);
    for (size_t i = 0; code == MV_OK && i < sizeof all_scores / sizeof *all_scores; i++) {
        code = run_scores(run, &all_scores[i], 0, &changed.view, &lent, error);
        if (code == MV_OK)
            code = run_scores(run, &all_scores[i], CHUNK, &changed.view, &lent, error);
    }
    mv_changed_model_free(&changed);
    mv_synthetic_close(&synthetic);
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
    return code == MV_OK ? run_all_scores(run, error) : code;
}

const mv_suite mv_suite_op_level = {
    "op_level", "each operation is right at the inputs where it is hard", run_op_level};
