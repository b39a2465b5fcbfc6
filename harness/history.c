#include "harness/history.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA "mistral-bench-history/1"
#define MAX_BYTES ((size_t)64 << 20)

/* ---- reading ---- */

void mv_history_free(mv_history *h)
{
    free(h->points);
    free(h->text);
    *h = (mv_history){.n = 0};
}

static bool take_text(char *out, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL)
        return false;
    (void)snprintf(out, size, "%s", text);
    return true;
}

/* Both ends or none. */
static void take_interval(mv_history_point *p, const json_t *ends)
{
    const double low = json_number_value(json_array_get(ends, 0));
    const double high = json_number_value(json_array_get(ends, 1));
    const bool good = low > 0 && high >= low;
    p->log_low = good ? log(low) : NAN;
    p->log_high = good ? log(high) : NAN;
}

static mv_code take_line(mv_history *h, const char *path, size_t number, const char *line,
                         size_t size, mv_error *error)
{
    json_error_t why;
    char schema[64] = "", anchor[96] = "";
    json_t *root = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why);
    if (h->n == h->capacity) {
        const size_t wanted = h->capacity * 2 + 64;
        mv_history_point *grown = realloc(h->points, wanted * sizeof *grown);
        if (grown == NULL) {
            json_decref(root);
            return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %zu lines", path, wanted);
        }
        h->points = grown;
        h->capacity = wanted;
    }
    mv_history_point *p = &h->points[h->n];
    const json_t *ratio = json_object_get(root, "ratio");
    const bool good = take_text(schema, sizeof schema, root, "schema") &&
                      strcmp(schema, SCHEMA) == 0 &&
                      take_text(anchor, sizeof anchor, root, "anchor") &&
                      take_text(p->key, sizeof p->key, root, "key") &&
                      take_text(p->commit, sizeof p->commit, root, "commit") &&
                      take_text(p->date, sizeof p->date, root, "date_utc") &&
                      json_is_number(ratio) && json_number_value(ratio) > 0;
    if (good) {
        p->log_ratio = log(json_number_value(ratio));
        take_interval(p, json_object_get(root, "ci95"));
    }
    json_decref(root);
    if (!good)
        return mv_fail(
            error, MV_ERR_FORMAT,
            "%s: line %zu: expected an object of schema " SCHEMA
            " with anchor, key, commit, date_utc and ratio, found another line; mend it or "
            "start another file",
            path, number);
    if (h->anchor[0] != '\0' && strcmp(h->anchor, anchor) != 0)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: line %zu: expected the anchor of the lines before, %s, found %s", path,
                       number, h->anchor, anchor);
    memcpy(h->anchor, anchor, sizeof anchor);
    h->n++;
    return MV_OK;
}

static mv_code read_bytes(char **text, size_t *size, const char *path, int file, mv_error *error)
{
    struct stat info;
    size_t done = 0;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || (uint64_t)info.st_size > MAX_BYTES)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a file of JSON lines of at most %zu MiB, found something else",
                       path, MAX_BYTES >> 20);
    char *bytes = malloc((size_t)info.st_size + 1);
    if (bytes == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for %lld bytes", path,
                       (long long)info.st_size);
    while (done < (size_t)info.st_size) {
        ssize_t n = pread(file, bytes + done, (size_t)info.st_size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    *text = bytes;
    *size = done;
    return MV_OK;
}

static mv_code read_history(mv_history *h, const char *path, int file, mv_error *error)
{
    char *text = NULL;
    size_t size = 0, number = 0;
    mv_code code = read_bytes(&text, &size, path, file, error);
    for (size_t at = 0; at < size && code == MV_OK;) {
        const char *end = memchr(text + at, '\n', size - at);
        number++;
        if (end == NULL) {
            code =
                mv_fail(error, MV_ERR_FORMAT,
                        "%s: line %zu: expected a whole line, found one that was cut off; remove "
                        "it",
                        path, number);
            break;
        }
        code = take_line(h, path, number, text + at, (size_t)(end - text) - at, error);
        at = (size_t)(end - text) + 1;
    }
    h->text = text;
    h->size = size;
    if (code != MV_OK)
        mv_history_free(h);
    return code;
}

mv_code mv_history_read(mv_history *h, const char *path, mv_error *error)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *h = (mv_history){.n = 0};
    if (file < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = read_history(h, path, file, error);
    (void)close(file);
    return code;
}

bool mv_history_is_one(const char *path)
{
    static const char schema[] = "\"" SCHEMA "\"";
    char start[4096];
    struct stat info;
    ssize_t n = -1;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) /* a pipe is read once */
        n = read(file, start, sizeof start);
    if (file >= 0)
        (void)close(file);
    const char *end = n > 0 ? memchr(start, '\n', (size_t)n) : NULL;
    const size_t size = end != NULL ? (size_t)(end - start) : n > 0 ? (size_t)n : 0;
    return memmem(start, size, schema, sizeof schema - 1) != NULL;
}

/* ---- appending ---- */

static mv_code check_anchor(const mv_history *h, const char *path, const mv_history_builds *builds,
                            mv_error *error)
{
    if (h->n == 0 || strcmp(h->anchor, builds->anchor) == 0)
        return MV_OK;
    return mv_fail(error, MV_ERR_FORMAT,
                   "%s: anchor differs: '%s' there, '%s' is --backend; compare with that build, or "
                   "start another file",
                   path, h->anchor, builds->anchor);
}

mv_code mv_history_check(const char *path, const mv_history_builds *builds, mv_error *error)
{
    mv_history h = {.n = 0};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == ENOENT)
        return MV_OK;
    if (file < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = read_history(&h, path, file, error);
    (void)close(file);
    if (code == MV_OK)
        code = check_anchor(&h, path, builds, error);
    mv_history_free(&h);
    return code;
}

static const char *fact(const mv_bench_results *results, const char *key)
{
    const char *value = mv_environment_get(&results->environment, key);
    return value != NULL ? value : "";
}

/* Yours: free(). NULL without memory. */
static char *make_line(const mv_bench_results *results, const mv_bench_comparison *one,
                       const mv_history_builds *builds)
{
    json_t *ends = json_array();
    (void)json_array_append_new(ends, json_real(one->ratio.low));
    (void)json_array_append_new(ends, json_real(one->ratio.high));
    json_t *root = json_pack(
        "{ss, ss, ss, ss, ss, ss, ss, ss, ss, sf, so, sI, ss}", "schema", SCHEMA, "date_utc",
        fact(results, "date_utc"), "commit", results->tool_commit, "model", results->model_spec,
        "cpu_model", fact(results, "cpu_model"), "key", one->key, "clock", one->clock, "anchor",
        builds->anchor, "candidate", builds->candidate, "ratio", one->ratio.value, "ci95", ends,
        "groups", (json_int_t)one->n_groups, "verdict", mv_bench_verdict_name(one->verdict));
    char *line = root != NULL ? json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return line;
}

/* All lines, each with its newline. Yours: free(). */
static mv_code make_lines(char **text, size_t *size, size_t *n, const mv_bench_results *results,
                          const mv_history_builds *builds, mv_error *error)
{
    *text = NULL;
    *size = *n = 0;
    for (size_t i = 0; i < results->n_comparisons; i++) {
        const mv_bench_comparison *one = &results->comparisons[i];
        if (strcmp(one->method, "interleaved") != 0 || !isfinite(one->ratio.low) ||
            !isfinite(one->ratio.high) || !(one->ratio.value > 0))
            continue;
        char *line = make_line(results, one, builds);
        const size_t length = line != NULL ? strlen(line) : 0;
        char *grown = line != NULL ? realloc(*text, *size + length + 1) : NULL;
        if (grown != NULL) {
            memcpy(grown + *size, line, length);
            grown[*size + length] = '\n';
            *text = grown;
            *size += length + 1;
            ++*n;
        }
        free(line);
        if (grown == NULL) {
            free(*text);
            *text = NULL;
            return mv_fail(error, MV_ERR_MEMORY, "no memory for the lines of a history");
        }
    }
    return MV_OK;
}

mv_code mv_history_append(const char *path, const mv_bench_results *results,
                          const mv_history_builds *builds, size_t *n_added, mv_error *error)
{
    mv_history h = {.n = 0};
    char *text = NULL;
    size_t size = 0;
    mv_code code = make_lines(&text, &size, n_added, results, builds, error);
    if (code != MV_OK)
        return code;
    int file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file < 0 || flock(file, LOCK_EX) != 0)
        code = mv_fail(error, MV_ERR_IO, "%s: cannot be written to: %s", path, strerror(errno));
    if (code == MV_OK)
        code = read_history(&h, path, file, error);
    if (code == MV_OK)
        code = check_anchor(&h, path, builds, error);
    if (code == MV_OK && size > 0) {
        const off_t end = lseek(file, 0, SEEK_END);
        const ssize_t written = write(file, text, size);
        if (written != (ssize_t)size || fsync(file) != 0) {
            code = mv_fail(error, MV_ERR_IO, "%s: cannot be written to: %s", path, strerror(errno));
            if (end >= 0 && written > 0)
                (void)!ftruncate(file, end); /* no half of a line */
        }
    }
    if (file >= 0)
        (void)close(file);
    mv_history_free(&h);
    free(text);
    return code;
}

/* ---- telling ---- */

mv_code mv_history_tell(const char *path, void (*say)(void *cookie, const char *text), void *cookie,
                        mv_error *error)
{
    mv_history h = {.n = 0};
    double *values = NULL;
    size_t *lines = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = read_history(&h, path, file, error);
    (void)close(file);
    if (code == MV_OK) {
        values = malloc((h.n + 1) * sizeof *values);
        lines = malloc((h.n + 1) * sizeof *lines);
        if (values == NULL || lines == NULL)
            code = mv_fail(error, MV_ERR_MEMORY, "no memory for %zu lines of a history", h.n);
    }
    for (size_t i = 0; i < h.n && code == MV_OK; i++) {
        mv_change changes[8];
        size_t n = 0, before = 0;
        for (size_t j = 0; j < h.n; j++) {
            if (strcmp(h.points[j].key, h.points[i].key) != 0)
                continue;
            before += j < i ? 1 : 0;
            lines[n] = j;
            values[n++] = h.points[j].log_ratio;
        }
        if (before > 0)
            continue; /* this metric was told at its first line */
        const size_t first = n > MV_HISTORY_MAX_POINTS ? n - MV_HISTORY_MAX_POINTS : 0;
        const size_t n_changes = mv_history_changes(changes, sizeof changes / sizeof *changes,
                                                    values + first, n - first);
        for (size_t c = 0; c < n_changes; c++) {
            const mv_history_point *p = &h.points[lines[first + changes[c].at]];
            char text[512];
            (void)snprintf(text, sizeof text,
                           "%.192s: changed by %+.1f %% at line %zu (%.32s, commit %.48s)", p->key,
                           100 * expm1(changes[c].after - changes[c].before),
                           lines[first + changes[c].at] + 1, p->date, p->commit);
            say(cookie, text);
        }
    }
    free(values);
    free(lines);
    mv_history_free(&h);
    return code;
}
