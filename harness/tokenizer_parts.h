/* tokenizer_parts.h - what tokenizer.cpp (files, encoding) and tokenizer_text.cpp (decoding) share.
 * Private to the two. */
#ifndef MV_HARNESS_TOKENIZER_PARTS_H
#define MV_HARNESS_TOKENIZER_PARTS_H

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "harness/tokenizer.h"

namespace sentencepiece
{
class SentencePieceProcessor;
}

struct mv_tokenizer_piece_text {
    std::string text;    /* "▁the" */
    std::string surface; /* " the": what it adds to text; "" for a control piece */
    bool leading_space;  /* that space is dropped where the text begins */
};

struct mv_tokenizer {
    std::string path;
    std::unique_ptr<sentencepiece::SentencePieceProcessor> processor;
    std::vector<mv_tokenizer_piece_text> pieces;
    int32_t bos, eos;

    mv_tokenizer(); /* in tokenizer.cpp, where the processor's size is known */
    ~mv_tokenizer();
};

/* No exception crosses the C border. code: what an exception of sentencepiece means. */
template <class Function>
mv_code mv_guarded(const char *path, mv_code code, mv_error *error, Function &&function) noexcept
{
    try {
        return function();
    } catch (const std::bad_alloc &) {
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory left in the tokenizer", path);
    } catch (const std::exception &exception) {
        return mv_fail(error, code, "%s: sentencepiece: %s", path, exception.what());
    } catch (...) {
        return mv_fail(error, code, "%s: sentencepiece failed and does not say why", path);
    }
}

/* malloc'ed copy with a zero behind it, for C to free(). */
template <class Element> Element *mv_copy_out(const Element *from, size_t n)
{
    Element *copy = static_cast<Element *>(calloc(n + 1, sizeof(Element)));
    if (copy == nullptr)
        throw std::bad_alloc();
    if (n > 0)
        memcpy(copy, from, n * sizeof(Element));
    return copy;
}

#endif
