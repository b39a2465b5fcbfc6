/* chat_template.h - what a turn of a conversation looks like in tokens.
 *
 * v0.1 and v0.2:  <s> "[INST] U1 [/INST]" A1 </s> "[INST] U2 [/INST]" ...
 * v0.3:           <s> [INST] "U1" [/INST] A1 </s> [INST] "U2" [/INST] ...
 *
 * What is in quotes goes through the tokenizer, piece by piece as written; [INST] outside them is
 * one control token, and no text can make one. Which of the two is decided by the tokenizer: v0.3's
 * has [INST] as a piece. The guardrail goes before the first message, with an empty line between.
 */
#ifndef MV_TOOLS_CHAT_TEMPLATE_H
#define MV_TOOLS_CHAT_TEMPLATE_H

#include "harness/tokenizer.h"

typedef struct mv_chat_template {
    const char *name;   /* "v0.1" or "v0.3" */
    int32_t begin, end; /* [INST] and [/INST]; -1: they are text */
} mv_chat_template;

mv_chat_template mv_chat_template_find(const mv_tokenizer *tokenizer);

/* The sentence that Mistral's API puts first with safe_prompt. */
extern const char mv_chat_guardrail[];

/* The tokens of one message, up to where the answer begins; BOS comes first in the first. guard:
 * put the guardrail before it. *ids: yours, free(). */
MV_MUST_CHECK mv_code mv_chat_template_turn(const mv_chat_template *chat,
                                            const mv_tokenizer *tokenizer, const char *message,
                                            size_t size, bool first, bool guard, int32_t **ids,
                                            size_t *n_ids, mv_error *error);

#endif
