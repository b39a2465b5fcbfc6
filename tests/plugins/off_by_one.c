/* off_by_one.c - the reference with a window of W+1, as in one_file_ref.py's prefill, the paper's
 * text and FlashAttention called with (W, W): what `mistral-verify --suite window` must call by its
 * name.
 */
#define MV_REFERENCE_F32
#define MV_REFERENCE_PART correct_backend
#include "backends/reference/reference.c"

static mv_code open_wider(mv_engine **engine, const mv_model_view *model,
                          const mv_engine_options *options, mv_error *error)
{
    mv_model_view *wider = malloc(sizeof *wider);
    if (wider == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "off_by_one: no memory");
    *wider = *model;
    if (wider->params.sliding_window > 0)
        wider->params.sliding_window++;
    mv_code code = open_engine(engine, wider, options, error);
    if (code != MV_OK)
        free(wider);
    return code;
}

static void close_wider(mv_engine *e)
{
    const mv_model_view *wider = e != NULL ? e->model : NULL;
    close_engine(e);
    free((void *)(uintptr_t)wider);
}

const mv_backend *mv_backend_get(void)
{
    static mv_backend wider;
    wider = *correct_backend();
    wider.name = "off_by_one";
    wider.summary = "the reference with a window that is one too wide";
    wider.open = open_wider;
    wider.close = close_wider;
    return &wider;
}
