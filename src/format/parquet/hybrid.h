/*
 * hybrid.h - decodes Parquet's RLE/bit-packed hybrid (levels, dictionary indices, booleans) and the older BIT_PACKED.
 *
 * Input must be readable for 8 bytes behind its end (page buffers are).
 */
#ifndef MR_FORMAT_PARQUET_HYBRID_H
#define MR_FORMAT_PARQUET_HYBRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes behind the end of encoded data that decoders may read. */
#define MR_PQ_SLACK 16

struct mr_pq_hybrid {
    const uint8_t *at;
    const uint8_t *end;
    int width;         /* bits of a value, 0..32 */
    uint32_t value;    /* of the open run */
    uint64_t run;      /* values left in it */
    uint64_t packed;   /* values left in the open bit-packed stretch */
    uint64_t position; /* of the next value in it */
    const uint8_t *bits;
    bool legacy; /* BIT_PACKED: one stretch, highest bit first */
};

void mr_pq_hybrid_init(struct mr_pq_hybrid *hybrid, const uint8_t *data, size_t size, int width);
/* The encoding of levels before version 2: no headers. */
void mr_pq_hybrid_init_legacy(struct mr_pq_hybrid *hybrid, const uint8_t *data, size_t size,
                              int width);
/* The next `count` values. False when there are not so many. */
bool mr_pq_hybrid_get(struct mr_pq_hybrid *hybrid, uint32_t *out, int64_t count);
bool mr_pq_hybrid_get_bytes(struct mr_pq_hybrid *hybrid, uint8_t *out, int64_t count);
/* Width 1, as bits [from, from + count) of `bits`; adds the number of ones to *ones. */
bool mr_pq_hybrid_get_bits(struct mr_pq_hybrid *hybrid, uint8_t *bits, int64_t from, int64_t count,
                           int64_t *ones);
bool mr_pq_hybrid_skip(struct mr_pq_hybrid *hybrid, int64_t count);
/* `count` values of `width` bits (0..64) from the start of `in`; 16 bytes behind them are readable. */
void mr_pq_unpack32(const uint8_t *in, int width, uint32_t *out, int64_t count);
void mr_pq_unpack64(const uint8_t *in, int width, uint64_t *out, int64_t count);

#endif
