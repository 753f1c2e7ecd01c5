/*
 * hash.c - xxHash and the CRC, kept behind two functions each.
 *
 * XXH3 is compiled in here (XXH_INLINE_ALL) rather than linked, so that short keys, the common case of a row
 * hash, do not pay a call into a shared library. The CRC is libdeflate's, which uses the carry-less
 * multiplication of the CPU.
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

/* The finaliser of MurmurHash3 (public domain), constants of Stafford's Mix13. */
uint64_t mr_hash_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

uint64_t mr_hash_combine(uint64_t hash, uint64_t next)
{
    return mr_hash_mix(hash + UINT64_C(0x9E3779B97F4A7C15) + next * UINT64_C(0xD6E8FEB86659FD93));
}

uint32_t mr_crc32(uint32_t crc, const void *data, size_t size)
{
    return data ? libdeflate_crc32(crc, data, size) : crc;
}
