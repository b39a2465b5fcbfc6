#include "reports/parts.h"
#include "reports/report.h"

#include <string.h>
#include <strings.h>

/* The first row is the default. Adding a format: one file, one line here, one in meson.build. */
const mv_report mv_reports[] = {
    {"text", ".txt", "for a person at a terminal", mv_text_write_verify, mv_text_write_bench},
    {"json", ".json", "everything; schemas mistral-verify/1, mistral-bench/1", mv_json_write_verify,
     mv_json_write_bench},
    {"junit", ".xml", "JUnit XML, for CI", mv_junit_write_verify, NULL},
    {"tap", ".tap", "Test Anything Protocol 13", mv_tap_write_verify, NULL},
    {"csv", ".csv", "a row for each case (RFC 4180)", mv_csv_write_verify, mv_csv_write_bench},
    {"md", ".md", "Markdown, for a pull request", mv_markdown_write_verify,
     mv_markdown_write_bench},
    {"html", ".html", "one page with charts, for a browser", mv_html_write_verify,
     mv_html_write_bench},
};
const size_t mv_n_reports = sizeof mv_reports / sizeof *mv_reports;

const mv_report *mv_report_find(const char *name)
{
    for (size_t i = 0; i < mv_n_reports; i++) {
        if (strcmp(mv_reports[i].name, name) == 0) {
            return &mv_reports[i];
        }
    }
    return NULL;
}

const mv_report *mv_report_find_extension(const char *path)
{
    size_t path_size = strlen(path);
    for (size_t i = 0; i < mv_n_reports; i++) {
        size_t size = strlen(mv_reports[i].extension);
        if (path_size >= size &&
            strcasecmp(path + path_size - size, mv_reports[i].extension) == 0) {
            return &mv_reports[i];
        }
    }
    return NULL;
}
