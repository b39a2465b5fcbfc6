/* text_header.c - the first line of the text report: what was run, on what. */
#include "reports/parts.h"

#include <inttypes.h>
#include <string.h>

static bool is_first_with_backend(const mv_verify_results *results, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(results->cases[i].backend, results->cases[index].backend) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_first_with_compute(const mv_verify_results *results, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (results->cases[i].compute == results->cases[index].compute) {
            return false;
        }
    }
    return true;
}

/* "length 64", or "length 17 to 64". */
static void put_range(mv_bytes *bytes, const char *name, uint64_t low, uint64_t high)
{
    mv_bytes_print(bytes, ", %s %" PRIu64, name, low);
    if (high > low) {
        mv_bytes_print(bytes, " to %" PRIu64, high);
    }
}

static void put_ranges(mv_bytes *bytes, const mv_verify_results *results)
{
    uint64_t low_length = UINT64_MAX, high_length = 0, low_seed = UINT64_MAX, high_seed = 0;
    for (size_t i = 0; i < results->n_cases; i++) {
        const mv_case_result *one = &results->cases[i];
        if (one->length >= 0) {
            uint64_t length = (uint64_t)one->length;
            low_length = length < low_length ? length : low_length;
            high_length = length > high_length ? length : high_length;
        }
        low_seed = one->seed < low_seed ? one->seed : low_seed;
        high_seed = one->seed > high_seed ? one->seed : high_seed;
    }
    if (low_length <= high_length) {
        put_range(bytes, "length", low_length, high_length);
    }
    if (low_seed <= high_seed) {
        put_range(bytes, "seed", low_seed, high_seed);
    }
}

static void put_environment(mv_bytes *bytes, const mv_verify_results *results)
{
    for (size_t i = 0; i < results->environment.n_facts; i++) {
        mv_bytes_text(bytes, "  ");
        mv_text_put_padded(bytes, results->environment.facts[i].key, 24);
        mv_bytes_text(bytes, " ");
        mv_text_put(bytes, results->environment.facts[i].value);
        mv_bytes_text(bytes, "\n");
    }
}

bool mv_text_header(mv_bytes *bytes, const mv_verify_results *results, const mv_report_style *style)
{
    size_t n_backends = 0, n_computes = 0;
    mv_bytes_text(bytes, results->tool_version[0] != '\0' ? "mistral-verify " : "mistral-verify");
    mv_text_put(bytes, results->tool_version);
    mv_bytes_text(bytes, ": model ");
    mv_text_put(bytes, results->model_spec[0] != '\0' ? results->model_spec : "not known");
    for (size_t i = 0; i < results->n_cases; i++) {
        if (is_first_with_backend(results, i)) {
            mv_bytes_text(bytes, n_backends++ == 0 ? ", backend " : " + ");
            mv_text_put(bytes, results->cases[i].backend);
        }
    }
    for (size_t i = 0; i < results->n_cases; i++) {
        if (is_first_with_compute(results, i)) {
            mv_bytes_print(bytes, "%s%s", n_computes++ == 0 ? ", " : " + ",
                           mv_compute_word(results->cases[i].compute));
        }
    }
    put_ranges(bytes, results);
    mv_bytes_text(bytes, "\n");
    if (style->verbose) {
        put_environment(bytes, results);
    }
    return n_backends > 1 || n_computes > 1;
}
