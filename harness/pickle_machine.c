/* pickle_machine.c - the parts of the stack machine: input, stack, memory, messages. */
#include "harness/pickle_machine.h"
#include "harness/quote.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

mv_code pickle_out_of_memory(pickle_machine *m)
{
    return pickle_refuse(&m->reason, MV_ERR_MEMORY, "out of memory");
}

/* ---- input ---- */

mv_code pickle_take_bytes(pickle_machine *m, const uint8_t **bytes, size_t size)
{
    if (size > m->size - m->at)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT,
                             "truncated: needs %zu bytes at byte %zu, the pickle ends at %zu", size,
                             m->at, m->size);
    *bytes = m->bytes + m->at;
    m->at += size;
    return MV_OK;
}

mv_code pickle_take_integer(pickle_machine *m, int64_t *integer, size_t n_bytes, bool is_signed)
{
    const uint8_t *bytes = NULL;
    mv_code code = pickle_take_bytes(m, &bytes, n_bytes);
    if (code != MV_OK)
        return code;
    uint64_t bits = 0;
    for (size_t i = 0; i < n_bytes; i++)
        bits |= (uint64_t)bytes[i] << (8 * i);
    if (is_signed && n_bytes > 0 && n_bytes < 8 && bytes[n_bytes - 1] >= 0x80)
        bits |= ~(uint64_t)0 << (8 * n_bytes);
    memcpy(integer, &bits, sizeof *integer);
    return MV_OK;
}

mv_code pickle_take_line(pickle_machine *m, char *line, size_t line_size)
{
    size_t n = 0;
    for (; m->at < m->size && m->bytes[m->at] != '\n' && n + 1 < line_size; m->at++)
        line[n++] = (char)m->bytes[m->at];
    line[n] = '\0';
    if (m->at == m->size || m->bytes[m->at] != '\n')
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a name has no end within %zu bytes: %s",
                             line_size - 1, mv_quote(line, n).text);
    m->at++;
    if (strlen(line) != n)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a name contains a NUL: %s",
                             mv_quote(line, n).text);
    return MV_OK;
}

/* ---- stack ---- */

mv_code pickle_push(pickle_machine *m, pickle_value *value)
{
    if (m->depth == m->max_depth)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "more than %zu values on the stack",
                             m->max_depth);
    m->stack[m->depth++] = value;
    return MV_OK;
}

mv_code pickle_push_new(pickle_machine *m, pickle_value value)
{
    pickle_value *copy = pickle_arena_take(&m->arena, sizeof *copy);
    if (copy == NULL)
        return pickle_out_of_memory(m);
    *copy = value;
    return pickle_push(m, copy);
}

static size_t n_reachable(const pickle_machine *m)
{
    return m->depth - (m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0);
}

mv_code pickle_need(pickle_machine *m, size_t n)
{
    if (n_reachable(m) < n)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "needs %zu values on the stack, found %zu",
                             n, n_reachable(m));
    return MV_OK;
}

mv_code pickle_pop_to_mark(pickle_machine *m, pickle_value ***items, size_t *n_items)
{
    if (m->n_marks == 0)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "no MARK on the stack");
    *n_items = n_reachable(m);
    m->depth = m->marks[--m->n_marks];
    *items = m->stack + m->depth;
    return MV_OK;
}

/* ---- memory ---- */

struct pickle_arena {
    pickle_arena *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
};

void *pickle_arena_take(pickle_arena **arena, size_t size)
{
    const size_t block_size = 16384;
    size = (size + 15) / 16 * 16;
    if (*arena == NULL || (*arena)->size - (*arena)->used < size) {
        size_t capacity = size > block_size ? size : block_size;
        pickle_arena *block = calloc(1, sizeof *block + capacity);
        if (block == NULL)
            return NULL;
        block->size = capacity;
        block->next = *arena;
        *arena = block;
    }
    void *taken = (*arena)->bytes + (*arena)->used;
    (*arena)->used += size;
    return taken;
}

void pickle_arena_free(pickle_arena *arena)
{
    while (arena != NULL) {
        pickle_arena *next = arena->next;
        free(arena);
        arena = next;
    }
}

/* ---- messages ---- */

mv_code pickle_refuse(pickle_reason *reason, mv_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reason->code = code;
    (void)vsnprintf(reason->text, sizeof reason->text, format, args);
    va_end(args);
    return code;
}

const char *pickle_kind_name(const pickle_value *value)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "None",          [PICKLE_BOOL] = "a boolean",
        [PICKLE_INTEGER] = "an integer", [PICKLE_FLOAT] = "a float",
        [PICKLE_TEXT] = "a text",        [PICKLE_LIST] = "a list",
        [PICKLE_TUPLE] = "a tuple",      [PICKLE_DICT] = "a dict",
        [PICKLE_GLOBAL] = "a class",     [PICKLE_STORAGE] = "a storage",
        [PICKLE_TENSOR] = "a tensor",
    };
    return names[value->kind];
}
