/* work.h - exact counters: of two builds, or of a build and the formulas of roofline.h. They have
 * no noise, so any growth is a change that somebody must explain.
 */
#ifndef MV_HARNESS_WORK_H
#define MV_HARNESS_WORK_H

#include "harness/bench_results.h"

/* Fills method, ratio (of multiply-adds), verdict and reason of a row: slower if any counter grew,
 * whatever the others do; faster if none grew and some are less. */
void mv_work_compare(mv_bench_comparison *row, const mv_work *base, const mv_work *candidate);

/* Does one pass do what the shape needs? The formulas' multiply-adds in the matrices, and at most
 * those of all rows in the last layer too; exactly theirs for the logits; every pair of query and
 * key that is visible, and no more than the rectangles that hold them; two products of head_dim for
 * each pair; no allocation. Bytes and calls are an engine's own affair, as it cuts its products.
 * False: text says which counter, what it is and what it should be. An engine whose counters are
 * all 0 does not count, and is not judged. */
bool mv_work_is_explained(char *text, size_t size, const mv_work *work, const mv_model_view *model,
                          mv_compute compute, mv_bench_phase phase, const mv_bench_shape *shape);

#endif
