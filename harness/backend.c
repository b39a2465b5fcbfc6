#include "harness/backend.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/backend_path.h"
#include "harness/elf_check.h"

/* Where the table of 1.0 ended: fixed for ever, whatever is appended to mv_backend. */
#define TABLE_SIZE_1_0 (offsetof(mv_backend, self_test) + sizeof(void *))

/* ---- tables ---- */

/* What a table of 1.0 must have. */
static const struct {
    const char *name;
    size_t offset;
} required_entries[] = {
    {"name", offsetof(mv_backend, name)},       {"summary", offsetof(mv_backend, summary)},
    {"version", offsetof(mv_backend, version)}, {"probe", offsetof(mv_backend, probe)},
    {"caps", offsetof(mv_backend, caps)},       {"open", offsetof(mv_backend, open)},
    {"close", offsetof(mv_backend, close)},     {"reset", offsetof(mv_backend, reset)},
    {"forward", offsetof(mv_backend, forward)},
};

static mv_code check_table(const char *path, const mv_backend *table, mv_error *error)
{
    if (table == NULL)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a table from " MV_BACKEND_GET_SYMBOL "(), found NULL", path);
    if (table->abi_major != MV_BACKEND_ABI_MAJOR)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected backend ABI %d.x (this program has %d.%d), found %u.%u; build "
                       "it again with this version's mistral_backend.h",
                       path, MV_BACKEND_ABI_MAJOR, MV_BACKEND_ABI_MAJOR, MV_BACKEND_ABI_MINOR,
                       table->abi_major, table->abi_minor);
    if (table->struct_size < TABLE_SIZE_1_0)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected a table of at least %zu bytes (ABI 1.0), found struct_size "
                       "%zu; set it to sizeof(mv_backend)",
                       path, TABLE_SIZE_1_0, table->struct_size);
    for (size_t i = 0; i < sizeof required_entries / sizeof required_entries[0]; i++) {
        const void *entry = NULL;
        memcpy(&entry, (const char *)table + required_entries[i].offset, sizeof entry);
        if (entry == NULL)
            return mv_fail(error, MV_ERR_FORMAT,
                           "%s: expected the required entry '%s' in its table, found NULL", path,
                           required_entries[i].name);
    }
    if (table->name[0] == '\0')
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected a name in its table, found an empty one",
                       path);
    return MV_OK;
}

/* A copy of each table that was accepted, as large as this program's mv_backend, so that what an
 * older backend does not have reads as NULL. Kept for the life of the process, as the libraries
 * are. Not locked: backends are loaded by one thread, before there are others. */
typedef struct known_table {
    const mv_backend *source;
    mv_backend table;
    struct known_table *next;
} known_table;

static known_table *known_tables;

static mv_code keep_table(const mv_backend **table, const mv_backend *source, mv_error *error)
{
    known_table *known = known_tables;
    while (known != NULL && known->source != source)
        known = known->next;
    if (known == NULL) {
        known = calloc(1, sizeof *known);
        if (known == NULL)
            return mv_fail(error, MV_ERR_MEMORY, "no memory for the table of a backend");
        known->source = source;
        memcpy(&known->table, source,
               source->struct_size < sizeof(mv_backend) ? source->struct_size : sizeof(mv_backend));
        known->next = known_tables;
        known_tables = known;
    }
    *table = &known->table;
    return MV_OK;
}

/* ---- one file ---- */

static const char *without_prefix(const char *text, const char *path)
{
    size_t n = strlen(path);
    return strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

/* A library that is not on this machine is a reason to skip; the rest is the file's own fault. */
static mv_code fail_dlopen(const char *path, const char *reason, mv_error *error)
{
    if (reason == NULL)
        reason = "no reason given";
    bool missing = strstr(reason, "cannot open shared object file") != NULL;
    return mv_fail(error, missing ? MV_ERR_UNAVAILABLE : MV_ERR_FORMAT,
                   "%s: expected a library that can be loaded, found: %s", path,
                   without_prefix(reason, path));
}

static mv_code load_file(const mv_backend **table, const char *path, mv_error *error)
{
    mv_code code = mv_elf_check(path, error);
    if (code != MV_OK)
        return code;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return fail_dlopen(path, dlerror(), error);
    void *symbol = dlsym(library, MV_BACKEND_GET_SYMBOL);
    if (symbol == NULL)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected the symbol " MV_BACKEND_GET_SYMBOL ", found none; is it "
                       "declared MV_EXPORT, and extern \"C\" in C++?",
                       path);
    mv_backend_get_fn get = NULL;
    memcpy(&get, &symbol, sizeof get);
    const mv_backend *source = get();
    code = check_table(path, source, error);
    if (code == MV_OK)
        code = keep_table(table, source, error);
    return code;
}

/* Asked each time, not once: a device may have come or gone. */
static mv_code probe_table(const mv_backend *table, const char *path, mv_error *error)
{
    mv_error why = {MV_OK, ""};
    mv_code code = table->probe(&why);
    if (code == MV_OK)
        return MV_OK;
    why.message[sizeof why.message - 1] = '\0';
    return mv_fail(error, code, "%s: cannot run here: %s", path,
                   why.message[0] != '\0' ? why.message : "its probe() gave no reason");
}

/* ---- the public functions ---- */

mv_code mv_backend_find(char *path, size_t path_size, const char *name_or_path, mv_error *error)
{
    mv_backend_path search = {.n_files = 0};
    const mv_backend_candidate *found = NULL;
    if (name_or_path == NULL || name_or_path[0] == '\0')
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "expected the name or path of a backend, found nothing");
    if (strchr(name_or_path, '/') != NULL) {
        if ((size_t)snprintf(path, path_size, "%s", name_or_path) < path_size)
            return MV_OK;
        return mv_fail(error, MV_ERR_ARGUMENT, "the path of a backend has more than %zu characters",
                       path_size - 1);
    }
    mv_code code = mv_backend_path_scan(&search, error);
    if (code == MV_OK)
        code = mv_backend_path_find(&found, &search, name_or_path, error);
    if (code == MV_OK)
        (void)snprintf(path, path_size, "%s", found->path);
    mv_backend_path_free(&search);
    return code;
}

mv_code mv_backend_load(const mv_backend **table, const char *name_or_path, char *path,
                        size_t path_size, mv_error *error)
{
    char file[4096];
    const mv_backend *loaded = NULL;
    mv_code code = mv_backend_find(file, sizeof file, name_or_path, error);
    if (code == MV_OK)
        code = load_file(&loaded, file, error);
    if (code == MV_OK)
        code = probe_table(loaded, file, error);
    if (code != MV_OK)
        return code;
    *table = loaded;
    if (path != NULL && path_size > 0)
        (void)snprintf(path, path_size, "%s", file);
    return MV_OK;
}

/* Says in one->reason why it cannot be used; the path stands beside it already. */
static void examine(mv_backend_candidate *one)
{
    const mv_backend *table = NULL;
    mv_error why = {MV_OK, ""};
    mv_code code = load_file(&table, one->path, &why);
    if (code == MV_OK) {
        (void)snprintf(one->summary, sizeof one->summary, "%s", table->summary);
        code = probe_table(table, one->path, &why);
    }
    if (code != MV_OK)
        (void)snprintf(one->reason, sizeof one->reason, "%s",
                       without_prefix(why.message, one->path));
}

mv_code mv_backend_list(mv_backend_candidate **candidates, size_t *n_candidates, mv_error *error)
{
    mv_backend_path search;
    mv_code code = mv_backend_path_scan(&search, error);
    if (code != MV_OK) {
        mv_backend_path_free(&search);
        return code;
    }
    for (size_t i = 0; i < search.n_files; i++) {
        mv_backend_candidate *one = &search.files[i];
        const mv_backend_candidate *first = one;
        if (mv_backend_path_find(&first, &search, one->name, NULL) == MV_OK && first != one)
            (void)snprintf(one->reason, sizeof one->reason, "hidden by %.470s, which comes first",
                           first->path);
        else
            examine(one);
    }
    *candidates = search.files;
    *n_candidates = search.n_files;
    return MV_OK;
}

mv_code mv_backend_open(const mv_backend *table, mv_engine **engine, const mv_model_view *model,
                        const mv_engine_options *options, mv_error *error)
{
    *engine = NULL;
    mv_code code = table->open(engine, model, options, error);
    if (code == MV_OK && *engine == NULL)
        code = mv_fail(error, MV_ERR_BACKEND, "backend %s: open() said OK and gave no engine",
                       table->name);
    return code;
}

uint32_t mv_backend_claims(const mv_backend *table)
{
    mv_caps caps = {.struct_size = sizeof caps};
    if (table != NULL)
        table->caps(&caps);
    return caps.claims;
}

int mv_backend_has_compute(const mv_backend *table, mv_compute compute)
{
    mv_caps caps = {.struct_size = sizeof caps};
    if (table == NULL || (unsigned)compute >= 32)
        return 0;
    table->caps(&caps);
    return (caps.computes >> (unsigned)compute & 1u) != 0;
}

static const char *const compute_names[] = {
    [MV_COMPUTE_F32] = "f32",
    [MV_COMPUTE_BF16] = "bf16",
    [MV_COMPUTE_F64] = "f64",
};
#define N_COMPUTES (sizeof compute_names / sizeof compute_names[0])

const char *mv_compute_name(mv_compute compute)
{
    return (unsigned)compute < N_COMPUTES ? compute_names[compute] : "unknown";
}

mv_code mv_compute_parse(mv_compute *compute, const char *name, mv_error *error)
{
    for (unsigned i = 0; name != NULL && i < N_COMPUTES; i++)
        if (strcmp(name, compute_names[i]) == 0) {
            *compute = (mv_compute)i;
            return MV_OK;
        }
    return mv_fail(error, MV_ERR_ARGUMENT, "unknown compute type '%s': expected f64, f32 or bf16",
                   name ? name : "");
}
