#include "harness/elf_check.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
#define HOST_CLASS ELFCLASS64
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
#define HOST_CLASS ELFCLASS32
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ORDER ELFDATA2LSB
#else
#define HOST_ORDER ELFDATA2MSB
#endif

/* EM_NONE: not one that this file knows, so dlopen() must judge. */
#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__i386__)
#define HOST_MACHINE EM_386
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#else
#define HOST_MACHINE EM_NONE
#endif

static const char *machine_name(unsigned machine, char *text, size_t size)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {
        {EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i386"},  {EM_ARM, "arm"},
        {EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"},     {EM_S390, "s390"}, {EM_CUDA, "cuda"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == machine)
            return names[i].name;
    (void)snprintf(text, size, "machine %u", machine);
    return text;
}

static const char *type_name(unsigned type)
{
    switch (type) {
    case ET_REL:
        return "an object file (.o)";
    case ET_EXEC:
        return "a program";
    case ET_CORE:
        return "a core dump";
    default:
        return "an ELF file of an unknown type";
    }
}

static bool read_at(int file, void *data, size_t size, uint64_t offset)
{
    return offset <= LLONG_MAX && pread(file, data, size, (off_t)offset) == (ssize_t)size;
}

/* The first bytes, as they are: they mean the same on every machine. */
static mv_code check_ident(const char *path, const unsigned char *ident, uint64_t file_size,
                           mv_error *error)
{
    if (file_size == 0)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected an ELF shared object, found an empty file", path);
    if (memcmp(ident, ELFMAG, SELFMAG) != 0)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected an ELF shared object, found a file that begins with the bytes "
                       "%02x %02x %02x %02x",
                       path, ident[0], ident[1], ident[2], ident[3]);
    if (file_size < sizeof(elf_header))
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: truncated: expected an ELF header of %zu bytes, found a file of %llu "
                       "bytes",
                       path, sizeof(elf_header), (unsigned long long)file_size);
    if (ident[EI_CLASS] != HOST_CLASS)
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected a %d-bit ELF file, found a %s one", path,
                       HOST_CLASS == ELFCLASS64 ? 64 : 32,
                       ident[EI_CLASS] == ELFCLASS32   ? "32-bit"
                       : ident[EI_CLASS] == ELFCLASS64 ? "64-bit"
                                                       : "damaged");
    if (ident[EI_DATA] != HOST_ORDER)
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected a %s-endian ELF file, found a %s one",
                       path, HOST_ORDER == ELFDATA2LSB ? "little" : "big",
                       ident[EI_DATA] == ELFDATA2LSB   ? "little-endian"
                       : ident[EI_DATA] == ELFDATA2MSB ? "big-endian"
                                                       : "damaged");
    return MV_OK;
}

/* dlopen() maps each segment without asking whether the file is long enough for it, and the first
 * touch behind the end is a SIGBUS. */
static mv_code check_extents(const char *path, int file, const elf_header *header,
                             uint64_t file_size, mv_error *error)
{
    uint64_t end = header->e_phoff + (uint64_t)header->e_phnum * sizeof(elf_segment);
    if (header->e_phnum == 0 || header->e_phentsize != sizeof(elf_segment))
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: damaged: expected a program header table with entries of %zu bytes, "
                       "found %u entries of %u bytes",
                       path, sizeof(elf_segment), header->e_phnum, header->e_phentsize);
    bool overflow = end < header->e_phoff;
    for (unsigned i = 0; !overflow && end <= file_size && i < header->e_phnum; i++) {
        elf_segment segment;
        uint64_t segment_end = 0;
        if (!read_at(file, &segment, sizeof segment,
                     header->e_phoff + (uint64_t)i * sizeof segment))
            return mv_fail(error, MV_ERR_IO, "%s: cannot read program header %u: %s", path, i,
                           strerror(errno));
        if (segment.p_type != PT_LOAD)
            continue;
        overflow = __builtin_add_overflow(segment.p_offset, segment.p_filesz, &segment_end);
        if (segment_end > end)
            end = segment_end;
    }
    if (overflow)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: damaged: expected headers that describe parts of the file, found "
                       "offsets beyond 64 bits",
                       path);
    if (end > file_size)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: truncated: expected at least %llu bytes, which its headers describe, "
                       "found %llu; build or copy it again",
                       path, (unsigned long long)end, (unsigned long long)file_size);
    return MV_OK;
}

static mv_code check_file(const char *path, int file, mv_error *error)
{
    struct stat info;
    char found[32];
    char expected[32];
    elf_header header;
    if (fstat(file, &info) != 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mv_fail(error, MV_ERR_FORMAT, "%s: expected an ELF shared object, found %s", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket");
    uint64_t file_size = (uint64_t)info.st_size;
    memset(&header, 0, sizeof header);
    size_t readable = file_size < sizeof header ? (size_t)file_size : sizeof header;
    if (!read_at(file, &header, readable, 0))
        return mv_fail(error, MV_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));

    mv_code code = check_ident(path, header.e_ident, file_size, error);
    if (code != MV_OK)
        return code;
    if (HOST_MACHINE != EM_NONE && header.e_machine != HOST_MACHINE)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected an ELF shared object for %s, found one for %s; build it on "
                       "this machine",
                       path, machine_name(HOST_MACHINE, expected, sizeof expected),
                       machine_name(header.e_machine, found, sizeof found));
    if (header.e_type != ET_DYN)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: expected an ELF shared object, found %s; link it with -shared", path,
                       type_name(header.e_type));
    return check_extents(path, file, &header, file_size, error);
}

mv_code mv_elf_check(const char *path, mv_error *error)
{
    /* O_NONBLOCK: opening a pipe must not wait for a writer. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: expected a backend (.so), found no such file",
                       path);
    if (file < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = check_file(path, file, error);
    (void)close(file);
    return code;
}
