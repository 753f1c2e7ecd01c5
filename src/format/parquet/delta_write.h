/*
 * delta_write.h - encodes PLAIN values as DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT.
 */
#ifndef MR_FORMAT_PARQUET_DELTA_WRITE_H
#define MR_FORMAT_PARQUET_DELTA_WRITE_H

#include <stddef.h>
#include <stdint.h>

/* Room to give mr_pq_delta_write, its slack included. */
size_t mr_pq_delta_bound(int64_t count, int width);
/* int32 (width 4) or int64 values; returns the bytes used. */
size_t mr_pq_delta_write(const void *values, int64_t count, int width, uint8_t *out);
/* Strings as in a PLAIN page, each behind its length. `lengths`: room for `count` int32. */
size_t mr_pq_delta_lengths_write(const uint8_t *plain, int64_t count, int32_t *lengths,
                                 uint8_t *out);
/* The same without the prefix that a string shares with the one before. `prefixes` like lengths. */
size_t mr_pq_delta_strings_write(const uint8_t *plain, int64_t count, int32_t *lengths,
                                 int32_t *prefixes, uint8_t *out);
/* Byte k of every value, then byte k + 1. */
void mr_pq_stream_split(const uint8_t *values, int64_t count, int width, uint8_t *out);

#endif
