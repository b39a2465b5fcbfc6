/* elf_check.h - is this file a shared object that this process can load?
 *
 * dlopen() answers too, but its words are not for people ("invalid ELF header"), and a file that
 * was cut off kills the process with SIGBUS. So the file is looked at first.
 */
#ifndef MV_HARNESS_ELF_CHECK_H
#define MV_HARNESS_ELF_CHECK_H

#include "backends/mistral_backend.h"

/* Reads the headers only. MV_ERR_ARGUMENT: no such file. MV_ERR_IO: cannot be read.
 * MV_ERR_FORMAT: a folder, not ELF, another machine or word size, not a shared object, cut off.
 * The message names the path, what was expected and what was found. */
MV_MUST_CHECK mv_code mv_elf_check(const char *path, mv_error *error);

/* The alignment of its code section, in bytes; 0 if it has none, or cannot be read. Compiled with
 * -falign-functions=64 it is 64 or more: then no relinking moves a function within a cache line. */
uint64_t mv_elf_text_alignment(const char *path);

#endif
