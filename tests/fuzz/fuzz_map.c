/* fuzz_map.c - files are mapped into the heap, where a sanitizer sees a read past their end.
 *
 * The rest of the last page of a mapping may be read, and nobody notices; behind a block of the
 * heap lies a red zone. The linker puts these in the place of mmap() and munmap() in what is linked
 * statically: in the readers, and not in the C library.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);

enum { PAGE = 4096 };

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *bytes = NULL;
    FUZZ_CHECK(address == NULL && protection == PROT_READ && flags == MAP_PRIVATE && fd >= 0);
    if (size == 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    FUZZ_CHECK(posix_memalign(&bytes, PAGE, size) == 0);
    FUZZ_CHECK(pread(fd, bytes, size, offset) == (ssize_t)size);
    return bytes;
}

/* What the same call is named where off_t is asked to have 64 bits. */
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return __wrap_mmap(address, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *address, size_t size)
{
    (void)size;
    free(address);
    return 0;
}
