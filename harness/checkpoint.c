#include "harness/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/log.h"
#include "harness/model_hf.h"
#include "harness/params.h"
#include "harness/release.h"
#include "harness/weights.h"

#define SPECS                                                                                      \
    "a MODEL is a folder with params.json and consolidated.safetensors (or consolidated.00.pth), " \
    "or with config.json and model.safetensors; or tiny; or synthetic:probe; or synthetic:7b"

typedef enum layout { LAYOUT_NONE, LAYOUT_SAFETENSORS, LAYOUT_PTH, LAYOUT_HF } layout;

/* While opening. */
typedef struct opening {
    mv_checkpoint *checkpoint;
    const char *folder;
    const char *params_name; /* "params.json" or "config.json" */
    bool hf;
    int tied;
} opening;

char *mv_checkpoint_path(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

bool mv_checkpoint_has(const char *folder, const char *name)
{
    struct stat status;
    char *path = mv_checkpoint_path(folder, name);
    bool has = path != NULL && lstat(path, &status) == 0;
    free(path);
    return has;
}

static mv_code check_folder(const char *folder, mv_error *error)
{
    struct stat status;
    if (stat(folder, &status) != 0) {
        return mv_fail(error, MV_ERR_IO, "model %.200s: %s; " SPECS, folder, strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return mv_fail(error, MV_ERR_IO, "model %.200s: expected a folder, found a file; " SPECS,
                       folder);
    }
    if (access(folder, X_OK) != 0) { /* every file in it would seem not to be there */
        return mv_fail(error, MV_ERR_IO, "model %.200s: %s", folder, strerror(errno));
    }
    return MV_OK;
}

/* A folder as published for v0.3 has both layouts: Mistral's needs no copies. */
static mv_code choose_layout(layout *chosen, const char *folder, mv_error *error)
{
    bool safetensors = mv_checkpoint_has(folder, "consolidated.safetensors");
    bool pth = mv_checkpoint_has(folder, "consolidated.00.pth");
    bool params = mv_checkpoint_has(folder, "params.json");
    bool config = mv_checkpoint_has(folder, "config.json");
    bool hf = mv_checkpoint_has(folder, "model.safetensors") ||
              mv_checkpoint_has(folder, "model.safetensors.index.json");
    if (params && (safetensors || pth)) {
        *chosen = safetensors ? LAYOUT_SAFETENSORS : LAYOUT_PTH;
        if (safetensors && pth) {
            mv_log(MV_LOG_INFO, "%s: reading consolidated.safetensors, not consolidated.00.pth",
                   folder);
        }
        if (config && hf) {
            mv_log(MV_LOG_INFO, "%s: reading Mistral's layout, not Hugging Face's", folder);
        }
        return MV_OK;
    }
    if (config && hf) {
        *chosen = LAYOUT_HF;
        return MV_OK;
    }
    const char *missing =
        params   ? "params.json but neither consolidated.safetensors nor consolidated.00.pth"
        : config ? "config.json but neither model.safetensors nor model.safetensors.index.json"
        : safetensors || pth ? "weights but no params.json"
        : hf                 ? "weights but no config.json"
                             : "neither params.json nor config.json";
    return mv_fail(error, MV_ERR_FORMAT, "model %.200s: the folder has %s; " SPECS, folder,
                   missing);
}

static mv_code read_params(opening *o, mv_error *error)
{
    mv_params *params = &o->checkpoint->view.params;
    char *path = mv_checkpoint_path(o->folder, o->params_name);
    if (path == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a path", o->folder);
    }
    mv_code code = o->hf ? mv_params_read_config(params, &o->tied, path, error)
                         : mv_params_read(params, path, error);
    const char *expected = NULL;
    if (code == MV_OK && mv_release_is_mixed(params, &expected)) {
        mv_log(MV_LOG_WARN,
               "%s: the shapes are a released Mistral-7B's: expected %s, found window %u, theta "
               "%.6g, eps %.3g",
               path, expected, params->sliding_window, params->rope_theta, params->norm_eps);
    }
    free(path);
    return code;
}

static mv_code open_consolidated(mv_checkpoint *checkpoint, const char *folder, bool pth,
                                 mv_error *error)
{
    checkpoint->layout = pth ? "mistral pth" : "mistral safetensors";
    checkpoint->files = calloc(1, sizeof *checkpoint->files);
    char *path =
        mv_checkpoint_path(folder, pth ? "consolidated.00.pth" : "consolidated.safetensors");
    if (checkpoint->files == NULL || path == NULL) {
        free(path);
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a path", folder);
    }
    checkpoint->n_files = 1;
    checkpoint->files[0].path = path;
    return pth ? mv_pth_open_unchecked(&checkpoint->files[0].file, path, error)
               : mv_safetensors_open(&checkpoint->files[0].file, path, error);
}

/* The view and the names, with room for what the params ask for. */
static mv_code allocate_view(mv_checkpoint *checkpoint, mv_error *error)
{
    mv_model_view *view = &checkpoint->view;
    size_t n_weights = mv_weight_count(&view->params);
    checkpoint->layers = calloc(view->params.n_layers, sizeof *checkpoint->layers);
    checkpoint->names = malloc(n_weights * MV_WEIGHT_NAME_SIZE);
    bool complete = checkpoint->layers != NULL && checkpoint->names != NULL;
    for (size_t i = 0; i < checkpoint->n_files && complete; i++) {
        mv_weight_file *one = &checkpoint->files[i];
        one->used = calloc(one->file->n_tensors, 1);
        complete = one->used != NULL;
    }
    if (!complete) {
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu tensors", n_weights);
    }
    view->struct_size = sizeof *view;
    view->layer_size = sizeof *checkpoint->layers;
    view->layers = checkpoint->layers;
    return MV_OK;
}

/* NULL if no file has it. *path: of the file that has. Marks it as used. */
static const mv_tensor *find_tensor(const mv_checkpoint *checkpoint, const char *name,
                                    const char **path)
{
    for (size_t i = 0; i < checkpoint->n_files; i++) {
        const mv_weight_file *one = &checkpoint->files[i];
        const mv_tensor *tensor = mv_tensor_file_find(one->file, name);
        if (tensor != NULL) {
            one->used[tensor - one->file->tensors] = 1;
            *path = one->path;
            return tensor;
        }
    }
    return NULL;
}

static void shape_text(char *out, size_t size, const uint64_t shape[2], uint32_t n_dims)
{
    if (n_dims == 1) {
        (void)snprintf(out, size, "[%llu]", (unsigned long long)shape[0]);
    } else {
        (void)snprintf(out, size, "[%llu, %llu]", (unsigned long long)shape[0],
                       (unsigned long long)shape[1]);
    }
}

static mv_code check_shape(const opening *o, const mv_tensor *tensor, const mv_weight *weight,
                           const char *path, mv_error *error)
{
    if (tensor->n_dims == weight->n_dims && tensor->shape[0] == weight->shape[0] &&
        (weight->n_dims == 1 || tensor->shape[1] == weight->shape[1])) {
        return MV_OK;
    }
    char expected[48], found[48];
    shape_text(expected, sizeof expected, weight->shape, weight->n_dims);
    shape_text(found, sizeof found, tensor->shape, tensor->n_dims);
    return mv_fail(error, MV_ERR_FORMAT, "%s: %s: expected shape %s from %s, found %s", path,
                   tensor->name, expected, o->params_name, found);
}

static mv_code bind_weight(const opening *o, size_t index, mv_error *error)
{
    mv_checkpoint *c = o->checkpoint;
    mv_tensor *slot = mv_weight_slot(&c->view, c->layers, index);
    bool is_tied_output = o->tied && index == mv_weight_count(&c->view.params) - 1;
    mv_weight weight;
    mv_weight_describe(&weight, &c->view.params, index);
    const char *wanted = o->hf ? weight.hf_name : weight.name, *path = o->folder;
    const mv_tensor *tensor = find_tensor(c, wanted, &path);
    char *name = memcpy(c->names + index * MV_WEIGHT_NAME_SIZE, weight.name, sizeof weight.name);

    if (tensor == NULL && !is_tied_output) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: tensor %s is missing; %s with %u layers asks for %zu tensors",
                       o->folder, wanted, o->params_name, c->view.params.n_layers,
                       mv_weight_count(&c->view.params));
    }
    if (tensor != NULL) {
        mv_code code = check_shape(o, tensor, &weight, path, error);
        if (code != MV_OK) {
            return code;
        }
        *slot = *tensor;
        slot->shape[1] = weight.shape[1];
    }
    slot->name = name;
    return is_tied_output ? mv_hf_bind_tied_output(&c->view, tensor, path, error) : MV_OK;
}

static mv_code check_unused(const opening *o, mv_error *error)
{
    for (size_t i = 0; i < o->checkpoint->n_files; i++) {
        const mv_weight_file *one = &o->checkpoint->files[i];
        for (size_t k = 0; k < one->file->n_tensors; k++) {
            const char *name = one->file->tensors[k].name;
            if (one->used[k] == 0 && !(o->hf && mv_hf_is_buffer(name))) {
                return mv_fail(error, MV_ERR_FORMAT,
                               "%s: tensor %.100s is not expected: a model as %s says (%u layers) "
                               "has none, or has it from another file",
                               one->path, name, o->params_name,
                               o->checkpoint->view.params.n_layers);
            }
        }
    }
    return MV_OK;
}

static mv_code open_all(opening *o, mv_error *error)
{
    mv_checkpoint *c = o->checkpoint;
    layout chosen = LAYOUT_NONE;
    mv_code code = check_folder(o->folder, error);
    if (code == MV_OK) {
        code = choose_layout(&chosen, o->folder, error);
    }
    if (code != MV_OK) {
        return code;
    }
    o->hf = chosen == LAYOUT_HF;
    o->params_name = o->hf ? "config.json" : "params.json";
    if (mv_checkpoint_has(o->folder, "tokenizer.model")) {
        c->tokenizer = mv_checkpoint_path(o->folder, "tokenizer.model");
    }
    if ((code = read_params(o, error)) != MV_OK ||
        (code = o->hf ? mv_hf_open_files(c, o->folder, error)
                      : open_consolidated(c, o->folder, chosen == LAYOUT_PTH, error)) != MV_OK ||
        (code = allocate_view(c, error)) != MV_OK) {
        return code;
    }
    for (size_t i = 0; i < mv_weight_count(&c->view.params) && code == MV_OK; i++) {
        code = bind_weight(o, i, error);
    }
    if (code == MV_OK) {
        code = check_unused(o, error);
    }
    return code == MV_OK && o->hf ? mv_hf_interleave(c, error) : code;
}

mv_code mv_checkpoint_open(mv_checkpoint **checkpoint, const char *folder, mv_error *error)
{
    mv_checkpoint *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "model %s: no memory to open it", folder);
    }
    opening o = {.checkpoint = opened, .folder = folder};
    mv_code code = open_all(&o, error);
    if (code != MV_OK) {
        mv_checkpoint_close(&opened);
        return code;
    }
    *checkpoint = opened;
    return MV_OK;
}

void mv_checkpoint_close(mv_checkpoint **checkpoint)
{
    if (checkpoint == NULL || *checkpoint == NULL) {
        return;
    }
    mv_checkpoint *c = *checkpoint;
    for (size_t i = 0; i < c->n_files; i++) {
        mv_tensor_file_close(&c->files[i].file);
        free(c->files[i].path);
        free(c->files[i].used);
    }
    free(c->files);
    free(c->layers);
    free(c->names);
    free(c->copies);
    free(c->tokenizer);
    free(c);
    *checkpoint = NULL;
}
