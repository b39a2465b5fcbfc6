/* text_tokens.c - a file or an argument, tokenized. */
#include "tools/text_tokens.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/tokenizer.h"

enum { MAX_TEXT_BYTES = 1 << 24 };

/* *text: yours, free(). */
static mv_code read_file(const char *path, char **text, size_t *size, mv_error *error)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mv_fail(error, MV_ERR_IO, "--text @%s: %s", path, strerror(errno));
    char *bytes = malloc(MAX_TEXT_BYTES);
    *size = bytes != NULL ? fread(bytes, 1, MAX_TEXT_BYTES, file) : 0;
    const bool failed = ferror(file) != 0, too_long = *size == MAX_TEXT_BYTES;
    (void)fclose(file);
    if (bytes == NULL || failed || too_long) {
        free(bytes);
        return mv_fail(error, MV_ERR_IO, "--text @%s: %s", path,
                       too_long ? "expected less than 16 MiB" : "cannot be read");
    }
    *text = bytes;
    return MV_OK;
}

mv_code mv_text_tokens(const mv_model *model, const char *text, int32_t **tokens, size_t *n_tokens,
                       mv_error *error)
{
    mv_tokenizer *tokenizer = NULL;
    char *bytes = NULL;
    size_t size = text != NULL ? strlen(text) : 0;
    const char *path = mv_model_get_tokenizer(model);
    *tokens = NULL;
    *n_tokens = 0;
    if (text == NULL)
        return MV_OK;
    if (path == NULL)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--text needs a tokenizer.model beside the weights, and model %s has none",
                       mv_model_get_spec(model));
    mv_code code = text[0] == '@' ? read_file(text + 1, &bytes, &size, error) : MV_OK;
    if (code == MV_OK)
        code = mv_tokenizer_open(&tokenizer, path, error);
    if (code == MV_OK)
        code = mv_tokenizer_check(tokenizer, mv_model_get_view(model)->params.vocab_size, error);
    if (code == MV_OK)
        code = mv_tokenizer_encode(tokenizer, bytes != NULL ? bytes : text, size, true, tokens,
                                   n_tokens, error);
    if (code == MV_OK && *n_tokens == 0) {
        free(*tokens);
        *tokens = NULL;
        code = mv_fail(error, MV_ERR_ARGUMENT, "--text: the text gives no tokens");
    }
    mv_tokenizer_close(&tokenizer);
    free(bytes);
    return code;
}
