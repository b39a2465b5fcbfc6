/* A golden: the seal, the index and what lies behind it, with fuzz_hdf5.h in the place of HDF5's
 * files. The first byte of the input says what is put right before the golden is read. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "golden/golden_private.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_hdf5.h"

enum { AS_IT_IS = 1, OWN_INDEX = 2, OWN_ROOT = 4 };

/* ---- in the place of what takes long ---- */

void __wrap_golden_sha256(char hex[MV_SHA256_SIZE], const void *bytes, size_t size);
pid_t __wrap_fork(void);
pid_t __real_fork(void);

/* The index and the rows are hashed a hundred times for one golden: any function of the bytes does.
 * The seal's sha256 is the real one. */
void __wrap_golden_sha256(char hex[MV_SHA256_SIZE], const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes;
    uint64_t hash = 0xcbf29ce484222325u + size, part = 0;
    for (; size >= sizeof part; at += sizeof part, size -= sizeof part) {
        memcpy(&part, at, sizeof part);
        hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; size > 0; at++, size--)
        hash = (hash ^ *at) * 0x100000001b3u;
    hash ^= hash >> 32;
    for (unsigned i = 0; i < 64; i++)
        hex[i] = digits[hash >> 4 * (i % 16) & 15];
    hex[64] = '\0';
}

/* Which part of a file with a wrong seal is damaged is found by a child, which reads as sealed
 * files are read here; and a fork takes longer than all the rest. Replays have it. */
pid_t __wrap_fork(void)
{
    return fuzz_everything ? __real_fork() : -1;
}

/* ---- what is accepted ---- */

static void count(void *cookie, const mv_golden_difference *difference)
{
    *(size_t *)cookie += difference->n_different;
    FUZZ_CHECK(memchr(difference->path, '\0', sizeof difference->path) != NULL);
}

static void check_text(const char *text, size_t size)
{
    FUZZ_CHECK(memchr(text, '\0', size) != NULL);
}

static void check_case(const mv_golden *golden, const mv_golden_case *one)
{
    const size_t V = golden->params.vocab_size;
    check_text(one->name, sizeof one->name);
    FUZZ_CHECK(one->n_tokens > 0 && one->n_positions > 0 && one->n_top > 0 && one->n_top <= V);
    for (size_t i = 0; i < one->n_tokens; i++) {
        FUZZ_CHECK(one->tokens[i] >= 0 && (size_t)one->tokens[i] < V);
        FUZZ_CHECK(isfinite(one->lse[i]));
        for (size_t k = 0; k < one->n_top; k++)
            FUZZ_CHECK(one->top_ids[i * one->n_top + k] >= 0 &&
                       isfinite(one->top_values[i * one->n_top + k]));
        for (size_t k = 0; k < MV_SKETCH_SIZE; k++)
            FUZZ_CHECK(isfinite(one->sketch[i * MV_SKETCH_SIZE + k]));
    }
    for (size_t i = 0; i < one->n_positions; i++) {
        FUZZ_CHECK(one->positions[i] >= 0 && (size_t)one->positions[i] < one->n_tokens);
        for (size_t v = 0; v < V; v++)
            FUZZ_CHECK(isfinite(one->oracle[i * V + v]));
    }
}

static void check_golden(const mv_golden *golden)
{
    size_t n_different = 0;
    FUZZ_CHECK(golden->n_cases > 0 && golden->n_weights == mv_weight_count(&golden->params));
    check_text(golden->model_spec, sizeof golden->model_spec);
    for (size_t i = 0; i < golden->n_weights; i++) {
        check_text(golden->weights[i].dtype, sizeof golden->weights[i].dtype);
        check_text(golden->weights[i].sha256, sizeof golden->weights[i].sha256);
    }
    for (size_t i = 0; i < golden->provenance.n_facts; i++) {
        check_text(golden->provenance.facts[i].key, sizeof golden->provenance.facts[i].key);
        check_text(golden->provenance.facts[i].value, sizeof golden->provenance.facts[i].value);
    }
    for (size_t i = 0; i < golden->n_cases; i++)
        check_case(golden, &golden->cases[i]);
    mv_golden_diff(golden, golden, count, &n_different);
    FUZZ_CHECK(n_different == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sealed[GOLDEN_SEAL_SIZE + (1 << 16)];
    char path[FUZZ_PATH_SIZE];
    mv_golden *golden = NULL;
    mv_error error = {0};
    if (size == 0 || size > sizeof sealed - GOLDEN_SEAL_SIZE)
        return 0;
    const uint8_t mode = data[0];
    fuzz_hdf5_next = (fuzz_hdf5_mode){(mode & OWN_INDEX) != 0, (mode & OWN_ROOT) != 0};
    int fd = -1;
    if ((mode & AS_IT_IS) != 0) {
        fd = fuzz_file(path, data + 1, size - 1);
    } else {
        memcpy(sealed + GOLDEN_SEAL_SIZE, data + 1, size - 1);
        fd = fuzz_file(path, sealed, GOLDEN_SEAL_SIZE + size - 1);
        FUZZ_CHECK(golden_seal_write(fd, path, &error) == MV_OK);
    }
    mv_code code = mv_golden_open(&golden, path, &error);
    if (code != MV_OK) {
        FUZZ_CHECK(golden == NULL);
        fuzz_check_refusal(code, &error);
    } else {
        check_golden(golden);
        mv_golden_close(&golden);
    }
    fuzz_file_close(fd);
    return 0;
}
