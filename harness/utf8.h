/* utf8.h - where UTF-8 goes wrong, as the Unicode standard counts it.
 *
 * Ill-formed: a lone continuation byte, C0 C1 F5..FF, overlong forms, surrogates (ED A0..BF),
 * beyond U+10FFFF (F4 90..), and a sequence that breaks off. One U+FFFD stands for each maximal
 * subpart (Unicode 3.9, table 3-8; what browsers and Python's errors="replace" do): "E2 82 41"
 * becomes U+FFFD "A", and "ED A0 80" becomes three U+FFFD.
 */
#ifndef MV_HARNESS_UTF8_H
#define MV_HARNESS_UTF8_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mv_utf8_kind {
    MV_UTF8_VALID,  /* one character */
    MV_UTF8_BROKEN, /* a maximal subpart: one U+FFFD */
    MV_UTF8_PARTIAL /* the text ends inside a sequence that could still become valid */
} mv_utf8_kind;

/* What begins at text[0]; size >= 1. *length: how many bytes it takes, 1 ... 4. */
mv_utf8_kind mv_utf8_read(const char *text, size_t size, size_t *length);

/* The offset of the first sequence that is not valid, or size if all is well. */
size_t mv_utf8_check(const char *text, size_t size);

#define MV_UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

#ifdef __cplusplus
}
#endif

#endif
