/* The null and the template backend, through the ABI: shapes, books and refusals. */
#include "harness/backend.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tests/test_main.h"

enum { DIM = 6, VOCAB = 11 };

/* A model without layers, which is what the template computes. */
typedef struct small_model {
    mv_model_view view;
    float embeddings[VOCAB * DIM], norm[DIM], output[VOCAB * DIM];
} small_model;

static small_model model;
static const mv_backend *table;
static mv_engine *engine;
static mv_error error;

static mv_tensor matrix(const float *data, uint64_t rows, uint64_t cols)
{
    return (mv_tensor){"weight", data, {rows, cols}, rows * cols * sizeof *data, 2, MV_DTYPE_F32};
}

static void fill_model(void)
{
    for (int i = 0; i < VOCAB * DIM; i++) {
        model.embeddings[i] = sinf((float)i + 1);
        model.output[i] = cosf(3 * (float)i);
    }
    for (int i = 0; i < DIM; i++)
        model.norm[i] = 0.5f + (float)i / 4;
    model.view = (mv_model_view){
        .struct_size = sizeof model.view,
        .layer_size = sizeof(mv_layer),
        .params = {.dim = DIM, .vocab_size = VOCAB, .norm_eps = 1e-5},
        .tok_embeddings = matrix(model.embeddings, VOCAB, DIM),
        .norm = matrix(model.norm, DIM, 1),
        .output = matrix(model.output, VOCAB, DIM),
    };
}

static mv_engine_options announced(void)
{
    return (mv_engine_options){.struct_size = sizeof(mv_engine_options),
                               .compute = MV_COMPUTE_F32,
                               .max_sequences = 3,
                               .max_positions = 8,
                               .max_batch_tokens = 10};
}

static void open_engine(const char *name)
{
    const mv_engine_options options = announced();
    fill_model();
    memset(&error, 0, sizeof error);
    ck_assert_msg(mv_backend_load(&table, name, NULL, 0, &error) == MV_OK, "%s", error.message);
    ck_assert_msg(table->open(&engine, &model.view, &options, &error) == MV_OK, "%s",
                  error.message);
}

static void open_null(void)
{
    open_engine("null");
}

static void open_template(void)
{
    open_engine("template");
}

static void close_engine(void)
{
    table->close(engine);
    table->close(NULL);
    engine = NULL;
}

static mv_batch batch_of(uint32_t n, const uint32_t *sequences, const uint32_t *n_tokens,
                         const int32_t *tokens)
{
    return (mv_batch){sizeof(mv_batch), n, sequences, n_tokens, tokens};
}

static mv_code forward(const mv_batch *batch, mv_logits which, float *logits)
{
    error.message[0] = '\0';
    return table->forward(engine, batch, which, logits, &error);
}

/* n tokens, all token 0, of one sequence. */
static mv_code advance(uint32_t sequence, uint32_t n)
{
    static const int32_t tokens[64];
    const mv_batch batch = batch_of(1, &sequence, &n, tokens);
    return forward(&batch, MV_LOGITS_NONE, NULL);
}

static void refuses(mv_code code, mv_code expected, const char *fragment)
{
    ck_assert_msg(strstr(error.message, fragment) != NULL, "expected '%s' in: %s", fragment,
                  error.message);
    ck_assert_int_eq(code, expected);
}

/* ---- both ---- */

START_TEST(refuses_an_unknown_option_by_its_name)
{
    mv_engine_options options = announced();
    const mv_option option = {"tile_size", "8"};
    mv_engine *other = NULL;
    options.options = &option;
    options.n_options = 1;
    refuses(table->open(&other, &model.view, &options, &error), MV_ERR_ARGUMENT,
            "unknown option 'tile_size'");
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(refuses_more_than_was_announced)
{
    refuses(advance(3, 1), MV_ERR_ARGUMENT, "3");   /* sequences */
    refuses(advance(0, 9), MV_ERR_ARGUMENT, "9");   /* positions */
    refuses(advance(0, 11), MV_ERR_ARGUMENT, "11"); /* tokens in a batch */
    refuses(advance(0, 0), MV_ERR_ARGUMENT, "0 tokens");
    ck_assert_int_eq(advance(0, 8), MV_OK);
    refuses(advance(0, 1), MV_ERR_ARGUMENT, "announced");
    ck_assert_int_eq(advance(2, 8), MV_OK); /* each sequence has its own positions */
    ck_assert_int_eq(table->reset(engine, 0, &error), MV_OK);
    ck_assert_int_eq(advance(0, 8), MV_OK);
    refuses(table->reset(engine, 3, &error), MV_ERR_ARGUMENT, "3");
}
END_TEST

START_TEST(refuses_a_token_outside_the_vocabulary)
{
    static const int32_t bad[] = {VOCAB, -1, INT32_MIN, INT32_MAX};
    const uint32_t sequence = 1, n = 2;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const int32_t tokens[] = {0, bad[i]};
        char number[16];
        const mv_batch batch = batch_of(1, &sequence, &n, tokens);
        (void)snprintf(number, sizeof number, "%d", bad[i]);
        refuses(forward(&batch, MV_LOGITS_NONE, NULL), MV_ERR_ARGUMENT, number);
    }
}
END_TEST

/* Three ragged sequences, one of them in the middle of its text. */
static const uint32_t ragged_sequences[] = {2, 0, 1}, ragged_n_tokens[] = {1, 4, 2};
static const int32_t ragged_tokens[] = {5, 1, 2, 3, 4, 10, 9};
static const uint32_t ragged_first[] = {3, 0, 0};

static mv_batch ragged_batch(void)
{
    ck_assert_int_eq(advance(2, 3), MV_OK);
    return batch_of(3, ragged_sequences, ragged_n_tokens, ragged_tokens);
}

START_TEST(last_and_none_write_only_what_was_asked_for)
{
    float all[7 * VOCAB], last[4 * VOCAB];
    for (size_t i = 0; i < 4 * VOCAB; i++)
        last[i] = 1234;
    mv_batch batch = ragged_batch();
    ck_assert_int_eq(forward(&batch, MV_LOGITS_ALL, all), MV_OK);
    for (uint32_t s = 0; s < 3; s++)
        ck_assert_int_eq(table->reset(engine, s, &error), MV_OK);
    batch = ragged_batch();
    ck_assert_int_eq(forward(&batch, MV_LOGITS_LAST, last), MV_OK);
    ck_assert_mem_eq(last, all, VOCAB * sizeof(float));
    ck_assert_mem_eq(last + VOCAB, all + 4 * VOCAB, VOCAB * sizeof(float));
    ck_assert_mem_eq(last + 2 * VOCAB, all + 6 * VOCAB, VOCAB * sizeof(float));
    for (size_t i = 3 * VOCAB; i < 4 * VOCAB; i++)
        ck_assert_float_eq(last[i], 1234);
}
END_TEST

/* ---- null ---- */

START_TEST(null_rows_tell_their_token_and_position)
{
    float logits[8 * VOCAB];
    const mv_batch batch = ragged_batch();
    memset(logits, 0xFF, sizeof logits); /* NaN */
    ck_assert_int_eq(forward(&batch, MV_LOGITS_ALL, logits), MV_OK);
    size_t row = 0;
    for (size_t s = 0; s < 3; s++)
        for (uint32_t i = 0; i < ragged_n_tokens[s]; i++, row++)
            for (uint32_t v = 0; v < VOCAB; v++) {
                bool is_one = v == ((uint32_t)ragged_tokens[row] + ragged_first[s] + i) % VOCAB;
                ck_assert_float_eq(logits[row * VOCAB + v], is_one ? 1 : 0);
            }
    ck_assert_uint_eq(row, 7);
    ck_assert(isnan(logits[7 * VOCAB]));
}
END_TEST

START_TEST(null_refuses_a_whole_batch_and_moves_nothing)
{
    const uint32_t twice[] = {0, 0}, two[] = {0, 1}, one_each[] = {1, 1}, too_many[] = {6, 6};
    static const int32_t tokens[16];
    float logits[VOCAB];
    mv_batch batch = batch_of(2, twice, one_each, tokens);
    refuses(forward(&batch, MV_LOGITS_NONE, NULL), MV_ERR_ARGUMENT,
            "sequence 0 is in the batch twice");
    batch = batch_of(2, two, too_many, tokens);
    refuses(forward(&batch, MV_LOGITS_NONE, NULL), MV_ERR_ARGUMENT,
            "at most the announced 10 tokens in a batch, found 12");
    batch = batch_of(0, two, one_each, tokens);
    refuses(forward(&batch, MV_LOGITS_NONE, NULL), MV_ERR_ARGUMENT, "1 to 3 sequences");
    batch = batch_of(4, two, one_each, tokens);
    refuses(forward(&batch, MV_LOGITS_NONE, NULL), MV_ERR_ARGUMENT, "found 4");
    batch = batch_of(2, two, one_each, tokens);
    refuses(forward(&batch, MV_LOGITS_ALL, NULL), MV_ERR_ARGUMENT, "NULL");
    refuses(forward(&batch, (mv_logits)3, logits), MV_ERR_ARGUMENT, "found 3");
    ck_assert_int_eq(advance(0, 8), MV_OK); /* all of its 8 positions are still there */
    ck_assert_int_eq(advance(1, 8), MV_OK);
}
END_TEST

START_TEST(null_truncates_to_what_it_has)
{
    ck_assert_int_eq(advance(1, 8), MV_OK);
    refuses(table->truncate(engine, 1, 9, &error), MV_ERR_ARGUMENT, "cannot keep 9 positions");
    refuses(table->truncate(engine, 3, 0, &error), MV_ERR_ARGUMENT, "found 3");
    ck_assert_int_eq(table->truncate(engine, 1, 5, &error), MV_OK);
    ck_assert_int_eq(advance(1, 3), MV_OK);
    refuses(advance(1, 1), MV_ERR_ARGUMENT, "found 8 and 1 new ones");
}
END_TEST

START_TEST(null_has_every_compute_type_and_claims_every_invariance)
{
    for (int i = MV_COMPUTE_F32; i <= MV_COMPUTE_F64; i++) {
        mv_engine_options options = announced();
        mv_engine *other = NULL;
        options.compute = (mv_compute)i;
        ck_assert_int_eq(mv_backend_has_compute(table, (mv_compute)i), 1);
        ck_assert_int_eq(table->open(&other, &model.view, &options, &error), MV_OK);
        table->close(other);
    }
    ck_assert_uint_eq(mv_backend_claims(table), MV_CLAIM_REPEATABLE | MV_CLAIM_BATCH_INVARIANT |
                                                    MV_CLAIM_CHUNK_INVARIANT |
                                                    MV_CLAIM_THREAD_INVARIANT);
}
END_TEST

START_TEST(null_refuses_to_open_for_nothing)
{
    mv_engine *other = NULL;
    mv_engine_options options = announced();
    options.max_positions = 0;
    refuses(table->open(&other, &model.view, &options, &error), MV_ERR_ARGUMENT,
            "found 3, 0, 10 and 11");
    options = announced();
    options.compute = (mv_compute)9;
    refuses(table->open(&other, &model.view, &options, &error), MV_ERR_UNSUPPORTED, "found 9");
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(null_does_no_work_and_says_so)
{
    mv_memory memory = {.struct_size = sizeof memory, .weights_bytes = 9, .kv_cache_bytes = 9};
    mv_work work = {.struct_size = sizeof work, .calls = 9, .allocations = 9};
    ck_assert_int_eq(advance(0, 4), MV_OK);
    table->memory(engine, &memory);
    ck_assert_uint_eq(memory.struct_size, sizeof memory);
    ck_assert_uint_eq(memory.weights_bytes, 0);
    ck_assert_uint_eq(memory.kv_cache_bytes, 0);
    ck_assert_uint_gt(memory.scratch_bytes, 0);
    table->work(engine, &work, 1);
    ck_assert_uint_eq(work.struct_size, sizeof work);
    ck_assert_uint_eq(work.calls, 0);
    ck_assert_uint_eq(work.allocations, 0);
    ck_assert(table->set_tap == NULL);
}
END_TEST

/* ---- template ---- */

static float expected_logit(int32_t token, size_t v)
{
    const float *x = model.embeddings + (size_t)token * DIM;
    double square = 0, sum = 0;
    for (size_t j = 0; j < DIM; j++)
        square += (double)x[j] * (double)x[j];
    for (size_t j = 0; j < DIM; j++)
        sum += (double)x[j] / sqrt(square / DIM + 1e-5) * (double)model.norm[j] *
               (double)model.output[v * DIM + j];
    return (float)sum;
}

START_TEST(template_computes_a_model_without_layers)
{
    float logits[7 * VOCAB];
    const mv_batch batch = ragged_batch();
    ck_assert_int_eq(forward(&batch, MV_LOGITS_ALL, logits), MV_OK);
    for (size_t row = 0; row < 7; row++)
        for (size_t v = 0; v < VOCAB; v++)
            ck_assert_float_eq_tol(logits[row * VOCAB + v], expected_logit(ragged_tokens[row], v),
                                   1e-5f);
}
END_TEST

START_TEST(template_reads_bf16_and_refuses_f16)
{
    static uint16_t bits[VOCAB * DIM];
    float logits[7 * VOCAB];
    mv_engine_options options = announced();
    for (size_t i = 0; i < VOCAB * DIM; i++) {
        uint32_t word = 0;
        memcpy(&word, &model.embeddings[i], sizeof word);
        word &= 0xFFFF0000u; /* a value that bf16 has */
        memcpy(&model.embeddings[i], &word, sizeof word);
        bits[i] = (uint16_t)(word >> 16);
    }
    model.view.tok_embeddings.data = bits;
    model.view.tok_embeddings.dtype = MV_DTYPE_BF16;
    const mv_batch batch = ragged_batch();
    ck_assert_int_eq(forward(&batch, MV_LOGITS_ALL, logits), MV_OK);
    for (size_t v = 0; v < VOCAB; v++)
        ck_assert_float_eq_tol(logits[6 * VOCAB + v], expected_logit(9, v), 1e-5f);

    mv_engine *other = NULL;
    model.view.output.dtype = MV_DTYPE_F16;
    refuses(table->open(&other, &model.view, &options, &error), MV_ERR_UNSUPPORTED, "f32 or bf16");
    model.view.output.dtype = MV_DTYPE_F32;
    options.compute = MV_COMPUTE_BF16;
    refuses(table->open(&other, &model.view, &options, &error), MV_ERR_UNSUPPORTED,
            "computes in f32");
    ck_assert_ptr_null(other);
}
END_TEST

typedef struct seen_taps {
    char text[512];
    bool replaces_norm;
} seen_taps;

static mv_tap_action note_tap(void *cookie, const mv_tap *tap)
{
    seen_taps *seen = cookie;
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s/%u@%llu:%llux%llu ", tap->name,
                   tap->sequence, (unsigned long long)tap->first_position,
                   (unsigned long long)tap->n_rows, (unsigned long long)tap->n_cols);
    if (!seen->replaces_norm || strcmp(tap->name, "norm") != 0)
        return MV_TAP_KEEP;
    memset(tap->data, 0, tap->n_rows * tap->n_cols * sizeof(float));
    return MV_TAP_REPLACED;
}

START_TEST(template_shows_the_rows_of_each_sequence_and_takes_replacements)
{
    seen_taps seen = {"", false};
    float logits[7 * VOCAB];
    mv_batch batch = ragged_batch();
    ck_assert_int_eq(table->set_tap(engine, note_tap, &seen, &error), MV_OK);
    ck_assert_int_eq(forward(&batch, MV_LOGITS_LAST, logits), MV_OK);
    ck_assert_str_eq(seen.text, "embedding/2@3:1x6 norm/2@3:1x6 logits/2@3:1x11 "
                                "embedding/0@0:4x6 norm/0@0:4x6 logits/0@3:1x11 "
                                "embedding/1@0:2x6 norm/1@0:2x6 logits/1@1:1x11 ");
    ck_assert_float_eq_tol(logits[VOCAB], expected_logit(4, 0), 1e-5f);
    seen.replaces_norm = true;
    seen.text[0] = '\0';
    batch.n_sequences = 1;
    ck_assert_int_eq(forward(&batch, MV_LOGITS_LAST, logits), MV_OK);
    ck_assert_float_eq(logits[0], 0);
    seen.text[0] = '\0';
    ck_assert_int_eq(table->set_tap(engine, NULL, NULL, &error), MV_OK);
    ck_assert_int_eq(forward(&batch, MV_LOGITS_LAST, logits), MV_OK);
    ck_assert_str_eq(seen.text, "");
    ck_assert_float_eq_tol(logits[0], expected_logit(5, 0), 1e-5f);
}
END_TEST

START_TEST(template_claims_nothing_that_nobody_tested)
{
    ck_assert_uint_eq(mv_backend_claims(table), 0);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_F32), 1);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_BF16), 0);
}
END_TEST

static TCase *cases_of_both(const char *name, void (*open)(void))
{
    TCase *cases = tcase_create(name);
    tcase_add_checked_fixture(cases, open, close_engine);
    tcase_add_test(cases, refuses_an_unknown_option_by_its_name);
    tcase_add_test(cases, refuses_more_than_was_announced);
    tcase_add_test(cases, refuses_a_token_outside_the_vocabulary);
    tcase_add_test(cases, last_and_none_write_only_what_was_asked_for);
    return cases;
}

static Suite *null_suite(void)
{
    Suite *suite = suite_create("null");
    TCase *null = cases_of_both("null", open_null);
    tcase_add_test(null, null_rows_tell_their_token_and_position);
    tcase_add_test(null, null_refuses_a_whole_batch_and_moves_nothing);
    tcase_add_test(null, null_truncates_to_what_it_has);
    tcase_add_test(null, null_has_every_compute_type_and_claims_every_invariance);
    tcase_add_test(null, null_refuses_to_open_for_nothing);
    tcase_add_test(null, null_does_no_work_and_says_so);
    suite_add_tcase(suite, null);
    TCase *template = cases_of_both("template", open_template);
    tcase_add_test(template, template_computes_a_model_without_layers);
    tcase_add_test(template, template_reads_bf16_and_refuses_f16);
    tcase_add_test(template, template_shows_the_rows_of_each_sequence_and_takes_replacements);
    tcase_add_test(template, template_claims_nothing_that_nobody_tested);
    suite_add_tcase(suite, template);
    return suite;
}

MV_TEST_MAIN(null_suite)
