/* crc32.h - the checksum of ZIP (polynomial 0x04C11DB7, reflected), at the speed of memory.
 *
 * zlib's takes 0.6 ns a byte, which is as long as writing the file; here carry-less products do the
 * work where the CPU has them.
 */
#ifndef MV_HARNESS_CRC32_H
#define MV_HARNESS_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0, or what came out for the bytes before. */
uint32_t mv_crc32(uint32_t crc, const void *bytes, size_t size);

/* Of bytes that lie in a mapping, paged in as it goes (page_in.h). */
uint32_t mv_crc32_mapped(const void *bytes, uint64_t size);

/* The same as mv_crc32() with less of what the CPU has, down to nothing special: the fallbacks, for
 * the tests. */
uint32_t mv_crc32_narrow(uint32_t crc, const void *bytes, size_t size);
uint32_t mv_crc32_portable(uint32_t crc, const void *bytes, size_t size);

#endif
