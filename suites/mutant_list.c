/* mutant_list.c - describe() read as a list of mutants. */
#include "suites/mutant_list.h"

#include <stdlib.h>
#include <string.h>

static bool parse_mutant(const char *name, const char *value, mv_mutant *m)
{
    static const char *const kinds[] = {"bug", "claim", "benign", "equivalent"};
    const size_t kind_size = strcspn(value, "|");
    const char *expected = value + kind_size + (value[kind_size] == '|' ? 1 : 0);
    const size_t expected_size = strcspn(expected, "|");
    const char *imitates = expected + expected_size + (expected[expected_size] == '|' ? 1 : 0);
    bool known = false;
    for (int i = 0; i < 4; i++) {
        if (strlen(kinds[i]) == kind_size && strncmp(value, kinds[i], kind_size) == 0) {
            m->kind = (mv_mutant_kind)i;
            known = true;
        }
    }
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    (void)snprintf(m->expected, sizeof m->expected, "%.*s", (int)expected_size, expected);
    (void)snprintf(m->imitates, sizeof m->imitates, "%s", imitates);
    return known && expected_size < sizeof m->expected;
}

static void take_fact(void *cookie, const char *key, const char *value)
{
    static const char prefix[] = "mutant.";
    mv_mutant_list *list = cookie;
    if (strncmp(key, prefix, sizeof prefix - 1) != 0 || list->failed)
        return;
    mv_mutant *grown = realloc(list->mutants, (list->n + 1) * sizeof *grown);
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

mv_code mv_mutant_list_get(mv_mutant_list *list, const mv_run_options *o, mv_error *error)
{
    const mv_engine_options options = {.struct_size = sizeof options,
                                       .compute = o->compute,
                                       .n_threads = 1,
                                       .max_sequences = 1,
                                       .max_positions = 1,
                                       .max_batch_tokens = 1};
    mv_engine *engine = NULL;
    *list = (mv_mutant_list){0};
    mv_code code = o->backend->open(&engine, o->model, &options, error);
    if (code != MV_OK)
        return code;
    if (o->backend->describe != NULL)
        o->backend->describe(engine, take_fact, list);
    o->backend->close(engine);
    if (list->failed)
        return mv_fail(error, MV_ERR_BACKEND,
                       "backend %s: a mutant's description is not KIND|EXPECTED|IMITATES",
                       o->backend_name);
    if (list->n == 0)
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--self-test: backend %s plants no bugs; expected the mutant backend",
                       o->backend_name);
    return MV_OK;
}

void mv_mutant_list_free(mv_mutant_list *list)
{
    free(list->mutants);
    *list = (mv_mutant_list){0};
}

bool mv_mutant_next_expected(const char **at, const char *suite, char glob[128])
{
    const size_t size = strlen(suite);
    while (**at != '\0') {
        const char *word = *at;
        const size_t n = strcspn(word, ","), n_name = strcspn(word, ",/");
        *at += n + (word[n] == ',' ? 1 : 0);
        if (n_name != size || strncmp(word, suite, size) != 0)
            continue;
        (void)snprintf(glob, 128, "%.*s", (int)(n > n_name ? n : 0), word);
        return true;
    }
    return false;
}
