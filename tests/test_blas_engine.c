/* What the blas backend promises beyond the suites: bits that do not depend on threads, slots that
 * are never read, exact counts, and refusals that say what there is. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/model.h"
#include "tests/test_main.h"

enum { T = 70, WINDOW = 11, MOST_VOCAB = 4096 };

static mv_model *model;
static mv_model_view view;
static mv_error error;
static float first[T * MOST_VOCAB], second[T * MOST_VOCAB];

static void open_model(void)
{
    ck_assert_msg(mv_model_open(&model, "synthetic:probe", &error) == MV_OK, "%s", error.message);
    view = *mv_model_get_view(model);
    view.params.sliding_window = WINDOW;
    ck_assert_uint_le(view.params.vocab_size, MOST_VOCAB);
}

static void close_model(void)
{
    mv_model_close(&model);
}

static mv_engine_options announced(mv_compute compute, uint32_t n_threads, const mv_option *option)
{
    return (mv_engine_options){.struct_size = sizeof(mv_engine_options),
                               .compute = compute,
                               .n_threads = n_threads,
                               .max_sequences = 1,
                               .max_positions = T,
                               .max_batch_tokens = T,
                               .options = option,
                               .n_options = option != NULL ? 1 : 0};
}

/* Logits of T tokens, `chunk` a call: a call's rows come one after another. Returns their number.
 */
static size_t run(float *logits, mv_logits which, mv_compute compute, uint32_t n_threads,
                  uint32_t chunk, const mv_option *option, mv_work *work)
{
    const mv_backend *blas = mv_backend_get();
    const mv_engine_options options = announced(compute, n_threads, option);
    const uint32_t sequence = 0;
    int32_t tokens[T];
    size_t n_rows = 0;
    mv_engine *engine = NULL;
    for (int i = 0; i < T; i++)
        tokens[i] = i * 37 % (int)view.params.vocab_size;
    ck_assert_msg(blas->open(&engine, &view, &options, &error) == MV_OK, "%s", error.message);
    for (uint32_t at = 0; at < T; at += chunk) {
        uint32_t n = T - at < chunk ? T - at : chunk;
        mv_batch batch = {sizeof batch, 1, &sequence, &n, tokens + at};
        mv_code code =
            blas->forward(engine, &batch, which, logits + n_rows * view.params.vocab_size, &error);
        ck_assert_msg(code == MV_OK, "%s", error.message);
        n_rows += which == MV_LOGITS_ALL ? n : which == MV_LOGITS_LAST ? 1 : 0;
    }
    if (work != NULL)
        blas->work(engine, work, 0);
    blas->close(engine);
    return n_rows;
}

static const uint32_t chunks[] = {1, 7, T};

START_TEST(the_number_of_threads_changes_no_bit)
{
    const mv_logits which = (mv_logits)_i; /* ALL, LAST */
    const size_t row_bytes = view.params.vocab_size * sizeof *first;
    for (int compute = 0; compute < 2; compute++) {
        for (size_t i = 0; i < 3; i++) {
            run(first, which, (mv_compute)compute, 1, chunks[i], NULL, NULL);
            for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
                size_t n =
                    run(second, which, (mv_compute)compute, n_threads, chunks[i], NULL, NULL);
                ck_assert_msg(memcmp(first, second, n * row_bytes) == 0,
                              "compute %d, chunk %u, %u threads", compute, chunks[i], n_threads);
            }
        }
    }
}
END_TEST

START_TEST(slots_that_nothing_was_written_to_are_never_read)
{
    const mv_logits which = (mv_logits)_i; /* ALL, LAST */
    const mv_option poison = {"poison", "nan"};
    const size_t row_bytes = view.params.vocab_size * sizeof *first;
    for (int compute = 0; compute < 2; compute++) {
        for (size_t i = 0; i < 3; i++) {
            run(first, which, (mv_compute)compute, 2, chunks[i], NULL, NULL);
            size_t n = run(second, which, (mv_compute)compute, 2, chunks[i], &poison, NULL);
            ck_assert_msg(memcmp(first, second, n * row_bytes) == 0, "compute %d, chunk %u",
                          compute, chunks[i]);
        }
    }
}
END_TEST

START_TEST(exactly_the_pairs_in_the_window_are_executed)
{
    const mv_params *p = &view.params;
    uint64_t pairs = 0, linear = (uint64_t)p->dim * p->hidden_dim * 3;
    linear += 2ull * p->dim * p->head_dim * (p->n_heads + p->n_kv_heads);
    for (uint64_t i = 0; i < T; i++)
        pairs += i + 1 < WINDOW ? i + 1 : WINDOW;
    for (size_t i = 0; i < 3; i++) {
        mv_work work = {.struct_size = sizeof work};
        run(first, MV_LOGITS_ALL, MV_COMPUTE_F32, 2, chunks[i], NULL, &work);
        ck_assert_uint_eq(work.attention_pairs, pairs * p->n_heads * p->n_layers);
        ck_assert_uint_eq(work.attention_multiply_adds, 2 * p->head_dim * work.attention_pairs);
        ck_assert_uint_eq(work.linear_multiply_adds, linear * p->n_layers * T);
        ck_assert_uint_eq(work.output_multiply_adds, (uint64_t)p->dim * p->vocab_size * T);
        ck_assert_uint_eq(work.allocations, 0);
    }
}
END_TEST

/* Keys and values of all tokens; what follows them in the last layer for the last row alone, or for
 * none. */
START_TEST(the_last_layer_does_what_the_asked_for_rows_need)
{
    const mv_params *p = &view.params;
    const uint64_t kv = 2ull * p->dim * p->head_dim * p->n_kv_heads;
    const uint64_t rest = 2ull * p->dim * p->head_dim * p->n_heads + 3ull * p->dim * p->hidden_dim;
    for (size_t i = 0; i < 3; i++) {
        const uint64_t calls = (T + chunks[i] - 1) / chunks[i];
        for (int which = MV_LOGITS_LAST; which <= MV_LOGITS_NONE; which++) {
            const uint64_t rows = which == MV_LOGITS_LAST ? calls : 0;
            mv_work work = {.struct_size = sizeof work};
            uint64_t pairs = 0;
            for (uint64_t t = 0; t < T; t++) {
                const bool ends = (t + 1) % chunks[i] == 0 || t + 1 == T;
                const uint64_t seen = t + 1 < WINDOW ? t + 1 : WINDOW;
                pairs += seen * (p->n_layers - 1) + (rows > 0 && ends ? seen : 0);
            }
            run(first, (mv_logits)which, MV_COMPUTE_F32, 2, chunks[i], NULL, &work);
            ck_assert_uint_eq(work.linear_multiply_adds,
                              (kv + rest) * T * (p->n_layers - 1) + kv * T + rest * rows);
            ck_assert_uint_eq(work.attention_pairs, pairs * p->n_heads);
            ck_assert_uint_eq(work.output_multiply_adds, (uint64_t)p->dim * p->vocab_size * rows);
        }
    }
}
END_TEST

static const struct {
    const char *key, *value;
    mv_compute compute;
    mv_code code;
    const char *fragment;
} refused[] = {
    {"colour", "red", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "unknown option 'colour'; known: gemm="},
    {"gemm", "fast", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected one of: sgemm, sbgemm, own"},
    {"gemm", "sbgemm", MV_COMPUTE_F32, MV_ERR_UNAVAILABLE,
     "compute type is f32; here are: sgemm, own"},
    {"isa", "mmx", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected one of: generic, avx2, avx512"},
    {"pin", "2", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected 0 or 1"},
    {"poison", "x", MV_COMPUTE_F32, MV_ERR_ARGUMENT, "expected a number"},
    {"pin", "0", MV_COMPUTE_F64, MV_ERR_UNSUPPORTED, "f32 or bf16"}};

START_TEST(refuses_with_what_there_is)
{
    const mv_backend *blas = mv_backend_get();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const mv_option option = {refused[i].key, refused[i].value};
        const mv_engine_options options = announced(refused[i].compute, 1, &option);
        mv_engine *engine = NULL;
        error.message[0] = '\0';
        ck_assert_int_eq(blas->open(&engine, &view, &options, &error), refused[i].code);
        ck_assert_msg(strstr(error.message, refused[i].fragment) != NULL, "%s", error.message);
        ck_assert_ptr_null(engine);
    }
}
END_TEST

START_TEST(says_with_numbers_that_memory_will_not_do)
{
    const mv_backend *blas = mv_backend_get();
    mv_engine_options options = announced(MV_COMPUTE_F32, 1, NULL);
    mv_engine *engine = NULL;
    view.params.sliding_window = 0;
    options.max_sequences = 1000000;
    options.max_positions = 1000000;
    ck_assert_int_eq(blas->open(&engine, &view, &options, &error), MV_ERR_MEMORY);
    ck_assert_msg(strstr(error.message, "GiB are available") != NULL, "%s", error.message);
    options.max_sequences = options.max_positions = UINT32_MAX; /* more than 64 bits can say */
    ck_assert_int_eq(blas->open(&engine, &view, &options, &error), MV_ERR_MEMORY);
}
END_TEST

/* As a checkpoint on a disk looks that is larger than memory: mapped, and not read. */
START_TEST(says_that_weights_will_not_fit_before_anything_is_read)
{
    const mv_backend *blas = mv_backend_get();
    const mv_engine_options options = announced(MV_COMPUTE_BF16, 1, NULL);
    const mv_tensor output = view.output;
    /* Twice this machine's: no more, since under the thread sanitizer addresses are scarce. */
    const uint64_t bytes = 2 * (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char weights[64];
    mv_engine *engine = NULL;
    int fd = memfd_create("weights", 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert(map != MAP_FAILED);
    view.output.data = map;
    view.output.size_bytes = bytes;
    ck_assert_int_eq(blas->open(&engine, &view, &options, &error), MV_ERR_MEMORY);
    (void)snprintf(weights, sizeof weights, "blas: the weights (%.2f GiB", (double)bytes * 0x1p-30);
    ck_assert_msg(strstr(error.message, weights) != NULL &&
                      strstr(error.message, "GiB that are available") != NULL,
                  "%s", error.message);
    view.output = output;
    ck_assert_int_eq(munmap(map, bytes), 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(truncates_while_the_buffer_has_what_is_needed)
{
    const mv_backend *blas = mv_backend_get();
    const mv_engine_options options = announced(MV_COMPUTE_F32, 1, NULL);
    const uint32_t sequence = 0, n = WINDOW + 5;
    const int32_t tokens[WINDOW + 5] = {1, 2, 3};
    const mv_batch batch = {sizeof batch, 1, &sequence, &n, tokens};
    mv_engine *engine = NULL;
    ck_assert_int_eq(blas->open(&engine, &view, &options, &error), MV_OK);
    ck_assert_int_eq(blas->forward(engine, &batch, MV_LOGITS_NONE, NULL, &error), MV_OK);
    ck_assert_int_eq(blas->truncate(engine, 0, n + 1, &error), MV_ERR_ARGUMENT);
    ck_assert_int_eq(blas->truncate(engine, 0, n, &error), MV_OK);
    ck_assert_int_eq(blas->truncate(engine, 0, n - 1, &error), MV_OK);
    /* Position 4 is needed, and was overwritten by one that is forgotten now. */
    ck_assert_int_eq(blas->truncate(engine, 0, n - 2, &error), MV_ERR_UNSUPPORTED);
    ck_assert_int_eq(blas->truncate(engine, 0, 3, &error), MV_ERR_UNSUPPORTED);
    ck_assert_int_eq(blas->truncate(engine, 1, 0, &error), MV_ERR_ARGUMENT);
    blas->close(engine);
}
END_TEST

static Suite *blas_engine_suite(void)
{
    Suite *suite = suite_create("blas_engine");
    TCase *tcase = tcase_create("engine");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, open_model, close_model);
    tcase_add_loop_test(tcase, the_number_of_threads_changes_no_bit, 0, 2);
    tcase_add_loop_test(tcase, slots_that_nothing_was_written_to_are_never_read, 0, 2);
    tcase_add_test(tcase, exactly_the_pairs_in_the_window_are_executed);
    tcase_add_test(tcase, the_last_layer_does_what_the_asked_for_rows_need);
    tcase_add_test(tcase, refuses_with_what_there_is);
    tcase_add_test(tcase, says_with_numbers_that_memory_will_not_do);
    tcase_add_test(tcase, says_that_weights_will_not_fit_before_anything_is_read);
    tcase_add_test(tcase, truncates_while_the_buffer_has_what_is_needed);
    suite_add_tcase(suite, tcase);
    return suite;
}

MV_TEST_MAIN(blas_engine_suite)
