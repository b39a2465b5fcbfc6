#include "harness/page_in.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void mv_page_in(const void *bytes, size_t size)
{
#ifdef MADV_POPULATE_READ
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), inside = (uintptr_t)bytes % page;
    (void)madvise((void *)((uintptr_t)bytes - inside), size + inside, MADV_POPULATE_READ);
#else
    (void)bytes;
    (void)size;
#endif
}
