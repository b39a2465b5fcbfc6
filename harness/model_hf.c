#include "harness/model_hf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/json_file.h"
#include "harness/page_in.h"
#include "harness/parallel.h"
#include "harness/quote.h"
#include "harness/weights.h"

enum { MAX_INDEX = 16 << 20, MAX_SHARDS = 10000 };

void mv_hf_interleave_rows(void *to, const mv_tensor *from, uint32_t n_heads)
{
    const uint64_t n_rows = from->shape[0];
    const uint64_t row_size = from->size_bytes / n_rows;
    const uint64_t head_dim = n_rows / n_heads, half = head_dim / 2;
    char *out = to;
    const char *in = from->data;
    for (uint64_t head = 0; head < n_heads; head++) {
        for (uint64_t i = 0; i < half; i++) {
            for (uint64_t member = 0; member < 2; member++) {
                memcpy(out + (head * head_dim + 2 * i + member) * row_size,
                       in + (head * head_dim + member * half + i) * row_size, row_size);
            }
        }
    }
}

bool mv_hf_is_buffer(const char *name)
{
    static const char suffix[] = "rotary_emb.inv_freq";
    size_t length = strlen(name);
    return length >= sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

static mv_code open_file(mv_checkpoint *checkpoint, const char *folder, const char *name,
                         mv_error *error)
{
    mv_weight_file *one = &checkpoint->files[checkpoint->n_files];
    one->path = mv_checkpoint_path(folder, name);
    if (one->path == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a path", folder);
    }
    checkpoint->n_files++;
    return mv_safetensors_open(&one->file, one->path, error);
}

static mv_code open_single(mv_checkpoint *checkpoint, const char *folder, mv_error *error)
{
    checkpoint->files = calloc(1, sizeof *checkpoint->files);
    if (checkpoint->files == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a list of 1 file", folder);
    }
    checkpoint->layout = "hugging face safetensors";
    return open_file(checkpoint, folder, "model.safetensors", error);
}

/* The index comes with the files, from whoever wrote them: it must not lead out of the folder. */
static bool is_plain_name(const char *name)
{
    size_t length = strlen(name);
    bool plain = length > 0 && length <= 255 && name[0] != '.';
    for (size_t i = 0; i < length && plain; i++) {
        plain = name[i] > ' ' && name[i] <= '~' && name[i] != '/' && name[i] != '\\';
    }
    return plain;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* *shards: yours, free(); sorted, each once, borrowed from map. */
static mv_code list_shards(const char ***shards, size_t *n_shards, json_t *map, const char *path,
                           mv_error *error)
{
    size_t n = 0, n_unique = 0;
    const char *tensor;
    json_t *value;
    const char **names = malloc((json_object_size(map) + 1) * sizeof *names);
    if (names == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu names", path,
                       json_object_size(map));
    }
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name == NULL || !is_plain_name(name)) {
            free(names);
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: \"weight_map\": \"%s\": expected the plain name of a file in the "
                           "same folder, found \"%s\"",
                           path, mv_plain(tensor).text, name != NULL ? mv_plain(name).text : "");
        }
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0) {
            names[n_unique++] = names[i];
        }
    }
    if (n_unique == 0 || n_unique > MAX_SHARDS) {
        free(names);
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"weight_map\": expected 1 to %d different files, found %zu", path,
                       MAX_SHARDS, n_unique);
    }
    *shards = names;
    *n_shards = n_unique;
    return MV_OK;
}

/* The other direction, a tensor that the index does not name, is found as unexpected, or does no
 * harm. shards has the order of the files. */
static mv_code check_index(const mv_checkpoint *checkpoint, const char *const *shards, json_t *map,
                           const char *path, mv_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        const char *const *at =
            bsearch(&name, shards, checkpoint->n_files, sizeof *shards, compare_texts);
        const mv_weight_file *one = &checkpoint->files[at - shards];
        if (mv_tensor_file_find(one->file, tensor) == NULL) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: has no tensor \"%s\", although %s says so; the folder mixes two "
                           "downloads, or one is not complete",
                           one->path, mv_plain(tensor).text, path);
        }
    }
    return MV_OK;
}

static mv_code open_shards(mv_checkpoint *checkpoint, const char *folder, const char *path,
                           mv_error *error)
{
    json_t *index = NULL, *map = NULL;
    const char **shards = NULL;
    size_t n_shards = 0;
    mv_code code = mv_json_load(&index, path, MAX_INDEX, error);
    if (code != MV_OK) {
        return code;
    }
    map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) {
        code = mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"weight_map\": expected an object that names a file for each tensor",
                       path);
        goto done;
    }
    code = list_shards(&shards, &n_shards, map, path, error);
    if (code != MV_OK) {
        goto done;
    }
    checkpoint->layout = "hugging face safetensors in shards";
    checkpoint->files = calloc(n_shards, sizeof *checkpoint->files);
    if (checkpoint->files == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu files", path, n_shards);
        goto done;
    }
    for (size_t i = 0; i < n_shards && code == MV_OK; i++) {
        code = open_file(checkpoint, folder, shards[i], error);
    }
    if (code == MV_OK) {
        code = check_index(checkpoint, shards, map, path, error);
    }
done:
    free(shards);
    json_decref(index);
    return code;
}

/* A single file goes before an index, as in Transformers. */
mv_code mv_hf_open_files(mv_checkpoint *checkpoint, const char *folder, mv_error *error)
{
    if (mv_checkpoint_has(folder, "model.safetensors")) {
        return open_single(checkpoint, folder, error);
    }
    char *index = mv_checkpoint_path(folder, "model.safetensors.index.json");
    if (index == NULL) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for a path", folder);
    }
    mv_code code = open_shards(checkpoint, folder, index, error);
    free(index);
    return code;
}

/* A tied output is the embedding. If the file has both, engines disagree about which counts: it
 * must not matter. */
mv_code mv_hf_bind_tied_output(mv_model_view *view, const mv_tensor *own, const char *path,
                               mv_error *error)
{
    const mv_tensor *embeddings = &view->tok_embeddings;
    if (own != NULL && (own->dtype != embeddings->dtype ||
                        memcmp(own->data, embeddings->data, embeddings->size_bytes) != 0)) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: lm_head.weight differs from model.embed_tokens.weight, although "
                       "config.json says tie_word_embeddings; expected no lm_head.weight, or "
                       "tie_word_embeddings false",
                       path);
    }
    const char *name = view->output.name;
    view->output = *embeddings;
    view->output.name = name;
    return MV_OK;
}

/* ---- q and k ---- */

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

typedef struct rope_copy {
    mv_tensor *tensor; /* of the view: still where it is in the file */
    char *to;
    uint32_t n_heads;
} rope_copy;

/* Paged in first: a fault for every 64 KiB takes as long as the copy. */
static void make_copies(void *cookie, uint64_t from, uint64_t to)
{
    rope_copy *copies = cookie;
    for (uint64_t i = from; i < to; i++) {
        mv_tensor *tensor = copies[i].tensor;
        mv_page_in(tensor->data, tensor->size_bytes);
        mv_hf_interleave_rows(copies[i].to, tensor, copies[i].n_heads);
        tensor->data = copies[i].to;
    }
}

/* *size: of them all; each begins at a multiple of 64 bytes. copies: room for all weights. */
static size_t list_copies(rope_copy *copies, mv_checkpoint *c, size_t *size)
{
    size_t n = 0;
    *size = 0;
    for (size_t i = 0; i < mv_weight_count(&c->view.params); i++) {
        mv_weight weight;
        mv_weight_describe(&weight, &c->view.params, i);
        if (weight.n_rope_heads == 0)
            continue;
        copies[n] = (rope_copy){.tensor = mv_weight_slot(&c->view, c->layers, i),
                                .n_heads = weight.n_rope_heads};
        /* all of it is in the file, so the sum cannot overflow */
        *size += (copies[n].tensor->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        n++;
    }
    return n;
}

/* In one block, on huge pages, because most of the time of a copy into fresh memory goes into page
 * faults; by all cores, because one alone takes a second for a 7B. */
mv_code mv_hf_interleave(mv_checkpoint *c, mv_error *error)
{
    size_t size = 0;
    rope_copy *copies = calloc(mv_weight_count(&c->view.params), sizeof *copies);
    if (copies == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a list of %zu tensors",
                       mv_weight_count(&c->view.params));
    const size_t n = list_copies(copies, c, &size);
    const size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    size = (size + alignment - 1) / alignment * alignment;
    c->copies = aligned_alloc(alignment, size);
    if (c->copies == NULL) {
        free(copies);
        return mv_fail(error, MV_ERR_MEMORY,
                       "no memory for %zu bytes of q and k rows in interleaved order", size);
    }
    if (alignment == HUGE_PAGE)
        (void)madvise(c->copies, size, MADV_HUGEPAGE);
    char *to = c->copies;
    for (size_t i = 0; i < n; i++) {
        copies[i].to = to;
        to += (copies[i].tensor->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    mv_parallel(n, size / n / sizeof(uint16_t), make_copies, copies);
    free(copies);
    return MV_OK;
}
