/*
 * bounds.h - smallest and largest value of a page, a column chunk or a file, in Parquet's sense.
 */
#ifndef MR_FORMAT_PARQUET_BOUNDS_H
#define MR_FORMAT_PARQUET_BOUNDS_H

#include "base/decimal.h"
#include "format/parquet/leaf.h"

/* Longer text and binary bounds are cut to this many bytes (a maximum may be one longer after its increment). */
#define MR_PQ_BOUND_BYTES 64
#define MR_PQ_BOUND_MAX   (MR_PQ_BOUND_BYTES + 4)

struct mr_pq_bound_text {
    uint8_t size;
    bool cut; /* the value is longer: this is a prefix of it */
    uint8_t bytes[MR_PQ_BOUND_BYTES];
};

struct mr_pq_bounds {
    bool any; /* at least one value that has a place in the order (not NaN) */
    int64_t nans;
    union {
        struct {
            int64_t min, max;
        } i;
        struct {
            double min, max;
        } f;
        struct {
            mr_int128 min, max;
        } w;
        struct {
            struct mr_pq_bound_text min, max;
        } t;
    } u;
};

/* A bound as statistics carry it. `usable` is false when a cut maximum has no successor. */
struct mr_pq_bound {
    bool usable;
    bool exact;
    int size;
    uint8_t bytes[MR_PQ_BOUND_MAX];
};

void mr_pq_bounds_init(struct mr_pq_bounds *bounds);
/* Takes in values of an order of fixed width, as the encoder holds them (booleans: one byte). */
void mr_pq_bounds_fixed(struct mr_pq_bounds *bounds, enum mr_pq_order order, const void *values,
                        int64_t count);
/* TEXT and BINARY. Value i is data[starts[i]..ends[i]); all of data[0..limit) may be read. */
void mr_pq_bounds_bytes(struct mr_pq_bounds *bounds, enum mr_pq_order order, const uint8_t *data,
                        size_t limit, const int32_t *starts, const int32_t *ends, int64_t count);
void mr_pq_bounds_merge(struct mr_pq_bounds *bounds, enum mr_pq_order order,
                        const struct mr_pq_bounds *other);
/* For boundary_order: -1, 0, 1 of the minima (which = 0) or maxima (1). */
int mr_pq_bounds_compare(const struct mr_pq_leaf *leaf, const struct mr_pq_bounds *a,
                         const struct mr_pq_bounds *b, int which);
/* The PLAIN bytes of the bounds. Only when `any`. Zero becomes -0.0 as a minimum and +0.0 as a maximum. */
void mr_pq_bounds_min(const struct mr_pq_bounds *bounds, const struct mr_pq_leaf *leaf,
                      struct mr_pq_bound *out);
void mr_pq_bounds_max(const struct mr_pq_bounds *bounds, const struct mr_pq_leaf *leaf,
                      struct mr_pq_bound *out);
/* Big-endian two's complement of `width` bytes: how Parquet stores wide decimals. */
void mr_pq_decimal_bytes(mr_int128 value, int width, uint8_t *out);

#endif
