#include "harness/quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* One character for a byte, or four. quote: '"', or NUL for none. */
static mv_quoted write_down(const char *bytes, size_t size, char quote)
{
    mv_quoted quoted;
    const size_t room = sizeof quoted.text - sizeof "...\"";
    size_t n = 0, i = 0;
    if (quote != '\0')
        quoted.text[n++] = quote;
    for (; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        const bool printable = c >= 0x20 && c < 0x7f;
        const bool plain = printable && (quote == '\0' || (c != '"' && c != '\\'));
        if (n + (plain ? 1 : 4) > room)
            break;
        if (plain)
            quoted.text[n++] = (char)c;
        else
            n += (size_t)snprintf(quoted.text + n, sizeof quoted.text - n, "\\x%02x", c);
    }
    (void)snprintf(quoted.text + n, sizeof quoted.text - n, "%s%s", i < size ? "..." : "",
                   quote != '\0' ? "\"" : "");
    return quoted;
}

mv_quoted mv_quote(const char *bytes, size_t size)
{
    return write_down(bytes, size, '"');
}

mv_quoted mv_plain(const char *text)
{
    return write_down(text, strlen(text), '\0');
}
