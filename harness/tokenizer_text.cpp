/* tokenizer_text.cpp - ids to text, at once or as they come.
 *
 * sentencepiece's Decode() is not used: it puts U+FFFD where byte pieces are not UTF-8, and so
 * loses what the model said. Its rule for the leading space is written out again in append_piece(),
 * and the tests hold it against sentencepiece's own.
 */
#include "harness/tokenizer.h"

#include "harness/tokenizer_parts.h"
#include "harness/utf8.h"

struct mv_tokenizer_stream {
    const mv_tokenizer *tokenizer;
    size_t n_ids;
    bool at_start;
    std::string pending; /* bytes of an unfinished sequence */
    std::string shown;   /* what the last call gave */
};

namespace
{

mv_code check_id(const mv_tokenizer &tokenizer, int32_t id, size_t index, mv_error *error)
{
    if (id >= 0 && static_cast<size_t>(id) < tokenizer.pieces.size())
        return MV_OK;
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "%s: token id %d at index %zu; expected 0 ... %zu, the pieces it holds",
                   tokenizer.path.c_str(), id, index, tokenizer.pieces.size() - 1);
}

/* The one rule of decoding: where the text begins, one leading space goes, once; a control piece
 * is nothing, and the text still begins after it. */
void append_piece(const mv_tokenizer_piece_text &piece, bool &at_start, std::string &text)
{
    size_t from = at_start && piece.leading_space ? 1 : 0;
    text.append(piece.surface, from, std::string::npos);
    at_start = at_start && piece.surface.empty();
}

/* Moves what is certain from pending to shown. */
void show_finished(mv_tokenizer_stream &stream)
{
    size_t at = 0, length;
    while (at < stream.pending.size()) {
        const char *text = stream.pending.data() + at;
        mv_utf8_kind kind = mv_utf8_read(text, stream.pending.size() - at, &length);
        if (kind == MV_UTF8_PARTIAL)
            break;
        if (kind == MV_UTF8_VALID)
            stream.shown.append(text, length);
        else
            stream.shown += MV_UTF8_REPLACEMENT;
        at += length;
    }
    stream.pending.erase(0, at);
}

} // namespace

mv_code mv_tokenizer_decode(const mv_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                            char **text, size_t *text_size, mv_error *error)
{
    return mv_guarded(tokenizer->path.c_str(), MV_ERR_BACKEND, error, [&] {
        std::string decoded;
        bool at_start = true;
        for (size_t i = 0; i < n_ids; ++i) {
            mv_code code = check_id(*tokenizer, ids[i], i, error);
            if (code != MV_OK)
                return code;
            append_piece(tokenizer->pieces[static_cast<size_t>(ids[i])], at_start, decoded);
        }
        *text = mv_copy_out(decoded.data(), decoded.size());
        *text_size = decoded.size();
        return MV_OK;
    });
}

mv_code mv_tokenizer_stream_open(mv_tokenizer_stream **stream, const mv_tokenizer *tokenizer,
                                 mv_error *error)
{
    return mv_guarded(tokenizer->path.c_str(), MV_ERR_BACKEND, error, [&] {
        *stream = new mv_tokenizer_stream{tokenizer, 0, true, "", ""};
        return MV_OK;
    });
}

mv_code mv_tokenizer_stream_push(mv_tokenizer_stream *stream, int32_t id, const char **text,
                                 size_t *text_size, mv_error *error)
{
    const mv_tokenizer *tokenizer = stream->tokenizer;
    return mv_guarded(tokenizer->path.c_str(), MV_ERR_BACKEND, error, [&] {
        mv_code code = check_id(*tokenizer, id, stream->n_ids, error);
        if (code != MV_OK)
            return code;
        ++stream->n_ids;
        stream->shown.clear();
        append_piece(tokenizer->pieces[static_cast<size_t>(id)], stream->at_start, stream->pending);
        show_finished(*stream);
        *text = stream->shown.c_str();
        *text_size = stream->shown.size();
        return MV_OK;
    });
}

/* What is pending is a beginning that fits, so it is one maximal subpart. The stream is then as
 * new. */
mv_code mv_tokenizer_stream_finish(mv_tokenizer_stream *stream, const char **text,
                                   size_t *text_size, mv_error *error)
{
    return mv_guarded(stream->tokenizer->path.c_str(), MV_ERR_BACKEND, error, [&] {
        stream->shown = stream->pending.empty() ? "" : MV_UTF8_REPLACEMENT;
        stream->pending.clear();
        stream->at_start = true;
        stream->n_ids = 0;
        *text = stream->shown.c_str();
        *text_size = stream->shown.size();
        return MV_OK;
    });
}

void mv_tokenizer_stream_close(mv_tokenizer_stream **stream)
{
    if (stream == nullptr)
        return;
    delete *stream;
    *stream = nullptr;
}
