/* json_reader.h - fields out of a results document, with the place in every refusal. */
#ifndef MV_HARNESS_JSON_READER_H
#define MV_HARNESS_JSON_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/mistral_backend.h"

/* Where in which document: for messages. The first refusal is kept, and all that follows is passed
 * over, so that a caller need ask only once. */
typedef struct mv_reader {
    const char *path;
    char place[96]; /* "cases[3]" */
    mv_code code;
    mv_error *error;
} mv_reader;

/* What a key must have if it is there. */
typedef enum mv_presence { MV_OPTIONAL, MV_REQUIRED } mv_presence;

/* "path: place.key: expected ..., found ..."; returns the code. */
mv_code mv_reader_refuse(mv_reader *reader, const char *key, const char *expected,
                         const json_t *found);

/* Moves the place; a place is cut, never lost. */
MV_PRINTF(2, 3) void mv_reader_at(mv_reader *reader, const char *format, ...);

/* Each leaves *out as it is when the key is absent. */
void mv_reader_text(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                    char *out, size_t size);
void mv_reader_integer(mv_reader *reader, const json_t *object, const char *key,
                       mv_presence presence, int64_t low, int64_t high, int64_t *out);
/* A number, or one of "nan", "inf", "-inf". False if value is neither, NULL included. */
bool mv_reader_number(const json_t *value, double *out);
void mv_reader_double(mv_reader *reader, const json_t *object, const char *key,
                      mv_presence presence, double *out);
void mv_reader_bool(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                    bool *out);
/* ["a", "b"] as "a,b". */
void mv_reader_words(mv_reader *reader, const json_t *object, const char *key, mv_presence presence,
                     char *out, size_t size);
/* The index of the text in words. */
void mv_reader_word_of(mv_reader *reader, const json_t *object, const char *key,
                       const char *const *words, size_t n_words, size_t *out);
/* An object or an array; NULL if absent or refused. Borrowed. */
const json_t *mv_reader_object(mv_reader *reader, const json_t *object, const char *key,
                               mv_presence presence);
const json_t *mv_reader_array(mv_reader *reader, const json_t *object, const char *key,
                              mv_presence presence);

/* As much of text as fits, whole characters only. */
void mv_copy_text(char *out, size_t size, const char *text);

#endif
