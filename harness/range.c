/* range.c - recursive descent over a few characters. */
#include "harness/range.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *text, *at, *option;
    const mv_symbol *symbols;
    size_t n_symbols;
    mv_error *error;
} parser;

typedef struct value {
    int64_t number;
    bool symbolic;
} value;

static mv_code complain(const parser *p, const char *expected)
{
    const size_t offset = (size_t)(p->at - p->text);
    return mv_fail(p->error, MV_ERR_ARGUMENT,
                   "%s '%s': expected %s at character %zu, found %s%.8s%s; a list is like 1,2,8 or "
                   "64..4096*2 or W-1,W,W+1",
                   p->option, p->text, expected, offset + 1, *p->at != '\0' ? "'" : "the end",
                   p->at, *p->at != '\0' ? "'" : "");
}

static mv_code parse_number(parser *p, int64_t *number)
{
    if (!isdigit((unsigned char)*p->at))
        return complain(p, "a number");
    *number = 0;
    for (; isdigit((unsigned char)*p->at); p->at++) {
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, *p->at - '0', number))
            return complain(p, "a smaller number");
    }
    return MV_OK;
}

static mv_code parse_value(parser *p, value *out)
{
    int64_t number = 1, offset = 0;
    bool has_number = isdigit((unsigned char)*p->at);
    out->symbolic = false;
    if (has_number) {
        mv_code code = parse_number(p, &number);
        if (code != MV_OK)
            return code;
    }
    out->number = number;
    if (!isalpha((unsigned char)*p->at))
        return has_number ? MV_OK : complain(p, "a number or a symbol (W, T)");

    const mv_symbol *symbol = NULL;
    for (size_t i = 0; i < p->n_symbols; i++) {
        if (p->symbols[i].letter == *p->at && p->symbols[i].value >= 0)
            symbol = &p->symbols[i];
    }
    if (symbol == NULL)
        return complain(p, "a number or a symbol that has a value here (W, T)");
    p->at++;
    out->symbolic = true;
    if (__builtin_mul_overflow(number, symbol->value, &out->number))
        return complain(p, "a smaller number");
    if (*p->at == '+' || *p->at == '-') {
        int64_t sign = *p->at++ == '+' ? 1 : -1;
        mv_code code = parse_number(p, &offset);
        if (code != MV_OK)
            return code;
        if (__builtin_add_overflow(out->number, sign * offset, &out->number))
            return complain(p, "a smaller number");
    }
    return MV_OK;
}

void mv_range_add(mv_range *range, int64_t number, int64_t least, int64_t most)
{
    if (number < least || number > most || range->n == MV_RANGE_MAX)
        return;
    for (size_t i = 0; i < range->n; i++) {
        if (range->values[i] == number)
            return;
    }
    range->values[range->n++] = number;
}

static mv_code parse_step(parser *p, char *kind, int64_t *step)
{
    *kind = '+';
    *step = 1;
    if (*p->at != '*' && *p->at != '+')
        return MV_OK;
    *kind = *p->at++;
    mv_code code = parse_number(p, step);
    if (code == MV_OK && (*step < 1 || (*kind == '*' && *step < 2))) {
        p->at--;
        return complain(p, *kind == '*' ? "a factor of at least 2" : "a step of at least 1");
    }
    return code;
}

/* start: where the item begins in the text; it ends at p->at. */
static mv_code refuse_item(const parser *p, const char *start, const value *from, const value *to,
                           int64_t least, int64_t most)
{
    const int size = (int)(p->at - start);
    if (memchr(start, '.', (size_t)size) == NULL)
        return mv_fail(p->error, MV_ERR_ARGUMENT,
                       "%s: expected a number within %" PRId64 "..%" PRId64 ", found '%.*s'",
                       p->option, least, most, size, start);
    return mv_fail(p->error, MV_ERR_ARGUMENT,
                   "%s: '%.*s' is %" PRId64 "..%" PRId64 ", expected a rising range within %" PRId64
                   "..%" PRId64,
                   p->option, size, start, from->number, to->number, least, most);
}

static mv_code parse_item(parser *p, mv_range *range, int64_t least, int64_t most)
{
    value from, to;
    char kind;
    int64_t step;
    const char *start = p->at;
    mv_code code = parse_value(p, &from);
    if (code != MV_OK)
        return code;
    to = from;
    kind = '+';
    step = 1;
    if (strncmp(p->at, "..", 2) == 0) {
        p->at += 2;
        code = parse_value(p, &to);
        if (code == MV_OK)
            code = parse_step(p, &kind, &step);
        if (code != MV_OK)
            return code;
    }
    const bool symbolic = from.symbolic || to.symbolic;
    const bool empty = to.number < from.number || (kind == '*' && from.number < 1);
    if (symbolic && empty)
        return MV_OK;
    if ((!from.symbolic && (from.number < least || from.number > most)) ||
        (!to.symbolic && (to.number < least || to.number > most)) || empty)
        return refuse_item(p, start, &from, &to, least, most);
    size_t n_steps = 0;
    for (int64_t number = from.number; number <= to.number; n_steps++) {
        if (range->n == MV_RANGE_MAX || n_steps > 100000)
            return mv_fail(p->error, MV_ERR_ARGUMENT, "%s '%s': more than %d values", p->option,
                           p->text, MV_RANGE_MAX);
        mv_range_add(range, number, least, most);
        if (kind == '*' ? __builtin_mul_overflow(number, step, &number)
                        : __builtin_add_overflow(number, step, &number))
            break;
    }
    return MV_OK;
}

mv_code mv_range_parse(mv_range *range, const char *text, const char *option,
                       const mv_symbol *symbols, size_t n_symbols, int64_t least, int64_t most,
                       mv_error *error)
{
    parser p = {text, text, option, symbols, n_symbols, error};
    range->n = 0;
    for (;;) {
        mv_code code = parse_item(&p, range, least, most);
        if (code != MV_OK)
            return code;
        if (*p.at == '\0')
            return MV_OK;
        if (*p.at != ',')
            return complain(&p, "',' or the end");
        p.at++;
    }
}

bool mv_range_parse_whole(uint64_t *whole, const char *text)
{
    uint64_t number = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (!isdigit((unsigned char)*at) || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    }
    if (*text == '\0')
        return false;
    *whole = number;
    return true;
}
