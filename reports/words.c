/* words.c - what one case and one whole run say to a person, in plain words. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const char *const mv_metric_names[MV_N_METRICS] = {
    "r_rmse", "r_row", "r_maxabs", "max_abs", "nmse", "kl_mean", "kl_max", "top1_agreement",
};

double mv_metric_get(const mv_metrics *metrics, size_t index)
{
    const double values[MV_N_METRICS] = {
        metrics->r_rmse, metrics->r_row,   metrics->r_maxabs, metrics->max_abs,
        metrics->nmse,   metrics->kl_mean, metrics->kl_max,   metrics->top1_agreement,
    };
    return index < MV_N_METRICS ? values[index] : NAN;
}

/* The other verdicts say that the engine failed, or that nothing was compared. */
static bool was_measured(const mv_case_result *one)
{
    return one->verdict == MV_VERDICT_PASS || one->verdict == MV_VERDICT_FAIL;
}

bool mv_metric_is_known(const mv_case_result *one, size_t index)
{
    return !isnan(mv_metric_get(&one->metrics, index)) ||
           (was_measured(one) && isfinite(mv_metric_get(&one->limits, index)));
}

bool mv_headroom_is_known(const mv_case_result *one)
{
    bool is_gated = false;
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        is_gated = is_gated || isfinite(mv_metric_get(&one->limits, i));
    }
    return !isnan(one->headroom) || (was_measured(one) && is_gated);
}

bool mv_divergence_is_known(const mv_case_result *one)
{
    return one->divergence_layer >= 0 || one->divergence_position >= 0 ||
           one->divergence_op[0] != '\0';
}

/* harness/backend.h has the same words; this folder reads only results.h. */
const char *mv_compute_word(mv_compute compute)
{
    switch (compute) {
    case MV_COMPUTE_F32:
        return "f32";
    case MV_COMPUTE_BF16:
        return "bf16";
    case MV_COMPUTE_F64:
        return "f64";
    }
    return "unknown";
}

bool mv_needs_person(const mv_case_result *one)
{
    return one->verdict != MV_VERDICT_PASS && one->verdict != MV_VERDICT_SKIP;
}

const char *mv_case_reason(const mv_case_result *one)
{
    if (one->reason[0] != '\0') {
        return one->reason;
    }
    switch (one->verdict) {
    case MV_VERDICT_PASS:
        return "";
    case MV_VERDICT_VACUOUS:
        return "nothing was compared";
    case MV_VERDICT_SKIP:
        return "skipped, and no reason was given";
    case MV_VERDICT_FAIL:
    case MV_VERDICT_ERROR:
    default:
        return "no reason was given";
    }
}

/* ---- details ---- */

/* A line of words under construction: cut at the end of the array, never past it. */
MV_PRINTF(2, 3) static void say(mv_detail *detail, const char *format, ...)
{
    size_t used = strlen(detail->text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail->text + used, sizeof detail->text - used, format, args);
    va_end(args);
}

/* Where a position lies against the window is what tells a ring from a mask: "17 = 2W+1". */
static void say_position(mv_detail *detail, int64_t position, int64_t window)
{
    say(detail, "position %" PRId64, position);
    if (window <= 0) {
        return;
    }
    int64_t turns = position / window;
    int64_t rest = position % window;
    if (turns == 0 && rest != window - 1) {
        say(detail, " (inside the first window of %" PRId64 ")", window);
        return;
    }
    bool is_last = rest == window - 1;
    turns += is_last ? 1 : 0;
    rest = is_last ? -1 : rest;
    say(detail, " = ");
    if (turns > 1) {
        say(detail, "%" PRId64, turns);
    }
    say(detail, rest == 0 ? "W" : "W%+" PRId64, rest);
    say(detail, " (W = %" PRId64 ")", window);
}

static void say_worst(mv_detail *detail, const mv_case_result *one)
{
    say_position(detail, one->worst.position, one->window);
    if (one->worst.token_id >= 0) {
        say(detail, ", token %" PRId64, one->worst.token_id);
    }
    say(detail, ": expected %.7g, actual %.7g", one->worst.expected, one->worst.actual);
}

static void say_divergence(mv_detail *detail, const mv_case_result *one)
{
    const char *comma = "";
    if (one->divergence_layer >= 0) {
        say(detail, "layer %" PRId64, one->divergence_layer);
        comma = ", ";
    }
    if (one->divergence_op[0] != '\0') {
        say(detail, "%s%s", comma, one->divergence_op);
        comma = ", ";
    }
    if (one->divergence_position >= 0) {
        say(detail, "%s", comma);
        say_position(detail, one->divergence_position, one->window);
    }
    const int64_t first = one->divergence != NULL ? mv_divergence_first(one->divergence) : -1;
    if (first >= 0) {
        const double times_limit = one->divergence->steps[first].times_limit;
        say(detail, ": error %s%s", mv_times_limit(times_limit).text,
            times_limit < INFINITY ? " times the limit" : "");
    }
}

static void say_window(mv_detail *detail, int64_t asked, int64_t found)
{
    if (found == 0) {
        say(detail, "engine uses no window at all; asked for W = %" PRId64, asked);
    } else if (asked <= 0) {
        say(detail, "engine uses a window of %" PRId64 " keys; none was asked for", found);
    } else {
        say(detail, "engine uses W%+" PRId64 " (%" PRId64 " keys; asked for W = %" PRId64 ")",
            found - asked, found, asked);
    }
}

static void say_measured(mv_detail *detail, const mv_case_result *one)
{
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        double limit = mv_metric_get(&one->limits, i);
        if (!mv_metric_is_known(one, i) || (isnan(limit) && i > 2)) {
            continue; /* the three ratios always, the others only if they decide */
        }
        double value = mv_metric_get(&one->metrics, i);
        say(detail, "%s%s %s", detail->text[0] == '\0' ? "" : ", ", mv_metric_names[i],
            mv_short_number(value, true).text);
        if (!isnan(limit)) {
            say(detail, " (limit %s)", mv_short_number(limit, true).text);
        }
    }
}

size_t mv_case_details(const mv_case_result *one, mv_detail details[MV_MAX_DETAILS])
{
    size_t n = 0;
    memset(details, 0, MV_MAX_DETAILS * sizeof *details);
    if (mv_case_reason(one)[0] != '\0') {
        details[n].label = "reason";
        say(&details[n++], "%s", mv_case_reason(one));
    }
    if (one->worst.position >= 0) {
        details[n].label = "worst";
        say_worst(&details[n++], one);
    }
    if (mv_divergence_is_known(one)) {
        details[n].label = "first wrong";
        say_divergence(&details[n++], one);
    }
    int64_t found = one->metrics.effective_window;
    if (found >= 0 && found != (one->window < 0 ? 0 : one->window)) {
        details[n].label = "window";
        say_window(&details[n++], one->window, found);
    }
    details[n].label = "measured";
    say_measured(&details[n], one);
    n += details[n].text[0] != '\0' ? 1 : 0;
    if (one->schedule[0] != '\0') {
        details[n].label = "calls";
        say(&details[n++], "%s", one->schedule);
    }
    return n;
}

/* ---- the whole run ---- */

void mv_bytes_summary(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_summary summary = mv_verify_results_summarise(results);
    mv_bytes_print(bytes, "%s: %zu case%s, %zu failed, %zu error%s, %zu vacuous, %zu skipped",
                   mv_verdict_name(summary.verdict), results->n_cases,
                   results->n_cases == 1 ? "" : "s", summary.n_failed, summary.n_errors,
                   summary.n_errors == 1 ? "" : "s", summary.n_vacuous, summary.n_skipped);
    if (summary.verdict == MV_VERDICT_FAIL && summary.n_failed == 0) {
        mv_bytes_text(bytes, ", the self-test failed");
    }
    double elapsed_s = (double)results->elapsed_ns / 1e9;
    mv_bytes_print(bytes, elapsed_s < 100 ? " in %.2f s" : " in %.0f s", elapsed_s);
}

bool mv_self_test_was_run(const mv_verify_results *results)
{
    return results->n_mutants > 0 || results->benign_total > 0;
}

bool mv_mutant_is_wrong(const mv_mutant_result *mutant)
{
    return mv_mutant_is_killed(mutant) == (mutant->equivalent != 0);
}

void mv_bytes_self_test(mv_bytes *bytes, const mv_verify_results *results)
{
    mv_summary summary = mv_verify_results_summarise(results);
    mv_bytes_print(bytes, "%zu of %zu planted bugs killed, %zu false alarm%s in %zu benign run%s",
                   summary.n_mutants_killed, summary.n_mutants_total, results->false_alarms,
                   results->false_alarms == 1 ? "" : "s", results->benign_total,
                   results->benign_total == 1 ? "" : "s");
}
