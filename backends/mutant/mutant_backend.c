/* mutant_backend.c - the mutants as one backend: reference_backend.c around parts that are
 * mutant.c, and what it says of itself.
 */
#include "backends/mutant/mutant.h"

static void caps(mv_caps *out);
static void describe(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                     void *cookie);

#define SEAM(name) correct_##name
#define NAME "mutant"
#define SUMMARY "the reference with one planted bug: what the suites must find"
#include "backends/reference/reference_backend.c"

/* Claims nothing: most mutants would break their word, and would be found by that alone. The
 * self-test holds those of kind CLAIM to every claim. */
static void caps(mv_caps *out)
{
    correct_caps(out);
    out->claims = 0;
}

/* "mutant.NAME" = "KIND|EXPECTED|IMITATES" for every mutant, whatever this engine is; e may be
 * NULL.
 */
static void describe(const mv_engine *e, void (*emit)(void *, const char *, const char *),
                     void *cookie)
{
    char key[64], value[512];
    if (e != NULL)
        correct_describe(e, emit, cookie);
    for (size_t i = 0; i < N_FAULTS; i++) {
        const mutant *m = &mutants[i];
        (void)snprintf(key, sizeof key, "mutant.%s", m->name);
        (void)snprintf(value, sizeof value, "%s|%s|%s", mutant_kind_name(m->kind), m->expected,
                       m->imitates);
        emit(cookie, key, value);
    }
}
