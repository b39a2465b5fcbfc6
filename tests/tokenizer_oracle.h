/* tokenizer_oracle.h - sentencepiece's own Decode(), for the tests to compare with. */
#ifndef MV_TESTS_TOKENIZER_ORACLE_H
#define MV_TESTS_TOKENIZER_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL if it cannot be loaded. */
void *tokenizer_oracle_open(const char *path);
/* free() it; NUL-terminated. */
char *tokenizer_oracle_decode(const void *oracle, const int32_t *ids, size_t n_ids, size_t *size);
void tokenizer_oracle_close(void *oracle);

#ifdef __cplusplus
}
#endif

#endif
