/* openblas.c - OpenBLAS reads its environment once, in its constructor, and has no call to choose a
 * core later. So it is opened with dlopen() after the variables are set, which are then put back.
 */
#include "backends/blas/openblas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/blas/cpu.h"

#define LIBRARY "libopenblas.so.0"

static mv_openblas blas;
static mv_error failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A variable's value before, for put_back(). */
typedef struct saved_variable {
    const char *name;
    char *value; /* NULL: it was not set */
} saved_variable;

static saved_variable set_variable(const char *name, const char *value)
{
    const char *before = getenv(name);
    saved_variable saved = {name, before != NULL ? strdup(before) : NULL};
    (void)setenv(name, value, 1);
    return saved;
}

static void put_back(saved_variable *saved)
{
    if (saved->value != NULL)
        (void)setenv(saved->name, saved->value, 1);
    else
        (void)unsetenv(saved->name);
    free(saved->value);
}

static void *open_library(void)
{
    const char *core = mv_isa_blas_core(mv_isa_best());
    bool choose = core != NULL && getenv("OPENBLAS_CORETYPE") == NULL;
    saved_variable threads = set_variable("OPENBLAS_NUM_THREADS", "1"), coretype = {NULL, NULL};
    if (choose)
        coretype = set_variable("OPENBLAS_CORETYPE", core);
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (choose)
        put_back(&coretype);
    put_back(&threads);
    return library;
}

/* A pointer to a function, as POSIX lets dlsym() give one and ISO C does not. */
static void find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

static void ask(char *text, size_t size, void *library, const char *name)
{
    char *(*question)(void) = NULL;
    find(library, name, &question);
    (void)snprintf(text, size, "%s", question != NULL ? question() : "unknown");
}

static void load(void)
{
    void *library = open_library();
    if (library == NULL) {
        const char *reason = dlerror();
        (void)mv_fail(&failure, MV_ERR_UNAVAILABLE,
                      "blas: expected OpenBLAS (" LIBRARY "), found: %s; install it (Debian: "
                      "libopenblas0)",
                      reason != NULL ? reason : "no reason given");
        return;
    }
    void (*set_num_threads)(int) = NULL;
    find(library, "cblas_sgemm", &blas.sgemm);
    find(library, "cblas_sbgemm", &blas.sbgemm);
    find(library, "openblas_set_num_threads", &set_num_threads);
    if (blas.sgemm == NULL) {
        (void)mv_fail(&failure, MV_ERR_UNAVAILABLE,
                      "blas: expected cblas_sgemm in " LIBRARY
                      ", found none; install OpenBLAS with "
                      "its C interface (Debian: libopenblas0)");
        return;
    }
    if (set_num_threads != NULL) /* somebody else may have loaded it before us, with more */
        set_num_threads(1);
    ask(blas.core, sizeof blas.core, library, "openblas_get_corename");
    ask(blas.version, sizeof blas.version, library, "openblas_get_config");
}

mv_code mv_openblas_get(const mv_openblas **out, mv_error *error)
{
    (void)pthread_once(&once, load);
    if (failure.code != MV_OK)
        return mv_fail(error, failure.code, "%s", failure.message);
    *out = &blas;
    return MV_OK;
}
