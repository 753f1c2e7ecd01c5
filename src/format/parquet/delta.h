/*
 * delta.h - decodes DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY and BYTE_STREAM_SPLIT, a page at once.
 *
 * Input must be readable for MR_PQ_SLACK bytes behind its end.
 */
#ifndef MR_FORMAT_PARQUET_DELTA_H
#define MR_FORMAT_PARQUET_DELTA_H

#include "base/buffer.h"

/* Values of a DELTA_BINARY_PACKED sequence; -1 when its head is damaged. */
int64_t mr_pq_delta_count(const uint8_t *in, size_t size);
/*
 * Its values, all of mr_pq_delta_count, as int32 (width 4) or int64; *used: bytes that it takes.
 * False when it is damaged.
 */
bool mr_pq_delta_read(const uint8_t *in, size_t size, int width, void *out, size_t *used);
/* Lengths of the strings into *lengths (int32), where their bytes begin into *data. */
enum mr_status mr_pq_delta_lengths(struct mr_memory *memory, const uint8_t *in, size_t size,
                                   int64_t most, struct mr_buffer **lengths, int64_t *count,
                                   size_t *data, struct mr_error *err);
/* The same with shared prefixes put back; the bytes go to *data. */
enum mr_status mr_pq_delta_strings(struct mr_memory *memory, const uint8_t *in, size_t size,
                                   int64_t most, struct mr_buffer **lengths, int64_t *count,
                                   struct mr_buffer **data, struct mr_error *err);
/* `count` values of `width` bytes whose bytes lie in `width` streams. */
void mr_pq_stream_join(const uint8_t *in, int64_t count, int width, uint8_t *out);

#endif
