/*
 * hash.h - 64-bit hashing (xxHash's XXH3) and the CRC of files and records.
 */
#ifndef MR_BASE_HASH_H
#define MR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3 64 bits, seed 0. Stable across versions and machines. */
uint64_t mr_hash64(const void *data, size_t size);
uint64_t mr_hash64_seed(const void *data, size_t size, uint64_t seed);
/* XXH64, the older algorithm, for what other systems computed with it. */
uint64_t mr_xxh64(const void *data, size_t size, uint64_t seed);
/* Finaliser of a 64-bit value; order-dependent combination of two hashes. */
static inline uint64_t mr_hash_mix(uint64_t value)
{
    /* The finaliser of MurmurHash3 with the constants of Stafford's Mix13. */
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}
static inline uint64_t mr_hash_combine(uint64_t hash, uint64_t next)
{
    return mr_hash_mix(hash + UINT64_C(0x9E3779B97F4A7C15) + next * UINT64_C(0xD6E8FEB86659FD93));
}
/* High half of the product xor its low half (wyhash's step): two words into one, for tables in memory only. */
static inline uint64_t mr_hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
/* CRC-32 (IEEE 802.3, as gzip and Parquet pages use). Start with 0. */
uint32_t mr_crc32(uint32_t crc, const void *data, size_t size);

#endif
