#include "tests/tokenizer_oracle.h"

#include <cstdlib>
#include <cstring>
#include <sentencepiece_processor.h>
#include <string>
#include <vector>

using sentencepiece::SentencePieceProcessor;

void *tokenizer_oracle_open(const char *path)
{
    auto *processor = new SentencePieceProcessor;
    if (processor->Load(path).ok())
        return processor;
    delete processor;
    return nullptr;
}

char *tokenizer_oracle_decode(const void *oracle, const int32_t *ids, size_t n_ids, size_t *size)
{
    std::string text;
    std::vector<int> all(ids, ids + n_ids);
    if (!static_cast<const SentencePieceProcessor *>(oracle)->Decode(all, &text).ok())
        abort();
    char *copy = static_cast<char *>(calloc(text.size() + 1, 1));
    if (copy == nullptr)
        abort();
    memcpy(copy, text.data(), text.size());
    *size = text.size();
    return copy;
}

void tokenizer_oracle_close(void *oracle)
{
    delete static_cast<SentencePieceProcessor *>(oracle);
}
