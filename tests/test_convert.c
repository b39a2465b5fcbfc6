#include "harness/convert.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/tensor_file.h"
#include "harness/weights.h"
#include "tests/make_model.h"
#include "tests/test_main.h"

/* A folder for everything of a case; "in" is the model, the rest is converted. */
typedef struct place {
    char *folder, *in, *out, *again;
} place;

static char *path_of(const char *folder, const char *name)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

static place make_place(make_layout layout, mv_dtype dtype, bool tied)
{
    make_options o = {
        .params = make_small_params(), .layout = layout, .dtype = dtype, .tied = tied};
    place p = {.folder = make_folder()};
    p.in = path_of(p.folder, "in");
    p.out = path_of(p.folder, "out");
    p.again = path_of(p.folder, "again");
    ck_assert_int_eq(mkdir(p.in, 0777), 0);
    make_model(p.in, &o);
    return p;
}

static void remove_folder(char *folder)
{
    struct stat status;
    if (lstat(folder, &status) == 0)
        make_folder_remove(folder);
    else
        free(folder);
}

static void remove_place(place *p)
{
    remove_folder(p->in);
    remove_folder(p->out);
    remove_folder(p->again);
    make_folder_remove(p->folder);
}

static size_t count_entries(const char *folder)
{
    size_t n = 0;
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(entries);
    return n;
}

static mv_model *open_good(const char *spec)
{
    mv_model *model = NULL;
    mv_error error = {0};
    mv_code code = mv_model_open(&model, spec, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return model;
}

static mv_code convert(const char *from, const char *to, const mv_convert_options *options,
                       mv_error *error)
{
    mv_model *model = NULL;
    mv_code code = mv_model_open_unchecked(&model, from, error); /* as mistral-model does */
    ck_assert_msg(code == MV_OK, "%s", error->message);
    code = mv_convert(model, to, options, error);
    mv_model_close(&model);
    return code;
}

static void convert_good(const char *from, const char *to, mv_convert_layout layout,
                         uint64_t shard_bytes)
{
    const mv_convert_options options = {.to = layout, .shard_bytes = shard_bytes};
    mv_error error = {0};
    mv_code code = convert(from, to, &options, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
}

static void hash_of(const char *spec, char hex[65])
{
    mv_error error = {0};
    mv_model *model = open_good(spec);
    ck_assert_int_eq(mv_model_hash(model, hex, &error), MV_OK);
    mv_model_close(&model);
}

static char *read_file(const char *folder, const char *name, size_t *size)
{
    char *path = path_of(folder, name), *bytes = NULL;
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, file);
    ck_assert_uint_lt(*size, 1 << 20);
    (void)fclose(file);
    free(path);
    return bytes;
}

static void check_same_file(const char *a, const char *b, const char *name)
{
    size_t a_size, b_size;
    char *a_bytes = read_file(a, name, &a_size), *b_bytes = read_file(b, name, &b_size);
    ck_assert_uint_eq(a_size, b_size);
    ck_assert_mem_eq(a_bytes, b_bytes, a_size);
    free(a_bytes);
    free(b_bytes);
}

/* ---- there and back ---- */

/* _i: dtype + 3 * (layout to write + 3 * layout to read). */
START_TEST(keeps_every_bit_from_every_layout_to_every_layout_and_back)
{
    place p = make_place((make_layout)(_i / 9), (mv_dtype)(_i % 3), false);
    const mv_convert_layout to = (mv_convert_layout)(_i / 3 % 3);
    char in[65], out[65], again[65];
    convert_good(p.in, p.out, to, 0);
    convert_good(p.out, p.again, MV_CONVERT_MISTRAL, 0);
    hash_of(p.in, in);
    hash_of(p.out, out);
    hash_of(p.again, again);
    ck_assert_str_eq(in, out);
    ck_assert_str_eq(in, again);
    mv_model *model = open_good(p.out);
    const mv_params expected = make_small_params();
    ck_assert_mem_eq(&mv_model_get_view(model)->params, &expected, sizeof expected);
    mv_model_close(&model);
    remove_place(&p);
}
END_TEST

/* make_model.c spells out names and the order of rows on its own. */
START_TEST(writes_the_tensors_that_another_writer_of_the_layout_writes)
{
    const bool hf = _i == 1;
    const char *name = hf ? "model.safetensors" : "consolidated.safetensors";
    place p = make_place(hf ? MAKE_HF : MAKE_MISTRAL, MV_DTYPE_BF16, false);
    place q = make_place(hf ? MAKE_MISTRAL : MAKE_HF, MV_DTYPE_BF16, false);
    convert_good(q.in, q.out, hf ? MV_CONVERT_HF : MV_CONVERT_MISTRAL, 0);
    char *expected_path = path_of(p.in, name), *path = path_of(q.out, name);
    mv_tensor_file *expected = NULL, *found = NULL;
    mv_error error = {0};
    ck_assert_int_eq(mv_safetensors_open(&expected, expected_path, &error), MV_OK);
    ck_assert_int_eq(mv_safetensors_open(&found, path, &error), MV_OK);
    ck_assert_uint_eq(found->n_tensors, expected->n_tensors);
    ck_assert(found->mapped);
    for (size_t i = 0; i < found->n_tensors; i++) {
        const mv_tensor *a = &found->tensors[i], *b = &expected->tensors[i];
        ck_assert_str_eq(a->name, b->name);
        ck_assert_uint_eq(a->size_bytes, b->size_bytes);
        ck_assert_msg(memcmp(a->data, b->data, a->size_bytes) == 0, "%s", a->name);
    }
    mv_tensor_file_close(&expected);
    mv_tensor_file_close(&found);
    free(expected_path);
    free(path);
    remove_place(&p);
    remove_place(&q);
}
END_TEST

START_TEST(writes_the_same_file_for_the_same_weights)
{
    static const char *const names[] = {"consolidated.safetensors", "consolidated.00.pth",
                                        "model.safetensors"};
    place p = make_place(MAKE_HF_SHARDS, MV_DTYPE_F16, false);
    convert_good(p.in, p.out, (mv_convert_layout)_i, 0);
    convert_good(p.out, p.again, (mv_convert_layout)_i, 0);
    check_same_file(p.out, p.again, names[_i]);
    check_same_file(p.out, p.again, _i == MV_CONVERT_HF ? "config.json" : "params.json");
    remove_place(&p);
}
END_TEST

START_TEST(cuts_into_shards_no_larger_than_asked)
{
    enum { MOST = 1500 };
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_BF16, false);
    char in[65], out[65];
    convert_good(p.in, p.out, MV_CONVERT_HF, MOST);
    hash_of(p.in, in);
    hash_of(p.out, out);
    ck_assert_str_eq(in, out);
    ck_assert_uint_gt(count_entries(p.out), 5);
    DIR *entries = opendir(p.out);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strstr(entry->d_name, ".safetensors") == NULL || strstr(entry->d_name, ".json") != NULL)
            continue;
        char *path = path_of(p.out, entry->d_name);
        mv_tensor_file *file = NULL;
        mv_error error = {0};
        uint64_t size = 0;
        ck_assert_int_eq(mv_safetensors_open(&file, path, &error), MV_OK);
        for (size_t i = 0; i < file->n_tensors; i++)
            size += file->tensors[i].size_bytes;
        ck_assert_msg(size <= MOST || file->n_tensors == 1, "%s: %llu", entry->d_name,
                      (unsigned long long)size);
        mv_tensor_file_close(&file);
        free(path);
    }
    (void)closedir(entries);
    remove_place(&p);
}
END_TEST

START_TEST(keeps_a_tied_output_where_the_layout_has_words_for_it)
{
    place p = make_place(MAKE_HF, MV_DTYPE_F32, true);
    convert_good(p.in, p.out, MV_CONVERT_HF, 0);
    convert_good(p.in, p.again, MV_CONVERT_MISTRAL, 0);
    mv_model *tied = open_good(p.out), *written = open_good(p.again);
    const mv_model_view *a = mv_model_get_view(tied), *b = mv_model_get_view(written);
    ck_assert_ptr_eq(a->output.data, a->tok_embeddings.data);
    ck_assert_ptr_ne(b->output.data, b->tok_embeddings.data);
    ck_assert_mem_eq(b->output.data, b->tok_embeddings.data, b->output.size_bytes);
    ck_assert_uint_eq(mv_convert_size_bytes(a, MV_CONVERT_MISTRAL), mv_model_size_bytes(b));
    ck_assert_uint_eq(mv_convert_size_bytes(a, MV_CONVERT_HF), mv_model_size_bytes(a));
    mv_model_close(&tied);
    mv_model_close(&written);
    remove_place(&p);
}
END_TEST

START_TEST(copies_the_tokenizer_and_takes_an_empty_folder)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_F32, false);
    free(make_file(p.in, "tokenizer.model", "not looked at", 13));
    ck_assert_int_eq(mkdir(p.out, 0777), 0);
    char *with_slash = path_of(p.out, "");
    convert_good(p.in, with_slash, MV_CONVERT_MISTRAL, 0);
    check_same_file(p.in, p.out, "tokenizer.model");
    ck_assert_uint_eq(count_entries(p.folder), 2); /* in, out */
    free(with_slash);
    remove_place(&p);
}
END_TEST

START_TEST(aligns_the_data_of_a_pth_to_64_bytes)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_BF16, false);
    size_t size, n = 0;
    convert_good(p.in, p.out, MV_CONVERT_PTH, 0);
    char *bytes = read_file(p.out, "consolidated.00.pth", &size);
    for (size_t at = 0; at + 30 < size; at++) {
        if (memcmp(bytes + at, "PK\3\4", 4) != 0)
            continue;
        const size_t name = (unsigned char)bytes[at + 26], extra = (unsigned char)bytes[at + 28];
        ck_assert_uint_eq((at + 30 + name + extra) % 64, 0);
        n++;
    }
    ck_assert_uint_eq(n, mv_weight_count(&(mv_params){.n_layers = 2}) + 3);
    free(bytes);
    remove_place(&p);
}
END_TEST

/* ---- nothing, or all ---- */

START_TEST(refuses_a_folder_that_is_taken)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_F32, false);
    const mv_convert_options options = {.to = MV_CONVERT_PTH};
    mv_error error = {0};
    ck_assert_int_eq(convert(p.in, p.in, &options, &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "is there already"));
    ck_assert_int_eq(convert(p.in, "", &options, &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "empty"));
    char *nowhere = path_of(p.folder, "no/such/folder");
    ck_assert_int_eq(convert(p.in, nowhere, &options, &error), MV_ERR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "No such file"));
    ck_assert_uint_eq(count_entries(p.folder), 1);
    free(nowhere);
    remove_place(&p);
}
END_TEST

static bool stop_late(void *cookie, uint64_t n_bytes_more)
{
    uint64_t *left = cookie;
    *left -= n_bytes_more < *left ? n_bytes_more : *left;
    return *left > 0;
}

START_TEST(leaves_nothing_behind_when_it_is_stopped)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_F32, false);
    uint64_t left = 4000;
    const mv_write_watch watch = {stop_late, &left};
    const mv_convert_options options = {
        .to = (mv_convert_layout)_i, .watch = &watch, .shard_bytes = 1500};
    mv_error error = {0};
    ck_assert_int_eq(convert(p.in, p.out, &options, &error), MV_ERR_IO);
    ck_assert_msg(strstr(error.message, "stopped before it was complete") != NULL, "%s",
                  error.message);
    ck_assert_uint_eq(count_entries(p.folder), 1);
    remove_place(&p);
}
END_TEST

/* The limit on a file's size stands in for a full disk: both come back from write(). */
START_TEST(leaves_nothing_behind_when_the_disk_takes_no_more)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_F32, false);
    const mv_convert_options options = {.to = (mv_convert_layout)_i};
    const struct rlimit few = {9000, RLIM_INFINITY}, many = {RLIM_INFINITY, RLIM_INFINITY};
    mv_error error = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
    mv_code code = convert(p.in, p.out, &options, &error);
    (void)setrlimit(RLIMIT_FSIZE, &many);
    ck_assert_int_eq(code, MV_ERR_IO);
    ck_assert_msg(strstr(error.message, "cannot be written") != NULL, "%s", error.message);
    ck_assert_msg(strstr(error.message, "File too large") != NULL, "%s", error.message);
    ck_assert_uint_eq(count_entries(p.folder), 1);
    remove_place(&p);
}
END_TEST

START_TEST(tells_the_watch_every_byte)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_F32, false);
    uint64_t left = UINT64_MAX;
    const mv_write_watch watch = {stop_late, &left};
    const mv_convert_options options = {.to = (mv_convert_layout)_i, .watch = &watch};
    mv_error error = {0};
    ck_assert_int_eq(convert(p.in, p.out, &options, &error), MV_OK);
    mv_model *model = open_good(p.out);
    ck_assert_uint_eq(UINT64_MAX - left, mv_model_size_bytes(mv_model_get_view(model)));
    mv_model_close(&model);
    remove_place(&p);
}
END_TEST

START_TEST(knows_three_layouts_by_name)
{
    mv_convert_layout layout;
    mv_error error = {0};
    ck_assert_int_eq(mv_convert_layout_parse(&layout, "pth", &error), MV_OK);
    ck_assert_int_eq(layout, MV_CONVERT_PTH);
    ck_assert_int_eq(mv_convert_layout_parse(&layout, "hf", &error), MV_OK);
    ck_assert_int_eq(layout, MV_CONVERT_HF);
    ck_assert_int_eq(mv_convert_layout_parse(&layout, "gguf", &error), MV_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "expected mistral, pth or hf, found 'gguf'"));
}
END_TEST

/* Several threads make the copies of q and k, and take the checksums. */
START_TEST(keeps_every_bit_of_tensors_that_several_threads_read)
{
    const char *spec = "synthetic:probe,dim=1024,n_layers=2,n_heads=16,n_kv_heads=4,head_dim=64,"
                       "hidden_dim=32,vocab_size=64";
    place p = {.folder = make_folder()};
    char in[65], out[65];
    p.in = path_of(p.folder, "in");
    p.out = path_of(p.folder, "out");
    p.again = path_of(p.folder, "again");
    convert_good(spec, p.in, MV_CONVERT_PTH, 0);
    convert_good(p.in, p.out, MV_CONVERT_HF, 0);
    convert_good(p.out, p.again, MV_CONVERT_PTH, 0);
    hash_of(spec, in);
    hash_of(p.out, out);
    ck_assert_str_eq(in, out);
    hash_of(p.again, out);
    ck_assert_str_eq(in, out);
    remove_place(&p);
}
END_TEST

/* Flips a bit of the first row of a tensor of a .pth. */
static void damage(const char *folder, size_t weight)
{
    mv_error error = {0};
    mv_model *model = open_good(folder);
    const mv_tensor *tensor = mv_weight_at(mv_model_get_view(model), weight);
    char *path = path_of(folder, "consolidated.00.pth");
    size_t size = 0;
    char *bytes = read_file(folder, "consolidated.00.pth", &size);
    char *at = memmem(bytes, size, tensor->data, tensor->size_bytes);
    ck_assert_ptr_nonnull(at);
    at[1] ^= 1;
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    mv_model_close(&model);
    ck_assert_int_eq(mv_model_open(&model, folder, &error), MV_ERR_FORMAT);
    ck_assert_ptr_null(model);
    free(bytes);
    free(path);
}

/* _i: layout to write + 3 * which tensor: q, whose rows change their order, or w2. */
START_TEST(refuses_a_pth_whose_numbers_do_not_fit_their_checksum)
{
    place p = make_place(MAKE_MISTRAL, MV_DTYPE_BF16, false);
    const mv_convert_options options = {.to = (mv_convert_layout)(_i % 3)};
    mv_error error = {0};
    convert_good(p.in, p.out, MV_CONVERT_PTH, 0);
    damage(p.out, _i / 3 == 0 ? 2 : 8);
    ck_assert_int_eq(convert(p.out, p.again, &options, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, "CRC error") != NULL &&
                      strstr(error.message, "consolidated.00.pth") != NULL &&
                      strstr(error.message, _i / 3 == 0 ? "/data/2\"" : "/data/8\"") != NULL,
                  "%s", error.message);
    ck_assert_uint_eq(count_entries(p.folder), 2); /* in and out */
    remove_place(&p);
}
END_TEST

static Suite *convert_suite(void)
{
    Suite *suite = suite_create("convert");
    TCase *good = tcase_create("good");
    tcase_set_timeout(good, 30);
    tcase_add_loop_test(good, keeps_every_bit_from_every_layout_to_every_layout_and_back, 0, 27);
    tcase_add_loop_test(good, writes_the_tensors_that_another_writer_of_the_layout_writes, 0, 2);
    tcase_add_loop_test(good, writes_the_same_file_for_the_same_weights, 0, 3);
    tcase_add_test(good, cuts_into_shards_no_larger_than_asked);
    tcase_add_test(good, keeps_a_tied_output_where_the_layout_has_words_for_it);
    tcase_add_test(good, copies_the_tokenizer_and_takes_an_empty_folder);
    tcase_add_test(good, aligns_the_data_of_a_pth_to_64_bytes);
    tcase_add_loop_test(good, tells_the_watch_every_byte, 0, 3);
    tcase_add_test(good, keeps_every_bit_of_tensors_that_several_threads_read);
    tcase_add_test(good, knows_three_layouts_by_name);
    suite_add_tcase(suite, good);
    TCase *bad = tcase_create("bad");
    tcase_add_test(bad, refuses_a_folder_that_is_taken);
    tcase_add_loop_test(bad, refuses_a_pth_whose_numbers_do_not_fit_their_checksum, 0, 6);
    tcase_add_loop_test(bad, leaves_nothing_behind_when_it_is_stopped, 0, 3);
    tcase_add_loop_test(bad, leaves_nothing_behind_when_the_disk_takes_no_more, 0, 3);
    suite_add_tcase(suite, bad);
    return suite;
}

MV_TEST_MAIN(convert_suite)
