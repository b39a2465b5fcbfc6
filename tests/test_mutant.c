/* The mutant backend: its list is sound, and its door. That the bugs are really there is
 * test_mutant_bugs.c's and test_mutant_elsewhere.c's matter; that the suites kill them is
 * mistral-verify's own --self-test.
 */
#include "tests/mutant_fixture.h"

enum { MIN_BUGS = 60, MIN_BENIGN = 8 };

static size_t count(const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++)
        n += is_kind(&rows[i], kind);
    return n;
}

/* ---- the list is sound ---- */

START_TEST(has_sixty_bugs_and_eight_harmless_variants)
{
    ck_assert_uint_ge(count("bug"), MIN_BUGS);
    ck_assert_uint_ge(count("benign"), MIN_BENIGN);
    ck_assert_uint_ge(count("equivalent"), 2);
    ck_assert_uint_ge(count("claim"), 4); /* one for each claim */
    ck_assert_uint_eq(count("bug") + count("claim") + count("benign") + count("equivalent"),
                      n_rows);
}
END_TEST

START_TEST(names_each_mutant_once_and_says_what_it_imitates)
{
    for (size_t i = 0; i < n_rows; i++) {
        ck_assert_msg(rows[i].imitates[0] != '\0', "%s", rows[i].name);
        ck_assert_msg(strlen(rows[i].imitates) < 159, "%s: too long for a report", rows[i].name);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(rows[i].name, rows[j].name);
    }
}
END_TEST

static bool is_suite(const char *name, size_t size)
{
    static const char *const suites[] = {
        "chunking",    "window",      "ring",      "decode_vs_prefill",
        "batching",    "determinism", "op_level",  "rope_long",
        "vocab_cover", "degenerate",  "canary",    "nonfinite",
        "cache_ops",   "gqa_map",     "alignment", "golden",
        "fuzz",        "generation",  "tiles"};
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        if (strlen(suites[i]) == size && strncmp(suites[i], name, size) == 0)
            return true;
    }
    return false;
}

START_TEST(names_for_each_bug_what_must_see_it)
{
    for (size_t i = 0; i < n_rows; i++) {
        for (const char *at = rows[i].expected; *at != '\0';) {
            size_t n = strcspn(at, ",");
            ck_assert_msg(is_suite(at, strcspn(at, ",/")), "%s: unknown suite in '%s'",
                          rows[i].name, rows[i].expected);
            at += n + (at[n] == ',' ? 1 : 0);
        }
        bool is_wrong = is_kind(&rows[i], "bug") || is_kind(&rows[i], "claim");
        ck_assert_msg((rows[i].expected[0] != '\0') == is_wrong, "%s (%s): '%s'", rows[i].name,
                      rows[i].kind, rows[i].expected);
    }
}
END_TEST

/* ---- the door ---- */

START_TEST(claims_nothing)
{
    ck_assert_uint_eq(mv_backend_claims(mutant), 0);
    for (int compute = MV_COMPUTE_F32; compute <= MV_COMPUTE_F64; compute++)
        ck_assert(mv_backend_has_compute(mutant, (mv_compute)compute));
}
END_TEST

static const struct {
    mv_option option;
    const char *fragment;
} refused[] = {
    {{"mutant", "window_pluss_1"}, "is named 'window_pluss_1'; the nearest are window_plus_1, "},
    {{"mutant", ""}, "is named ''; the nearest are "},
    {{"layer", "4"}, "option layer: expected 0 ... 3, found '4'"},
    {{"layer", "-1"}, "expected 0 ... 3, found '-1'"},
    {{"layer", "1x"}, "expected 0 ... 3, found '1x'"},
    {{"layer", ""}, "expected 0 ... 3, found ''"},
    {{"bug", "rope"}, "unknown option 'bug'; known: mutant=NAME, layer=N, poison="},
    {{"poison", "much"}, "option poison: expected a number, found 'much'"},
};

START_TEST(refuses_an_option_that_it_does_not_know)
{
    const mv_engine_options o = {.struct_size = sizeof o,
                                 .max_sequences = 1,
                                 .max_positions = 4,
                                 .max_batch_tokens = 4,
                                 .options = &refused[_i].option,
                                 .n_options = 1};
    mv_engine *engine = NULL;
    ck_assert_int_eq(mutant->open(&engine, &view, &o, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, refused[_i].fragment) != NULL, "expected '%s' in: %s",
                  refused[_i].fragment, error.message);
    ck_assert_ptr_null(engine);
}
END_TEST

static Suite *mutant_suite(void)
{
    Suite *suite = suite_create("mutant");
    TCase *list = tcase_create("list"), *door = tcase_create("door");
    tcase_add_checked_fixture(list, set_up, tear_down);
    tcase_add_checked_fixture(door, set_up, tear_down);
    tcase_add_test(list, has_sixty_bugs_and_eight_harmless_variants);
    tcase_add_test(list, names_each_mutant_once_and_says_what_it_imitates);
    tcase_add_test(list, names_for_each_bug_what_must_see_it);
    tcase_add_test(door, claims_nothing);
    tcase_add_loop_test(door, refuses_an_option_that_it_does_not_know, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    suite_add_tcase(suite, list);
    suite_add_tcase(suite, door);
    return suite;
}

MV_TEST_MAIN(mutant_suite)
