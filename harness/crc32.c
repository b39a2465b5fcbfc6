/* A message is a polynomial over GF(2), the checksum its remainder modulo P. Folding: 128 bits that
 * lie n bits before the end may be replaced by their product with x^n mod P, so four lanes of 128
 * bits, or of twice that, walk over the message with two carry-less products for 128 bits each; at
 * the end, 16 bytes with the same remainder go through the table. "Reflected": bit 0 of a byte is
 * the highest power. */
#include "harness/crc32.h"

#include <pthread.h>
#include <string.h>

#include "harness/page_in.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_FOLDING 1
#endif

enum { N_TABLES = 8 };

static uint32_t tables[N_TABLES][256];
static uint64_t wide_powers[4], far_powers[2], near_powers[2]; /* for 1024, 512 and 128 bits */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- eight bytes at a time, by tables ---- */

static uint32_t step_bit(uint32_t crc)
{
    return (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1)));
}

/* x^n mod P in reflected order, one bit up: that is where a product of two reflected 64-bit halves
 * wants it. */
static uint64_t power(int n)
{
    uint32_t remainder = 0x80000000U; /* x^0 */
    for (int i = 0; i < n; i++)
        remainder = step_bit(remainder);
    return (uint64_t)remainder << 1;
}

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = step_bit(crc);
        tables[0][i] = crc;
    }
    for (int k = 1; k < N_TABLES; k++)
        for (uint32_t i = 0; i < 256; i++)
            tables[k][i] = tables[0][tables[k - 1][i] & 0xff] ^ (tables[k - 1][i] >> 8);
    /* The low half of a lane is the earlier one, so it has 64 bits more to go. */
    for (int high = 0; high < 2; high++) {
        wide_powers[high] = wide_powers[2 + high] = power(1024 + 32 - 64 * high);
        far_powers[high] = power(512 + 32 - 64 * high);
        near_powers[high] = power(128 + 32 - 64 * high);
    }
}

/* state: not inverted. */
static uint32_t walk_tables(uint32_t state, const unsigned char *at, size_t size)
{
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= state;
        state = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
                tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
                tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
    }
    for (; size > 0; at++, size--)
        state = tables[0][(state ^ *at) & 0xff] ^ (state >> 8);
    return state;
}

uint32_t mv_crc32_portable(uint32_t crc, const void *bytes, size_t size)
{
    (void)pthread_once(&once, make_tables);
    return ~walk_tables(~crc, bytes, size);
}

/* ---- 64 or 128 bytes at a time, by folding ---- */

#ifdef HAVE_FOLDING

#define FOLDING __attribute__((target("pclmul,sse2")))
#define WIDE_FOLDING __attribute__((target("vpclmulqdq,pclmul,avx2")))

FOLDING static __m128i load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

FOLDING static __m128i fold(__m128i value, __m128i powers, __m128i next)
{
    const __m128i low = _mm_clmulepi64_si128(value, powers, 0x00);
    const __m128i high = _mm_clmulepi64_si128(value, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* lanes: n of them, one behind the other, with the rest of the message behind. */
FOLDING static uint32_t join(const __m128i *lanes, int n, const unsigned char *at, size_t size)
{
    const __m128i near = load((const unsigned char *)near_powers);
    unsigned char last[16];
    __m128i one = lanes[0];
    for (int i = 1; i < n; i++)
        one = fold(one, near, lanes[i]);
    for (; size >= 16; at += 16, size -= 16)
        one = fold(one, near, load(at));
    _mm_storeu_si128((__m128i *)(void *)last, one);
    return walk_tables(walk_tables(0, last, sizeof last), at, size);
}

/* size >= 64. */
FOLDING static uint32_t walk_folding(uint32_t state, const unsigned char *at, size_t size)
{
    const __m128i far = load((const unsigned char *)far_powers);
    __m128i lane[4];
    for (int i = 0; i < 4; i++)
        lane[i] = load(at + 16 * i);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)state));
    for (at += 64, size -= 64; size >= 64; at += 64, size -= 64)
        for (int i = 0; i < 4; i++)
            lane[i] = fold(lane[i], far, load(at + 16 * i));
    return join(lane, 4, at, size);
}

WIDE_FOLDING static __m256i load_wide(const unsigned char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* size >= 128. */
WIDE_FOLDING static uint32_t walk_wide(uint32_t state, const unsigned char *at, size_t size)
{
    const __m256i powers = load_wide((const unsigned char *)wide_powers);
    __m256i lane[4];
    __m128i narrow[8];
    for (int i = 0; i < 4; i++)
        lane[i] = load_wide(at + 32 * i);
    lane[0] = _mm256_xor_si256(lane[0], _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)state)));
    for (at += 128, size -= 128; size >= 128; at += 128, size -= 128) {
        for (int i = 0; i < 4; i++) {
            const __m256i low = _mm256_clmulepi64_epi128(lane[i], powers, 0x00);
            const __m256i high = _mm256_clmulepi64_epi128(lane[i], powers, 0x11);
            lane[i] = _mm256_xor_si256(_mm256_xor_si256(low, high), load_wide(at + 32 * i));
        }
    }
    for (int i = 0; i < 4; i++) {
        narrow[2 * i] = _mm256_castsi256_si128(lane[i]);
        narrow[2 * i + 1] = _mm256_extracti128_si256(lane[i], 1);
    }
    return join(narrow, 8, at, size);
}

uint32_t mv_crc32_narrow(uint32_t crc, const void *bytes, size_t size)
{
    (void)pthread_once(&once, make_tables);
    if (size >= 256 && __builtin_cpu_supports("pclmul"))
        return ~walk_folding(~crc, bytes, size);
    return ~walk_tables(~crc, bytes, size);
}

uint32_t mv_crc32(uint32_t crc, const void *bytes, size_t size)
{
    if (size < 256 || !__builtin_cpu_supports("vpclmulqdq") || !__builtin_cpu_supports("avx2"))
        return mv_crc32_narrow(crc, bytes, size);
    (void)pthread_once(&once, make_tables);
    return ~walk_wide(~crc, bytes, size);
}

#else

uint32_t mv_crc32_narrow(uint32_t crc, const void *bytes, size_t size)
{
    return mv_crc32_portable(crc, bytes, size);
}

uint32_t mv_crc32(uint32_t crc, const void *bytes, size_t size)
{
    return mv_crc32_portable(crc, bytes, size);
}

#endif

/* ---- a mapping ---- */

uint32_t mv_crc32_mapped(const void *bytes, uint64_t size)
{
    uint32_t crc = 0;
    for (uint64_t at = 0; at < size; at += MV_PAGE_IN) {
        const size_t n = size - at < MV_PAGE_IN ? (size_t)(size - at) : MV_PAGE_IN;
        mv_page_in((const char *)bytes + at, n);
        crc = mv_crc32(crc, (const char *)bytes + at, n);
    }
    return crc;
}
