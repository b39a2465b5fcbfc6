#include "harness/tokenizer_proto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/utf8.h"

/* ---- the wire format ---- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

typedef struct reader {
    const char *start; /* of the file, for offsets in messages */
    const char *at, *end;
    const char *path;
} reader;

typedef struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value;    /* a varint, or the bits of a fixed32 or fixed64 */
    const char *bytes; /* WIRE_BYTES: [value] */
} field;

static bool read_varint(reader *in, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        unsigned char byte = (unsigned char)*in->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool read_fixed(reader *in, size_t size, uint64_t *value)
{
    *value = 0;
    if ((size_t)(in->end - in->at) < size)
        return false;
    for (size_t i = 0; i < size; ++i)
        *value |= (uint64_t)(unsigned char)in->at[i] << (8 * i);
    in->at += size;
    return true;
}

static bool read_field(reader *in, field *out)
{
    uint64_t tag;
    if (!read_varint(in, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    *out = (field){.number = tag >> 3, .wire = (unsigned)(tag & 7)};
    switch (out->wire) {
    case WIRE_VARINT:
        return read_varint(in, &out->value);
    case WIRE_FIXED64:
        return read_fixed(in, 8, &out->value);
    case WIRE_FIXED32:
        return read_fixed(in, 4, &out->value);
    case WIRE_BYTES:
        if (!read_varint(in, &out->value) || out->value > (uint64_t)(in->end - in->at))
            return false;
        out->bytes = in->at;
        in->at += out->value;
        return true;
    default: /* groups: protobuf gave them up before sentencepiece began */
        return false;
    }
}

/* Calls take() for every field of in. */
typedef mv_code (*take_fn)(void *into, const reader *in, const field *found, mv_error *error);

static mv_code read_message(reader in, const char *what, take_fn take, void *into, mv_error *error)
{
    while (in.at < in.end) {
        field found;
        size_t offset = (size_t)(in.at - in.start);
        if (!read_field(&in, &found))
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: not a sentencepiece model, or cut short: bad protobuf field at "
                           "byte %zu, in %s",
                           in.path, offset, what);
        mv_code code = take(into, &in, &found, error);
        if (code != MV_OK)
            return code;
    }
    return MV_OK;
}

static reader inside(const reader *outer, const field *message)
{
    return (reader){outer->start, message->bytes, message->bytes + message->value, outer->path};
}

/* ---- the messages ---- */

typedef struct model {
    mv_tokenizer_proto *proto;
    size_t capacity;
    uint64_t model_type;
    bool byte_fallback, suffix_space, has_space;
    bool remove_extra_whitespaces, escape_whitespaces, changes_text;
} model;

enum { MODEL_TYPE_BPE = 2 };

typedef struct piece {
    mv_piece_proto proto;
    uint64_t type;
    float score;
} piece;

static mv_code take_piece_field(void *into, const reader *in, const field *found, mv_error *error)
{
    (void)in, (void)error;
    piece *out = into;
    if (found->number == 1 && found->wire == WIRE_BYTES) {
        out->proto.text = found->bytes;
        out->proto.size = (size_t)found->value;
    } else if (found->number == 2 && found->wire == WIRE_FIXED32) {
        uint32_t bits = (uint32_t)found->value;
        memcpy(&out->score, &bits, sizeof bits);
    } else if (found->number == 3 && found->wire == WIRE_VARINT) {
        out->type = found->value;
    }
    return MV_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>", upper case, as sentencepiece writes it. */
static bool parse_byte(const mv_piece_proto *proto, unsigned char *byte)
{
    const char *text = proto->text;
    if (proto->size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return false;
    int high = hex_digit(text[3]), low = hex_digit(text[4]);
    if (high < 0 || low < 0)
        return false;
    *byte = (unsigned char)(high * 16 + low);
    return true;
}

/* What is wrong with a piece, or NULL. */
static const char *check_piece(piece *found)
{
    mv_piece_proto *proto = &found->proto;
    size_t length;
    if (proto->size == 0)
        return "it is empty";
    if (mv_utf8_check(proto->text, proto->size) != proto->size)
        return "it is not UTF-8";
    if (memchr(proto->text, '\0', proto->size) != NULL)
        return "it holds a NUL";
    if (!isfinite(found->score))
        return "its score is not finite";
    if (found->type < MV_PIECE_NORMAL || found->type > MV_PIECE_BYTE)
        return "its type is none of 1 ... 6";
    proto->type = (mv_piece_type)found->type;
    if (proto->type == MV_PIECE_BYTE && !parse_byte(proto, &proto->byte))
        return "it is a byte piece, and not of the form <0x0A>";
    /* BPE looks up the single characters that it merges nothing into, control pieces included. */
    if (proto->type == MV_PIECE_CONTROL &&
        mv_utf8_read(proto->text, proto->size, &length) == MV_UTF8_VALID && length == proto->size)
        return "it is a control piece of one character, which text would turn into";
    return NULL;
}

/* Without such a piece a space becomes the three bytes of U+2581, and does not come back. */
static bool is_space(const mv_piece_proto *found)
{
    static const char space[] = "\xE2\x96\x81";
    return (found->type == MV_PIECE_NORMAL || found->type == MV_PIECE_USER_DEFINED) &&
           found->size == sizeof space - 1 && memcmp(found->text, space, sizeof space - 1) == 0;
}

static mv_code add_piece(model *into, const reader *in, const field *message, mv_error *error)
{
    mv_tokenizer_proto *proto = into->proto;
    piece found = {.proto.text = "", .type = MV_PIECE_NORMAL};
    mv_code code = read_message(inside(in, message), "a piece", take_piece_field, &found, error);
    if (code != MV_OK)
        return code;
    const char *wrong = check_piece(&found);
    if (wrong != NULL)
        return mv_fail(error, MV_ERR_FORMAT, "%s: bad sentencepiece model: piece %zu: %s", in->path,
                       proto->n_pieces, wrong);
    if (proto->n_pieces == into->capacity) {
        size_t capacity = into->capacity == 0 ? 1024 : 2 * into->capacity;
        mv_piece_proto *pieces = reallocarray(proto->pieces, capacity, sizeof *pieces);
        if (pieces == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu pieces", in->path,
                           capacity);
        proto->pieces = pieces;
        into->capacity = capacity;
    }
    into->has_space |= is_space(&found.proto);
    proto->pieces[proto->n_pieces++] = found.proto;
    return MV_OK;
}

static mv_code take_trainer_field(void *into, const reader *in, const field *found, mv_error *error)
{
    model *out = into;
    if (found->wire == WIRE_VARINT && found->number == 3) {
        out->model_type = found->value;
    } else if (found->wire == WIRE_VARINT && found->number == 24) {
        out->suffix_space = found->value != 0;
    } else if (found->wire == WIRE_VARINT && found->number == 35) {
        out->byte_fallback = found->value != 0;
    } else if (found->wire == WIRE_BYTES && found->number == 44) {
        if (mv_utf8_check(found->bytes, (size_t)found->value) != found->value)
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: bad sentencepiece model: unk_surface is not UTF-8", in->path);
        out->proto->unk_surface = found->bytes;
        out->proto->unk_surface_size = (size_t)found->value;
    }
    return MV_OK;
}

static mv_code take_normalizer_field(void *into, const reader *in, const field *found,
                                     mv_error *error)
{
    (void)in, (void)error;
    model *out = into;
    if (found->wire == WIRE_BYTES && found->number == 2)
        out->changes_text |= found->value > 0;
    else if (found->wire == WIRE_VARINT && found->number == 3)
        out->proto->add_dummy_prefix = found->value != 0;
    else if (found->wire == WIRE_VARINT && found->number == 4)
        out->remove_extra_whitespaces = found->value != 0;
    else if (found->wire == WIRE_VARINT && found->number == 5)
        out->escape_whitespaces = found->value != 0;
    return MV_OK;
}

/* Of the denormalizer only a table that changes text matters. */
static mv_code take_denormalizer_field(void *into, const reader *in, const field *found,
                                       mv_error *error)
{
    (void)in, (void)error;
    model *out = into;
    out->changes_text |= found->wire == WIRE_BYTES && found->number == 2 && found->value > 0;
    return MV_OK;
}

static mv_code take_model_field(void *into, const reader *in, const field *found, mv_error *error)
{
    if (found->wire != WIRE_BYTES)
        return MV_OK;
    switch (found->number) {
    case 1:
        return add_piece(into, in, found, error);
    case 2:
        return read_message(inside(in, found), "trainer_spec", take_trainer_field, into, error);
    case 3:
        return read_message(inside(in, found), "normalizer_spec", take_normalizer_field, into,
                            error);
    case 5:
        return read_message(inside(in, found), "denormalizer_spec", take_denormalizer_field, into,
                            error);
    default:
        return MV_OK;
    }
}

static mv_code check_model(const model *found, const char *path, mv_error *error)
{
    const char *wrong = NULL;
    if (found->proto->n_pieces == 0 || found->proto->n_pieces > INT32_MAX)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: not a sentencepiece model: it holds %zu pieces; is it really "
                       "tokenizer.model?",
                       path, found->proto->n_pieces);
    if (found->model_type != MODEL_TYPE_BPE)
        wrong = "its model_type is not BPE";
    else if (!found->byte_fallback)
        wrong = "it has no byte fallback";
    else if (found->changes_text)
        wrong = "its normalization table changes text";
    else if (found->remove_extra_whitespaces)
        wrong = "it removes extra whitespace";
    else if (!found->escape_whitespaces || found->suffix_space)
        wrong = "it does not write spaces as a U+2581 before the word";
    else if (!found->has_space)
        wrong = "it has no piece for a space (U+2581)";
    if (wrong != NULL)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: %s; expected a tokenizer like Mistral's, through which any text "
                       "survives (BPE, byte fallback, identity normalization)",
                       path, wrong);
    return MV_OK;
}

mv_code mv_tokenizer_proto_read(mv_tokenizer_proto *proto, const char *data, size_t size,
                                const char *path, mv_error *error)
{
    /* What is absent has sentencepiece_model.proto's defaults. */
    *proto = (mv_tokenizer_proto){.unk_surface = " \xE2\x81\x87 ", .unk_surface_size = 5};
    proto->add_dummy_prefix = true;
    model found = {.proto = proto,
                   .model_type = 1,
                   .remove_extra_whitespaces = true,
                   .escape_whitespaces = true};
    reader in = {data, data, data + size, path};
    mv_code code = read_message(in, "the model", take_model_field, &found, error);
    if (code == MV_OK)
        code = check_model(&found, path, error);
    if (code != MV_OK)
        mv_tokenizer_proto_free(proto);
    return code;
}

void mv_tokenizer_proto_free(mv_tokenizer_proto *proto)
{
    free(proto->pieces);
    *proto = (mv_tokenizer_proto){0};
}
