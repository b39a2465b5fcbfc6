/* resident.c - how much of the weights would still have to be read.
 *
 * mincore() says it page by page. A page of a file that somebody else has read counts as there,
 * which it is; the kernel counts it as available, too, so that little memory is found out late
 * rather than where there is enough.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "backends/blas/engine.h"

enum { PAGES = 4096 }; /* asked about at once */

static uint64_t absent_bytes(const mv_tensor *t, uint64_t enough)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const char *at = (const char *)t->data - (uintptr_t)t->data % page;
    const char *end = (const char *)t->data + t->size_bytes;
    uint64_t absent = 0;
    unsigned char there[PAGES];
    while (at < end && absent <= enough) {
        uint64_t n = ((uint64_t)(end - at) + page - 1) / page;
        n = n < PAGES ? n : PAGES;
        if (mincore((void *)(uintptr_t)at, n * page, there) != 0)
            return absent; /* no kernel would tell: as if it were there */
        for (uint64_t i = 0; i < n; i++)
            absent += (there[i] & 1) != 0 ? 0 : page;
        at += n * page;
    }
    return absent;
}

/* What measure() says of each matrix, added up until it is more than `enough`. */
static uint64_t add_up(const mv_engine *e, uint64_t enough,
                       uint64_t (*measure)(const mv_tensor *t, uint64_t enough))
{
    uint64_t bytes = measure(&e->model->tok_embeddings, enough);
    if (bytes <= enough)
        bytes += measure(&e->model->output, enough - bytes);
    for (uint32_t l = 0; l < e->p.n_layers; l++) {
        const mv_layer *w = mv_layer_at(e->model, l);
        const mv_tensor *all[] = {&w->wq, &w->wk, &w->wv, &w->wo, &w->w1, &w->w2, &w->w3};
        for (size_t i = 0; i < sizeof all / sizeof all[0] && bytes <= enough; i++)
            bytes += measure(all[i], enough - bytes);
    }
    return bytes;
}

static uint64_t size_bytes(const mv_tensor *t, uint64_t enough)
{
    (void)enough;
    return t->size_bytes;
}

uint64_t mv_weights_lent(const mv_engine *e)
{
    return add_up(e, UINT64_MAX, size_bytes);
}

uint64_t mv_weights_absent(const mv_engine *e, uint64_t enough)
{
    return add_up(e, enough, absent_bytes);
}
