/* condition.h - can the model at hand show the bugs that a suite is about?
 *
 * A model may be too tame: with small random weights attention is uniform, and a wrong RoPE, a
 * window one too wide or swapped heads change no logit beyond the noise. Then a suite that passes
 * has shown nothing. So bugs are planted in the reference and played on this model; if one that a
 * suite is about stays within the limits, that suite is vacuous on this model, not green.
 *
 * Asked only where mv_run_options.mutant is given. Each bug costs one pass of the reference over
 * the prompt, once for all suites; on a large model only the first bug of each suite is asked for.
 */
#ifndef MV_SUITES_CONDITION_H
#define MV_SUITES_CONDITION_H

#include "suites/run_private.h"

/* After a suite without failures: records the case "condition", which is vacuous, if a bug that the
 * suite is about does not show on this model. */
MV_MUST_CHECK mv_code mv_condition_check(mv_run *run, mv_error *error);

/* Plays one mutant on the run's model: a prompt past the window, in a long call, chunks and
 * single tokens. *effect is the run's own, until the next call. */
MV_MUST_CHECK mv_code mv_condition_effect(mv_run *run, const char *mutant, const mv_effect **effect,
                                          mv_error *error);

#endif
