/* bench_profile.h - where the time of a row goes: the time between the inner tensors that the
 * engine shows to a tap. Private to bench.c.
 *
 * A tensor's time is that from the end of the tap before (or from the beginning of the call) to its
 * own tap; what the tap itself takes is left out. These are passes of their own, after the samples
 * were taken and never among them: an engine with a tap may work in other steps than without one,
 * which ratio_to_timed shows.
 */
#ifndef MV_HARNESS_BENCH_PROFILE_H
#define MV_HARNESS_BENCH_PROFILE_H

#include "harness/bench.h"

/* Fills run->profile, of a run that is otherwise complete. Costs one pass and 3 to 9 more, those
 * beyond the third within half a second. An engine without taps, or one that refuses them, leaves
 * the profile empty and is no failure. */
MV_MUST_CHECK mv_code mv_bench_profile_run(const mv_bench *bench, mv_bench_engine *engine,
                                           mv_bench_run *run, mv_error *error);

#endif
