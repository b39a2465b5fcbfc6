#include "tools/chat_template.h"

#include <stdlib.h>
#include <string.h>

const char mv_chat_guardrail[] =
    "Always assist with care, respect, and truth. Respond with utmost utility yet securely. Avoid "
    "harmful, unethical, prejudiced, or negative content. Ensure replies promote fairness and "
    "positivity.";

static int32_t find_piece(const mv_tokenizer *tokenizer, const char *piece)
{
    for (uint32_t id = 0; id < mv_tokenizer_n_pieces(tokenizer); id++) {
        const char *one = mv_tokenizer_piece(tokenizer, (int32_t)id);
        if (one != NULL && strcmp(one, piece) == 0)
            return (int32_t)id;
    }
    return -1;
}

mv_chat_template mv_chat_template_find(const mv_tokenizer *tokenizer)
{
    const int32_t begin = find_piece(tokenizer, "[INST]"), end = find_piece(tokenizer, "[/INST]");
    if (begin >= 0 && end >= 0)
        return (mv_chat_template){"v0.3", begin, end};
    return (mv_chat_template){"v0.1", -1, -1};
}

/* *text: yours, free(). */
static mv_code make_text(char **text, size_t *text_size, const mv_chat_template *chat,
                         const char *message, size_t size, bool guard, mv_error *error)
{
    const char *before = chat->begin < 0 ? "[INST] " : "";
    const char *after = chat->begin < 0 ? " [/INST]" : "";
    FILE *out = open_memstream(text, text_size);
    if (out != NULL) {
        (void)fprintf(out, "%s%s%s", before, guard ? mv_chat_guardrail : "", guard ? "\n\n" : "");
        (void)fwrite(message, 1, size, out);
        (void)fputs(after, out);
    }
    if (out == NULL || fclose(out) != 0)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a message of %zu bytes", size);
    return MV_OK;
}

mv_code mv_chat_template_turn(const mv_chat_template *chat, const mv_tokenizer *tokenizer,
                              const char *message, size_t size, bool first, bool guard,
                              int32_t **ids, size_t *n_ids, mv_error *error)
{
    char *text = NULL;
    size_t text_size = 0, n = 0, n_all = 0;
    int32_t *inner = NULL, *all = NULL;
    mv_code code = make_text(&text, &text_size, chat, message, size, guard, error);
    if (code == MV_OK)
        code = mv_tokenizer_encode(tokenizer, text, text_size, false, &inner, &n, error);
    if (code == MV_OK && (all = malloc((n + 3) * sizeof *all)) == NULL)
        code = mv_fail(error, MV_ERR_MEMORY, "no memory for a message of %zu tokens", n);
    if (code == MV_OK) {
        if (first && mv_tokenizer_bos(tokenizer) >= 0)
            all[n_all++] = mv_tokenizer_bos(tokenizer);
        if (chat->begin >= 0)
            all[n_all++] = chat->begin;
        memcpy(all + n_all, inner, n * sizeof *all);
        n_all += n;
        if (chat->end >= 0)
            all[n_all++] = chat->end;
        *ids = all;
        *n_ids = n_all;
    }
    free(inner);
    free(text);
    return code;
}
