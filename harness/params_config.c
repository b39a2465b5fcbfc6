/* Hugging Face's config.json. Where Transformers, vLLM and the author may read a file in different
 * ways, it is refused and the message says what to write instead: see get_window(). */
#include "harness/params.h"

#include <stdbool.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/params_fields.h"
#include "harness/quote.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static const mv_json_rule rules[] = {
    {"model_type", MV_JSON_USED, NULL},
    {"architectures", MV_JSON_USED, NULL},
    {"hidden_size", MV_JSON_USED, NULL},
    {"num_hidden_layers", MV_JSON_USED, NULL},
    {"head_dim", MV_JSON_USED, NULL},
    {"intermediate_size", MV_JSON_USED, NULL},
    {"num_attention_heads", MV_JSON_USED, NULL},
    {"num_key_value_heads", MV_JSON_USED, NULL},
    {"vocab_size", MV_JSON_USED, NULL},
    {"sliding_window", MV_JSON_USED, NULL},
    {"use_sliding_window", MV_JSON_USED, NULL},
    {"layer_types", MV_JSON_USED, NULL},
    {"rms_norm_eps", MV_JSON_USED, NULL},
    {"rope_theta", MV_JSON_USED, NULL},
    {"rope_parameters", MV_JSON_USED, NULL},
    {"rope_scaling", MV_JSON_USED, NULL},
    {"tie_word_embeddings", MV_JSON_USED, NULL},
    {"partial_rotary_factor", MV_JSON_USED, NULL},
    {"hidden_act", MV_JSON_MUST_BE_TEXT, "silu"},
    {"attention_bias", MV_JSON_MUST_BE_FALSE, "biases are"},
    {"mlp_bias", MV_JSON_MUST_BE_FALSE, "biases are"},
    {"add_cross_attention", MV_JSON_MUST_BE_FALSE, "cross attention is"},
    {"is_encoder_decoder", MV_JSON_MUST_BE_FALSE, "an encoder is"},
    {"num_experts", MV_JSON_MUST_BE_ABSENT, "a mixture of experts is"},
    {"num_local_experts", MV_JSON_MUST_BE_ABSENT, "a mixture of experts is"},
    {"num_experts_per_tok", MV_JSON_MUST_BE_ABSENT, "a mixture of experts is"},
    {"quantization_config", MV_JSON_MUST_BE_ABSENT, "a quantized checkpoint is"},
    {"auto_map", MV_JSON_MUST_BE_ABSENT, "a model with code of its own is"},
    {"_attn_implementation", MV_JSON_IGNORED, NULL},
    {"_attn_implementation_autoset", MV_JSON_IGNORED, NULL},
    {"_name_or_path", MV_JSON_IGNORED, NULL},
    {"attention_dropout", MV_JSON_IGNORED, NULL},
    {"bos_token_id", MV_JSON_IGNORED, NULL},
    {"chunk_size_feed_forward", MV_JSON_IGNORED, NULL},
    {"dtype", MV_JSON_IGNORED, NULL},
    {"eos_token_id", MV_JSON_IGNORED, NULL},
    {"id2label", MV_JSON_IGNORED, NULL},
    {"initializer_range", MV_JSON_IGNORED, NULL},
    {"is_decoder", MV_JSON_IGNORED, NULL},
    {"label2id", MV_JSON_IGNORED, NULL},
    {"max_length", MV_JSON_IGNORED, NULL},
    {"max_position_embeddings", MV_JSON_IGNORED, NULL},
    {"output_attentions", MV_JSON_IGNORED, NULL},
    {"output_hidden_states", MV_JSON_IGNORED, NULL},
    {"pad_token_id", MV_JSON_IGNORED, NULL},
    {"pretraining_tp", MV_JSON_IGNORED, NULL},
    {"problem_type", MV_JSON_IGNORED, NULL},
    {"return_dict", MV_JSON_IGNORED, NULL},
    {"tokenizer_class", MV_JSON_IGNORED, NULL},
    {"torch_dtype", MV_JSON_IGNORED, NULL},
    {"transformers_version", MV_JSON_IGNORED, NULL},
    {"unk_token_id", MV_JSON_IGNORED, NULL},
    {"unsloth_fixed", MV_JSON_IGNORED, NULL},
    {"unsloth_version", MV_JSON_IGNORED, NULL},
    {"use_cache", MV_JSON_IGNORED, NULL},
};

static const mv_json_rule rope_rules[] = {
    {"rope_type", MV_JSON_MUST_BE_TEXT, "default"},
    {"type", MV_JSON_MUST_BE_TEXT, "default"},
    {"rope_theta", MV_JSON_USED, NULL},
    {"partial_rotary_factor", MV_JSON_USED, NULL},
};

typedef struct context {
    json_t *config;
    const char *path;
    bool llama;
} context;

/* model_type decides the defaults; architectures, if there, must name the causal model, because
 * other heads have other tensors. */
static mv_code get_type(context *c, mv_error *error)
{
    const json_t *type = mv_json_get(c->config, "model_type");
    const char *name = json_string_value(type);
    if (name == NULL || (strcmp(name, "mistral") != 0 && strcmp(name, "llama") != 0)) {
        return mv_fail(error, name == NULL ? MV_ERR_FORMAT : MV_ERR_UNSUPPORTED,
                       "%s: \"model_type\": expected \"mistral\" or \"llama\", found %s", c->path,
                       name != NULL ? mv_plain(name).text : "no such text");
    }
    c->llama = strcmp(name, "llama") == 0;

    const json_t *list = mv_json_get(c->config, "architectures");
    const char *first = json_string_value(json_array_get(list, 0));
    const char *expected = c->llama ? "LlamaForCausalLM" : "MistralForCausalLM";
    if (list != NULL &&
        (json_array_size(list) != 1 || first == NULL || strcmp(first, expected) != 0)) {
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"architectures\": expected [\"%s\"], found %s", c->path, expected,
                       first != NULL ? mv_plain(first).text : "something else");
    }
    return MV_OK;
}

static mv_code check_partial(const json_t *object, const char *where, mv_error *error)
{
    const json_t *factor = mv_json_get(object, "partial_rotary_factor");
    if (factor != NULL && !(json_number_value(factor) == 1)) {
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"partial_rotary_factor\": rope over a part of a head is not handled: "
                       "expected 1",
                       where);
    }
    return MV_OK;
}

/* rope_parameters (Transformers 5) or rope_scaling (before): only the plain rope. theta: written
 * only if the object has one. */
static mv_code get_rope_object(double *theta, const context *c, const char *key, mv_error *error)
{
    json_t *object = json_object_get(c->config, key);
    char where[300];
    if (mv_json_get(c->config, key) == NULL) {
        return MV_OK;
    }
    if (!json_is_object(object)) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: \"%s\": expected an object or null", c->path,
                       key);
    }
    (void)snprintf(where, sizeof where, "%s: %s", c->path, key);
    mv_code code = mv_json_check_keys(object, rope_rules, N_OF(rope_rules), where, error);
    if (code == MV_OK && mv_json_get(object, "rope_theta") != NULL) {
        code =
            mv_json_get_double(theta, object, "rope_theta", 1, MV_PARAMS_MAX_THETA, where, error);
    }
    return code == MV_OK ? check_partial(object, where, error) : code;
}

/* Absent everywhere: 1e4, which is both classes' default. */
static mv_code get_theta(double *theta, const context *c, mv_error *error)
{
    double top = 0, inner = 0, scaling = 0;
    mv_code code = get_rope_object(&inner, c, "rope_parameters", error);
    if (code == MV_OK) {
        code = get_rope_object(&scaling, c, "rope_scaling", error);
    }
    if (code == MV_OK && mv_json_get(c->config, "rope_theta") != NULL) {
        code = mv_json_get_double(&top, c->config, "rope_theta", 1, MV_PARAMS_MAX_THETA, c->path,
                                  error);
    }
    if (code == MV_OK) {
        code = check_partial(c->config, c->path, error);
    }
    if (code != MV_OK) {
        return code;
    }
    double found[] = {top, inner, scaling};
    *theta = 0;
    for (size_t i = 0; i < N_OF(found); i++) {
        if (*theta > 0 && found[i] > 0 && found[i] != *theta) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: \"rope_theta\" is given twice and differs: %.17g and %.17g",
                           c->path, *theta, found[i]);
        }
        *theta = found[i] > 0 ? found[i] : *theta;
    }
    *theta = *theta > 0 ? *theta : 1e4;
    return MV_OK;
}

/* The one kind of layer that layer_types names for every layer; NULL if it is absent. */
static mv_code get_layer_type(const char **type, const context *c, uint32_t n_layers,
                              mv_error *error)
{
    const json_t *list = mv_json_get(c->config, "layer_types");
    *type = NULL;
    if (list == NULL) {
        return MV_OK;
    }
    if (!json_is_array(list) || json_array_size(list) != n_layers) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"layer_types\": expected a list of num_hidden_layers = %u, found %zu",
                       c->path, n_layers, json_array_size(list));
    }
    for (size_t i = 0; i < n_layers; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name == NULL ||
            (strcmp(name, "sliding_attention") != 0 && strcmp(name, "full_attention") != 0)) {
            return mv_fail(error, MV_ERR_UNSUPPORTED,
                           "%s: \"layer_types\"[%zu]: expected \"sliding_attention\" or "
                           "\"full_attention\", found %s",
                           c->path, i, name != NULL ? mv_plain(name).text : "no text");
        }
        if (*type != NULL && strcmp(name, *type) != 0) {
            return mv_fail(error, MV_ERR_UNSUPPORTED,
                           "%s: \"layer_types\": per-layer windows are not handled: expected the "
                           "same for all layers, found \"%s\" after \"%s\" at layer %zu",
                           c->path, name, *type, i);
        }
        *type = name;
    }
    return MV_OK;
}

/* A number in sliding_window is the window, unless use_sliding_window is false: then it is only
 * kept for the record, and there is none. Whatever contradicts that is refused, because engines
 * resolve it differently: a number together with full_attention layers, or in a llama (which has
 * no window in Transformers), and a mistral without the key (Transformers puts 4096). */
static mv_code get_window(uint32_t *window, const context *c, uint32_t n_layers, mv_error *error)
{
    const char *type = NULL;
    bool unused = false;
    const json_t *use = mv_json_get(c->config, "use_sliding_window");
    mv_code code = get_layer_type(&type, c, n_layers, error);
    if (code == MV_OK && use != NULL) {
        code = mv_json_get_bool(&unused, c->config, "use_sliding_window", c->path, error);
        unused = !unused;
    }
    if (code != MV_OK) {
        return code;
    }
    bool sliding = type != NULL && strcmp(type, "sliding_attention") == 0;
    bool full = type != NULL && !sliding;
    *window = 0;
    if (mv_json_get(c->config, "sliding_window") != NULL) {
        code = mv_json_get_u32(window, c->config, "sliding_window", 1, MV_PARAMS_MAX_WINDOW,
                               c->path, error);
        if (code != MV_OK) {
            return code;
        }
    } else if (!c->llama && !full && json_object_get(c->config, "sliding_window") == NULL) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"sliding_window\" is missing; expected an integer, or null for none "
                       "(absent, Transformers would take 4096)",
                       c->path);
    }
    if (unused) {
        *window = 0;
    }
    if (*window > 0 && (full || c->llama)) {
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"sliding_window\" is %u but %s; expected null, or "
                       "\"use_sliding_window\": false, or a mistral with sliding_attention",
                       c->path, *window,
                       full ? "\"layer_types\" says full_attention" : "a llama has no window");
    }
    if (*window == 0 && sliding) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"layer_types\" says sliding_attention but there is no window; "
                       "expected an integer in \"sliding_window\"",
                       c->path);
    }
    return MV_OK;
}

/* head_dim and num_key_value_heads have defaults that follow from other numbers. */
static mv_code get_heads(mv_params *params, const context *c, mv_error *error)
{
    mv_code code = mv_json_get_u32(&params->n_heads, c->config, "num_attention_heads", 1,
                                   MV_PARAMS_MAX_DIM, c->path, error);
    if (code != MV_OK) {
        return code;
    }
    if (mv_json_get(c->config, "head_dim") != NULL) {
        code = mv_json_get_u32(&params->head_dim, c->config, "head_dim", 1, MV_PARAMS_MAX_DIM,
                               c->path, error);
    } else if (params->dim % params->n_heads != 0) {
        code = mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"head_dim\" is missing, and hidden_size = %u is no multiple of "
                       "num_attention_heads = %u",
                       c->path, params->dim, params->n_heads);
    } else {
        params->head_dim = params->dim / params->n_heads;
    }
    if (code != MV_OK) {
        return code;
    }
    if (c->llama && mv_json_get(c->config, "num_key_value_heads") == NULL) {
        params->n_kv_heads = params->n_heads; /* the first llamas had no groups */
        return MV_OK;
    }
    return mv_json_get_u32(&params->n_kv_heads, c->config, "num_key_value_heads", 1,
                           MV_PARAMS_MAX_DIM, c->path, error);
}

static mv_code get_all(mv_params *params, bool *tied, context *c, mv_error *error)
{
    mv_code code = get_type(c, error);
    if (code == MV_OK) { /* after the type: another architecture has other keys */
        code = mv_json_check_keys(c->config, rules, N_OF(rules), c->path, error);
    }
    const struct {
        const char *key;
        uint32_t *value, max;
    } integers[] = {
        {"hidden_size", &params->dim, MV_PARAMS_MAX_DIM},
        {"num_hidden_layers", &params->n_layers, MV_PARAMS_MAX_LAYERS},
        {"intermediate_size", &params->hidden_dim, MV_PARAMS_MAX_DIM},
        {"vocab_size", &params->vocab_size, MV_PARAMS_MAX_DIM},
    };
    for (size_t i = 0; i < N_OF(integers) && code == MV_OK; i++) {
        code = mv_json_get_u32(integers[i].value, c->config, integers[i].key, 1, integers[i].max,
                               c->path, error);
    }
    if (code == MV_OK) {
        code =
            mv_json_get_double(&params->norm_eps, c->config, "rms_norm_eps", 0, 1, c->path, error);
    }
    if (code == MV_OK) {
        code = get_heads(params, c, error);
    }
    if (code == MV_OK) {
        code = get_theta(&params->rope_theta, c, error);
    }
    if (code == MV_OK) {
        code = get_window(&params->sliding_window, c, params->n_layers, error);
    }
    if (code == MV_OK) {
        code = mv_json_get_bool(tied, c->config, "tie_word_embeddings", c->path, error);
    }
    return code;
}

mv_code mv_params_read_config(mv_params *params, int *tied, const char *path, mv_error *error)
{
    mv_params read = {0};
    bool is_tied = false;
    context c = {.path = path};
    mv_code code = mv_json_load(&c.config, path, MV_PARAMS_MAX_FILE, error);
    if (code != MV_OK) {
        return code;
    }
    code = get_all(&read, &is_tied, &c, error);
    json_decref(c.config);
    if (code == MV_OK) {
        code = mv_params_check_as(MV_ERR_FORMAT, &read, path, error);
    }
    if (code == MV_OK) {
        *params = read;
        *tied = is_tied;
    }
    return code;
}
