/* range.h - lists of whole numbers as people write them: "1,2,8", "64..4096*2", "W-1,W,W+1,T".
 *
 *   item   = value | value ".." value [ ("*" | "+") step ]      default step: +1
 *   value  = number | [number] symbol [ ("+" | "-") number ]    "2W-1", "T/2" is not in the grammar
 * A symbol is one letter with a value: W the window, T the length of the prompt. 0 is allowed
 * where the list says so. Duplicates are dropped, the order is kept.
 */
#ifndef MV_HARNESS_RANGE_H
#define MV_HARNESS_RANGE_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

enum { MV_RANGE_MAX = 256 };

typedef struct mv_symbol {
    char letter;
    int64_t value; /* < 0: not available here, and asking for it is an error */
} mv_symbol;

typedef struct mv_range {
    int64_t values[MV_RANGE_MAX];
    size_t n;
} mv_range;

/* option: "--chunk", for the message. Values outside least ... most, and ranges that fall, are an
 * error, except those made with a symbol, which are left out ("W-1" and "1..W-1" of a window of 1
 * are nothing to try): the range may be empty. MV_ERR_ARGUMENT. */
MV_MUST_CHECK mv_code mv_range_parse(mv_range *range, const char *text, const char *option,
                                     const mv_symbol *symbols, size_t n_symbols, int64_t least,
                                     int64_t most, mv_error *error);

/* Appends value if it is within least ... most and not there yet. */
void mv_range_add(mv_range *range, int64_t value, int64_t least, int64_t most);

/* The whole text is decimal digits of a number that 64 bits hold, as a seed has to be. False: not,
 * and *whole is as it was. */
bool mv_range_parse_whole(uint64_t *whole, const char *text);

#endif
