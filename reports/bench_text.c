/* bench_text.c - times for a person at a terminal: a row each, then the doubts, then the verdicts.
 */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

mv_short mv_short_quantity(double value, const char *unit)
{
    static const char *const prefixes[] = {"n", "u", "m", "", "k", "M", "G", "T", "P"};
    mv_short out = {"-"};
    size_t i = 3;
    if (!isfinite(value))
        return out;
    double scaled = value;
    while (fabs(scaled) >= 999.5 && i + 1 < sizeof prefixes / sizeof *prefixes) {
        scaled /= 1000;
        i++;
    }
    while (fabs(scaled) > 0 && fabs(scaled) < 0.9995 && i > 0) {
        scaled *= 1000;
        i--;
    }
    const int n_decimals = fabs(scaled) >= 99.95 ? 0 : fabs(scaled) >= 9.995 ? 1 : 2;
    (void)snprintf(out.text, sizeof out.text, "%.*f %s%s", n_decimals, scaled, prefixes[i], unit);
    for (char *c = out.text; *c != '\0'; c++)
        *c = *c == ',' ? '.' : *c; /* whatever the locale is */
    return out;
}

mv_short mv_short_rate(double value)
{
    mv_short out;
    if (!isfinite(value) || value < 100)
        return mv_short_number(value, false);
    (void)snprintf(out.text, sizeof out.text, "%.0f", value);
    return out;
}

/* Appends " NAME N" if it says something. */
static void add_word(mv_shape_text *out, const char *name, int64_t value)
{
    size_t used = strlen(out->text);
    (void)snprintf(out->text + used, sizeof out->text - used, "%s%s %" PRId64, used > 0 ? ", " : "",
                   name, value);
}

mv_shape_text mv_shape_words(const mv_bench_run *run)
{
    const mv_bench_shape *s = &run->shape;
    mv_shape_text out = {""};
    if (run->phase == MV_BENCH_PREFILL)
        add_word(&out, "prompt", s->prompt);
    else
        add_word(&out, "generate", s->generate);
    if (s->depth > 0)
        add_word(&out, "depth", s->depth);
    if (run->phase == MV_BENCH_PREFILL && s->chunk > 0)
        add_word(&out, "chunk", s->chunk);
    add_word(&out, "window", s->window);
    if (s->batch > 1)
        add_word(&out, "batch", s->batch);
    add_word(&out, "threads", s->threads);
    return out;
}

double mv_median_ns(const mv_bench_run *run)
{
    return run->n_samples > 0 ? 1e9 * (double)run->shape.batch / run->tokens_per_s.value : NAN;
}

static size_t count_unchecked(const mv_bench_results *results)
{
    size_t n = 0;
    for (size_t i = 0; i < results->n_runs; i++)
        n += results->runs[i].checked ? 0 : 1;
    return n;
}

void mv_bytes_bench_summary(mv_bytes *bytes, const mv_bench_results *results)
{
    size_t n_unchecked = count_unchecked(results), n_slower = 0, n_open = 0, n_broken = 0;
    for (size_t i = 0; i < results->n_comparisons; i++) {
        n_slower += results->comparisons[i].verdict == MV_BENCH_SLOWER ? 1 : 0;
        n_open += results->comparisons[i].verdict == MV_BENCH_INCONCLUSIVE ? 1 : 0;
    }
    for (size_t i = 0; i < results->n_claims; i++)
        n_broken += results->claims[i].holds ? 0 : 1;
    mv_bytes_print(bytes, "%zu row%s", results->n_runs, results->n_runs == 1 ? "" : "s");
    if (n_unchecked > 0)
        mv_bytes_print(bytes, ", %zu unchecked", n_unchecked);
    if (results->n_comparisons > 0)
        mv_bytes_print(bytes, ", %zu comparison%s: %zu slower, %zu inconclusive",
                       results->n_comparisons, results->n_comparisons == 1 ? "" : "s", n_slower,
                       n_open);
    if (results->n_claims > 0)
        mv_bytes_print(bytes, ", %zu of %zu claims hold", results->n_claims - n_broken,
                       results->n_claims);
    mv_bytes_print(bytes, " in %.1f s", (double)results->elapsed_ns / 1e9);
}

/* ---- the table ---- */

static void put_cell(mv_bytes *bytes, const char *text, int width)
{
    mv_bytes_print(bytes, "  %*s", width, text);
}

static void put_interval(mv_bytes *bytes, const mv_estimate *rate)
{
    char text[32] = "-";
    double half = (rate->high - rate->low) / 2 / rate->value;
    if (isfinite(half) && rate->low > 0)
        (void)snprintf(text, sizeof text, "+-%.1f%%", 100 * half);
    put_cell(bytes, text, 8);
}

static void put_run(mv_bytes *bytes, const mv_bench_run *run)
{
    char text[32] = "-";
    mv_text_put_padded(bytes, run->backend, 12);
    mv_bytes_print(bytes, "  %-4s  %-7s", mv_compute_word(run->compute),
                   mv_bench_phase_name(run->phase));
    mv_bytes_print(bytes, "  %-44s", mv_shape_words(run).text);
    put_cell(bytes, mv_short_rate(run->tokens_per_s.value).text, 9);
    put_interval(bytes, &run->tokens_per_s);
    put_cell(bytes, mv_short_quantity(mv_median_ns(run) * 1e-9, "s").text, 9);
    if (isfinite(run->fraction_of_limit))
        (void)snprintf(text, sizeof text, "%.0f%% %s", 100 * run->fraction_of_limit,
                       mv_bench_limit_name(run->limit));
    put_cell(bytes, text, 14);
    put_cell(bytes, run->checked ? "checked" : "UNCHECKED", 9);
    mv_bytes_text(bytes, "\n");
}

static void put_details(mv_bytes *bytes, const mv_bench_run *run)
{
    mv_bytes_print(bytes, "    %zu samples after %" PRId64 " warm-up passes, deviation %s%%",
                   run->n_samples, run->n_warmup,
                   mv_short_number(100 * run->deviation, false).text);
    if (run->ttft_ns >= 0)
        mv_bytes_print(bytes, ", first token after %s",
                       mv_short_quantity((double)run->ttft_ns * 1e-9, "s").text);
    if (run->token_ns_p50 >= 0)
        mv_bytes_print(bytes, ", time per token p50 %s, p95 %s, p99 %s",
                       mv_short_quantity((double)run->token_ns_p50 * 1e-9, "s").text,
                       mv_short_quantity((double)run->token_ns_p95 * 1e-9, "s").text,
                       mv_short_quantity((double)run->token_ns_p99 * 1e-9, "s").text);
    mv_bytes_print(bytes, "\n    %s and %s a token",
                   mv_short_quantity(run->bytes_per_token, "B").text,
                   mv_short_quantity(run->flops_per_token, "FLOP").text);
    if (isfinite(run->executed_flops_per_token))
        mv_bytes_print(bytes, " (executed %s)",
                       mv_short_quantity(run->executed_flops_per_token, "FLOP").text);
    if (run->kv_cache_bytes >= 0)
        mv_bytes_print(bytes, "; cache %s, scratch %s",
                       mv_short_quantity((double)run->kv_cache_bytes, "B").text,
                       mv_short_quantity((double)run->scratch_bytes, "B").text);
    mv_bytes_text(bytes, "\n    check: ");
    mv_text_put(bytes, run->check);
    mv_bytes_text(bytes, "\n");
}

static void put_profiles(mv_bytes *bytes, const mv_bench_results *results)
{
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        mv_bench_op largest[MV_BENCH_MAX_OPS];
        const size_t n = mv_profile_largest(largest, &run->profile);
        if (n == 0)
            continue;
        mv_bytes_text(bytes, "time by op: ");
        mv_text_put(bytes, run->backend);
        mv_bytes_print(bytes, " %s %s, %s:", mv_compute_word(run->compute),
                       mv_bench_phase_name(run->phase), mv_shape_words(run).text);
        for (size_t k = 0; k < n; k++) {
            mv_bytes_text(bytes, k == 0 ? " " : ", ");
            mv_text_put(bytes, largest[k].op);
            mv_bytes_print(bytes, " %.0f%%", 100 * largest[k].share);
        }
        mv_bytes_print(bytes, "; %s with taps",
                       mv_short_quantity((double)run->profile.total_ns * 1e-9, "s").text);
        if (isfinite(run->profile.ratio_to_timed))
            mv_bytes_print(bytes, ", %s times the timed %s",
                           mv_short_number(run->profile.ratio_to_timed, true).text,
                           run->phase == MV_BENCH_PREFILL ? "pass" : "step");
        mv_bytes_text(bytes, "\n");
    }
}

static bool is_shown_before(const mv_bench_results *results, size_t run, size_t warning)
{
    const mv_bench_warning *one = &results->runs[run].warnings[warning];
    for (size_t i = 0; i < run; i++)
        for (size_t j = 0; j < results->runs[i].n_warnings; j++)
            if (strcmp(results->runs[i].warnings[j].code, one->code) == 0)
                return true;
    return false;
}

static size_t count_code(const mv_bench_results *results, const char *code)
{
    size_t n = 0;
    for (size_t i = 0; i < results->n_runs; i++)
        for (size_t j = 0; j < results->runs[i].n_warnings; j++)
            n += strcmp(results->runs[i].warnings[j].code, code) == 0 ? 1 : 0;
    return n;
}

/* Each kind once, with the words of its first row. */
static void put_warnings(mv_bytes *bytes, const mv_bench_results *results, bool quiet)
{
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        for (size_t j = 0; j < run->n_warnings && !quiet; j++) {
            if (is_shown_before(results, i, j))
                continue;
            mv_bytes_text(bytes, "warning: ");
            mv_text_put(bytes, run->warnings[j].code);
            mv_bytes_text(bytes, ": ");
            mv_text_put(bytes, run->warnings[j].text);
            size_t n = count_code(results, run->warnings[j].code);
            if (n > 1)
                mv_bytes_print(bytes, " (and %zu more row%s)", n - 1, n == 2 ? "" : "s");
            mv_bytes_text(bytes, "\n");
        }
        if (!run->checked) {
            mv_bytes_text(bytes, "unchecked: ");
            mv_text_put(bytes, run->backend);
            mv_bytes_print(bytes, ", %s: ", mv_shape_words(run).text);
            mv_text_put(bytes, run->check);
            mv_bytes_text(bytes, "\n");
        }
    }
}

static void put_comparison(mv_bytes *bytes, const mv_bench_comparison *one)
{
    const bool loud = one->verdict == MV_BENCH_SLOWER || one->verdict == MV_BENCH_INCONCLUSIVE;
    mv_bytes_print(bytes, "%s%-12s  ", loud ? "* " : "  ", mv_bench_verdict_name(one->verdict));
    mv_text_put(bytes, one->key);
    if (isfinite(one->ratio.value)) {
        mv_bytes_print(bytes, ": %+.2f %%", 100 * (one->ratio.value - 1));
        if (isfinite(one->ratio.low) && isfinite(one->ratio.high))
            mv_bytes_print(bytes, " (95 %%: %+.2f to %+.2f)", 100 * (one->ratio.low - 1),
                           100 * (one->ratio.high - 1));
    }
    if (one->n_groups > 0)
        mv_bytes_print(bytes, ", %" PRId64 " groups, %s clock", one->n_groups, one->clock);
    mv_bytes_text(bytes, "\n                ");
    mv_text_put(bytes, one->reason);
    mv_bytes_text(bytes, "\n");
}

static void put_claim(mv_bytes *bytes, const mv_bench_claim *one)
{
    mv_bytes_print(bytes, "%-8s  ",
                   one->holds          ? "holds"
                   : one->was_measured ? "BROKEN"
                                       : "UNKNOWN");
    mv_text_put(bytes, one->statement);
    mv_bytes_text(bytes, "\n          predicted ");
    mv_text_put(bytes, one->predicted);
    mv_bytes_text(bytes, one->was_measured ? ", measured " : ", nothing measured");
    mv_text_put(bytes, one->measured);
    mv_bytes_text(bytes, "\n          ");
    mv_text_put(bytes, one->how);
    mv_bytes_text(bytes, "\n");
}

static void put_header(mv_bytes *bytes, const mv_bench_results *results)
{
    const mv_ceilings *c = &results->ceilings;
    mv_bytes_text(bytes, "mistral-bench ");
    mv_text_put(bytes, results->tool_version);
    mv_bytes_text(bytes, ": model ");
    mv_text_put(bytes, results->model_spec);
    if (results->model_bytes >= 0)
        mv_bytes_print(bytes, " (%" PRIu32 " layer%s, %s)", results->params.n_layers,
                       results->params.n_layers == 1 ? "" : "s",
                       mv_short_quantity((double)results->model_bytes, "B").text);
    mv_bytes_text(bytes, "\n");
    if (c->n_reads > 0)
        mv_bytes_print(bytes, "ceilings: %s from memory, %s, %" PRId64 " threads, measured here\n",
                       mv_short_quantity(c->reads[c->n_reads - 1].read_bytes_per_s, "B/s").text,
                       mv_short_quantity(c->flops_per_s, "FLOP/s").text, c->threads);
}

void mv_text_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                         const mv_report_style *style)
{
    if (!style->quiet)
        put_header(bytes, results);
    if (results->n_runs > 0 && !style->quiet)
        mv_bytes_print(bytes, "%-12s  %-4s  %-7s  %-44s  %9s  %8s  %9s  %14s  %9s\n", "backend",
                       "type", "phase", "shape", "tokens/s", "95 %", "a token", "of limit",
                       "logits");
    for (size_t i = 0; i < results->n_runs && !style->quiet; i++) {
        put_run(bytes, &results->runs[i]);
        if (style->verbose)
            put_details(bytes, &results->runs[i]);
    }
    if (!style->quiet)
        put_profiles(bytes, results);
    put_warnings(bytes, results, style->quiet);
    for (size_t i = 0; i < results->n_comparisons; i++)
        if (!style->quiet || results->comparisons[i].verdict == MV_BENCH_SLOWER ||
            results->comparisons[i].verdict == MV_BENCH_INCONCLUSIVE)
            put_comparison(bytes, &results->comparisons[i]);
    for (size_t i = 0; i < results->n_claims; i++)
        if (!style->quiet || !results->claims[i].holds)
            put_claim(bytes, &results->claims[i]);
    mv_bytes_bench_summary(bytes, results);
    mv_bytes_text(bytes, "\n");
}
