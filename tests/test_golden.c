/* Golden files: what comes back, what is refused, and that no changed bit goes unnoticed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/synthetic.h"
#include "tests/golden_fixture.h"
#include "tests/make_model.h"
#include "tests/test_main.h"

static mv_error error;
static char *folder, path[512], other[512];
static mv_model *model;
static mv_golden *golden;

static void open_fixture(void)
{
    folder = make_folder();
    snprintf(path, sizeof path, "%s/golden.h5", folder);
    snprintf(other, sizeof other, "%s/other.h5", folder);
    model = fixture_model(FIXTURE_MODEL);
    golden = fixture_golden(model);
    mv_code code = mv_golden_write(golden, path, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
}

static void close_fixture(void)
{
    mv_golden_close(&golden);
    mv_model_close(&model);
    make_folder_remove(folder);
}

/* The file at `at` must be refused, with code and both texts in the message. */
static void refused(const char *at, mv_code code, const char *what, const char *more)
{
    mv_golden *read = NULL;
    error.message[0] = '\0';
    ck_assert_msg(mv_golden_open(&read, at, &error) == code, "%s: expected a refusal (%s): '%s'",
                  at, what, error.message);
    ck_assert_ptr_null(read);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.message, at) == error.message, "no path: %s", error.message);
    ck_assert_msg(strstr(error.message, what) != NULL, "no '%s': %s", what, error.message);
    ck_assert_msg(strstr(error.message, more) != NULL, "no '%s': %s", more, error.message);
    ck_assert_msg(strchr(error.message, '\n') == NULL, "two lines: %s", error.message);
}

static mv_golden *accepted(const char *at)
{
    mv_golden *read = NULL;
    mv_code code = mv_golden_open(&read, at, &error);
    ck_assert_msg(code == MV_OK, "%s", error.message);
    return read;
}

/* ---- writing and reading ---- */

static void same_case(const mv_golden_case *a, const mv_golden_case *b, size_t vocab_size)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->window, b->window);
    ck_assert_int_eq(a->chunk, b->chunk);
    ck_assert_int_eq(a->seed, b->seed);
    ck_assert_int_eq(a->sketch_seed, b->sketch_seed);
    ck_assert_uint_eq(a->n_tokens, b->n_tokens);
    ck_assert_uint_eq(a->n_positions, b->n_positions);
    ck_assert_uint_eq(a->n_top, b->n_top);
    const size_t n = a->n_tokens, m = a->n_positions;
    ck_assert_mem_eq(a->tokens, b->tokens, n * sizeof *a->tokens);
    ck_assert_mem_eq(a->positions, b->positions, m * sizeof *a->positions);
    ck_assert_mem_eq(a->oracle, b->oracle, m * vocab_size * sizeof *a->oracle);
    ck_assert_mem_eq(a->sketch, b->sketch, n * MV_SKETCH_SIZE * sizeof *a->sketch);
    ck_assert_mem_eq(a->top_ids, b->top_ids, n * a->n_top * sizeof *a->top_ids);
    ck_assert_mem_eq(a->top_values, b->top_values, n * a->n_top * sizeof *a->top_values);
    ck_assert_mem_eq(a->lse, b->lse, n * sizeof *a->lse);
}

START_TEST(gives_back_what_was_written)
{
    mv_golden *read = accepted(path);
    ck_assert_mem_eq(&read->params, &golden->params, sizeof read->params);
    ck_assert_str_eq(read->model_spec, FIXTURE_MODEL);
    ck_assert_str_eq(read->tokenizer_sha256, "");
    ck_assert_uint_eq(read->n_weights, 3 + 2 * 9);
    ck_assert_mem_eq(read->weights, golden->weights, read->n_weights * sizeof *read->weights);
    ck_assert_str_eq(mv_environment_get(&read->provenance, "made_by"), "a test");
    ck_assert_uint_eq(read->n_cases, 2);
    for (size_t i = 0; i < 2; i++)
        same_case(&read->cases[i], &golden->cases[i], golden->params.vocab_size);
    mv_golden_close(&read);
}
END_TEST

START_TEST(keeps_both_sides_of_every_edge)
{
    /* 0, around the chunk of 7 and the window of 8, the one asked for, the last. */
    static const int64_t windowed[] = {0, 6, 7, 8, 9, 20, 29}, plain[] = {0, 6, 7, 8, 20, 29};
    ck_assert_uint_eq(golden->cases[0].n_positions, 7);
    ck_assert_mem_eq(golden->cases[0].positions, windowed, sizeof windowed);
    ck_assert_uint_eq(golden->cases[1].n_positions, 6);
    ck_assert_mem_eq(golden->cases[1].positions, plain, sizeof plain);
}
END_TEST

static void same_bytes(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = fixture_read(a, &n), *y = fixture_read(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(x, y, n);
    free(x);
    free(y);
}

START_TEST(writes_the_same_bytes_twice)
{
    mv_golden *again = fixture_golden(model);
    ck_assert_int_eq(mv_golden_write(again, other, &error), MV_OK);
    same_bytes(path, other);
    mv_golden_close(&again);
    again = accepted(path); /* and what was read, as it was */
    ck_assert_int_eq(mv_golden_write(again, other, &error), MV_OK);
    mv_golden_close(&again);
    mv_golden *x = accepted(path), *y = accepted(other);
    ck_assert_str_eq(x->merkle_root, y->merkle_root);
    mv_golden_close(&x);
    mv_golden_close(&y);
}
END_TEST

START_TEST(leaves_no_file_behind_when_it_cannot_write)
{
    char bad[600];
    struct stat info;
    snprintf(bad, sizeof bad, "%s/nowhere/golden.h5", folder);
    ck_assert_int_eq(mv_golden_write(golden, bad, &error), MV_ERR_IO);
    ck_assert_msg(strstr(error.message, bad) != NULL, "%s", error.message);
    ck_assert_int_eq(mv_golden_write(golden, folder, &error), MV_ERR_IO);

    golden->cases[1].oracle[3] = NAN; /* no reader would take it */
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "/cases/0001/logits/oracle: row 0 is not finite") != NULL,
                  "%s", error.message);
    ck_assert_int_ne(stat(other, &info), 0);
}
END_TEST

START_TEST(replaces_an_old_file_whole)
{
    fixture_write(other, "old", 3);
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_OK);
    same_bytes(path, other);
}
END_TEST

/* ---- damage ---- */

START_TEST(finds_every_one_of_200_flipped_bits)
{
    size_t size;
    unsigned char *bytes = fixture_read(path, &size);
    for (uint64_t i = 0; i < 220; i++) {
        /* The last 20 within the seal, of which 200 anywhere would hit one or two. */
        const uint64_t bit = mv_synthetic_bits(7, 1, i) % (8 * (i < 200 ? size : 512));
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        fixture_write(other, bytes, size);
        refused(other, MV_ERR_FORMAT, other, "");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    fixture_write(other, bytes, size); /* and nothing else was wrong with it */
    mv_golden *read = accepted(other);
    mv_golden_close(&read);
    free(bytes);
}
END_TEST

/* Where the first byte of a dataset's values lies in the file. */
static size_t find_bytes(const unsigned char *bytes, size_t size, const void *wanted, size_t n)
{
    const unsigned char *at = memmem(bytes, size, wanted, n);
    ck_assert_ptr_nonnull(at);
    return (size_t)(at - bytes);
}

START_TEST(names_the_dataset_that_is_damaged)
{
    const mv_golden_case *one = &golden->cases[1];
    /* Of the last position, where the two cases differ. */
    const struct {
        const void *values;
        const char *name;
    } rows[] = {{one->oracle + 5 * 67, "/cases/0001/logits/oracle"},
                {one->sketch + 29 * MV_SKETCH_SIZE, "/cases/0001/logits/sketch"},
                {one->top_values + 29 * MV_GOLDEN_TOP, "/cases/0001/logits/top_values"},
                {one->lse + 28, "/cases/0001/logits/lse"}};
    size_t size;
    unsigned char *bytes = fixture_read(path, &size);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t at = find_bytes(bytes, size, rows[i].values, 16);
        bytes[at + 5] ^= 4;
        fixture_write(other, bytes, size);
        refused(other, MV_ERR_FORMAT, rows[i].name, "sha256 is not the one in its seal");
        bytes[at + 5] ^= 4;
    }
    free(bytes);
}
END_TEST

START_TEST(finds_a_truncated_file_at_every_length)
{
    size_t size;
    unsigned char *bytes = fixture_read(path, &size);
    static const size_t lengths[] = {1, 8, 16, 17, 100, 511, 512, 513, 520, 1024, 2048};
    fixture_write(other, bytes, 0);
    refused(other, MV_ERR_FORMAT, "empty", "golden");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        fixture_write(other, bytes, lengths[i]);
        refused(other, MV_ERR_FORMAT, lengths[i] < 17 ? "not a golden file" : "truncated", "");
    }
    for (uint64_t i = 0; i < 60; i++) {
        const size_t length = 512 + mv_synthetic_bits(7, 2, i) % (size - 512);
        fixture_write(other, bytes, length);
        refused(other, MV_ERR_FORMAT, "truncated", "behind the seal, expected");
    }
    fixture_write(other, bytes, size - 1);
    refused(other, MV_ERR_FORMAT, "truncated", "");
    bytes[size] = 0;
    fixture_write(other, bytes, size + 1);
    refused(other, MV_ERR_FORMAT, "changed", "behind the seal, expected");
    free(bytes);
}
END_TEST

START_TEST(refuses_what_is_no_golden)
{
    snprintf(other, sizeof other, "%s/nothing.h5", folder);
    refused(other, MV_ERR_IO, "cannot be opened", "No such file");
    refused(folder, MV_ERR_FORMAT, "not a plain file", "");
    fixture_write(other, "{\"schema\": \"something else\"}\n", 29);
    refused(other, MV_ERR_FORMAT, "not a golden file", "mistral-golden 1");
    hid_t file = H5Fcreate(other, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Fclose(file), 0);
    refused(other, MV_ERR_FORMAT, "without the seal", "h5repack -u");

    hid_t list = H5Pcreate(H5P_FILE_CREATE); /* sealed, and nothing in it */
    ck_assert_int_ge(H5Pset_userblock(list, 512), 0);
    fixture_close(other, H5Fcreate(other, H5F_ACC_TRUNC, list, H5P_DEFAULT));
    ck_assert_int_ge(H5Pclose(list), 0);
    refused(other, MV_ERR_FORMAT, "/@schema: missing", "");
}
END_TEST

/* ---- files that were edited, and sealed again ---- */

static void other_schema(hid_t file)
{
    fixture_set_text(file, "/", "schema", "another");
}

static void other_major(hid_t file)
{
    fixture_set_text(file, "/", "schema_version", "2.0");
}

static void no_version(hid_t file)
{
    fixture_set_text(file, "/", "schema_version", "new");
}

static void unknown_feature(hid_t file)
{
    fixture_set_int(file, "/", "required_features", 4);
}

static void version_as_a_number(hid_t file)
{
    fixture_set_int(file, "/", "schema_version", 1);
}

static void other_semantics(hid_t file)
{
    fixture_set_text(file, "/model", "window_semantics", "excl_self");
    fixture_vouch(file, "/model@window_semantics", "excl_self", 9);
}

static void set_int(hid_t file, const char *group, const char *key, int64_t value)
{
    char name[160];
    fixture_set_int(file, group, key, value);
    snprintf(name, sizeof name, "%s@%s", group, key);
    fixture_vouch(file, name, &value, sizeof value);
}

static void other_vocabulary(hid_t file)
{
    set_int(file, "/model", "vocab_size", 66);
}

static void more_layers(hid_t file)
{
    set_int(file, "/model", "n_layers", 3);
}

static void negative_dim(hid_t file)
{
    set_int(file, "/model", "dim", -16);
}

static void odd_heads(hid_t file)
{
    set_int(file, "/model", "n_kv_heads", 3);
}

static void no_cases(hid_t file)
{
    set_int(file, "/", "n_cases", 0);
}

static void too_many_cases(hid_t file)
{
    set_int(file, "/", "n_cases", 3);
}

static void other_window(hid_t file)
{
    fixture_set_int(file, "/cases/0000", "window", 9);
}

/* Position 10 is not kept: with a window of 9 it would have to be. */
static void other_window_vouched(hid_t file)
{
    set_int(file, "/cases/0000", "window", 9);
}

static void other_generator(hid_t file)
{
    fixture_set_text(file, "/cases/0000", "sketch_generator", "dice");
    fixture_vouch(file, "/cases/0000@sketch_generator", "dice", 4);
}

static void edited_oracle(hid_t file)
{
    const double value = 1.5;
    fixture_set_value(file, "/cases/0000/logits/oracle", 2, 5, &value);
}

static void edited_oracle_vouched(hid_t file)
{
    edited_oracle(file);
    fixture_vouch_dataset(file, "/cases/0000/logits/oracle");
}

static void infinite_oracle(hid_t file)
{
    const double value = INFINITY;
    fixture_set_value(file, "/cases/0000/logits/oracle", 2, 5, &value);
    fixture_vouch_dataset(file, "/cases/0000/logits/oracle");
}

static void edited_sketch_vouched(hid_t file)
{
    const float value = 1.5f;
    fixture_set_value(file, "/cases/0001/logits/sketch", 8, 60, &value);
    fixture_vouch_dataset(file, "/cases/0001/logits/sketch");
}

static void edited_lse_vouched(hid_t file)
{
    const double value = 1e3;
    fixture_set_value(file, "/cases/0001/logits/lse", 15, 0, &value);
    fixture_vouch_dataset(file, "/cases/0001/logits/lse");
}

static void edited_top_vouched(hid_t file)
{
    const double value = 1e3;
    fixture_set_value(file, "/cases/0001/logits/top_values", 15, 3, &value);
    fixture_vouch_dataset(file, "/cases/0001/logits/top_values");
}

static void top_beyond_vocabulary(hid_t file)
{
    const int32_t value = 67;
    fixture_set_value(file, "/cases/0001/logits/top_ids", 15, 3, &value);
    fixture_vouch_dataset(file, "/cases/0001/logits/top_ids");
}

static void token_beyond_vocabulary(hid_t file)
{
    const int32_t value = 67;
    fixture_set_value(file, "/cases/0001/tokens", 4, 0, &value);
    fixture_vouch_dataset(file, "/cases/0001/tokens");
}

static void missing_position(hid_t file)
{
    const int64_t value = 10; /* in place of W+1 */
    fixture_set_value(file, "/cases/0000/logits/positions", 4, 0, &value);
    fixture_vouch_dataset(file, "/cases/0000/logits/positions");
}

static void falling_positions(hid_t file)
{
    const int64_t value = 6;
    fixture_set_value(file, "/cases/0000/logits/positions", 4, 0, &value);
    fixture_vouch_dataset(file, "/cases/0000/logits/positions");
}

static void deleted_lse(hid_t file)
{
    ck_assert_int_ge(H5Ldelete(file, "/cases/0000/logits/lse", H5P_DEFAULT), 0);
}

/* In place of a dataset: one of another type or shape. */
static void replace(hid_t file, const char *name, hid_t type, int rank, const hsize_t *size)
{
    const hsize_t chunk[2] = {1, 1};
    hid_t space = H5Screate_simple(rank, size, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    ck_assert_int_ge(H5Ldelete(file, name, H5P_DEFAULT), 0);
    ck_assert_int_ge(H5Pset_chunk(list, rank, chunk), 0);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    (void)H5Dclose(set);
    (void)H5Pclose(list);
    (void)H5Sclose(space);
}

static void lse_in_f32(hid_t file)
{
    const hsize_t size[] = {FIXTURE_TOKENS};
    replace(file, "/cases/0000/logits/lse", H5T_IEEE_F32LE, 1, size);
}

static void short_lse(hid_t file)
{
    const hsize_t size[] = {FIXTURE_TOKENS - 1};
    replace(file, "/cases/0000/logits/lse", H5T_IEEE_F64LE, 1, size);
}

static void flat_oracle(hid_t file)
{
    const hsize_t size[] = {7 * 67};
    replace(file, "/cases/0000/logits/oracle", H5T_IEEE_F64LE, 1, size);
}

static void empty_tokens(hid_t file)
{
    const hsize_t size[] = {0};
    replace(file, "/cases/0000/tokens", H5T_STD_I32LE, 1, size);
}

static void endless_tokens(hid_t file)
{
    const hsize_t size[] = {(hsize_t)1 << 60};
    replace(file, "/cases/0000/tokens", H5T_STD_I32LE, 1, size);
}

static void edited_index(hid_t file)
{
    golden_entry entry = {.path = "/", .nbytes = 1};
    fixture_set_value(file, "/index", 0, 0, &entry);
}

static void edited_weights(hid_t file)
{
    golden_weight_row row = {.name = "tok_embeddings.weight", .dtype = "bf16"};
    fixture_set_value(file, "/model/weights", 0, 0, &row);
}

static void wrong_weights_vouched(hid_t file)
{
    edited_weights(file);
    fixture_vouch_dataset(file, "/model/weights");
}

static const struct {
    const char *name;
    void (*edit)(hid_t file);
    const char *what, *more;
} edits[] = {
    {"schema", other_schema, "/@schema: 'another'", "expected 'mistral-golden'"},
    {"major", other_major, "/@schema_version: schema 2.0", "reads 1.x"},
    {"version", no_version, "/@schema_version: 'new'", "MAJOR.MINOR"},
    {"version's type", version_as_a_number, "/@schema_version: expected one text", ""},
    {"feature", unknown_feature, "/@required_features: 0x4", "does not know"},
    {"semantics", other_semantics, "/model@window_semantics: 'excl_self'", "'incl_self'"},
    {"vocabulary", other_vocabulary, "/cases/0000/logits/oracle: shape", "expected [7, 66]"},
    {"layers", more_layers, "/model/weights: shape", "expected [30, 1]"},
    {"dim", negative_dim, "/model@dim: -16", "out of range"},
    {"heads", odd_heads, "/model", "n_kv_heads"},
    {"no case", no_cases, "/@n_cases: 0", "expected 1"},
    {"cases", too_many_cases, "/cases/0002@name", "missing"},
    {"window", other_window, "/cases/0000@window: edited", "/index"},
    {"window, vouched", other_window_vouched,
     "/cases/0000/logits/positions: position 10 is missing", "window 9"},
    {"generator", other_generator, "@sketch_generator is 'dice'", "expected"},
    {"oracle", edited_oracle, "/cases/0000/logits/oracle: edited", "/index"},
    {"oracle, vouched", edited_oracle_vouched, "/cases/0000/logits/sketch: position 7",
     "the row in logits/oracle gives"},
    {"infinite", infinite_oracle, "/cases/0000/logits/oracle: row 2 is not finite", ""},
    {"sketch", edited_sketch_vouched, "/cases/0001/logits/sketch: position 8", "gives"},
    {"lse", edited_lse_vouched, "/cases/0001/logits/lse: row 15", "does not fit"},
    {"top", edited_top_vouched, "/cases/0001/logits/top_values: row 15", "falling"},
    {"top id", top_beyond_vocabulary, "/cases/0001/logits/top_ids: row 15: id 67", "has 67"},
    {"token", token_beyond_vocabulary, "/cases/0001/tokens: token 4 is 67", "has 67"},
    {"position", missing_position, "/cases/0000/logits/positions: position 9 is missing", ""},
    {"order", falling_positions, "/cases/0000/logits/positions: position 6 behind 8", "rising"},
    {"deleted", deleted_lse, "/cases/0000/logits/lse: missing", ""},
    {"type", lse_in_f32, "/cases/0000/logits/lse: its elements have another type", ""},
    {"shape", short_lse, "/cases/0000/logits/lse: shape [29, 1]", "expected [30, 1]"},
    {"rank", flat_oracle, "/cases/0000/logits/oracle: shape", "rank 1"},
    {"empty", empty_tokens, "/cases/0000/tokens: empty", ""},
    {"endless", endless_tokens, "/cases/0000/tokens: claims to be larger", ""},
    {"index", edited_index, "/index: edited", "merkle_root"},
    {"weights", edited_weights, "/model/weights: edited", ""},
    {"weights, vouched", wrong_weights_vouched, "/model/weights: tok_embeddings.weight is [0, 0]",
     "expected [67, 16]"},
};

START_TEST(refuses_a_file_that_was_edited_and_sealed_again)
{
    size_t size;
    unsigned char *bytes = fixture_read(path, &size);
    fixture_write(other, bytes, size);
    hid_t file = fixture_open(other);
    edits[_i].edit(file);
    fixture_close(other, file);
    refused(other, MV_ERR_FORMAT, edits[_i].what, edits[_i].more);
    free(bytes);
}
END_TEST

/* ---- what a later minor may add ---- */

static void add_dataset(hid_t file, const char *name)
{
    const hsize_t size[] = {3};
    const double values[] = {1, 2, 3};
    hid_t space = H5Screate_simple(1, size, NULL);
    hid_t set =
        H5Dcreate2(file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    ck_assert_int_ge(H5Dwrite(set, H5T_IEEE_F64LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    (void)H5Dclose(set);
    (void)H5Sclose(space);
}

START_TEST(ignores_a_group_and_a_minor_that_it_does_not_know)
{
    hid_t file = fixture_open(path);
    hid_t group = H5Gcreate2(file, "/taps", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Gclose(group), 0);
    add_dataset(file, "/taps/norm");
    fixture_set_text(file, "/", "schema_version", "1.9");
    fixture_vouch(file, "/@schema_version", "1.9", 3);
    fixture_close(path, file);
    mv_golden *read = accepted(path);
    ck_assert_int_eq(read->minor, 9);
    ck_assert_uint_eq(read->n_cases, 2);
    mv_golden_close(&read);
}
END_TEST

/* Those of Transformers hold a group that no reader has a name for. */
START_TEST(looks_at_what_it_does_not_know_if_the_index_vouches_for_it)
{
    static const char noise[] = "/cases/0000/noise/transformers_f32_row_relative_rmse";
    size_t size;
    unsigned char *bytes = fixture_read(MV_SOURCE_ROOT "/golden/data/probe.h5", &size);
    fixture_write(other, bytes, size);
    mv_golden *read = accepted(other);
    mv_golden_close(&read);
    const double value = 0;
    hid_t file = fixture_open(other);
    fixture_set_value(file, noise, 3, 0, &value);
    fixture_close(other, file);
    refused(other, MV_ERR_FORMAT, noise, "edited");
    free(bytes);
}
END_TEST

START_TEST(refuses_what_the_index_does_not_vouch_for)
{
    golden_entry entry = {.path = "/provenance@nothing"};
    hid_t file = fixture_open(path);
    golden_file reader = {.id = file, .path = path, .size_bytes = 1 << 20, .error = &error};
    char root[MV_SHA256_SIZE];
    golden_get_index(&reader, root);
    ck_assert_int_eq(reader.code, MV_OK);
    const size_t last = reader.index.n_entries - 1;
    ck_assert_str_eq(reader.index.entries[last].path, "/provenance@made_by");
    free(reader.index.entries);
    free(reader.index.seen);
    fixture_set_value(file, "/index", last, 0, &entry);
    fixture_vouch(file, entry.path, "", 0);
    fixture_close(path, file);
    refused(path, MV_ERR_FORMAT, "/provenance@made_by: not in /index", "vouches");
}
END_TEST

/* ---- the model ---- */

static void not_of(const char *spec, const char *what, const char *more)
{
    mv_model *another = fixture_model(spec);
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(another), &error),
                     MV_ERR_FORMAT);
    ck_assert_msg(strncmp(error.message, "g.h5: /model", 12) == 0, "%s", error.message);
    ck_assert_msg(strstr(error.message, what) != NULL, "no '%s': %s", what, error.message);
    ck_assert_msg(strstr(error.message, more) != NULL, "no '%s': %s", more, error.message);
    mv_model_close(&another);
}

START_TEST(tells_another_model_by_its_params_and_by_each_weight)
{
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(model), &error), MV_OK);
    not_of(FIXTURE_MODEL ",vocab_size=68", "/model@vocab_size", "67 there and 68");
    not_of(FIXTURE_MODEL ",rope_theta=1e6", "/model@rope_theta", "10000 there and 1000000");
    not_of(FIXTURE_MODEL ",norm_eps=1e-6", "/model@norm_eps", "1e-05 there and");
    not_of(FIXTURE_MODEL ",n_layers=3", "/model@n_layers", "2 there and 3");
    not_of(FIXTURE_MODEL ",seed=2", "sha256 of tok_embeddings.weight", "/model/weights");

    mv_model *same = fixture_model(FIXTURE_MODEL ",sliding_window=5"); /* each case has its own */
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", mv_model_get_view(same), &error), MV_OK);
    mv_model_close(&same);

    mv_model_view view = *mv_model_get_view(model); /* one bit of the last tensor */
    unsigned char *copy = malloc(view.output.size_bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, view.output.data, view.output.size_bytes);
    copy[view.output.size_bytes - 1] ^= 1;
    view.output.data = copy;
    ck_assert_int_eq(mv_golden_match(golden, "g.h5", &view, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, "output.weight") != NULL, "%s", error.message);
    free(copy);
}
END_TEST

static void free_paths(char **paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
}

START_TEST(finds_the_goldens_of_a_model_and_no_damaged_one)
{
    char **paths = NULL;
    size_t n = 9;
    mv_model *another = fixture_model(FIXTURE_MODEL ",seed=2");
    ck_assert_int_eq(setenv("MISTRAL_GOLDEN_DIR", folder, 1), 0);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(model), &paths, &n, &error), MV_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(paths[0], path);
    free_paths(paths, n);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(another), &paths, &n, &error), MV_OK);
    ck_assert_uint_eq(n, 0);
    free_paths(paths, n);
    fixture_write(other, "rubbish", 7);
    ck_assert_int_eq(mv_golden_find(mv_model_get_view(model), &paths, &n, &error), MV_ERR_FORMAT);
    ck_assert_msg(strstr(error.message, other) != NULL, "%s", error.message);
    mv_model_close(&another);
}
END_TEST

/* ---- recording, trimming, comparing ---- */

START_TEST(refuses_a_plan_that_cannot_be_run)
{
    const int32_t good[] = {1, 2, 3}, bad[] = {1, 67};
    const mv_model_view *view = mv_model_get_view(model);
    mv_backend no_taps = *fixture_reference();
    mv_golden_plan plan = {.name = "x", .tokens = bad, .n_tokens = 2};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "token 1 is 67") != NULL, "%s", error.message);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 0};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 3, .window = -1};
    ck_assert_int_eq(mv_golden_record(golden, fixture_reference(), view, &plan, &error),
                     MV_ERR_ARGUMENT);
    plan = (mv_golden_plan){.name = "x", .tokens = good, .n_tokens = 3};
    no_taps.set_tap = NULL;
    ck_assert_int_eq(mv_golden_record(golden, &no_taps, view, &plan, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "no taps") != NULL, "%s", error.message);
    ck_assert_uint_eq(golden->n_cases, 2);
}
END_TEST

START_TEST(trims_to_the_rows_asked_for_and_those_that_must_stay)
{
    const mv_range none = {.n = 0}, absent = {.values = {15}, .n = 1};
    const double kept = golden->cases[0].oracle[6 * 67 + 11]; /* position 29, behind 20 */
    ck_assert_int_eq(mv_golden_trim(golden, &absent, &error), MV_ERR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "position 15") != NULL, "%s", error.message);
    ck_assert_uint_eq(golden->cases[0].n_positions, 7);
    ck_assert_int_eq(mv_golden_trim(golden, &none, &error), MV_OK);
    ck_assert_uint_eq(golden->cases[0].n_positions, 6);
    ck_assert_int_eq(golden->cases[0].positions[5], 29);
    ck_assert_double_eq(golden->cases[0].oracle[5 * 67 + 11], kept);
    ck_assert_int_eq(mv_golden_write(golden, other, &error), MV_OK);
    mv_golden *read = accepted(other);
    same_case(&read->cases[0], &golden->cases[0], 67);
    mv_golden_close(&read);
}
END_TEST

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
    mv_golden *same = accepted(path);
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
    mv_golden *theirs = accepted(shipped), *ours = NULL;
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

static Suite *golden_suite(void)
{
    Suite *suite = suite_create("golden");
    TCase *tests = tcase_create("golden");
    tcase_add_checked_fixture(tests, open_fixture, close_fixture);
    tcase_set_timeout(tests, 110);
    tcase_add_test(tests, gives_back_what_was_written);
    tcase_add_test(tests, keeps_both_sides_of_every_edge);
    tcase_add_test(tests, writes_the_same_bytes_twice);
    tcase_add_test(tests, leaves_no_file_behind_when_it_cannot_write);
    tcase_add_test(tests, replaces_an_old_file_whole);
    tcase_add_test(tests, finds_every_one_of_200_flipped_bits);
    tcase_add_test(tests, names_the_dataset_that_is_damaged);
    tcase_add_test(tests, finds_a_truncated_file_at_every_length);
    tcase_add_test(tests, refuses_what_is_no_golden);
    tcase_add_loop_test(tests, refuses_a_file_that_was_edited_and_sealed_again, 0,
                        (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, ignores_a_group_and_a_minor_that_it_does_not_know);
    tcase_add_test(tests, looks_at_what_it_does_not_know_if_the_index_vouches_for_it);
    tcase_add_test(tests, refuses_what_the_index_does_not_vouch_for);
    tcase_add_test(tests, tells_another_model_by_its_params_and_by_each_weight);
    tcase_add_test(tests, finds_the_goldens_of_a_model_and_no_damaged_one);
    tcase_add_test(tests, refuses_a_plan_that_cannot_be_run);
    tcase_add_test(tests, trims_to_the_rows_asked_for_and_those_that_must_stay);
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

MV_TEST_MAIN(golden_suite)
