/* Any bytes as a results file. What is accepted is written, read and written again: the same bytes;
 * and it becomes a page that gives it back. */
#include <string.h>

#include "harness/results_read.h"
#include "reports/html.h"
#include "reports/parts.h"
#include "tests/fuzz/fuzz.h"

static void write_json(mv_bytes *json, const mv_results_file *file)
{
    const mv_report_style plain = {.verbose = false};
    if (file->is_bench)
        mv_json_write_bench(json, &file->bench, &plain);
    else
        mv_json_write_verify(json, &file->verify, &plain);
    FUZZ_CHECK(!json->failed);
}

static void check_page(const mv_results_file *file, const mv_bytes *json)
{
    mv_bytes page = {0}, out = {0};
    mv_error error;
    const mv_page_part part = {.name = "",
                               .verify = file->is_bench ? NULL : &file->verify,
                               .bench = file->is_bench ? &file->bench : NULL};
    mv_html_write_page(&page, &part, 1);
    FUZZ_CHECK(!page.failed);
    FUZZ_CHECK(mv_html_extract(&out, page.data, page.size, "page", &error) == MV_OK);
    FUZZ_CHECK(out.size == json->size && memcmp(out.data, json->data, out.size) == 0);
    mv_bytes_free(&page);
    mv_bytes_free(&out);
}

static void check_again(const mv_results_file *file, bool with_page)
{
    mv_bytes json = {0}, again = {0};
    mv_results_file other;
    mv_error error = {0};
    char path[FUZZ_PATH_SIZE];
    memset(&other, 0, sizeof other);
    write_json(&json, file);
    int fd = fuzz_file(path, (const uint8_t *)json.data, json.size);
    FUZZ_CHECK(mv_results_file_read(&other, path, &error) == MV_OK);
    write_json(&again, &other);
    FUZZ_CHECK(again.size == json.size && memcmp(again.data, json.data, json.size) == 0);
    if (with_page)
        check_page(&other, &json);
    mv_results_file_free(&other);
    mv_bytes_free(&json);
    mv_bytes_free(&again);
    fuzz_file_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    int fd = fuzz_file(path, data, size);
    mv_results_file file;
    mv_error error = {0};
    memset(&file, 0, sizeof file);
    mv_code code = mv_results_file_read(&file, path, &error);
    if (code != MV_OK)
        fuzz_check_refusal(code, &error);
    else
        check_again(&file, fuzz_is_chosen(data, size)); /* a page takes three times as long */
    mv_results_file_free(&file);
    fuzz_file_close(fd);
    return 0;
}
