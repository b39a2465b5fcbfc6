/* text_tokens.h - --text TEXT|@FILE through the model's own tokenizer. */
#ifndef MV_TOOLS_TEXT_TOKENS_H
#define MV_TOOLS_TEXT_TOKENS_H

#include "harness/model.h"

/* text NULL: *tokens is NULL. Else *tokens: yours, free(); BOS first. MV_ERR_ARGUMENT for a model
 * without a tokenizer, or a text that gives no tokens. */
MV_MUST_CHECK mv_code mv_text_tokens(const mv_model *model, const char *text, int32_t **tokens,
                                     size_t *n_tokens, mv_error *error);

#endif
