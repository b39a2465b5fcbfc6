/* Hugging Face's layout: config.json, model.safetensors.index.json and two shards in one input,
 * with a line "====" between them; with an empty index, config.json and model.safetensors. */
#include <string.h>
#include <unistd.h>

#include "harness/checkpoint.h"
#include "harness/weights.h"
#include "tests/fuzz/fuzz.h"

enum { N_PARTS = 4 };
static const char between[] = "\n====\n";

/* Two folders of links to the memory files, made once: in one an index, in the other none. */
static char folders[2][32] = {"/tmp/mv-fuzz-XXXXXX", "/tmp/mv-fuzz-XXXXXX"};
static const char *const names[2][N_PARTS] = {
    {"config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors"},
    {"config.json", "tokenizer.model", "model.safetensors", "b.safetensors"}};

static void remove_folders(void)
{
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < N_PARTS; k++) {
            char *path = mv_checkpoint_path(folders[i], names[i][k]);
            if (path != NULL)
                (void)unlink(path);
            free(path);
        }
        (void)rmdir(folders[i]);
    }
}

static void make_folders(char paths[N_PARTS][FUZZ_PATH_SIZE])
{
    for (int i = 0; i < 2; i++) {
        FUZZ_CHECK(mkdtemp(folders[i]) != NULL);
        for (int k = 0; k < N_PARTS; k++) {
            char *link = mv_checkpoint_path(folders[i], names[i][k]);
            FUZZ_CHECK(link != NULL && symlink(paths[k], link) == 0);
            free(link);
        }
    }
    FUZZ_CHECK(atexit(remove_folders) == 0);
}

/* The row of the file that belongs at this row of the view: written down another way than in
 * model_hf.c. */
static uint64_t row_in_file(uint64_t row, uint64_t head_dim)
{
    const uint64_t in_head = row % head_dim;
    return row - in_head + (in_head % 2 == 0 ? in_head / 2 : head_dim / 2 + in_head / 2);
}

static void check_rows(const mv_tensor *tensor, const mv_tensor *stored, uint32_t n_heads)
{
    const uint64_t row_size = tensor->size_bytes / tensor->shape[0];
    const uint64_t head_dim = tensor->shape[0] / n_heads;
    for (uint64_t row = 0; row < tensor->shape[0]; row++)
        FUZZ_CHECK(memcmp((const char *)tensor->data + row * row_size,
                          (const char *)stored->data + row_in_file(row, head_dim) * row_size,
                          row_size) == 0);
}

static const mv_tensor *find_stored(const mv_checkpoint *checkpoint, const char *name)
{
    const mv_tensor *stored = NULL;
    for (size_t i = 0; i < checkpoint->n_files && stored == NULL; i++)
        stored = mv_tensor_file_find(checkpoint->files[i].file, name);
    return stored;
}

static void check_view(const mv_checkpoint *checkpoint)
{
    const mv_model_view *view = &checkpoint->view;
    for (size_t i = 0; i < mv_weight_count(&view->params); i++) {
        const mv_tensor *tensor = mv_weight_at(view, i);
        mv_weight weight;
        mv_weight_describe(&weight, &view->params, i);
        const mv_tensor *stored = find_stored(checkpoint, weight.hf_name);
        FUZZ_CHECK(strcmp(tensor->name, weight.name) == 0);
        FUZZ_CHECK(tensor->shape[0] == weight.shape[0] && tensor->shape[1] == weight.shape[1]);
        FUZZ_CHECK(tensor->size_bytes ==
                   weight.shape[0] * weight.shape[1] * mv_dtype_size(tensor->dtype));
        FUZZ_CHECK((uintptr_t)tensor->data % mv_dtype_size(tensor->dtype) == 0);
        FUZZ_CHECK(stored != NULL || i == mv_weight_count(&view->params) - 1); /* tied */
        if (stored == NULL)
            stored = &view->tok_embeddings;
        FUZZ_CHECK(stored->size_bytes == tensor->size_bytes);
        if (weight.n_rope_heads > 0)
            check_rows(tensor, stored, weight.n_rope_heads);
        else
            FUZZ_CHECK(memcmp(tensor->data, stored->data, tensor->size_bytes) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    const uint8_t *end = data + size;
    char paths[N_PARTS][FUZZ_PATH_SIZE];
    int fds[N_PARTS];
    bool has_index = false;
    for (int k = 0; k < N_PARTS; k++) {
        const size_t rest = (size_t)(end - data);
        const uint8_t *stop =
            rest > 0 && k < N_PARTS - 1 ? memmem(data, rest, between, sizeof between - 1) : NULL;
        const size_t length = stop != NULL ? (size_t)(stop - data) : rest;
        fds[k] = fuzz_file(paths[k], data, length);
        has_index = has_index || (k == 1 && length > 0);
        data = stop != NULL ? stop + sizeof between - 1 : end;
    }
    if (!made)
        make_folders(paths);
    made = true;
    mv_checkpoint *checkpoint = NULL;
    mv_error error = {0};
    mv_code code = mv_checkpoint_open(&checkpoint, folders[has_index ? 0 : 1], &error);
    if (code != MV_OK)
        fuzz_check_refusal(code, &error);
    else
        check_view(checkpoint);
    mv_checkpoint_close(&checkpoint);
    for (int k = 0; k < N_PARTS; k++)
        fuzz_file_close(fds[k]);
    return 0;
}
