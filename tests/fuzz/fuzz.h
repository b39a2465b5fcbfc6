/* fuzz.h - what the fuzz targets share.
 *
 * A target gets any bytes. It may refuse them, with a message; what it accepts must keep the
 * promises of its header. A broken promise aborts, as a sanitizer's finding does.
 */
#ifndef MV_TESTS_FUZZ_H
#define MV_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/tensor_file.h"

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* libFuzzer and replay.c call this; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* replay.c sets it: what takes longer than the reader itself, and a fuzzer does for one input in 8
 * (chosen by its bytes, so that a finding is one again), is done for every one. */
extern bool fuzz_everything;
bool fuzz_is_chosen(const uint8_t *data, size_t size);

/* The bytes as a file that has no name on any disk. path: receives "/proc/self/fd/N". Returns N,
 * for fuzz_file_close(); four can be open at a time, and they are used again, the lowest first: who
 * opens them in the same order gets the same paths. */
enum { FUZZ_PATH_SIZE = 32 };
int fuzz_file(char path[FUZZ_PATH_SIZE], const uint8_t *data, size_t size);
void fuzz_file_close(int fd);

/* A refusal has a code and one line of printable text, which a replay shows. */
void fuzz_check_refusal(mv_code code, const mv_error *error);

/* Opens the bytes; if they are accepted, checks what harness/tensor_file.h promises, and reads
 * every byte of every tensor. */
void fuzz_tensor_file(mv_code (*open_file)(mv_tensor_file **file, const char *path,
                                           mv_error *error),
                      const uint8_t *data, size_t size);

#endif
