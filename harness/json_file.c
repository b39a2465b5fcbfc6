#include "harness/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/nearest.h"
#include "harness/quote.h"

/* O_NONBLOCK: a FIFO of that name must not hang us. */
static mv_code read_whole(char **bytes, size_t *size, const char *path, size_t max_size,
                          mv_error *error)
{
    mv_code code = MV_OK;
    char *buffer = NULL;
    size_t n_read = 0, wanted = 0;
    struct stat status;

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        code = mv_fail(error, MV_ERR_IO, "%s: expected a regular file", path);
        goto done;
    }
    wanted = (size_t)status.st_size;
    if (wanted > max_size) {
        code = mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a small JSON file of at most %zu bytes, found %zu", path,
                       max_size, wanted);
        goto done;
    }
    buffer = malloc(wanted + 1);
    if (buffer == NULL) {
        code = mv_fail(error, MV_ERR_MEMORY, "%s: no memory for its %zu bytes", path, wanted);
        goto done;
    }
    while (n_read < wanted) {
        ssize_t n = read(fd, buffer + n_read, wanted - n_read);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            code = mv_fail(error, MV_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
            goto done;
        }
        if (n == 0) {
            break;
        }
        n_read += (size_t)n;
    }
    *bytes = buffer;
    *size = n_read;
    buffer = NULL;
done:
    free(buffer);
    if (fd >= 0) {
        (void)close(fd);
    }
    return code;
}

mv_code mv_json_load(json_t **root, const char *path, size_t max_size, mv_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    mv_code code = read_whole(&bytes, &size, path, max_size, error);
    if (code != MV_OK) {
        return code;
    }
    json_error_t json_error;
    json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &json_error);
    free(bytes);
    if (value == NULL) {
        return mv_fail(error, MV_ERR_FORMAT, "%s: not valid JSON: line %d, column %d: %s", path,
                       json_error.line, json_error.column, mv_plain(json_error.text).text);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected a JSON object {...}", path);
    }
    *root = value;
    return MV_OK;
}

/* "the text \"abc\"", "5", "a list": what was found, for a message. */
static const char *describe(char *out, size_t size, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        (void)snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        (void)snprintf(out, size, "%.17g", json_real_value(value));
        break;
    case JSON_STRING:
        (void)snprintf(out, size, "the text \"%s\"", mv_plain(json_string_value(value)).text);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        (void)snprintf(out, size, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_ARRAY:
        (void)snprintf(out, size, "a list of %zu", json_array_size(value));
        break;
    case JSON_OBJECT:
        (void)snprintf(out, size, "an object");
        break;
    default:
        (void)snprintf(out, size, "null");
        break;
    }
    return out;
}

static mv_code refuse_unknown(const char *key, const mv_json_rule *rules, size_t n_rules,
                              const char *path, mv_error *error)
{
    char hint[96] = "";
    const char **keys = malloc(n_rules * sizeof *keys); /* without it, only the hint is lost */
    if (keys != NULL) {
        for (size_t i = 0; i < n_rules; i++) {
            keys[i] = rules[i].key;
        }
        const char *near = mv_nearest(key, keys, n_rules);
        if (near != NULL) {
            (void)snprintf(hint, sizeof hint, " (did you mean \"%s\"?)", near);
        }
        free(keys);
    }
    return mv_fail(error, MV_ERR_UNSUPPORTED,
                   "%s: unknown key \"%s\"%s: it may change the arithmetic, so it is not ignored; "
                   "take it out if it does not",
                   path, mv_plain(key).text, hint);
}

static bool allows(const mv_json_rule *rule, const json_t *value)
{
    switch (rule->kind) {
    case MV_JSON_MUST_BE_FALSE:
        return json_is_false(value);
    case MV_JSON_MUST_BE_TRUE:
        return json_is_true(value);
    case MV_JSON_MUST_BE_ABSENT:
        return false;
    case MV_JSON_MUST_BE_TEXT:
        return json_is_string(value) && strcmp(json_string_value(value), rule->note) == 0;
    case MV_JSON_USED:
    case MV_JSON_IGNORED:
        break;
    }
    return true;
}

static mv_code refuse_value(const mv_json_rule *rule, const json_t *value, const char *path,
                            mv_error *error)
{
    char found[128];
    (void)describe(found, sizeof found, value);
    switch (rule->kind) {
    case MV_JSON_MUST_BE_FALSE:
    case MV_JSON_MUST_BE_TRUE:
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"%s\": %s not handled: expected %s, found %s", path, rule->key,
                       rule->note, rule->kind == MV_JSON_MUST_BE_TRUE ? "true" : "false", found);
    case MV_JSON_MUST_BE_TEXT:
        return mv_fail(error, MV_ERR_UNSUPPORTED, "%s: \"%s\": expected \"%s\", found %s", path,
                       rule->key, rule->note, found);
    default:
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: \"%s\": %s not handled: expected no such key or null, found %s", path,
                       rule->key, rule->note, found);
    }
}

mv_code mv_json_check_keys(json_t *object, const mv_json_rule *rules, size_t n_rules,
                           const char *path, mv_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const mv_json_rule *rule = NULL;
        for (size_t i = 0; i < n_rules && rule == NULL; i++) {
            rule = strcmp(rules[i].key, key) == 0 ? &rules[i] : NULL;
        }
        if (rule == NULL) {
            return refuse_unknown(key, rules, n_rules, path, error);
        }
        if (!json_is_null(value) && !allows(rule, value)) {
            return refuse_value(rule, value, path, error);
        }
    }
    return MV_OK;
}

const json_t *mv_json_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

mv_code mv_json_get_u32(uint32_t *value, const json_t *object, const char *key, uint32_t min,
                        uint32_t max, const char *path, mv_error *error)
{
    const json_t *found = mv_json_get(object, key);
    if (found == NULL) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"%s\" is missing; expected an integer from %u to %u", path, key, min,
                       max);
    }
    json_int_t number = json_integer_value(found); /* 0 if it is none */
    if (!json_is_integer(found) || number < (json_int_t)min || number > (json_int_t)max) {
        char text[128];
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"%s\": expected an integer from %u to %u, found %s", path, key, min,
                       max, describe(text, sizeof text, found));
    }
    *value = (uint32_t)number;
    return MV_OK;
}

mv_code mv_json_get_double(double *value, const json_t *object, const char *key, double above,
                           double below, const char *path, mv_error *error)
{
    const json_t *found = mv_json_get(object, key);
    if (found == NULL) {
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"%s\" is missing; expected a number between %g and %g", path, key,
                       above, below);
    }
    double number = json_number_value(found); /* 0 if it is none */
    if (!json_is_number(found) || !(number > above && number < below)) {
        char text[128];
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: \"%s\": expected a number between %g and %g (both excluded), found %s",
                       path, key, above, below, describe(text, sizeof text, found));
    }
    *value = number;
    return MV_OK;
}

mv_code mv_json_get_bool(bool *value, const json_t *object, const char *key, const char *path,
                         mv_error *error)
{
    const json_t *found = mv_json_get(object, key);
    if (found != NULL && !json_is_boolean(found)) {
        char text[128];
        return mv_fail(error, MV_ERR_FORMAT, "%s: \"%s\": expected true or false, found %s", path,
                       key, describe(text, sizeof text, found));
    }
    *value = found != NULL && json_is_true(found);
    return MV_OK;
}
