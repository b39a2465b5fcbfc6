/* bench_markdown.c - times for a comment on a pull request: the verdicts first. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_comparisons(mv_bytes *bytes, const mv_bench_results *results)
{
    if (results->n_comparisons == 0)
        return;
    mv_bytes_text(bytes, "Base ");
    mv_markdown_text(bytes, results->comparisons[0].base);
    mv_bytes_text(bytes, ", candidate ");
    mv_markdown_text(bytes, results->comparisons[0].candidate);
    mv_bytes_text(bytes, ". A change above 0 % is slower, or more work.\n\n");
    mv_bytes_text(bytes, "| verdict | what | change | 95 % | groups | why |\n"
                         "|:--|:--|--:|--:|--:|:--|\n");
    for (size_t i = 0; i < results->n_comparisons; i++) {
        const mv_bench_comparison *one = &results->comparisons[i];
        mv_bytes_print(bytes, "| **%s** | ", mv_bench_verdict_name(one->verdict));
        mv_markdown_text(bytes, one->key);
        if (isfinite(one->ratio.value))
            mv_bytes_print(bytes, " | %+.2f %% |", 100 * (one->ratio.value - 1));
        else
            mv_bytes_text(bytes, " | - |");
        if (isfinite(one->ratio.low) && isfinite(one->ratio.high))
            mv_bytes_print(bytes, " %+.2f … %+.2f |", 100 * (one->ratio.low - 1),
                           100 * (one->ratio.high - 1));
        else
            mv_bytes_text(bytes, " - |");
        if (one->n_groups >= 0)
            mv_bytes_print(bytes, " %" PRId64 " | ", one->n_groups);
        else
            mv_bytes_text(bytes, " - | ");
        mv_markdown_text(bytes, one->reason);
        mv_bytes_text(bytes, " |\n");
    }
    mv_bytes_text(bytes, "\n");
}

static void put_claims(mv_bytes *bytes, const mv_bench_results *results)
{
    if (results->n_claims == 0)
        return;
    mv_bytes_text(bytes, "| claim | predicted | measured | holds |\n|:--|:--|:--|:--|\n");
    for (size_t i = 0; i < results->n_claims; i++) {
        const mv_bench_claim *one = &results->claims[i];
        mv_bytes_text(bytes, "| ");
        mv_markdown_text(bytes, one->statement);
        mv_bytes_text(bytes, " | ");
        mv_markdown_text(bytes, one->predicted);
        mv_bytes_text(bytes, " | ");
        mv_markdown_text(bytes, one->measured);
        mv_bytes_print(bytes, " | %s |\n", one->holds ? "yes" : "**no**");
    }
    mv_bytes_text(bytes, "\n");
}

static void put_runs(mv_bytes *bytes, const mv_bench_results *results)
{
    if (results->n_runs == 0)
        return;
    mv_bytes_text(bytes,
                  "| backend | type | phase | shape | tokens/s | 95 % | a token | of limit | "
                  "checked | doubts |\n"
                  "|:--|:--|:--|:--|--:|--:|--:|--:|:--|:--|\n");
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        mv_bytes_text(bytes, "| ");
        mv_markdown_text(bytes, run->backend);
        mv_bytes_print(bytes, " | %s | %s | %s | %s |", mv_compute_word(run->compute),
                       mv_bench_phase_name(run->phase), mv_shape_words(run).text,
                       mv_short_rate(run->tokens_per_s.value).text);
        if (isfinite(run->tokens_per_s.high) && run->tokens_per_s.low > 0)
            mv_bytes_print(bytes, " %s … %s |", mv_short_rate(run->tokens_per_s.low).text,
                           mv_short_rate(run->tokens_per_s.high).text);
        else
            mv_bytes_text(bytes, " - |");
        mv_bytes_print(bytes, " %s |", mv_short_quantity(mv_median_ns(run) * 1e-9, "s").text);
        if (isfinite(run->fraction_of_limit))
            mv_bytes_print(bytes, " %.0f %% (%s) |", 100 * run->fraction_of_limit,
                           mv_bench_limit_name(run->limit));
        else
            mv_bytes_text(bytes, " - |");
        mv_bytes_print(bytes, " %s | ", run->checked ? "yes" : "**no**");
        for (size_t j = 0; j < run->n_warnings; j++) {
            mv_bytes_text(bytes, j == 0 ? "" : ", ");
            mv_markdown_text(bytes, run->warnings[j].code);
        }
        mv_bytes_text(bytes, " |\n");
    }
    mv_bytes_text(bytes, "\n");
}

static void put_profiles(mv_bytes *bytes, const mv_bench_results *results)
{
    bool is_begun = false;
    for (size_t i = 0; i < results->n_runs; i++) {
        const mv_bench_run *run = &results->runs[i];
        mv_bench_op largest[MV_BENCH_MAX_OPS];
        const size_t n = mv_profile_largest(largest, &run->profile);
        if (n == 0)
            continue;
        if (!is_begun)
            mv_bytes_text(bytes,
                          "Time by op, in passes with taps, which are not the timed ones:\n\n"
                          "| backend | type | phase | shape | time by op | with taps | of "
                          "the timed |\n|:--|:--|:--|:--|:--|--:|--:|\n");
        is_begun = true;
        mv_bytes_text(bytes, "| ");
        mv_markdown_text(bytes, run->backend);
        mv_bytes_print(bytes, " | %s | %s | %s | ", mv_compute_word(run->compute),
                       mv_bench_phase_name(run->phase), mv_shape_words(run).text);
        for (size_t k = 0; k < n; k++) {
            mv_bytes_text(bytes, k == 0 ? "" : ", ");
            mv_markdown_text(bytes, largest[k].op);
            mv_bytes_print(bytes, " %.0f %%", 100 * largest[k].share);
        }
        mv_bytes_print(bytes, " | %s | %s |\n",
                       mv_short_quantity((double)run->profile.total_ns * 1e-9, "s").text,
                       mv_short_number(run->profile.ratio_to_timed, false).text);
    }
    mv_bytes_text(bytes, is_begun ? "\n" : "");
}

void mv_markdown_write_bench(mv_bytes *bytes, const mv_bench_results *results,
                             const mv_report_style *style)
{
    (void)style;
    mv_bytes_text(bytes, "**mistral-bench**: ");
    mv_bytes_bench_summary(bytes, results);
    mv_bytes_text(bytes, "; model ");
    mv_markdown_text(bytes, results->model_spec);
    mv_bytes_text(bytes, "\n\n");
    put_comparisons(bytes, results);
    put_claims(bytes, results);
    put_runs(bytes, results);
    put_profiles(bytes, results);
}
