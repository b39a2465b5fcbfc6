/* What the page of times says of them, and of their history. */
#include <math.h>

#include "tests/page_fixture.h"

static mv_error error;

START_TEST(times_say_their_findings)
{
    mv_sample_bench(&bench);
    const char *text = write_bench();
    must_have(text, "Slower than before");
    must_have(text, "The largest ratio is +8.0 %");
    must_have(text, "blas f32, window 64 is fastest: 400 tokens/s with chunk 512");
    must_have(text, "That is 50 % of what the machine allows");
    must_have(text,
              "blas f32, window 64 keeps 100 % of its speed from 1 to 1024 keys; blas f32, no "
              "window keeps 49 % of its speed from 1 to 1024 keys.");
    must_have(text, "times as many tokens with 4 sequences as with 1");
    must_have(text, "The best row reaches 50 % of its limit");
    must_have(text, "others used 0.8 cores");
}
END_TEST

START_TEST(an_older_file_of_times_says_what_got_slower_and_how_sure)
{
    mv_bench_results old;
    mv_sample_bench(&bench);
    mv_sample_bench(&old);
    const mv_page_part part = {.name = "", .bench = &bench, .bench_old = &old};
    bench.runs[0].tokens_per_s = (mv_estimate){80, 79, 81}; /* 100 before */
    bench.runs[1].tokens_per_s = (mv_estimate){180, 178, 182};
    bench.runs[4].checked = false;
    bench.runs[5].shape.depth = 77;
    mv_environment_set(&old.environment, "cpu_model", "Another");
    const char *text = write_page(&part, 1);
    must_have(text, "23 rows are in both files; 1 new, 1 gone.");
    must_have(text, "1 row was right in the older run and is not now.");
    must_have(text, "1 row is slower than before, 1 faster, 21 cannot be told apart. The slowest "
                    "takes +25.0 % (+19.8 to +29.1): blas prefill, prompt 512, chunk 1");
    must_have(text, "1 fact of the machine or the build differs: <code>cpu_model</code>");
    must_have(text, "no longer right");
    mv_bench_results_free(&old);
}
END_TEST

START_TEST(what_the_context_adds_is_fitted_and_what_is_lost_in_the_noise_is_counted)
{
    mv_sample_bench(&bench);
    must_have(write_bench(), "</b>: 11.4 ms more a token with 1023 keys more; it grows with "
                             "exponent 1.00 \xC2\xB1 0.00 (3 depths)");
    must_have(page.data, "<b>blas f32, window 64</b>: what the context adds is lost in the noise "
                         "at all 3 depths.");
    for (size_t i = 0; i < bench.n_runs; i++) { /* 1 us a key that can be seen, known exactly */
        mv_bench_run *run = &bench.runs[i];
        const double keys = (double)run->shape.depth;
        const double seen = run->shape.window > 0 ? fmin(keys, (double)run->shape.window) : keys;
        const double speed = 1e6 / (100 + seen);
        run->tokens_per_s = (mv_estimate){speed, speed * 0.9999, speed * 1.0001};
        run->phase = MV_BENCH_DECODE;
        run->shape = (mv_bench_shape){.generate = 1,
                                      .depth = (int64_t)keys,
                                      .window = run->shape.window,
                                      .batch = 1,
                                      .threads = 2};
    }
    must_have(write_bench(), "</b>: 1.02 ms more a token with 1023 keys more; it grows with "
                             "exponent 1.00 \xC2\xB1 0.00 (3 depths)");
    must_have(page.data, "past the window 4.01 times the keys take 1.00 times as long, with "
                         "exponent 0.00 (2 depths)");
    must_have(page.data, "data-name=\"n: as the keys\"");
    must_have(page.data, "data-name=\"W: as the visible keys\"");
    for (size_t i = 0; i < bench.n_runs; i++) {
        bench.runs[i].shape.depth = 0;
    }
    ck_assert_ptr_null(strstr(write_bench(), "What the context costs"));
}
END_TEST

START_TEST(a_history_shows_its_steps_and_gives_its_lines_back)
{
    mv_bytes out = {0};
    mv_sample_history(&history, "prefill time");
    const mv_page_part part = {.name = "h.jsonl", .history = &history};
    const char *text = write_page(&part, 1);
    must_have(text, "1 step in 2 metrics");
    must_have(text, "<b>decode time</b>: the last of 40 runs took");
    must_have(text, "It changed by +5.0 % at run 21 (2026-01-21T03:04:05Z, commit 0000020).");
    must_have(text, "No step of 2 % or more is found in it.");
    ck_assert_int_eq(mv_html_extract(&out, page.data, page.size, "p.html", &error), MV_OK);
    ck_assert_uint_eq(count(out.data, "\n"), 80);
    ck_assert_uint_eq(count(out.data, "\\u003c/script>\\u003c!--"), 80);
    mv_bytes_free(&out);
}
END_TEST

START_TEST(time_by_op_says_what_takes_most_and_that_it_is_not_the_timed_run)
{
    mv_sample_bench(&bench);
    const char *text = write_bench();
    must_have(text, "<code>gate+up</code> and <code>ffn_out</code> take 60 % of a pass of 3.00 ms");
    must_have(text, "With taps it took 1.02 times the timed one. <span");
    must_have(text, "of a token step of 1.00 ms");
    must_have(text, "With taps it took 1.46 times the timed one: the sum is not the timed run");
    ck_assert_uint_eq(count(text, "chart: time by op"), 2); /* one a phase, of 24 rows */
    for (size_t i = 0; i < bench.n_runs; i++) {
        bench.runs[i].profile.n_ops = 0;
    }
    ck_assert_ptr_null(strstr(write_bench(), "Time by op"));
}
END_TEST

START_TEST(what_was_timed_and_not_checked_is_no_pass)
{
    mv_sample_bench(&bench);
    bench.n_comparisons = 0;
    bench.n_claims = 0;
    must_have(write_bench(), "Timed, and right");
    bench.runs[3].checked = false;
    must_have(write_bench(), "Not proved");
}
END_TEST

static Suite *html_bench_suite(void)
{
    Suite *suite = suite_create("html_bench");
    TCase *tcase = tcase_create("html");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, times_say_their_findings);
    tcase_add_test(tcase, an_older_file_of_times_says_what_got_slower_and_how_sure);
    tcase_add_test(tcase, what_the_context_adds_is_fitted_and_what_is_lost_in_the_noise_is_counted);
    tcase_add_test(tcase, a_history_shows_its_steps_and_gives_its_lines_back);
    tcase_add_test(tcase, time_by_op_says_what_takes_most_and_that_it_is_not_the_timed_run);
    tcase_add_test(tcase, what_was_timed_and_not_checked_is_no_pass);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(html_bench_suite)
