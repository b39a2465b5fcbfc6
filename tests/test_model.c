#include "harness/model.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/model_hf.h"
#include "harness/tensor_file.h"
#include "harness/weights.h"
#include "tests/make_model.h"
#include "tests/make_pth.h"
#include "tests/test_main.h"
#include "tests/test_models.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

static mv_model *open_good(const char *spec)
{
    mv_model *model = NULL;
    mv_error error = {0};
    mv_code code = mv_model_open(&model, spec, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    ck_assert_str_eq(mv_model_get_spec(model), spec);
    return model;
}

static void check_refused(const char *spec, mv_code expected, const char *fragment)
{
    mv_model *model = NULL;
    mv_error error = {0};
    mv_code code = mv_model_open(&model, spec, &error);
    ck_assert_msg(code == expected, "code %d: %s", (int)code, error.message);
    ck_assert_msg(strstr(error.message, fragment) != NULL, "expected '%s' in: %s", fragment,
                  error.message);
    ck_assert_ptr_null(model);
}

/* Every element is the one that make_model() put at that place of the Mistral layout. */
static void check_values(const mv_model_view *view, mv_dtype dtype, bool tied)
{
    size_t n = mv_weight_count(&view->params);
    for (size_t i = 0; i < n; i++) {
        const mv_tensor *tensor = mv_weight_at(view, i);
        mv_weight weight;
        mv_weight_describe(&weight, &view->params, i);
        ck_assert_str_eq(tensor->name, weight.name);
        ck_assert_int_eq(tensor->dtype, dtype);
        ck_assert_uint_eq(tensor->n_dims, weight.n_dims);
        ck_assert_uint_eq(tensor->shape[0], weight.shape[0]);
        ck_assert_uint_eq(tensor->shape[1], weight.shape[1]);
        size_t element = mv_dtype_size(dtype);
        ck_assert_uint_eq((uintptr_t)tensor->data % element, 0);
        ck_assert_uint_eq(tensor->size_bytes, weight.shape[0] * weight.shape[1] * element);
        const char *source = tied && i == n - 1 ? "tok_embeddings.weight" : tensor->name;
        for (uint64_t k = 0; k < tensor->size_bytes / element; k++) {
            uint32_t bits = 0;
            memcpy(&bits, (const char *)tensor->data + k * element, element);
            ck_assert_msg(bits == make_bits(source, k, dtype), "%s[%llu]", tensor->name,
                          (unsigned long long)k);
        }
    }
}

/* ---- what a good folder gives ---- */

static const char *const layout_names[] = {"mistral safetensors", "hugging face safetensors",
                                           "hugging face safetensors in shards"};

/* _i: layout * 3 + dtype. */
START_TEST(gives_the_same_weights_from_every_layout_and_dtype)
{
    make_options o = {.params = make_small_params(),
                      .layout = (make_layout)(_i / 3),
                      .dtype = (mv_dtype)(_i % 3)};
    char *folder = make_folder();
    make_model(folder, &o);
    mv_model *model = open_good(folder);
    const mv_model_view *view = mv_model_get_view(model);
    ck_assert_mem_eq(&view->params, &o.params, sizeof o.params);
    ck_assert_uint_eq(view->struct_size, sizeof *view);
    ck_assert_uint_eq(view->layer_size, sizeof(mv_layer));
    ck_assert_str_eq(mv_model_get_layout(model), layout_names[_i / 3]);
    ck_assert_ptr_null(mv_model_get_tokenizer(model));
    check_values(view, o.dtype, false);
    /* written out, not taken from weights.c */
    const uint64_t layer = 24 + 24 * 24 + 8 * 24 + 8 * 24 + 24 * 24 + 24 + 3 * 20 * 24;
    ck_assert_uint_eq(mv_model_size_bytes(view),
                      (2 * 11 * 24 + 24 + 2 * layer) * mv_dtype_size(o.dtype));
    mv_model_close(&model);
    ck_assert_ptr_null(model);
    mv_model_close(&model);
    mv_model_close(NULL);
    make_folder_remove(folder);
}
END_TEST

/* Computed by a few lines of Python with hashlib from the definition in model.c and make_bits(). */
static const char *const hashes[] = {
    "beb43732ca048b018aa76dc11ca166308647cfea648d88a987ccc50b89fcb21d",
    "c748fc23f7fdb3fa2bc06cec2b2a54b1354b6d6060efe35d1b4fd4febaf0f46d",
    "a5d613e2a2213033671b24d8ac5779bc5e5bfbd725cedbfffe0767fa51ec2529",
};

START_TEST(hashes_a_model_independently_of_its_container)
{
    make_options o = {.params = make_small_params(),
                      .layout = (make_layout)(_i / 3),
                      .dtype = (mv_dtype)(_i % 3),
                      .misalign = _i % 2 == 1};
    char *folder = make_folder(), hex[65];
    mv_error error = {0};
    make_model(folder, &o);
    mv_model *model = open_good(folder);
    ck_assert_int_eq(mv_model_hash(model, hex, &error), MV_OK);
    ck_assert_str_eq(hex, hashes[_i % 3]);
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

/* Turns FOLDER/consolidated.safetensors into FOLDER/consolidated.00.pth. */
static void convert_to_pth(const char *folder)
{
    enum { MAX_TENSORS = 32 };
    char from[512], to[512], names[MAX_TENSORS][48], keys[MAX_TENSORS][24];
    make_pth_tensor tensors[MAX_TENSORS] = {0};
    make_pth_entry entries[MAX_TENSORS + 1] = {0};
    make_pth_bytes pickle = {0};
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    (void)snprintf(from, sizeof from, "%s/consolidated.safetensors", folder);
    (void)snprintf(to, sizeof to, "%s/consolidated.00.pth", folder);
    ck_assert_int_eq(mv_safetensors_open(&file, from, &error), MV_OK);
    ck_assert_uint_le(file->n_tensors, MAX_TENSORS);
    for (size_t i = 0; i < file->n_tensors; i++) {
        const mv_tensor *t = &file->tensors[i];
        (void)snprintf(keys[i], sizeof keys[i], "%zu", i);
        (void)snprintf(names[i], sizeof names[i], "consolidated.00/data/%zu", i);
        tensors[i] = (make_pth_tensor){.name = t->name,
                                       .storage = "BFloat16",
                                       .key = keys[i],
                                       .numel = t->size_bytes / 2,
                                       .n_dims = t->n_dims,
                                       .shape = {t->shape[0], t->shape[1]},
                                       .stride = {t->n_dims == 1 ? 1 : t->shape[1], 1}};
        entries[i + 1] = (make_pth_entry){.name = names[i], .data = t->data, .size = t->size_bytes};
    }
    make_pth_state_dict(&pickle, tensors, file->n_tensors);
    entries[0] = (make_pth_entry){
        .name = "consolidated.00/data.pkl", .data = pickle.data, .size = pickle.size};
    make_pth_zip(to, entries, file->n_tensors + 1);
    free(pickle.data);
    mv_tensor_file_close(&file);
    ck_assert_int_eq(unlink(from), 0);
}

START_TEST(opens_a_pth_where_there_are_no_safetensors)
{
    make_options o = {.params = make_small_params(), .dtype = MV_DTYPE_BF16};
    char *folder = make_folder(), hex[65];
    mv_error error = {0};
    make_model(folder, &o);
    convert_to_pth(folder);
    mv_model *model = open_good(folder);
    ck_assert_str_eq(mv_model_get_layout(model), "mistral pth");
    check_values(mv_model_get_view(model), o.dtype, false);
    ck_assert_int_eq(mv_model_hash(model, hex, &error), MV_OK);
    ck_assert_str_eq(hex, hashes[MV_DTYPE_BF16]);
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

START_TEST(shares_a_tied_output_with_the_embeddings)
{
    make_options o = {.params = make_small_params(), .layout = MAKE_HF, .tied = true};
    char *folder = make_folder();
    make_model(folder, &o);
    mv_model *model = open_good(folder);
    const mv_model_view *view = mv_model_get_view(model);
    check_values(view, o.dtype, true);
    ck_assert_ptr_eq(view->output.data, view->tok_embeddings.data);
    uint64_t all = 0;
    for (size_t i = 0; i < mv_weight_count(&view->params); i++) {
        all += mv_weight_at(view, i)->size_bytes;
    }
    ck_assert_uint_eq(mv_model_size_bytes(view), all - view->output.size_bytes);
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

/* 4 heads of 6 rows of 1 element: the row's value says head, pair and member. */
START_TEST(interleaves_the_halves_of_each_head)
{
    uint16_t halves[24], interleaved[24];
    for (uint16_t head = 0; head < 4; head++) {
        for (uint16_t pair = 0; pair < 3; pair++) {
            halves[head * 6 + pair] = (uint16_t)(head * 100 + pair * 10);
            halves[head * 6 + 3 + pair] = (uint16_t)(head * 100 + pair * 10 + 1);
        }
    }
    mv_tensor from = {
        .data = halves, .shape = {24, 1}, .size_bytes = sizeof halves, .dtype = MV_DTYPE_BF16};
    mv_hf_interleave_rows(interleaved, &from, 4);
    for (uint16_t i = 0; i < 24; i++) {
        ck_assert_uint_eq(interleaved[i], i / 6 * 100u + i % 6 / 2 * 10u + i % 2u);
    }
}
END_TEST

START_TEST(finds_the_tokenizer_and_ignores_rotary_buffers)
{
    make_options o = {.params = make_small_params(),
                      .layout = MAKE_HF,
                      .extra = "model.layers.0.self_attn.rotary_emb.inv_freq"};
    char *folder = make_folder(), expected[512];
    make_model(folder, &o);
    free(make_file(folder, "tokenizer.model", "x", 1));
    mv_model *model = open_good(folder);
    (void)snprintf(expected, sizeof expected, "%s/tokenizer.model", folder);
    ck_assert_str_eq(mv_model_get_tokenizer(model), expected);
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

START_TEST(prefers_mistrals_layout_where_a_folder_has_both)
{
    make_options o = {.params = make_small_params(), .layout = MAKE_HF};
    char *folder = make_folder();
    make_model(folder, &o);
    free(make_file(folder, "params.json", "{}", 2)); /* without weights it does not count */
    mv_model *model = open_good(folder);
    ck_assert_str_eq(mv_model_get_layout(model), "hugging face safetensors");
    mv_model_close(&model);
    o.layout = MAKE_MISTRAL;
    make_model(folder, &o);
    free(make_file(folder, "consolidated.00.pth", "x", 1)); /* not looked at */
    model = open_good(folder);
    ck_assert_str_eq(mv_model_get_layout(model), "mistral safetensors");
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    make_options options;
    const char *fragment;
} bad_models[] = {
    {{.omit = "layers.1.ffn_norm.weight"}, "tensor layers.1.ffn_norm.weight is missing"},
    {{.omit = "output.weight"}, "tensor output.weight is missing; params.json with 2 layers"},
    {{.reshape = "layers.1.attention.wk.weight"},
     "consolidated.safetensors: layers.1.attention.wk.weight: expected shape [8, 24] from "
     "params.json, found [7, 24]"},
    {{.reshape = "norm.weight"}, "norm.weight: expected shape [24] from params.json, found [23]"},
    {{.extra = "layers.2.attention.wq.weight"}, "layers.2.attention.wq.weight is not expected"},
    {{.extra = "rope.inv_freq"}, "rope.inv_freq is not expected"},
    {{.layout = MAKE_HF, .omit = "lm_head.weight"}, "tensor lm_head.weight is missing"},
    {{.layout = MAKE_HF, .omit = "model.layers.0.self_attn.q_proj.weight"},
     "model.layers.0.self_attn.q_proj.weight is missing; config.json with 2 layers"},
    {{.layout = MAKE_HF, .reshape = "model.layers.0.mlp.down_proj.weight"},
     "expected shape [24, 20] from config.json, found [23, 20]"},
    {{.layout = MAKE_HF, .extra = "model.layers.0.self_attn.q_proj.bias"},
     "model.layers.0.self_attn.q_proj.bias is not expected"},
    {{.layout = MAKE_HF, .tied = true, .omit = "model.embed_tokens.weight"},
     "tensor model.embed_tokens.weight is missing"},
    {{.layout = MAKE_HF_SHARDS, .omit = "model.norm.weight"},
     "tensor model.norm.weight is missing"},
    {{.layout = MAKE_HF_SHARDS, .repeat_last = true},
     "model-00002-of-00002.safetensors: tensor model.embed_tokens.weight is not expected"},
};

START_TEST(refuses_weights_that_do_not_fit_the_params)
{
    make_options o = bad_models[_i].options;
    o.params = make_small_params();
    char *folder = make_folder();
    make_model(folder, &o);
    check_refused(folder, MV_ERR_FORMAT, bad_models[_i].fragment);
    make_folder_remove(folder);
}
END_TEST

/* The same folder with one more file written over it. */
static const struct {
    make_layout layout;
    const char *file, *text, *fragment;
    mv_code code;
} overwritten[] = {
    {MAKE_MISTRAL, "params.json", "{", "params.json: not valid JSON", MV_ERR_FORMAT},
    {MAKE_MISTRAL, "consolidated.safetensors", "{", "truncated", MV_ERR_FORMAT},
    {MAKE_HF, "config.json", "{}", "config.json: \"model_type\"", MV_ERR_FORMAT},
    {MAKE_HF, "config.json",
     "{\"model_type\":\"mistral\",\"hidden_size\":24,\"num_hidden_layers\":2,\"head_dim\":4,"
     "\"intermediate_size\":20,\"num_attention_heads\":6,\"num_key_value_heads\":2,"
     "\"vocab_size\":11,\"rms_norm_eps\":1e-5,\"sliding_window\":7,\"tie_word_embeddings\":true}",
     "lm_head.weight differs from model.embed_tokens.weight", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{}", "\"weight_map\": expected an object",
     MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{}}",
     "expected 1 to 10000 different files, found 0", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../b\"}}",
     "expected the plain name of a file in the same folder, found \"../b\"", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
     "found \"/etc/passwd\"", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"..\"}}",
     "found \"..\"", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{\"a\":3}}",
     "expected the plain name", MV_ERR_FORMAT},
    {MAKE_HF_SHARDS, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"gone\"}}",
     "/gone: cannot be opened", MV_ERR_IO},
    {MAKE_HF_SHARDS, "model.safetensors.index.json",
     "{\"weight_map\":{\"model.norm.weight\":\"model-00001-of-00002.safetensors\"}}",
     "has no tensor \"model.norm.weight\", although", MV_ERR_FORMAT},
};

START_TEST(refuses_a_folder_with_a_broken_file)
{
    make_options o = {.params = make_small_params(), .layout = overwritten[_i].layout};
    char *folder = make_folder();
    make_model(folder, &o);
    free(make_file(folder, overwritten[_i].file, overwritten[_i].text,
                   strlen(overwritten[_i].text)));
    check_refused(folder, overwritten[_i].code, overwritten[_i].fragment);
    make_folder_remove(folder);
}
END_TEST

START_TEST(accepts_a_tied_model_that_also_writes_its_output)
{
    make_options o = {.params = make_small_params(), .layout = MAKE_HF, .tied = true};
    char *folder = make_folder();
    make_model(folder, &o);
    /* the same rows under the name lm_head.weight, in the data of the embeddings */
    static const char index[] = "{\"weight_map\":{\"model.norm.weight\":\"model-1.safetensors\","
                                "\"lm_head.weight\":\"model-2.safetensors\"}}";
    char from[512], to[512], header[256];
    (void)snprintf(from, sizeof from, "%s/model.safetensors", folder);
    (void)snprintf(to, sizeof to, "%s/model-1.safetensors", folder);
    ck_assert_int_eq(rename(from, to), 0);
    size_t length = (size_t)snprintf(header, sizeof header,
                                     "{\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[11,24],"
                                     "\"data_offsets\":[0,%d]}}",
                                     11 * 24 * 4);
    char bytes[8 + 256 + 11 * 24 * 4];
    uint64_t length_u64 = length;
    memcpy(bytes, &length_u64, 8);
    memcpy(bytes + 8, header, length);
    for (uint64_t i = 0; i < 11 * 24; i++) {
        uint32_t bits = make_bits("tok_embeddings.weight", i, MV_DTYPE_F32);
        memcpy(bytes + 8 + length + 4 * i, &bits, 4);
    }
    free(make_file(folder, "model-2.safetensors", bytes, 8 + length + 11 * 24 * 4));
    free(make_file(folder, "model.safetensors.index.json", index, sizeof index - 1));
    mv_model *model = open_good(folder);
    check_values(mv_model_get_view(model), MV_DTYPE_F32, true);
    mv_model_close(&model);
    make_folder_remove(folder);
}
END_TEST

static const struct {
    const char *file; /* the only one in the folder, or NULL */
    const char *fragment;
} incomplete[] = {
    {NULL, "the folder has neither params.json nor config.json"},
    {"params.json", "params.json but neither consolidated.safetensors nor consolidated.00.pth"},
    {"config.json", "config.json but neither model.safetensors nor model.safetensors.index.json"},
    {"consolidated.safetensors", "weights but no params.json"},
    {"consolidated.00.pth", "weights but no params.json"},
    {"model.safetensors", "weights but no config.json"},
};

START_TEST(says_which_file_a_folder_lacks)
{
    char *folder = make_folder();
    if (incomplete[_i].file != NULL) {
        free(make_file(folder, incomplete[_i].file, "{}", 2));
    }
    check_refused(folder, MV_ERR_FORMAT, incomplete[_i].fragment);
    make_folder_remove(folder);
}
END_TEST

START_TEST(says_what_a_model_may_be_when_there_is_none)
{
    check_refused("/nowhere/at/all", MV_ERR_IO, "No such file or directory; a MODEL is a folder");
    check_refused("synthetik:probe", MV_ERR_IO, "or synthetic:probe; or synthetic:7b");
    check_refused("/dev/null", MV_ERR_IO, "expected a folder, found a file");
    check_refused("", MV_ERR_IO, "a MODEL is a folder");
}
END_TEST

START_TEST(says_where_a_link_to_nowhere_is)
{
    make_options o = {.params = make_small_params(), .layout = MAKE_HF};
    char *folder = make_folder(), path[512];
    make_model(folder, &o);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("../blobs/gone", path), 0);
    check_refused(folder, MV_ERR_IO, "model.safetensors: cannot be opened: No such file");
    make_folder_remove(folder);
}
END_TEST

/* ---- a synthetic model, and a real one ---- */

START_TEST(opens_a_synthetic_model)
{
    mv_model *model = open_good("synthetic:probe");
    char first[65], second[65];
    mv_error error = {0};
    ck_assert_str_eq(mv_model_get_layout(model), "synthetic");
    ck_assert_ptr_null(mv_model_get_tokenizer(model));
    ck_assert_uint_gt(mv_model_size_bytes(mv_model_get_view(model)), 0);
    ck_assert_int_eq(mv_model_hash(model, first, &error), MV_OK);
    mv_model_close(&model);
    model = open_good("synthetic:probe,seed=12345");
    ck_assert_int_eq(mv_model_hash(model, second, &error), MV_OK);
    ck_assert_str_ne(first, second);
    mv_model_close(&model);
}
END_TEST

/* The hash comes from the same Python lines, over the file's own bytes. */
START_TEST(opens_a_trained_model)
{
    char path[512], hex[65];
    mv_error error = {0};
    if (!test_model_path(path, sizeof path, "stories260k")) {
        return;
    }
    mv_model *model = open_good(path);
    const mv_model_view *view = mv_model_get_view(model);
    ck_assert_uint_eq(view->params.hidden_dim, 172);
    ck_assert_uint_eq(view->params.sliding_window, 0);
    ck_assert_double_eq(view->params.rope_theta, 1e4);
    ck_assert_ptr_nonnull(mv_model_get_tokenizer(model));
    ck_assert_int_eq(mv_model_hash(model, hex, &error), MV_OK);
    ck_assert_str_eq(hex, "79433bc53faa6ed0c87043a371bc527e57b0622bbd041deb9f6b85095004ccb7");
    mv_model_close(&model);
}
END_TEST

static Suite *model_suite(void)
{
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");
    tcase_add_loop_test(tests, gives_the_same_weights_from_every_layout_and_dtype, 0, 9);
    tcase_add_loop_test(tests, hashes_a_model_independently_of_its_container, 0, 9);
    tcase_add_test(tests, opens_a_pth_where_there_are_no_safetensors);
    tcase_add_test(tests, shares_a_tied_output_with_the_embeddings);
    tcase_add_test(tests, interleaves_the_halves_of_each_head);
    tcase_add_test(tests, finds_the_tokenizer_and_ignores_rotary_buffers);
    tcase_add_test(tests, prefers_mistrals_layout_where_a_folder_has_both);
    tcase_add_loop_test(tests, refuses_weights_that_do_not_fit_the_params, 0, N_OF(bad_models));
    tcase_add_loop_test(tests, refuses_a_folder_with_a_broken_file, 0, N_OF(overwritten));
    tcase_add_test(tests, accepts_a_tied_model_that_also_writes_its_output);
    tcase_add_loop_test(tests, says_which_file_a_folder_lacks, 0, N_OF(incomplete));
    tcase_add_test(tests, says_what_a_model_may_be_when_there_is_none);
    tcase_add_test(tests, says_where_a_link_to_nowhere_is);
    tcase_add_test(tests, opens_a_synthetic_model);
    tcase_add_test(tests, opens_a_trained_model);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(model_suite)
