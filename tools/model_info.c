/* model_info.c - all that a model says about itself. */
#include "tools/model_info.h"

#include <inttypes.h>
#include <string.h>

#include "harness/model_check.h"
#include "harness/release.h"
#include "harness/tensor_file.h"
#include "harness/tokenizer.h"
#include "harness/weights.h"

void mv_print_json(json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(value);
}

typedef struct facts {
    const mv_model *model;
    const mv_model_view *view;
    uint64_t n_params, n_tensors, n_dtype[3];
    char sha256[65];
    int64_t n_pieces; /* -1: no tokenizer, or none that opens */
    char tokenizer_error[300];
} facts;

static mv_code gather(facts *f, const mv_model *model, mv_error *error)
{
    const mv_model_view *view = mv_model_get_view(model);
    const bool tied = view->output.data == view->tok_embeddings.data;
    const char *path = mv_model_get_tokenizer(model);
    mv_tokenizer *tokenizer = NULL;
    mv_error reason = {0};
    *f = (facts){.model = model, .view = view, .n_pieces = -1};
    f->n_tensors = mv_weight_count(&view->params) - (tied ? 1 : 0);
    for (size_t i = 0; i < f->n_tensors; i++) {
        const mv_tensor *t = mv_weight_at(view, i);
        f->n_params += t->size_bytes / mv_dtype_size(t->dtype);
        f->n_dtype[t->dtype]++;
    }
    if (path != NULL && mv_tokenizer_open(&tokenizer, path, &reason) == MV_OK)
        f->n_pieces = mv_tokenizer_n_pieces(tokenizer);
    (void)snprintf(f->tokenizer_error, sizeof f->tokenizer_error, "%.290s", reason.message);
    mv_tokenizer_close(&tokenizer);
    return mv_model_hash(model, f->sha256, error);
}

static void print_tensors(const facts *f)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        const mv_tensor *t = mv_weight_at(f->view, i);
        mv_weight_stats stats;
        char shape[48];
        mv_weight_stats_take(&stats, t);
        (void)snprintf(shape, sizeof shape,
                       t->n_dims == 2 ? "[%" PRIu64 ", %" PRIu64 "]" : "[%" PRIu64 "]", t->shape[0],
                       t->shape[1]);
        printf("  %-36s %-4s %-16s rms %-10.4g max %.4g\n", t->name, mv_dtype_name(t->dtype), shape,
               stats.rms, stats.max_abs);
    }
}

static void print_info(const facts *f, bool verbose)
{
    const mv_params *p = &f->view->params;
    const mv_release *release = mv_release_find(p);
    printf("model       %s\n", mv_model_get_spec(f->model));
    printf("layout      %s\n", mv_model_get_layout(f->model));
    if (release != NULL)
        printf("looks like  %s (or %s): %s\n", release->name, release->also, release->description);
    else
        printf("looks like  no release of Mistral-7B\n");
    printf(
        "params      dim %u, n_layers %u, head_dim %u, hidden_dim %u, n_heads %u, n_kv_heads %u,\n"
        "            vocab_size %u, sliding_window %u%s, norm_eps %g, rope_theta %g\n",
        p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads, p->vocab_size,
        p->sliding_window, p->sliding_window == 0 ? " (none)" : "", p->norm_eps, p->rope_theta);
    printf("parameters  %" PRIu64 "\n", f->n_params);
    printf("tensors     %" PRIu64 " (", f->n_tensors);
    for (int i = 0, n = 0; i < 3; i++) {
        if (f->n_dtype[i] > 0)
            printf("%s%" PRIu64 " %s", n++ > 0 ? ", " : "", f->n_dtype[i],
                   mv_dtype_name((mv_dtype)i));
    }
    printf(")%s\n", f->view->output.data == f->view->tok_embeddings.data ? ", output tied" : "");
    printf("bytes       %" PRIu64 "\n", mv_model_size_bytes(f->view));
    printf("sha256      %s\n", f->sha256);
    if (mv_model_get_tokenizer(f->model) == NULL)
        printf("tokenizer   none\n");
    else if (f->n_pieces < 0)
        printf("tokenizer   not usable: %s\n", f->tokenizer_error);
    else
        printf("tokenizer   %s, %" PRId64 " pieces\n", mv_model_get_tokenizer(f->model),
               f->n_pieces);
    if (verbose)
        print_tensors(f);
}

static void print_info_json(const facts *f)
{
    const mv_params *p = &f->view->params;
    const mv_release *release = mv_release_find(p);
    const char *tokenizer = mv_model_get_tokenizer(f->model);
    json_t *params = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f}", "dim", (json_int_t)p->dim, "n_layers",
        (json_int_t)p->n_layers, "head_dim", (json_int_t)p->head_dim, "hidden_dim",
        (json_int_t)p->hidden_dim, "n_heads", (json_int_t)p->n_heads, "n_kv_heads",
        (json_int_t)p->n_kv_heads, "vocab_size", (json_int_t)p->vocab_size, "sliding_window",
        (json_int_t)p->sliding_window, "norm_eps", p->norm_eps, "rope_theta", p->rope_theta);
    mv_print_json(json_pack("{s:s,s:s,s:s,s:s?,s:o,s:I,s:I,s:I,s:s,s:s?,s:I}", "schema",
                            "mistral-model-info/1", "model", mv_model_get_spec(f->model), "layout",
                            mv_model_get_layout(f->model), "release",
                            release != NULL ? release->name : NULL, "params", params, "parameters",
                            (json_int_t)f->n_params, "tensors", (json_int_t)f->n_tensors, "bytes",
                            (json_int_t)mv_model_size_bytes(f->view), "weights_sha256", f->sha256,
                            "tokenizer", tokenizer, "pieces", (json_int_t)f->n_pieces));
}

mv_code mv_model_info(const mv_cli *cli, const mv_model *model, mv_error *error)
{
    facts f;
    mv_code code = gather(&f, model, error);
    if (code != MV_OK)
        return code;
    if (cli->format != NULL && strcmp(cli->format, "json") == 0)
        print_info_json(&f);
    else
        print_info(&f, cli->verbose != 0);
    return MV_OK;
}
