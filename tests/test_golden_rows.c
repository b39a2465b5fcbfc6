/* Two goldens compared; others' values; what is kept of a row, and how large a file is. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/synthetic.h"
#include "tests/golden_fixture.h"
#include "tests/test_main.h"

static mv_error error;
static const char *path, *other;
static mv_model *model;
static mv_golden *golden;

static void set_up(void)
{
    fixture_set_up();
    path = fixture.path;
    other = fixture.other;
    model = fixture.model;
    golden = fixture.golden;
}

/* ---- comparing ---- */

typedef struct seen {
    size_t n, n_different;
    double worst;
    char paths[1024];
} seen;

static void see(void *cookie, const mv_golden_difference *d)
{
    seen *s = cookie;
    s->n++;
    if (d->n_different == 0)
        return;
    s->n_different++;
    s->worst = d->relative > s->worst ? d->relative : s->worst;
    strncat(s->paths, d->path, sizeof s->paths - strlen(s->paths) - 1);
    strncat(s->paths, " ", sizeof s->paths - strlen(s->paths) - 1);
}

START_TEST(compares_two_goldens_dataset_by_dataset)
{
    mv_golden *same = fixture_accepted(path);
    seen s = {0};
    mv_golden_diff(golden, same, see, &s);
    ck_assert_uint_eq(s.n, 1 + 2 * 5);
    ck_assert_uint_eq(s.n_different, 0);

    same->cases[1].oracle[7] += 1e-6;
    same->cases[0].lse[3] += 1e-6;
    s = (seen){0};
    mv_golden_diff(golden, same, see, &s);
    ck_assert_str_eq(s.paths, "/cases/0000/logits/lse /cases/0001/logits/oracle ");
    ck_assert_double_gt(s.worst, 1e-9);
    ck_assert_double_lt(s.worst, 1e-5);

    same->cases[0].tokens[2] ^= 1; /* then logits say nothing */
    same->params.rope_theta = 1e6;
    s = (seen){0};
    mv_golden_diff(golden, same, see, &s);
    ck_assert_str_eq(s.paths, "/model@rope_theta /cases/0000/tokens /cases/0001/logits/oracle ");
    mv_golden_close(&same);
}
END_TEST

/* ---- what others made ---- */

/* Transformers' golden of a model, and ours of the same tokens. */
static void agrees_with_transformers(const char *spec, const char *name)
{
    char shipped[512];
    seen s = {0};
    snprintf(shipped, sizeof shipped, MV_SOURCE_ROOT "/golden/data/%s.h5", name);
    mv_golden *theirs = fixture_accepted(shipped), *ours = NULL;
    mv_model *its = fixture_model(spec);
    const mv_model_view *view = mv_model_get_view(its);
    mv_code code = mv_golden_match(theirs, shipped, view, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_int_eq(mv_golden_new(&ours, view, spec, &error), MV_OK);
    for (size_t i = 0; i < theirs->n_cases; i++) {
        const mv_golden_case *one = &theirs->cases[i];
        mv_range positions = {.n = 0};
        for (size_t j = 0; j < one->n_positions; j++)
            mv_range_add(&positions, one->positions[j], 0, INT32_MAX);
        const mv_golden_plan plan = {.name = one->name,
                                     .tokens = one->tokens,
                                     .n_tokens = one->n_tokens,
                                     .window = one->window,
                                     .chunk = 13,
                                     .positions = &positions,
                                     .n_threads = 1};
        ck_assert_uint_ge(one->n_tokens, 3 * (size_t)one->window + 1);
        ck_assert_int_eq(mv_golden_record(ours, fixture_reference(), view, &plan, &error), MV_OK);
    }
    mv_golden_diff(theirs, ours, see, &s);
    ck_assert_uint_ge(s.n, 1 + theirs->n_cases * 5);
    ck_assert_msg(strstr(s.paths, "top_ids") == NULL, "%s: other largest logits: %s", name,
                  s.paths);
    /* Sketches are kept as float32: half of its last bit. */
    ck_assert_msg(s.worst <= 1e-7, "%s: relative RMSE %.3g: %s", name, s.worst, s.paths);
    mv_golden_case *first = &theirs->cases[1], *mine = &ours->cases[1];
    double square = 0, size = 0;
    for (size_t i = 0, j = 0; i < first->n_positions; i++, j++) {
        for (; mine->positions[j] < first->positions[i]; j++)
            ;
        for (size_t v = 0; v < view->params.vocab_size; v++) {
            const double a = first->oracle[i * view->params.vocab_size + v],
                         b = mine->oracle[j * view->params.vocab_size + v];
            square += (a - b) * (a - b);
            size += a * a;
        }
    }
    printf("# %s: reference f64 against Transformers: relative RMSE %.3g\n", name,
           sqrt(square / size));
    ck_assert_double_le(sqrt(square / size), 1e-12);
    mv_golden_close(&theirs);
    mv_golden_close(&ours);
    mv_model_close(&its);
}

START_TEST(is_transformers_to_rounding_on_the_probe)
{
    agrees_with_transformers("synthetic:probe", "probe");
}
END_TEST

START_TEST(is_transformers_to_rounding_on_the_small_model)
{
    agrees_with_transformers(MV_TEST_DATA "/golden_small", "golden_small");
}
END_TEST

/* ---- what is kept of a row ---- */

enum { COLUMNS = 1000 };

static void random_row(double row[COLUMNS], uint64_t stream)
{
    for (size_t v = 0; v < COLUMNS; v++)
        row[v] = (double)(int64_t)mv_synthetic_bits(5, stream, v) * 0x1p-62;
}

/* The definition: each number is the sum of the row with signs, all of them written out. */
START_TEST(sketches_with_the_signs_that_are_documented)
{
    double row[COLUMNS];
    mv_sketch sketch;
    mv_row_summary summary;
    random_row(row, 1);
    ck_assert_int_eq(mv_sketch_make(&sketch, COLUMNS, 9, &error), MV_OK);
    mv_row_summarise(&summary, &sketch, row);
    for (unsigned i = 0; i < MV_SKETCH_SIZE; i++) {
        double sum = 0;
        for (size_t v = 0; v < COLUMNS; v++) {
            /* The stream is the FNV-1a hash of "sketch". */
            const uint64_t bits = mv_synthetic_bits(9, 0x49a8bb6aaccd2549u, v);
            const unsigned byte = (unsigned)(bits >> (8 * (i / 16))) & 0xff;
            const int n = __builtin_popcount((i % 16) & byte & 15) + ((byte >> 4) & 1 ? 1 : 0);
            sum += n % 2 == 0 ? row[v] : -row[v];
        }
        ck_assert_double_eq_tol(summary.sketch[i], sum, 1e-11);
    }
    mv_sketch_free(&sketch);
}
END_TEST

START_TEST(estimates_a_distance_from_two_sketches)
{
    double row[COLUMNS], moved[COLUMNS], noise[COLUMNS], square = 0;
    mv_sketch sketch;
    mv_row_summary a, b;
    random_row(row, 1);
    ck_assert_int_eq(mv_sketch_make(&sketch, COLUMNS, MV_SKETCH_SEED, &error), MV_OK);
    mv_row_summarise(&a, &sketch, row);
    double mean = 0;
    for (uint64_t trial = 0; trial < 100; trial++) {
        double exact = 0;
        random_row(noise, 100 + trial);
        for (size_t v = 0; v < COLUMNS; v++) {
            moved[v] = row[v] + 1e-6 * noise[v];
            exact += 1e-12 * noise[v] * noise[v];
        }
        mv_row_summarise(&b, &sketch, moved);
        square = 0;
        for (size_t i = 0; i < MV_SKETCH_SIZE; i++)
            square += (a.sketch[i] - b.sketch[i]) * (a.sketch[i] - b.sketch[i]) / MV_SKETCH_SIZE;
        mean += square / exact / 100;
        ck_assert_double_gt(square, 0.3 * exact); /* its standard deviation is 18% */
        ck_assert_double_lt(square, 2.0 * exact);
    }
    ck_assert_double_eq_tol(mean, 1, 0.1);

    memcpy(moved, row, sizeof row); /* one logit moves all 64 numbers by as much */
    moved[777] += 0.25;
    mv_row_summarise(&b, &sketch, moved);
    for (size_t i = 0; i < MV_SKETCH_SIZE; i++)
        ck_assert_double_eq_tol(fabs(a.sketch[i] - b.sketch[i]), 0.25, 1e-12);
    mv_sketch_free(&sketch);
}
END_TEST

START_TEST(sees_two_logits_that_changed_places)
{
    double row[COLUMNS];
    mv_sketch sketch;
    mv_row_summary a, b;
    random_row(row, 1);
    ck_assert_int_eq(mv_sketch_make(&sketch, COLUMNS, MV_SKETCH_SEED, &error), MV_OK);
    mv_row_summarise(&a, &sketch, row);
    for (size_t v = 0; v + 1 < COLUMNS; v++) {
        const double kept = row[v];
        row[v] = row[v + 1];
        row[v + 1] = kept;
        mv_row_summarise(&b, &sketch, row);
        double most = 0;
        for (size_t i = 0; i < MV_SKETCH_SIZE; i++)
            most = fmax(most, fabs(a.sketch[i] - b.sketch[i]));
        ck_assert_double_ge(most, 1.9 * fabs(row[v] - row[v + 1]));
        row[v + 1] = row[v];
        row[v] = kept;
    }
    mv_sketch_free(&sketch);
}
END_TEST

START_TEST(keeps_the_largest_logits_and_the_log_sum_exp)
{
    double row[COLUMNS], sum = 0;
    float narrow[COLUMNS];
    mv_sketch sketch;
    mv_row_summary summary, again;
    random_row(row, 2);
    row[3] = row[500] = row[999] = 7; /* equal ones: the lowest id first */
    row[998] = 8;
    for (size_t v = 0; v < COLUMNS; v++) {
        narrow[v] = (float)row[v];
        sum += exp(row[v]);
    }
    ck_assert_int_eq(mv_sketch_make(&sketch, COLUMNS, 1, &error), MV_OK);
    mv_row_summarise(&summary, &sketch, row);
    static const int32_t first[] = {998, 3, 500, 999};
    ck_assert_mem_eq(summary.top_ids, first, sizeof first);
    ck_assert_double_eq_tol(summary.lse, log(sum), 1e-12);
    for (size_t i = 1; i < MV_GOLDEN_TOP; i++) {
        size_t n_above = 0;
        for (size_t v = 0; v < COLUMNS; v++)
            n_above += row[v] > summary.top_values[i];
        ck_assert_uint_le(n_above, i);
        ck_assert_double_eq(row[summary.top_ids[i]], summary.top_values[i]);
    }
    mv_rows_summarise(&again, &sketch, narrow, 1);
    ck_assert_mem_eq(again.top_ids, summary.top_ids, sizeof first);
    ck_assert_double_eq_tol(again.lse, summary.lse, 1e-6);
    narrow[17] = NAN; /* is nowhere hidden */
    mv_rows_summarise(&again, &sketch, narrow, 1);
    ck_assert(isnan(again.lse));
    ck_assert(isnan(again.sketch[0]));
    mv_sketch_free(&sketch);
}
END_TEST

/* ---- size ---- */

static double values_bytes(double n_tokens, double n_rows, double vocab_size)
{
    const double a_token = 4 + MV_SKETCH_SIZE * 4 + MV_GOLDEN_TOP * (4 + 8) + 8;
    return n_tokens * a_token + n_rows * (8 + vocab_size * 8);
}

/* Measured on a short prompt; what is not values does not grow with it, but for 4 bytes a MiB. */
START_TEST(takes_less_than_8_mb_for_4096_tokens_of_a_vocabulary_of_32000)
{
    enum { TOKENS = 150, VOCAB = 32000 };
    mv_model *wide =
        fixture_model("synthetic:probe,dim=8,n_layers=1,head_dim=4,hidden_dim=8,n_heads=2,"
                      "n_kv_heads=1,vocab_size=32000");
    mv_golden *measured = NULL;
    int32_t tokens[TOKENS];
    const mv_golden_plan plan = {.name = "window 64",
                                 .tokens = tokens,
                                 .n_tokens = TOKENS,
                                 .window = 64,
                                 .chunk = 61,
                                 .n_threads = 2};
    mv_synthetic_tokens(tokens, TOKENS, VOCAB, 1);
    ck_assert_int_eq(mv_golden_new(&measured, mv_model_get_view(wide), "wide", &error), MV_OK);
    ck_assert_int_eq(
        mv_golden_record(measured, fixture_reference(), mv_model_get_view(wide), &plan, &error),
        MV_OK);
    ck_assert_int_eq(mv_golden_write(measured, other, &error), MV_OK);
    struct stat info;
    ck_assert_int_eq(stat(other, &info), 0);
    const double rest =
        (double)info.st_size - values_bytes(TOKENS, (double)measured->cases[0].n_positions, VOCAB);
    printf("# beside the values: %.0f bytes; 4096 tokens with 16 rows: %.2f MB\n", rest,
           (values_bytes(4096, 16, VOCAB) + rest) * 1e-6);
    ck_assert_double_gt(rest, 0);
    ck_assert_double_lt(rest, 40e3);
    ck_assert_double_lt(values_bytes(4096, 16, VOCAB) + 2 * rest, 8e6);
    mv_golden_close(&measured);
    mv_model_close(&wide);
}
END_TEST

static Suite *golden_rows_suite(void)
{
    Suite *suite = suite_create("golden_rows");
    TCase *tests = tcase_create("golden_rows");
    tcase_add_checked_fixture(tests, set_up, fixture_tear_down);
    tcase_set_timeout(tests, 110);
    tcase_add_test(tests, compares_two_goldens_dataset_by_dataset);
    tcase_add_test(tests, is_transformers_to_rounding_on_the_probe);
    tcase_add_test(tests, is_transformers_to_rounding_on_the_small_model);
    tcase_add_test(tests, sketches_with_the_signs_that_are_documented);
    tcase_add_test(tests, estimates_a_distance_from_two_sketches);
    tcase_add_test(tests, sees_two_logits_that_changed_places);
    tcase_add_test(tests, keeps_the_largest_logits_and_the_log_sum_exp);
    tcase_add_test(tests, takes_less_than_8_mb_for_4096_tokens_of_a_vocabulary_of_32000);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(golden_rows_suite)
