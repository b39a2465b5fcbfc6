/* greedy.c - an engine's own text, and the oracle's opinion of it. */
#include "suites/greedy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

void mv_greedy_free(mv_greedy *t)
{
    mv_play_free(&t->play);
    for (uint32_t i = 0; i < t->n; i++)
        free(t->tokens[i]);
    *t = (mv_greedy){0};
}

mv_code mv_greedy_add(mv_run *run, mv_greedy *t, const int32_t *prompt, size_t n, mv_error *error)
{
    int32_t *tokens = calloc(n + t->n_new, sizeof *tokens);
    if (tokens == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a text of %zu tokens", n + t->n_new);
    memcpy(tokens, prompt, n * sizeof *tokens);
    t->tokens[t->n] = tokens;
    t->prompts[t->n] = n;
    t->n++;
    return mv_play_add(run, &t->play, tokens, n + t->n_new - 1, error);
}

/* The largest, the first of equals. What is not finite is judged elsewhere. */
static int32_t choose(const float *row, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = !(row[i] <= row[best]) && !isnan(row[i]) ? i : best;
    return (int32_t)best;
}

/* One call: each part's next tokens in, its last row out, and from it the next token. */
static mv_code write_step(mv_run *run, mv_engine *engine, const mv_step *step, mv_greedy *t,
                          size_t *at, int32_t *tokens, float *rows, mv_error *error)
{
    const mv_run_options *o = mv_run_get_options(run);
    const size_t V = o->model->params.vocab_size;
    uint32_t sequences[MV_MAX_PARTS], n_tokens[MV_MAX_PARTS];
    size_t n = 0;
    for (uint32_t i = 0; i < step->n_parts; i++) {
        const mv_part *part = &step->parts[i];
        sequences[i] = part->sequence;
        n_tokens[i] = part->n_tokens;
        memcpy(tokens + n, t->tokens[part->sequence] + at[part->sequence],
               part->n_tokens * sizeof *tokens);
        n += part->n_tokens;
    }
    for (size_t i = 0; i < step->n_parts * V; i++)
        rows[i] = NAN;
    const mv_batch batch = {sizeof batch, step->n_parts, sequences, n_tokens, tokens};
    mv_code code = o->backend->forward(engine, &batch, MV_LOGITS_LAST, rows, error);
    for (uint32_t i = 0; i < step->n_parts && code == MV_OK; i++) {
        const uint32_t s = sequences[i];
        const size_t position = (at[s] += n_tokens[i]) - 1;
        mv_track *track = &t->play.tracks[s];
        memcpy(track->logits + position * V, rows + i * V, V * sizeof *rows);
        track->has_row[position] = true;
        if (position + 1 >= t->prompts[s])
            t->tokens[s][position + 1] = choose(rows + i * V, V);
    }
    return code;
}

/* Follows the schedule, whose calls ask for last rows only. */
mv_code mv_greedy_write(mv_run *run, const mv_schedule *schedule, mv_greedy *t, mv_error *error)
{
    const mv_engine_setup setup = {0};
    const size_t V = mv_run_get_options(run)->model->params.vocab_size;
    size_t at[MV_MAX_PARTS] = {0}, most = 1;
    mv_engine *engine = NULL;
    mv_code code = mv_play_open(run, &t->play, schedule, &setup, &engine, error);
    if (code != MV_OK)
        return code;
    for (uint32_t i = 0; i < t->n; i++)
        most += t->play.tracks[i].n;
    int32_t *tokens = malloc(most * sizeof *tokens);
    float *block = malloc((MV_MAX_PARTS * V + 2 * MV_ROW_MARGIN) * sizeof *block);
    float *rows = block != NULL ? block + MV_ROW_MARGIN : NULL;
    if (tokens == NULL || rows == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a step of %zu tokens", most);
    for (size_t i = 0; i < schedule->n_steps && code == MV_OK; i++)
        code = write_step(run, engine, &schedule->steps[i], t, at, tokens, rows, error);
    free(tokens);
    free(block);
    mv_run_get_options(run)->backend->close(engine);
    return code;
}

/* ---- near-ties ---- */

static double row_error(const mv_truth *truth, size_t row)
{
    return sqrt(truth->reference.rows[row].square / (double)truth->reference.n_cols);
}

/* What an honest engine's choice may turn on in this row. */
static double noise_of(const mv_run *run, const mv_truth *truth, size_t row)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < truth->n; i++) {
        if (truth->has_row[i])
            sum += row_error(truth, i), n++;
    }
    const double usual = fmax(row_error(truth, row), sum / fmax(n, 1) / 2);
    return 4 * usual * mv_tolerance_get(mv_run_get_options(run)->compute)->r_row;
}

/* The oracle's two best of a row. */
static void find_best(const double *row, size_t n, int32_t best[2])
{
    best[0] = 0, best[1] = n > 1 ? 1 : 0;
    for (size_t i = 1; i < n; i++) {
        if (row[i] > row[best[0]])
            best[1] = best[0], best[0] = (int32_t)i;
        else if (i == 1 || row[i] > row[best[1]])
            best[1] = (int32_t)i;
    }
}

mv_code mv_greedy_judge(mv_run *run, mv_case_result *result, const mv_greedy *t, uint32_t s,
                        mv_near_ties *found, mv_error *error)
{
    const mv_track *track = &t->play.tracks[s];
    const size_t V = mv_run_get_options(run)->model->params.vocab_size;
    const mv_truth *truth;
    mv_code code = mv_truth_get(run, t->play.window, track->tokens, track->n, &truth, error);
    for (size_t i = t->prompts[s] - 1; i < track->n && code == MV_OK; i++) {
        const double *row = truth->oracle + i * V, noise = noise_of(run, truth, i);
        const int32_t chosen = t->tokens[s][i + 1];
        int32_t best[2];
        find_best(row, V, best);
        found->n_steps++;
        if (row[best[0]] - row[best[1]] < noise && found->n_near++ == 0) {
            found->position = i;
            memcpy(found->ids, best, sizeof best);
        }
        if (chosen == best[0])
            continue;
        found->n_flipped++;
        if (row[best[0]] - row[chosen] <= noise)
            continue;
        result->divergence_position = (int64_t)i;
        mv_case_fail(result,
                     "sequence %u position %zu: the engine chose token %d, which the oracle puts "
                     "%.3g behind token %d; the noise is %.3g",
                     s, i, chosen, row[best[0]] - row[chosen], best[0], noise);
    }
    return code;
}

/* Both wrote the same up to the first step at which they differ: there the oracle's row is the
 * same for both. */
mv_code mv_greedy_judge_same(mv_run *run, mv_case_result *result, const mv_greedy *t,
                             const mv_greedy *alone, mv_error *error)
{
    const size_t V = mv_run_get_options(run)->model->params.vocab_size;
    mv_code code = MV_OK;
    for (uint32_t s = 0; s < t->n && code == MV_OK; s++) {
        const mv_track *track = &t->play.tracks[s];
        const mv_truth *truth;
        size_t i = t->prompts[s] - 1;
        while (i < track->n && t->tokens[s][i + 1] == alone->tokens[s][i + 1])
            i++;
        if (i == track->n)
            continue;
        code = mv_truth_get(run, t->play.window, track->tokens, track->n, &truth, error);
        if (code != MV_OK)
            return code;
        const int32_t here = t->tokens[s][i + 1], there = alone->tokens[s][i + 1];
        const double gap =
            fabs(truth->oracle[i * V + (size_t)here] - truth->oracle[i * V + (size_t)there]);
        if (gap <= noise_of(run, truth, i))
            continue;
        result->divergence_position = (int64_t)i;
        mv_case_fail(result,
                     "sequence %u position %zu: token %d in the batch and %d alone, which the "
                     "oracle puts %.3g apart; the noise is %.3g",
                     s, i, here, there, gap, noise_of(run, truth, i));
    }
    return code;
}
