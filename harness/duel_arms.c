/* duel_arms.c - which two files are compared, and whether they can be. */
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/backend.h"
#include "harness/duel_state.h"
#include "harness/elf_check.h"

#define CACHE_LINE 64

/* A library that this process has loaded already (the reference, for the truth) would lie where it
 * is in every child, and the other arm somewhere else in each. A copy of the file is another
 * library. */
static void be_loaded_anew(char *path, size_t size, int *copy)
{
    char buffer[65536];
    size_t n = 0;
    void *loaded = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (loaded == NULL)
        return;
    (void)dlclose(loaded);
    FILE *from = fopen(path, "rbe");
    *copy = memfd_create("arm", MFD_CLOEXEC);
    bool good = from != NULL && *copy >= 0;
    while (good && (n = fread(buffer, 1, sizeof buffer, from)) > 0)
        good = write(*copy, buffer, n) == (ssize_t)n;
    good = good && ferror(from) == 0;
    if (from != NULL)
        (void)fclose(from);
    if (good) /* else it is compared as it is */
        (void)snprintf(path, size, "/proc/self/fd/%d", *copy);
}

/* Once and here, so that the two arms do the same from fork() on: an arm that searched for its
 * plugin had another heap than one that was given a path, and was 2 to 3 % slower in prefill. */
mv_code mv_duel_find_arms(mv_duel_state *s, mv_error *error)
{
    const char *const names[2] = {s->duel->base, s->duel->candidate};
    mv_code code = MV_OK;
    s->copies[0] = s->copies[1] = -1;
    for (int i = 0; i < 2 && code == MV_OK; i++) {
        code = mv_backend_find(s->paths[i], sizeof s->paths[i], names[i], error);
        if (code == MV_OK && mv_elf_text_alignment(s->paths[i]) < CACHE_LINE)
            s->layout_is_free = true;
        if (code == MV_OK)
            be_loaded_anew(s->paths[i], sizeof s->paths[i], &s->copies[i]);
    }
    return code;
}

void mv_duel_leave_arms(mv_duel_state *s)
{
    for (int i = 0; i < 2; i++)
        if (s->copies[i] >= 0)
            (void)close(s->copies[i]);
}
