#include "harness/model.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "harness/checkpoint.h"
#include "harness/synthetic.h"
#include "harness/tensor_sum.h"
#include "harness/tiny.h"
#include "harness/weights.h"

struct mv_model {
    char *spec;
    mv_synthetic *synthetic;   /* one of the two */
    mv_checkpoint *checkpoint; /* is not NULL */
};

mv_code mv_model_open_unchecked(mv_model **model, const char *spec, mv_error *error)
{
    mv_model *opened = calloc(1, sizeof *opened);
    char *tiny = NULL;
    mv_code code = MV_OK;
    if (opened == NULL || (opened->spec = strdup(spec)) == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "model %s: no memory to open it", spec);
    } else if (mv_synthetic_is_spec(spec)) {
        code = mv_synthetic_open(&opened->synthetic, spec, error);
    } else if (mv_tiny_is_spec(spec)) {
        code = mv_tiny_find(&tiny, error);
        if (code == MV_OK) {
            code = mv_checkpoint_open(&opened->checkpoint, tiny, error);
        }
        free(tiny);
    } else {
        code = mv_checkpoint_open(&opened->checkpoint, spec, error);
    }
    if (code != MV_OK) {
        mv_model_close(&opened);
        return code;
    }
    *model = opened;
    return MV_OK;
}

mv_code mv_model_open(mv_model **model, const char *spec, mv_error *error)
{
    mv_model *opened = NULL;
    mv_code code = mv_model_open_unchecked(&opened, spec, error);
    if (code == MV_OK)
        code = mv_model_check_sums(opened, error);
    if (code == MV_OK)
        *model = opened;
    else
        mv_model_close(&opened);
    return code;
}

/* Only a .pth has them, and it is one file. */
static const mv_tensor_file *file_with_sums(const mv_model *model)
{
    const mv_checkpoint *checkpoint = model->checkpoint;
    return checkpoint != NULL && checkpoint->n_files == 1 ? checkpoint->files[0].file : NULL;
}

mv_tensor_sum *mv_model_find_sum(const mv_model *model, const mv_tensor *tensor)
{
    const mv_tensor_file *file = file_with_sums(model);
    return file == NULL
               ? NULL
               : mv_tensor_sums_find(file->sums, file->n_sums, tensor->data, tensor->size_bytes);
}

mv_code mv_model_check_sums(const mv_model *model, mv_error *error)
{
    const mv_tensor_file *file = file_with_sums(model);
    return file == NULL ? MV_OK : mv_tensor_sums_check(file->sums, file->n_sums, error);
}

void mv_model_close(mv_model **model)
{
    if (model == NULL || *model == NULL) {
        return;
    }
    mv_synthetic_close(&(*model)->synthetic);
    mv_checkpoint_close(&(*model)->checkpoint);
    free((*model)->spec);
    free(*model);
    *model = NULL;
}

const mv_model_view *mv_model_get_view(const mv_model *model)
{
    return model->synthetic != NULL ? mv_synthetic_get_view(model->synthetic)
                                    : &model->checkpoint->view;
}

const char *mv_model_get_spec(const mv_model *model)
{
    return model->spec;
}

const char *mv_model_get_layout(const mv_model *model)
{
    return model->synthetic != NULL ? "synthetic" : model->checkpoint->layout;
}

const char *mv_model_get_tokenizer(const mv_model *model)
{
    return model->synthetic != NULL ? NULL : model->checkpoint->tokenizer;
}

static int hash_u64(EVP_MD_CTX *context, uint64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
    return EVP_DigestUpdate(context, bytes, sizeof bytes);
}

/* A tensor is its name with a NUL, its dtype ("bf16") with a NUL, both numbers of its shape as
 * little-endian 64 bits ([dim, 1] for a norm), and its bytes. So no two models share a stream, and
 * a tied output counts as if it were written out. */
static int hash_tensor(EVP_MD_CTX *context, const mv_weight *weight, const mv_tensor *tensor)
{
    const char *dtype = mv_dtype_name(tensor->dtype);
    return EVP_DigestUpdate(context, weight->name, strlen(weight->name) + 1) == 1 &&
           EVP_DigestUpdate(context, dtype, strlen(dtype) + 1) == 1 &&
           hash_u64(context, weight->shape[0]) == 1 && hash_u64(context, weight->shape[1]) == 1 &&
           EVP_DigestUpdate(context, tensor->data, tensor->size_bytes) == 1;
}

mv_code mv_model_hash(const mv_model *model, char hex[65], mv_error *error)
{
    const mv_model_view *view = mv_model_get_view(model);
    unsigned char digest[32];
    unsigned int digest_size = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < mv_weight_count(&view->params) && good; i++) {
        mv_weight weight;
        mv_weight_describe(&weight, &view->params, i);
        good = hash_tensor(context, &weight, mv_weight_at(view, i));
    }
    good = good && EVP_DigestFinal_ex(context, digest, &digest_size) == 1 &&
           digest_size == sizeof digest;
    EVP_MD_CTX_free(context);
    if (!good) {
        return mv_fail(error, MV_ERR_MEMORY, "model %s: libcrypto cannot compute a sha256",
                       model->spec);
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return MV_OK;
}

uint64_t mv_model_size_bytes(const mv_model_view *view)
{
    uint64_t size = 0;
    for (size_t i = 0; i < mv_weight_count(&view->params); i++) {
        size += mv_weight_at(view, i)->size_bytes;
    }
    return view->output.data == view->tok_embeddings.data ? size - view->output.size_bytes : size;
}
