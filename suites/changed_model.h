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

/* ---- engines that take their weights from elsewhere ---- */

/* A play with changed weights has failed. *ignored: its rows are those of the run's own weights, so
 * the engine never looked at what it was lent, and the play says nothing about it. Costs the truth
 * of the unchanged prompt. */
MV_MUST_CHECK mv_code mv_changed_model_is_ignored(mv_run *run, const mv_play *play, bool *ignored,
                                                  mv_error *error);

/* What a suite knows of an engine. Zero-initialise. */
typedef struct mv_lent {
    bool asked, ignored;
} mv_lent;

/* The same without a play that failed, for questions that an engine which ignores the lent weights
 * may not be asked, or would answer rightly. Asks once, in a case: one play of a few tokens. An
 * engine that does not run at all is not said to ignore anything. */
MV_MUST_CHECK mv_code mv_changed_model_ask_engine(mv_run *run, mv_lent *lent, mv_error *error);

/* Makes the verdict vacuous, and says why. */
void mv_changed_model_say_ignored(mv_case_result *result);

/* mv_case_play() for a play with changed weights: what fails because they were ignored is vacuous.
 */
MV_MUST_CHECK mv_code mv_changed_model_case_play(mv_run *run, mv_case_result *result,
                                                 const mv_schedule *schedule, mv_play *play,
                                                 mv_error *error);

/* Where single rows of two honest engines differ at will, only R rmse decides: a failure by another
 * ratio alone becomes a pass, which says so. An overflow is not finite, and stays a failure. */
void mv_judge_by_all_rows(mv_case_result *result);

#endif
