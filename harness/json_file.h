/* json_file.h - a JSON file from a stranger: params.json, config.json, a safetensors index.
 *
 * Every message begins with the path and names the key. A value of null counts as absent.
 * Private to the readers in harness/.
 */
#ifndef MV_HARNESS_JSON_FILE_H
#define MV_HARNESS_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "backends/mistral_backend.h"

/* Reads the object that the file holds; duplicate keys are refused. max_size in bytes.
 * *root: yours, json_decref(). */
MV_MUST_CHECK mv_code mv_json_load(json_t **root, const char *path, size_t max_size,
                                   mv_error *error);

/* What may stand at a key. */
typedef enum mv_json_rule_kind {
    MV_JSON_USED,          /* the reader looks at it */
    MV_JSON_IGNORED,       /* changes no logit */
    MV_JSON_MUST_BE_FALSE, /* handled only when false or absent */
    MV_JSON_MUST_BE_TRUE,  /* handled only when true or absent */
    MV_JSON_MUST_BE_ABSENT,
    MV_JSON_MUST_BE_TEXT /* handled only when it is the text in note, or absent */
} mv_json_rule_kind;

typedef struct mv_json_rule {
    const char *key;
    mv_json_rule_kind kind;
    const char *note; /* what it would be ("a mixture of experts"), or the text */
} mv_json_rule;

/* MV_ERR_UNSUPPORTED: a key that no rule knows (the nearest is named), or a value that its rule
 * does not allow. */
MV_MUST_CHECK mv_code mv_json_check_keys(json_t *object, const mv_json_rule *rules, size_t n_rules,
                                         const char *path, mv_error *error);

/* NULL if absent or null. Borrowed. */
const json_t *mv_json_get(const json_t *object, const char *key);

/* The value must be there. MV_ERR_FORMAT: missing, of another type, or outside min ... max. */
MV_MUST_CHECK mv_code mv_json_get_u32(uint32_t *value, const json_t *object, const char *key,
                                      uint32_t min, uint32_t max, const char *path,
                                      mv_error *error);

/* The value must be there and lie strictly between above and below. */
MV_MUST_CHECK mv_code mv_json_get_double(double *value, const json_t *object, const char *key,
                                         double above, double below, const char *path,
                                         mv_error *error);

/* false if absent. MV_ERR_FORMAT: neither true nor false. */
MV_MUST_CHECK mv_code mv_json_get_bool(bool *value, const json_t *object, const char *key,
                                       const char *path, mv_error *error);

#endif
