/* mutant.h - the list of mutants, for the three arithmetics and for the backend around them. */
#ifndef MV_BACKENDS_MUTANT_MUTANT_H
#define MV_BACKENDS_MUTANT_MUTANT_H

#include "backends/mistral_backend.h"

typedef enum fault {
    FAULT_none = 0,
#define MUTANT(name, kind, expected, imitates) FAULT_##name,
#include "backends/mutant/mutants.def"
#undef MUTANT
    N_FAULTS
} fault;

typedef enum mutant_kind {
    MUTANT_BUG,       /* wrong: what it names must fail it */
    MUTANT_CLAIM,     /* no bug, but for an engine that claims the bits which it changes */
    MUTANT_BENIGN,    /* other roundings of the right arithmetic: no suite may fail it */
    MUTANT_EQUIVALENT /* looks wrong and changes nothing that can be seen: no suite may fail it */
} mutant_kind;

typedef struct mutant {
    const char *name;
    mutant_kind kind;
    const char *expected; /* "chunking,window/effective*": what must see it in f32, suites or
                             cases of suites; "" for what is harmless */
    const char *imitates; /* where it was seen, or why it is no bug */
} mutant;

/* [N_FAULTS], by fault; number FAULT_none is the reference itself. */
extern const mutant mutants[N_FAULTS];

/* Calls of forward() since an engine with another fault than the one before was opened: over all
 * engines, because a race does not begin anew with each. */
extern uint64_t mutant_n_calls;
void mutant_count_calls_of(fault f); /* an engine with this fault is being opened */

const char *mutant_kind_name(mutant_kind kind); /* "bug", "claim", "benign", "equivalent" */

/* MV_ERR_ARGUMENT: no such mutant; the message names the nearest ones. */
MV_MUST_CHECK mv_code mutant_find(fault *found, const char *name, mv_error *error);

#endif
