/* cuda_forward.c - a call in pieces: what the device is told about rows, and which way they take.
 */
#include "backends/cuda/cuda_engine.h"

#include <string.h>

/* How far a call is done. */
typedef struct progress {
    const mv_span *all;
    uint32_t n_all, at; /* span in work */
    uint64_t done;      /* of its tokens */
    mv_logits which;
} progress;

/* The next rows, at most e->piece, as e->spans. */
static mv_piece take_piece(mv_engine *e, progress *p)
{
    mv_piece piece = {0};
    while (p->at < p->n_all && piece.n_rows < e->piece) {
        const mv_span *s = &p->all[p->at];
        const uint64_t left = s->n - p->done, room = e->piece - piece.n_rows;
        const uint64_t n = left < room ? left : room;
        e->spans[piece.n_spans++] =
            (mv_span){s->sequence, s->start + p->done, n, piece.n_rows, n == left};
        piece.n_rows += (uint32_t)n;
        p->done += n;
        if (n == left) {
            p->at++;
            p->done = 0;
        }
    }
    return piece;
}

/* tokens: of the piece's first row, and on. */
static void describe_rows(mv_engine *e, mv_piece *piece, const int32_t *tokens, mv_logits which)
{
    for (uint32_t i = 0; i < piece->n_spans; i++) {
        const mv_span *s = &e->spans[i];
        for (uint64_t t = 0; t < s->n; t++) {
            const size_t row = s->row + t;
            e->host_rows[row] = (mv_row){tokens[row], s->sequence, (uint32_t)(s->start + t), 0};
            if (which == MV_LOGITS_ALL || (which == MV_LOGITS_LAST && s->ends && t == s->n - 1))
                e->index[piece->n_logits++] = (uint32_t)row;
        }
    }
}

/* Attention of queries that lie together goes by tiles; that of a few tokens of each of some
 * sequences row by row, so that the keys of one query are shared out too. */
static void make_tiles(mv_engine *e, mv_piece *piece)
{
    const uint32_t size = mv_attend_tile(e->dtype, e->p.head_dim);
    bool few = piece->n_rows <= e->split_rows;
    for (uint32_t i = 0; i < piece->n_spans; i++)
        few = few && e->spans[i].n <= MV_FEW_ROWS;
    if (few)
        return;
    for (uint32_t i = 0; i < piece->n_spans; i++) {
        const mv_span *s = &e->spans[i];
        for (uint64_t t = 0; t < s->n; t += size) {
            const uint64_t n = s->n - t < size ? s->n - t : size;
            e->tiles[piece->n_tiles++] = (mv_tile){(uint32_t)(s->row + t), (uint32_t)n, s->sequence,
                                                   (uint32_t)(s->start + t)};
        }
    }
}

mv_code mv_forward(mv_engine *e, const mv_span *all, uint32_t n_all, const int32_t *tokens,
                   mv_logits which, float *logits, mv_error *error)
{
    progress p = {all, n_all, 0, 0, which};
    mv_code code = MV_OK;
    while (p.at < n_all && code == MV_OK) {
        mv_piece piece = take_piece(e, &p);
        describe_rows(e, &piece, tokens, which);
        const bool few = piece.n_rows <= MV_FEW_ROWS && e->tap == NULL;
        if (!few)
            make_tiles(e, &piece);
        piece.n_last =
            few || e->tap != NULL || piece.n_logits > e->split_rows ? piece.n_rows : piece.n_logits;
        code = few ? mv_few_rows(e, &piece, logits, error) : mv_many_rows(e, &piece, logits, error);
        mv_work_count(e, &piece, few);
        tokens += piece.n_rows;
        if (logits != NULL)
            logits += (size_t)piece.n_logits * e->p.vocab_size;
    }
    return code;
}
