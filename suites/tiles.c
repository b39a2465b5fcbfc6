/* tiles - results are the same on both sides of the places where kernels cut their work.
 *
 * A prompt of 530 tokens, which passes 64, 128, 256 and 512 both in tokens of a call and in keys,
 * under a window of 130, wider than a tile and no multiple of one, and under none. Played whole; in
 * calls of 129, 65, 257 and 79 tokens; as a long prefill and then token by token; and token by
 * token over the 256th and the 512th key. The model is synthetic, whatever the user's is: one layer
 * with Mistral's own head_dim of 128, groups of two, and the rope_theta of v0.2 and later, since
 * every small model of ours has that of v0.1.
 *
 * Compares every row with the float64 oracle of the same weights. An engine that takes its weights
 * from elsewhere cannot be asked: vacuous; one that does not have the shape says
 * MV_ERR_UNSUPPORTED, and is skipped.
 *
 * Catches: the mask of a later tile of queries, one key too wide or too narrow; split-K in decode
 * that loses a key where its parts meet; a path for one head_dim that has a bug of its own; a theta
 * that is a constant; a buffer for so many keys and no more.
 * Source: FlashAttention's tests of seqlen_q and seqlen_k up to 2048; ggml's flash_attn_ext tests
 * of kv = 512 and 1024 in test-backend-ops. The other suites' 40 tokens and W = 8 reach none of it.
 */
#include "harness/synthetic.h"
#include "suites/changed_model.h"

enum { LENGTH = 530, MOST_CALLS = 32 };

#define SPEC                                                                                       \
    "synthetic:probe,n_layers=1,dim=64,head_dim=128,n_heads=2,n_kv_heads=1,hidden_dim=96,"         \
    "vocab_size=101,rope_theta=1000000,sliding_window=130"

static const int64_t windows[] = {130, 0};

/* Calls by number of tokens; the last repeats until the prompt ends. */
static const struct {
    const char *name;
    int64_t calls[MOST_CALLS];
    size_t n;
} ways[] = {
    {"whole", {LENGTH}, 1},
    {"calls of 129, 65, 257 and 79", {129, 65, 257, 79}, 4},
    {"12 tokens after 518", {518, 1}, 2},
    {"one by one over 256 and 512 keys", {253, 1, 1, 1, 1, 1, 1, 1, 249, 1}, 10},
};

static void add_calls(mv_schedule *schedule, size_t way)
{
    int64_t left = LENGTH;
    for (size_t i = 0; left > 0; i++) {
        const int64_t size = ways[way].calls[i < ways[way].n ? i : ways[way].n - 1];
        const int64_t n = size < left ? size : left;
        mv_schedule_add_call(schedule, 0, n);
        left -= n;
    }
}

static mv_code play_way(mv_run *run, mv_case_result *result, const mv_model_view *view, size_t way,
                        mv_error *error)
{
    int32_t tokens[LENGTH];
    mv_schedule schedule = {0};
    mv_play play = {.window = result->window, .model = view};
    add_calls(&schedule, way);
    mv_schedule_print(&schedule, result->schedule, sizeof result->schedule);
    mv_synthetic_tokens(tokens, LENGTH, view->params.vocab_size, mv_run_get_options(run)->seed);
    mv_code code = mv_play_add(run, &play, tokens, LENGTH, error);
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
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

static mv_code run_way(mv_run *run, const mv_model_view *view, int64_t window, size_t way,
                       mv_lent *lent, mv_error *error)
{
    mv_case_result result;
    if (!mv_case_begin(run, &result, window, 0, "window %lld, %s", (long long)window,
                       ways[way].name))
        return MV_OK;
    result.length = LENGTH;
    mv_code code = mv_changed_model_ask_engine(run, lent, error);
    if (code == MV_OK && lent->ignored) {
        mv_changed_model_say_ignored(&result);
        return mv_case_end(run, &result, MV_OK, NULL, error);
    }
    const mv_model_view *own = mv_run_set_model(run, view);
    if (code == MV_OK)
        code = play_way(run, &result, view, way, error);
    (void)mv_run_set_model(run, own);
    return code;
}

static mv_code run_tiles(mv_run *run, mv_error *error)
{
    mv_lent lent = {0};
    mv_synthetic *synthetic = NULL;
    mv_code code = mv_synthetic_open(&synthetic, SPEC, error);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        for (size_t way = 0; way < sizeof ways / sizeof *ways && code == MV_OK; way++)
            code = run_way(run, mv_synthetic_get_view(synthetic), windows[i], way, &lent, error);
    }
    mv_synthetic_close(&synthetic);
    return code;
}

const mv_suite mv_suite_tiles = {
    "tiles", "results are the same on both sides of the places where kernels cut their work",
    run_tiles};
