/* What the cuda backend promises beyond the suites, on its emulated device: graphs and pieces that
 * change nothing, a ring that has long wrapped, exact counts, memory, and refusals that say what
 * there is. */
#include <math.h>
#include <string.h>

#include "harness/model.h"
#include "tests/test_main.h"

enum { T = 150, WINDOW = 11, MOST_VOCAB = 1024 };

static mv_model *model;
static mv_model_view view;
static mv_error error;
static float first[T * MOST_VOCAB], second[T * MOST_VOCAB];

static void open_model(void)
{
    ck_assert_msg(mv_model_open(&model, "synthetic:probe,n_layers=2", &error) == MV_OK, "%s",
                  error.message);
    view = *mv_model_get_view(model);
    view.params.sliding_window = WINDOW;
    ck_assert_uint_le(view.params.vocab_size, MOST_VOCAB);
}

static void close_model(void)
{
    mv_model_close(&model);
}

static mv_engine_options announced(mv_compute compute, const mv_option *option)
{
    return (mv_engine_options){.struct_size = sizeof(mv_engine_options),
                               .compute = compute,
                               .max_sequences = 2,
                               .max_positions = T,
                               .max_batch_tokens = T,
                               .options = option,
                               .n_options = option != NULL ? 1 : 0};
}

static mv_engine *open_engine(mv_compute compute, const mv_option *option)
{
    const mv_engine_options options = announced(compute, option);
    mv_engine *engine = NULL;
    ck_assert_msg(mv_backend_get()->open(&engine, &view, &options, &error) == MV_OK, "%s",
                  error.message);
    return engine;
}

/* All logits of T tokens of sequence 1, `chunk` a call. */
static void run(mv_engine *engine, float *logits, uint32_t chunk)
{
    const uint32_t sequence = 1;
    int32_t tokens[T];
    for (int i = 0; i < T; i++)
        tokens[i] = i * 37 % (int)view.params.vocab_size;
    for (uint32_t at = 0; at < T; at += chunk) {
        const uint32_t n = T - at < chunk ? T - at : chunk;
        const mv_batch batch = {sizeof batch, 1, &sequence, &n, tokens + at};
        const mv_code code = mv_backend_get()->forward(
            engine, &batch, MV_LOGITS_ALL, logits + (size_t)at * view.params.vocab_size, &error);
        ck_assert_msg(code == MV_OK, "%s", error.message);
    }
}

static void run_new(float *logits, mv_compute compute, uint32_t chunk, const mv_option *option)
{
    mv_engine *engine = open_engine(compute, option);
    run(engine, logits, chunk);
    mv_backend_get()->close(engine);
}

static double distance(const float *a, const float *b)
{
    const size_t n = (size_t)T * view.params.vocab_size;
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)a[i] * (double)a[i];
    }
    return sqrt(difference / size);
}

/* The second means something on a GPU only (tools/gpu_check.sh). */
START_TEST(graphs_and_kernels_that_overlap_change_no_bit)
{
    const mv_option options[] = {{"graphs", "0"}, {"pdl", "1"}};
    const size_t size = (size_t)T * view.params.vocab_size * sizeof *first;
    for (int compute = 0; compute < 2; compute++) {
        run_new(first, (mv_compute)compute, 3, NULL);
        for (size_t i = 0; i < 2; i++) {
            run_new(second, (mv_compute)compute, 3, &options[i]);
            ck_assert_msg(memcmp(first, second, size) == 0, "compute %d, %s=%s", compute,
                          options[i].key, options[i].value);
        }
    }
}
END_TEST

START_TEST(few_rows_give_the_same_bits_however_they_are_cut)
{
    const size_t size = (size_t)T * view.params.vocab_size * sizeof *first;
    run_new(first, MV_COMPUTE_BF16, 1, NULL);
    for (uint32_t chunk = 2; chunk <= 8; chunk += 3) {
        run_new(second, MV_COMPUTE_BF16, chunk, NULL);
        ck_assert_msg(memcmp(first, second, size) == 0, "chunk %u", chunk);
    }
}
END_TEST

/* With 16 rows at a time the ring has 64 slots for 150 positions; with all, none is used twice. */
START_TEST(pieces_and_a_ring_that_wraps_change_only_the_order_of_sums)
{
    const mv_option pieces[] = {{"piece", "16"}, {"piece", "7"}, {"piece", "1"}};
    for (int compute = 0; compute < 2; compute++) {
        const double bound = compute == 0 ? 1e-5 : 2e-2;
        run_new(first, (mv_compute)compute, T, NULL);
        for (size_t i = 0; i < 3; i++) {
            run_new(second, (mv_compute)compute, T, &pieces[i]);
            ck_assert_msg(distance(first, second) <= bound, "compute %d, piece %s: %g", compute,
                          pieces[i].value, distance(first, second));
        }
    }
}
END_TEST

START_TEST(a_sequence_that_starts_again_gives_the_same_bits)
{
    const mv_option piece = {"piece", "16"};
    const size_t size = (size_t)T * view.params.vocab_size * sizeof *first;
    mv_engine *engine = open_engine(MV_COMPUTE_BF16, &piece);
    run(engine, first, 20);
    ck_assert_int_eq(mv_backend_get()->reset(engine, 1, &error), MV_OK);
    run(engine, second, 20);
    ck_assert(memcmp(first, second, size) == 0);
    mv_backend_get()->close(engine);
}
END_TEST

static mv_tap_action replace_nothing(void *cookie, const mv_tap *tap)
{
    (void)tap;
    ++*(int *)cookie;
    return MV_TAP_REPLACED; /* by what it is */
}

START_TEST(taps_show_all_tensors_and_what_is_put_back_goes_on)
{
    const size_t size = (size_t)T * view.params.vocab_size * sizeof *first;
    mv_engine *engine = open_engine(MV_COMPUTE_F32, NULL);
    int n_shown = 0;
    run(engine, first, T);
    ck_assert_int_eq(mv_backend_get()->reset(engine, 1, &error), MV_OK);
    ck_assert_int_eq(mv_backend_get()->set_tap(engine, replace_nothing, &n_shown, &error), MV_OK);
    run(engine, second, T);
    ck_assert_int_eq(n_shown, 3 + 12 * (int)view.params.n_layers);
    ck_assert(distance(first, second) <= 1e-6);
    ck_assert_int_eq(mv_backend_get()->set_tap(engine, NULL, NULL, &error), MV_OK);
    ck_assert_int_eq(mv_backend_get()->reset(engine, 1, &error), MV_OK);
    run(engine, second, T);
    ck_assert(memcmp(first, second, size) == 0);
    mv_backend_get()->close(engine);
}
END_TEST

/* Tokens at ... at + n - 1 of sequence 1, of which some rows are wanted. */
static void feed(mv_engine *engine, uint32_t at, uint32_t n, mv_logits which, float *logits)
{
    const uint32_t sequence = 1;
    int32_t tokens[T];
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((at + i) * 37 % view.params.vocab_size);
    const mv_batch batch = {sizeof batch, 1, &sequence, &n, tokens};
    const mv_code code = mv_backend_get()->forward(engine, &batch, which, logits, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
}

/* The last layer makes keys and values of all rows, and the rest of those that are wanted. */
START_TEST(rows_that_nobody_asked_for_are_still_seen_by_those_that_come_later)
{
    const mv_option pieces[] = {{"piece", "150"}, {"piece", "16"}};
    const size_t V = view.params.vocab_size;
    for (int compute = 0; compute < 2; compute++) {
        const double bound = compute == 0 ? 1e-5 : 2e-2;
        run_new(first, (mv_compute)compute, T, NULL);
        for (size_t i = 0; i < 2; i++) {
            mv_engine *engine = open_engine((mv_compute)compute, &pieces[i]);
            memcpy(second, first, sizeof second);
            feed(engine, 0, 60, MV_LOGITS_NONE, NULL);
            feed(engine, 60, 30, MV_LOGITS_LAST, second + 89 * V);
            feed(engine, 90, 60, MV_LOGITS_ALL, second + 90 * V);
            ck_assert_msg(distance(first, second) <= bound, "compute %d, piece %s: %g", compute,
                          pieces[i].value, distance(first, second));
            mv_backend_get()->close(engine);
        }
    }
}
END_TEST

START_TEST(work_of_the_last_layer_is_counted_for_the_rows_that_it_is_done_for)
{
    const mv_params *p = &view.params;
    const uint64_t kv = 2ull * p->dim * p->head_dim * p->n_kv_heads;
    const uint64_t rest =
        2ull * p->dim * p->head_dim * p->n_heads + (uint64_t)p->dim * p->hidden_dim * 3;
    const mv_logits asked[] = {MV_LOGITS_NONE, MV_LOGITS_LAST};
    uint64_t pairs = 0;
    for (uint64_t i = 0; i < T; i++)
        pairs += i + 1 < WINDOW ? i + 1 : WINDOW;
    for (uint64_t n = 0; n < 2; n++) {
        mv_work work = {.struct_size = sizeof work};
        mv_engine *engine = open_engine(MV_COMPUTE_F32, NULL);
        feed(engine, 0, T, asked[n], first);
        mv_backend_get()->work(engine, &work, 1);
        ck_assert_uint_eq(work.linear_multiply_adds,
                          (kv * T + rest * T) * (p->n_layers - 1) + kv * T + rest * n);
        ck_assert_uint_eq(work.attention_pairs,
                          (pairs * (p->n_layers - 1) + n * WINDOW) * p->n_heads);
        ck_assert_uint_eq(work.output_multiply_adds, n * p->dim * p->vocab_size);
        mv_backend_get()->close(engine);
    }
}
END_TEST

START_TEST(in_f32_exactly_the_pairs_in_the_window_are_executed)
{
    const mv_params *p = &view.params;
    const uint32_t chunks[] = {1, 7, 16, T};
    uint64_t pairs = 0, linear = (uint64_t)p->dim * p->hidden_dim * 3;
    linear += 2ull * p->dim * p->head_dim * (p->n_heads + p->n_kv_heads);
    for (uint64_t i = 0; i < T; i++)
        pairs += i + 1 < WINDOW ? i + 1 : WINDOW;
    for (size_t i = 0; i < 4; i++) {
        mv_work work = {.struct_size = sizeof work};
        mv_engine *engine = open_engine(MV_COMPUTE_F32, NULL);
        run(engine, first, chunks[i]);
        mv_backend_get()->work(engine, &work, 1);
        ck_assert_uint_eq(work.attention_pairs, pairs * p->n_heads * p->n_layers);
        ck_assert_uint_eq(work.attention_multiply_adds, 2 * p->head_dim * work.attention_pairs);
        ck_assert_uint_eq(work.linear_multiply_adds, linear * p->n_layers * T);
        ck_assert_uint_eq(work.output_multiply_adds, (uint64_t)p->dim * p->vocab_size * T);
        ck_assert_uint_eq(work.allocations, 0);
        mv_backend_get()->work(engine, &work, 0);
        ck_assert_uint_eq(work.linear_multiply_adds, 0);
        mv_backend_get()->close(engine);
    }
}
END_TEST

START_TEST(the_cache_is_as_large_as_window_and_piece_need)
{
    const mv_params *p = &view.params;
    const mv_option piece = {"piece", "16"};
    mv_memory memory = {.struct_size = sizeof memory};
    mv_engine *engine = open_engine(MV_COMPUTE_BF16, &piece);
    mv_backend_get()->memory(engine, &memory);
    /* 11 + 16 positions, rounded up to 64; 2 sequences; keys and values of 2 bytes */
    ck_assert_uint_eq(memory.kv_cache_bytes,
                      64ull * 2 * 2 * 2 * p->n_layers * p->n_kv_heads * p->head_dim);
    ck_assert_uint_gt(memory.weights_bytes, 2ull * p->vocab_size * p->dim * 2);
    ck_assert_uint_gt(memory.scratch_bytes, 0);
    mv_backend_get()->close(engine);
}
END_TEST

static const struct {
    const char *key, *value;
    mv_compute compute;
    mv_code code;
    const char *fragment;
} refused[] = {
    {"colour", "red", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "unknown option 'colour'; known: device="},
    {"graphs", "yes", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "option graphs=yes: expected 0 or 1"},
    {"pdl", "2", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected 0 or 1"},
    {"piece", "0", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected a number of rows"},
    {"tune", "17", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected a number of algorithms, 0 ... 16"},
    {"piece", "9x", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected a number of rows"},
    {"device", "-1", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected a number from 0 on"},
    {"device", "99", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "device=99: expected"},
    {"graphs", "0", MV_COMPUTE_F64, MV_ERR_UNSUPPORTED, "f32 or bf16"}};

START_TEST(refuses_with_what_there_is)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const mv_option option = {refused[i].key, refused[i].value};
        const mv_engine_options options = announced(refused[i].compute, &option);
        mv_engine *engine = NULL;
        error.message[0] = '\0';
        ck_assert_int_eq(mv_backend_get()->open(&engine, &view, &options, &error), refused[i].code);
        ck_assert_msg(strstr(error.message, refused[i].fragment) != NULL, "%s", error.message);
        ck_assert_ptr_null(engine);
    }
}
END_TEST

START_TEST(says_with_numbers_that_memory_will_not_do)
{
    mv_engine_options options = announced(MV_COMPUTE_F32, NULL);
    mv_engine *engine = NULL;
    view.params.sliding_window = 0;
    options.max_sequences = 1000000;
    options.max_positions = 1000000;
    ck_assert_int_eq(mv_backend_get()->open(&engine, &view, &options, &error), MV_ERR_MEMORY);
    ck_assert_msg(strstr(error.message, "GiB are free") != NULL, "%s", error.message);
    options.max_sequences = options.max_positions = UINT32_MAX; /* more than 64 bits can say */
    ck_assert_int_eq(mv_backend_get()->open(&engine, &view, &options, &error), MV_ERR_MEMORY);
}
END_TEST

START_TEST(truncates_while_the_ring_has_what_is_needed)
{
    enum { N = 100 };
    const mv_backend *cuda = mv_backend_get();
    const mv_option piece = {"piece", "16"};
    const uint32_t sequence = 0, n = N;
    const int32_t tokens[N] = {1, 2, 3};
    const mv_batch batch = {sizeof batch, 1, &sequence, &n, tokens};
    mv_engine *engine = open_engine(MV_COMPUTE_F32, &piece); /* 64 slots: positions 36 ... 99 */
    ck_assert_int_eq(cuda->forward(engine, &batch, MV_LOGITS_NONE, NULL, &error), MV_OK);
    ck_assert_int_eq(cuda->truncate(engine, 0, N + 1, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(cuda->truncate(engine, 0, 46, &error), MV_OK); /* needs 36 ... 46 */
    ck_assert_int_eq(cuda->truncate(engine, 0, 45, &error), MV_ERR_UNSUPPORTED);
    ck_assert_int_eq(cuda->truncate(engine, 2, 0, &error), MV_ERR_ARGUMENT);
    cuda->close(engine);
}
END_TEST

static Suite *cuda_engine_suite(void)
{
    Suite *suite = suite_create("cuda_engine");
    TCase *tcase = tcase_create("engine");
    tcase_set_timeout(tcase, 240);
    tcase_add_checked_fixture(tcase, open_model, close_model);
    tcase_add_test(tcase, graphs_and_kernels_that_overlap_change_no_bit);
    tcase_add_test(tcase, few_rows_give_the_same_bits_however_they_are_cut);
    tcase_add_test(tcase, pieces_and_a_ring_that_wraps_change_only_the_order_of_sums);
    tcase_add_test(tcase, a_sequence_that_starts_again_gives_the_same_bits);
    tcase_add_test(tcase, taps_show_all_tensors_and_what_is_put_back_goes_on);
    tcase_add_test(tcase, in_f32_exactly_the_pairs_in_the_window_are_executed);
    tcase_add_test(tcase, rows_that_nobody_asked_for_are_still_seen_by_those_that_come_later);
    tcase_add_test(tcase, work_of_the_last_layer_is_counted_for_the_rows_that_it_is_done_for);
    tcase_add_test(tcase, the_cache_is_as_large_as_window_and_piece_need);
    tcase_add_test(tcase, refuses_with_what_there_is);
    tcase_add_test(tcase, says_with_numbers_that_memory_will_not_do);
    tcase_add_test(tcase, truncates_while_the_ring_has_what_is_needed);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(cuda_engine_suite)
