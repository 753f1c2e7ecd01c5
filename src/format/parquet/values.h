/*
 * values.h - the values of one leaf in one batch (or in one dictionary), without NULLs until they are spread.
 */
#ifndef MR_FORMAT_PARQUET_VALUES_H
#define MR_FORMAT_PARQUET_VALUES_H

#include "col/column.h"
#include "format/parquet/convert.h"

enum mr_pq_values_kind {
    MR_PQ_VALUES_NONE,  /* none yet */
    MR_PQ_VALUES_FIXED, /* convert.to_width bytes each */
    MR_PQ_VALUES_BYTES, /* int32 offsets and data */
    MR_PQ_VALUES_CODES, /* int32 numbers of entries of a dictionary */
};

struct mr_pq_values {
    struct mr_memory *memory;
    const struct mr_pq_convert *convert;
    enum mr_pq_values_kind kind;
    int64_t count;
    int64_t expected;      /* values, for the first allocation */
    size_t expected_bytes; /* the same of text */
    struct mr_buffer *values;
    struct mr_buffer *data;
    size_t bytes;                          /* used in data */
    const struct mr_pq_values *dictionary; /* of CODES */
};

/* What went wrong with a value, for the caller's message. */
enum mr_pq_fault { MR_PQ_FAULT_NONE, MR_PQ_FAULT_SHORT, MR_PQ_FAULT_RANGE, MR_PQ_FAULT_CODE };

void mr_pq_values_reset(struct mr_pq_values *values);
/* All append `count` values; a fault leaves MR_OK. */
/* Of fixed physical width, as they lie in a page. */
enum mr_status mr_pq_values_fixed(struct mr_pq_values *values, const uint8_t *in, int64_t count,
                                  enum mr_pq_fault *fault, struct mr_error *err);
/* BYTE_ARRAYs behind their lengths; *used: bytes taken. All of them: no more follow in the page. */
enum mr_status mr_pq_values_plain(struct mr_pq_values *values, const uint8_t *in, size_t size,
                                  int64_t count, bool all, size_t *used, enum mr_pq_fault *fault,
                                  struct mr_error *err);
/* BYTE_ARRAYs whose lengths are elsewhere. */
enum mr_status mr_pq_values_lengths(struct mr_pq_values *values, const int32_t *lengths,
                                    const uint8_t *in, size_t size, int64_t count, size_t *used,
                                    enum mr_pq_fault *fault, struct mr_error *err);
/* Entries of a dictionary; `coded`: codes may stay codes. */
enum mr_status mr_pq_values_codes(struct mr_pq_values *values, const uint32_t *codes, int64_t count,
                                  const struct mr_pq_values *dictionary, bool coded,
                                  enum mr_pq_fault *fault, struct mr_error *err);
/* Is all text UTF-8? */
bool mr_pq_values_is_text(const struct mr_pq_values *values);
/*
 * The column of `length` rows: value after value where `validity` (may be NULL) has a bit. Takes the
 * reference to validity, moves the storage out; `dictionary` is the column of the codes.
 */
enum mr_status mr_pq_values_column(struct mr_pq_values *values, const struct mr_type *type,
                                   int64_t length, struct mr_buffer *validity,
                                   struct mr_column *dictionary, struct mr_column **out,
                                   struct mr_error *err);

#endif
