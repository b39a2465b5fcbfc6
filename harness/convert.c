#include "harness/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/new_folder.h"
#include "harness/params_write.h"
#include "harness/pth_write.h"
#include "harness/safetensors_write.h"
#include "harness/weights.h"

enum { MAX_SHARDS = 99999 };

/* While converting. */
typedef struct conversion {
    const mv_model *model;
    const mv_model_view *view;
    const mv_convert_options *options;
    mv_new_folder folder;
    mv_out_tensor *tensors; /* [n_tensors] */
    mv_weight *weights;     /* [n_tensors] their names */
    size_t n_tensors;
} conversion;

mv_code mv_convert_layout_parse(mv_convert_layout *layout, const char *name, mv_error *error)
{
    static const char *const names[] = {"mistral", "pth", "hf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *layout = (mv_convert_layout)i;
            return MV_OK;
        }
    }
    return mv_fail(error, MV_ERR_ARGUMENT, "--to: expected mistral, pth or hf, found '%s'", name);
}

static bool is_tied(const mv_model_view *view)
{
    return view->output.data == view->tok_embeddings.data;
}

uint64_t mv_convert_size_bytes(const mv_model_view *view, mv_convert_layout to)
{
    const bool left_out = to == MV_CONVERT_HF && is_tied(view);
    const bool repeated = !left_out && is_tied(view);
    return mv_model_size_bytes(view) + (repeated ? view->output.size_bytes : 0);
}

/* ---- what is written ---- */

static mv_code list_tensors(conversion *c, mv_error *error)
{
    const bool hf = c->options->to == MV_CONVERT_HF;
    const size_t n = mv_weight_count(&c->view->params);
    c->tensors = calloc(n, sizeof *c->tensors);
    c->weights = calloc(n, sizeof *c->weights);
    if (c->tensors == NULL || c->weights == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu tensors", n);
    c->n_tensors = hf && is_tied(c->view) ? n - 1 : n; /* the output is the last */
    for (size_t i = 0; i < c->n_tensors; i++) {
        mv_weight *weight = &c->weights[i];
        const mv_tensor *from = mv_weight_at(c->view, i);
        mv_weight_describe(weight, &c->view->params, i);
        c->tensors[i] = (mv_out_tensor){.name = hf ? weight->hf_name : weight->name,
                                        .from = from,
                                        .n_halved_heads = hf ? weight->n_rope_heads : 0,
                                        .sum = mv_model_find_sum(c->model, from)};
    }
    return MV_OK;
}

static char *path_in(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static mv_code no_memory(mv_error *error)
{
    return mv_fail(error, MV_ERR_MEMORY, "no memory for a path");
}

static mv_code write_weights(const conversion *c, const char *name, size_t first, size_t n,
                             mv_error *error)
{
    char *path = path_in(c->folder.path, name);
    if (path == NULL)
        return no_memory(error);
    mv_code code =
        c->options->to == MV_CONVERT_PTH
            ? mv_pth_write(path, c->tensors + first, n, c->options->watch, error)
            : mv_safetensors_write(path, c->tensors + first, n, c->options->watch, error);
    free(path);
    return code;
}

/* ---- shards ---- */

/* The first tensor that does not go into the shard that begins with tensor first. */
static size_t end_of_shard(const conversion *c, size_t first)
{
    uint64_t size = 0;
    size_t i = first;
    for (; i < c->n_tensors; i++) {
        size += c->tensors[i].from->size_bytes;
        if (size > c->options->shard_bytes && i > first)
            break;
    }
    return i;
}

static void name_shard(char name[64], size_t shard, size_t n_shards)
{
    (void)snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, n_shards);
}

static mv_code write_index(const conversion *c, size_t n_shards, mv_error *error)
{
    char *path = path_in(c->folder.path, "model.safetensors.index.json"), name[64];
    FILE *file = path != NULL ? fopen(path, "wxe") : NULL;
    mv_code code = MV_OK;
    if (file == NULL) {
        code = path == NULL
                   ? no_memory(error)
                   : mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
        free(path);
        return code;
    }
    fprintf(file, "{\n  \"metadata\": {\"total_size\": %llu},\n  \"weight_map\": {",
            (unsigned long long)mv_convert_size_bytes(c->view, c->options->to));
    for (size_t first = 0, shard = 0; first < c->n_tensors; shard++) {
        const size_t end = end_of_shard(c, first);
        name_shard(name, shard, n_shards);
        for (size_t i = first; i < end; i++)
            fprintf(file, "%s\n    \"%s\": \"%s\"", i > 0 ? "," : "", c->tensors[i].name, name);
        first = end;
    }
    fprintf(file, "\n  }\n}\n");
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    free(path);
    return code;
}

static mv_code write_shards(const conversion *c, mv_error *error)
{
    size_t n_shards = 0;
    mv_code code = MV_OK;
    char name[64];
    for (size_t first = 0; first < c->n_tensors; n_shards++)
        first = end_of_shard(c, first);
    if (n_shards > MAX_SHARDS)
        return mv_fail(error, MV_ERR_ARGUMENT, "--shard-size: %zu files; expected at most %d",
                       n_shards, MAX_SHARDS);
    for (size_t first = 0, shard = 0; first < c->n_tensors && code == MV_OK; shard++) {
        const size_t end = end_of_shard(c, first);
        name_shard(name, shard, n_shards);
        code = write_weights(c, name, first, end - first, error);
        first = end;
    }
    return code == MV_OK ? write_index(c, n_shards, error) : code;
}

/* ---- the folder ---- */

static mv_dtype usual_dtype(const conversion *c)
{
    uint64_t sizes[3] = {0};
    for (size_t i = 0; i < c->n_tensors; i++)
        sizes[c->tensors[i].from->dtype] += c->tensors[i].from->size_bytes;
    mv_dtype most = sizes[1] > sizes[0] ? MV_DTYPE_F16 : MV_DTYPE_F32;
    return sizes[MV_DTYPE_BF16] > sizes[most] ? MV_DTYPE_BF16 : most;
}

static mv_code write_params(const conversion *c, mv_error *error)
{
    const bool hf = c->options->to == MV_CONVERT_HF;
    char *path = path_in(c->folder.path, hf ? "config.json" : "params.json");
    if (path == NULL)
        return no_memory(error);
    mv_code code =
        hf ? mv_params_write_config(&c->view->params, is_tied(c->view), usual_dtype(c), path, error)
           : mv_params_write(&c->view->params, path, error);
    free(path);
    return code;
}

static mv_code copy_tokenizer(const conversion *c, mv_error *error)
{
    const char *from = mv_model_get_tokenizer(c->model);
    char *path = from != NULL ? path_in(c->folder.path, "tokenizer.model") : NULL;
    if (from == NULL)
        return MV_OK;
    if (path == NULL)
        return no_memory(error);
    mv_code code = mv_new_folder_copy(from, path, error);
    free(path);
    return code;
}

static mv_code write_all(conversion *c, mv_error *error)
{
    const char *const names[] = {"consolidated.safetensors", "consolidated.00.pth",
                                 "model.safetensors"};
    mv_code code = list_tensors(c, error);
    if (code == MV_OK)
        code = write_params(c, error);
    if (code == MV_OK)
        code = copy_tokenizer(c, error);
    if (code != MV_OK)
        return code;
    if (c->options->to == MV_CONVERT_HF && c->options->shard_bytes > 0)
        return write_shards(c, error);
    return write_weights(c, names[c->options->to], 0, c->n_tensors, error);
}

mv_code mv_convert(const mv_model *model, const char *folder, const mv_convert_options *options,
                   mv_error *error)
{
    conversion c = {.model = model, .view = mv_model_get_view(model), .options = options};
    mv_code code = mv_new_folder_begin(&c.folder, folder, error);
    if (code != MV_OK)
        return code;
    code = write_all(&c, error);
    if (code == MV_OK) /* of what was written in another order, or shares a storage */
        code = mv_model_check_sums(model, error);
    if (code == MV_OK)
        code = mv_new_folder_commit(&c.folder, error);
    mv_new_folder_discard(&c.folder);
    free(c.tensors);
    free(c.weights);
    return code;
}
