/* csv.c - one row a case, RFC 4180: CRLF, and quotes where a cell needs them. What is not known is
 * an empty cell; non-finite numbers are nan, inf and -inf. */
#include "reports/parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char header_before[] =
    "suite,case,backend,compute,window,chunk,schedule,length,seed,verdict,reason,"
    "positions,beyond_window";
static const char header_after[] =
    ",headroom,worst_position,worst_token_id,worst_expected,worst_actual,"
    "divergence_layer,divergence_op,divergence_position,elapsed_ns,reproduce\r\n";

/* A row is a comma before every cell but the first. */
void mv_csv_text(mv_bytes *bytes, bool is_first, const char *text)
{
    bool is_quoted = strpbrk(text, ",\"\r\n") != NULL;
    mv_bytes_text(bytes, is_first ? "" : ",");
    mv_bytes_text(bytes, is_quoted ? "\"" : "");
    for (uint32_t c; (c = mv_utf8_next(&text)) != 0;) {
        if (c == '"') {
            mv_bytes_put(bytes, '"');
        } else if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || (c >= 0x7F && c <= 0x9F)) {
            c = 0xFFFD; /* not TEXTDATA, and nothing that a cell should hold */
        }
        mv_bytes_put(bytes, c);
    }
    mv_bytes_text(bytes, is_quoted ? "\"" : "");
}

static void put_integer(mv_bytes *bytes, int64_t value)
{
    mv_bytes_text(bytes, ",");
    if (value >= 0) {
        mv_bytes_print(bytes, "%" PRId64, value);
    }
}

static void put_number(mv_bytes *bytes, double value, bool is_known)
{
    mv_bytes_text(bytes, ",");
    if (is_known) {
        mv_bytes_double(bytes, value);
    }
}

static void put_header(mv_bytes *bytes)
{
    mv_bytes_text(bytes, header_before);
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        mv_bytes_print(bytes, ",%s", mv_metric_names[i]);
    }
    mv_bytes_text(bytes, ",effective_window");
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        mv_bytes_print(bytes, ",limit_%s", mv_metric_names[i]);
    }
    mv_bytes_text(bytes, ",limit_effective_window");
    mv_bytes_text(bytes, header_after);
}

static void put_case(mv_bytes *bytes, const mv_case_result *one)
{
    mv_csv_text(bytes, true, one->suite);
    mv_csv_text(bytes, false, one->name);
    mv_csv_text(bytes, false, one->backend);
    mv_csv_text(bytes, false, mv_compute_word(one->compute));
    put_integer(bytes, one->window);
    put_integer(bytes, one->chunk);
    mv_csv_text(bytes, false, one->schedule);
    put_integer(bytes, one->length);
    mv_bytes_print(bytes, ",%" PRIu64, one->seed);
    mv_csv_text(bytes, false, mv_verdict_name(one->verdict));
    mv_csv_text(bytes, false, mv_case_reason(one));
    put_integer(bytes, one->n_positions);
    put_integer(bytes, one->n_beyond_window);
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        put_number(bytes, mv_metric_get(&one->metrics, i), mv_metric_is_known(one, i));
    }
    put_integer(bytes, one->metrics.effective_window);
    for (size_t i = 0; i < MV_N_METRICS; i++) {
        double limit = mv_metric_get(&one->limits, i);
        put_number(bytes, limit, !isnan(limit));
    }
    put_integer(bytes, one->limits.effective_window);
    put_number(bytes, one->headroom, mv_headroom_is_known(one));
    put_integer(bytes, one->worst.position);
    put_integer(bytes, one->worst.position >= 0 ? one->worst.token_id : -1);
    put_number(bytes, one->worst.expected, one->worst.position >= 0);
    put_number(bytes, one->worst.actual, one->worst.position >= 0);
    put_integer(bytes, one->divergence_layer);
    mv_csv_text(bytes, false, one->divergence_op);
    put_integer(bytes, one->divergence_position);
    put_integer(bytes, one->elapsed_ns);
    mv_csv_text(bytes, false, one->reproduce);
    mv_bytes_text(bytes, "\r\n");
}

void mv_csv_write_verify(mv_bytes *bytes, const mv_verify_results *results,
                         const mv_report_style *style)
{
    (void)style;
    put_header(bytes);
    for (size_t i = 0; i < results->n_cases; i++) {
        put_case(bytes, &results->cases[i]);
    }
    if (results->n_cases == 0 && !mv_self_test_was_run(results)) {
        /* A header alone would look like a clean sheet to whoever counts the failures. The seed
         * of a row that stands for no case is 0. */
        mv_case_result none;
        mv_case_result_clear(&none);
        (void)snprintf(none.reason, sizeof none.reason, "no case was run: nothing was compared");
        put_case(bytes, &none);
    }
}
