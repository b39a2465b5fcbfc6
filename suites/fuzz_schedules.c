/* fuzz - no schedule of calls, however odd, changes the logits.
 *
 * Random schedules, from the seed: up to four sequences, calls with any subset of them in any
 * order, pieces from one token to more than two windows, all rows or the last or none, resets and
 * (where the engine has it) truncations to one back: in three schedules of four only where every
 * ring can serve them, in the fourth as far as one of W slots can. A schedule that fails is made
 * smaller, step by step, as long as it still fails; what is reported is the small one.
 *
 * Compares every row that was asked for with the float64 oracle.
 *
 * Catches: what the grids of the other suites forgot.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/synthetic.h"
#include "suites/run.h"

enum { N_SCHEDULES = 12, N_STEPS = 24, MAX_SEQUENCES = 4 };

/* What a schedule is drawn for. */
typedef struct bounds {
    uint32_t n_sequences, length;
    uint32_t window;  /* 0 = none */
    uint32_t n_slots; /* of the ring that serves its truncations; of W-1 slots, which is all that an
                         engine needs, one goes back only while none was overwritten */
    bool truncates;
} bounds;

typedef struct dice {
    uint64_t seed, stream, n;
} dice;

static uint32_t roll(dice *d, uint32_t sides)
{
    return (uint32_t)((mv_synthetic_bits(d->seed, d->stream, d->n++) >> 32) * sides >> 32);
}

/* Small pieces are likelier than large ones, and all sizes up to 2W+3 occur. */
static uint32_t roll_piece(dice *d, uint32_t window, uint32_t left)
{
    const uint32_t most[] = {1, 3, window, window + 2, 2 * window + 3};
    uint32_t n = 1 + roll(d, most[roll(d, 5)]);
    return n < left ? n : left;
}

static void add_random_call(dice *d, mv_schedule *schedule, const bounds *b, uint32_t *done)
{
    const uint32_t n_sequences = b->n_sequences, window = b->window > 0 ? b->window : 8;
    const uint32_t first = roll(d, n_sequences), n_wanted = 1 + roll(d, n_sequences);
    mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
    const uint32_t which = roll(d, 8);
    step->which = which == 0 ? MV_LOGITS_NONE : which == 1 ? MV_LOGITS_LAST : MV_LOGITS_ALL;
    for (uint32_t i = 0; i < n_sequences && step->n_parts < n_wanted; i++) {
        const uint32_t s = (first + i) % n_sequences, left = b->length - done[s];
        if (left == 0)
            continue;
        const uint32_t n = roll_piece(d, window, left);
        step->parts[step->n_parts++] = (mv_part){s, n};
        done[s] += n;
    }
    if (step->n_parts == 0)
        schedule->n_steps--;
}

/* One position back is possible while all that the next token must see is in the ring, of which a
 * position that was written and forgotten has taken a slot. */
static bool can_go_back(const bounds *b, uint32_t done, uint32_t written)
{
    const uint32_t needed = b->window > 0 && done > b->window ? done - b->window : 0;
    const uint32_t oldest = b->window > 0 && written > b->n_slots ? written - b->n_slots : 0;
    return done >= 2 && needed >= oldest;
}

/* A schedule is playable if nobody gets more tokens than there are and every truncation can be
 * served; truncations follow what is left. */
static bool is_playable(mv_schedule *schedule, const bounds *b)
{
    uint32_t done[MAX_SEQUENCES] = {0}, written[MAX_SEQUENCES] = {0};
    for (size_t i = 0; i < schedule->n_steps; i++) {
        mv_step *step = &schedule->steps[i];
        const uint32_t first = step->parts[0].sequence;
        if (step->kind == MV_STEP_RESET) {
            done[first] = written[first] = 0;
        } else if (step->kind == MV_STEP_TRUNCATE) {
            if (!can_go_back(b, done[first], written[first]))
                return false;
            step->parts[0].n_tokens = --done[first];
        } else {
            for (uint32_t j = 0; j < step->n_parts; j++) {
                const uint32_t s = step->parts[j].sequence;
                done[s] += step->parts[j].n_tokens;
                written[s] = done[s] > written[s] ? done[s] : written[s];
                if (done[s] > b->length)
                    return false;
            }
        }
    }
    return true;
}

/* A step that cannot be played by the sequence that was drawn is the next one's, or left out. */
static void make_schedule(dice *d, mv_schedule *schedule, const bounds *b)
{
    uint32_t done[MAX_SEQUENCES] = {0};
    for (int i = 0; i < N_STEPS; i++) {
        const uint32_t kind = roll(d, 10), first = roll(d, b->n_sequences);
        bool found = false;
        if (kind > 1) {
            add_random_call(d, schedule, b, done);
            continue;
        }
        if (kind == 1 && !b->truncates)
            continue;
        mv_step *step = mv_schedule_add(schedule, kind == 0 ? MV_STEP_RESET : MV_STEP_TRUNCATE);
        step->n_parts = 1;
        for (uint32_t j = 0; j < b->n_sequences && !found; j++) {
            const uint32_t s = (first + j) % b->n_sequences;
            step->parts[0] = (mv_part){s, 0};
            found = is_playable(schedule, b);
            if (found)
                done[s] = kind == 0 ? 0 : done[s] - 1;
        }
        if (!found)
            schedule->n_steps--;
    }
}

static mv_code try_schedule(mv_run *run, const mv_schedule *schedule, const bounds *b,
                            mv_case_result *result, mv_code *ran, mv_error *ran_error,
                            mv_error *error)
{
    mv_play play = {.window = b->window};
    mv_code code = MV_OK;
    for (uint32_t i = 0; i < b->n_sequences && code == MV_OK; i++) {
        const int32_t *tokens;
        code = mv_run_prompt(run, i, b->length, &tokens, error);
        if (code == MV_OK)
            code = mv_play_add(run, &play, tokens, b->length, error);
    }
    *ran = code == MV_OK ? mv_play_schedule(run, NULL, schedule, &play, ran_error) : MV_OK;
    if (code == MV_OK && *ran == MV_OK)
        code = mv_judge(run, result, &play, error);
    mv_play_free(&play);
    return code;
}

/* Leaves out one step after the other, and then one part of a call after the other, as long as the
 * failure stays. */
static mv_code shrink(mv_run *run, mv_schedule *schedule, const bounds *b, mv_case_result *result,
                      mv_error *error)
{
    mv_code code = MV_OK;
    mv_step *saved = malloc(schedule->n_steps * sizeof *saved);
    for (size_t i = schedule->n_steps; saved != NULL && i-- > 0 && code == MV_OK;) {
        const size_t n = schedule->n_steps;
        memcpy(saved, schedule->steps, n * sizeof *saved);
        memmove(schedule->steps + i, schedule->steps + i + 1,
                (n - i - 1) * sizeof *schedule->steps);
        schedule->n_steps--;
        mv_case_result smaller = *result;
        mv_code ran = MV_OK;
        mv_error ran_error;
        smaller.verdict = MV_VERDICT_VACUOUS;
        smaller.reason[0] = '\0';
        smaller.divergence_position = -1;
        bool playable = is_playable(schedule, b);
        if (playable)
            code = try_schedule(run, schedule, b, &smaller, &ran, &ran_error, error);
        if (code == MV_OK && playable && ran == MV_OK && smaller.verdict == MV_VERDICT_FAIL) {
            *result = smaller;
        } else {
            memcpy(schedule->steps, saved, n * sizeof *saved);
            schedule->n_steps = n;
        }
    }
    free(saved);
    return code;
}

static mv_code run_one(mv_run *run, uint32_t number, int64_t window, mv_error *error)
{
    const mv_run_options *o = mv_run_get_options(run);
    dice d = {o->seed, 77000 + number, 0};
    const uint32_t W = (uint32_t)(window > 0 ? window : 8);
    const bounds b = {.n_sequences = 1 + roll(&d, MAX_SEQUENCES),
                      .length = 4 * W + 5,
                      .window = (uint32_t)window,
                      .n_slots = number % 4 == 3 ? W : W - 1,
                      .truncates = o->backend->truncate != NULL};
    mv_case_result result;
    mv_schedule schedule = {0};
    mv_error ran_error = {0};
    mv_code ran = MV_OK;
    if (!mv_case_begin(run, &result, window, 0, "window %lld schedule %u", (long long)window,
                       number))
        return MV_OK;
    result.length = b.length;
    make_schedule(&d, &schedule, &b);
    mv_code code = try_schedule(run, &schedule, &b, &result, &ran, &ran_error, error);
    if (code == MV_OK && ran == MV_OK && result.verdict == MV_VERDICT_FAIL)
        code = shrink(run, &schedule, &b, &result, error);
    mv_schedule_print(&schedule, result.schedule, sizeof result.schedule);
    mv_schedule_free(&schedule);
    return code == MV_OK ? mv_case_end(run, &result, ran, &ran_error, error) : code;
}

static mv_code run_fuzz(mv_run *run, mv_error *error)
{
    mv_range windows;
    mv_code code = mv_run_windows(run, &windows, error);
    for (size_t i = 0; code == MV_OK && i < windows.n; i++) {
        if (windows.values[i] * 2 > mv_run_length(run))
            continue;
        for (uint32_t n = 0; code == MV_OK && n < (mv_run_is_large(run) ? 1 : N_SCHEDULES); n++)
            code = run_one(run, n, windows.values[i], error);
        if (mv_run_is_large(run))
            break;
    }
    return code;
}

const mv_suite mv_suite_fuzz = {"fuzz", "no schedule of calls, however odd, changes the logits",
                                run_fuzz};
