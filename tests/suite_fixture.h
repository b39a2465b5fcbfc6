/* suite_fixture.h - one small model, the reference, and suites that run on them. For a test program
 * of suites, which includes it once; checked fixtures: set_up(), tear_down().
 */
#ifndef MV_TESTS_SUITE_FIXTURE_H
#define MV_TESTS_SUITE_FIXTURE_H

#include <string.h>

#include "harness/model.h"
#include "suites/run.h"
#include "tests/engines.h"
#include "tests/test_main.h"

#define MODEL "synthetic:probe,n_layers=2,vocab_size=67,sliding_window=4"
#define ALL_CLAIMS                                                                                 \
    (MV_CLAIM_REPEATABLE | MV_CLAIM_BATCH_INVARIANT | MV_CLAIM_CHUNK_INVARIANT |                   \
     MV_CLAIM_THREAD_INVARIANT)

/* Suites that play prompts in pieces, under windows. */
static const char *const grids[] = {"chunking", "window", "decode_vs_prefill",
                                    "batching", "ring",   "determinism"};

static mv_error error;
static mv_model *model;
static const mv_backend *reference;
static mv_verify_results results; /* of the last run() */
static mv_run_options options;    /* of the next */

/* The engine under test is an honest one that claims nothing. */
static inline void set_up(void)
{
    if (mv_backend_load(&reference, MV_BUILD_ROOT "/backends/reference/mistral_reference.so", NULL,
                        0, &error) != MV_OK ||
        mv_model_open(&model, MODEL, &error) != MV_OK)
        ck_abort_msg("%s", error.message);
    mv_verify_results_init(&results);
    options = (mv_run_options){.model = mv_model_get_view(model),
                               .model_spec = MODEL,
                               .backend_name = "planted",
                               .backend = engines_get(reference, HONEST, 0),
                               .reference = reference,
                               .n_threads = 1,
                               .seed = 1};
}

static inline void tear_down(void)
{
    mv_verify_results_free(&results);
    mv_model_close(&model);
}

/* Runs one suite, or all of them for NULL, with the options. */
static inline mv_code run_code(const char *suite)
{
    mv_run *run = NULL;
    mv_verify_results_free(&results);
    mv_verify_results_init(&results);
    mv_code code = mv_run_open(&run, &options, &error);
    for (size_t i = 0; code == MV_OK && i < mv_n_suites; i++) {
        if (suite == NULL || strcmp(mv_suites[i]->name, suite) == 0)
            code = mv_run_suite(run, mv_suites[i], &results, &error);
    }
    mv_run_close(&run);
    ck_assert_msg(engines_n_open == 0, "%d engines were never closed", engines_n_open);
    return code;
}

static inline mv_summary run(const char *suite)
{
    mv_code code = run_code(suite);
    ck_assert_msg(code == MV_OK, "%s: %s", suite != NULL ? suite : "all", error.message);
    return mv_verify_results_summarise(&results);
}

static inline void plant(planted behaviour, uint32_t claims)
{
    options.backend = engines_get(reference, behaviour, claims);
}

/* Of the last run. */
static inline const mv_case_result *find_case(const char *name)
{
    for (size_t i = 0; i < results.n_cases; i++) {
        if (strcmp(results.cases[i].name, name) == 0)
            return &results.cases[i];
    }
    ck_abort_msg("no case '%s'", name);
    return NULL;
}

static inline void has(const char *text, const char *fragment)
{
    ck_assert_msg(strstr(text, fragment) != NULL, "expected '%s' in: %s", fragment, text);
}

#endif
