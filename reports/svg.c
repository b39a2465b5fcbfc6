/* svg.c - the pieces that charts are made of. Coordinates have one decimal, printed as integers, so
 * that no locale and no printf() decides a byte. */
#include "reports/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/html_parts.h"

/* Okabe and Ito's hues, darkened until each has a contrast of 3:1 on white. */
const char *const mv_series_colors[MV_N_SERIES_STYLES] = {"#0072b2", "#c04f00", "#007f5c",
                                                          "#a8527f", "#8f6400", "#5b5fc7"};

void mv_svg_number(mv_bytes *bytes, double pixels)
{
    if (!(fabs(pixels) < 1e6)) {
        pixels = 0;
    }
    long tenths = lround(pixels * 10);
    mv_bytes_print(bytes, "%s%ld", tenths < 0 ? "-" : "", labs(tenths) / 10);
    if (tenths % 10 != 0) {
        mv_bytes_print(bytes, ".%ld", labs(tenths) % 10);
    }
}

static void put_attribute(mv_bytes *bytes, const char *name, double pixels)
{
    mv_bytes_print(bytes, " %s=\"", name);
    mv_svg_number(bytes, pixels);
    mv_bytes_text(bytes, "\"");
}

void mv_svg_begin(mv_bytes *bytes, double height, const char *label)
{
    mv_bytes_text(bytes, "<svg role=\"img\"");
    put_attribute(bytes, "width", MV_SVG_WIDTH);
    put_attribute(bytes, "height", height);
    mv_bytes_print(bytes, " viewBox=\"0 0 %d ", MV_SVG_WIDTH);
    mv_svg_number(bytes, height);
    mv_bytes_text(bytes, "\" font-family=\"system-ui, sans-serif\" font-size=\"13\" aria-label=\"");
    mv_html_put(bytes, label);
    mv_bytes_text(bytes, "\">\n");
}

void mv_svg_end(mv_bytes *bytes)
{
    mv_bytes_text(bytes, "</svg>\n");
}

void mv_svg_open(mv_bytes *bytes, const char *classes, const char *attributes)
{
    mv_bytes_print(bytes, "<g class=\"%s\"%s%s>\n", classes, attributes[0] != '\0' ? " " : "",
                   attributes);
}

void mv_svg_close(mv_bytes *bytes)
{
    mv_bytes_text(bytes, "</g>\n");
}

static void put_tip(mv_bytes *bytes, const char *element, const char *tip)
{
    if (tip == NULL || tip[0] == '\0') {
        mv_bytes_text(bytes, "/>\n");
        return;
    }
    mv_bytes_text(bytes, "><title>");
    mv_html_put(bytes, tip);
    mv_bytes_print(bytes, "</title></%s>\n", element);
}

void mv_svg_line(mv_bytes *bytes, double x1, double y1, double x2, double y2)
{
    mv_bytes_text(bytes, "<line");
    put_attribute(bytes, "x1", x1);
    put_attribute(bytes, "y1", y1);
    put_attribute(bytes, "x2", x2);
    put_attribute(bytes, "y2", y2);
    mv_bytes_text(bytes, "/>\n");
}

void mv_svg_rect(mv_bytes *bytes, double x, double y, double width, double height,
                 const char *classes, const char *tip)
{
    mv_bytes_text(bytes, "<rect");
    if (classes[0] != '\0') {
        mv_bytes_print(bytes, " class=\"%s\"", classes);
    }
    put_attribute(bytes, "x", x);
    put_attribute(bytes, "y", y);
    put_attribute(bytes, "width", width);
    put_attribute(bytes, "height", height);
    put_tip(bytes, "rect", tip);
}

void mv_svg_text(mv_bytes *bytes, double x, double y, const char *anchor, const char *text,
                 size_t most)
{
    size_t length = 0;
    for (const char *at = text; mv_utf8_next(&at) != 0;) {
        length++;
    }
    mv_bytes_text(bytes, "<text");
    put_attribute(bytes, "x", x);
    put_attribute(bytes, "y", y);
    mv_bytes_print(bytes, " text-anchor=\"%s\">", anchor);
    if (length > most) {
        mv_bytes_text(bytes, "<title>");
        mv_html_put(bytes, text);
        mv_bytes_text(bytes, "</title>");
    }
    size_t n = 0;
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0; n++) {
        if (length > most && n + 1 == most) {
            mv_html_put_point(bytes, 0x2026); /* an ellipsis */
            break;
        }
        mv_html_put_point(bytes, c);
    }
    mv_bytes_text(bytes, "</text>\n");
}

/* By three classes of width, of DejaVu Sans, one of the widest: a label may be given too much room,
 * not too little. */
static double character_width(uint32_t c)
{
    return c < 0x80 && strchr("ijlt.,:;|'!()[] ", (int)c) != NULL ? 4.6
           : (c >= 'A' && c <= 'Z') || c == 'm' || c == 'w' || c == '_' || c == '%' || c >= 0x2000
               ? 9.8
               : 7.9;
}

double mv_svg_text_width(const char *text, size_t most)
{
    double width = 0;
    size_t n = 0;
    for (uint32_t c; n < most && (c = mv_utf8_next(&text)) != 0; n++) {
        width += character_width(c);
    }
    return width;
}

/* The bytes of the line that text begins with. */
static size_t line_size(const char *text, double width)
{
    const char *at = text, *before = text;
    double used = 0;
    size_t blank = 0;
    for (uint32_t c; (c = mv_utf8_next(&at)) != 0; before = at) {
        if (c == ' ') {
            blank = (size_t)(before - text);
        }
        used += character_width(c);
        if (used >
            width) { /* a word that is too long is broken; a line has one character at least */
            return blank > 0       ? blank
                   : before > text ? (size_t)(before - text)
                                   : (size_t)(at - text);
        }
    }
    return (size_t)(before - text);
}

size_t mv_svg_lines(mv_bytes *bytes, double x, double y, const char *text, double first,
                    double width)
{
    size_t n = 0;
    for (; *text != '\0'; n++) {
        char line[256];
        size_t size = line_size(text, n == 0 ? first : width);
        (void)snprintf(line, sizeof line, "%.*s", (int)(size < 255 ? size : 255), text);
        if (bytes != NULL) {
            mv_svg_text(bytes, x, y + (double)n * MV_SVG_LINE, "start", line, sizeof line);
        }
        text += size;
        text += *text == ' ' ? 1 : 0;
    }
    return n;
}

/* Of about the same area, so that none looks more important. */
void mv_svg_mark(mv_bytes *bytes, mv_shape shape, double x, double y, const char *tip)
{
    static const char *const paths[] = {
        [MV_SHAPE_CIRCLE] = "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
        [MV_SHAPE_SQUARE] = "m-3.2 -3.2h6.4v6.4h-6.4z",
        [MV_SHAPE_TRIANGLE] = "m0 -4.2l4.2 7.4h-8.4z",
        [MV_SHAPE_DIAMOND] = "m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
        [MV_SHAPE_PLUS] = "m-1.3 -4.2h2.6v2.9h2.9v2.6h-2.9v2.9h-2.6v-2.9h-2.9v-2.6h2.9z",
        [MV_SHAPE_CROSS] = "m0 -1.9l2.8 -2.8l1.9 1.9l-2.8 2.8l2.8 2.8l-1.9 1.9l-2.8 -2.8"
                           "l-2.8 2.8l-1.9 -1.9l2.8 -2.8l-2.8 -2.8l1.9 -1.9z",
    };
    mv_bytes_text(bytes, "<path class=\"pt\" d=\"M");
    mv_svg_number(bytes, x);
    mv_bytes_text(bytes, " ");
    mv_svg_number(bytes, y);
    mv_bytes_text(bytes, paths[shape]);
    mv_bytes_text(bytes, "\"");
    put_tip(bytes, "path", tip);
}

void mv_svg_box(mv_bytes *bytes, double x, double y, double width, double height)
{
    mv_bytes_text(bytes, "M");
    mv_svg_number(bytes, x);
    mv_bytes_text(bytes, " ");
    mv_svg_number(bytes, y);
    mv_bytes_text(bytes, "h");
    mv_svg_number(bytes, width);
    mv_bytes_text(bytes, "v");
    mv_svg_number(bytes, height);
    mv_bytes_text(bytes, "h");
    mv_svg_number(bytes, -width);
    mv_bytes_text(bytes, "z");
}

/* Drawn line by line: a <pattern> would need url(), and one more thing to fail. */
void mv_svg_hatch(mv_bytes *bytes, double x, double y, double width, double height)
{
    mv_bytes_text(bytes, "<path class=\"hatch\" fill=\"none\" stroke=\"#b3261e\" d=\"");
    for (double at = 7; at < width + height; at += 7) { /* x + y = at, from the left or the floor */
        double left = at > height ? at - height : 0;
        double right = at < width ? at : width;
        mv_bytes_text(bytes, "M");
        mv_svg_number(bytes, x + left);
        mv_bytes_text(bytes, " ");
        mv_svg_number(bytes, y + at - left);
        mv_bytes_text(bytes, "L");
        mv_svg_number(bytes, x + right);
        mv_bytes_text(bytes, " ");
        mv_svg_number(bytes, y + at - right);
    }
    mv_bytes_text(bytes, "\"/>\n");
}
