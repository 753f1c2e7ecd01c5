/*
 * numeric.h - the binary form of Postgres' numeric.
 */
#ifndef MR_CONNECT_POSTGRES_NUMERIC_H
#define MR_CONNECT_POSTGRES_NUMERIC_H

#include "base/bytes.h"
#include "base/decimal.h"

enum mr_numeric_result {
    MR_NUMERIC_OK,
    MR_NUMERIC_MALFORMED,
    MR_NUMERIC_SPECIAL, /* NaN, Infinity, -Infinity */
    MR_NUMERIC_LOSS,    /* has digits behind `scale` */
    MR_NUMERIC_RANGE,   /* has more than `precision` digits */
};

/* Precision up to 18: the unscaled value as int64. */
enum mr_numeric_result mr_numeric_to_decimal64(const uint8_t *data, uint32_t size, int precision,
                                               int scale, int64_t *out);
/* Precision up to 38. */
enum mr_numeric_result mr_numeric_to_decimal(const uint8_t *data, uint32_t size, int precision,
                                             int scale, mr_int128 *out);
/* As Postgres prints it, specials included. MR_NUMERIC_OK or MALFORMED; memory shows in `out`. */
enum mr_numeric_result mr_numeric_to_text(const uint8_t *data, uint32_t size, struct mr_bytes *out);

/*
 * The binary form of value / 10^scale with `scale` digits behind the point, 0 <= scale <= 38; returns its bytes. `out` has
 * room for MR_NUMERIC_SIZE_MAX.
 */
#define MR_NUMERIC_SIZE_MAX 32
size_t mr_numeric_from_decimal64(int64_t value, int scale, uint8_t *out);
size_t mr_numeric_from_decimal(mr_int128 value, int scale, uint8_t *out);

#endif
