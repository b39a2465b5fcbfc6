/* A sentencepiece model: what our reader accepts goes to sentencepiece itself, and must then be a
 * tokenizer through which text survives. */
#include <string.h>

#include "harness/tokenizer.h"
#include "harness/tokenizer_proto.h"
#include "harness/utf8.h"
#include "tests/fuzz/fuzz.h"

static const char text[] = "This is  1 test,\n\xC3\xA9\xF0\x9F\x99\x82 <s> [INST]";

static void check_pieces(const mv_tokenizer_proto *proto, const char *data, size_t size)
{
    FUZZ_CHECK(proto->n_pieces > 0);
    for (size_t i = 0; i < proto->n_pieces; i++) {
        const mv_piece_proto *piece = &proto->pieces[i];
        FUZZ_CHECK(piece->size > 0 && piece->text >= data);
        FUZZ_CHECK((size_t)(piece->text - data) + piece->size <= size);
        FUZZ_CHECK(mv_utf8_check(piece->text, piece->size) == piece->size);
        FUZZ_CHECK(piece->type >= MV_PIECE_NORMAL && piece->type <= MV_PIECE_BYTE);
    }
}

static void check_round_trip(const mv_tokenizer *tokenizer)
{
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n = 0, size = 0;
    mv_error error = {0};
    mv_code code = mv_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids, &n, &error);
    if (code != MV_OK) { /* a model without <s> */
        fuzz_check_refusal(code, &error);
        return;
    }
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(ids[i] >= 0 && (uint32_t)ids[i] < mv_tokenizer_n_pieces(tokenizer));
    FUZZ_CHECK(mv_tokenizer_decode(tokenizer, ids, n, &back, &size, &error) == MV_OK);
    FUZZ_CHECK(size == sizeof text - 1 && memcmp(back, text, size) == 0);
    free(ids);
    free(back);
}

static void check_open(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    int fd = fuzz_file(path, data, size);
    mv_tokenizer *tokenizer = NULL;
    mv_error error = {0};
    mv_code code = mv_tokenizer_open(&tokenizer, path, &error);
    if (code != MV_OK)
        fuzz_check_refusal(code, &error);
    else
        check_round_trip(tokenizer);
    mv_tokenizer_close(&tokenizer);
    fuzz_file_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_tokenizer_proto proto;
    mv_error error = {0};
    const char *bytes = (const char *)data;
    mv_code code = mv_tokenizer_proto_read(&proto, bytes, size, "fuzz", &error);
    if (code != MV_OK) {
        fuzz_check_refusal(code, &error);
        return 0;
    }
    check_pieces(&proto, bytes, size);
    mv_tokenizer_proto_free(&proto);
    check_open(data, size);
    return 0;
}
