/* pickle.c - the opcodes of the stack machine: bytes in, values out. What the values mean is in
 * pickle_torch.c.
 *
 * Why no subset of a general unpickler: a table of permitted opcodes is safe by what it lacks. An
 * opcode that is not in the table below has no code behind it.
 */
#include "harness/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "harness/pickle_machine.h"
#include "harness/quote.h"
#include "harness/utf8.h"

/* ---- opcodes; each finds its own argument in the input ---- */

static mv_code op_proto(pickle_machine *m)
{
    int64_t protocol = 0;
    mv_code code = pickle_take_integer(m, &protocol, 1, false);
    if (code != MV_OK)
        return code;
    if (m->opcode_at != 0)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a second PROTO");
    if (protocol != 2 && protocol != 3)
        return pickle_refuse(&m->reason, MV_ERR_UNSUPPORTED,
                             "pickle protocol %d, expected 2 or 3 (torch.save writes 2 unless told "
                             "otherwise)",
                             (int)protocol);
    return MV_OK;
}

static mv_code op_mark(pickle_machine *m)
{
    if (m->n_marks == MV_PICKLE_MAX_MARKS)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "more than %d open MARKs",
                             (int)MV_PICKLE_MAX_MARKS);
    m->marks[m->n_marks++] = m->depth;
    return MV_OK;
}

static mv_code op_none(pickle_machine *m)
{
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_NONE});
}

static mv_code op_true(pickle_machine *m)
{
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_BOOL, .integer = 1});
}

static mv_code op_false(pickle_machine *m)
{
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_BOOL, .integer = 0});
}

static mv_code push_integer(pickle_machine *m, size_t n_bytes, bool is_signed)
{
    pickle_value value = {.kind = PICKLE_INTEGER};
    mv_code code = pickle_take_integer(m, &value.integer, n_bytes, is_signed);
    return code != MV_OK ? code : pickle_push_new(m, value);
}

static mv_code op_binint(pickle_machine *m)
{
    return push_integer(m, 4, true);
}

static mv_code op_binint1(pickle_machine *m)
{
    return push_integer(m, 1, false);
}

static mv_code op_binint2(pickle_machine *m)
{
    return push_integer(m, 2, false);
}

static mv_code op_long1(pickle_machine *m)
{
    int64_t n_bytes = 0;
    mv_code code = pickle_take_integer(m, &n_bytes, 1, false);
    if (code != MV_OK)
        return code;
    if (n_bytes > 8)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "an integer of %d bytes, at most 8 fit",
                             (int)n_bytes);
    return push_integer(m, (size_t)n_bytes, true);
}

static mv_code op_binfloat(pickle_machine *m)
{
    const uint8_t *bytes = NULL;
    mv_code code = pickle_take_bytes(m, &bytes, 8);
    return code != MV_OK ? code : pickle_push_new(m, (pickle_value){.kind = PICKLE_FLOAT});
}

static mv_code op_binunicode(pickle_machine *m)
{
    int64_t size = 0;
    const uint8_t *bytes = NULL;
    mv_code code = pickle_take_integer(m, &size, 4, false);
    if (code != MV_OK)
        return code;
    if (size > MV_PICKLE_MAX_TEXT)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a text of %lld bytes, expected at most %d",
                             (long long)size, (int)MV_PICKLE_MAX_TEXT);
    if ((code = pickle_take_bytes(m, &bytes, (size_t)size)) != MV_OK)
        return code;
    const char *text = (const char *)bytes;
    if (memchr(text, '\0', (size_t)size) != NULL ||
        mv_utf8_check(text, (size_t)size) != (size_t)size)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a text is not UTF-8 without NUL: %s",
                             mv_quote(text, (size_t)size).text);
    char *copy = pickle_arena_take(&m->arena, (size_t)size + 1);
    if (copy == NULL)
        return pickle_out_of_memory(m);
    memcpy(copy, bytes, (size_t)size);
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_TEXT, .text = {copy, (size_t)size}});
}

static mv_code op_empty_list(pickle_machine *m)
{
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_LIST});
}

static mv_code append(pickle_machine *m, const pickle_value *list)
{
    if (list->kind != PICKLE_LIST)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "appends to %s, expected a list",
                             pickle_kind_name(list));
    return MV_OK;
}

static mv_code op_append(pickle_machine *m)
{
    mv_code code = pickle_need(m, 2);
    if (code != MV_OK)
        return code;
    m->depth--;
    return append(m, m->stack[m->depth - 1]);
}

static mv_code op_appends(pickle_machine *m)
{
    pickle_value **items = NULL;
    size_t n_items = 0;
    mv_code code = pickle_pop_to_mark(m, &items, &n_items);
    if (code != MV_OK || (code = pickle_need(m, 1)) != MV_OK)
        return code;
    return append(m, m->stack[m->depth - 1]);
}

static mv_code push_tuple(pickle_machine *m, pickle_value **items, size_t n_items)
{
    pickle_value **copy = pickle_arena_take(&m->arena, n_items * sizeof(pickle_value *));
    if (copy == NULL)
        return pickle_out_of_memory(m);
    for (size_t i = 0; i < n_items; i++)
        copy[i] = items[i];
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_TUPLE, .tuple = {copy, n_items}});
}

static mv_code op_tuple(pickle_machine *m)
{
    pickle_value **items = NULL;
    size_t n_items = 0;
    mv_code code = pickle_pop_to_mark(m, &items, &n_items);
    return code != MV_OK ? code : push_tuple(m, items, n_items);
}

static mv_code tuple_of(pickle_machine *m, size_t n_items)
{
    mv_code code = pickle_need(m, n_items);
    if (code != MV_OK)
        return code;
    m->depth -= n_items;
    return push_tuple(m, m->stack + m->depth, n_items);
}

static mv_code op_empty_tuple(pickle_machine *m)
{
    return tuple_of(m, 0);
}

static mv_code op_tuple1(pickle_machine *m)
{
    return tuple_of(m, 1);
}

static mv_code op_tuple2(pickle_machine *m)
{
    return tuple_of(m, 2);
}

static mv_code op_tuple3(pickle_machine *m)
{
    return tuple_of(m, 3);
}

static mv_code op_empty_dict(pickle_machine *m)
{
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_DICT});
}

/* Keeps duplicates: pickle_collect() refuses them, where Python would keep the last. */
static mv_code set_item(pickle_machine *m, pickle_value *dict, const pickle_value *key,
                        const pickle_value *value)
{
    if (dict->kind != PICKLE_DICT)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "sets an item of %s, expected a dict",
                             pickle_kind_name(dict));
    if (key->kind != PICKLE_TEXT && key->kind != PICKLE_INTEGER)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "%s as a key, expected a text",
                             pickle_kind_name(key));
    if (dict->dict.n_entries == MV_PICKLE_MAX_ENTRIES)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "more than %d entries in one dict",
                             (int)MV_PICKLE_MAX_ENTRIES);
    pickle_entry *entry = pickle_arena_take(&m->arena, sizeof *entry);
    if (entry == NULL)
        return pickle_out_of_memory(m);
    *entry = (pickle_entry){.key = key, .value = value};
    if (dict->dict.last == NULL)
        dict->dict.first = entry;
    else
        dict->dict.last->next = entry;
    dict->dict.last = entry;
    dict->dict.n_entries++;
    return MV_OK;
}

static mv_code op_setitem(pickle_machine *m)
{
    mv_code code = pickle_need(m, 3);
    if (code != MV_OK)
        return code;
    m->depth -= 2;
    pickle_value **top = m->stack + m->depth;
    return set_item(m, top[-1], top[0], top[1]);
}

static mv_code op_setitems(pickle_machine *m)
{
    pickle_value **items = NULL;
    size_t n_items = 0;
    mv_code code = pickle_pop_to_mark(m, &items, &n_items);
    if (code != MV_OK || (code = pickle_need(m, 1)) != MV_OK)
        return code;
    if (n_items % 2 != 0)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "a key without a value");
    for (size_t i = 0; i < n_items && code == MV_OK; i += 2)
        code = set_item(m, items[-1], items[i], items[i + 1]);
    return code;
}

static mv_code put(pickle_machine *m, size_t n_bytes)
{
    int64_t index = 0;
    mv_code code = pickle_take_integer(m, &index, n_bytes, false);
    if (code != MV_OK || (code = pickle_need(m, 1)) != MV_OK)
        return code;
    if ((uint64_t)index >= m->max_memo)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "memo index %lld, expected less than %zu",
                             (long long)index, m->max_memo);
    m->memo[index] = m->stack[m->depth - 1];
    return MV_OK;
}

static mv_code get(pickle_machine *m, size_t n_bytes)
{
    int64_t index = 0;
    mv_code code = pickle_take_integer(m, &index, n_bytes, false);
    if (code != MV_OK)
        return code;
    if ((uint64_t)index >= m->max_memo || m->memo[index] == NULL)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "memo index %lld was never put",
                             (long long)index);
    return pickle_push(m, m->memo[index]);
}

static mv_code op_binput(pickle_machine *m)
{
    return put(m, 1);
}

static mv_code op_long_binput(pickle_machine *m)
{
    return put(m, 4);
}

static mv_code op_binget(pickle_machine *m)
{
    return get(m, 1);
}

static mv_code op_long_binget(pickle_machine *m)
{
    return get(m, 4);
}

static mv_code op_global(pickle_machine *m)
{
    char module[128], name[128];
    mv_code code = pickle_take_line(m, module, sizeof module);
    if (code != MV_OK || (code = pickle_take_line(m, name, sizeof name)) != MV_OK)
        return code;
    const pickle_global *global = NULL;
    if ((code = pickle_find_global(&global, module, name, &m->reason)) != MV_OK)
        return code;
    return pickle_push_new(m, (pickle_value){.kind = PICKLE_GLOBAL, .global = global});
}

static mv_code op_binpersid(pickle_machine *m)
{
    pickle_value storage = {.kind = PICKLE_STORAGE};
    mv_code code = pickle_need(m, 1);
    if (code != MV_OK)
        return code;
    m->depth--;
    code = pickle_load_storage(&storage, m->stack[m->depth], &m->reason);
    return code != MV_OK ? code : pickle_push_new(m, storage);
}

static mv_code op_reduce(pickle_machine *m)
{
    pickle_value result = {.kind = PICKLE_NONE};
    mv_code code = pickle_need(m, 2);
    if (code != MV_OK)
        return code;
    m->depth -= 2;
    code = pickle_call(&result, m->stack[m->depth], m->stack[m->depth + 1], &m->reason);
    return code != MV_OK ? code : pickle_push_new(m, result);
}

static mv_code op_build(pickle_machine *m)
{
    mv_code code = pickle_need(m, 2);
    if (code != MV_OK)
        return code;
    m->depth--;
    return pickle_build(m->stack[m->depth - 1], m->stack[m->depth], &m->reason);
}

static mv_code op_stop(pickle_machine *m)
{
    if (m->depth != 1 || m->n_marks != 0)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT,
                             "STOP with %zu values and %zu MARKs on the stack, expected 1 and 0",
                             m->depth, m->n_marks);
    if (m->at != m->size)
        return pickle_refuse(&m->reason, MV_ERR_FORMAT, "STOP is followed by %zu bytes",
                             m->size - m->at);
    m->stopped = true;
    return MV_OK;
}

/* The whole machine. What is not here does not exist. */
static mv_code (*const operations[256])(pickle_machine *m) = {
    [0x80] = op_proto,      ['('] = op_mark,    ['.'] = op_stop,        ['N'] = op_none,
    [0x88] = op_true,       [0x89] = op_false,  ['J'] = op_binint,      ['K'] = op_binint1,
    ['M'] = op_binint2,     [0x8a] = op_long1,  ['G'] = op_binfloat,    ['X'] = op_binunicode,
    [']'] = op_empty_list,  ['a'] = op_append,  ['e'] = op_appends,     [')'] = op_empty_tuple,
    [0x85] = op_tuple1,     [0x86] = op_tuple2, [0x87] = op_tuple3,     ['t'] = op_tuple,
    ['}'] = op_empty_dict,  ['s'] = op_setitem, ['u'] = op_setitems,    ['q'] = op_binput,
    ['r'] = op_long_binput, ['h'] = op_binget,  ['j'] = op_long_binget, ['c'] = op_global,
    ['Q'] = op_binpersid,   ['R'] = op_reduce,  ['b'] = op_build,
};

static mv_code run(pickle_machine *m)
{
    if (m->bytes[0] != 0x80)
        return pickle_refuse(
            &m->reason, MV_ERR_UNSUPPORTED,
            "does not start with PROTO (0x80) but with 0x%02x: not a pickle, or of "
            "protocol 0 or 1; expected 2 or 3",
            m->bytes[0]);
    while (!m->stopped) {
        m->opcode_at = m->at;
        if (m->at == m->size)
            return pickle_refuse(&m->reason, MV_ERR_FORMAT, "truncated: ends without STOP");
        uint8_t opcode = m->bytes[m->at++];
        if (operations[opcode] == NULL)
            return pickle_refuse(&m->reason, MV_ERR_FORMAT,
                                 "opcode 0x%02x is not one that a state dict needs", opcode);
        mv_code code = operations[opcode](m);
        if (code != MV_OK)
            return code;
    }
    return MV_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One opcode pushes at most one value and puts at most one: so a pickle of n bytes needs no more
 * than n places, and a short one is read with little memory. */
mv_code mv_pickle_read(mv_pickle *pickle, const void *bytes, size_t size, const char *where,
                       mv_error *error)
{
    *pickle = (mv_pickle){0};
    if (size == 0 || size > MV_PICKLE_MAX_SIZE)
        return mv_fail(error, MV_ERR_FORMAT, "%s: data.pkl has %zu bytes, expected 1 to %d", where,
                       size, (int)MV_PICKLE_MAX_SIZE);
    pickle_machine m = {.bytes = bytes,
                        .size = size,
                        .max_depth = least(size, MV_PICKLE_MAX_STACK),
                        .max_memo = least(size, MV_PICKLE_MAX_MEMO)};
    m.stack = calloc(m.max_depth, sizeof(pickle_value *));
    m.memo = calloc(m.max_memo, sizeof(pickle_value *));
    mv_code code = m.stack == NULL || m.memo == NULL ? pickle_out_of_memory(&m) : run(&m);
    if (code != MV_OK) {
        code =
            mv_fail(error, code, "%s: data.pkl: byte %zu: %s", where, m.opcode_at, m.reason.text);
        goto done;
    }
    code = pickle_collect(&pickle->tensors, &pickle->n_tensors, m.stack[0], &m.reason);
    if (code != MV_OK) {
        code = mv_fail(error, code, "%s: data.pkl: %s", where, m.reason.text);
        goto done;
    }
    pickle->arena = m.arena;
    m.arena = NULL;
done:
    free(m.stack);
    free(m.memo);
    pickle_arena_free(m.arena);
    return code;
}

void mv_pickle_free(mv_pickle *pickle)
{
    free(pickle->tensors);
    pickle_arena_free(pickle->arena);
    *pickle = (mv_pickle){0};
}
