/* self_test.c - the kill matrix. */
#include "suites/self_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list, as the backend describes it ---- */

typedef enum kind { KIND_BUG, KIND_BENIGN, KIND_EQUIVALENT } kind;

typedef struct mutant {
    char name[64], suites[160], imitates[160];
    kind kind;
} mutant;

typedef struct mutant_list {
    mutant *mutants; /* [n] */
    size_t n;
    bool failed; /* no memory, or a line that makes no sense */
} mutant_list;

static bool parse_mutant(const char *name, const char *value, mutant *m)
{
    static const char *const kinds[] = {"bug", "benign", "equivalent"};
    const size_t kind_size = strcspn(value, "|");
    const char *suites = value + kind_size + (value[kind_size] == '|' ? 1 : 0);
    const size_t suites_size = strcspn(suites, "|");
    const char *imitates = suites + suites_size + (suites[suites_size] == '|' ? 1 : 0);
    bool known = false;
    for (int i = 0; i < 3; i++) {
        if (strlen(kinds[i]) == kind_size && strncmp(value, kinds[i], kind_size) == 0) {
            m->kind = (kind)i;
            known = true;
        }
    }
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    (void)snprintf(m->suites, sizeof m->suites, "%.*s", (int)suites_size, suites);
    (void)snprintf(m->imitates, sizeof m->imitates, "%s", imitates);
    return known;
}

static void take_fact(void *cookie, const char *key, const char *value)
{
    static const char prefix[] = "mutant.";
    mutant_list *list = cookie;
    if (strncmp(key, prefix, sizeof prefix - 1) != 0 || list->failed)
        return;
    mutant *grown = realloc(list->mutants, (list->n + 1) * sizeof *grown);
    if (grown == NULL) {
        list->failed = true;
        return;
    }
    list->mutants = grown;
    if (parse_mutant(key + sizeof prefix - 1, value, &list->mutants[list->n]))
        list->n++;
    else
        list->failed = true;
}

static mv_code list_mutants(const mv_run_options *o, mutant_list *list, mv_error *error)
{
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = o->compute,
                                       .n_threads = 1,
                                       .max_sequences = 1,
                                       .max_positions = 1,
                                       .max_batch_tokens = 1};
    mv_engine *engine = NULL;
    *list = (mutant_list){0};
    mv_code code = o->backend->open(&engine, o->model, &options, error);
    if (code != MV_OK)
        return code;
    if (o->backend->describe != NULL)
        o->backend->describe(engine, take_fact, list);
    o->backend->close(engine);
    if (list->failed)
        return mv_fail(error, MV_ERR_BACKEND,
                       "backend %s: a mutant's description is not KIND|SUITES|IMITATES",
                       o->backend_name);
    if (list->n == 0)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--self-test: backend %s plants no bugs; expected the mutant backend",
                       o->backend_name);
    return MV_OK;
}

/* ---- running ---- */

static void append_name(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);
    (void)snprintf(list + n, size - n, "%s%s", n > 0 ? "," : "", name);
}

static bool names_suite(const char *list, const char *name)
{
    const size_t size = strlen(name);
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n == size && strncmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return false;
}

typedef struct self_test {
    const mv_run_options *options;
    const mv_suite *const *suites;
    size_t n_suites;
    mv_run *run;
    mv_verify_results *results;
} self_test;

/* The first case that failed, or NULL; *largest: of r_rmse over all cases that have one. */
static const mv_case_result *first_failure(const mv_verify_results *found, double *largest)
{
    const mv_case_result *first = NULL;
    for (size_t i = 0; i < found->n_cases; i++) {
        const mv_case_result *one = &found->cases[i];
        bool failed = one->verdict == MV_VERDICT_FAIL || one->verdict == MV_VERDICT_ERROR;
        if (failed && first == NULL)
            first = one;
        *largest = fmax(*largest, one->metrics.r_rmse);
    }
    return first;
}

/* A harmless change that a suite complains about: the case itself is the evidence. */
static mv_code add_false_alarm(self_test *t, const mutant *m, const mv_case_result *failure,
                               mv_error *error)
{
    mv_case_result alarm = *failure;
    t->results->false_alarms++;
    (void)snprintf(alarm.reason, sizeof alarm.reason, "false alarm on the harmless '%s': %.240s",
                   m->name, failure->reason);
    return mv_verify_results_add(t->results, &alarm, error);
}

static mv_code run_suite(self_test *t, const mutant *m, const mv_suite *suite,
                         mv_mutant_result *result, mv_error *error)
{
    mv_verify_results found;
    mv_verify_results_init(&found);
    mv_code code = mv_run_suite(t->run, suite, &found, error);
    if (code == MV_OK) {
        const mv_case_result *failure = first_failure(&found, &result->r_rmse);
        if (failure != NULL)
            append_name(result->killed_by, sizeof result->killed_by, suite->name);
        if (failure != NULL && m->kind == KIND_BENIGN)
            code = add_false_alarm(t, m, failure, error);
        if (m->kind == KIND_BENIGN)
            t->results->benign_total++;
    }
    mv_verify_results_free(&found);
    return code;
}

static mv_code run_mutant(self_test *t, const mutant *m, mv_error *error)
{
    const mv_option option = {"mutant", m->name};
    mv_mutant_result result = {.equivalent = m->kind == KIND_EQUIVALENT};
    mv_code code = MV_OK;
    (void)snprintf(result.name, sizeof result.name, "%s", m->name);
    (void)snprintf(result.imitates, sizeof result.imitates, "%s", m->imitates);
    mv_run_set_engine(t->run, t->options->backend_name, t->options->backend, &option, 1);
    for (size_t i = 0; i < t->n_suites && code == MV_OK; i++) {
        if (names_suite(m->suites, t->suites[i]->name))
            append_name(result.expected_suites, sizeof result.expected_suites, t->suites[i]->name);
        code = run_suite(t, m, t->suites[i], &result, error);
    }
    if (code != MV_OK || m->kind == KIND_BENIGN ||
        (m->kind == KIND_BUG && result.expected_suites[0] == '\0'))
        return code;
    return mv_verify_results_add_mutant(t->results, &result, error);
}

mv_code mv_self_test(const mv_run_options *options, const mv_suite *const *suites, size_t n_suites,
                     mv_verify_results *results,
                     void (*on_mutant)(void *, size_t, size_t, const char *), void *cookie,
                     mv_error *error)
{
    mutant_list list;
    self_test t = {options, suites, n_suites, NULL, results};
    mv_run_options quick = *options;
    quick.stop_at_failure = true;
    quick.list_only = false;
    quick.on_case = NULL;
    mv_code code = list_mutants(options, &list, error);
    if (code == MV_OK)
        code = mv_run_open(&t.run, &quick, error);
    for (size_t i = 0; i < list.n && code == MV_OK; i++) {
        if (on_mutant != NULL)
            on_mutant(cookie, i, list.n, list.mutants[i].name);
        code = run_mutant(&t, &list.mutants[i], error);
    }
    mv_run_close(&t.run);
    free(list.mutants);
    return code;
}
