/* golden - the engine gives the logits that were recorded, by the reference or by others.
 *
 * Each case of a golden file is replayed, whole and in pieces of a size coprime to its window. Rows
 * that the file keeps are compared like any others, with the file's float64 as the oracle; of all
 * other rows the sketch, the largest logits and the log-sum-exp are. The yardstick is the reference
 * in the same arithmetic on the same tokens, against the same file.
 *
 * The file is --golden FILE, which must be of this model; without it, the shipped goldens of this
 * model, which Hugging Face Transformers made (golden/external/); without any, a skip.
 *
 * Catches: what engine and reference have in common (a reference that changed, too); a change
 * between two versions of anything.
 */
#include "golden/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suites/run.h"

/* ---- errors against the file ---- */

/* Of one run of the tokens of a case. */
typedef struct evidence {
    mv_error_profile rows;   /* [n_positions, vocab_size] */
    mv_error_profile sketch; /* [n_tokens, MV_SKETCH_SIZE] */
    mv_error_profile top;    /* [n_tokens, n_top] */
    mv_error_profile lse;    /* [n_tokens, 1] */
} evidence;

static void evidence_init(evidence *e, const mv_golden_case *one, size_t vocab_size)
{
    mv_error_profile_init(&e->rows, vocab_size);
    mv_error_profile_init(&e->sketch, MV_SKETCH_SIZE);
    mv_error_profile_init(&e->top, one->n_top);
    mv_error_profile_init(&e->lse, 1);
}

static void evidence_free(evidence *e)
{
    mv_error_profile_free(&e->rows);
    mv_error_profile_free(&e->sketch);
    mv_error_profile_free(&e->top);
    mv_error_profile_free(&e->lse);
}

static mv_code add_summary(evidence *e, const mv_golden_case *one, size_t position,
                           const mv_row_summary *summary, const float *logits, mv_error *error)
{
    double expected[MV_SKETCH_SIZE];
    float actual[MV_SKETCH_SIZE], top[MV_GOLDEN_TOP];
    for (size_t j = 0; j < MV_SKETCH_SIZE; j++) {
        expected[j] = (double)one->sketch[position * MV_SKETCH_SIZE + j];
        actual[j] = (float)summary->sketch[j];
    }
    for (size_t j = 0; j < one->n_top; j++)
        top[j] = logits[one->top_ids[position * one->n_top + j]];
    const float lse = (float)summary->lse;
    mv_code code = mv_error_profile_add(&e->sketch, expected, actual, 1, false, error);
    if (code == MV_OK)
        code = mv_error_profile_add(&e->top, one->top_values + position * one->n_top, top, 1, false,
                                    error);
    if (code == MV_OK)
        code = mv_error_profile_add(&e->lse, one->lse + position, &lse, 1, false, error);
    return code;
}

enum { AT_ONCE = 64 }; /* rows: enough for all cores */

static mv_code gather_evidence(evidence *e, const mv_golden_case *one, const mv_sketch *sketch,
                               const float *logits, mv_error *error)
{
    const size_t vocab_size = sketch->vocab_size;
    mv_code code = MV_OK;
    for (size_t i = 0; i < one->n_positions && code == MV_OK; i++)
        code =
            mv_error_profile_add(&e->rows, one->oracle + i * vocab_size,
                                 logits + (size_t)one->positions[i] * vocab_size, 1, true, error);
    for (size_t i = 0; i < one->n_tokens && code == MV_OK; i += AT_ONCE) {
        mv_row_summary summaries[AT_ONCE];
        const size_t n = one->n_tokens - i < AT_ONCE ? one->n_tokens - i : (size_t)AT_ONCE;
        mv_rows_summarise(summaries, sketch, logits + i * vocab_size, n);
        for (size_t j = 0; j < n && code == MV_OK; j++)
            code = add_summary(e, one, i + j, &summaries[j], logits + (i + j) * vocab_size, error);
    }
    return code;
}

/* ---- one case of a file ---- */

/* What its replays share. */
typedef struct replay {
    const mv_golden_case *one;
    const char *file; /* its name without folder and extension */
    mv_sketch sketch;
    evidence yardstick;
    bool has_yardstick;
} replay;

static mv_code play_case(mv_run *run, const mv_engine_setup *setup, const mv_golden_case *one,
                         int64_t chunk, mv_play *play, mv_error *error)
{
    mv_schedule schedule = {0};
    *play = (mv_play){.window = one->window};
    mv_code code = mv_play_add(run, play, one->tokens, one->n_tokens, error);
    mv_schedule_add_chunks(&schedule, 0, (int64_t)one->n_tokens, chunk);
    if (code == MV_OK)
        code = mv_play_schedule(run, setup, &schedule, play, error);
    mv_schedule_free(&schedule);
    return code;
}

/* The reference in the arithmetic under test; once a case, and only if somebody asks. */
static mv_code need_yardstick(mv_run *run, replay *r, mv_error *error)
{
    const mv_engine_setup setup = {.backend = mv_run_get_options(run)->reference};
    const size_t vocab_size = mv_run_get_options(run)->model->params.vocab_size;
    mv_play play;
    if (r->has_yardstick)
        return MV_OK;
    evidence_init(&r->yardstick, r->one, vocab_size);
    r->has_yardstick = true;
    mv_code code = mv_sketch_make(&r->sketch, vocab_size, (uint64_t)r->one->sketch_seed, error);
    if (code != MV_OK)
        return code;
    code = play_case(run, &setup, r->one, 0, &play, error);
    if (code == MV_OK)
        code = gather_evidence(&r->yardstick, r->one, &r->sketch, play.tracks[0].logits, error);
    mv_play_free(&play);
    return code;
}

/* ---- the verdict ---- */

/* Factors on the table's limits. A file keeps few rows, so that the median that a lucky row of the
 * yardstick is raised to is itself luck; and summaries are fewer numbers than rows: a sum of
 * squares of 64 has a relative deviation of 18%, of 20 of 32%, of 1 of 140%. Largest ratios of 17
 * harmless reorderings and of the blas backend on the three shipped goldens, in f32 (rmse, row,
 * max): rows 1.9 4.2 2.2, sketches 1.9 6.3 2.5, largest 1.9 8.0 2.7, log-sum-exp 1.8 11 2.7; in
 * bf16: 1.2 2.7 1.4, 1.1 3.1 1.5, 1.1 4.3 2.0, 1.1 14 1.8. */
static const struct gate {
    const char *what;
    size_t offset; /* in evidence */
    double rmse, row, max_abs;
} gates[] = {
    {"the kept rows", offsetof(evidence, rows), 1.0, 2.0, 1.0},
    {"the sketches of all rows", offsetof(evidence, sketch), 1.2, 3.0, 1.5},
    {"the largest logits of all rows", offsetof(evidence, top), 1.2, 4.0, 1.5},
    {"the log-sum-exp of all rows", offsetof(evidence, lse), 2.0, INFINITY, 3.0},
};

static const mv_error_profile *profile_of(const evidence *e, const struct gate *gate)
{
    return (const mv_error_profile *)(const void *)((const char *)e + gate->offset);
}

static void describe(char text[64], int64_t position, int64_t window)
{
    const char *at = window > 0 && position >= window ? " = W+" : "";
    if (*at != '\0')
        (void)snprintf(text, 64, "position %lld%s%lld", (long long)position, at,
                       (long long)(position - window));
    else
        (void)snprintf(text, 64, "position %lld", (long long)position);
}

static void fail_gate(mv_case_result *result, const struct gate *gate, const mv_golden_case *one,
                      const evidence *yardstick, const evidence *e, double room,
                      const char *decides)
{
    const mv_error_profile *test = profile_of(e, gate);
    const mv_tolerance *limits = mv_tolerance_get(result->compute);
    const double limit = limits->r_row * gate->row;
    char where[64];
    int64_t row = mv_first_bad_row(profile_of(yardstick, gate), test,
                                   isinf(limit) ? gate->max_abs * limits->r_row : limit);
    row = row >= 0 ? row : test->worst.position;
    result->divergence_position = gate == &gates[0] && row >= 0 ? one->positions[row] : row;
    describe(where, result->divergence_position, one->window);
    if (isnan(room))
        mv_case_fail(result, "%s: %s cannot be computed, or logits are not finite; first at %s",
                     gate->what, decides, where);
    else
        mv_case_fail(result, "%s: error is %.3g x the limit (%s); first wrong row at %s",
                     gate->what, 1.0 / room, decides, where);
}

static mv_code judge_gate(mv_case_result *result, const struct gate *gate,
                          const mv_golden_case *one, const evidence *yardstick, const evidence *e,
                          mv_metrics *metrics, mv_error *error)
{
    mv_tolerance limits = *mv_tolerance_get(result->compute);
    const char *decides = "";
    limits.r_rmse *= gate->rmse;
    limits.r_row *= gate->row;
    limits.r_maxabs *= gate->max_abs;
    mv_code code =
        mv_metrics_from_profiles(metrics, profile_of(yardstick, gate), profile_of(e, gate), error);
    if (code != MV_OK)
        return code;
    const double room = mv_tolerance_headroom(&limits, metrics, &decides);
    if (isnan(room) || !(room >= result->headroom))
        result->headroom = room;
    if (!(room >= 1.0))
        fail_gate(result, gate, one, yardstick, e, room, decides);
    return MV_OK;
}

static mv_code judge(mv_case_result *result, const mv_golden_case *one, const evidence *yardstick,
                     const evidence *e, mv_error *error)
{
    const mv_tolerance *limits = mv_tolerance_get(result->compute);
    mv_metrics metrics;
    mv_code code = MV_OK;
    result->n_positions = (int64_t)one->n_tokens;
    if (one->window > 0 && result->n_positions > one->window)
        result->n_beyond_window = result->n_positions - one->window;
    result->limits.r_rmse = limits->r_rmse;
    result->limits.r_row = limits->r_row * gates[0].row;
    result->limits.r_maxabs = limits->r_maxabs;
    result->headroom = INFINITY;
    result->worst = e->rows.worst;
    if (result->worst.position >= 0)
        result->worst.position = one->positions[result->worst.position];
    for (size_t i = 0; i < sizeof gates / sizeof gates[0] && code == MV_OK; i++) {
        code = judge_gate(result, &gates[i], one, yardstick, e, &metrics, error);
        if (i == 0)
            result->metrics = metrics;
        if (profile_of(e, &gates[i]) == &e->top) /* all rows, and not only the kept ones */
            result->metrics.top1_agreement = metrics.top1_agreement;
    }
    if (code == MV_OK && result->verdict != MV_VERDICT_FAIL)
        result->verdict = MV_VERDICT_PASS;
    return code;
}

/* ---- replaying ---- */

static mv_code run_chunk(mv_run *run, replay *r, int64_t chunk, mv_error *error)
{
    const mv_golden_case *one = r->one;
    mv_case_result result;
    mv_play play = {0};
    mv_error ran_error = {0};
    char how[32] = "whole";
    evidence e;
    if (chunk > 0)
        (void)snprintf(how, sizeof how, "chunk %lld", (long long)chunk);
    if (!mv_case_begin(run, &result, one->window, chunk, "%.32s %.32s %s", r->file, one->name, how))
        return MV_OK;
    result.length = (int64_t)one->n_tokens;
    if (one->seed >= 0)
        result.seed = (uint64_t)one->seed;
    mv_code code = need_yardstick(run, r, error);
    if (code != MV_OK)
        return code;
    mv_code ran = play_case(run, NULL, one, chunk, &play, &ran_error);
    evidence_init(&e, one, mv_run_get_options(run)->model->params.vocab_size);
    if (ran == MV_OK)
        code = gather_evidence(&e, one, &r->sketch, play.tracks[0].logits, error);
    if (ran == MV_OK && code == MV_OK)
        code = judge(&result, one, &r->yardstick, &e, error);
    evidence_free(&e);
    mv_play_free(&play);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_common_divisor(b, a % b);
}

/* The user's chunk sizes; else whole, and pieces whose edges fall on every place of the ring. */
static mv_code choose_chunks(mv_run *run, const mv_golden_case *one, mv_range *chunks,
                             mv_error *error)
{
    int64_t piece = one->window > 2 ? one->window * 2 / 3 : 13;
    if (mv_run_get_options(run)->chunks != NULL)
        return mv_run_chunks(run, one->window, chunks, error);
    while (one->window > 0 && piece > 1 && greatest_common_divisor(one->window, piece) != 1)
        piece--;
    chunks->n = 0;
    mv_range_add(chunks, 0, 0, 0);
    mv_range_add(chunks, piece, 1, (int64_t)one->n_tokens - 1);
    return MV_OK;
}

/* --window leaves out the cases of other windows. */
static mv_code is_wanted(mv_run *run, const mv_golden_case *one, bool *wanted, mv_error *error)
{
    mv_range windows;
    *wanted = mv_run_get_options(run)->windows == NULL;
    if (*wanted)
        return MV_OK;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++)
        *wanted = *wanted || windows.values[i] == one->window;
    return code;
}

static mv_code run_case(mv_run *run, const char *file, const mv_golden_case *one, mv_error *error)
{
    replay r = {.one = one, .file = file};
    mv_range chunks = {.n = 0};
    bool wanted;
    mv_code code = is_wanted(run, one, &wanted, error);
    if (code == MV_OK && wanted)
        code = choose_chunks(run, one, &chunks, error);
    for (size_t i = 0; i < chunks.n && code == MV_OK; i++)
        code = run_chunk(run, &r, chunks.values[i], error);
    if (r.has_yardstick)
        evidence_free(&r.yardstick);
    mv_sketch_free(&r.sketch);
    return code;
}

static mv_code run_file(mv_run *run, const char *path, bool is_matched, mv_error *error)
{
    mv_golden *golden = NULL;
    char name[64];
    const char *slash = strrchr(path, '/');
    (void)snprintf(name, sizeof name, "%s", slash != NULL ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    mv_code code = mv_golden_open(&golden, path, error);
    if (code == MV_OK && !is_matched)
        code = mv_golden_match(golden, path, mv_run_get_options(run)->model, error);
    for (size_t i = 0; code == MV_OK && i < golden->n_cases; i++)
        code = run_case(run, name, &golden->cases[i], error);
    mv_golden_close(&golden);
    return code;
}

static mv_code skip(mv_run *run, mv_error *error)
{
    mv_case_result result;
    if (!mv_case_begin(run, &result, 0, 0, "no golden of this model"))
        return MV_OK;
    result.verdict = MV_VERDICT_SKIP;
    (void)snprintf(
        result.reason, sizeof result.reason,
        "no golden of this model is shipped: make one with mistral-golden record --model "
        "%.120s -o FILE, and pass --golden FILE",
        mv_run_get_options(run)->model_spec);
    return mv_case_end(run, &result, MV_OK, NULL, error);
}

static mv_code run_golden(mv_run *run, mv_error *error)
{
    const mv_run_options *o = mv_run_get_options(run);
    char **paths = NULL;
    size_t n = 0;
    if (o->golden != NULL)
        return run_file(run, o->golden, false, error);
    mv_code code = mv_golden_find(o->model, &paths, &n, error);
    if (code == MV_OK && n == 0)
        code = skip(run, error);
    for (size_t i = 0; i < n; i++) {
        if (code == MV_OK)
            code = run_file(run, paths[i], true, error);
        free(paths[i]);
    }
    free(paths);
    return code;
}

const mv_suite mv_suite_golden = {
    "golden", "the engine gives the logits that were recorded by the reference or by others",
    run_golden};
