#include "harness/nearest.h"

#include <stdbool.h>
#include <string.h>

enum { MAX_LENGTH = 63 }; /* nothing that we name is longer */

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '-' ? '_' : c;
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: inserted, deleted, replaced, or two neighbours swapped, which is what
 * fingers do. Three rows of the table are enough. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][MAX_LENGTH + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= n_b; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= n_a; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            row[j] = min2(last[j - 1] + (same ? 0 : 1), min2(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1])) {
                row[j] = min2(row[j], before[j - 2] + 1);
            }
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[n_b];
}

static bool begins_with(const char *name, const char *word, size_t n_word)
{
    for (size_t i = 0; i < n_word; i++) {
        if (fold(name[i]) != fold(word[i])) { /* a NUL in name differs from every letter */
            return false;
        }
    }
    return true;
}

const char *mv_nearest(const char *word, const char *const *names, size_t n)
{
    size_t n_word = strlen(word);
    if (n_word == 0 || n_word > MAX_LENGTH) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = (n_word + 1) / 3 + 1; /* one slip in every three letters */
    for (size_t k = 0; k < n; k++) {
        size_t n_name = names[k] != NULL ? strlen(names[k]) : 0;
        if (n_name == 0 || n_name > MAX_LENGTH) {
            continue;
        }
        size_t d = distance(word, n_word, names[k], n_name);
        if (d >= best_distance && n_word >= 3 && begins_with(names[k], word, n_word)) {
            d = best_distance - 1;
            if (best != NULL) { /* a beginning never beats a slip */
                continue;
            }
        }
        if (d < best_distance) {
            best = names[k];
            best_distance = d;
        }
    }
    return best;
}
