/* mutant_fixture.h - the mutant backend, its list and the reference, on one small model. For a test
 * program of mutants, which includes it once; checked fixtures: set_up(), tear_down().
 */
#ifndef MV_TESTS_MUTANT_FIXTURE_H
#define MV_TESTS_MUTANT_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/backend.h"
#include "harness/synthetic.h"
#include "tests/test_main.h"

enum { MAX_MUTANTS = 400 };

static mv_error error;
static mv_synthetic *synthetic;
static mv_model_view view;
static const mv_backend *reference, *mutant;

/* ---- the list ---- */

typedef struct row {
    char name[64], kind[16], expected[256], imitates[256];
} row;

static row rows[MAX_MUTANTS];
static size_t n_rows;

static inline void take_row(void *cookie, const char *key, const char *value)
{
    (void)cookie;
    if (strncmp(key, "mutant.", 7) != 0)
        return;
    ck_assert_uint_lt(n_rows, MAX_MUTANTS);
    const size_t kind_size = strcspn(value, "|");
    ck_assert_msg(value[kind_size] == '|', "%s: %s", key, value);
    const char *expected = value + kind_size + 1, *imitates = strchr(expected, '|');
    ck_assert_msg(imitates != NULL && strchr(imitates + 1, '|') == NULL, "%s: %s", key, value);
    row *r = &rows[n_rows++];
    (void)snprintf(r->name, sizeof r->name, "%s", key + 7);
    (void)snprintf(r->kind, sizeof r->kind, "%.*s", (int)kind_size, value);
    (void)snprintf(r->expected, sizeof r->expected, "%.*s", (int)(imitates - expected), expected);
    (void)snprintf(r->imitates, sizeof r->imitates, "%s", imitates + 1);
}

static inline bool is_kind(const row *r, const char *kind)
{
    return strcmp(r->kind, kind) == 0;
}

/* Whether one suite alone is expected to see it. */
static inline bool is_only_of(const row *r, const char *suite)
{
    const size_t size = strlen(suite);
    for (const char *at = r->expected; *at != '\0';) {
        if (strcspn(at, ",/") != size || strncmp(at, suite, size) != 0)
            return false;
        at += strcspn(at, ",");
        at += *at == ',' ? 1 : 0;
    }
    return r->expected[0] != '\0';
}

/* ---- fixtures ---- */

static inline void set_up(void)
{
    n_rows = 0;
    ck_assert_msg(mv_synthetic_open(&synthetic, "synthetic:probe", &error) == MV_OK, "%s",
                  error.message);
    view = *mv_synthetic_get_view(synthetic);
    ck_assert_msg(mv_backend_load(&reference, "reference", NULL, 0, &error) == MV_OK, "%s",
                  error.message);
    ck_assert_msg(mv_backend_load(&mutant, "mutant", NULL, 0, &error) == MV_OK, "%s",
                  error.message);
    mutant->describe(NULL, take_row, NULL);
}

static inline void tear_down(void)
{
    mv_synthetic_close(&synthetic);
}

#endif
