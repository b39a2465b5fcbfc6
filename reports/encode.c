/* encode.c - text and numbers that every format needs: UTF-8 that may be broken, and doubles. */
#include "reports/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xFFFDu

/* The ranges of the second byte are those of the Unicode standard's table 3-7; they are what keeps
 * out overlong forms, surrogates and anything above U+10FFFF. */
uint32_t mv_utf8_next(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    unsigned lead = at[0];
    if (lead == 0) {
        return 0;
    }
    *text += 1; /* of a bad sequence, one byte is passed over */
    if (lead < 0x80) {
        return lead;
    }
    unsigned n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0xC2 || lead > 0xF4 || at[1] < low || at[1] > high) {
        return REPLACEMENT;
    }
    uint32_t code = lead & (0x3Fu >> n_more);
    for (unsigned i = 1; i <= n_more; i++) {
        if ((at[i] & 0xC0) != 0x80) { /* the NUL at the end fails this, too */
            return REPLACEMENT;
        }
        code = code << 6 | (at[i] & 0x3Fu);
    }
    *text += n_more;
    return code;
}

void mv_bytes_put(mv_bytes *bytes, uint32_t code_point)
{
    char out[4];
    size_t size = 0;
    if (code_point < 0x80) {
        out[size++] = (char)code_point;
    } else if (code_point < 0x800) {
        out[size++] = (char)(0xC0 | code_point >> 6);
    } else if (code_point < 0x10000) {
        out[size++] = (char)(0xE0 | code_point >> 12);
        out[size++] = (char)(0x80 | (code_point >> 6 & 0x3F));
    } else {
        out[size++] = (char)(0xF0 | code_point >> 18);
        out[size++] = (char)(0x80 | (code_point >> 12 & 0x3F));
        out[size++] = (char)(0x80 | (code_point >> 6 & 0x3F));
    }
    if (code_point >= 0x80) {
        out[size++] = (char)(0x80 | (code_point & 0x3F));
    }
    mv_bytes_append(bytes, out, size);
}

void mv_bytes_text(mv_bytes *bytes, const char *text)
{
    mv_bytes_append(bytes, text, strlen(text));
}

/* snprintf() and strtod() follow the locale of the process; a file must not. */
static void use_point(char *digits)
{
    for (char *c = digits; *c != '\0'; c++) {
        if (strchr("0123456789+-e", *c) == NULL) {
            *c = '.';
        }
    }
}

void mv_bytes_double(mv_bytes *bytes, double value)
{
    if (!isfinite(value)) {
        mv_bytes_text(bytes, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    char digits[40];
    for (int n = 15; n <= 17; n++) { /* 15 always survive text -> double -> text; 17 suffice */
        (void)snprintf(digits, sizeof digits, "%.*g", n, value);
        double back = strtod(digits, NULL);
        if (!(back < value) && !(back > value)) {
            break;
        }
    }
    use_point(digits);
    mv_bytes_text(bytes, digits);
}

mv_short mv_short_number(double value, bool is_known)
{
    mv_short out;
    double size = fabs(value);
    const char *format = "%.2g";
    if (isnan(value)) {
        return is_known ? (mv_short){"nan"} : (mv_short){"-"};
    }
    if (isinf(value)) {
        return value > 0 ? (mv_short){"inf"} : (mv_short){"-inf"};
    }
    if (!(size > 0)) {
        return (mv_short){"0"};
    }
    if (size >= 0.0995 && size < 9.995) {
        format = "%.2f";
    } else if (size >= 9.995 && size < 99.95) {
        format = "%.1f";
    } else if (size >= 99.95 && size < 9999.5) {
        format = "%.0f";
    }
    (void)snprintf(out.text, sizeof out.text, format, value);
    use_point(out.text);
    return out;
}
