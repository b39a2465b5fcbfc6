#include "harness/utf8.h"

/* Only the second byte has bounds of its own: they are what keeps overlong forms, surrogates and
 * code points above U+10FFFF out. Later bytes are 80..BF. */
static size_t sequence_length(unsigned char lead, unsigned char *second_min,
                              unsigned char *second_max)
{
    *second_min = 0x80;
    *second_max = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0)
            *second_min = 0xA0;
        if (lead == 0xED)
            *second_max = 0x9F;
        return 3;
    }
    if (lead == 0xF0)
        *second_min = 0x90;
    if (lead == 0xF4)
        *second_max = 0x8F;
    return 4;
}

mv_utf8_kind mv_utf8_read(const char *text, size_t size, size_t *length)
{
    unsigned char min, max;
    size_t wanted = sequence_length((unsigned char)text[0], &min, &max);
    *length = 1;
    if (wanted == 0)
        return MV_UTF8_BROKEN;
    while (*length < wanted) {
        if (*length == size)
            return MV_UTF8_PARTIAL;
        unsigned char byte = (unsigned char)text[*length];
        if (byte < min || byte > max)
            return MV_UTF8_BROKEN;
        min = 0x80;
        max = 0xBF;
        ++*length;
    }
    return MV_UTF8_VALID;
}

size_t mv_utf8_check(const char *text, size_t size)
{
    size_t at = 0, length;
    while (at < size && mv_utf8_read(text + at, size - at, &length) == MV_UTF8_VALID)
        at += length;
    return at;
}
