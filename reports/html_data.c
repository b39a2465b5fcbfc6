/* html_data.c - the results that a page shows, in the page: as JSON where they are few, packed
 * (gzip, base64) where they would be most of it. And out again. */
#include "reports/html_parts.h"

#include <string.h>
#include <zlib.h>

/* Bytes of JSON that stay readable with any editor. */
#define MAX_PLAIN ((size_t)200000)
/* Of unpacked data: a page may come from a stranger. */
#define MAX_UNPACKED ((size_t)256 << 20)

static const char plain_begin[] = "<script type=\"application/json\" class=\"results\" id=\"";
static const char packed_begin[] = "<script type=\"application/gzip\" class=\"results\" id=\"";
static const char data_end[] = "</script>\n";
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- in ---- */

static void put_base64(mv_bytes *bytes, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const unsigned b0 = data[i], b1 = left > 1 ? data[i + 1] : 0,
                       b2 = left > 2 ? data[i + 2] : 0;
        const char four[] = {digits[b0 >> 2], digits[(b0 & 3) << 4 | b1 >> 4],
                             left > 1 ? digits[(b1 & 15) << 2 | b2 >> 6] : '=',
                             left > 2 ? digits[b2 & 63] : '='};
        mv_bytes_append(bytes, four, sizeof four);
    }
}

/* No time and no name go into the header: fixed input gives fixed bytes. */
static bool put_packed(mv_bytes *bytes, const mv_bytes *json)
{
    z_stream z;
    unsigned char block[3 << 12]; /* a multiple of 3: no padding inside */
    size_t kept = 0;
    int state = Z_OK;
    memset(&z, 0, sizeof z);
    if (json->size > MAX_UNPACKED ||
        deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    z.next_in = (unsigned char *)json->data;
    z.avail_in = (unsigned)json->size;
    while (state == Z_OK) {
        z.next_out = block + kept;
        z.avail_out = (unsigned)(sizeof block - kept);
        state = deflate(&z, Z_FINISH);
        kept = sizeof block - z.avail_out;
        if (kept == sizeof block || state == Z_STREAM_END) {
            put_base64(bytes, block, kept);
            kept = 0;
        }
    }
    (void)deflateEnd(&z);
    return state == Z_STREAM_END;
}

/* The JSON itself has no '<' (json.c escapes it), so that nothing in it can end the element. */
void mv_html_data(mv_html *html, const mv_bytes *json, size_t n_results)
{
    mv_bytes *body = &html->body;
    const bool is_packed = json->size > MAX_PLAIN;
    mv_html_section(html, "data", "The data");
    mv_bytes_print(body,
                   "<p>This page holds the results that it shows (%zu, %zu bytes of JSON%s). "
                   "<code>mistral-report --extract PAGE.html</code> prints them, as they went "
                   "in.</p>\n",
                   n_results, json->size, is_packed ? ", packed" : "");
    mv_bytes_print(body, "%s%s-json\">\n", is_packed ? packed_begin : plain_begin, html->prefix);
    if (!is_packed) {
        mv_bytes_append(body, json->data, json->size);
    } else if (!put_packed(body, json)) {
        body->failed = true;
    }
    body->failed = body->failed || json->failed;
    mv_bytes_text(body, is_packed ? "\n" : "");
    mv_bytes_text(body, data_end);
    mv_html_section_end(html);
}

/* ---- out ---- */

/* What was read of base64: up to 4 digits at a time. Returns how many bytes, or -1. */
static int read_four(unsigned char bytes[3], const char *text)
{
    unsigned value = 0;
    int n = 3;
    for (int i = 0; i < 4; i++) {
        const char *at = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (at == NULL && (text[i] != '=' || i < 2)) {
            return -1;
        }
        if (at != NULL && n < 3) {
            return -1; /* a digit after padding */
        }
        n -= at == NULL ? 1 : 0;
        value = value << 6 | (at != NULL ? (unsigned)(at - digits) : 0);
    }
    bytes[0] = (unsigned char)(value >> 16);
    bytes[1] = (unsigned char)(value >> 8 & 255);
    bytes[2] = (unsigned char)(value & 255);
    return n;
}

static bool unpack(mv_bytes *out, const char *text, size_t size)
{
    z_stream z;
    unsigned char in[3 << 10], block[1 << 14];
    const size_t before = out->size;
    int state = Z_OK;
    memset(&z, 0, sizeof z);
    if (size % 4 != 0 || inflateInit2(&z, 15 + 16) != Z_OK) {
        return false;
    }
    for (size_t at = 0; at < size && state == Z_OK;) {
        size_t n = 0;
        for (int got = 3; got == 3 && n + 3 <= sizeof in && at < size; at += 4) {
            got = read_four(in + n, text + at);
            if (got < 0 || (got < 3 && at + 4 < size)) {
                (void)inflateEnd(&z);
                return false;
            }
            n += (size_t)got;
        }
        z.next_in = in;
        z.avail_in = (unsigned)n;
        do {
            z.next_out = block;
            z.avail_out = sizeof block;
            state = inflate(&z, Z_NO_FLUSH);
            mv_bytes_append(out, (const char *)block, sizeof block - z.avail_out);
        } while (state == Z_OK && z.avail_out == 0 && out->size - before <= MAX_UNPACKED);
        state = state == Z_BUF_ERROR ? Z_OK : state; /* all was read; more comes */
    }
    (void)inflateEnd(&z);
    return state == Z_STREAM_END && out->size - before <= MAX_UNPACKED;
}

/* The next element with data; NULL if there is none. */
static const char *find_data(const char *at, const char *end, bool *is_packed)
{
    const size_t size = (size_t)(end - at);
    const char *plain = memmem(at, size, plain_begin, sizeof plain_begin - 1);
    const char *packed = memmem(at, size, packed_begin, sizeof packed_begin - 1);
    *is_packed = packed != NULL && (plain == NULL || packed < plain);
    return *is_packed ? packed : plain;
}

mv_code mv_html_extract(mv_bytes *out, const char *page, size_t size, const char *path,
                        mv_error *error)
{
    const char *at = page, *end = page + size;
    size_t n = 0;
    bool is_packed;
    while ((at = find_data(at, end, &is_packed)) != NULL) {
        const char *from = memmem(at, (size_t)(end - at), ">\n", 2);
        const char *to =
            from == NULL ? NULL : memmem(from, (size_t)(end - from), data_end, sizeof data_end - 1);
        if (to == NULL) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: the data that begin at byte %zu have no end; the page was cut off",
                           path, (size_t)(at - page));
        }
        from += 2;
        if (!is_packed) {
            mv_bytes_append(out, from, (size_t)(to - from));
        } else if (to == from || !unpack(out, from, (size_t)(to - from) - 1)) {
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: the data that begin at byte %zu are damaged: expected gzip in "
                           "base64; write the page again",
                           path, (size_t)(at - page));
        }
        at = to;
        n++;
    }
    return n > 0 ? MV_OK
                 : mv_fail(error, MV_ERR_FORMAT,
                           "%s: no page of mistral-report: it has no element with results", path);
}
