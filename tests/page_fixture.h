/* page_fixture.h - results, and the page that mistral-report writes of them. For a test program of
 * pages, which includes it once; checked fixture: tear_down().
 */
#ifndef MV_TESTS_PAGE_FIXTURE_H
#define MV_TESTS_PAGE_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "reports/html_parts.h"
#include "tests/page_samples.h"
#include "tests/report_samples.h"
#include "tests/test_main.h"

static mv_verify_results verify;
static mv_bench_results bench;
static mv_history history;
static mv_bytes page;

static inline void tear_down(void)
{
    mv_verify_results_free(&verify);
    mv_bench_results_free(&bench);
    mv_history_free(&history);
    mv_bytes_free(&page);
}

static inline const char *write_page(const mv_page_part *parts, size_t n_parts)
{
    mv_bytes_free(&page);
    mv_html_write_page(&page, parts, n_parts);
    ck_assert(!page.failed);
    return page.data;
}

static inline const char *write_verify(void)
{
    const mv_page_part part = {.name = "", .verify = &verify};
    return write_page(&part, 1);
}

static inline const char *write_bench(void)
{
    const mv_page_part part = {.name = "", .bench = &bench};
    return write_page(&part, 1);
}

static inline size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

static inline void must_have(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "lacks: %s", what);
}

#endif
