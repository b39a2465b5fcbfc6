/* vocab_cover - every id of the vocabulary has its own row of the embedding and of the output.
 *
 * Each id is brought to the engine at least once, in an order that jumps about, and every compared
 * row has all columns of the output. A vocabulary of up to 2048 is brought with a row of logits for
 * each id, through the model as it is. Above that it is one layer of the model, and one row of
 * logits for 16 ids: the row sees all 16, each with the same weight (wq is zero, the window 16), so
 * that a wrong one shows. The budget then is 2e10 multiply-adds (1e11 for a large model) and 16
 * million logits; if not all ids fit, the case is named "every 5th id and the last" and brings
 * those.
 *
 * Compares every row with the float64 oracle of the same weights, and counts the ids that were in
 * reach of a row that was compared: fewer than the name says is vacuous.
 *
 * Catches: a row of the embedding damaged, misread, exchanged or shifted with its tile; the last
 * row; an id taken for padding; a column of the output dropped or exchanged; an incomplete last
 * tile.
 * Source: Megatron's and vLLM's vocabulary shards (mask and offset), whose edges no random prompt
 * of a hundred tokens meets.
 */
#include <math.h>
#include <stdlib.h>

#include "suites/changed_model.h"

enum {
    MOST_WHOLE = 2048, /* ids that are brought with a row each */
    CALL = 61,         /* tokens of a call then */
    IDS_A_ROW = 16,    /* else */
    A_CASE = 1024      /* tokens */
};
static const double budget = 2e10, large_budget = 1e11, most_logits = 1.6e7;

/* What is brought, in what way. */
typedef struct plan {
    uint32_t vocab_size, stride; /* every stride-th id */
    uint32_t n_ids;              /* and the last */
    bool whole;                  /* a row for each id */
} plan;

static double n_products(const mv_tensor *tensor)
{
    return (double)tensor->shape[0] * (double)tensor->shape[1];
}

static double layer_products(const mv_layer *layer)
{
    return n_products(&layer->wq) + n_products(&layer->wk) + n_products(&layer->wv) +
           n_products(&layer->wo) + n_products(&layer->w1) + n_products(&layer->w2) +
           n_products(&layer->w3);
}

static plan make_plan(const mv_run *run)
{
    const mv_model_view *model = mv_run_get_options(run)->model;
    const uint32_t V = model->params.vocab_size;
    const bool large = mv_run_is_large(run);
    plan p = {.vocab_size = V, .stride = 1, .whole = !large && V <= MOST_WHOLE};
    if (!p.whole) {
        const double a_token =
            layer_products(mv_layer_at(model, 0)) + n_products(&model->output) / IDS_A_ROW;
        const double affordable = (large ? large_budget : budget) / a_token;
        const double n = fmin(affordable, most_logits / V * IDS_A_ROW);
        p.stride = n >= V ? 1 : (uint32_t)ceil(V / fmax(n, IDS_A_ROW));
    }
    p.n_ids = (V - 1) / p.stride + 1 + ((V - 1) % p.stride != 0);
    return p;
}

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : greatest_common_divisor(b, a % b);
}

/* Id number i of the plan. A step without a common factor visits each once, far from the last. */
static int32_t id_at(const plan *p, uint32_t i)
{
    uint32_t step = (uint32_t)(p->n_ids * 0.618) | 1u;
    while (greatest_common_divisor(p->n_ids, step) != 1)
        step++;
    const uint64_t id = (uint64_t)i * step % p->n_ids * p->stride;
    return id < p->vocab_size ? (int32_t)id : (int32_t)(p->vocab_size - 1);
}

/* Marks the ids that a compared row says something about: with a row each, its own; else those of
 * the call that the row ends. */
static void mark_seen(const plan *p, const mv_play *play, bool *seen)
{
    const mv_track *track = &play->tracks[0];
    const size_t reach = p->whole ? 1 : IDS_A_ROW;
    for (size_t i = 0; i < track->n; i++) {
        for (size_t j = 0; track->has_row[i] && j < reach && j <= i; j++)
            seen[track->tokens[i - j]] = true;
    }
}

static void judge_coverage(mv_case_result *result, const plan *p, uint32_t first, uint32_t n,
                           const bool *seen)
{
    uint32_t n_seen = 0;
    for (uint32_t i = first; i < first + n; i++)
        n_seen += seen[id_at(p, i)];
    if (result->verdict != MV_VERDICT_PASS)
        return;
    if (n_seen < n)
        result->verdict = MV_VERDICT_VACUOUS;
    if (n_seen < n || p->stride > 1)
        (void)snprintf(result->reason, sizeof result->reason,
                       "covered %u of the %u ids that this case is about; the vocabulary has %u",
                       n_seen, n, p->vocab_size);
}

/* One layer, in which every visible key counts the same. */
static mv_code cut_model(mv_changed_model *changed, const mv_model_view *model, mv_error *error)
{
    mv_code code = mv_changed_model_init(changed, model, error);
    if (code == MV_OK) {
        changed->view.params.n_layers = 1;
        mv_changed_model_zero(changed, &changed->layers[0].wq);
    }
    return code;
}

static void fill_schedule(const plan *p, uint32_t n, mv_schedule *schedule)
{
    mv_schedule_add_chunks(schedule, 0, n, p->whole ? CALL : IDS_A_ROW);
    for (size_t i = 0; i < schedule->n_steps && !p->whole; i++)
        schedule->steps[i].which = MV_LOGITS_LAST;
}

/* Plays the case, judges it, and marks what was compared. */
static mv_code play_ids(mv_run *run, mv_case_result *result, const plan *p, const int32_t *tokens,
                        uint32_t n, bool *seen, mv_code *ran, mv_error *ran_error, mv_error *error)
{
    mv_changed_model changed = {0};
    mv_schedule schedule = {0};
    mv_play play = {.window = result->window};
    bool ignored = false;
    mv_code code = p->whole ? MV_OK : cut_model(&changed, mv_run_get_options(run)->model, error);
    fill_schedule(p, n, &schedule);
    if (!p->whole) {
        play.model = &changed.view;
        play.truth_schedule = &schedule;
    }
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, n, error);
    if (code == MV_OK)
        *ran = mv_play_schedule(run, NULL, &schedule, &play, ran_error);
    if (code == MV_OK && *ran == MV_OK)
        code = mv_judge(run, result, &play, error);
    if (code == MV_OK && *ran == MV_OK)
        mark_seen(p, &play, seen);
    if (code == MV_OK && !p->whole && result->verdict == MV_VERDICT_FAIL)
        code = mv_changed_model_is_ignored(run, &play, &ignored, error);
    if (ignored)
        mv_changed_model_say_ignored(result);
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    mv_changed_model_free(&changed);
    return code;
}

static mv_code run_part(mv_run *run, const plan *p, uint32_t first, uint32_t n, mv_error *error)
{
    const int64_t own = mv_run_get_options(run)->model->params.sliding_window;
    const int64_t window = p->whole ? own : IDS_A_ROW;
    mv_case_result result;
    mv_error ran_error = {0};
    mv_code ran = MV_OK, code = MV_OK;
    char what[48] = "every id", part[32] = "";
    if (p->stride > 1)
        (void)snprintf(what, sizeof what, "every %uth id and the last", p->stride);
    if (p->n_ids > A_CASE)
        (void)snprintf(part, sizeof part, ", part %u of %u", first / A_CASE + 1,
                       (p->n_ids - 1) / A_CASE + 1);
    if (!mv_case_begin(run, &result, window, p->whole ? CALL : IDS_A_ROW, "%s%s", what, part))
        return MV_OK;
    result.length = n;
    int32_t *tokens = malloc(n * sizeof *tokens);
    bool *seen = calloc(p->vocab_size, sizeof *seen);
    if (tokens == NULL || seen == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for %u ids", p->vocab_size);
    for (uint32_t i = 0; i < n && code == MV_OK; i++)
        tokens[i] = id_at(p, first + i);
    if (code == MV_OK)
        code = play_ids(run, &result, p, tokens, n, seen, &ran, &ran_error, error);
    if (code == MV_OK && ran == MV_OK)
        judge_coverage(&result, p, first, n, seen);
    free(tokens);
    free(seen);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_vocab_cover(mv_run *run, mv_error *error)
{
    const plan p = make_plan(run);
    mv_code code = MV_OK;
    for (uint32_t first = 0; first < p.n_ids && code == MV_OK; first += A_CASE)
        code = run_part(run, &p, first, p.n_ids - first < A_CASE ? p.n_ids - first : A_CASE, error);
    return code;
}

const mv_suite mv_suite_vocab_cover = {
    "vocab_cover", "every id of the vocabulary has its own row of the embedding and of the output",
    run_vocab_cover};
