/* No changed bit of a golden goes unnoticed, and no edit that contradicts itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/synthetic.h"
#include "tests/golden_fixture.h"
#include "tests/test_main.h"

static mv_error error;
static const char *folder, *path, *other;
static mv_model *model;
static mv_golden *golden;

static void set_up(void)
{
    fixture_set_up();
    folder = fixture.folder;
    path = fixture.path;
    other = fixture.other;
    model = fixture.model;
    golden = fixture.golden;
}

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
        fixture_refused(other, MV_ERR_FORMAT, other, "");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    fixture_write(other, bytes, size); /* and nothing else was wrong with it */
    mv_golden *read = fixture_accepted(other);
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
        fixture_refused(other, MV_ERR_FORMAT, rows[i].name, "sha256 is not the one in its seal");
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
    fixture_refused(other, MV_ERR_FORMAT, "empty", "golden");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        fixture_write(other, bytes, lengths[i]);
        fixture_refused(other, MV_ERR_FORMAT, lengths[i] < 17 ? "not a golden file" : "truncated",
                        "");
    }
    for (uint64_t i = 0; i < 60; i++) {
        const size_t length = 512 + mv_synthetic_bits(7, 2, i) % (size - 512);
        fixture_write(other, bytes, length);
        fixture_refused(other, MV_ERR_FORMAT, "truncated", "behind the seal, expected");
    }
    fixture_write(other, bytes, size - 1);
    fixture_refused(other, MV_ERR_FORMAT, "truncated", "");
    bytes[size] = 0;
    fixture_write(other, bytes, size + 1);
    fixture_refused(other, MV_ERR_FORMAT, "changed", "behind the seal, expected");
    free(bytes);
}
END_TEST

START_TEST(refuses_what_is_no_golden)
{
    fixture_refused(other, MV_ERR_IO, "cannot be opened", "No such file");
    fixture_refused(folder, MV_ERR_FORMAT, "not a plain file", "");
    fixture_write(other, "{\"schema\": \"something else\"}\n", 29);
    fixture_refused(other, MV_ERR_FORMAT, "not a golden file", "mistral-golden 1");
    hid_t file = H5Fcreate(other, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Fclose(file), 0);
    fixture_refused(other, MV_ERR_FORMAT, "without the seal", "h5repack -u");

    hid_t list = H5Pcreate(H5P_FILE_CREATE); /* sealed, and nothing in it */
    ck_assert_int_ge(H5Pset_userblock(list, 512), 0);
    fixture_close(other, H5Fcreate(other, H5F_ACC_TRUNC, list, H5P_DEFAULT));
    ck_assert_int_ge(H5Pclose(list), 0);
    fixture_refused(other, MV_ERR_FORMAT, "/@schema: missing", "");
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

/* One more row at the end of the index, and the root's hash made to fit. path: behind all others.
 */
static void add_row(hid_t file, const char *row_path, size_t length)
{
    char root[MV_SHA256_SIZE];
    hid_t set = H5Dopen2(file, "/index", H5P_DEFAULT), type = H5Dget_type(set),
          space = H5Dget_space(set);
    hsize_t n = 0;
    ck_assert_int_eq(H5Sget_simple_extent_dims(space, &n, NULL), 1);
    golden_entry *entries = calloc(n + 1, sizeof *entries);
    ck_assert_ptr_nonnull(entries);
    ck_assert_int_ge(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries), 0);
    (void)H5Sclose(space);
    (void)H5Dclose(set);
    memcpy(entries[n].path, row_path, length);
    n++;
    ck_assert_int_ge(H5Ldelete(file, "/index", H5P_DEFAULT), 0);
    space = H5Screate_simple(1, &n, NULL);
    set = H5Dcreate2(file, "/index", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries), 0);
    golden_sha256(root, entries, n * sizeof *entries);
    fixture_set_text(file, "/", "merkle_root", root);
    (void)H5Dclose(set);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    free(entries);
}

static void row_that_rings(hid_t file)
{
    add_row(file, "/~\x1b[2J\x07\n", 8);
}

static void row_of_160_bytes(hid_t file)
{
    char long_path[sizeof((golden_entry *)NULL)->path];
    memset(long_path, '~', sizeof long_path);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '@';
    add_row(file, long_path, sizeof long_path);
}

static void version_that_rings(hid_t file)
{
    fixture_set_text(file, "/", "schema", "\x1b[2J\x07");
}

static void weights_that_ring(hid_t file)
{
    golden_weight_row row = {.name = "\x1b[2J", .dtype = "bf16", .n_out = 67, .n_in = 16};
    fixture_set_value(file, "/model/weights", 0, 0, &row);
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
    {"a row's control characters", row_that_rings, "/~?[2J??: missing", ""},
    {"a row without room for a NUL", row_of_160_bytes, "~~~~: missing", ""},
    {"a text's control characters", version_that_rings, "/@schema: '?[2J?'", ""},
    {"a name's control characters", weights_that_ring, "row 0 is '\\x1b[2J'", "expected 'tok_emb"},
};

START_TEST(refuses_a_file_that_was_edited_and_sealed_again)
{
    size_t size;
    unsigned char *bytes = fixture_read(path, &size);
    fixture_write(other, bytes, size);
    hid_t file = fixture_open(other);
    edits[_i].edit(file);
    fixture_close(other, file);
    fixture_refused(other, MV_ERR_FORMAT, edits[_i].what, edits[_i].more);
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

/* Nothing is read of it, and that is right. */
START_TEST(accepts_an_empty_dataset_that_it_does_not_know)
{
    const hsize_t none[] = {0};
    hid_t file = fixture_open(path), space = H5Screate_simple(1, none, NULL);
    hid_t set =
        H5Dcreate2(file, "/~none", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    (void)H5Dclose(set);
    (void)H5Sclose(space);
    add_row(file, "/~none", 6);
    fixture_vouch_dataset(file, "/~none");
    fixture_close(path, file);
    mv_golden *read = fixture_accepted(path);
    mv_golden_close(&read);
}
END_TEST

START_TEST(ignores_a_group_and_a_minor_that_it_does_not_know)
{
    hid_t file = fixture_open(path);
    hid_t group = H5Gcreate2(file, "/taps", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Gclose(group), 0);
    add_dataset(file, "/taps/norm");
    fixture_set_text(file, "/", "schema_version", "1.9");
    fixture_vouch(file, "/@schema_version", "1.9", 3);
    fixture_close(path, file);
    mv_golden *read = fixture_accepted(path);
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
    mv_golden *read = fixture_accepted(other);
    mv_golden_close(&read);
    const double value = 0;
    hid_t file = fixture_open(other);
    fixture_set_value(file, noise, 3, 0, &value);
    fixture_close(other, file);
    fixture_refused(other, MV_ERR_FORMAT, noise, "edited");
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
    fixture_refused(path, MV_ERR_FORMAT, "/provenance@made_by: not in /index", "vouches");
}
END_TEST

static Suite *golden_damage_suite(void)
{
    Suite *suite = suite_create("golden_damage");
    TCase *tests = tcase_create("golden_damage");
    tcase_add_checked_fixture(tests, set_up, fixture_tear_down);
    tcase_set_timeout(tests, 110);
    tcase_add_test(tests, finds_every_one_of_200_flipped_bits);
    tcase_add_test(tests, names_the_dataset_that_is_damaged);
    tcase_add_test(tests, finds_a_truncated_file_at_every_length);
    tcase_add_test(tests, refuses_what_is_no_golden);
    tcase_add_loop_test(tests, refuses_a_file_that_was_edited_and_sealed_again, 0,
                        (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, accepts_an_empty_dataset_that_it_does_not_know);
    tcase_add_test(tests, ignores_a_group_and_a_minor_that_it_does_not_know);
    tcase_add_test(tests, looks_at_what_it_does_not_know_if_the_index_vouches_for_it);
    tcase_add_test(tests, refuses_what_the_index_does_not_vouch_for);
    suite_add_tcase(suite, tests);
    return suite;
}

MV_TEST_MAIN(golden_damage_suite)
