#include "harness/json_reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/quote.h"

mv_code mv_reader_refuse(mv_reader *reader, const char *key, const char *expected,
                         const json_t *found)
{
    if (reader->code != MV_OK) {
        return reader->code;
    }
    char *value = found != NULL
                      ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII)
                      : NULL;
    reader->code = mv_fail(reader->error, MV_ERR_FORMAT, "%s: %s%s%s: expected %s, found %s",
                           reader->path, reader->place, reader->place[0] != '\0' ? "." : "", key,
                           expected, value != NULL ? mv_plain(value).text : "nothing");
    free(value);
    return reader->code;
}

void mv_reader_at(mv_reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reader->place, sizeof reader->place, format, args);
    va_end(args);
}

/* The value, or NULL: absent, or an earlier refusal. */
static const json_t *get(mv_reader *reader, const json_t *object, const char *key,
                         mv_presence presence, const char *expected)
{
    const json_t *value = reader->code == MV_OK ? json_object_get(object, key) : NULL;
    if (value == NULL && presence == MV_REQUIRED) {
        mv_reader_refuse(reader, key, expected, NULL);
    }
    return value;
}

void mv_copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n--;
        }
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

void mv_reader_text(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                    char *out, size_t size)
{
    const json_t *value = get(reader, object, key, presence, "text");
    if (value != NULL && !json_is_string(value)) {
        mv_reader_refuse(reader, key, "text", value);
    } else if (value != NULL) {
        mv_copy_text(out, size, json_string_value(value));
    }
}

void mv_reader_integer(mv_reader *reader, const json_t *object, const char *key,
                       mv_presence presence, int64_t low, int64_t high, int64_t *out)
{
    char expected[80];
    if (high < INT64_MAX) {
        (void)snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)low,
                       (long long)high);
    } else {
        (void)snprintf(expected, sizeof expected, "an integer of at least %lld", (long long)low);
    }
    const json_t *value = get(reader, object, key, presence, expected);
    if (value == NULL) {
        return;
    }
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high) {
        mv_reader_refuse(reader, key, expected, value);
        return;
    }
    *out = json_integer_value(value);
}

bool mv_reader_number(const json_t *value, double *out)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"nan", NAN}, {"inf", INFINITY}, {"-inf", -INFINITY}};
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    for (size_t i = 0; json_is_string(value) && i < sizeof words / sizeof *words; i++) {
        if (strcmp(json_string_value(value), words[i].word) == 0) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

void mv_reader_double(mv_reader *reader, const json_t *object, const char *key,
                      mv_presence presence, double *out)
{
    static const char expected[] = "a number, \"nan\", \"inf\" or \"-inf\"";
    const json_t *value = get(reader, object, key, presence, expected);
    if (value != NULL && !mv_reader_number(value, out)) {
        mv_reader_refuse(reader, key, expected, value);
    }
}

void mv_reader_bool(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                    bool *out)
{
    const json_t *value = get(reader, object, key, presence, "true or false");
    if (value != NULL && !json_is_boolean(value)) {
        mv_reader_refuse(reader, key, "true or false", value);
    } else if (value != NULL) {
        *out = json_is_true(value);
    }
}

void mv_reader_words(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                     char *out, size_t size)
{
    const json_t *list = get(reader, object, key, presence, "a list of text");
    if (list != NULL && !json_is_array(list)) {
        mv_reader_refuse(reader, key, "a list of text", list);
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *word = json_array_get(list, i);
        if (!json_is_string(word)) {
            mv_reader_refuse(reader, key, "a list of text", list);
            return;
        }
        if (used > 0 && used + 1 < size) {
            out[used++] = ',';
        }
        mv_copy_text(out + used, size - used, json_string_value(word));
        used += strlen(out + used);
    }
    if (list != NULL) {
        out[used] = '\0';
    }
}

void mv_reader_word_of(mv_reader *reader, const json_t *object, const char *key,
                       const char *const *words, size_t n_words, size_t *out)
{
    char expected[160] = "one of";
    for (size_t i = 0; i < n_words; i++) {
        size_t used = strlen(expected);
        (void)snprintf(expected + used, sizeof expected - used, "%s %s", i > 0 ? "," : "",
                       words[i]);
    }
    const json_t *value = get(reader, object, key, MV_REQUIRED, expected);
    if (value == NULL) {
        return;
    }
    for (size_t i = 0; json_is_string(value) && i < n_words; i++) {
        if (strcmp(json_string_value(value), words[i]) == 0) {
            *out = i;
            return;
        }
    }
    mv_reader_refuse(reader, key, expected, value);
}

const json_t *mv_reader_object(mv_reader *reader, const json_t *object, const char *key,
                               mv_presence presence)
{
    const json_t *value = get(reader, object, key, presence, "an object");
    if (value != NULL && !json_is_object(value)) {
        mv_reader_refuse(reader, key, "an object", value);
        return NULL;
    }
    return value;
}

const json_t *mv_reader_array(mv_reader *reader, const json_t *object, const char *key,
                              mv_presence presence)
{
    const json_t *value = get(reader, object, key, presence, "a list");
    if (value != NULL && !json_is_array(value)) {
        mv_reader_refuse(reader, key, "a list", value);
        return NULL;
    }
    return value;
}
