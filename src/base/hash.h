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
/* Finaliser of a 64-bit value; order-dependent combination of two hashes. */
uint64_t mr_hash_mix(uint64_t value);
uint64_t mr_hash_combine(uint64_t hash, uint64_t next);
/* CRC-32 (IEEE 802.3, as gzip and Parquet pages use). Start with 0. */
uint32_t mr_crc32(uint32_t crc, const void *data, size_t size);

#endif
