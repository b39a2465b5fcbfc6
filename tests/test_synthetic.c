/* Models from a hash: the same bits everywhere and for ever. The pinned numbers come from a few
 * lines of Python and numpy that were written from the comments in synthetic.h and synthetic.c. */
#include "harness/synthetic.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include "harness/model.h"
#include "tests/test_main.h"

static mv_synthetic *synthetic;
static mv_error error;

static const mv_model_view *open_spec(const char *spec)
{
    mv_synthetic_close(&synthetic);
    ck_assert_msg(mv_synthetic_open(&synthetic, spec, &error) == MV_OK, "%s", error.message);
    return mv_synthetic_get_view(synthetic);
}

static void close_it(void)
{
    mv_synthetic_close(&synthetic);
    mv_synthetic_close(&synthetic); /* again is fine */
    ck_assert_ptr_null(synthetic);
}

static uint16_t element(const mv_tensor *tensor, size_t i)
{
    uint16_t value;
    memcpy(&value, (const char *)tensor->data + 2 * i, sizeof value);
    return value;
}

static float to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- the generator ---- */

START_TEST(the_bits_of_the_generator_are_pinned)
{
    /* the first is the first output of splitmix64 from 0, as in everybody's table */
    ck_assert_uint_eq(mv_synthetic_bits(0, 0, 0), 0xe220a8397b1dcdafu);
    ck_assert_uint_eq(mv_synthetic_bits(1, 0, 0), 0xa706dd2f4d197e6fu);
    ck_assert_uint_eq(mv_synthetic_bits(1, 2, 3), 0x8ea264d0125c8328u);
    ck_assert_uint_eq(mv_synthetic_bits(UINT64_MAX, UINT64_MAX, UINT64_MAX - 1),
                      0x0422887e4d87a77au);
}
END_TEST

START_TEST(seed_stream_and_index_each_change_about_half_of_the_bits)
{
    for (uint64_t i = 0; i < 64; i++) {
        const uint64_t bits = mv_synthetic_bits(5, 6, 7);
        const uint64_t others[] = {mv_synthetic_bits(5 ^ (1ull << i), 6, 7),
                                   mv_synthetic_bits(5, 6 ^ (1ull << i), 7),
                                   mv_synthetic_bits(5, 6, 7 ^ (1ull << i))};
        for (size_t j = 0; j < 3; j++) {
            int changed = __builtin_popcountll(bits ^ others[j]);
            ck_assert_int_ge(changed, 12);
            ck_assert_int_le(changed, 52);
        }
    }
}
END_TEST

START_TEST(tokens_are_pinned_and_do_not_depend_on_how_many_are_asked_for)
{
    static const int32_t expected[] = {411, 498, 471, 481, 39, 281, 87, 133};
    int32_t tokens[1000], first[8], other[8];
    bool seen[509] = {false};
    size_t n_seen = 0;
    mv_synthetic_tokens(tokens, 1000, 509, 1);
    mv_synthetic_tokens(first, 8, 509, 1);
    mv_synthetic_tokens(other, 8, 509, 2);
    ck_assert_mem_eq(first, expected, sizeof expected);
    ck_assert_mem_eq(tokens, expected, sizeof expected);
    ck_assert_mem_ne(other, expected, sizeof expected);
    for (size_t i = 0; i < 1000; i++) {
        ck_assert_int_ge(tokens[i], 0);
        ck_assert_int_lt(tokens[i], 509);
        n_seen += !seen[tokens[i]];
        seen[tokens[i]] = true;
    }
    ck_assert_uint_gt(n_seen, 400); /* 509 * (1 - e^-1.96) = 438 */
    mv_synthetic_tokens(tokens, 1000, 1, 1);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_eq(tokens[i], 0);
}
END_TEST

/* ---- the weights ---- */

static void hash_of(const char *spec, char hex[65])
{
    mv_model *model = NULL;
    ck_assert_msg(mv_model_open(&model, spec, &error) == MV_OK, "%s", error.message);
    ck_assert_int_eq(mv_model_hash(model, hex, &error), MV_OK);
    mv_model_close(&model);
}

START_TEST(the_probe_has_the_same_bits_everywhere)
{
    char hex[65];
    hash_of("synthetic:probe", hex);
    ck_assert_str_eq(hex, "d9dd6dafc54e8b4975137ab8b9d85d99f6500d0b706fcb3346ecf328a5f50965");
    hash_of("synthetic:probe,seed=1", hex);
    ck_assert_str_eq(hex, "d9dd6dafc54e8b4975137ab8b9d85d99f6500d0b706fcb3346ecf328a5f50965");
    hash_of("synthetic:probe,seed=2", hex);
    ck_assert_str_ne(hex, "d9dd6dafc54e8b4975137ab8b9d85d99f6500d0b706fcb3346ecf328a5f50965");
}
END_TEST

START_TEST(single_elements_are_pinned)
{
    const mv_model_view *view = open_spec("synthetic:probe");
    const mv_tensor *wq = &view->layers[3].wq, *norm = &view->layers[1].attention_norm;
    ck_assert_uint_eq(element(&view->tok_embeddings, 0), 0xbf33);
    ck_assert_uint_eq(element(&view->tok_embeddings, 3), 0x3f88);
    ck_assert_uint_eq(element(wq, 0), 0x3e3b);
    ck_assert_uint_eq(element(wq, (size_t)127 * 64 + 63), 0x3e69);
    ck_assert_uint_eq(element(norm, 0), 0x3f62);
    ck_assert_uint_eq(element(norm, 63), 0x3f3b);
}
END_TEST

/* FNV-1a of the name is the stream; 24 bits of it are u in [-1, 1). */
START_TEST(any_element_can_be_made_again_without_the_rest)
{
    const mv_model_view *view = open_spec("synthetic:probe,seed=77");
    const mv_tensor *tensors[] = {&view->tok_embeddings, &view->layers[2].ffn_norm};
    const float offsets[] = {0, 1}, spreads[] = {1.7320508f, 0.5f};
    for (size_t t = 0; t < 2; t++) {
        uint64_t stream = 0xcbf29ce484222325u;
        for (const char *at = tensors[t]->name; *at != '\0'; at++)
            stream = (stream ^ (unsigned char)*at) * 0x100000001b3u;
        const size_t n = tensors[t]->shape[0] * tensors[t]->shape[1];
        for (size_t i = n - 1; i < n; i = i >= 7 ? i - 7 : SIZE_MAX) { /* backwards, with gaps */
            int32_t u = (int32_t)(mv_synthetic_bits(77, stream, i) >> 40) - (1 << 23);
            float value = offsets[t] + (float)u * (spreads[t] * 0x1p-23f);
            float made = to_float(element(tensors[t], i));
            ck_assert_msg(fabsf(made - value) <= fabsf(value) * 0x1p-8f, "%s[%zu]: %g, not %g",
                          tensors[t]->name, i, (double)made, (double)value);
        }
    }
}
END_TEST

static double deviation(const mv_tensor *tensor, size_t first, size_t n)
{
    double sum = 0;
    for (size_t i = first; i < first + n; i++) {
        double value = (double)to_float(element(tensor, i));
        ck_assert_msg(isfinite(value), "%s[%zu]", tensor->name, i);
        sum += value * value;
    }
    return sqrt(sum / (double)n);
}

START_TEST(every_weight_is_finite_and_of_the_size_that_was_meant)
{
    const mv_model_view *view = open_spec("synthetic:probe,n_layers=6");
    ck_assert_double_eq_tol(deviation(&view->tok_embeddings, 0, 509 * 64), 1, 0.02);
    ck_assert_double_eq_tol(deviation(&view->output, 0, 509 * 64), 2.0 / 8, 0.01);
    for (uint32_t l = 0; l < 6; l++) {
        const mv_layer *layer = mv_layer_at(view, l);
        ck_assert_double_eq_tol(deviation(&layer->attention_norm, 0, 64), 1.04, 0.06);
        ck_assert_double_eq_tol(deviation(&layer->ffn_norm, 0, 64), 1.04, 0.06);
        ck_assert_double_eq_tol(deviation(&layer->wv, 0, 16 * 64), 0.6 / 8, 0.006);
        ck_assert_double_eq_tol(deviation(&layer->wv, 16 * 64, 16 * 64), 1.4 / 8, 0.012);
        ck_assert_double_eq_tol(deviation(&layer->w1, 0, 172 * 64), 1.5 / 8, 0.01);
        ck_assert_double_eq_tol(deviation(&layer->w3, 0, 172 * 64), 1.0 / 8, 0.01);
        /* 2 * (2 / 6) over the square root of what goes in */
        ck_assert_double_eq_tol(deviation(&layer->wo, 0, 64 * 128), 0.6667 / sqrt(128), 0.003);
        ck_assert_double_eq_tol(deviation(&layer->w2, 0, 64 * 172), 0.6667 / sqrt(172), 0.003);
    }
}
END_TEST

START_TEST(no_two_heads_layers_or_tensors_are_alike)
{
    const mv_model_view *view = open_spec("synthetic:probe");
    const mv_layer *a = mv_layer_at(view, 0), *b = mv_layer_at(view, 1);
    double last = 0;
    for (size_t h = 0; h < 8; h++) { /* gains rise from 0.7 to 1.3 */
        double now = deviation(&a->wq, h * 16 * 64, 16 * 64);
        ck_assert_double_gt(now, last);
        last = now;
    }
    ck_assert_double_gt(deviation(&a->wk, 0, 16 * 64), deviation(&a->wk, 16 * 64, 16 * 64));
    ck_assert_mem_ne(a->wq.data, b->wq.data, 64);
    ck_assert_mem_ne(a->wq.data, a->wk.data, 64);
    ck_assert_mem_ne(a->w1.data, a->w3.data, 64);
    ck_assert_mem_ne(a->attention_norm.data, a->ffn_norm.data, 64);
}
END_TEST

START_TEST(the_view_describes_what_it_lends)
{
    const mv_model_view *view = open_spec("synthetic:probe");
    ck_assert_uint_eq(view->struct_size, sizeof *view);
    ck_assert_uint_eq(view->layer_size, sizeof(mv_layer));
    ck_assert_str_eq(view->layers[3].w2.name, "layers.3.feed_forward.w2.weight");
    ck_assert_uint_eq(view->layers[3].w2.shape[0], 64);
    ck_assert_uint_eq(view->layers[3].w2.shape[1], 172);
    ck_assert_uint_eq(view->layers[3].w2.size_bytes, 64 * 172 * 2);
    ck_assert_uint_eq(view->layers[3].w2.n_dims, 2);
    ck_assert_uint_eq(view->norm.shape[0], 64);
    ck_assert_uint_eq(view->norm.shape[1], 1);
    ck_assert_uint_eq(view->norm.n_dims, 1);
    ck_assert_int_eq(view->output.dtype, MV_DTYPE_BF16);
    ck_assert_uint_eq(view->params.sliding_window, 8);
}
END_TEST

/* ---- the spec ---- */

START_TEST(any_key_of_params_json_may_be_overridden)
{
    const mv_model_view *view = open_spec(
        "synthetic:probe,dim=32,n_layers=2,head_dim=4,hidden_dim=24,n_heads=6,n_kv_heads=3,"
        "vocab_size=17,sliding_window=0,norm_eps=1e-6,rope_theta=1000000,n_layers=3,seed=0");
    const mv_params *p = &view->params;
    ck_assert_uint_eq(p->dim, 32);
    ck_assert_uint_eq(p->n_layers, 3); /* the last one counts */
    ck_assert_uint_eq(p->sliding_window, 0);
    ck_assert_double_eq(p->norm_eps, 1e-6);
    ck_assert_double_eq(p->rope_theta, 1e6);
    ck_assert_uint_eq(view->tok_embeddings.shape[0], 17);
    ck_assert_uint_eq(view->layers[2].wq.shape[0], 24);
    ck_assert_uint_eq(view->layers[2].wk.shape[0], 12);
    ck_assert_uint_eq(view->layers[2].wo.shape[1], 24);
}
END_TEST

START_TEST(the_7b_has_the_shapes_of_mistral_7b)
{
    const mv_params *p = &open_spec("synthetic:7b,n_layers=1,vocab_size=64,hidden_dim=64")->params;
    const mv_params expected = {4096, 1, 128, 64, 32, 8, 64, 4096, 1e-5, 1e4};
    ck_assert_uint_eq(p->dim, expected.dim);
    ck_assert_uint_eq(p->head_dim, expected.head_dim);
    ck_assert_uint_eq(p->n_heads, expected.n_heads);
    ck_assert_uint_eq(p->n_kv_heads, expected.n_kv_heads);
    ck_assert_uint_eq(p->sliding_window, expected.sliding_window);
    ck_assert_double_eq(p->norm_eps, expected.norm_eps);
    ck_assert_double_eq(p->rope_theta, expected.rope_theta);
}
END_TEST

START_TEST(threads_change_no_bit)
{
    /* over a million elements are filled by several threads; the first rows by one, too */
    const mv_model_view *view = open_spec("synthetic:probe,vocab_size=20011,n_layers=1");
    uint16_t part[509 * 64];
    memcpy(part, view->tok_embeddings.data, sizeof part);
    uint16_t last = element(&view->tok_embeddings, 20010 * 64 + 63);
    view = open_spec("synthetic:probe,n_layers=1");
    ck_assert_mem_eq(part, view->tok_embeddings.data, sizeof part);
    view = open_spec("synthetic:probe,vocab_size=20012,n_layers=1");
    ck_assert_uint_eq(element(&view->tok_embeddings, 20010 * 64 + 63), last);
}
END_TEST

START_TEST(knows_its_own_specs)
{
    ck_assert(mv_synthetic_is_spec("synthetic:probe"));
    ck_assert(mv_synthetic_is_spec("synthetic:"));
    ck_assert(!mv_synthetic_is_spec("synthetic"));
    ck_assert(!mv_synthetic_is_spec("./synthetic:probe"));
    ck_assert(!mv_synthetic_is_spec(""));
}
END_TEST

#define PROBE "synthetic:probe,"

static const struct {
    const char *spec, *fragment;
} bad[] = {
    {"synthetic:", "no synthetic model ''; there are: probe, 7b"},
    {"synthetic:prob", "no synthetic model 'prob'; there are: probe, 7b (did you mean probe?)"},
    {"synthetic:probes", "(did you mean probe?)"},
    {"synthetic:8b", "no synthetic model '8b'"},
    {"synthetic:,n_layers=1", "no synthetic model ''"},
    {PROBE, "expected key=value, found ''"},
    {PROBE "n_layers", "expected key=value, found 'n_layers'"},
    {PROBE "=4", "expected key=value, found '=4'"},
    {PROBE "n_layers=4,,", "expected key=value, found ''"},
    {PROBE "n_layer=4", "unknown key \"n_layer\"; did you mean \"n_layers\"?"},
    {PROBE "experts=4", "unknown key \"experts\"; expected a key of params.json"},
    {PROBE "n_layers=", "n_layers: expected an integer from 1 to 10000, found \"\""},
    {PROBE "n_layers=0", "n_layers: expected an integer from 1"},
    {PROBE "n_layers=-1", "n_layers: expected an integer from 1"},
    {PROBE "n_layers=four", "found \"four\""},
    {PROBE "norm_eps=nan", "norm_eps: expected a number between 0 and 1"},
    {PROBE "head_dim=3", "head_dim: expected an even number"},
    {PROBE "n_heads=7", "n_heads: expected a multiple of n_kv_heads = 2, found 7"},
    {PROBE "seed=", "seed: expected a whole number below 2^64, found ''"},
    {PROBE "seed=-1", "seed: expected a whole number below 2^64, found '-1'"},
    {PROBE "seed= 1", "seed: expected a whole number"},
    {PROBE "seed=1x", "seed: expected a whole number"},
    {PROBE "seed=18446744073709551616", "seed: expected a whole number below 2^64"},
    {PROBE "a_key_that_is_longer_than_any_key_that_was_ever_in_a_params_json_file=1",
     "expected key=value"},
};

START_TEST(refuses_a_bad_spec)
{
    mv_code code = mv_synthetic_open(&synthetic, bad[_i].spec, &error);
    ck_assert_msg(code == MV_ERR_ARGUMENT, "'%s' gave %d", bad[_i].spec, (int)code);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.message, bad[_i].fragment) != NULL, "expected '%s' in: %s",
                  bad[_i].fragment, error.message);
    ck_assert_ptr_null(synthetic);
}
END_TEST

static long peak_rss_kib(void)
{
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

START_TEST(absurd_sizes_are_refused_with_numbers_before_memory_is_taken)
{
    static const char *const specs[] = {
        "synthetic:7b,n_layers=10000",
        "synthetic:7b,dim=1000000,hidden_dim=1000000",
        "synthetic:probe,dim=1000000,hidden_dim=1000000,vocab_size=1000000,n_layers=10000",
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        const long before_kib = peak_rss_kib();
        ck_assert_int_eq(mv_synthetic_open(&synthetic, specs[i], &error), MV_ERR_MEMORY);
        ck_assert_ptr_null(synthetic);
        ck_assert_ptr_nonnull(strstr(error.message, specs[i]));
        const char *takes = strstr(error.message, " takes "), *gib = strstr(error.message, " GiB");
        ck_assert_msg(takes != NULL && gib != NULL && strtod(takes + 7, NULL) > 1000, "%s",
                      error.message);
        ck_assert_ptr_nonnull(strstr(error.message, "are available"));
        ck_assert_ptr_nonnull(strstr(error.message, "n_layers=N"));
        ck_assert_int_lt(peak_rss_kib() - before_kib, 100000); /* the list of layers, no weights */
    }
}
END_TEST

static Suite *synthetic_suite(void)
{
    Suite *suite = suite_create("synthetic");
    TCase *generator = tcase_create("generator");
    tcase_add_test(generator, the_bits_of_the_generator_are_pinned);
    tcase_add_test(generator, seed_stream_and_index_each_change_about_half_of_the_bits);
    tcase_add_test(generator, tokens_are_pinned_and_do_not_depend_on_how_many_are_asked_for);
    suite_add_tcase(suite, generator);

    TCase *weights = tcase_create("weights");
    tcase_add_checked_fixture(weights, NULL, close_it);
    tcase_add_test(weights, the_probe_has_the_same_bits_everywhere);
    tcase_add_test(weights, single_elements_are_pinned);
    tcase_add_test(weights, any_element_can_be_made_again_without_the_rest);
    tcase_add_test(weights, every_weight_is_finite_and_of_the_size_that_was_meant);
    tcase_add_test(weights, no_two_heads_layers_or_tensors_are_alike);
    tcase_add_test(weights, the_view_describes_what_it_lends);
    suite_add_tcase(suite, weights);

    TCase *spec = tcase_create("spec");
    tcase_add_checked_fixture(spec, NULL, close_it);
    tcase_add_test(spec, any_key_of_params_json_may_be_overridden);
    tcase_add_test(spec, the_7b_has_the_shapes_of_mistral_7b);
    tcase_add_test(spec, threads_change_no_bit);
    tcase_add_test(spec, knows_its_own_specs);
    tcase_add_loop_test(spec, refuses_a_bad_spec, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(spec, absurd_sizes_are_refused_with_numbers_before_memory_is_taken);
    suite_add_tcase(suite, spec);
    return suite;
}

MV_TEST_MAIN(synthetic_suite)
