/* tokenizer.cpp - the only file that includes sentencepiece.
 *
 * sentencepiece cuts text into pieces, and that is all it is asked for: the file is checked before
 * it sees it, and ids become text in tokenizer_text.cpp. What it prints on its own nobody asked
 * for; it prints nothing about a file or a text that has passed the checks here.
 */
#include "harness/tokenizer.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sentencepiece_processor.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/quote.h"
#include "harness/tokenizer_parts.h"
#include "harness/tokenizer_proto.h"
#include "harness/utf8.h"

namespace
{

const char SPACE_SYMBOL[] = "\xE2\x96\x81"; /* U+2581, what sentencepiece writes for a space */
const size_t SPACE_SYMBOL_SIZE = sizeof SPACE_SYMBOL - 1;
/* Mistral's are under 1 MB; sentencepiece counts in int, and a space takes three bytes in it. */
const size_t MAX_FILE_SIZE = size_t{256} << 20;
const size_t MAX_TEXT_SIZE = size_t{256} << 20;

struct File {
    int fd;
    ~File()
    {
        if (fd >= 0)
            close(fd);
    }
};

/* O_NONBLOCK: a named pipe is refused instead of waited for. */
mv_code read_file(std::string &bytes, const char *path, mv_error *error)
{
    File file{open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat status;
    if (file.fd < 0 || fstat(file.fd, &status) != 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot open the tokenizer: %s", path,
                       strerror(errno));
    if (!S_ISREG(status.st_mode))
        return mv_fail(error, MV_ERR_IO, "%s: expected a sentencepiece model, found %s", path,
                       S_ISDIR(status.st_mode) ? "a folder" : "something that is not a file");
    if (status.st_size == 0)
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected a sentencepiece model, found no bytes",
                       path);
    if (static_cast<uint64_t>(status.st_size) > MAX_FILE_SIZE)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a sentencepiece model of at most %zu bytes, found %lld", path,
                       MAX_FILE_SIZE, static_cast<long long>(status.st_size));
    bytes.resize(static_cast<size_t>(status.st_size));
    for (size_t done = 0; done < bytes.size();) {
        ssize_t n = read(file.fd, &bytes[done], bytes.size() - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mv_fail(error, MV_ERR_IO, "%s: read %zu of %zu bytes: %s", path, done,
                           bytes.size(), n < 0 ? strerror(errno) : "the file was cut meanwhile");
        done += static_cast<size_t>(n);
    }
    return MV_OK;
}

std::string with_spaces(const std::string &text)
{
    std::string surface;
    for (size_t at = 0; at < text.size();) {
        if (text.compare(at, SPACE_SYMBOL_SIZE, SPACE_SYMBOL) == 0) {
            surface += ' ';
            at += SPACE_SYMBOL_SIZE;
        } else {
            surface += text[at++];
        }
    }
    return surface;
}

mv_tokenizer_piece_text make_piece(const mv_piece_proto &from, const mv_tokenizer_proto &proto)
{
    mv_tokenizer_piece_text piece{std::string(from.text, from.size), "", false};
    switch (from.type) {
    case MV_PIECE_CONTROL:
        break;
    case MV_PIECE_UNKNOWN:
        piece.surface.assign(proto.unk_surface, proto.unk_surface_size);
        break;
    case MV_PIECE_BYTE:
        piece.surface.assign(1, static_cast<char>(from.byte));
        break;
    case MV_PIECE_NORMAL:
    case MV_PIECE_USER_DEFINED:
    case MV_PIECE_UNUSED:
        piece.surface = with_spaces(piece.text);
        piece.leading_space =
            proto.add_dummy_prefix && piece.text.compare(0, SPACE_SYMBOL_SIZE, SPACE_SYMBOL) == 0;
        break;
    }
    return piece;
}

struct ProtoGuard {
    mv_tokenizer_proto proto = {};
    ~ProtoGuard()
    {
        mv_tokenizer_proto_free(&proto);
    }
};

mv_code load(mv_tokenizer &into, mv_error *error)
{
    const char *path = into.path.c_str();
    std::string bytes;
    ProtoGuard guard;
    mv_code code = read_file(bytes, path, error);
    if (code == MV_OK)
        code = mv_tokenizer_proto_read(&guard.proto, bytes.data(), bytes.size(), path, error);
    if (code != MV_OK)
        return code;
    sentencepiece::util::Status status = into.processor->LoadFromSerializedProto(bytes);
    if (!status.ok())
        return mv_fail(error, MV_ERR_FORMAT, "%s: bad sentencepiece model: %s", path,
                       mv_plain(status.error_message()).text);
    into.pieces.reserve(guard.proto.n_pieces);
    for (size_t i = 0; i < guard.proto.n_pieces; ++i)
        into.pieces.push_back(make_piece(guard.proto.pieces[i], guard.proto));
    if (static_cast<size_t>(into.processor->GetPieceSize()) != into.pieces.size())
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: bad sentencepiece model: sentencepiece counts %d pieces, we count %zu",
                       path, into.processor->GetPieceSize(), into.pieces.size());
    into.bos = into.processor->bos_id();
    into.eos = into.processor->eos_id();
    return MV_OK;
}

} // namespace

mv_tokenizer::mv_tokenizer()
    : processor(std::make_unique<sentencepiece::SentencePieceProcessor>()), bos(-1), eos(-1)
{
}

mv_tokenizer::~mv_tokenizer() = default;

mv_code mv_tokenizer_open(mv_tokenizer **tokenizer, const char *path, mv_error *error)
{
    return mv_guarded(path, MV_ERR_FORMAT, error, [&] {
        auto opened = std::make_unique<mv_tokenizer>();
        opened->path = path;
        mv_code code = load(*opened, error);
        if (code == MV_OK)
            *tokenizer = opened.release();
        return code;
    });
}

void mv_tokenizer_close(mv_tokenizer **tokenizer)
{
    if (tokenizer == nullptr)
        return;
    delete *tokenizer;
    *tokenizer = nullptr;
}

uint32_t mv_tokenizer_n_pieces(const mv_tokenizer *tokenizer)
{
    return static_cast<uint32_t>(tokenizer->pieces.size());
}

int32_t mv_tokenizer_bos(const mv_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t mv_tokenizer_eos(const mv_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

const char *mv_tokenizer_piece(const mv_tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || static_cast<size_t>(id) >= tokenizer->pieces.size())
        return nullptr;
    return tokenizer->pieces[static_cast<size_t>(id)].text.c_str();
}

mv_code mv_tokenizer_check(const mv_tokenizer *tokenizer, uint32_t vocab_size, mv_error *error)
{
    if (mv_tokenizer_n_pieces(tokenizer) == vocab_size)
        return MV_OK;
    return mv_fail(error, MV_ERR_FORMAT,
                   "%s: %u pieces, but the model's vocab_size is %u; use the tokenizer that came "
                   "with the checkpoint",
                   tokenizer->path.c_str(), mv_tokenizer_n_pieces(tokenizer), vocab_size);
}

mv_code mv_tokenizer_encode(const mv_tokenizer *tokenizer, const char *text, size_t text_size,
                            bool with_bos, int32_t **ids, size_t *n_ids, mv_error *error)
{
    const char *path = tokenizer->path.c_str();
    if (with_bos && tokenizer->bos < 0)
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: BOS asked for, and the tokenizer has none",
                       path);
    if (text_size > MAX_TEXT_SIZE)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "%s: text of %zu bytes; expected at most %zu, give it in parts", path,
                       text_size, MAX_TEXT_SIZE);
    size_t bad_at = mv_utf8_check(text, text_size);
    if (bad_at != text_size)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "text to encode is not UTF-8: bad sequence at byte %zu (0x%02X) of %zu",
                       bad_at, static_cast<unsigned>(static_cast<unsigned char>(text[bad_at])),
                       text_size);
    return mv_guarded(path, MV_ERR_BACKEND, error, [&] {
        std::vector<int> cut, all;
        sentencepiece::util::Status status =
            tokenizer->processor->Encode(absl::string_view(text_size ? text : "", text_size), &cut);
        if (!status.ok())
            return mv_fail(error, MV_ERR_BACKEND, "%s: sentencepiece cannot encode: %s", path,
                           mv_plain(status.error_message()).text);
        all.reserve(cut.size() + 1);
        if (with_bos)
            all.push_back(tokenizer->bos);
        all.insert(all.end(), cut.begin(), cut.end());
        *ids = mv_copy_out<int32_t>(all.data(), all.size());
        *n_ids = all.size();
        return MV_OK;
    });
}
