/*
 * rle.h - Parquet's RLE/bit-packed hybrid of small unsigned integers: levels and dictionary indices.
 *
 * Source: "Run Length Encoding / Bit-Packing Hybrid", Parquet format, Encodings.
 */
#ifndef MR_FORMAT_PARQUET_RLE_H
#define MR_FORMAT_PARQUET_RLE_H

#include <stddef.h>
#include <stdint.h>

/* Bits that hold 0..max; 0 for 0. */
int mr_rle_width(uint32_t max);
/* Room to give mr_rle_encode, its slack included. */
size_t mr_rle_bound(size_t count, int width);
/* Encodes values below 2^width (width 0..32); returns the bytes used. */
size_t mr_rle_encode(const uint32_t *values, size_t count, int width, uint8_t *out);
/* `count` bytes of 0 or 1 as bits, the first in the lowest bit; writes (count + 7) / 8 bytes. */
void mr_rle_pack_bools(const uint8_t *values, size_t count, uint8_t *out);

#endif
