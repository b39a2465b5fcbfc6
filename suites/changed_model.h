/* changed_model.h - the run's model with some weights changed, to be lent to an engine.
 *
 * Many questions about an engine can be asked without looking inside it, by lending it weights
 * under which only one thing can make a difference. The original is never touched: a changed tensor
 * is a copy, or a shared block of zeros that takes no memory.
 */
#ifndef MV_SUITES_CHANGED_MODEL_H
#define MV_SUITES_CHANGED_MODEL_H

#include "suites/run.h"

typedef struct mv_changed_model {
    mv_model_view view;
    mv_layer *layers; /* [n_layers], the view's */
    void *zeros;      /* as large as the largest tensor of a layer */
    void **copies;    /* [n_copies] */
    size_t n_copies;
} mv_changed_model;

/* Starts as the model itself. Free with mv_changed_model_free(), also after a failure. */
MV_MUST_CHECK mv_code mv_changed_model_init(mv_changed_model *changed, const mv_model_view *model,
                                            mv_error *error);
void mv_changed_model_free(mv_changed_model *changed);

/* tensor: one of changed's. All zeros; the shape stays. */
void mv_changed_model_zero(mv_changed_model *changed, mv_tensor *tensor);

/* value(cookie, row, column, old) for every element, in float32, then rounded to the tensor's own
 * type. Costs a copy. */
typedef float (*mv_change_fn)(void *cookie, uint64_t row, uint64_t column, float old);
MV_MUST_CHECK mv_code mv_changed_model_map(mv_changed_model *changed, mv_tensor *tensor,
                                           mv_change_fn value, void *cookie, mv_error *error);

#endif
