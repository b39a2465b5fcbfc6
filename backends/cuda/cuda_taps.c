/* cuda_taps.c - inner tensors to the host and back. Slow, and only where a tap is set. */
#include "backends/cuda/cuda_engine.h"

/* What happens to one sequence's rows. */
static bool show_rows(mv_engine *e, const char *name, int32_t layer, const mv_span *s,
                      uint64_t first, uint64_t n, size_t n_cols, float *data)
{
    const mv_tap view = {.struct_size = sizeof view,
                         .name = name,
                         .layer = layer,
                         .sequence = s->sequence,
                         .first_position = s->start + first,
                         .n_rows = n,
                         .n_cols = n_cols,
                         .dtype = MV_TAP_F32,
                         .data = data};
    return e->tap(e->tap_cookie, &view) == MV_TAP_REPLACED;
}

/* Waits for the device; the first thing that went wrong is kept for the end of the call. */
static void wait_for_device(mv_engine *e)
{
    mv_error error = {MV_OK, ""};
    if (mv_device_wait(e->device, &error) != MV_OK && e->tap_error.code == MV_OK)
        e->tap_error = error;
}

bool mv_tap_show(mv_engine *e, const mv_piece *piece, const char *name, int32_t layer, void *data,
                 size_t ld, size_t n_cols)
{
    const size_t bytes = piece->n_rows * n_cols * sizeof(float);
    bool replaced = false;
    if (e->tap == NULL)
        return false;
    if (ld != 0)
        mv_kernel_to_f32(e->device, e->dtype, e->tap_a, data, ld, (uint32_t)n_cols, piece->n_rows);
    mv_device_download(e->device, e->tap_host, ld != 0 ? e->tap_a : data, bytes);
    wait_for_device(e);
    for (uint32_t i = 0; i < piece->n_spans; i++) {
        const mv_span *s = &e->spans[i];
        if (show_rows(e, name, layer, s, 0, s->n, n_cols, e->tap_host + s->row * n_cols))
            replaced = true;
    }
    if (!replaced)
        return false;
    mv_device_upload(e->device, ld != 0 ? e->tap_a : data, e->tap_host, bytes);
    if (ld != 0)
        mv_kernel_from_f32(e->device, e->dtype, data, e->tap_a, ld, (uint32_t)n_cols,
                           piece->n_rows);
    wait_for_device(e); /* before tap_host is written again */
    return true;
}

/* The rows are in the order of e->index, and those of a span follow one another. */
void mv_tap_show_logits(mv_engine *e, const mv_piece *piece, float *logits)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < piece->n_spans && e->tap != NULL; i++) {
        const mv_span *s = &e->spans[i];
        const uint32_t from = at;
        while (at < piece->n_logits && e->index[at] < s->row + s->n)
            at++;
        if (at > from)
            (void)show_rows(e, "logits", -1, s, e->index[from] - s->row, at - from, e->p.vocab_size,
                            logits + (size_t)from * e->p.vocab_size);
    }
}
