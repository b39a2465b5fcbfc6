/* The layout of mistral_backend.h, pinned: every offset, every size, every value of an enum.
 *
 * If a line here fails to compile, a binary that exists no longer works. Append at the end of the
 * struct (and add lines here), or raise MV_BACKEND_ABI_MAJOR.
 */
#include "backends/mistral_backend.h"

#include <string.h>

#include "harness/backend.h"
#include "tests/test_main.h"

#define VALUE(name, value) _Static_assert((name) == (value), #name " has another value")

VALUE(MV_BACKEND_ABI_MAJOR, 1);
VALUE(MV_BACKEND_ABI_MINOR, 0);

VALUE(MV_OK, 0);
VALUE(MV_ERR_ARGUMENT, 1);
VALUE(MV_ERR_MEMORY, 2);
VALUE(MV_ERR_IO, 3);
VALUE(MV_ERR_FORMAT, 4);
VALUE(MV_ERR_UNSUPPORTED, 5);
VALUE(MV_ERR_UNAVAILABLE, 6);
VALUE(MV_ERR_BACKEND, 7);

VALUE(MV_DTYPE_F32, 0);
VALUE(MV_DTYPE_F16, 1);
VALUE(MV_DTYPE_BF16, 2);

VALUE(MV_COMPUTE_F32, 0);
VALUE(MV_COMPUTE_BF16, 1);
VALUE(MV_COMPUTE_F64, 2);

VALUE(MV_LOG_ERROR, 0);
VALUE(MV_LOG_WARN, 1);
VALUE(MV_LOG_INFO, 2);
VALUE(MV_LOG_DEBUG, 3);

VALUE(MV_LOGITS_ALL, 0);
VALUE(MV_LOGITS_LAST, 1);
VALUE(MV_LOGITS_NONE, 2);

VALUE(MV_CLAIM_REPEATABLE, 1);
VALUE(MV_CLAIM_BATCH_INVARIANT, 2);
VALUE(MV_CLAIM_CHUNK_INVARIANT, 4);
VALUE(MV_CLAIM_THREAD_INVARIANT, 8);
VALUE(MV_CLAIM_LOGPROBS_ONLY, 16);

VALUE(MV_TAP_KEEP, 0);
VALUE(MV_TAP_REPLACED, 1);

VALUE(MV_TAP_F32, 0);
VALUE(MV_TAP_F64, 1);

_Static_assert(sizeof(mv_code) == sizeof(int), "an enum is an int");
_Static_assert(sizeof(mv_error) == 512, "an error is the same on every machine");

/* Where pointers have 8 bytes; elsewhere the order is the same and the numbers are not. */
#if defined(__LP64__)
#define AT(type, field, offset)                                                                    \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")

AT(mv_error, code, 0);
AT(mv_error, message, 4);
SIZE(mv_error, 512);

AT(mv_tensor, name, 0);
AT(mv_tensor, data, 8);
AT(mv_tensor, shape, 16);
AT(mv_tensor, size_bytes, 32);
AT(mv_tensor, n_dims, 40);
AT(mv_tensor, dtype, 44);
SIZE(mv_tensor, 48);

AT(mv_params, dim, 0);
AT(mv_params, n_layers, 4);
AT(mv_params, head_dim, 8);
AT(mv_params, hidden_dim, 12);
AT(mv_params, n_heads, 16);
AT(mv_params, n_kv_heads, 20);
AT(mv_params, vocab_size, 24);
AT(mv_params, sliding_window, 28);
AT(mv_params, norm_eps, 32);
AT(mv_params, rope_theta, 40);
SIZE(mv_params, 48);

AT(mv_layer, attention_norm, 0);
AT(mv_layer, wq, 48);
AT(mv_layer, wk, 96);
AT(mv_layer, wv, 144);
AT(mv_layer, wo, 192);
AT(mv_layer, ffn_norm, 240);
AT(mv_layer, w1, 288);
AT(mv_layer, w2, 336);
AT(mv_layer, w3, 384);
SIZE(mv_layer, 432);

AT(mv_model_view, struct_size, 0);
AT(mv_model_view, layer_size, 8);
AT(mv_model_view, params, 16);
AT(mv_model_view, tok_embeddings, 64);
AT(mv_model_view, norm, 112);
AT(mv_model_view, output, 160);
AT(mv_model_view, layers, 208);
SIZE(mv_model_view, 216);

AT(mv_option, key, 0);
AT(mv_option, value, 8);
SIZE(mv_option, 16);

AT(mv_engine_options, struct_size, 0);
AT(mv_engine_options, compute, 8);
AT(mv_engine_options, n_threads, 12);
AT(mv_engine_options, max_sequences, 16);
AT(mv_engine_options, max_positions, 20);
AT(mv_engine_options, max_batch_tokens, 24);
AT(mv_engine_options, options, 32);
AT(mv_engine_options, n_options, 40);
AT(mv_engine_options, log, 48);
AT(mv_engine_options, log_cookie, 56);
SIZE(mv_engine_options, 64);

AT(mv_batch, struct_size, 0);
AT(mv_batch, n_sequences, 8);
AT(mv_batch, sequences, 16);
AT(mv_batch, n_tokens, 24);
AT(mv_batch, tokens, 32);
SIZE(mv_batch, 40);

AT(mv_caps, struct_size, 0);
AT(mv_caps, claims, 8);
AT(mv_caps, computes, 12);
SIZE(mv_caps, 16);

AT(mv_memory, struct_size, 0);
AT(mv_memory, weights_bytes, 8);
AT(mv_memory, kv_cache_bytes, 16);
AT(mv_memory, scratch_bytes, 24);
SIZE(mv_memory, 32);

AT(mv_work, struct_size, 0);
AT(mv_work, linear_multiply_adds, 8);
AT(mv_work, output_multiply_adds, 16);
AT(mv_work, attention_multiply_adds, 24);
AT(mv_work, attention_pairs, 32);
AT(mv_work, weight_bytes, 40);
AT(mv_work, kv_cache_bytes, 48);
AT(mv_work, calls, 56);
AT(mv_work, allocations, 64);
SIZE(mv_work, 72);

AT(mv_tap, struct_size, 0);
AT(mv_tap, name, 8);
AT(mv_tap, layer, 16);
AT(mv_tap, sequence, 20);
AT(mv_tap, first_position, 24);
AT(mv_tap, n_rows, 32);
AT(mv_tap, n_cols, 40);
AT(mv_tap, dtype, 48);
AT(mv_tap, data, 56);
SIZE(mv_tap, 64);

AT(mv_backend, abi_major, 0);
AT(mv_backend, abi_minor, 4);
AT(mv_backend, struct_size, 8);
AT(mv_backend, name, 16);
AT(mv_backend, summary, 24);
AT(mv_backend, version, 32);
AT(mv_backend, probe, 40);
AT(mv_backend, caps, 48);
AT(mv_backend, open, 56);
AT(mv_backend, close, 64);
AT(mv_backend, reset, 72);
AT(mv_backend, forward, 80);
AT(mv_backend, truncate, 88);
AT(mv_backend, set_tap, 96);
AT(mv_backend, memory, 104);
AT(mv_backend, work, 112);
AT(mv_backend, describe, 120);
AT(mv_backend, self_test, 128);
SIZE(mv_backend, 136);
#endif

START_TEST(a_failure_is_one_statement_and_fits)
{
    mv_error error = {MV_OK, ""};
    char longer[2 * sizeof error.message];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(mv_fail(&error, MV_ERR_FORMAT, "%s: byte %d", "file", 7), MV_ERR_FORMAT);
    ck_assert_int_eq(error.code, MV_ERR_FORMAT);
    ck_assert_str_eq(error.message, "file: byte 7");
    ck_assert_int_eq(mv_fail(&error, MV_ERR_IO, "%s", longer), MV_ERR_IO);
    ck_assert_uint_eq(strlen(error.message), sizeof error.message - 1);
    ck_assert_int_eq(mv_fail(NULL, MV_ERR_MEMORY, "nobody listens"), MV_ERR_MEMORY);
}
END_TEST

START_TEST(layers_are_found_by_the_size_that_the_harness_states)
{
    /* As with a later harness, whose layers are longer. */
    struct {
        mv_layer layer;
        char later[40];
    } layers[3];
    memset(layers, 0, sizeof layers);
    for (unsigned i = 0; i < 3; i++)
        layers[i].layer.wq.n_dims = 10 + i;
    const mv_model_view model = {.layer_size = sizeof layers[0], .layers = &layers[0].layer};
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(mv_layer_at(&model, i)->wq.n_dims, 10 + i);
}
END_TEST

/* ---- a binary of 1.0 (tests/plugins/old_1_0.c): every field, through today's header ---- */

static const mv_backend *load_old(void)
{
    const mv_backend *table = NULL;
    mv_error error = {MV_OK, ""};
    ck_assert_msg(mv_backend_load(&table, MV_BUILD_ROOT "/tests/plugins/mistral_old_1_0.so", NULL,
                                  0, &error) == MV_OK,
                  "%s", error.message);
    return table;
}

static void fill_tensor(mv_tensor *tensor, int i, float *value, char name[16])
{
    *value = (float)i;
    (void)snprintf(name, 16, "%d", i);
    *tensor = (mv_tensor){.name = name,
                          .data = value,
                          .shape = {100 + (uint64_t)i, 200 + (uint64_t)i},
                          .size_bytes = 300 + (uint64_t)i,
                          .n_dims = 400 + (uint32_t)i,
                          .dtype = (mv_dtype)(i % 3)};
}

typedef struct old_model {
    mv_model_view view;
    mv_layer layers[2];
    float values[21];
    char names[21][16];
} old_model;

/* Numbers that old_1_0.c knows. */
static void fill_model(old_model *model)
{
    model->view = (mv_model_view){
        .struct_size = sizeof model->view,
        .layer_size = sizeof model->layers[0],
        .params = {.dim = 11,
                   .n_layers = 2,
                   .head_dim = 13,
                   .hidden_dim = 14,
                   .n_heads = 15,
                   .n_kv_heads = 16,
                   .vocab_size = 17,
                   .sliding_window = 18,
                   .norm_eps = 0.25,
                   .rope_theta = 1e6},
        .layers = model->layers,
    };
    mv_tensor *globals[] = {&model->view.tok_embeddings, &model->view.norm, &model->view.output};
    for (int i = 0; i < 3; i++)
        fill_tensor(globals[i], i + 1, &model->values[i], model->names[i]);
    for (int l = 0; l < 2; l++) {
        mv_layer *layer = &model->layers[l];
        mv_tensor *tensors[] = {
            &layer->attention_norm, &layer->wq, &layer->wk, &layer->wv, &layer->wo,
            &layer->ffn_norm,       &layer->w1, &layer->w2, &layer->w3};
        for (int i = 0; i < 9; i++)
            fill_tensor(tensors[i], 10 * l + i + 10, &model->values[3 + 9 * l + i],
                        model->names[3 + 9 * l + i]);
    }
}

static void count_log(void *cookie, mv_log_level level, const char *text)
{
    ck_assert_int_eq(level, MV_LOG_INFO);
    ck_assert_str_eq(text, "opened");
    ++*(int *)cookie;
}

static mv_tap_action check_tap(void *cookie, const mv_tap *tap)
{
    ck_assert_uint_eq(tap->struct_size, 64);
    ck_assert_str_eq(tap->name, "logits");
    ck_assert_int_eq(tap->layer, -1);
    ck_assert_uint_eq(tap->sequence, 41);
    ck_assert_uint_eq(tap->first_position, 51);
    ck_assert_uint_eq(tap->n_rows, 1);
    ck_assert_uint_eq(tap->n_cols, 17);
    ck_assert_int_eq(tap->dtype, MV_TAP_F32);
    ck_assert_float_eq(((float *)tap->data)[16], 16);
    ++*(int *)cookie;
    return MV_TAP_REPLACED;
}

START_TEST(a_binary_of_abi_1_0_reads_every_field_where_it_was)
{
    static old_model model;
    int n_logs = 0, n_taps = 0;
    mv_engine *engine = NULL;
    mv_error error = {MV_OK, ""};
    fill_model(&model);
    const mv_option option = {"k", "v"};
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = MV_COMPUTE_F64,
                                       .n_threads = 21,
                                       .max_sequences = 22,
                                       .max_positions = 23,
                                       .max_batch_tokens = 24,
                                       .options = &option,
                                       .n_options = 1,
                                       .log = count_log,
                                       .log_cookie = &n_logs};
    const mv_backend *table = load_old();
    ck_assert_str_eq(table->name, "old_1_0");
    ck_assert_str_eq(table->summary, "ABI 1.0, pinned");
    ck_assert_str_eq(table->version, "1.0");
    ck_assert_msg(table->open(&engine, &model.view, &options, &error) == MV_OK, "%s",
                  error.message);
    ck_assert_int_eq(n_logs, 1);
    ck_assert_msg(table->reset(engine, 31, &error) == MV_OK, "%s", error.message);

    const uint32_t sequence = 41, n_tokens = 2;
    const int32_t tokens[] = {42, 43};
    const mv_batch batch = {sizeof batch, 1, &sequence, &n_tokens, tokens};
    float logits[17] = {0};
    ck_assert_int_eq(table->set_tap(engine, check_tap, &n_taps, &error), MV_OK);
    ck_assert_msg(table->forward(engine, &batch, MV_LOGITS_LAST, logits, &error) == MV_OK, "%s",
                  error.message);
    ck_assert_int_eq(n_taps, 1);
    ck_assert_float_eq(logits[16], 16);
    table->close(engine);
}
END_TEST

START_TEST(a_binary_of_abi_1_0_answers_every_question_where_it_was)
{
    const mv_backend *table = load_old();
    mv_memory memory = {.struct_size = sizeof memory};
    mv_work work = {.struct_size = sizeof work};
    mv_error error = {MV_OK, ""};
    ck_assert_uint_eq(mv_backend_claims(table), MV_CLAIM_REPEATABLE | MV_CLAIM_THREAD_INVARIANT);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_F64), 1);
    ck_assert_int_eq(mv_backend_has_compute(table, MV_COMPUTE_BF16), 0);
    table->memory(NULL, &memory);
    ck_assert_uint_eq(memory.weights_bytes, 61);
    ck_assert_uint_eq(memory.kv_cache_bytes, 62);
    ck_assert_uint_eq(memory.scratch_bytes, 63);
    table->work(NULL, &work, 0);
    ck_assert_uint_eq(work.linear_multiply_adds, 71);
    ck_assert_uint_eq(work.output_multiply_adds, 72);
    ck_assert_uint_eq(work.attention_multiply_adds, 73);
    ck_assert_uint_eq(work.attention_pairs, 74);
    ck_assert_uint_eq(work.weight_bytes, 75);
    ck_assert_uint_eq(work.kv_cache_bytes, 76);
    ck_assert_uint_eq(work.calls, 77);
    ck_assert_uint_eq(work.allocations, 78);
    ck_assert(table->truncate == NULL);
    ck_assert(table->describe == NULL);
    ck_assert_int_eq(table->self_test(&error), MV_ERR_BACKEND);
    ck_assert_int_eq(error.code, MV_ERR_BACKEND);
    ck_assert_str_eq(error.message, "self test was called");
}
END_TEST

static Suite *abi_suite(void)
{
    Suite *suite = suite_create("abi");
    TCase *cases = tcase_create("header");
    tcase_add_test(cases, a_failure_is_one_statement_and_fits);
    tcase_add_test(cases, layers_are_found_by_the_size_that_the_harness_states);
    tcase_add_test(cases, a_binary_of_abi_1_0_reads_every_field_where_it_was);
    tcase_add_test(cases, a_binary_of_abi_1_0_answers_every_question_where_it_was);
    suite_add_tcase(suite, cases);
    return suite;
}

MV_TEST_MAIN(abi_suite)
