/* golden_read.c - bytes to a golden. The seal first, then the version, the index, the contents. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golden/golden_private.h"
#include "harness/params.h"

/* A group that a reader must understand, or must not read the file, sets a bit here. */
#define KNOWN_FEATURES 0

enum { MAX_CASES = 10000, MAX_LAYERS = 100000 };

static void get_version(golden_file *file, mv_golden *golden)
{
    char schema[32], version[32];
    int major = -1;
    golden_get_text(file, "/", "schema", schema, sizeof schema);
    if (file->code == MV_OK && strcmp(schema, "mistral-golden") != 0)
        golden_fail(file, "/@schema", "'%s', expected 'mistral-golden'", schema);
    golden_get_text(file, "/", "schema_version", version, sizeof version);
    if (file->code != MV_OK)
        return;
    if (sscanf(version, "%d.%d", &major, &golden->minor) != 2)
        golden_fail(file, "/@schema_version", "'%s', expected MAJOR.MINOR", version);
    else if (major != MV_GOLDEN_MAJOR)
        golden_fail(file, "/@schema_version",
                    "schema %s, and this program reads %d.x; record the golden again", version,
                    MV_GOLDEN_MAJOR);
    const int64_t features = golden_get_int(file, "/", "required_features");
    if (file->code == MV_OK && (features & ~(int64_t)KNOWN_FEATURES) != 0)
        golden_fail(file, "/@required_features",
                    "%#llx has a bit that this program does not know; use a newer one",
                    (unsigned long long)features);
}

static void get_weights(golden_file *file, mv_golden *golden)
{
    const char *path = "/model/weights";
    golden->n_weights = mv_weight_count(&golden->params);
    hid_t type = golden_weight_type();
    golden_weight_row *table =
        golden_get(file, path, type, (golden_dims){1, {golden->n_weights, 1}});
    (void)H5Tclose(type);
    if (table != NULL)
        golden->weights = calloc(golden->n_weights, sizeof *golden->weights);
    if (table != NULL && golden->weights == NULL)
        file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: no memory", file->path);
    for (size_t i = 0; golden->weights != NULL && i < golden->n_weights; i++) {
        mv_golden_weight *weight = &golden->weights[i];
        memcpy(weight->name, table[i].name, sizeof table[i].name - 1);
        memcpy(weight->dtype, table[i].dtype, sizeof table[i].dtype - 1);
        weight->shape[0] = table[i].n_out;
        weight->shape[1] = table[i].n_in;
        memcpy(weight->sha256, table[i].sha256, sizeof table[i].sha256);
    }
    free(table);
}

static void set_param(golden_file *file, mv_params *params, const golden_param *row)
{
    char path[96];
    if (row->is_real) {
        const double value = golden_get_real(file, "/model", row->key);
        memcpy((char *)params + row->offset, &value, sizeof value);
        return;
    }
    const int64_t value = golden_get_int(file, "/model", row->key);
    const uint32_t whole = (uint32_t)value;
    (void)snprintf(path, sizeof path, "/model@%s", row->key);
    if (value < 0 || value > INT32_MAX)
        golden_fail(file, path, "%lld is out of range", (long long)value);
    memcpy((char *)params + row->offset, &whole, sizeof whole);
}

static void get_model(golden_file *file, mv_golden *golden)
{
    char semantics[64], where[256];
    size_t n;
    const golden_param *rows = golden_params(&n);
    golden_get_text(file, "/model", "window_semantics", semantics, sizeof semantics);
    if (file->code == MV_OK && strcmp(semantics, MV_WINDOW_SEMANTICS) != 0)
        golden_fail(file, "/model@window_semantics",
                    "'%s', expected '" MV_WINDOW_SEMANTICS "' (query i sees i-W+1 ... i): its "
                    "windows are not ours",
                    semantics);
    for (size_t i = 0; i < n; i++)
        set_param(file, &golden->params, &rows[i]);
    golden_get_text(file, "/model", "spec", golden->model_spec, sizeof golden->model_spec);
    golden_get_text(file, "/model", "tokenizer_sha256", golden->tokenizer_sha256,
                    sizeof golden->tokenizer_sha256);
    (void)snprintf(where, sizeof where, "%.200s: /model", file->path);
    if (file->code == MV_OK && mv_params_check(&golden->params, where, file->error) != MV_OK)
        file->code = file->error->code = MV_ERR_FORMAT;
    if (file->code == MV_OK && golden->params.n_layers > MAX_LAYERS)
        golden_fail(file, "/model@n_layers", "%u is absurd", golden->params.n_layers);
    if (file->code == MV_OK)
        get_weights(file, golden);
}

static void get_case(golden_file *file, mv_golden *golden, size_t number)
{
    mv_golden_case *one = &golden->cases[number];
    const hsize_t V = golden->params.vocab_size;
    char group[64], path[96], text[64];
    golden_case_path(group, sizeof group, number, "");
    golden_get_text(file, group, "name", one->name, sizeof one->name);
    golden_get_text(file, group, "oracle", text, sizeof text);
    if (file->code == MV_OK && strcmp(text, "f64") != 0)
        golden_fail(file, group, "@oracle is '%s', expected 'f64'", text);
    one->window = golden_get_int(file, group, "window");
    one->chunk = golden_get_int(file, group, "chunk");
    one->seed = golden_get_int(file, group, "seed");
    one->sketch_seed = golden_get_int(file, group, "sketch_seed");
    golden_get_text(file, group, "sketch_generator", text, sizeof text);
    if (file->code == MV_OK && strcmp(text, MV_SKETCH_GENERATOR) != 0)
        golden_fail(file, group, "@sketch_generator is '%s', expected '" MV_SKETCH_GENERATOR "'",
                    text);

    golden_case_path(path, sizeof path, number, "tokens");
    const hsize_t n = golden_get_dims(file, path, 1).size[0];
    golden_case_path(path, sizeof path, number, "logits/positions");
    const hsize_t m = golden_get_dims(file, path, 1).size[0];
    one->n_tokens = n;
    one->n_positions = m;
    one->n_top = V < MV_GOLDEN_TOP ? V : MV_GOLDEN_TOP;
    const struct {
        const char *name;
        hid_t type;
        golden_dims dims;
        void **data;
    } rows[] = {
        {"tokens", H5T_STD_I32LE, {1, {n, 1}}, (void **)&one->tokens},
        {"logits/positions", H5T_STD_I64LE, {1, {m, 1}}, (void **)&one->positions},
        {"logits/oracle", H5T_IEEE_F64LE, {2, {m, V}}, (void **)&one->oracle},
        {"logits/sketch", H5T_IEEE_F32LE, {2, {n, MV_SKETCH_SIZE}}, (void **)&one->sketch},
        {"logits/top_ids", H5T_STD_I32LE, {2, {n, one->n_top}}, (void **)&one->top_ids},
        {"logits/top_values", H5T_IEEE_F64LE, {2, {n, one->n_top}}, (void **)&one->top_values},
        {"logits/lse", H5T_IEEE_F64LE, {1, {n, 1}}, (void **)&one->lse},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        golden_case_path(path, sizeof path, number, rows[i].name);
        *rows[i].data = golden_get(file, path, rows[i].type, rows[i].dims);
    }
}

static void get_cases(golden_file *file, mv_golden *golden)
{
    const int64_t n = golden_get_int(file, "/", "n_cases");
    if (file->code != MV_OK)
        return;
    if (n < 1 || n > MAX_CASES) {
        golden_fail(file, "/@n_cases", "%lld; expected 1 to %d", (long long)n, MAX_CASES);
        return;
    }
    golden->cases = calloc((size_t)n, sizeof *golden->cases);
    if (golden->cases == NULL) {
        file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: no memory", file->path);
        return;
    }
    golden->n_cases = (size_t)n;
    for (size_t i = 0; i < golden->n_cases && file->code == MV_OK; i++)
        get_case(file, golden, i);
}

static mv_code read_hdf5(mv_golden *golden, const char *path, mv_error *error)
{
    golden_file file;
    golden_open_file(&file, path, golden->size_bytes, error);
    get_version(&file, golden);
    golden_get_index(&file, golden->merkle_root);
    get_model(&file, golden);
    golden_get_facts(&file, "/provenance", &golden->provenance);
    get_cases(&file, golden);
    golden_check_rest(&file);
    golden_close_file(&file);
    return file.code;
}

mv_code mv_golden_open(mv_golden **golden, const char *path, mv_error *error)
{
    struct stat info;
    bool damaged = false;
    mv_golden *g = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = MV_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        code = mv_fail(error, MV_ERR_FORMAT, "%s: not a plain file", path);
    if (code == MV_OK && (g = calloc(1, sizeof *g)) == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "%s: no memory", path);
    if (code == MV_OK)
        code = golden_seal_check(fd, path, &g->size_bytes, &damaged, error);
    (void)close(fd);
    if (damaged)
        code = golden_blame(path, g->size_bytes, error);
    if (code == MV_OK)
        code = read_hdf5(g, path, error);
    if (code == MV_OK)
        code = golden_check_contents(g, path, MV_ERR_FORMAT, error);
    if (code != MV_OK) {
        mv_golden_close(&g);
        return code;
    }
    *golden = g;
    return MV_OK;
}

/* ---- which part of a damaged file ---- */

/* The child tells its finding in at most this many bytes, and has this long. */
enum { BLAME_BYTES = 512, BLAME_SECONDS = 20 };

/* Never returns. HDF5 reads what may be anything: whatever happens here stays here. */
static void blame_in_child(int out, const char *path, uint64_t size_bytes)
{
    mv_error found = {0};
    mv_golden golden = {.size_bytes = size_bytes};
    const int nowhere = open("/dev/null", O_RDWR);
    (void)alarm(BLAME_SECONDS);
    if (nowhere >= 0)
        (void)dup2(nowhere, STDERR_FILENO);
    if (read_hdf5(&golden, path, &found) == MV_OK ||
        strncmp(found.message, path, strlen(path)) != 0)
        (void)snprintf(found.message, sizeof found.message,
                       "%.160s: damaged where no value lies (the seal, or HDF5's own tables)",
                       path);
    _exit(write(out, found.message, strlen(found.message)) > 0 ? 0 : 1);
}

mv_code golden_blame(const char *path, uint64_t size_bytes, mv_error *error)
{
    char found[BLAME_BYTES] = "";
    int ends[2];
    size_t at = 0;
    const char *const advice = "; the file's sha256 is not the one in its seal: fetch it again";
    if (pipe(ends) != 0)
        return MV_ERR_FORMAT; /* what the seal said stands */
    const pid_t child = fork();
    if (child == 0)
        blame_in_child(ends[1], path, size_bytes);
    (void)close(ends[1]);
    for (ssize_t n; child > 0 && at + 1 < sizeof found; at += (size_t)n) {
        n = read(ends[0], found + at, sizeof found - 1 - at);
        if (n <= 0)
            break;
    }
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (at == 0)
        return mv_fail(error, MV_ERR_FORMAT, "%.160s: damaged in HDF5's own tables%s", path,
                       advice);
    return mv_fail(error, MV_ERR_FORMAT, "%.400s%s", found, advice);
}
