/* golden_write.c - a golden to bytes: the schema, in the order in which it is written. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden/golden_private.h"

static void put_root(golden_file *file, const mv_golden *golden)
{
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d", MV_GOLDEN_MAJOR, MV_GOLDEN_MINOR);
    golden_put_text(file, "/", "schema", "mistral-golden");
    golden_put_text(file, "/", "schema_version", version);
    golden_put_int(file, "/", "required_features", 0);
    golden_put_int(file, "/", "n_cases", (int64_t)golden->n_cases);
    golden_put_group(file, "/provenance");
    for (size_t i = 0; i < golden->provenance.n_facts; i++)
        golden_put_text(file, "/provenance", golden->provenance.facts[i].key,
                        golden->provenance.facts[i].value);
}

static void put_model(golden_file *file, const mv_golden *golden)
{
    size_t n;
    const golden_param *rows = golden_params(&n);
    golden_put_group(file, "/model");
    for (size_t i = 0; i < n; i++) {
        const double value = golden_param_get(&golden->params, &rows[i]);
        if (rows[i].is_real)
            golden_put_real(file, "/model", rows[i].key, value);
        else
            golden_put_int(file, "/model", rows[i].key, (int64_t)value);
    }
    golden_put_text(file, "/model", "window_semantics", MV_WINDOW_SEMANTICS);
    golden_put_text(file, "/model", "spec", golden->model_spec);
    golden_put_text(file, "/model", "tokenizer_sha256", golden->tokenizer_sha256);

    golden_weight_row *table = calloc(golden->n_weights + 1, sizeof *table);
    if (table == NULL) {
        file->code = mv_fail(file->error, MV_ERR_MEMORY, "%s: no memory", file->path);
        return;
    }
    for (size_t i = 0; i < golden->n_weights; i++) {
        const mv_golden_weight *weight = &golden->weights[i];
        memcpy(table[i].name, weight->name, sizeof table[i].name);
        memcpy(table[i].dtype, weight->dtype, sizeof table[i].dtype);
        table[i].n_out = weight->shape[0];
        table[i].n_in = weight->shape[1];
        memcpy(table[i].sha256, weight->sha256, sizeof table[i].sha256);
    }
    hid_t type = golden_weight_type();
    golden_put(file, "/model/weights", type, (golden_dims){1, {golden->n_weights, 1}}, table);
    (void)H5Tclose(type);
    free(table);
}

static void put_case(golden_file *file, const mv_golden *golden, size_t number)
{
    const mv_golden_case *one = &golden->cases[number];
    const hsize_t n = one->n_tokens, m = one->n_positions, V = golden->params.vocab_size;
    char group[64], path[96];
    golden_case_path(group, sizeof group, number, "");
    golden_put_group(file, group);
    golden_put_text(file, group, "name", one->name);
    golden_put_text(file, group, "oracle", "f64");
    golden_put_int(file, group, "window", one->window);
    golden_put_int(file, group, "chunk", one->chunk);
    golden_put_int(file, group, "seed", one->seed);
    golden_put_int(file, group, "sketch_seed", one->sketch_seed);
    golden_put_text(file, group, "sketch_generator", MV_SKETCH_GENERATOR);

    const struct {
        const char *name;
        hid_t type;
        golden_dims dims;
        const void *data;
    } rows[] = {
        {"tokens", H5T_STD_I32LE, {1, {n, 1}}, one->tokens},
        {"logits/positions", H5T_STD_I64LE, {1, {m, 1}}, one->positions},
        {"logits/oracle", H5T_IEEE_F64LE, {2, {m, V}}, one->oracle},
        {"logits/sketch", H5T_IEEE_F32LE, {2, {n, MV_SKETCH_SIZE}}, one->sketch},
        {"logits/top_ids", H5T_STD_I32LE, {2, {n, one->n_top}}, one->top_ids},
        {"logits/top_values", H5T_IEEE_F64LE, {2, {n, one->n_top}}, one->top_values},
        {"logits/lse", H5T_IEEE_F64LE, {1, {n, 1}}, one->lse},
    };
    golden_case_path(path, sizeof path, number, "logits");
    golden_put_group(file, path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        golden_case_path(path, sizeof path, number, rows[i].name);
        golden_put(file, path, rows[i].type, rows[i].dims, rows[i].data);
    }
}

static mv_code write_hdf5(const mv_golden *golden, const char *path, mv_error *error)
{
    golden_file file;
    golden_create_file(&file, path, error);
    put_root(&file, golden);
    put_model(&file, golden);
    if (file.code == MV_OK)
        golden_put_group(&file, "/cases");
    for (size_t i = 0; i < golden->n_cases; i++)
        put_case(&file, golden, i);
    golden_put_index(&file);
    golden_close_file(&file);
    return file.code;
}

/* ---- the file around it ---- */

static mv_code seal_and_flush(const char *path, mv_error *error)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = golden_seal_write(fd, path, error);
    if (code == MV_OK && fsync(fd) != 0)
        code =
            mv_fail(error, MV_ERR_IO, "%s: cannot be flushed to disk: %s", path, strerror(errno));
    if (close(fd) != 0 && code == MV_OK)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be closed: %s", path, strerror(errno));
    return code;
}

/* So that the new name survives a power cut. A file system that cannot do it has done its best. */
static void flush_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(copy);
}

/* mkstemp() makes it for the owner alone; a golden is as public as any other file. */
static mv_code make_temporary(char *temporary, mv_error *error)
{
    int fd = mkstemp(temporary);
    if (fd < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", temporary, strerror(errno));
    const mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    (void)close(fd);
    return MV_OK;
}

mv_code mv_golden_write(const mv_golden *golden, const char *path, mv_error *error)
{
    char temporary[4096];
    struct stat old;
    if (stat(path, &old) == 0 && !S_ISREG(old.st_mode))
        return mv_fail(error, MV_ERR_IO, "%s: not a plain file; a golden cannot go there", path);
    const int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return mv_fail(error, MV_ERR_IO, "%.100s...: the name is too long", path);
    mv_code code = golden_check_contents(golden, path, MV_ERR_ARGUMENT, error);
    if (code != MV_OK || (code = make_temporary(temporary, error)) != MV_OK)
        return code;
    code = write_hdf5(golden, temporary, error);
    if (code == MV_OK)
        code = seal_and_flush(temporary, error);
    if (code == MV_OK && rename(temporary, path) != 0)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be renamed to %s: %s", temporary, path,
                       strerror(errno));
    if (code == MV_OK)
        flush_folder(path);
    else
        (void)unlink(temporary);
    return code;
}
