/* page_samples.h - fixed times for the tests of the page and of the reader. Free with
 * mv_bench_results_free(). */
#ifndef MV_TESTS_PAGE_SAMPLES_H
#define MV_TESTS_PAGE_SAMPLES_H

#include "harness/bench_results.h"
#include "harness/history.h"

/* Two windows, chunks, depths and batches; comparisons of every verdict; claims. */
void mv_sample_bench(mv_bench_results *results);

/* text in every field that holds text. */
void mv_sample_bench_hostile(mv_bench_results *results, const char *text);

/* 40 runs of two metrics; the first steps by 5 % at its run 21. key: of the second one. Free with
 * mv_history_free(). */
void mv_sample_history(mv_history *history, const char *key);

#endif
