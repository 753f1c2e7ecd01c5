/*
 * column.h - one column of a batch: values of one type over Arrow-layout buffers.
 *
 * A column is immutable once finished and reference counted (any thread). Three encodings: FLAT (a
 * value a row), CONSTANT (one value, at index 0 of the buffers, for every row) and DICTIONARY
 * (int32 codes into `dictionary`, a FLAT column whose entries are not NULL). Validity is always per
 * row for FLAT and DICTIONARY; for CONSTANT bit 0 counts. Where validity is NULL every value is
 * valid. Values under a cleared validity bit are defined memory (zero or anything initialised) and
 * have no meaning; offsets under it are equal.
 */
#ifndef MR_COL_COLUMN_H
#define MR_COL_COLUMN_H

#include "base/bitmap.h"
#include "base/buffer.h"
#include "base/decimal.h"
#include "col/type.h"
#include "col/value.h"

enum mr_encoding { MR_FLAT, MR_CONSTANT, MR_DICTIONARY };

struct mr_column {
    atomic_int_fast32_t refs;
    const struct mr_type *type;
    enum mr_encoding encoding;
    int64_t length;             /* rows */
    int64_t nulls;              /* number of NULL rows, exact */
    struct mr_buffer *validity; /* bitmap or NULL */
    struct mr_buffer *values;   /* fixed-width values, int32 offsets, or int32 dictionary codes */
    struct mr_buffer *data;     /* bytes of STRING, BINARY, JSON */
    struct mr_column *dictionary;
    int nchildren; /* LIST 1, MAP 1 (a struct of key and value), STRUCT n */
    struct mr_column **children;
};

struct mr_column *mr_column_ref(struct mr_column *column);
/* NULL is allowed. */
void mr_column_unref(struct mr_column *column);

/*
 * Takes over the references given (also when it fails). validity, data may be NULL. FLAT, not
 * nested.
 */
enum mr_status mr_column_new(const struct mr_type *type, int64_t length, int64_t nulls,
                             struct mr_buffer *validity, struct mr_buffer *values,
                             struct mr_buffer *data, struct mr_column **out, struct mr_error *err);
/*
 * FLAT LIST, MAP or STRUCT; takes over the references in `children` (not the array). `offsets` NULL
 * for STRUCT.
 */
enum mr_status mr_column_new_nested(const struct mr_type *type, int64_t length, int64_t nulls,
                                    struct mr_buffer *validity, struct mr_buffer *offsets,
                                    struct mr_column **children, int nchildren,
                                    struct mr_column **out, struct mr_error *err);
/* One value for `length` rows; NULL values allowed. */
enum mr_status mr_column_new_constant(struct mr_memory *memory, const struct mr_type *type,
                                      const struct mr_value *value, int64_t length,
                                      struct mr_column **out, struct mr_error *err);
/* Takes over the references. codes: int32, each in [0, dictionary->length) where valid. */
enum mr_status mr_column_new_dictionary(struct mr_column *dictionary, int64_t length, int64_t nulls,
                                        struct mr_buffer *validity, struct mr_buffer *codes,
                                        struct mr_column **out, struct mr_error *err);
/* The same values as FLAT (a new reference to the same column if it is FLAT already). */
enum mr_status mr_column_flatten(struct mr_memory *memory, struct mr_column *column,
                                 struct mr_column **out, struct mr_error *err);
/*
 * The same storage under another type of the same layout (STRING <-> JSON, TIMESTAMP <->
 * TIMESTAMP_NTZ, names).
 */
enum mr_status mr_column_retype(struct mr_column *column, const struct mr_type *type,
                                struct mr_column **out, struct mr_error *err);

/* A CONSTANT (or NULL type) column of another length over the same storage. */
enum mr_status mr_column_resize_constant(const struct mr_column *column, int64_t length,
                                         struct mr_column **out, struct mr_error *err);

/* Bytes that its buffers hold (shared buffers counted in full). */
int64_t mr_column_bytes(const struct mr_column *column);

static inline bool mr_column_is_null(const struct mr_column *column, int64_t row)
{
    if (column->type->id == MR_TYPE_NULL)
        return true;
    return column->validity != NULL &&
           !mr_bitmap_get(column->validity->data, column->encoding == MR_CONSTANT ? 0 : row);
}
/*
 * Reads any row of any encoding: slow, for tests, errors, previews and literals. Bytes are
 * borrowed.
 */
void mr_column_get(const struct mr_column *column, int64_t row, struct mr_value *out);
/*
 * Debug check of the invariants above (offsets monotone, codes in range, UTF-8, counts): tests and
 * sanitizer builds.
 */
enum mr_status mr_column_check(const struct mr_column *column, struct mr_error *err);

/* Typed views of FLAT columns. */
static inline const uint8_t *mr_column_validity(const struct mr_column *column)
{
    return column->validity ? column->validity->data : NULL;
}
static inline const int32_t *mr_column_offsets(const struct mr_column *column)
{
    return (const int32_t *)(const void *)column->values->data;
}
/* Where row `row` lies in the flat storage (of the dictionary, if it has one); -1 = NULL, or row < 0. */
static inline int32_t mr_column_place(const struct mr_column *column, int64_t row)
{
    if (row < 0 || mr_column_is_null(column, row))
        return -1;
    if (column->encoding == MR_DICTIONARY)
        return mr_column_offsets(column)[row];
    return column->encoding == MR_CONSTANT ? 0 : (int32_t)row;
}
static inline struct mr_slice mr_column_slice(const struct mr_column *column, int64_t row)
{
    const int32_t *offsets = mr_column_offsets(column);
    return (struct mr_slice){(const char *)column->data->data + offsets[row],
                             (size_t)(offsets[row + 1] - offsets[row])};
}

#endif
