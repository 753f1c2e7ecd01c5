/*
 * hash.c - xxHash and the CRC, kept behind two functions each.
 *
 * XXH3 is compiled in here (XXH_INLINE_ALL) rather than linked, so that short keys, the common case
 * of a row hash, do not pay a call into a shared library. The CRC is libdeflate's, which uses the
 * carry-less multiplication of the CPU.
 */
#define XXH_INLINE_ALL
#include "base/hash.h"

#include <libdeflate.h>
#include <xxhash.h>

uint64_t mr_hash64(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t mr_hash64_seed(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

uint64_t mr_xxh64(const void *data, size_t size, uint64_t seed)
{
    return XXH64(data, size, seed);
}

uint32_t mr_crc32(uint32_t crc, const void *data, size_t size)
{
    return data ? libdeflate_crc32(crc, data, size) : crc;
}
