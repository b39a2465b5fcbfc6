/* tokenizer_proto.h - what a sentencepiece .model file says, read without sentencepiece.
 *
 * The file is a protobuf message. sentencepiece tells nobody which normalization it will apply or
 * how a piece decodes, and trusts some of what it reads; so tokenizer.cpp reads the file here
 * first, and gives sentencepiece only what passed. Private to tokenizer.cpp and its tests.
 */
#ifndef MV_HARNESS_TOKENIZER_PROTO_H
#define MV_HARNESS_TOKENIZER_PROTO_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers of sentencepiece's own enum. */
typedef enum mv_piece_type {
    MV_PIECE_NORMAL = 1,
    MV_PIECE_UNKNOWN = 2,
    MV_PIECE_CONTROL = 3,      /* never in text */
    MV_PIECE_USER_DEFINED = 4, /* always one piece wherever it stands in text */
    MV_PIECE_UNUSED = 5,
    MV_PIECE_BYTE = 6 /* "<0x0A>" */
} mv_piece_type;

typedef struct mv_piece_proto {
    const char *text; /* valid UTF-8 without NUL, not terminated; borrowed from the file's bytes */
    size_t size;
    mv_piece_type type;
    unsigned char byte; /* of a BYTE piece */
} mv_piece_proto;

typedef struct mv_tokenizer_proto {
    mv_piece_proto *pieces; /* [n_pieces] */
    size_t n_pieces;
    const char *unk_surface; /* how the unknown piece decodes; borrowed */
    size_t unk_surface_size;
    bool add_dummy_prefix; /* a space goes before the text, and is dropped in decoding */
} mv_tokenizer_proto;

/* MV_ERR_FORMAT: not a sentencepiece model; names path and offset or piece.
 * MV_ERR_UNSUPPORTED: a sentencepiece model through which text would not survive: not BPE, no
 * byte fallback, or a normalization that changes text.
 * data must stay as long as *proto is used; mv_tokenizer_proto_free() afterwards. */
MV_MUST_CHECK mv_code mv_tokenizer_proto_read(mv_tokenizer_proto *proto, const char *data,
                                              size_t size, const char *path, mv_error *error);
void mv_tokenizer_proto_free(mv_tokenizer_proto *proto);

#ifdef __cplusplus
}
#endif

#endif
