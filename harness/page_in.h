/* page_in.h - maps what is about to be read of a mapped file in one go. */
#ifndef MV_HARNESS_PAGE_IN_H
#define MV_HARNESS_PAGE_IN_H

#include <stddef.h>

/* Walking through a file takes a page fault for every 64 KiB of it, which costs as much as copying
 * them: ask for a piece of this size before it is read. */
enum { MV_PAGE_IN = 8 << 20 };

/* Only advice: no error where the kernel does not know it (before 5.14), or there is no mapping.
 * Waits for the disk, if it must. */
void mv_page_in(const void *bytes, size_t size);

#endif
