/* schedule.c - lists of calls. */
#include <stdlib.h>
#include <string.h>

#include "suites/run.h"

void mv_schedule_free(mv_schedule *schedule)
{
    free(schedule->steps);
    *schedule = (mv_schedule){0};
}

mv_step *mv_schedule_add(mv_schedule *schedule, mv_step_kind kind)
{
    static mv_step nowhere; /* where the step goes that there is no memory for */
    if (schedule->n_steps == schedule->capacity) {
        size_t capacity = schedule->capacity == 0 ? 16 : 2 * schedule->capacity;
        mv_step *steps = realloc(schedule->steps, capacity * sizeof *steps);
        if (steps == NULL) {
            schedule->failed = true;
            return &nowhere;
        }
        schedule->steps = steps;
        schedule->capacity = capacity;
    }
    mv_step *step = &schedule->steps[schedule->n_steps++];
    *step = (mv_step){.kind = kind, .which = MV_LOGITS_ALL, .foreign_id = -1};
    return step;
}

void mv_schedule_add_call(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens)
{
    mv_step *step = mv_schedule_add(schedule, MV_STEP_FORWARD);
    step->n_parts = 1;
    step->parts[0] = (mv_part){sequence, (uint32_t)n_tokens};
}

void mv_schedule_add_chunks(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens,
                            int64_t chunk)
{
    while (n_tokens > 0) {
        int64_t n = chunk > 0 && chunk < n_tokens ? chunk : n_tokens;
        mv_schedule_add_call(schedule, sequence, n);
        n_tokens -= n;
    }
}

void mv_schedule_add_stale(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens,
                           int64_t chunk)
{
    mv_schedule_add_poison(schedule, sequence, n_tokens, -1, chunk);
}

void mv_schedule_add_poison(mv_schedule *schedule, uint32_t sequence, int64_t n_tokens, int32_t id,
                            int64_t chunk)
{
    const size_t first = schedule->n_steps;
    mv_schedule_add_chunks(schedule, sequence, n_tokens, chunk);
    for (size_t i = first; i < schedule->n_steps; i++) {
        schedule->steps[i].foreign = true;
        schedule->steps[i].foreign_id = id;
        schedule->steps[i].which = MV_LOGITS_NONE;
    }
    mv_step *reset = mv_schedule_add(schedule, MV_STEP_RESET);
    reset->n_parts = 1;
    reset->parts[0].sequence = sequence;
}

static bool names_sequences(const mv_schedule *schedule)
{
    for (size_t i = 0; i < schedule->n_steps; i++) {
        const mv_step *step = &schedule->steps[i];
        if (step->n_parts > 1 || step->parts[0].sequence != 0)
            return true;
    }
    return false;
}

static size_t print_step(const mv_step *step, bool named, char *text, size_t size)
{
    size_t at = 0;
    const char *before = step->kind == MV_STEP_RESET      ? "reset"
                         : step->kind == MV_STEP_TRUNCATE ? "keep"
                         : step->foreign                  ? "other"
                                                          : "";
    for (uint32_t i = 0; i < step->n_parts; i++) {
        const mv_part *part = &step->parts[i];
        int n;
        if (step->kind == MV_STEP_RESET)
            n = snprintf(text + at, size - at, "%s%u", before, part->sequence);
        else if (named)
            n = snprintf(text + at, size - at, "%s%s%u:%u", i > 0 ? "+" : "", before,
                         part->sequence, part->n_tokens);
        else
            n = snprintf(text + at, size - at, "%s%u", before, part->n_tokens);
        at += n > 0 ? (size_t)n : 0;
        if (at >= size)
            return size;
    }
    return at;
}

void mv_schedule_print(const mv_schedule *schedule, char *text, size_t size)
{
    const bool named = names_sequences(schedule);
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < schedule->n_steps; i++) {
        char step[192];
        size_t n = print_step(&schedule->steps[i], named, step, sizeof step);
        if (n >= sizeof step || at + n + 5 > size) {
            (void)snprintf(text + at, size - at, "...");
            return;
        }
        at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? "," : "", step);
    }
}
