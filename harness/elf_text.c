/* elf_text.c - how the code of a shared object may lie in memory. */
#include <elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/elf_check.h"

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr elf_header;
typedef Elf64_Shdr elf_section;
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Shdr elf_section;
#endif

static bool read_at(FILE *stream, uint64_t offset, void *data, size_t size)
{
    return offset <= INT64_MAX && fseeko(stream, (off_t)offset, SEEK_SET) == 0 &&
           fread(data, 1, size, stream) == size;
}

static uint64_t find_alignment(FILE *stream)
{
    elf_header header;
    elf_section names, section;
    char name[6];
    if (!read_at(stream, 0, &header, sizeof header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof section ||
        header.e_shstrndx >= header.e_shnum ||
        !read_at(stream, header.e_shoff + (uint64_t)header.e_shstrndx * sizeof names, &names,
                 sizeof names))
        return 0;
    for (unsigned i = 0; i < header.e_shnum; i++) {
        if (!read_at(stream, header.e_shoff + (uint64_t)i * sizeof section, &section,
                     sizeof section))
            return 0;
        if ((section.sh_flags & SHF_EXECINSTR) != 0 &&
            read_at(stream, names.sh_offset + section.sh_name, name, sizeof name) &&
            memcmp(name, ".text", sizeof name) == 0)
            return section.sh_addralign;
    }
    return 0;
}

uint64_t mv_elf_text_alignment(const char *path)
{
    FILE *stream = fopen(path, "rbe");
    const uint64_t alignment = stream != NULL ? find_alignment(stream) : 0;
    if (stream != NULL)
        (void)fclose(stream);
    return alignment;
}
