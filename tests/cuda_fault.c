/* cuda_fault.c - linked with kernels that have one planted fault: each check that is named must
 * fail.
 *
 * usage: cuda_fault CHECK... Ends with 0 if they do, and says what they found. */
#include <stdio.h>
#include <string.h>

#include "tests/cuda_checks.h"

static int see(const char *name)
{
    char why[512] = "";
    for (size_t i = 0; i < n_cuda_checks; i++) {
        if (strcmp(cuda_checks[i].name, name) != 0)
            continue;
        if (cuda_checks[i].run(why, sizeof why))
            (void)snprintf(why, sizeof why, "the planted fault was not found");
        else
            return printf("%s: %s\n", name, why) < 0;
        (void)printf("%s: %s\n", name, why);
        return 1;
    }
    (void)printf("%s: there is no such check\n", name);
    return 1;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++)
        failed |= see(argv[i]);
    return failed;
}
