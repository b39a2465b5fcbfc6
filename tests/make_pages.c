/* make_pages.c - writes the pages of all samples, for checks by other people's tools.
 *
 *   make_pages FOLDER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reports/html.h"
#include "tests/page_samples.h"
#include "tests/report_samples.h"

static void save(const char *folder, const char *name, const mv_page_part *parts, size_t n_parts)
{
    char path[4096];
    mv_bytes bytes = {0};
    mv_error error;
    (void)snprintf(path, sizeof path, "%s/%s.html", folder, name);
    mv_html_write_page(&bytes, parts, n_parts);
    if (mv_report_save(&bytes, path, &error) != MV_OK) {
        (void)fprintf(stderr, "make_pages: %s\n", error.message);
        exit(1);
    }
    mv_bytes_free(&bytes);
}

/* As many as all suites of two engines make. */
static void repeat_cases(mv_verify_results *results, size_t n)
{
    const size_t n_first = results->n_cases;
    for (size_t i = 0; i < n; i++) {
        mv_case_result one = results->cases[i % n_first];
        mv_error error;
        (void)snprintf(one.name, sizeof one.name, "window 8, case %zu", i);
        (void)snprintf(one.suite, sizeof one.suite, "suite %zu", i / 36);
        (void)snprintf(one.reproduce, sizeof one.reproduce,
                       "mistral-verify --model synthetic:probe --backend reference --compute f32 "
                       "--suite chunking --length 40 --seed 1 --filter 'chunking/window 8 %zu'",
                       i);
        if (mv_verify_results_add(results, &one, &error) != MV_OK) {
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    mv_verify_results verify[6];
    mv_bench_results bench[3];
    mv_history history[2];
    if (argc != 2) {
        (void)fprintf(stderr, "usage: make_pages FOLDER\n");
        return 2;
    }
    mv_sample_mixed(&verify[0]);
    mv_sample_passing(&verify[1]);
    mv_sample_hostile(&verify[2], mv_hostile_text);
    mv_verify_results_init(&verify[3]);
    mv_sample_passing(&verify[4]);
    repeat_cases(&verify[4], 700);
    mv_sample_deep(&verify[5], 7);
    mv_sample_history(&history[0], "prefill time");
    mv_sample_history(&history[1], mv_hostile_text);
    mv_sample_bench(&bench[0]);
    mv_sample_bench_hostile(&bench[1], mv_hostile_text);
    mv_bench_results_init(&bench[2]);
    const mv_page_part mixed = {.name = "", .verify = &verify[0]};
    const mv_page_part passing = {.name = "", .verify = &verify[1]};
    const mv_page_part empty = {.name = "", .verify = &verify[3]};
    const mv_page_part deep = {.name = "", .verify = &verify[5]};
    const mv_page_part times = {.name = "", .bench = &bench[0]};
    const mv_page_part no_times = {.name = "", .bench = &bench[2]};
    const mv_page_part hostile[] = {
        {.name = mv_hostile_text, .verify = &verify[2], .verify_old = &verify[0]},
        {.name = mv_hostile_text, .bench = &bench[1], .bench_old = &bench[0]},
        {.name = mv_hostile_text, .history = &history[1]}};
    const mv_page_part both[] = {
        {.name = "verify.json", .verify = &verify[0], .verify_old = &verify[1]},
        {.name = "bench.json", .bench = &bench[0], .bench_old = &bench[0]},
        {.name = "history.jsonl", .history = &history[0]}};
    const mv_page_part many[] = {{.name = "f32.json", .verify = &verify[4]},
                                 {.name = "bf16.json", .verify = &verify[4]}};
    save(argv[1], "mixed", &mixed, 1);
    save(argv[1], "passing", &passing, 1);
    save(argv[1], "empty", &empty, 1);
    save(argv[1], "deep", &deep, 1);
    save(argv[1], "times", &times, 1);
    save(argv[1], "no_times", &no_times, 1);
    save(argv[1], "hostile", hostile, 3);
    save(argv[1], "history", &both[2], 1);
    save(argv[1], "both", both, 3);
    save(argv[1], "many", many, 2);
    for (size_t i = 0; i < 6; i++) {
        mv_verify_results_free(&verify[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        mv_bench_results_free(&bench[i]);
    }
    mv_history_free(&history[0]);
    mv_history_free(&history[1]);
    return 0;
}
