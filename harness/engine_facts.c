#include "harness/engine_facts.h"

#include <stdio.h>
#include <string.h>

#include "harness/backend.h"

static void add_fact(void *cookie, const char *key, const char *value)
{
    char *text = cookie;
    if (strchr(key, '.') != NULL) /* a list for a tool, as the mutant's of its faults */
        return;
    const size_t used = strlen(text), room = MV_ENGINE_FACTS - used;
    const int n = snprintf(text + used, room, "%s%s %s", used > 0 ? ", " : "", key, value);
    if (n < 0 || (size_t)n >= room)
        text[used] = '\0';
}

void mv_engine_facts(char text[MV_ENGINE_FACTS], const mv_backend *backend, const mv_engine *engine)
{
    text[0] = '\0';
    if (backend->describe != NULL)
        backend->describe(engine, add_fact, text);
}

void mv_engine_facts_keep(mv_environment *environment, const char *backend, mv_compute compute,
                          const char *text)
{
    char key[sizeof environment->facts[0].key];
    const char *name = mv_compute_name(compute);
    const size_t most = sizeof key - sizeof "engine  " - strlen(name), n = strlen(backend);
    (void)snprintf(key, sizeof key, "engine %s %s", n > most ? backend + n - most : backend, name);
    if (text[0] != '\0' && mv_environment_get(environment, key) == NULL)
        mv_environment_set(environment, key, text);
}
