/* pickle_machine.h - the parts of pickle.c's stack machine. Nobody else includes this. */
#ifndef MV_HARNESS_PICKLE_MACHINE_H
#define MV_HARNESS_PICKLE_MACHINE_H

#include "harness/pickle_value.h"

typedef struct pickle_machine {
    const uint8_t *bytes;
    size_t size;
    size_t at;        /* next byte */
    size_t opcode_at; /* of the current opcode, for messages */
    pickle_value **stack;
    size_t depth, max_depth;
    size_t marks[MV_PICKLE_MAX_MARKS]; /* depth of the stack when MARK came */
    size_t n_marks;
    pickle_value **memo; /* NULL where nothing was put */
    size_t max_memo;
    pickle_arena *arena;
    bool stopped;
    pickle_reason reason;
} pickle_machine;

mv_code pickle_out_of_memory(pickle_machine *m); /* sets the reason */

/* ---- input: all refuse to go beyond the end ---- */

MV_MUST_CHECK mv_code pickle_take_bytes(pickle_machine *m, const uint8_t **bytes, size_t size);

/* Little-endian; n_bytes <= 8, fewer are sign-extended if is_signed. */
MV_MUST_CHECK mv_code pickle_take_integer(pickle_machine *m, int64_t *integer, size_t n_bytes,
                                          bool is_signed);

/* Up to the newline, which is taken too. */
MV_MUST_CHECK mv_code pickle_take_line(pickle_machine *m, char *line, size_t line_size);

/* ---- stack: what was pushed before the last MARK is out of reach until that is consumed ---- */

MV_MUST_CHECK mv_code pickle_push(pickle_machine *m, pickle_value *value);
MV_MUST_CHECK mv_code pickle_push_new(pickle_machine *m, pickle_value value);
MV_MUST_CHECK mv_code pickle_need(pickle_machine *m, size_t n);

/* Takes everything above the last MARK; *items stays valid until the next push. */
MV_MUST_CHECK mv_code pickle_pop_to_mark(pickle_machine *m, pickle_value ***items, size_t *n_items);

#endif
