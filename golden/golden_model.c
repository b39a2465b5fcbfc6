/* golden_model.c - which model a golden belongs to. */
#include <string.h>

#include "golden/golden_private.h"
#include "harness/quote.h"
#include "harness/tensor_file.h"

void golden_describe_weight(mv_golden_weight *weight, const mv_model_view *model, size_t index)
{
    const mv_tensor *tensor = mv_weight_at(model, index);
    mv_weight known;
    mv_weight_describe(&known, &model->params, index);
    memset(weight, 0, sizeof *weight);
    (void)snprintf(weight->name, sizeof weight->name, "%s", known.name);
    (void)snprintf(weight->dtype, sizeof weight->dtype, "%s", mv_dtype_name(tensor->dtype));
    weight->shape[0] = known.shape[0];
    weight->shape[1] = known.shape[1];
    golden_sha256(weight->sha256, tensor->data, tensor->size_bytes);
}

/* A row of the table of params: one of the two kinds. */
static const golden_param params_rows[] = {
    {"dim", offsetof(mv_params, dim), false},
    {"n_layers", offsetof(mv_params, n_layers), false},
    {"head_dim", offsetof(mv_params, head_dim), false},
    {"hidden_dim", offsetof(mv_params, hidden_dim), false},
    {"n_heads", offsetof(mv_params, n_heads), false},
    {"n_kv_heads", offsetof(mv_params, n_kv_heads), false},
    {"vocab_size", offsetof(mv_params, vocab_size), false},
    {"sliding_window", offsetof(mv_params, sliding_window), false},
    {"norm_eps", offsetof(mv_params, norm_eps), true},
    {"rope_theta", offsetof(mv_params, rope_theta), true},
};

const golden_param *golden_params(size_t *n)
{
    *n = sizeof params_rows / sizeof params_rows[0];
    return params_rows;
}

double golden_param_get(const mv_params *params, const golden_param *row)
{
    const char *at = (const char *)params + row->offset;
    uint32_t whole;
    double real;
    if (row->is_real) {
        memcpy(&real, at, sizeof real);
        return real;
    }
    memcpy(&whole, at, sizeof whole);
    return (double)whole;
}

bool golden_same_params(const mv_params *a, const mv_params *b, const golden_param **different)
{
    for (size_t i = 0; i < sizeof params_rows / sizeof params_rows[0]; i++) {
        const golden_param *row = &params_rows[i];
        if (row->offset == offsetof(mv_params, sliding_window))
            continue; /* each case has its own */
        if (golden_param_get(a, row) != golden_param_get(b, row)) {
            *different = row;
            return false;
        }
    }
    return true;
}

mv_code mv_golden_match(const mv_golden *golden, const char *path, const mv_model_view *model,
                        mv_error *error)
{
    const golden_param *row;
    mv_golden_weight weight;
    if (!golden_same_params(&golden->params, &model->params, &row))
        return mv_fail(error, MV_ERR_FORMAT,
                       "%.160s: /model@%s: the golden of another model (%s): %s is %.9g there "
                       "and %.9g in this one",
                       path, row->key, mv_plain(golden->model_spec).text, row->key,
                       golden_param_get(&golden->params, row),
                       golden_param_get(&model->params, row));
    for (size_t i = 0; i < golden->n_weights; i++) {
        const mv_golden_weight *expected = &golden->weights[i];
        golden_describe_weight(&weight, model, i);
        if (strcmp(weight.dtype, expected->dtype) != 0)
            return mv_fail(error, MV_ERR_FORMAT,
                           "%.160s: /model/weights: the golden of another model (%s): %s is %s "
                           "there and %s in this one",
                           path, mv_plain(golden->model_spec).text, expected->name,
                           mv_plain(expected->dtype).text, weight.dtype);
        if (strcmp(weight.sha256, expected->sha256) != 0)
            return mv_fail(error, MV_ERR_FORMAT,
                           "%.160s: /model/weights: the golden of another model (%s): the "
                           "sha256 of %s is %.12s... there and %.12s... in this one",
                           path, mv_plain(golden->model_spec).text, expected->name,
                           expected->sha256, weight.sha256);
    }
    return MV_OK;
}
