#include "harness/params_write.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { REAL_SIZE = 32 };

/* The shortest text that reads back to the same double, without an exponent where people would
 * write none; always with a '.' or an 'e', because some readers of config.json refuse an integer
 * where they expect a float. */
static const char *real_text(char out[REAL_SIZE], double value)
{
    const bool plain = value >= 1e-3 && value < 1e15;
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(out, REAL_SIZE - 2, "%.*g", digits, value);
        if (strtod(out, NULL) == value && (!plain || strchr(out, 'e') == NULL))
            break;
    }
    if (strpbrk(out, ".e") == NULL)
        (void)strcat(out, ".0");
    return out;
}

static mv_code open_new(FILE **file, const char *path, mv_error *error)
{
    *file = fopen(path, "wxe");
    if (*file == NULL)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
    return MV_OK;
}

static mv_code close_written(FILE *file, const char *path, mv_error *error)
{
    const int failed = ferror(file);
    if (fclose(file) != 0 || failed != 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return MV_OK;
}

mv_code mv_params_write(const mv_params *p, const char *path, mv_error *error)
{
    char eps[REAL_SIZE], theta[REAL_SIZE];
    FILE *file = NULL;
    mv_code code = open_new(&file, path, error);
    if (code != MV_OK)
        return code;
    fprintf(file,
            "{\n  \"dim\": %u,\n  \"n_layers\": %u,\n  \"head_dim\": %u,\n  \"hidden_dim\": %u,\n"
            "  \"n_heads\": %u,\n  \"n_kv_heads\": %u,\n  \"norm_eps\": %s,\n"
            "  \"vocab_size\": %u,\n",
            p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads,
            real_text(eps, p->norm_eps), p->vocab_size);
    if (p->sliding_window > 0)
        fprintf(file, "  \"sliding_window\": %u,\n", p->sliding_window);
    fprintf(file, "  \"rope_theta\": %s\n}\n", real_text(theta, p->rope_theta));
    return close_written(file, path, error);
}

static const char *torch_name(mv_dtype dtype)
{
    return dtype == MV_DTYPE_F32 ? "float32" : dtype == MV_DTYPE_F16 ? "float16" : "bfloat16";
}

mv_code mv_params_write_config(const mv_params *p, int tied, mv_dtype dtype, const char *path,
                               mv_error *error)
{
    char eps[REAL_SIZE], theta[REAL_SIZE], window[16] = "null";
    FILE *file = NULL;
    mv_code code = open_new(&file, path, error);
    if (code != MV_OK)
        return code;
    if (p->sliding_window > 0)
        (void)snprintf(window, sizeof window, "%u", p->sliding_window);
    fprintf(file,
            "{\n  \"architectures\": [\"MistralForCausalLM\"],\n  \"model_type\": \"mistral\",\n"
            "  \"hidden_size\": %u,\n  \"num_hidden_layers\": %u,\n  \"head_dim\": %u,\n"
            "  \"intermediate_size\": %u,\n  \"num_attention_heads\": %u,\n"
            "  \"num_key_value_heads\": %u,\n  \"rms_norm_eps\": %s,\n  \"vocab_size\": %u,\n"
            "  \"sliding_window\": %s,\n  \"rope_theta\": %s,\n  \"tie_word_embeddings\": %s,\n"
            "  \"hidden_act\": \"silu\",\n  \"torch_dtype\": \"%s\",\n"
            "  \"max_position_embeddings\": 32768,\n  \"bos_token_id\": 1,\n"
            "  \"eos_token_id\": 2\n}\n",
            p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads,
            real_text(eps, p->norm_eps), p->vocab_size, window, real_text(theta, p->rope_theta),
            tied ? "true" : "false", torch_name(dtype));
    return close_written(file, path, error);
}
