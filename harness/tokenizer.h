/* tokenizer.h - sentencepiece behind a few C functions.
 *
 * encode() never makes a control piece out of text: "<s>" in a prompt is three ordinary pieces.
 * Bytes that no piece covers fall back to <0x..> pieces, so any UTF-8 text survives
 * decode(encode(text)), but for U+2581, which is how sentencepiece writes a space, and comes back
 * as one. Pieces must not be decoded one by one (leading spaces, split UTF-8): use
 * mv_tokenizer_stream for text that grows.
 */
#ifndef MV_HARNESS_TOKENIZER_H
#define MV_HARNESS_TOKENIZER_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mv_tokenizer mv_tokenizer;

/* path: a sentencepiece .model file. MV_ERR_IO; MV_ERR_FORMAT with the reason; MV_ERR_UNSUPPORTED
 * if text would not survive it (not BPE, no byte fallback, or a normalization that changes text).
 * Yours: close with mv_tokenizer_close(). */
MV_MUST_CHECK mv_code mv_tokenizer_open(mv_tokenizer **tokenizer, const char *path,
                                        mv_error *error);
void mv_tokenizer_close(mv_tokenizer **tokenizer);

uint32_t mv_tokenizer_n_pieces(const mv_tokenizer *tokenizer);
int32_t mv_tokenizer_bos(const mv_tokenizer *tokenizer); /* -1 if there is none */
int32_t mv_tokenizer_eos(const mv_tokenizer *tokenizer); /* -1 if there is none */

/* The raw piece ("▁the", "<0x0A>", "</s>"), borrowed until close. NULL beyond n_pieces. */
const char *mv_tokenizer_piece(const mv_tokenizer *tokenizer, int32_t id);

/* MV_ERR_FORMAT unless n_pieces equals vocab_size; names the file and both numbers. */
MV_MUST_CHECK mv_code mv_tokenizer_check(const mv_tokenizer *tokenizer, uint32_t vocab_size,
                                         mv_error *error);

/* text need not end in NUL, and must be UTF-8 (MV_ERR_ARGUMENT names the offset of the first bad
 * byte). *ids: yours, free(); never NULL on success. "" gives no ids, or just BOS. */
MV_MUST_CHECK mv_code mv_tokenizer_encode(const mv_tokenizer *tokenizer, const char *text,
                                          size_t text_size, bool with_bos, int32_t **ids,
                                          size_t *n_ids, mv_error *error);

/* Control pieces give nothing; the leading space of the first piece is dropped. *text: yours,
 * free(); NUL-terminated, and may hold bytes that are not UTF-8 if the ids say so. An id outside
 * the vocabulary is MV_ERR_ARGUMENT. */
MV_MUST_CHECK mv_code mv_tokenizer_decode(const mv_tokenizer *tokenizer, const int32_t *ids,
                                          size_t n_ids, char **text, size_t *text_size,
                                          mv_error *error);

/* Text that grows id by id: what each new id adds, holding back an unfinished UTF-8 sequence until
 * it is finished (or proves wrong, when U+FFFD stands for it). The concatenation of all that it
 * gave, finish() included, is decode() of all the ids with invalid bytes replaced, one U+FFFD for
 * each maximal subpart. After finish() the stream is as new. The tokenizer must outlive it. */
typedef struct mv_tokenizer_stream mv_tokenizer_stream;
MV_MUST_CHECK mv_code mv_tokenizer_stream_open(mv_tokenizer_stream **stream,
                                               const mv_tokenizer *tokenizer, mv_error *error);
/* *text is the stream's own, valid until the next call; "" if nothing can be shown yet. */
MV_MUST_CHECK mv_code mv_tokenizer_stream_push(mv_tokenizer_stream *stream, int32_t id,
                                               const char **text, size_t *text_size,
                                               mv_error *error);
MV_MUST_CHECK mv_code mv_tokenizer_stream_finish(mv_tokenizer_stream *stream, const char **text,
                                                 size_t *text_size, mv_error *error);
void mv_tokenizer_stream_close(mv_tokenizer_stream **stream);

#ifdef __cplusplus
}
#endif

#endif
