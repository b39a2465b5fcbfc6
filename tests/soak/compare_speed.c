/* compare_speed - logits compared a second: rows against the oracle's, on one thread, and rows
 * against a golden's summary, on all cores. The middle of nine; a neighbour counts.
 *
 *   compare_speed [VOCAB_SIZE] [ROWS]
 */
#include <stdlib.h>
#include <time.h>

#include "golden/golden.h"
#include "harness/compare.h"
#include "harness/synthetic.h"

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { N_TIMES = 9 };

static void print(const char *what, double times[N_TIMES], size_t n_logits)
{
    const double gigabytes = (double)n_logits * sizeof(float) * 1e-9;
    qsort(times, N_TIMES, sizeof *times, by_value);
    printf("%-34s %6.2f GB/s (%.2f to %.2f)\n", what, gigabytes / times[N_TIMES / 2],
           gigabytes / times[N_TIMES - 1], gigabytes / times[0]);
}

int main(int argc, char **argv)
{
    const size_t vocab_size = argc > 1 ? strtoul(argv[1], NULL, 10) : 32000;
    const size_t n_rows = argc > 2 ? strtoul(argv[2], NULL, 10) : 200, n = vocab_size * n_rows;
    double *oracle = malloc(n * sizeof *oracle), times[N_TIMES];
    float *test = malloc(n * sizeof *test);
    mv_row_summary *summaries = malloc(n_rows * sizeof *summaries);
    mv_error error = {0};
    mv_sketch sketch = {0};
    if (oracle == NULL || test == NULL || summaries == NULL ||
        mv_sketch_make(&sketch, vocab_size, 1, &error) != MV_OK)
        return 2;
    for (size_t i = 0; i < n; i++) {
        oracle[i] = (double)mv_synthetic_bits(1, 2, i) * 0x1p-60 - 8;
        test[i] = (float)(oracle[i] * (1 + 1e-7));
    }
    for (int with_kl = 0; with_kl < 2; with_kl++) {
        for (int t = 0; t < N_TIMES; t++) {
            mv_error_profile profile;
            mv_error_profile_init(&profile, vocab_size);
            const double start = now_s();
            if (mv_error_profile_add(&profile, oracle, test, n_rows, with_kl != 0, &error) != MV_OK)
                return 2;
            times[t] = now_s() - start;
            mv_error_profile_free(&profile);
        }
        print(with_kl != 0 ? "rows, with KL" : "rows", times, n);
    }
    for (int t = 0; t < N_TIMES; t++) {
        const double start = now_s();
        mv_rows_summarise(summaries, &sketch, test, n_rows);
        times[t] = now_s() - start;
    }
    print("summaries (sketch, top 20, lse)", times, n);
    mv_sketch_free(&sketch);
    free(oracle);
    free(test);
    free(summaries);
    return 0;
}
