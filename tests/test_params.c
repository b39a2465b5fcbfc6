#include "harness/params.h"

#include <math.h>
#include <string.h>

#include "harness/nearest.h"
#include "tests/make_model.h"
#include "tests/test_main.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

#define V01                                                                                        \
    "\"dim\":4096,\"n_layers\":32,\"head_dim\":128,\"hidden_dim\":14336,\"n_heads\":32,"           \
    "\"n_kv_heads\":8,\"norm_eps\":1e-05"
#define HF                                                                                         \
    "\"model_type\":\"mistral\",\"hidden_size\":4096,\"num_hidden_layers\":2,"                     \
    "\"intermediate_size\":14336,\"num_attention_heads\":32,\"num_key_value_heads\":8,"            \
    "\"vocab_size\":32000,\"rms_norm_eps\":1e-05"
#define LLAMA                                                                                      \
    "\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2,"                         \
    "\"intermediate_size\":172,\"num_attention_heads\":8,\"vocab_size\":512,\"rms_norm_eps\":1e-6"

static mv_code read_text(mv_params *params, int *tied, const char *text, mv_error *error)
{
    char *folder = make_folder();
    char *path = make_file(folder, "the.json", text, strlen(text));
    mv_code code = tied != NULL ? mv_params_read_config(params, tied, path, error)
                                : mv_params_read(params, path, error);
    free(path);
    make_folder_remove(folder);
    return code;
}

static mv_params read_good(const char *text)
{
    mv_params params;
    mv_error error = {0};
    mv_code code = read_text(&params, NULL, text, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return params;
}

static mv_params read_good_config(const char *text, int *tied)
{
    mv_params params;
    mv_error error = {0};
    mv_code code = read_text(&params, tied, text, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return params;
}

typedef struct bad {
    const char *text, *fragment;
    mv_code code;
} bad;

/* params must stay as they were, and the message must be one line that names the file. */
static void check_bad(const bad *b, bool config)
{
    mv_params params, before;
    mv_error error = {0};
    int tied = 7;
    memset(&params, 0x5a, sizeof params);
    before = params;
    mv_code code = read_text(&params, config ? &tied : NULL, b->text, &error);
    ck_assert_msg(code == b->code, "%s: code %d, %s", b->text, (int)code, error.message);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.message, b->fragment) != NULL, "%s: expected '%s' in: %s", b->text,
                  b->fragment, error.message);
    ck_assert_msg(strstr(error.message, "the.json") != NULL, "no path in: %s", error.message);
    ck_assert_ptr_null(strchr(error.message, '\n'));
    ck_assert_mem_eq(&params, &before, sizeof params);
    ck_assert_int_eq(tied, 7);
}

/* ---- params.json ---- */

START_TEST(reads_v01_with_its_window_and_the_theta_it_leaves_out)
{
    mv_params p = read_good("{" V01 ",\"sliding_window\":4096,\"vocab_size\":32000}");
    ck_assert_uint_eq(p.dim, 4096);
    ck_assert_uint_eq(p.n_layers, 32);
    ck_assert_uint_eq(p.head_dim, 128);
    ck_assert_uint_eq(p.hidden_dim, 14336);
    ck_assert_uint_eq(p.n_heads, 32);
    ck_assert_uint_eq(p.n_kv_heads, 8);
    ck_assert_uint_eq(p.vocab_size, 32000);
    ck_assert_uint_eq(p.sliding_window, 4096);
    ck_assert_double_eq(p.norm_eps, 1e-5);
    ck_assert_double_eq(p.rope_theta, 1e4);
}
END_TEST

/* What must never happen: 1e6, or full attention, because a key is missing. */
START_TEST(takes_v01_without_window_and_theta_for_v01)
{
    mv_params p = read_good("{" V01 ",\"vocab_size\":32000}");
    ck_assert_uint_eq(p.sliding_window, 4096);
    ck_assert_double_eq(p.rope_theta, 1e4);
    p = read_good("{" V01 ",\"vocab_size\":32000,\"rope_theta\":null,\"sliding_window\":null}");
    ck_assert_uint_eq(p.sliding_window, 0); /* it says so */
    ck_assert_double_eq(p.rope_theta, 1e4);
    p = read_good("{" V01 ",\"vocab_size\":32000,\"rope_theta\":1e6}"); /* v0.2 */
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e6);
    p = read_good("{" V01 ",\"vocab_size\":32001}"); /* somebody's own */
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e4);
}
END_TEST

START_TEST(reads_v03_without_a_window)
{
    mv_params p = read_good("{" V01 ",\"vocab_size\":32768,\"rope_theta\":1000000}");
    ck_assert_uint_eq(p.vocab_size, 32768);
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e6);
}
END_TEST

START_TEST(ignores_what_changes_no_logit)
{
    mv_params p = read_good("{" V01 ",\"vocab_size\":32000,\"sliding_window\":null,"
                            "\"rope_theta\":null,\"max_seq_len\":32768,\"moe\":null,"
                            "\"model_type\":\"transformer\",\"use_biases\":false,\"causal\":true,"
                            "\"lora\":{\"rank\":64}}");
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e4);
}
END_TEST

static const bad bad_params[] = {
    {"", "not valid JSON", MV_ERR_FORMAT},
    {"{" V01, "not valid JSON", MV_ERR_FORMAT},
    {"[1]", "expected a JSON object", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":9,\"dim\":1}", "duplicate", MV_ERR_FORMAT},
    {"{" V01 "}", "\"vocab_size\" is missing", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":null}", "\"vocab_size\" is missing", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":-1}", "from 1 to 1000000, found -1", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":0}", "found 0", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":1000001}", "found 1000001", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":4294967297}", "found 4294967297", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":99999999999999999999}", "not valid JSON", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":32000.0}", "expected an integer", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":\"32000\"}", "found the text \"32000\"", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":\"a\\nb\\u00e9\"}", "found the text \"a\\x0ab\\xc3\\xa9\"",
     MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":9,\"sliding_window\":-1}", "found -1", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":9,\"sliding_window\":[1,2]}", "per-layer windows",
     MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"_sliding_window\":[1]}", "per-layer windows", MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"moe\":{}}", "a mixture of experts is not handled",
     MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"use_biases\":true}", "biases are not handled",
     MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"model_type\":\"mamba\"}", "found the text \"mamba\"",
     MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"rope_thetta\":1e4}", "did you mean \"rope_theta\"?",
     MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"logit_softcap\":30}",
     "unknown key \"logit_softcap\":", MV_ERR_UNSUPPORTED},
    {"{" V01 ",\"vocab_size\":9,\"rope_theta\":1}", "found 1", MV_ERR_FORMAT},
    {"{" V01 ",\"vocab_size\":9,\"rope_theta\":true}", "found true", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":10001,\"head_dim\":2,\"hidden_dim\":4,\"n_heads\":2,"
     "\"n_kv_heads\":1,\"norm_eps\":1e-5,\"vocab_size\":9}",
     "found 10001", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":1,\"head_dim\":3,\"hidden_dim\":4,\"n_heads\":2,"
     "\"n_kv_heads\":1,\"norm_eps\":1e-5,\"vocab_size\":9}",
     "head_dim: expected an even number", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":1,\"head_dim\":2,\"hidden_dim\":4,\"n_heads\":5,"
     "\"n_kv_heads\":2,\"norm_eps\":1e-5,\"vocab_size\":9}",
     "expected a multiple of n_kv_heads = 2, found 5", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":1,\"head_dim\":100000,\"hidden_dim\":4,\"n_heads\":100000,"
     "\"n_kv_heads\":2,\"norm_eps\":1e-5,\"vocab_size\":9}",
     "found 100000 * 100000 = 10000000000", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":1,\"head_dim\":2,\"hidden_dim\":4,\"n_heads\":2,"
     "\"n_kv_heads\":1,\"norm_eps\":0,\"vocab_size\":9}",
     "between 0 and 1", MV_ERR_FORMAT},
    {"{\"dim\":4,\"n_layers\":1,\"head_dim\":2,\"hidden_dim\":4,\"n_heads\":2,"
     "\"n_kv_heads\":1,\"norm_eps\":1,\"vocab_size\":9}",
     "between 0 and 1", MV_ERR_FORMAT},
};

START_TEST(refuses_bad_params)
{
    check_bad(&bad_params[_i], false);
}
END_TEST

START_TEST(says_why_a_file_cannot_be_read)
{
    mv_params params;
    mv_error error = {0};
    ck_assert_int_eq(mv_params_read(&params, "/nowhere/params.json", &error), MV_ERR_IO);
    ck_assert_str_eq(error.message,
                     "/nowhere/params.json: cannot be opened: No such file or directory");
    ck_assert_int_eq(mv_params_read(&params, "/tmp", &error), MV_ERR_IO);
    ck_assert_str_eq(error.message, "/tmp: expected a regular file");
    ck_assert_int_eq(mv_params_read(&params, "/nowhere", NULL), MV_ERR_IO);
}
END_TEST

/* ---- config.json ---- */

START_TEST(reads_a_config_and_finds_the_head_dim)
{
    int tied = 7;
    mv_params p = read_good_config("{" HF ",\"sliding_window\":4096,\"rope_theta\":10000.0,"
                                   "\"architectures\":[\"MistralForCausalLM\"]}",
                                   &tied);
    ck_assert_int_eq(tied, 0);
    ck_assert_uint_eq(p.dim, 4096);
    ck_assert_uint_eq(p.n_layers, 2);
    ck_assert_uint_eq(p.head_dim, 128);
    ck_assert_uint_eq(p.hidden_dim, 14336);
    ck_assert_uint_eq(p.n_heads, 32);
    ck_assert_uint_eq(p.n_kv_heads, 8);
    ck_assert_uint_eq(p.vocab_size, 32000);
    ck_assert_uint_eq(p.sliding_window, 4096);
    ck_assert_double_eq(p.norm_eps, 1e-5);
    ck_assert_double_eq(p.rope_theta, 1e4);
}
END_TEST

START_TEST(reads_rope_parameters_of_transformers_5)
{
    int tied = 7;
    mv_params p =
        read_good_config("{" HF ",\"sliding_window\":null,\"head_dim\":64,"
                         "\"tie_word_embeddings\":true,"
                         "\"rope_parameters\":{\"rope_theta\":1e6,\"rope_type\":\"default\"}}",
                         &tied);
    ck_assert_int_eq(tied, 1);
    ck_assert_uint_eq(p.head_dim, 64);
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e6);
}
END_TEST

START_TEST(reads_a_llama_without_window_groups_or_theta)
{
    int tied = 7;
    mv_params p = read_good_config("{" LLAMA "}", &tied);
    ck_assert_uint_eq(p.n_kv_heads, 8);
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.rope_theta, 1e4);
}
END_TEST

typedef struct window_case {
    const char *text;
    uint32_t window;
} window_case;

static const window_case windows[] = {
    {"{" HF ",\"sliding_window\":5}", 5},
    {"{" HF ",\"sliding_window\":null}", 0},
    {"{" HF ",\"sliding_window\":5,\"use_sliding_window\":true}", 5},
    {"{" HF ",\"sliding_window\":5,\"use_sliding_window\":false}", 0},
    {"{" HF ",\"sliding_window\":5,\"layer_types\":[\"sliding_attention\",\"sliding_attention\"]}",
     5},
    {"{" HF ",\"sliding_window\":null,\"layer_types\":[\"full_attention\",\"full_attention\"]}", 0},
    {"{" HF ",\"layer_types\":[\"full_attention\",\"full_attention\"]}", 0},
    {"{" HF ",\"sliding_window\":5,\"use_sliding_window\":false,"
     "\"layer_types\":[\"full_attention\",\"full_attention\"]}",
     0},
    {"{" LLAMA ",\"sliding_window\":5,\"use_sliding_window\":false}", 0},
};

START_TEST(finds_the_window_of_a_config)
{
    int tied = 7;
    ck_assert_uint_eq(read_good_config(windows[_i].text, &tied).sliding_window, windows[_i].window);
}
END_TEST

#define HFW HF ",\"sliding_window\":null"

static const bad bad_configs[] = {
    {"{" HF "}", "\"sliding_window\" is missing", MV_ERR_FORMAT},
    {"{" HF ",\"sliding_window\":0}", "found 0", MV_ERR_FORMAT},
    {"{" HF ",\"sliding_window\":5,\"layer_types\":[\"full_attention\",\"full_attention\"]}",
     "is 5 but \"layer_types\" says full_attention", MV_ERR_UNSUPPORTED},
    {"{" HF ",\"sliding_window\":5,\"layer_types\":[\"sliding_attention\",\"full_attention\"]}",
     "per-layer windows are not handled", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"layer_types\":[\"sliding_attention\",\"sliding_attention\"]}",
     "there is no window", MV_ERR_FORMAT},
    {"{" HFW ",\"layer_types\":[\"full_attention\"]}", "a list of num_hidden_layers = 2, found 1",
     MV_ERR_FORMAT},
    {"{" HFW ",\"layer_types\":[\"full_attention\",\"mamba\"]}", "\"layer_types\"[1]",
     MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"layer_types\":[1,2]}", "found no text", MV_ERR_UNSUPPORTED},
    {"{" LLAMA ",\"sliding_window\":5}", "a llama has no window", MV_ERR_UNSUPPORTED},
    {"{\"hidden_size\":4}", "\"model_type\"", MV_ERR_FORMAT},
    {"{\"model_type\":\"qwen2\"}", "found qwen2", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"architectures\":[\"MistralForSequenceClassification\"]}",
     "found MistralForSequenceClassification", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"architectures\":[]}", "found something else", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"hidden_act\":\"gelu\"}", "expected \"silu\", found the text \"gelu\"",
     MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"attention_bias\":true}", "biases are not handled", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"mlp_bias\":true}", "biases are not handled", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"num_experts\":8}", "a mixture of experts", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"quantization_config\":{}}", "quantized", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", "rope_scaling",
     MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"rope_scaling\":\"linear\"}", "expected an object or null", MV_ERR_FORMAT},
    {"{" HFW ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":1e6}}",
     "found the text \"yarn\"", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":0}}",
     "rope_parameters: \"rope_theta\"", MV_ERR_FORMAT},
    {"{" HFW ",\"rope_parameters\":{\"full_attention\":{}}}", "unknown key \"full_attention\"",
     MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"rope_theta\":1e4,\"rope_parameters\":{\"rope_theta\":1e6}}",
     "given twice and differs: 10000 and 1000000", MV_ERR_FORMAT},
    {"{" HFW ",\"partial_rotary_factor\":0.5}", "a part of a head", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"logit_scale\":0.5}", "unknown key \"logit_scale\"", MV_ERR_UNSUPPORTED},
    {"{" HFW ",\"tie_word_embeddings\":1}", "expected true or false, found 1", MV_ERR_FORMAT},
    {"{\"model_type\":\"mistral\",\"hidden_size\":10,\"num_hidden_layers\":2,"
     "\"intermediate_size\":4,\"num_attention_heads\":4,\"vocab_size\":9,\"rms_norm_eps\":1e-5}",
     "is no multiple of num_attention_heads = 4", MV_ERR_FORMAT},
    {"{\"model_type\":\"mistral\",\"hidden_size\":8,\"num_hidden_layers\":2,"
     "\"intermediate_size\":4,\"num_attention_heads\":4,\"vocab_size\":9,\"rms_norm_eps\":1e-5}",
     "\"num_key_value_heads\" is missing", MV_ERR_FORMAT},
};

START_TEST(refuses_bad_configs)
{
    check_bad(&bad_configs[_i], true);
}
END_TEST

/* ---- keys of a spec ---- */

START_TEST(sets_a_field_by_its_name)
{
    mv_params p = make_small_params();
    mv_error error = {0};
    ck_assert_int_eq(mv_params_set(&p, "n_layers", "4", "spec", &error), MV_OK);
    ck_assert_int_eq(mv_params_set(&p, "sliding_window", "0", "spec", &error), MV_OK);
    ck_assert_int_eq(mv_params_set(&p, "norm_eps", "1e-6", "spec", &error), MV_OK);
    ck_assert_int_eq(mv_params_set(&p, "rope_theta", "1000000", "spec", &error), MV_OK);
    ck_assert_uint_eq(p.n_layers, 4);
    ck_assert_uint_eq(p.sliding_window, 0);
    ck_assert_double_eq(p.norm_eps, 1e-6);
    ck_assert_double_eq(p.rope_theta, 1e6);
    ck_assert_uint_eq(p.dim, 24);
}
END_TEST

static const struct {
    const char *key, *value, *fragment;
} bad_sets[] = {
    {"n_layer", "4", "unknown key \"n_layer\"; did you mean \"n_layers\"?"},
    {"zzz", "4", "expected a key of params.json"},
    {"dim", "", "found \"\""},
    {"dim", "0", "an integer from 1 to 1000000, found \"0\""},
    {"dim", "-4", "found \"-4\""},
    {"dim", " 4", "found \" 4\""},
    {"dim", "4k", "found \"4k\""},
    {"dim", "4.5", "found \"4.5\""},
    {"dim", "1e3", "found \"1e3\""},
    {"dim", "99999999999999999999", "found \"9999"},
    {"sliding_window", "-1", "found \"-1\""},
    {"norm_eps", "nan", "between 0 and 1"},
    {"norm_eps", "1", "between 0 and 1"},
    {"norm_eps", "0x1p-10", "between 0 and 1"},
    {"rope_theta", "inf", "between 1 and"},
    {"rope_theta", "1e999", "between 1 and"},
    {"rope_theta", "1e4e", "between 1 and"},
};

START_TEST(refuses_a_bad_key_or_value)
{
    mv_params p = make_small_params(), before = p;
    mv_error error = {0};
    mv_code code = mv_params_set(&p, bad_sets[_i].key, bad_sets[_i].value, "synthetic:x", &error);
    ck_assert_int_eq(code, MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, bad_sets[_i].fragment) != NULL, "%s", error.message);
    ck_assert_msg(strncmp(error.message, "synthetic:x: ", 13) == 0, "%s", error.message);
    ck_assert_mem_eq(&p, &before, sizeof p);
}
END_TEST

START_TEST(checks_params_that_no_file_wrote)
{
    mv_params p = make_small_params();
    mv_error error = {0};
    ck_assert_int_eq(mv_params_check(&p, "spec", &error), MV_OK);
    p.norm_eps = (double)NAN;
    ck_assert_int_eq(mv_params_check(&p, "spec", &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "spec: norm_eps"));
    p = make_small_params();
    p.n_kv_heads = 0;
    ck_assert_int_eq(mv_params_check(&p, "spec", &error), MV_ERR_ARGUMENT);
    p = make_small_params();
    p.n_kv_heads = 4;
    ck_assert_int_eq(mv_params_check(&p, "spec", &error), MV_ERR_ARGUMENT);
    p = make_small_params();
    p.rope_theta = (double)INFINITY;
    ck_assert_int_eq(mv_params_check(&p, "spec", &error), MV_ERR_ARGUMENT);
}
END_TEST

/* ---- nearest ---- */

START_TEST(finds_the_name_that_was_probably_meant)
{
    static const char *const names[] = {"reference", "blas", NULL, "cuda", "max_tokens", "chunk"};
    static const struct {
        const char *word, *expected;
    } cases[] = {
        {"refrence", "reference"},
        {"ref", "reference"},
        {"bals", "blas"},
        {"CUDA", "cuda"},
        {"max-tokens", "max_tokens"},
        {"chunks", "chunk"},
        {"re", NULL},
        {"llamacpp", NULL},
        {"", NULL},
    };
    for (int i = 0; i < N_OF(cases); i++) {
        const char *found = mv_nearest(cases[i].word, names, sizeof names / sizeof *names);
        ck_assert_msg(found == cases[i].expected || (found != NULL && cases[i].expected != NULL &&
                                                     strcmp(found, cases[i].expected) == 0),
                      "%s: found %s", cases[i].word, found != NULL ? found : "nothing");
    }
    char long_word[200];
    memset(long_word, 'a', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    ck_assert_ptr_null(mv_nearest(long_word, names, sizeof names / sizeof *names));
}
END_TEST

static Suite *params_suite(void)
{
    Suite *suite = suite_create("params");
    TCase *tests = tcase_create("params");
    tcase_add_test(tests, reads_v01_with_its_window_and_the_theta_it_leaves_out);
    tcase_add_test(tests, takes_v01_without_window_and_theta_for_v01);
    tcase_add_test(tests, reads_v03_without_a_window);
    tcase_add_test(tests, ignores_what_changes_no_logit);
    tcase_add_loop_test(tests, refuses_bad_params, 0, N_OF(bad_params));
    tcase_add_test(tests, says_why_a_file_cannot_be_read);
    tcase_add_test(tests, reads_a_config_and_finds_the_head_dim);
    tcase_add_test(tests, reads_rope_parameters_of_transformers_5);
    tcase_add_test(tests, reads_a_llama_without_window_groups_or_theta);
    tcase_add_loop_test(tests, finds_the_window_of_a_config, 0, N_OF(windows));
    tcase_add_loop_test(tests, refuses_bad_configs, 0, N_OF(bad_configs));
    tcase_add_test(tests, sets_a_field_by_its_name);
    tcase_add_loop_test(tests, refuses_a_bad_key_or_value, 0, N_OF(bad_sets));
    tcase_add_test(tests, checks_params_that_no_file_wrote);
    tcase_add_test(tests, finds_the_name_that_was_probably_meant);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(params_suite)
