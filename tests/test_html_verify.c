/* What the page of a verification says of it. */
#include "tests/page_fixture.h"

static mv_error error;

START_TEST(the_first_screen_says_the_verdict_in_words_and_how_to_see_it_again)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    const char *screen = strstr(text, "id=\"r1-verdict\"");
    ck_assert_ptr_nonnull(screen);
    must_have(screen, "Error: a backend failed");
    must_have(screen, "<code>mistral-verify --suite window --backend blas --chunk 3");
    ck_assert(strstr(screen, "--suite window") < strstr(text, "id=\"r1-heat\""));
}
END_TEST

/* 102 cards of one bug hide the one of another. */
START_TEST(cases_that_fail_alike_are_one_card)
{
    static const struct {
        const char *suite, *name;
        int64_t window, position;
    } failed[] = {{"chunking", "a", 8, 9}, {"chunking", "b", 8, 9},  {"chunking", "c <&", 8, 9},
                  {"chunking", "d", 7, 9}, {"chunking", "e", 8, 10}, {"window", "f", 8, 9},
                  {"window", "g", 8, -1},  {"window", "h", 8, -1}};
    mv_verify_results_init(&verify);
    for (size_t i = 0; i < sizeof failed / sizeof failed[0]; i++) {
        mv_case_result one;
        mv_case_result_clear(&one);
        (void)snprintf(one.suite, sizeof one.suite, "%s", failed[i].suite);
        (void)snprintf(one.name, sizeof one.name, "%s", failed[i].name);
        (void)snprintf(one.backend, sizeof one.backend, "mine");
        (void)snprintf(one.reason, sizeof one.reason, "reason %zu", i);
        one.window = failed[i].window;
        one.divergence_position = failed[i].position;
        one.verdict = MV_VERDICT_FAIL;
        ck_assert_int_eq(mv_verify_results_add(&verify, &one, &error), MV_OK);
    }
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "<details class=\"failure"), 6); /* g and h: another reason */
    must_have(text, "8 cases, in 6 groups:");
    must_have(text, "2 more cases of this suite fail alike: b, c &lt;&amp;.");
    ck_assert_uint_eq(count(text, "fail alike"), 1);
}
END_TEST

START_TEST(a_failing_cell_is_hatched_and_keeps_its_number)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "class=\"cell bad\""), 3);
    ck_assert_uint_eq(count(text, "class=\"hatch\""), 3 + 2); /* two in the map of a profile */
    must_have(text, ">41.2</text>");
    must_have(text, "3 of 13 cells fail");
    mv_verify_results_free(&verify);
    mv_sample_passing(&verify);
    text = write_verify();
    ck_assert_uint_eq(count(text, "class=\"hatch\""), 0);
    must_have(text, "no failure in 12 cells");
}
END_TEST

START_TEST(the_heat_map_names_the_shape_of_its_failures)
{
    static const struct {
        int64_t chunk, window; /* which fail; -1: any */
        const char *words;
    } table[] = {
        {-1, 8, "4 of 12 cells fail, all with window 8;"},
        {16, -1, "3 of 12 cells fail, all with chunk 16;"},
        {3, 4, "1 of 12 cells fail: chunk 3, window 4;"},
        {-1, -1, "12 of 12 cells fail: every one of them;"},
    };
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        mv_verify_results_free(&verify);
        mv_sample_passing(&verify);
        for (size_t i = 0; i < verify.n_cases; i++) {
            mv_case_result *one = &verify.cases[i];
            if ((table[t].chunk < 0 || one->chunk == table[t].chunk) &&
                (table[t].window < 0 || one->window == table[t].window)) {
                one->verdict = MV_VERDICT_FAIL;
            }
        }
        must_have(write_verify(), table[t].words);
    }
}
END_TEST

START_TEST(a_chunk_above_the_window_is_seen_as_such)
{
    mv_sample_passing(&verify);
    for (size_t i = 0; i < verify.n_cases; i++) {
        mv_case_result *one = &verify.cases[i];
        one->chunk = one->chunk == 3 ? 5 : one->chunk;
        bool is_above = one->window > 0 && one->chunk > one->window;
        one->verdict = is_above ? MV_VERDICT_FAIL : MV_VERDICT_PASS;
    }
    must_have(write_verify(), "3 of 12 cells fail, all with a chunk above the window;");
}
END_TEST

START_TEST(a_profile_names_the_first_wrong_operation_in_words_and_marks_it)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    must_have(text, "Of 42 operations the first wrong one is layer 0, attention: its error is 41.2 "
                    "times its limit; no later one is wrong.");
    must_have(text, ">first wrong: layer 0, attention</text>");
    must_have(text, "<title>layer 0, attention: error / limit 41.2</title>");
    must_have(text,
              "Layer 0 alone is over its limit, first at position 8, where the window (W = 8) "
              "is passed;");
    must_have(text, "<title>layer 0: over the limit at positions 8 to 63; ");
    must_have(text, "<td>attention</td><td class=\"n\">41.2</td>");
    must_have(text, "<td class=\"n\">12.5</td><td class=\"n\">8</td><td>8 to 63</td>");
    ck_assert_uint_eq(count(text, "<h4>"), 1);
    ck_assert_ptr_null(strstr(text, "more are in the data"));
}
END_TEST

START_TEST(of_many_profiles_one_of_each_place_is_shown_and_the_rest_is_counted)
{
    mv_sample_deep(&verify, 7);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "<h4>"), 4);
    must_have(text, "the profiles of 3 more are in the data");
    for (size_t i = 0; i < verify.n_cases; i++) {
        verify.cases[i].divergence_layer = 5;
    }
    text = write_verify();
    ck_assert_uint_eq(count(text, "<h4>"), 1);
    must_have(text, "the profiles of 6 more are in the data");
}
END_TEST

START_TEST(the_kill_matrix_says_who_saw_what)
{
    mv_sample_mixed(&verify);
    const char *text = write_verify();
    ck_assert_uint_eq(count(text, "\"ear\"> killed</span></td>"), 2);
    ck_assert_uint_eq(count(text, "> missed</span></td>"), 2);
    ck_assert_uint_eq(count(text, "> false</span></td>"), 1);
    must_have(text, "Survived: <code>eps_after_sqrt</code>.");
}
END_TEST

START_TEST(sections_without_data_do_not_appear)
{
    mv_sample_passing(&verify);
    const char *text = write_verify();
    static const char *const absent[] = {"r1-failures", "r1-divergence", "r1-self-test",
                                         "r1-changes",  "r1-prefill",    "r1-gate"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        ck_assert_msg(strstr(text, absent[i]) == NULL, "%s", absent[i]);
    }
    must_have(text, "No self-test in this run");
}
END_TEST

START_TEST(an_older_run_shows_what_changed_and_where_the_machines_differ)
{
    mv_verify_results old;
    mv_sample_mixed(&verify);
    mv_sample_passing(&old);
    old.cases[2].metrics.r_rmse *= 3;
    mv_environment_set(&old.environment, "cores", "64");
    const mv_page_part part = {.name = "", .verify = &verify, .verify_old = &old};
    const char *text = write_page(&part, 1);
    must_have(text,
              "1 of 29 cases changed (another verdict, or R by more than a fifth); 17 are new");
    must_have(text, "<tr class=\"differs\"><th scope=\"row\">cores</th><td>2</td><td>64</td>");
    ck_assert_uint_eq(count(text, "<tr class=\"differs\""), 1);
    must_have(text, "1 fact of the machine or the build differs: <code>cores</code>");
    must_have(text, "<p>0 no longer hold, 0 hold again.");
    old.cases[3].verdict = MV_VERDICT_FAIL;
    must_have(write_page(&part, 1), "<p>0 no longer hold, 1 holds again.");
    old.cases[3].verdict = MV_VERDICT_PASS;
    verify.cases[3].verdict = MV_VERDICT_FAIL;
    must_have(write_page(&part, 1), "<strong>1 no longer holds, 0 hold again.</strong>");
    mv_verify_results_free(&old);
}
END_TEST

static Suite *html_verify_suite(void)
{
    Suite *suite = suite_create("html_verify");
    TCase *tcase = tcase_create("html");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, the_first_screen_says_the_verdict_in_words_and_how_to_see_it_again);
    tcase_add_test(tcase, cases_that_fail_alike_are_one_card);
    tcase_add_test(tcase, a_failing_cell_is_hatched_and_keeps_its_number);
    tcase_add_test(tcase, the_heat_map_names_the_shape_of_its_failures);
    tcase_add_test(tcase, a_chunk_above_the_window_is_seen_as_such);
    tcase_add_test(tcase, a_profile_names_the_first_wrong_operation_in_words_and_marks_it);
    tcase_add_test(tcase, of_many_profiles_one_of_each_place_is_shown_and_the_rest_is_counted);
    tcase_add_test(tcase, the_kill_matrix_says_who_saw_what);
    tcase_add_test(tcase, sections_without_data_do_not_appear);
    tcase_add_test(tcase, an_older_run_shows_what_changed_and_where_the_machines_differ);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(html_verify_suite)
