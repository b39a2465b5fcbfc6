#include "harness/params.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/log.h"
#include "harness/nearest.h"
#include "harness/params_fields.h"
#include "harness/quote.h"
#include "harness/release.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* One row a field: its limits hold for files, specs and structs alike. min ... max includes both
 * ends for an integer, and excludes both for a real number. */
typedef struct field {
    const char *name;
    size_t offset;
    bool real;
    double min, max;
} field;

#define INTEGER(name, min, max)                                                                    \
    {                                                                                              \
#name, offsetof(mv_params, name), false, min, max                                          \
    }
#define REAL(name, min, max)                                                                       \
    {                                                                                              \
#name, offsetof(mv_params, name), true, min, max                                           \
    }

static const field fields[] = {
    INTEGER(dim, 1, MV_PARAMS_MAX_DIM),
    INTEGER(n_layers, 1, MV_PARAMS_MAX_LAYERS),
    INTEGER(head_dim, 1, MV_PARAMS_MAX_DIM),
    INTEGER(hidden_dim, 1, MV_PARAMS_MAX_DIM),
    INTEGER(n_heads, 1, MV_PARAMS_MAX_DIM),
    INTEGER(n_kv_heads, 1, MV_PARAMS_MAX_DIM),
    INTEGER(vocab_size, 1, MV_PARAMS_MAX_DIM),
    INTEGER(sliding_window, 0, MV_PARAMS_MAX_WINDOW),
    REAL(norm_eps, 0, 1),
    REAL(rope_theta, 1, MV_PARAMS_MAX_THETA),
};

static const mv_json_rule rules[] = {
    {"dim", MV_JSON_USED, NULL},
    {"n_layers", MV_JSON_USED, NULL},
    {"head_dim", MV_JSON_USED, NULL},
    {"hidden_dim", MV_JSON_USED, NULL},
    {"n_heads", MV_JSON_USED, NULL},
    {"n_kv_heads", MV_JSON_USED, NULL},
    {"vocab_size", MV_JSON_USED, NULL},
    {"sliding_window", MV_JSON_USED, NULL},
    {"norm_eps", MV_JSON_USED, NULL},
    {"rope_theta", MV_JSON_USED, NULL},
    {"dtype", MV_JSON_IGNORED, NULL},
    {"torch_dtype", MV_JSON_IGNORED, NULL},
    {"lora", MV_JSON_IGNORED, NULL},
    {"max_batch_size", MV_JSON_IGNORED, NULL},
    {"max_position_embeddings", MV_JSON_IGNORED, NULL},
    {"max_seq_len", MV_JSON_IGNORED, NULL},
    {"model_type", MV_JSON_MUST_BE_TEXT, "transformer"},
    {"causal", MV_JSON_MUST_BE_TRUE, "attention to the future is"},
    {"use_biases", MV_JSON_MUST_BE_FALSE, "biases are"},
    {"tied_embeddings", MV_JSON_MUST_BE_FALSE, "tied embeddings are"},
    {"tie_word_embeddings", MV_JSON_MUST_BE_FALSE, "tied embeddings are"},
    {"moe", MV_JSON_MUST_BE_ABSENT, "a mixture of experts is"},
    {"_sliding_window", MV_JSON_MUST_BE_ABSENT, "per-layer windows are"},
    {"vision_encoder", MV_JSON_MUST_BE_ABSENT, "a vision encoder is"},
    {"quantization", MV_JSON_MUST_BE_ABSENT, "quantized weights are"},
    {"rope_scaling", MV_JSON_MUST_BE_ABSENT, "scaled rope is"},
    {"yarn", MV_JSON_MUST_BE_ABSENT, "scaled rope is"},
};

static const field *find_field(const char *name)
{
    for (size_t i = 0; i < N_OF(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

static double get_field(const mv_params *params, const field *f)
{
    const char *at = (const char *)params + f->offset;
    double real;
    uint32_t integer;
    if (f->real) {
        memcpy(&real, at, sizeof real);
        return real;
    }
    memcpy(&integer, at, sizeof integer);
    return integer;
}

static void put_field(mv_params *params, const field *f, double value)
{
    char *at = (char *)params + f->offset;
    uint32_t integer = f->real ? 0 : (uint32_t)value; /* in range: every caller has checked it */
    if (f->real) {
        memcpy(at, &value, sizeof value);
    } else {
        memcpy(at, &integer, sizeof integer);
    }
}

/* NaN is not in range. */
static bool in_range(const field *f, double value)
{
    return f->real ? value > f->min && value < f->max : value >= f->min && value <= f->max;
}

/* "an integer from 1 to 1000000" */
static const char *range_text(char *out, size_t size, const field *f)
{
    (void)snprintf(out, size,
                   f->real ? "a number between %.10g and %.10g (both excluded)"
                           : "an integer from %.10g to %.10g",
                   f->min, f->max);
    return out;
}

static mv_code read_field(mv_params *params, const field *f, const json_t *object, const char *path,
                          mv_error *error)
{
    uint32_t integer = 0;
    double real = 0;
    mv_code code = f->real ? mv_json_get_double(&real, object, f->name, f->min, f->max, path, error)
                           : mv_json_get_u32(&integer, object, f->name, (uint32_t)f->min,
                                             (uint32_t)f->max, path, error);
    if (code == MV_OK) {
        put_field(params, f, f->real ? real : integer);
    }
    return code;
}

/* The two keys that v0.1 or v0.2 leave out; everything else must be there. */
static bool is_optional(const char *name)
{
    return strcmp(name, "sliding_window") == 0 || strcmp(name, "rope_theta") == 0;
}

/* v0.1 was published before there was anything else. Its loaders since then took a missing theta
 * for 1e6 and a missing window for none, and the weights were blamed. A null says "none" and is
 * obeyed.
 */
static void complete_v01(mv_params *params, const json_t *object, const char *path)
{
    mv_params with_window = *params;
    with_window.sliding_window = 4096;
    if (json_object_get(object, "sliding_window") != NULL ||
        json_object_get(object, "rope_theta") != NULL || mv_release_find(&with_window) == NULL)
        return;
    *params = with_window;
    mv_log(
        MV_LOG_WARN,
        "%s: has neither sliding_window nor rope_theta, and the shapes of Mistral-7B v0.1: taken "
        "as window 4096 and theta 1e4; \"sliding_window\": null would be no window",
        path);
}

mv_code mv_params_read(mv_params *params, const char *path, mv_error *error)
{
    mv_params read = {.sliding_window = 0, .rope_theta = 1e4};
    json_t *object = NULL;
    mv_code code = mv_json_load(&object, path, MV_PARAMS_MAX_FILE, error);
    if (code != MV_OK) {
        return code;
    }
    code = mv_json_check_keys(object, rules, N_OF(rules), path, error);
    if (code == MV_OK && json_is_array(mv_json_get(object, "sliding_window"))) {
        code = mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"sliding_window\": per-layer windows are not handled: expected one "
                       "integer or null, found a list",
                       path);
    }
    for (size_t i = 0; i < N_OF(fields) && code == MV_OK; i++) {
        if (!is_optional(fields[i].name) || mv_json_get(object, fields[i].name) != NULL) {
            code = read_field(&read, &fields[i], object, path, error);
        }
    }
    if (code == MV_OK) {
        code = mv_params_check_as(MV_ERR_FORMAT, &read, path, error);
    }
    if (code == MV_OK) {
        complete_v01(&read, object, path);
        *params = read;
    }
    json_decref(object);
    return code;
}

static mv_code refuse_key(const char *key, const char *where, mv_error *error)
{
    const char *names[N_OF(fields)];
    for (size_t i = 0; i < N_OF(fields); i++) {
        names[i] = fields[i].name;
    }
    const char *near = mv_nearest(key, names, N_OF(fields));
    if (near != NULL) {
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: unknown key \"%s\"; did you mean \"%s\"?",
                       where, mv_plain(key).text, near);
    }
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "%s: unknown key \"%s\"; expected a key of params.json: dim, n_layers, "
                   "head_dim, hidden_dim, n_heads, n_kv_heads, vocab_size, sliding_window, "
                   "norm_eps or rope_theta",
                   where, mv_plain(key).text);
}

/* strtod also takes hex, "inf", "nan" and leading spaces: none of them is a value here. */
static bool parse_number(double *value, const char *text, bool real)
{
    if (text[0] == '\0' || strlen(text) > 40 ||
        strspn(text, real ? "0123456789+-.eE" : "0123456789") != strlen(text)) {
        return false;
    }
    char *end = NULL;
    *value = strtod(text, &end);
    return *end == '\0';
}

mv_code mv_params_set(mv_params *params, const char *key, const char *value, const char *where,
                      mv_error *error)
{
    const field *f = find_field(key);
    if (f == NULL) {
        return refuse_key(key, where, error);
    }
    double number = 0;
    if (!parse_number(&number, value, f->real) || !in_range(f, number)) {
        char range[96];
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: %s: expected %s, found \"%s\"", where, key,
                       range_text(range, sizeof range, f), mv_plain(value).text);
    }
    put_field(params, f, number);
    return MV_OK;
}

mv_code mv_params_check_as(mv_code failure, const mv_params *params, const char *where,
                           mv_error *error)
{
    for (size_t i = 0; i < N_OF(fields); i++) {
        double value = get_field(params, &fields[i]);
        if (!in_range(&fields[i], value)) {
            char range[96];
            return mv_fail(error, failure, "%s: %s: expected %s, found %.17g", where,
                           fields[i].name, range_text(range, sizeof range, &fields[i]), value);
        }
    }
    if (params->head_dim % 2 != 0) {
        return mv_fail(error, failure,
                       "%s: head_dim: expected an even number, because rope turns pairs, found %u",
                       where, params->head_dim);
    }
    if (params->n_heads % params->n_kv_heads != 0) {
        return mv_fail(error, failure,
                       "%s: n_heads: expected a multiple of n_kv_heads = %u, found %u", where,
                       params->n_kv_heads, params->n_heads);
    }
    uint64_t width = (uint64_t)params->n_heads * params->head_dim;
    if (width > MV_PARAMS_MAX_DIM) {
        return mv_fail(
            error, failure, "%s: n_heads * head_dim: expected at most %d, found %u * %u = %llu",
            where, MV_PARAMS_MAX_DIM, params->n_heads, params->head_dim, (unsigned long long)width);
    }
    return MV_OK;
}

/* The struct was most likely put together from options: hence the code. */
mv_code mv_params_check(const mv_params *params, const char *where, mv_error *error)
{
    return mv_params_check_as(MV_ERR_ARGUMENT, params, where, error);
}
