/* golden_seal.c - the first 512 bytes: HDF5 leaves a user block alone, and readers skip it.
 *
 * HDF5's own checksums cover the datasets' values and some of the metadata. The seal covers every
 * byte, and is itself compared byte for byte with what it must be; so a damaged file is refused
 * before HDF5 sees it.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden/golden_private.h"

#define SEAL_MAGIC "mistral-golden 1\n"

static void write_hex(char hex[MV_SHA256_SIZE], const unsigned char digest[32])
{
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void golden_sha256(char hex[MV_SHA256_SIZE], const void *bytes, size_t size)
{
    unsigned char digest[32] = {0};
    /* Fails for want of memory only; zeros are the digest of nothing we would accept. */
    (void)EVP_Digest(size > 0 ? bytes : "", size, digest, NULL, EVP_sha256(), NULL);
    write_hex(hex, digest);
}

/* Of everything from first on. *size_bytes: how much that is. */
static mv_code digest_from(int fd, const char *path, uint64_t first, char hex[MV_SHA256_SIZE],
                           uint64_t *size_bytes, mv_error *error)
{
    unsigned char block[1 << 16], digest[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    uint64_t at = first;
    ssize_t n = 0;
    while (good && (n = pread(fd, block, sizeof block, (off_t)at)) > 0) {
        good = EVP_DigestUpdate(context, block, (size_t)n) == 1;
        at += (uint64_t)n;
    }
    good = good && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (n < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (!good)
        return mv_fail(error, MV_ERR_MEMORY, "%s: libcrypto cannot compute a sha256", path);
    write_hex(hex, digest);
    *size_bytes = at - first;
    return MV_OK;
}

static void make_seal(char seal[GOLDEN_SEAL_SIZE], const char *hex, uint64_t size_bytes)
{
    memset(seal, 0, GOLDEN_SEAL_SIZE);
    (void)snprintf(seal, GOLDEN_SEAL_SIZE, SEAL_MAGIC "sha256 %s\nbytes %llu\n", hex,
                   (unsigned long long)size_bytes);
}

mv_code golden_seal_write(int fd, const char *path, mv_error *error)
{
    char hex[MV_SHA256_SIZE], seal[GOLDEN_SEAL_SIZE];
    uint64_t size_bytes;
    mv_code code = digest_from(fd, path, GOLDEN_SEAL_SIZE, hex, &size_bytes, error);
    if (code != MV_OK)
        return code;
    make_seal(seal, hex, size_bytes);
    if (pwrite(fd, seal, sizeof seal, 0) != (ssize_t)sizeof seal)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return MV_OK;
}

/* Says which kind of wrong file it is. */
static mv_code refuse_start(const char *path, const char *found, ssize_t n, mv_error *error)
{
    if (n == 0)
        return mv_fail(error, MV_ERR_FORMAT, "%s: the file is empty; expected a golden file", path);
    if (n >= 8 && memcmp(found, "\211HDF\r\n\032\n", 8) == 0)
        return mv_fail(error, MV_ERR_FORMAT,
                       "%s: an HDF5 file without the seal of a golden (a repacked copy loses its "
                       "user block: h5repack -u); expected 'mistral-golden 1' at its start",
                       path);
    return mv_fail(error, MV_ERR_FORMAT,
                   "%s: not a golden file: it does not begin with 'mistral-golden 1'", path);
}

mv_code golden_seal_check(int fd, const char *path, uint64_t *size_bytes, bool *damaged,
                          mv_error *error)
{
    char seal[GOLDEN_SEAL_SIZE], expected[GOLDEN_SEAL_SIZE], hex[MV_SHA256_SIZE];
    unsigned long long promised = 0;
    uint64_t rest = 0;
    *damaged = false;
    const ssize_t n = pread(fd, seal, sizeof seal, 0);
    if (n < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    const size_t magic_size = strlen(SEAL_MAGIC);
    if ((size_t)n < magic_size || memcmp(seal, SEAL_MAGIC, magic_size) != 0)
        return refuse_start(path, seal, n, error);
    if (n < (ssize_t)sizeof seal)
        return mv_fail(error, MV_ERR_FORMAT, "%s: truncated: %zd bytes, less than the seal of %d",
                       path, n, GOLDEN_SEAL_SIZE);
    mv_code code = digest_from(fd, path, GOLDEN_SEAL_SIZE, hex, &rest, error);
    if (code != MV_OK)
        return code;
    *size_bytes = rest + GOLDEN_SEAL_SIZE;
    make_seal(expected, hex, rest);
    if (memcmp(seal, expected, sizeof seal) == 0)
        return MV_OK;
    seal[sizeof seal - 1] = '\0';
    const char *line = strstr(seal, "\nbytes ");
    if (line != NULL && sscanf(line, "\nbytes %llu", &promised) == 1 && promised != rest)
        return mv_fail(
            error, MV_ERR_FORMAT,
            "%s: %s: %llu bytes behind the seal, expected %llu; fetch or record it again", path,
            rest < promised ? "truncated" : "changed", (unsigned long long)rest, promised);
    *damaged = true;
    return mv_fail(error, MV_ERR_FORMAT,
                   "%s: damaged: its sha256 is not the one in its seal; fetch or record it again",
                   path);
}

mv_code mv_golden_hash_file(char hex[MV_SHA256_SIZE], const char *path, mv_error *error)
{
    uint64_t size_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mv_fail(error, MV_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mv_code code = digest_from(fd, path, 0, hex, &size_bytes, error);
    (void)close(fd);
    return code;
}
