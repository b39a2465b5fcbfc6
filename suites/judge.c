/* judge.c - a case from its beginning to its verdict. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/crc32.h"
#include "suites/localize.h"
#include "suites/noise.h"
#include "suites/run_private.h"

/* Cases of one suite that are localised: the tenth says nothing that the first did not. */

static void set_names(mv_run *run, mv_case_result *result, int64_t window, int64_t chunk)
{
    const mv_run_options *o = &run->options;
    mv_case_result_clear(result);
    (void)snprintf(result->suite, sizeof result->suite, "%s", run->suite->name);
    (void)snprintf(result->backend, sizeof result->backend, "%s", o->backend_name);
    result->compute = o->compute;
    result->window = window;
    result->chunk = chunk;
    result->length = run->length;
    result->seed = o->seed;
    result->n_positions = result->n_beyond_window = 0;
    result->order = 2 * (uint64_t)run->n_cases_seen; /* after all cases so far */
}

/* ---- the command of a case ---- */

/* A word of a shell's command: as it is, in '...', or with control characters in $'...'. */
static void put_word(FILE *out, const char *word)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=.,:/@%";
    bool has_control = false;
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        (void)fputs(word, out);
        return;
    }
    for (const char *at = word; *at != '\0'; at++)
        has_control = has_control || (unsigned char)*at < 0x20 || *at == 0x7f;
    (void)fputs(has_control ? "$'" : "'", out);
    for (const char *at = word; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            (void)fprintf(out, "\\%03o", (unsigned)(unsigned char)*at);
        else if (*at == '\'')
            (void)fputs(has_control ? "\\'" : "'\\''", out);
        else if (*at == '\\' && has_control)
            (void)fputs("\\\\", out);
        else
            (void)fputc(*at, out);
    }
    (void)fputc('\'', out);
}

/* value NULL: nothing. */
static void put_option(FILE *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    (void)fprintf(out, " --%s ", name);
    put_word(out, value);
}

static void put_command(FILE *out, const mv_run *run, const mv_case_result *result,
                        const char *text)
{
    const mv_run_options *o = &run->options;
    char full[sizeof result->suite + sizeof result->name + 1];
    (void)fputs("mistral-verify", out);
    put_option(out, "model", o->model_spec);
    put_option(out, "backend", o->backend_name);
    put_option(out, "compute", mv_compute_name(o->compute));
    put_option(out, "suite", run->suite->name);
    (void)fprintf(out, " --length %lld --seed %llu", (long long)run->length,
                  (unsigned long long)o->seed);
    if (o->n_threads_given > 0)
        (void)fprintf(out, " --threads %u", o->n_threads_given);
    for (size_t i = 0; i < o->n_options; i++) {
        (void)fputs(" --backend-option ", out);
        put_word(out, o->options[i].key);
        (void)fputc('=', out);
        put_word(out, o->options[i].value);
    }
    put_option(out, "window", o->windows);
    put_option(out, "chunk", o->chunks);
    put_option(out, "text", text);
    put_option(out, "golden", o->golden);
    (void)snprintf(full, sizeof full, "%s/%s", result->suite, result->name);
    put_option(out, "filter", result->name[0] != '\0' ? full : NULL);
}

/* False: it is longer than a line may be, or memory is short. *crc: of the whole. */
static bool write_command(char *line, size_t size, const mv_run *run, const mv_case_result *result,
                          const char *text, uint32_t *crc)
{
    char *whole = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&whole, &n);
    if (out == NULL)
        return false;
    put_command(out, run, result, text);
    const bool fits = fclose(out) == 0 && n < size;
    if (fits)
        memcpy(line, whole, n + 1);
    else if (whole != NULL)
        *crc = mv_crc32(0, whole, n);
    free(whole);
    return fits;
}

/* A line that was cut would run, and be about something else. Where a text is too long, a file that
 * is not there takes its place, with the sum by which --resume tells two texts apart. */
static void set_reproduce(const mv_run *run, mv_case_result *result)
{
    const char *text = run->options.text_option;
    const size_t size = sizeof result->reproduce;
    char place[96];
    uint32_t crc = 0;
    if (write_command(result->reproduce, size, run, result, text, &crc))
        return;
    if (text != NULL) {
        (void)snprintf(place, sizeof place, "@FILE-WITH-THE-%zu-BYTES-OF-CRC32-%08x", strlen(text),
                       mv_crc32(0, text, strlen(text)));
        if (write_command(result->reproduce, size, run, result, place, &crc))
            return;
    }
    (void)snprintf(result->reproduce, size,
                   "(the command is longer than %zu bytes; its CRC-32 is %08x)", size, crc);
}

/* An engine that could not run is no lack of length. */
static void note_coverage(mv_run *run, const mv_case_result *result)
{
    const bool compared = result->verdict == MV_VERDICT_PASS || result->verdict == MV_VERDICT_FAIL;
    if (result->n_beyond_window > 0)
        run->has_beyond_window = true;
    run->has_run = run->has_run || compared;
    if (compared && result->window > 0 &&
        (run->least_window == 0 || result->window < run->least_window))
        run->least_window = result->window;
}

static mv_code record(mv_run *run, mv_case_result *result, mv_error *error)
{
    note_coverage(run, result);
    memcpy(result->engine, run->engine, sizeof result->engine);
    if (result->verdict == MV_VERDICT_FAIL || result->verdict == MV_VERDICT_ERROR)
        run->has_failed = true;
    mv_code code = mv_verify_results_add(run->results, result, error);
    if (code == MV_OK && run->options.on_case != NULL)
        run->options.on_case(run->options.cookie, result);
    return code;
}

/* Another part, or an earlier run, looks there. */
static void look_elsewhere(mv_run *run, const mv_case_result *result)
{
    if (result->window > 0 && result->length > result->window)
        run->has_beyond_window = true;
}

static bool is_known(mv_run *run, mv_case_result *result)
{
    const mv_run_options *o = &run->options;
    const uint64_t order = result->order;
    const mv_known known =
        o->recall == NULL || o->list_only ? MV_NOT_KNOWN : o->recall(o->cookie, result);
    if (known == MV_KNOWN) {
        result->order = order;
        mv_code code = record(run, result, &run->recall_error);
        if (code != MV_OK)
            run->recall_code = code;
    }
    if (known != MV_NOT_KNOWN)
        look_elsewhere(run, result);
    return known != MV_NOT_KNOWN;
}

static bool is_wanted(mv_run *run, mv_case_result *result)
{
    const mv_run_options *o = &run->options;
    char full[sizeof result->suite + sizeof result->name + 1];
    (void)snprintf(full, sizeof full, "%s/%s", result->suite, result->name);
    if (o->filter != NULL && fnmatch(o->filter, full, 0) != 0)
        return false;
    if (o->stop_at_failure && run->has_failed)
        return false;
    size_t number = run->n_cases_seen++;
    result->order = 2 * (uint64_t)number + 1;
    if (o->n_shards <= 1 || number % o->n_shards == o->shard)
        return !is_known(run, result);
    look_elsewhere(run, result);
    return false;
}

bool mv_case_begin(mv_run *run, mv_case_result *result, int64_t window, int64_t chunk,
                   const char *name, ...)
{
    va_list args;
    set_names(run, result, window, chunk);
    va_start(args, name);
    (void)vsnprintf(result->name, sizeof result->name, name, args);
    va_end(args);
    set_reproduce(run, result);
    if (!is_wanted(run, result))
        return false;
    if (run->options.list_only) {
        if (run->options.on_case != NULL)
            run->options.on_case(run->options.cookie, result);
        return false;
    }
    run->last.is_set = run->last.had_other_weights = false;
    run->case_start_ns = mv_clock_wall_ns();
    if (run->options.on_begin != NULL)
        run->options.on_begin(run->options.cookie, result);
    return true;
}

void mv_case_begin_coverage(mv_run *run, mv_case_result *result)
{
    set_names(run, result, 0, 0);
    set_reproduce(run, result); /* the whole suite: no part of it shows what all of it lacks */
    (void)snprintf(result->name, sizeof result->name, "coverage");
    run->last.is_set = run->last.had_other_weights = false;
    run->case_start_ns = mv_clock_wall_ns();
}

void mv_case_fail(mv_case_result *result, const char *format, ...)
{
    va_list args;
    if (result->verdict == MV_VERDICT_FAIL)
        return; /* the first reason is the one to tell */
    result->verdict = MV_VERDICT_FAIL;
    va_start(args, format);
    (void)vsnprintf(result->reason, sizeof result->reason, format, args);
    va_end(args);
}

/* ---- the comparison ---- */

static bool has_rows(const mv_track *track)
{
    for (size_t i = 0; i < track->n; i++) {
        if (track->has_row[i])
            return true;
    }
    return false;
}

typedef struct comparison {
    mv_error_profile test, reference;
    mv_noise noise;
    bool has_noise; /* every row's truth has an ensemble */
} comparison;

/* Adds every row that the track has, and the reference's rows of the same positions. */
static mv_code add_track(mv_run *run, mv_case_result *result, const mv_play *play, uint32_t number,
                         comparison *c, mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    const bool is_own = play->model != NULL || play->truth_schedule != NULL;
    const mv_track *track = &play->tracks[number];
    const mv_truth *truth = NULL;
    mv_code code = is_own ? mv_truth_get_own(run, result, play, number, &truth, error)
                          : mv_truth_get(run, play->window, track->tokens, track->n, &truth, error);
    for (size_t i = 0; i < track->n && code == MV_OK; i++) {
        if (!track->has_row[i] || !truth->has_row[i])
            continue;
        const size_t at = i * vocab_size;
        const int64_t worst_before = c->test.worst.position;
        code =
            mv_error_profile_add(&c->test, truth->oracle + at, track->logits + at, 1, true, error);
        if (code == MV_OK)
            code = mv_error_profile_append(&c->reference, &truth->reference, i, 1, error);
        c->has_noise = c->has_noise && truth->has_ensemble;
        if (code == MV_OK && c->has_noise)
            code = mv_noise_add_row(&c->noise, truth, i, error);
        if (c->test.worst.position != worst_before) {
            result->worst = c->test.worst;
            result->worst.position = (int64_t)i;
        }
        result->n_positions++;
        if (play->window > 0 && (int64_t)i >= play->window)
            result->n_beyond_window++;
    }
    return code;
}

/* Positions of the first bad row, counted in its own sequence. */
static void name_first_bad(const mv_play *play, int64_t row, mv_case_result *result)
{
    for (uint32_t t = 0; t < play->n_tracks; t++) {
        for (size_t i = 0; i < play->tracks[t].n; i++) {
            if (play->tracks[t].has_row[i] && row-- == 0) {
                result->divergence_position = (int64_t)i;
                return;
            }
        }
    }
}

/* Where a position stands, in the words of the window: this is what points at an off-by-one. */
static void describe_position(const mv_case_result *result, char *text, size_t size)
{
    int64_t position = result->divergence_position, window = result->window;
    if (window <= 0 || position < 0)
        (void)snprintf(text, size, "position %lld", (long long)position);
    else if (position < window)
        (void)snprintf(text, size, "position %lld, within the window of %lld", (long long)position,
                       (long long)window);
    else
        (void)snprintf(text, size, "position %lld = W+%lld", (long long)position,
                       (long long)(position - window));
}

static void decide(mv_run *run, mv_case_result *result, const mv_error_profile *reference,
                   const mv_error_profile *test, const mv_play *play)
{
    const mv_tolerance *limits = mv_tolerance_get(run->options.compute);
    const char *decides = "";
    char where[96];
    result->limits.r_rmse = limits->r_rmse;
    result->limits.r_row = limits->r_row;
    result->limits.r_maxabs = limits->r_maxabs;
    result->headroom = mv_tolerance_headroom(limits, &result->metrics, &decides);
    if (result->verdict == MV_VERDICT_FAIL)
        return;
    if (result->n_positions == 0) {
        result->verdict = MV_VERDICT_VACUOUS;
        (void)snprintf(result->reason, sizeof result->reason, "nothing was compared");
        return;
    }
    if (result->headroom >= 1.0) {
        result->verdict = MV_VERDICT_PASS;
        return;
    }
    double worst_limit = fmax(limits->r_row, limits->r_rmse);
    name_first_bad(play, mv_first_bad_row(reference, test, worst_limit), result);
    if (result->divergence_position < 0)
        result->divergence_position = result->worst.position;
    describe_position(result, where, sizeof where);
    if (!isfinite(result->worst.actual))
        mv_case_fail(result, "logits are not finite, first at %s", where);
    else if (isnan(result->headroom))
        mv_case_fail(result, "%s cannot be computed", decides);
    else
        mv_case_fail(result, "error is %.3g x the limit (%s); first wrong row at %s",
                     1.0 / result->headroom, decides, where);
}

/* --strict: within the limits, but further out than harmless variants on these tokens are. */
static mv_code ask_noise(mv_case_result *result, const comparison *c, mv_error *error)
{
    double mean, spread;
    if (!c->has_noise || result->verdict != MV_VERDICT_PASS)
        return MV_OK;
    mv_code code = mv_noise_spread(&c->noise, &c->reference, &mean, &spread, error);
    const double spreads = code == MV_OK ? (result->metrics.r_rmse - mean) / spread : 0;
    if (!(spreads <= MV_NOISE_MOST_SPREADS))
        mv_case_fail(result,
                     "R rmse is %.4g, and %d harmless reorderings give %.4g +- %.2g on these "
                     "tokens: %.0f spreads off, and --strict allows %.0f",
                     result->metrics.r_rmse, MV_N_HARMLESS, mean, spread, spreads,
                     MV_NOISE_MOST_SPREADS);
    return code;
}

mv_code mv_judge(mv_run *run, mv_case_result *result, const mv_play *play, mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    comparison c = {.has_noise = run->options.strict};
    mv_code code = MV_OK;
    mv_error_profile_init(&c.test, vocab_size);
    mv_error_profile_init(&c.reference, vocab_size);
    mv_noise_init(&c.noise, vocab_size);
    result->n_positions = result->n_beyond_window = 0;
    for (uint32_t i = 0; i < play->n_tracks && code == MV_OK; i++) {
        if (!has_rows(&play->tracks[i]))
            continue;
        code = add_track(run, result, play, i, &c, error);
    }
    const int64_t effective_window = result->metrics.effective_window;
    if (code == MV_OK)
        code = mv_metrics_from_profiles(&result->metrics, &c.reference, &c.test, error);
    result->metrics.effective_window = effective_window;
    if (code == MV_OK) {
        decide(run, result, &c.reference, &c.test, play);
        code = ask_noise(result, &c, error);
    }
    mv_error_profile_free(&c.test);
    mv_error_profile_free(&c.reference);
    mv_noise_free(&c.noise);
    return code;
}

void mv_judge_same(mv_run *run, mv_case_result *result, const mv_play *play, const mv_play *other,
                   uint32_t claim, const char *claim_words)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    if ((mv_run_claims(run) & claim) == 0)
        return;
    for (uint32_t t = 0; t < play->n_tracks && t < other->n_tracks; t++) {
        const mv_track *a = &play->tracks[t], *b = &other->tracks[t];
        for (size_t i = 0; i < a->n && i < b->n; i++) {
            if (!a->has_row[i] || !b->has_row[i])
                continue;
            int64_t column = mv_first_different(a->logits + i * vocab_size,
                                                b->logits + i * vocab_size, vocab_size);
            if (column < 0)
                continue;
            result->divergence_position = (int64_t)i;
            mv_case_fail(result,
                         "the backend claims that %s, but sequence %u position %zu token %lld is "
                         "%.9g and %.9g",
                         claim_words, t, i, (long long)column,
                         (double)a->logits[i * vocab_size + (size_t)column],
                         (double)b->logits[i * vocab_size + (size_t)column]);
            return;
        }
    }
}

/* ---- the end ---- */

static void take_engine_error(mv_case_result *result, mv_code ran, const mv_error *ran_error)
{
    bool is_skip = ran == MV_ERR_UNAVAILABLE || ran == MV_ERR_UNSUPPORTED;
    result->verdict = is_skip ? MV_VERDICT_SKIP : MV_VERDICT_ERROR;
    (void)snprintf(result->reason, sizeof result->reason, "%.380s",
                   ran_error != NULL ? ran_error->message : "the backend failed");
}

mv_code mv_case_end(mv_run *run, mv_case_result *result, mv_code ran, const mv_error *ran_error,
                    mv_error *error)
{
    if (ran != MV_OK)
        take_engine_error(result, ran, ran_error);
    if (run->options.localize && result->verdict == MV_VERDICT_FAIL &&
        run->n_localized++ < MV_MAX_LOCALIZED)
        mv_localize_case(run, result);
    result->elapsed_ns = mv_clock_wall_ns() - run->case_start_ns;
    if (run->options.strict && result->verdict == MV_VERDICT_PASS && result->headroom < 1.3)
        mv_case_fail(result, "headroom is %.2f, and --strict asks for 1.3", result->headroom);
    return record(run, result, error);
}

mv_code mv_case_play(mv_run *run, mv_case_result *result, const mv_schedule *schedule,
                     mv_play *play, mv_error *error)
{
    mv_error ran_error = {0};
    mv_code code = MV_OK, ran = mv_play_schedule(run, NULL, schedule, play, &ran_error);
    if (ran == MV_OK)
        code = mv_judge(run, result, play, error);
    return code == MV_OK ? mv_case_end(run, result, ran, &ran_error, error) : code;
}
