#include "harness/out_tensor.h"

#include <string.h>

/* Row by row: a piece may begin and end inside one. */
static void read_halved(const mv_out_tensor *tensor, uint64_t offset, char *to, size_t n)
{
    const mv_tensor *from = tensor->from;
    const uint64_t row_size = from->size_bytes / from->shape[0];
    const uint64_t head_dim = from->shape[0] / tensor->n_halved_heads, half = head_dim / 2;
    while (n > 0) {
        const uint64_t row = offset / row_size, inside = offset % row_size;
        const uint64_t head = row / head_dim, member = row % head_dim / half, pair = row % half;
        const uint64_t source = head * head_dim + 2 * pair + member;
        const size_t left = (size_t)(row_size - inside), piece = n < left ? n : left;
        memcpy(to, (const char *)from->data + source * row_size + inside, piece);
        to += piece;
        offset += piece;
        n -= piece;
    }
}

void mv_out_tensor_read(const mv_out_tensor *tensor, uint64_t offset, void *to, size_t n)
{
    if (tensor->n_halved_heads > 0)
        read_halved(tensor, offset, to, n);
    else
        memcpy(to, (const char *)tensor->from->data + offset, n);
}

mv_code mv_write_watch_tell(const mv_write_watch *watch, uint64_t n_bytes_more, const char *path,
                            mv_error *error)
{
    if (watch == NULL || watch->go_on == NULL || watch->go_on(watch->cookie, n_bytes_more))
        return MV_OK;
    return mv_fail(error, MV_ERR_IO, "%s: stopped before it was complete", path);
}
