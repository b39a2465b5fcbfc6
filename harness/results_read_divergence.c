/* results_read_divergence.c - the profile of a failed case. All sizes are checked against each
 * other before a number is kept: a file is a stranger. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/results_read_parts.h"

enum { MAX_LAYERS = 1 << 20 };

/* Returns false after a refusal. */
static bool has_size(mv_reader *reader, const char *key, const json_t *list, size_t expected)
{
    char words[64];
    if (reader->code == MV_OK && (!json_is_array(list) || json_array_size(list) != expected)) {
        (void)snprintf(words, sizeof words, "a list of %zu, not of %zu", expected,
                       json_array_size(list));
        mv_reader_refuse(reader, key, words, list);
    }
    return reader->code == MV_OK;
}

static void read_size(mv_reader *reader, const json_t *object, const char *total_key,
                      const char *per_key, int64_t most, int64_t *total, int64_t *per, size_t *n)
{
    *total = *per = 1;
    mv_reader_integer(reader, object, total_key, MV_REQUIRED, 1, most, total);
    mv_reader_integer(reader, object, per_key, MV_REQUIRED, 1, *total, per);
    const int64_t count = 1 + (*total - 1) / *per;
    if (count > MV_DIVERGENCE_MAX_BINS) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "at least %lld",
                       (long long)(1 + (*total - 1) / MV_DIVERGENCE_MAX_BINS));
        mv_reader_refuse(reader, per_key, expected, json_object_get(object, per_key));
        return;
    }
    *n = (size_t)count;
}

static void read_steps(mv_reader *reader, const json_t *object, const char *place,
                       mv_divergence *made)
{
    const json_t *list = mv_reader_array(reader, object, "ops", MV_REQUIRED);
    const size_t n = json_array_size(list);
    if (n > MV_DIVERGENCE_MAX_STEPS) {
        char words[64];
        (void)snprintf(words, sizeof words, "at most %d, not %zu", MV_DIVERGENCE_MAX_STEPS, n);
        mv_reader_refuse(reader, "ops", words, list);
        return;
    }
    for (size_t i = 0; i < n && reader->code == MV_OK; i++) {
        const json_t *item = json_array_get(list, i);
        mv_divergence_step *step = &made->steps[i];
        int64_t layer = -1;
        mv_reader_at(reader, "%s.ops[%zu]", place, i);
        mv_reader_integer(reader, item, "layer", MV_OPTIONAL, 0, made->n_layers - 1, &layer);
        mv_reader_text(reader, item, "op", MV_REQUIRED, step->op, sizeof step->op);
        mv_reader_double(reader, item, "times_limit", MV_REQUIRED, &step->times_limit);
        if (reader->code == MV_OK && !(step->times_limit >= 0)) {
            mv_reader_refuse(reader, "times_limit", "a number of at least 0, or \"inf\"",
                             json_object_get(item, "times_limit"));
        }
        step->layer = (int32_t)layer;
    }
    made->n_steps = n;
    mv_reader_at(reader, "%s", place);
}

static void read_bins(mv_reader *reader, const char *key, const json_t *list, size_t n,
                      double *times_limit)
{
    if (!has_size(reader, key, list, n)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        if (!mv_reader_number(item, &times_limit[i]) || times_limit[i] < 0) {
            mv_reader_refuse(reader, key, "numbers of at least 0, \"inf\" or \"nan\"", item);
            return;
        }
    }
}

static void read_rows(mv_reader *reader, const json_t *object, mv_divergence *made)
{
    const json_t *rows = mv_reader_array(reader, object, "rows", MV_REQUIRED);
    if (!has_size(reader, "rows", rows, made->n_rows)) {
        return;
    }
    for (size_t r = 0; r < made->n_rows && reader->code == MV_OK; r++) {
        char key[32];
        (void)snprintf(key, sizeof key, "rows[%zu]", r);
        read_bins(reader, key, json_array_get(rows, r), made->n_bins, made->times_limit[r]);
    }
    const json_t *outside = mv_reader_array(reader, object, "outside", MV_REQUIRED);
    read_bins(reader, "outside", outside, made->n_bins, made->times_limit[made->n_rows]);
}

void mv_read_divergence(mv_reader *reader, const json_t *object, mv_divergence **divergence)
{
    char place[sizeof reader->place], before[sizeof reader->place];
    const json_t *profile = mv_reader_object(reader, object, "divergence_profile", MV_OPTIONAL);
    if (profile == NULL) {
        return;
    }
    mv_divergence *made = calloc(1, sizeof *made);
    if (made == NULL) {
        reader->code =
            mv_fail(reader->error, MV_ERR_MEMORY, "%s: no memory for a profile", reader->path);
        return;
    }
    memcpy(before, reader->place, sizeof before);
    (void)snprintf(place, sizeof place, "%.60s.divergence_profile", before);
    mv_reader_at(reader, "%s", place);
    read_size(reader, profile, "layers", "layers_per_row", MAX_LAYERS, &made->n_layers,
              &made->layers_per_row, &made->n_rows);
    read_size(reader, profile, "positions", "positions_per_bin", INT64_MAX / 2, &made->n_positions,
              &made->positions_per_bin, &made->n_bins);
    if (reader->code == MV_OK) {
        read_steps(reader, profile, place, made);
    }
    if (reader->code == MV_OK) {
        read_rows(reader, profile, made);
    }
    if (reader->code != MV_OK) {
        free(made);
        return;
    }
    mv_reader_at(reader, "%s", before);
    *divergence = made;
}
