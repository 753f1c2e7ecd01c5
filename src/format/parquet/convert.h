/*
 * convert.h - from a physical value to the value that a column holds, widening included.
 */
#ifndef MR_FORMAT_PARQUET_CONVERT_H
#define MR_FORMAT_PARQUET_CONVERT_H

#include "format/parquet/tree.h"

/* Where a value comes from. */
enum mr_pq_from {
    MR_PQ_IN_BOOL, /* one byte, 0 or 1 */
    MR_PQ_IN_INT32,
    MR_PQ_IN_UINT32,
    MR_PQ_IN_INT64,
    MR_PQ_IN_UINT64,
    MR_PQ_IN_INT96,
    MR_PQ_IN_FLOAT,
    MR_PQ_IN_DOUBLE,
    MR_PQ_IN_FLOAT16,
    MR_PQ_IN_BIG_ENDIAN, /* two's complement of `width` bytes, 0 = of any length */
    MR_PQ_IN_BINARY,     /* as it lies; width 0 = BYTE_ARRAY */
    MR_PQ_IN_INTERVAL,
    MR_PQ_IN_NOTHING, /* all NULL */
};

struct mr_pq_convert {
    enum mr_pq_from from;
    int physical;      /* enum mr_pq_type */
    int width;         /* bytes of a physical value, 0 = BYTE_ARRAY; booleans 1 */
    enum mr_layout to; /* what comes out; BYTES: offsets and data */
    int to_width;
    bool same;  /* bytes are taken as they are */
    bool check; /* compare with low and high, before multiplying */
    bool text;  /* must be UTF-8 */
    bool floor; /* nanoseconds: cut what is below a microsecond */
    int64_t divide;
    mr_int128 multiply;
    mr_int128 low, high;
};

/* False: a column of `node` (a leaf that can be read) cannot be read as `type`. */
bool mr_pq_convert_make(const struct mr_pq_node *node, const struct mr_type *type, bool floor,
                        struct mr_pq_convert *out);
/*
 * `count` values of fixed physical width to fixed width. False: a value does not fit (*bad is its
 * number). `in` need not be aligned.
 */
bool mr_pq_convert_fixed(const struct mr_pq_convert *convert, const uint8_t *in, int64_t count,
                         uint8_t *out, int64_t *bad);
/* One BYTE_ARRAY value to fixed width (decimals). */
bool mr_pq_convert_bytes(const struct mr_pq_convert *convert, const uint8_t *in, size_t size,
                         uint8_t *out);

#endif
