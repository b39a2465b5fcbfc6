/* engine_facts.h - what an engine says that it really uses, for a result's environment.
 *
 * The user asks for a backend; which library, instructions, GPU and algorithms it then takes, it
 * chooses when it is opened, and two results can only be compared by somebody who knows.
 */
#ifndef MV_HARNESS_ENGINE_FACTS_H
#define MV_HARNESS_ENGINE_FACTS_H

#include "backends/mistral_backend.h"
#include "harness/machine.h"

enum { MV_ENGINE_FACTS = sizeof((mv_fact *)0)->value };

/* "threads 2, gemm own, isa avx2, ...": all that fit whole, without keys that have a '.'. "" if it
 * says nothing. */
void mv_engine_facts(char text[MV_ENGINE_FACTS], const mv_backend *backend,
                     const mv_engine *engine);

/* As fact "engine BACKEND COMPUTE", unless there is one or text is "". Of a path, its end. */
void mv_engine_facts_keep(mv_environment *environment, const char *backend, mv_compute compute,
                          const char *text);

#endif
