/* tokenizer_fixture.h - the small tokenizer of tests/data, opened for each case. */
#ifndef MV_TESTS_TOKENIZER_FIXTURE_H
#define MV_TESTS_TOKENIZER_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include "harness/tokenizer.h"

#define SMALL MV_TEST_DATA "/tokenizer_small.model"
/* In tokenizer_small.model; tests/data/README.md has the whole layout. */
enum { BOS = 1, EOS = 2, INST = 3, DOC = 5, BYTE = 6, FIRST_NORMAL = 262, SPACE = 374 };

static mv_tokenizer *tokenizer;
static mv_error error;

static inline void open_small(void)
{
    ck_assert_msg(mv_tokenizer_open(&tokenizer, SMALL, &error) == MV_OK, "%s", error.message);
}

static inline void close_small(void)
{
    mv_tokenizer_close(&tokenizer);
    ck_assert_ptr_null(tokenizer);
    mv_tokenizer_close(&tokenizer);
}

static inline void check_decode(const int32_t *ids, size_t n_ids, const char *expected, size_t size)
{
    char *text = NULL;
    size_t text_size = 0;
    ck_assert_int_eq(mv_tokenizer_decode(tokenizer, ids, n_ids, &text, &text_size, &error), MV_OK);
    ck_assert_uint_eq(text_size, size);
    ck_assert_mem_eq(text, expected, size + 1);
    free(text);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4

#endif
