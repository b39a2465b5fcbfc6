/* Which cases there are: what is listed is what runs, whole, in shards or through a filter; and how
 * the calls of a case are written. */
#include <fnmatch.h>

#include "tests/suite_fixture.h"

typedef struct names {
    char text[1024][136]; /* "suite/case" */
    size_t n;
} names;

static names whole, parts;

static void take_name(void *cookie, const mv_case_result *result)
{
    names *all = cookie;
    ck_assert_uint_lt(all->n, 1024);
    (void)snprintf(all->text[all->n++], sizeof all->text[0], "%s/%s", result->suite, result->name);
}

static void list(names *all)
{
    options.on_case = take_name;
    options.cookie = all;
    options.list_only = true;
    ck_assert_int_eq(run_code(NULL), MV_OK);
    options.list_only = false;
    options.on_case = NULL;
}

static bool contains(const names *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++) {
        if (strcmp(all->text[i], name) == 0)
            return true;
    }
    return false;
}

START_TEST(listing_names_each_case_once_and_runs_no_engine)
{
    plant(OPEN_FAILS, 0);
    whole.n = 0;
    list(&whole);
    ck_assert_uint_gt(whole.n, 80);
    ck_assert_uint_eq(results.n_cases, 0);
    ck_assert_int_eq(engines_n_opened, 0);
    for (size_t i = 0; i < mv_n_suites; i++) {
        bool found = false;
        for (size_t j = 0; j < whole.n; j++)
            found = found ||
                    strncmp(whole.text[j], mv_suites[i]->name, strlen(mv_suites[i]->name)) == 0;
        ck_assert_msg(found, "nothing is listed of %s", mv_suites[i]->name);
    }
}
END_TEST

START_TEST(what_is_listed_is_what_runs)
{
    plant(HONEST, 0);
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        char filter[64];
        (void)snprintf(filter, sizeof filter, "%s/*", grids[i]);
        options.filter = filter;
        whole.n = 0;
        list(&whole);
        options.filter = NULL;
        parts.n = 0;
        options.on_case = take_name;
        options.cookie = &parts;
        run(grids[i]);
        options.on_case = NULL;
        ck_assert_uint_eq(parts.n, results.n_cases);
        ck_assert_uint_eq(parts.n, whole.n);
        for (size_t j = 0; j < whole.n; j++)
            ck_assert_str_eq(parts.text[j], whole.text[j]);
    }
}
END_TEST

START_TEST(shards_are_all_cases_and_no_case_twice)
{
    static const uint32_t counts[] = {1, 2, 7, 30};
    plant(OPEN_FAILS, 0);
    whole.n = 0;
    list(&whole);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t least = SIZE_MAX, most = 0;
        parts.n = 0;
        options.n_shards = counts[i];
        for (options.shard = 0; options.shard < counts[i]; options.shard++) {
            size_t before = parts.n;
            list(&parts);
            least = parts.n - before < least ? parts.n - before : least;
            most = parts.n - before > most ? parts.n - before : most;
        }
        ck_assert_uint_eq(parts.n, whole.n);
        for (size_t j = 0; j < whole.n; j++)
            ck_assert_msg(contains(&parts, whole.text[j]), "in no shard: %s", whole.text[j]);
        ck_assert_uint_le(most - least, 1);
    }
}
END_TEST

START_TEST(a_shard_that_runs_gives_its_part)
{
    size_t n = 0;
    plant(HONEST, 0);
    mv_summary all = run("decode_vs_prefill");
    options.n_shards = 4;
    for (options.shard = 0; options.shard < 4; options.shard++) {
        mv_summary summary = run("decode_vs_prefill");
        ck_assert_int_eq(summary.verdict, MV_VERDICT_PASS);
        n += summary.n_passed;
    }
    ck_assert_uint_eq(n, all.n_passed);
}
END_TEST

START_TEST(a_filter_takes_what_its_glob_matches)
{
    static const char *const globs[] = {"chunking/*", "*/window 4 *",    "*whole",
                                        "*/*",        "ring/*[13]",      "nothing",
                                        "*decode*",   "window/*, ?hunks"};
    plant(OPEN_FAILS, 0);
    whole.n = 0;
    list(&whole);
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++) {
        size_t n_expected = 0;
        options.filter = globs[i];
        parts.n = 0;
        list(&parts);
        for (size_t j = 0; j < whole.n; j++) {
            bool wanted = fnmatch(globs[i], whole.text[j], 0) == 0;
            n_expected += wanted;
            ck_assert_msg(wanted == contains(&parts, whole.text[j]), "'%s' and %s", globs[i],
                          whole.text[j]);
        }
        ck_assert_uint_eq(parts.n, n_expected);
    }
    plant(HONEST, 0);
    options.filter = "nothing";
    ck_assert_int_eq(run("chunking").verdict, MV_VERDICT_VACUOUS);
    ck_assert_uint_eq(results.n_cases, 0);
}
END_TEST

/* ---- schedules ---- */

static void prints(const mv_schedule *schedule, size_t size, const char *expected)
{
    char text[64];
    ck_assert_uint_le(size, sizeof text);
    mv_schedule_print(schedule, text, size);
    ck_assert_str_eq(text, expected);
}

START_TEST(a_schedule_is_printed_as_people_write_it_and_cut_in_time)
{
    mv_schedule schedule = {0};
    prints(&schedule, 8, "");
    mv_schedule_add_chunks(&schedule, 0, 11, 5);
    prints(&schedule, 64, "5,5,1");
    mv_schedule_add_chunks(&schedule, 0, 0, 5);
    mv_schedule_add_chunks(&schedule, 0, 7, 0);
    mv_schedule_add_chunks(&schedule, 0, 3, 9);
    prints(&schedule, 64, "5,5,1,7,3");
    mv_schedule_add_chunks(&schedule, 0, 100, 1);
    prints(&schedule, 16, "5,5,1,7,3,1...");
    mv_step *step = mv_schedule_add(&schedule, MV_STEP_FORWARD);
    step->n_parts = 2;
    step->parts[0] = (mv_part){0, 5};
    step->parts[1] = (mv_part){1, 3};
    prints(&schedule, 16, "0:5,0:5,0:1...");
    mv_schedule_free(&schedule);
    ck_assert_uint_eq(schedule.n_steps, 0);

    mv_schedule_add_stale(&schedule, 0, 7, 4);
    mv_schedule_add_call(&schedule, 0, 2);
    prints(&schedule, 64, "other4,other3,reset0,2");
    ck_assert_int_eq(schedule.steps[0].which, MV_LOGITS_NONE);
    ck_assert(schedule.steps[1].foreign);
    ck_assert_int_eq(schedule.steps[3].which, MV_LOGITS_ALL);
    mv_schedule_free(&schedule);
}
END_TEST

static Suite *cases_suite(void)
{
    Suite *suite = suite_create("suites_cases");
    TCase *one = tcase_create("cases");
    tcase_add_checked_fixture(one, set_up, tear_down);
    tcase_set_timeout(one, 60);
    suite_add_tcase(suite, one);
    tcase_add_test(one, listing_names_each_case_once_and_runs_no_engine);
    tcase_add_test(one, what_is_listed_is_what_runs);
    tcase_add_test(one, shards_are_all_cases_and_no_case_twice);
    tcase_add_test(one, a_shard_that_runs_gives_its_part);
    tcase_add_test(one, a_filter_takes_what_its_glob_matches);
    tcase_add_test(one, a_schedule_is_printed_as_people_write_it_and_cut_in_time);
    return suite;
}

MV_TEST_MAIN(cases_suite)
