/* cuda_fault.c - linked with kernels that have one planted fault: some check must fail. Ends with 0 if
 * one does, and says which. */
#include <stdio.h>

#include "tests/cuda_checks.h"

int main(void)
{
    char why[512] = "";
    for (size_t i = 0; i < n_cuda_checks; i++) {
        if (!cuda_checks[i].run(why, sizeof why)) {
            (void)printf("found by %s: %s\n", cuda_checks[i].name, why);
            return 0;
        }
    }
    (void)printf("the planted fault was not found\n");
    return 1;
}
