/* html_text.c - text, tables and small pieces of the page. */
#include "reports/html_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Characters that show nothing but change what a reader sees: a file name must not be able to write
 * its own ending before its beginning. */
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
           (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
}

void mv_html_put_point(mv_bytes *bytes, uint32_t c)
{
    if (c == '<') {
        mv_bytes_text(bytes, "&lt;");
    } else if (c == '>') {
        mv_bytes_text(bytes, "&gt;");
    } else if (c == '&') {
        mv_bytes_text(bytes, "&amp;");
    } else if (c == '"') {
        mv_bytes_text(bytes, "&quot;");
    } else if (c == '\'') {
        mv_bytes_text(bytes, "&#39;");
    } else if (c == '\n' || c == '\t') {
        mv_bytes_text(bytes, " ");
    } else {
        mv_bytes_put(bytes, is_harmful(c) ? 0xFFFD : c);
    }
}

void mv_html_put(mv_bytes *bytes, const char *text)
{
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        mv_html_put_point(bytes, c);
    }
}

void mv_html_element(mv_bytes *bytes, const char *tag, const char *classes, const char *text)
{
    mv_bytes_print(bytes, "<%s", tag);
    if (classes[0] != '\0') {
        mv_bytes_print(bytes, " class=\"%s\"", classes);
    }
    mv_bytes_text(bytes, ">");
    mv_html_put(bytes, text);
    mv_bytes_print(bytes, "</%s>", tag);
}

const char *mv_html_sign(mv_verdict verdict)
{
    switch (verdict) {
    case MV_VERDICT_PASS:
        return "\xE2\x9C\x93"; /* a tick */
    case MV_VERDICT_FAIL:
        return "\xE2\x9C\x97"; /* a cross */
    case MV_VERDICT_VACUOUS:
        return "\xE2\x97\x8B"; /* an empty circle */
    case MV_VERDICT_SKIP:
        return "\xE2\x80\x93"; /* a dash */
    case MV_VERDICT_ERROR:
    default:
        return "!";
    }
}

void mv_html_verdict(mv_bytes *bytes, mv_verdict verdict)
{
    const char *name = mv_verdict_name(verdict);
    mv_bytes_print(bytes, "<span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
                   name, mv_html_sign(verdict), name);
}

void mv_html_command(mv_bytes *bytes, const char *command)
{
    mv_bytes_text(bytes, "<pre class=\"command\"><code>");
    mv_html_put(bytes, command);
    mv_bytes_text(bytes, "</code></pre>\n");
}

/* ---- tables ---- */

void mv_html_table_begin(mv_bytes *bytes, const char *label)
{
    mv_bytes_text(bytes, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"");
    mv_html_put(bytes, label);
    mv_bytes_text(bytes, "\"><table><thead><tr>");
}

void mv_html_heading(mv_bytes *bytes, const char *text, bool is_number)
{
    mv_bytes_text(bytes, is_number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
    mv_html_put(bytes, text);
    mv_bytes_text(bytes, "</th>");
}

void mv_html_table_body(mv_bytes *bytes)
{
    mv_bytes_text(bytes, "</tr></thead><tbody>\n");
}

void mv_html_table(mv_bytes *bytes, const char *label, const char *headings)
{
    char word[96];
    mv_html_table_begin(bytes, label);
    while (*headings != '\0') {
        bool is_number = *headings == '#';
        headings += is_number ? 1 : 0;
        size_t size = strcspn(headings, "|");
        (void)snprintf(word, sizeof word, "%.*s", (int)size, headings);
        mv_html_heading(bytes, word, is_number);
        headings += size + (headings[size] == '|' ? 1 : 0);
    }
    mv_html_table_body(bytes);
}

void mv_html_table_end(mv_bytes *bytes)
{
    mv_bytes_text(bytes, "</tbody></table></div>\n");
}

void mv_html_cell(mv_bytes *bytes, const char *text)
{
    mv_html_element(bytes, "td", "", text);
}

void mv_html_cell_number(mv_bytes *bytes, double value, bool is_known)
{
    mv_short number = mv_short_number(value, is_known);
    mv_html_element(bytes, "td", "n", strcmp(number.text, "-") == 0 ? "\xE2\x80\x93" : number.text);
}

void mv_html_cell_rate(mv_bytes *bytes, double per_s)
{
    mv_html_element(bytes, "td", "n",
                    isfinite(per_s) && per_s > 0 ? mv_short_rate(per_s).text : "\xE2\x80\x93");
}

void mv_html_cell_integer(mv_bytes *bytes, int64_t value)
{
    if (value < 0) {
        mv_html_element(bytes, "td", "n", "\xE2\x80\x93");
    } else {
        mv_bytes_print(bytes, "<td class=\"n\">%" PRId64 "</td>", value);
    }
}
