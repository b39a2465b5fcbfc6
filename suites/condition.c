/* condition - the model at hand can show what the suites look for, and bears harmless changes.
 *
 * For each bug that some suite is about: the bug, planted in the reference and played on this
 * model, must exceed the limits; else the case is vacuous, and so are the suites that are about it.
 * For each harmless reordering of the same sums: it must stay within the limits; else a failure
 * elsewhere proves nothing on this model, and the case is vacuous, too. The engine under test plays
 * no part: this suite judges the evidence.
 *
 * Breaks on: weights so small that attention is uniform (a model of N(0, 0.01), norms included,
 * shows no wrong RoPE at all); a prompt too short; limits measured on models unlike this one.
 * Source: mass tests on models too tame, llama.cpp's test-llama-archs; docs/NUMERICS.md.
 */
#include "suites/condition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suites/noise.h"

/* The bugs that a suite is about, of those that one sequence shows in any arithmetic. The first is
 * asked for on a large model. A suite that is not here lends weights of its own, or compares bits.
 */
static const struct about {
    const char *suite;
    const char *mutants[4];
} abouts[] = {
    {"golden", {"window_plus_1_one_layer", "gate_up_swapped", "scale_by_head_dim"}},
    {"chunking",
     {"window_plus_1_one_layer", "window_plus_1_later_chunks", "rope_restarts_with_chunk",
      "chunk_forgets_cache"}},
    {"window", {"window_plus_1_one_layer", "window_minus_1_one_layer", "window_off_one_layer"}},
    {"ring", {"window_plus_1_one_layer", "ring_evicts_newest", "ring_slot_from_chunk"}},
    {"decode_vs_prefill", {"window_plus_1_decode", "rope_decode_plus_1"}},
    {"batching", {"window_plus_1_one_layer", "gqa_tiled", "chunk_forgets_cache"}},
    {"generation", {"window_plus_1_decode", "rope_decode_plus_1"}},
    {"cache_ops", {"window_plus_1_one_layer", "chunk_forgets_cache"}},
    {"rope_long", {"rope_theta_1e6", "rope_halves"}},
    {"fuzz", {"window_plus_1_one_layer", "ring_evicts_newest", "rope_restarts_with_chunk"}},
};
enum { N_ABOUTS = sizeof abouts / sizeof abouts[0], MOST_MUTANTS = 4 };

/* ---- one mutant ---- */

/* A first call longer than the window, chunks that share no factor with it, and single tokens for
 * the last half. */
static void fill_schedule(const mv_run *run, int64_t window, mv_schedule *schedule)
{
    const int64_t length = mv_run_length(run);
    const int64_t below = mv_run_coprime(window, window * 2 / 3 > 0 ? window * 2 / 3 : 1, -1);
    const int64_t chunk = below > 1 ? below : window + 1;
    const int64_t first = length < window + window / 2 + 1 ? length : window + window / 2 + 1;
    mv_schedule_add_call(schedule, 0, first);
    const int64_t n_single = length / 2 < length - first ? length / 2 : length - first;
    for (int64_t left = length - first; left > 0;) {
        const int64_t over = left - n_single;
        const int64_t n = over <= 0 ? 1 : over < chunk ? over : chunk;
        mv_schedule_add_call(schedule, 0, n);
        left -= n;
    }
}

static mv_code measure(mv_run *run, const char *mutant, mv_effect *effect, mv_error *error)
{
    const int64_t window = mv_run_main_window(run);
    const mv_option option = {"mutant", mutant};
    const mv_engine_setup setup = {
        .backend = run->options.mutant, .options = &option, .n_options = 1};
    const int32_t *tokens;
    mv_schedule schedule = {0};
    mv_play play = {.window = window};
    mv_case_result seen;
    mv_case_result_clear(&seen);
    seen.window = window;
    fill_schedule(run, window, &schedule);
    mv_code code = mv_run_prompt(run, 0, (size_t)run->length, &tokens, error);
    if (code == MV_OK)
        code = mv_play_add(run, &play, tokens, (size_t)run->length, error);
    if (code == MV_OK)
        code = mv_play_schedule(run, &setup, &schedule, &play, error);
    if (code == MV_OK)
        code = mv_judge(run, &seen, &play, error);
    if (code == MV_OK) {
        (void)snprintf(effect->mutant, sizeof effect->mutant, "%s", mutant);
        effect->metrics = seen.metrics;
        effect->size = isnan(seen.headroom) ? INFINITY : 1.0 / seen.headroom;
        effect->window = window;
        effect->n_positions = seen.n_positions;
        effect->n_beyond_window = seen.n_beyond_window;
    }
    mv_play_free(&play);
    mv_schedule_free(&schedule);
    return code;
}

mv_code mv_condition_effect(mv_run *run, const char *mutant, const mv_effect **effect,
                            mv_error *error)
{
    for (size_t i = 0; i < run->n_effects; i++) {
        if (strcmp(run->effects[i].mutant, mutant) == 0) {
            *effect = &run->effects[i];
            return MV_OK;
        }
    }
    mv_effect *grown = realloc(run->effects, (run->n_effects + 1) * sizeof *grown);
    if (grown == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a planted bug's effect");
    run->effects = grown;
    mv_code code = measure(run, mutant, &grown[run->n_effects], error);
    if (code == MV_OK)
        *effect = &grown[run->n_effects++];
    return code;
}

/* ---- the other suites ---- */

/* How many of a row's mutants are asked for. */
static size_t count_mutants(const mv_run *run, const struct about *about)
{
    size_t n = 0;
    while (n < MOST_MUTANTS && about->mutants[n] != NULL)
        n++;
    return mv_run_is_large(run) && n > 1 ? 1 : n;
}

static mv_code record_tame(mv_run *run, const mv_effect *effect, mv_error *error)
{
    mv_case_result result;
    mv_case_begin_coverage(run, &result);
    (void)snprintf(result.name, sizeof result.name, "condition");
    result.metrics = effect->metrics;
    (void)snprintf(
        result.reason, sizeof result.reason,
        "this model is too tame: '%s', planted in the reference, reaches only %.2g x the "
        "limit, so that no case of this suite could show it: take another model, or a "
        "longer --length",
        effect->mutant, effect->size);
    return mv_case_end(run, &result, MV_OK, NULL, error);
}

mv_code mv_condition_check(mv_run *run, mv_error *error)
{
    const mv_run_options *o = &run->options;
    if (o->mutant == NULL || o->filter != NULL || o->list_only || run->has_failed || !run->has_run)
        return MV_OK;
    for (size_t i = 0; i < N_ABOUTS; i++) {
        if (strcmp(abouts[i].suite, run->suite->name) != 0)
            continue;
        for (size_t j = 0; j < count_mutants(run, &abouts[i]); j++) {
            const mv_effect *effect;
            mv_code code = mv_condition_effect(run, abouts[i].mutants[j], &effect, error);
            if (code != MV_OK)
                return code;
            if (!(effect->size > 1))
                return record_tame(run, effect, error);
        }
    }
    return MV_OK;
}

/* ---- the suite ---- */

static mv_code run_mutant(mv_run *run, const char *mutant, bool must_show, mv_error *error)
{
    mv_case_result result;
    mv_error ran_error = {0};
    const mv_effect *e = NULL;
    mv_code ran = MV_OK;
    if (!mv_case_begin(run, &result, mv_run_main_window(run), 0, "%s %s",
                       must_show ? "shows" : "bears", mutant))
        return MV_OK;
    if (run->options.mutant == NULL)
        ran = mv_fail(&ran_error, MV_ERR_UNAVAILABLE,
                      "the backend 'mutant', which plants the bugs, is not here");
    else
        ran = mv_condition_effect(run, mutant, &e, &ran_error);
    if (ran == MV_OK) {
        const bool holds = must_show ? e->size > 1 : e->size <= 1;
        result.metrics = e->metrics;
        result.n_positions = e->n_positions;
        result.n_beyond_window = e->n_beyond_window;
        result.verdict = holds ? MV_VERDICT_PASS : MV_VERDICT_VACUOUS;
        (void)snprintf(result.reason, sizeof result.reason,
                       must_show ? "planted, it reaches %.3g x the limit%s"
                                 : "planted, it reaches %.2f x the limit%s",
                       e->size,
                       holds ? ""
                       : must_show
                           ? ": this model is too tame to show it"
                           : ", although it is harmless: the limits are too narrow for this "
                             "model, and a failure on it proves nothing");
    }
    return mv_case_end(run, &result, ran, &ran_error, error);
}

/* Whether an earlier row names the mutant of row i, place j. */
static bool is_repeated(size_t i, size_t j)
{
    for (size_t k = 0; k <= i; k++) {
        for (size_t l = 0; l < MOST_MUTANTS && (k < i || l < j); l++) {
            if (abouts[k].mutants[l] != NULL &&
                strcmp(abouts[k].mutants[l], abouts[i].mutants[j]) == 0)
                return true;
        }
    }
    return false;
}

static mv_code run_condition(mv_run *run, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t i = 0; i < N_ABOUTS && code == MV_OK; i++) {
        for (size_t j = 0; j < count_mutants(run, &abouts[i]) && code == MV_OK; j++) {
            if (!is_repeated(i, j))
                code = run_mutant(run, abouts[i].mutants[j], true, error);
        }
    }
    const size_t n_harmless = mv_run_is_large(run) ? 1 : MV_N_HARMLESS;
    for (size_t i = 0; i < n_harmless && code == MV_OK; i++)
        code = run_mutant(run, mv_harmless[i], false, error);
    return code;
}

const mv_suite mv_suite_condition = {
    "condition", "the model at hand shows the bugs that the suites are about", run_condition};
